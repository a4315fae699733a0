"""Networks run by torch itself: the reference, the fallback, and the way to a GPU."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import BackendError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["TorchRuntime", "require_cuda"]

_CPU_BATCH = 4  # the quickest for DenseNet121 on 256x256 crops; larger batches leave the cache
_GPU_BATCH = 32


class TorchRuntime:
    """A torch network in evaluation mode.

    Attributes:
        description: as "torch float32".
        device: as "cpu" or "cuda:0".
    """

    def __init__(self, network: nn.Module, *, channels: int, precision: str = "float32", device: str = "cpu") -> None:
        """Move the network to its device.

        Args:
            network: takes (n, channels, row, column), gives (n, class).
            channels: of its input.
            precision: "float32", or "bfloat16" through autocast.
            device: "cpu" or "cuda:N"; the GPU must be there.
        """
        from osteon.predict.scored_network import with_features

        self._network = with_features(network.eval().to(device)).eval()
        self._channels = channels
        self._reduced = precision == "bfloat16"
        self._batch = _CPU_BATCH if device == "cpu" else _GPU_BATCH
        self.description = f"torch {precision}"
        self.device = device

    def scores(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits (n, class) of crops (n, row, column), and pooled features (n, d) where the network gives them."""
        batches = [self._run(crops[start : start + self._batch]) for start in range(0, len(crops), self._batch)]
        logits, *features = (np.concatenate(rows) for rows in zip(*batches, strict=True))
        return logits, features[0] if features else None

    def logits(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, class) of crops (n, row, column)."""
        return self.scores(crops)[0]

    def _run(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        import torch

        images: Tensor = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
        images = images[:, None].expand(-1, self._channels, -1, -1)
        kind = torch.device(self.device).type
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if kind == "cuda":  # TF32 and searched algorithms would make the answer depend on the GPU's mood
                stack.enter_context(
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            if self._reduced:
                stack.enter_context(torch.autocast(kind, dtype=torch.bfloat16))
            found = self._network(images)
            outputs = found if isinstance(found, tuple) else (found,)
            return tuple(rows.float().cpu().numpy() for rows in outputs)


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
