"""Engines that classify tiles while more of them are read: blocks of tiles in, their numbers out, in order."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from osteon.errors import BackendError
from osteon.predict.runtime_openvino import compile_for_cpu, import_openvino, usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from openvino import InferRequest, Model

    from osteon.predict.tile_module import TileModule

__all__ = ["OpenVinoTiles", "TileRuntime", "TorchTiles"]

_MOST_STREAMS = 16
_CPU_BATCH = 8  # of torch on the CPU
_GPU_BATCH = 64
_PATIENCE_SECONDS = 30.0  # for the tiles of one block

Numbers = tuple["NDArray[np.float32]", ...]
"""Logits (n, members * classes) and pooled features (n, members * d)."""


class TileRuntime(Protocol):
    """An engine that runs one ``TileModule``.

    Attributes:
        description: engine and precision, as "openvino float32".
        device: as "cpu" or "cuda:0".
    """

    description: str
    device: str

    def run(self, blocks: Iterable[NDArray[np.uint8]]) -> Iterator[Numbers]:
        """What the module gives for each block (n, row, column, 3) uint8, in order; a block may have no tile."""


class OpenVinoTiles:
    """Tile networks compiled for this CPU.

    One tile a request and as many requests as cores: a tile's numbers do not depend on its neighbours. The engine goes
    on with one block while the next one is asked for, so reading and inference overlap; it holds two blocks at most.

    Attributes:
        description: as "openvino float32".
        device: "cpu".
    """

    def __init__(self, model: Model, *, precision: str, threads: int | None = None) -> None:
        """Compile for this CPU.

        Args:
            model: of ``convert_module`` on a ``TileModule`` and one tile.
            precision: "float32", or "bfloat16" where the CPU computes in it.
            threads: cores to use; all that this process may use by default.

        Raises:
            BackendError: the CPU does not compute in that precision, or OpenVINO cannot compile for it.
        """
        cores = threads or usable_cores()
        streams = min(cores, _MOST_STREAMS)
        compiled = compile_for_cpu(model, precision=precision, streams=streams, cores=cores, is_pinned=False)
        self._queue = import_openvino().AsyncInferQueue(compiled, streams)
        self._queue.set_callback(_keep)
        self._lengths = tuple(int(output.shape[1]) for output in compiled.outputs)
        self.description = f"openvino {precision}"
        self.device = "cpu"

    def run(self, blocks: Iterable[NDArray[np.uint8]]) -> Iterator[Numbers]:
        """What the module gives for each block, in order."""
        begun: deque[_Block] = deque()
        try:
            for tiles in blocks:
                block = _Block(len(tiles), self._lengths)
                for index, tile in enumerate(np.ascontiguousarray(tiles)):
                    self._queue.start_async({0: tile[None]}, (block, index))
                begun.append(block)
                while begun and (len(begun) > 1 or begun[0].done.is_set()):
                    yield self._finished(begun.popleft())
            while begun:
                yield self._finished(begun.popleft())
        finally:
            self._queue.wait_all()  # nobody writes into the arrays of a caller who went away

    def _finished(self, block: _Block) -> Numbers:
        """Its numbers, when the last one has come."""
        if not block.done.wait(_PATIENCE_SECONDS):
            self._queue.wait_all()  # raises what went wrong inside a request, if it did
        if not block.done.wait(_PATIENCE_SECONDS):
            raise BackendError("OpenVINO left a tile without an answer: try --device cuda, or report this machine")
        return block.arrays


class _Block:
    """Where the numbers of one block arrive.

    Attributes:
        arrays: one an output, (n, length).
        done: set when all have come.
    """

    def __init__(self, count: int, lengths: tuple[int, ...]) -> None:
        self.arrays = tuple(np.empty((count, length), dtype=np.float32) for length in lengths)
        self.done = threading.Event()
        self._left = count
        self._lock = threading.Lock()
        if not count:
            self.done.set()

    def put(self, index: int, request: InferRequest) -> None:
        for output, rows in enumerate(self.arrays):
            rows[index] = request.get_output_tensor(output).data[0]
        with self._lock:
            self._left -= 1
            if not self._left:
                self.done.set()


def _keep(request: InferRequest, place: tuple[_Block, int]) -> None:
    block, index = place
    block.put(index, request)


class TorchTiles:
    """Tile networks run by torch: the reference, the fallback, and the way to a GPU.

    Attributes:
        description: as "torch float32".
        device: as "cpu" or "cuda:0".
    """

    def __init__(self, module: TileModule, *, precision: str = "float32", device: str = "cpu") -> None:
        """Move the module to its device.

        Args:
            module: in evaluation mode.
            precision: "float32", or "bfloat16" through autocast.
            device: "cpu" or "cuda:N"; the GPU must be there.
        """
        self._module = module.to(device)
        self._reduced = precision == "bfloat16"
        self._batch = _CPU_BATCH if device == "cpu" else _GPU_BATCH
        self._widths: tuple[int, ...] = ()
        self.description = f"torch {precision}"
        self.device = device

    def run(self, blocks: Iterable[NDArray[np.uint8]]) -> Iterator[Numbers]:
        """What the module gives for each block, in order."""
        for tiles in blocks:
            if not len(tiles):
                yield self._empty(tiles.shape[1:])
                continue
            batches = [self._ask(tiles[start : start + self._batch]) for start in range(0, len(tiles), self._batch)]
            yield tuple(np.concatenate(rows) for rows in zip(*batches, strict=True))

    def _empty(self, shape: tuple[int, ...]) -> Numbers:
        if not self._widths:
            self._widths = tuple(rows.shape[1] for rows in self._ask(np.zeros((1, *shape), dtype=np.uint8)))
        return tuple(np.empty((0, width), dtype=np.float32) for width in self._widths)

    def _ask(self, tiles: NDArray[np.uint8]) -> Numbers:
        import torch

        given = torch.from_numpy(np.ascontiguousarray(tiles)).to(self.device)
        kind = torch.device(self.device).type
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if kind == "cuda":  # TF32 and searched algorithms would make the answer depend on the GPU's mood
                stack.enter_context(
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            if self._reduced:
                stack.enter_context(torch.autocast(kind, dtype=torch.bfloat16))
            try:
                return tuple(rows.float().cpu().numpy() for rows in self._module(given))
            except torch.OutOfMemoryError as error:
                raise BackendError(
                    f"{self.device} has too little memory for {len(tiles)} tiles: use --device cpu"
                ) from error
