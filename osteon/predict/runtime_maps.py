"""Engines that run a deployed segmenter: images of any size that the network takes, one or a few at a time."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import numpy as np

from osteon.errors import WeightsError
from osteon.predict.runtime_openvino import compile_for_cpu, import_openvino, usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from openvino import AsyncInferQueue, CompiledModel, InferRequest, Model
    from torch import nn

__all__ = ["MapRuntime", "OpenVinoMaps", "OpenVinoPartMaps", "TorchMaps"]

_MOST_SIZES = 2  # compiled sizes kept at a time: the memory of a network's maps stays with it
_MOST_STREAMS = 16
_PIXELS_AT_ONCE = 2 * 512 * 512  # of all images in work: Hybrid-AttUNet++ holds about 2 kB a pixel in float32
_GPU_PIXELS = 16 * 512 * 512


class MapRuntime(Protocol):
    """An engine that runs one network.

    Attributes:
        description: engine and precision, as "openvino float32".
        device: as "cpu" or "cuda:0".
    """

    description: str
    device: str

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, map, row, column) of images (n, row, column); n is at least 1."""


class OpenVinoMaps:
    """A deployed segmenter compiled for this CPU, once for each size of image.

    One image a request, and as many requests as there are cores: a slice's maps do not depend on its neighbours.

    Attributes:
        description: as "openvino float32".
        device: "cpu".
    """

    def __init__(self, model: Model, *, precision: str, threads: int | None = None) -> None:
        """Keep the model; it is compiled when images come.

        Args:
            model: of ``convert_module`` on a ``DeployedSegmenter``; it is reshaped.
            precision: "float32", or "bfloat16" where the CPU computes in it.
            threads: cores to use; all that this process may use by default.
        """
        self._model = model
        self._precision = precision
        self._cores = threads or usable_cores()
        self._queues: dict[tuple[int, int], AsyncInferQueue] = {}
        self._outputs = int(model.output(0).shape[1])
        self.description = f"openvino {precision}"
        self.device = "cpu"

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, map, row, column) of images (n, row, column).

        Raises:
            BackendError: the CPU does not compute in that precision, or OpenVINO cannot compile for it.
        """
        queue = self._queue(images.shape[1], images.shape[2])
        answers = np.empty((len(images), self._outputs, *images.shape[1:]), dtype=np.float32)

        def keep(request: InferRequest, index: int) -> None:
            answers[index] = request.get_output_tensor(0).data[0]

        queue.set_callback(keep)
        for index, image in enumerate(np.ascontiguousarray(images)):
            queue.start_async({0: image[None, None]}, index)
        queue.wait_all()
        return answers

    def _queue(self, rows: int, columns: int) -> AsyncInferQueue:
        if (rows, columns) not in self._queues:
            while len(self._queues) >= _MOST_SIZES:
                del self._queues[next(iter(self._queues))]
            _reshape(self._model, [[1, 1, rows, columns]])
            streams = _streams(self._cores, rows, columns)
            compiled = compile_for_cpu(self._model, precision=self._precision, streams=streams, cores=self._cores)
            self._queues[rows, columns] = import_openvino().AsyncInferQueue(compiled, streams)
        return self._queues[rows, columns]


class OpenVinoPartMaps:
    """A segmenter in three parts, of which the middle one is computed in bfloat16.

    Attributes:
        description: "openvino bfloat16".
        device: "cpu".
    """

    def __init__(self, parts: Sequence[Model], *, threads: int | None = None) -> None:
        """Keep the parts; they are compiled when images come.

        Args:
            parts: of ``convert_module`` on ``FirstBlock``, ``MiddleNodes`` and ``LastNodes``, for one size of image.
            threads: cores to use; all that this process may use by default.
        """
        self._parts = tuple(parts)
        self._example = tuple(int(length) for length in self._parts[0].input(0).shape)[1:3]
        self._shapes = [[tuple(int(length) for length in port.shape) for port in part.inputs] for part in self._parts]
        self._outputs = int(self._parts[-1].output(0).shape[1])
        self._cores = threads or usable_cores()
        self._lanes: dict[tuple[int, int], list[tuple[InferRequest, ...]]] = {}
        self.description = "openvino bfloat16"
        self.device = "cpu"

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, map, row, column) of images (n, row, column).

        Raises:
            BackendError: the CPU does not compute in bfloat16, or OpenVINO cannot compile for it.
        """
        lanes = self._lanes_of(images.shape[1], images.shape[2])
        answers = np.empty((len(images), self._outputs, *images.shape[1:]), dtype=np.float32)

        waiting: SimpleQueue[int | None] = SimpleQueue()
        for index in range(len(images)):
            waiting.put(index)
        for _ in lanes:
            waiting.put(None)

        def work(lane: tuple[InferRequest, ...]) -> None:
            first, *others = lane
            while (index := waiting.get()) is not None:  # a lane on a busy core takes fewer
                first.infer({0: np.ascontiguousarray(images[index])[None, ..., None]})
                for request in others:  # what they take is where those before have put it
                    request.infer()
                answers[index] = others[-1].get_output_tensor(0).data[0]

        with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
            list(pool.map(work, lanes))
        return answers

    def _lanes_of(self, rows: int, columns: int) -> list[tuple[InferRequest, ...]]:
        """Requests of the three parts, tied to one another, as often as images are worked on at a time."""
        if (rows, columns) in self._lanes:
            return self._lanes[rows, columns]
        while len(self._lanes) >= _MOST_SIZES:
            del self._lanes[next(iter(self._lanes))]
        high, wide = self._example
        streams = _streams(self._cores, rows, columns)
        compiled = []
        for part, shapes, precision in zip(self._parts, self._shapes, ("float32", "bfloat16", "float32"), strict=True):
            sizes = [[one, r * rows // high, c * columns // wide, maps] for one, r, c, maps in shapes]
            _reshape(part, sizes)
            compiled.append(
                compile_for_cpu(part, precision=precision, streams=streams, cores=self._cores, is_pinned=False)
            )
        self._lanes[rows, columns] = [_lane(compiled) for _ in range(streams)]
        return self._lanes[rows, columns]


def _reshape(model: Model, shapes: Sequence[Sequence[int]]) -> None:
    """Give a model's inputs their shapes; WeightsError when it is another model than its name says."""
    try:
        model.reshape(dict(enumerate(shapes)))
    except RuntimeError as error:
        raise WeightsError(f"the converted network does not take images of {list(shapes)}: {error}") from error


def _lane(compiled: Sequence[CompiledModel]) -> tuple[InferRequest, ...]:
    """A request of each part, the outputs of one being the inputs of the next."""
    first, middle, last = (model.create_infer_request() for model in compiled)
    middle.set_input_tensor(0, first.get_output_tensor(0))
    given = [middle.get_output_tensor(index) for index in range(len(compiled[1].outputs))]
    if len(compiled[2].inputs) > len(given):  # without inner nodes the last part takes the first map, too
        given.insert(0, first.get_output_tensor(0))
    for index, tensor in enumerate(given):
        last.set_input_tensor(index, tensor)
    return first, middle, last


class TorchMaps:
    """A deployed segmenter run by torch: the reference, the fallback, and the way to a GPU.

    Attributes:
        description: as "torch float32".
        device: as "cpu" or "cuda:0".
    """

    def __init__(self, network: nn.Module, *, precision: str = "float32", device: str = "cpu") -> None:
        """Move the network to its device.

        Args:
            network: a ``DeployedSegmenter``.
            precision: "float32", or "bfloat16" through autocast.
            device: "cpu" or "cuda:N"; the GPU must be there.
        """
        self._network = network.eval().to(device)
        self._reduced = precision == "bfloat16"
        self.description = f"torch {precision}"
        self.device = device

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, map, row, column) of images (n, row, column)."""
        # on a CPU one image at a time is the quickest (bench.segmenter)
        step = 1 if self.device == "cpu" else max(1, _GPU_PIXELS // (images.shape[1] * images.shape[2]))
        return np.concatenate([self._run(images[start : start + step]) for start in range(0, len(images), step)])

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        kind = torch.device(self.device).type
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if kind == "cuda":  # TF32 and searched algorithms would make the answer depend on the GPU's mood
                stack.enter_context(
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            if self._reduced:
                stack.enter_context(torch.autocast(kind, dtype=torch.bfloat16))
            found = self._network(torch.from_numpy(np.ascontiguousarray(images))[:, None].to(self.device))
            answer: NDArray[np.float32] = found.float().cpu().numpy()
        return answer


def _streams(cores: int, rows: int, columns: int) -> int:
    """How many images of a size are worked on at a time."""
    return min(cores, _MOST_STREAMS, max(1, _PIXELS_AT_ONCE // (rows * columns)))
