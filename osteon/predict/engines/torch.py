"""Networks run by torch itself: the reference, the fallback, and the way to a GPU."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from osteon.predict.engines import Arrays, Batch
    from osteon.weights.card import Precision

__all__ = ["TorchEngine", "require_cuda"]

_CPU_BATCH = 4  # the quickest for DenseNet121 on 256x256 crops; larger batches leave the cache
_GPU_BATCH = 64
_GPU_PIXELS = 16 * 512 * 512


class TorchEngine:
    """A deployed module in evaluation mode; see ``osteon.predict.engines.Engine``."""

    def __init__(self, module: nn.Module, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Move a module of ``osteon.weights.graph.modules_of``, in one piece, to its device; bfloat16 by autocast."""
        self._module = module.eval().to(device)
        self._takes: tuple[str, ...] = module.takes  # type: ignore[assignment]  # of every deployed module
        self._reduced = precision == "bfloat16"
        self.gives: tuple[str, ...] = module.gives  # type: ignore[assignment]
        self.description = f"torch {precision}"
        self.device = device

    def run(self, batches: Iterable[Batch]) -> Iterator[Arrays]:
        """What the networks give for each batch, in order.

        Raises:
            BackendError: the GPU has too little memory.
        """
        for batch in batches:
            count, shape = len(batch["image"]), batch["image"].shape
            pixels = int(np.prod(shape[-2:] if "maps" in self.gives else shape[1:3]))  # of maps slices may come first
            if not count:
                one = {name: np.zeros((1, *values.shape[1:]), values.dtype) for name, values in batch.items()}
                yield {name: values[:0] for name, values in self._ask(one).items()}
                continue
            step = min(_GPU_BATCH, max(1, _GPU_PIXELS // pixels))
            if self.device == "cpu":  # of maps one image at a time is the quickest (bench.segmenter)
                step = 1 if "maps" in self.gives else _CPU_BATCH
            parts = [
                self._ask({name: values[start : start + step] for name, values in batch.items()})
                for start in range(0, count, step)
            ]
            yield {name: np.concatenate([part[name] for part in parts]) for name in self.gives}

    def _ask(self, batch: Batch) -> Arrays:
        import torch

        given = [torch.from_numpy(batch[name].copy()).to(self.device) for name in self._takes]
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
                found = self._module(*given)
            except torch.OutOfMemoryError as error:
                raise BackendError(
                    f"{self.device} has too little memory for {len(given[0])} images: use --device cpu"
                ) from error
            outputs = found if isinstance(found, tuple) else (found,)
            return {
                name: np.asarray(rows.float().cpu().numpy(), dtype=np.float32)
                for name, rows in zip(self.gives, outputs, strict=True)
            }


def require_cuda(index: int) -> str:
    """The torch name of a GPU.

    Raises:
        BackendError: torch sees no such GPU.
    """
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= found:
        raise BackendError(
            f"device cuda:{index} was asked for; torch {torch.__version__} sees {found} GPU(s): use --device cpu, or "
            "install a CUDA build of torch and the GPU's driver"
        )
    return f"cuda:{index}"
