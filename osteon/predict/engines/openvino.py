"""Graphs compiled by OpenVINO: the quickest way on a CPU.

One image a request and as many requests as cores: measured on 256x256 crops with DenseNet121 (bench.ct_pipeline) that
is as quick as any larger batch, and it makes what an image gives independent of its neighbours by construction.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import BackendError, WeightsError
from osteon.weights.graph import import_openvino

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from openvino import CompiledModel, InferRequest, Model, Tensor

    from osteon.predict.engines import Arrays, Batch
    from osteon.weights.card import Precision
    from osteon.weights.graph import GraphPart

    Shapes = dict[str, tuple[int, ...]]
    Lane = tuple[InferRequest, ...]

__all__ = ["OpenVinoEngine", "compile_for_cpu", "usable_cores"]

_MOST_STREAMS = 16
_MOST_SIZES = 2  # compiled sizes kept at a time: the memory of a network's maps stays with it
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A graph compiled for this CPU, once for each size of image; see ``osteon.predict.engines.Engine``.

    Batches overlap: it goes on with one while the next one is asked for, so that whoever makes them is not waited for.
    """

    def __init__(
        self,
        chain: Sequence[GraphPart],
        *,
        precision: Precision,
        threads: int | None = None,
        pixels_at_once: int | None = None,
    ) -> None:
        """Keep the parts; they are compiled when images come.

        Args:
            chain: parts that follow one another; where it was made for float32, all are run in the precision.
            precision: that was asked for.
            threads: cores to use; all that this process may use by default.
            pixels_at_once: of all images in work, where the maps of a network are large; None for no bound.

        Raises:
            BackendError: the CPU does not compute in that precision.
        """
        if precision == "bfloat16":
            core = import_openvino().Core()
            if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                raise BackendError("bfloat16 was asked for; this CPU does not compute in it: use float32")
        is_whole = all(part.precision == "float32" for part in chain)
        self._models = tuple(part.model for part in chain)
        self._precisions = tuple(precision if is_whole else part.precision for part in chain)
        self._cores = threads or usable_cores()
        self._pixels_at_once = pixels_at_once
        self._lanes: dict[tuple[tuple[int, ...], ...], SimpleQueue[Lane]] = {}
        self._pool = ThreadPoolExecutor(max_workers=min(self._cores, _MOST_STREAMS), thread_name_prefix="osteon-lane")
        self.gives = tuple(port.get_any_name() for port in self._models[-1].outputs)
        self.description = f"openvino {precision}"
        self.device = "cpu"

    def run(self, batches: Iterable[Batch]) -> Iterator[Arrays]:
        """What the networks give for each batch, in order.

        Raises:
            BackendError: OpenVINO cannot compile for this CPU.
            WeightsError: the graph does not take images of that size.
        """
        begun: deque[tuple[list[Future[None]], Arrays]] = deque()
        try:
            for batch in batches:
                begun.append(self._begin(batch))
                while begun and (len(begun) > 1 or all(future.done() for future in begun[0][0])):
                    yield _finished(*begun.popleft())
            while begun:
                yield _finished(*begun.popleft())
        finally:
            wait(future for futures, _ in begun for future in futures if not future.cancel())  # of a caller who left

    def _begin(self, batch: Batch) -> tuple[list[Future[None]], Arrays]:
        """Give every image to a lane."""
        count = len(next(iter(batch.values())))
        shapes = {name: (1, *values.shape[1:]) for name, values in batch.items()}
        key = tuple(shapes.values())
        if not count:
            found = self._shapes(shapes)
            return [], {name: np.empty((0, *found[name][1:]), dtype=np.float32) for name in self.gives}
        if key not in self._lanes:
            while len(self._lanes) >= _MOST_SIZES:
                del self._lanes[next(iter(self._lanes))]
            self._lanes[key] = self._compiled(shapes)
        lanes = self._lanes[key]
        whole = {  # of one image a view that runs backwards counts as contiguous
            name: values if values.flags.c_contiguous and values.strides[0] > 0 else values.copy()
            for name, values in batch.items()
        }
        lane = lanes.get()
        answers = {
            name: np.empty((count, *lane[-1].get_output_tensor(place).shape[1:]), dtype=np.float32)
            for place, name in enumerate(self.gives)
        }
        lanes.put(lane)
        return [self._pool.submit(_work, lanes, whole, answers, index) for index in range(count)], answers

    def _shapes(self, given: Shapes) -> Shapes:
        """Shapes of all that goes into and out of the parts; the parts take these shapes."""
        shapes = dict(given)
        for model in self._models:
            wanted = {place: shapes[port.get_any_name()] for place, port in enumerate(model.inputs)}
            if any(
                tuple(model.input(place).get_partial_shape().to_shape()) != shape for place, shape in wanted.items()
            ):
                try:
                    model.reshape({place: list(shape) for place, shape in wanted.items()})
                except RuntimeError as error:
                    raise WeightsError(f"the graph does not take images of {list(given.values())}: {error}") from error
            shapes |= {port.get_any_name(): tuple(port.shape) for port in model.outputs}
        return shapes

    def _compiled(self, shapes: Shapes) -> SimpleQueue[Lane]:
        """Requests of the parts, tied to one another, as often as images are worked on at a time."""
        self._shapes(shapes)
        rows, columns = shapes["image"][-2:]  # of the grey images behind maps: of others nothing is bounded
        fitting = self._cores if self._pixels_at_once is None else max(1, self._pixels_at_once // (rows * columns))
        streams = min(self._cores, _MOST_STREAMS, fitting)
        compiled = [
            compile_for_cpu(model, precision=precision, streams=streams, cores=self._cores)
            for model, precision in zip(self._models, self._precisions, strict=True)
        ]
        lanes: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(streams):
            lanes.put(_lane(compiled))
        return lanes


def compile_for_cpu(model: Model, *, precision: Precision, streams: int, cores: int) -> CompiledModel:
    """A model of one fixed shape, compiled for this CPU; this many streams run at a time, on this many cores together.

    Threads are not tied to a core, for whoever makes the images needs them, too.

    Raises:
        BackendError: OpenVINO cannot compile it.
    """
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": cores,
        "ENABLE_CPU_PINNING": False,
    }
    try:
        return import_openvino().Core().compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot compile the network for this CPU: {error}") from error


def usable_cores() -> int:
    """CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _lane(compiled: Sequence[CompiledModel]) -> Lane:
    """A request of each part; what one gives is where the next ones look for it."""
    tensors: dict[str, Tensor] = {}
    requests = []
    for place, model in enumerate(compiled):
        request = model.create_infer_request()
        for port in model.inputs if place else ():
            request.set_tensor(port, tensors[port.get_any_name()])
        for port in model.outputs:
            tensors[port.get_any_name()] = request.get_tensor(port)
        requests.append(request)
    return tuple(requests)


def _work(lanes: SimpleQueue[Lane], batch: Batch, answers: Arrays, index: int) -> None:
    """One image through a free lane."""
    tensor = import_openvino().Tensor
    lane = lanes.get()
    try:
        for name, values in batch.items():
            lane[0].set_tensor(name, tensor(values[index : index + 1], shared_memory=True))
        for request in lane:
            request.start_async()
            request.wait()
        for place, rows in enumerate(answers.values()):
            rows[index] = lane[-1].get_output_tensor(place).data[0]
    finally:
        lanes.put(lane)


def _finished(futures: list[Future[None]], answers: Arrays) -> Arrays:
    for future in futures:
        future.result()  # raises what went wrong
    return answers
