"""Weights and states on disk: there whole or not at all, so that a full disk or a kill costs one epoch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from osteon.errors import WeightsError
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WholeCheckpointIO", "load_weights", "save_weights"]


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, each in the place of the one before only when it is written to its end."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401 - lightning's signature
        """Write a checkpoint.

        Raises:
            OutputError: the system refuses, as when the disk is full; an earlier checkpoint is untouched.
        """
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        _write(Path(path), buffer.getvalue())


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights and buffers of a network as safetensors, float32 as they are trained.

    Raises:
        OutputError: the system refuses; an earlier file is untouched.
    """
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    _write(path, save(state))


def load_weights(network: nn.Module, path: Path) -> None:
    """Read what ``save_weights`` wrote into a network of the same architecture.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"the weights {path.parent.name}/{path.name} cannot be used ({type(error).__name__}): they are missing, "
            "damaged or of another architecture; train the fold again"
        ) from error


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as work:
        work.write_bytes(data)
