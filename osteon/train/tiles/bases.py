"""A tile classifier with the base it is to keep, and the pooled features that base gives for tiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.options import Progress, silent
from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.nets.tile_classifier import TILE_BASES, TileClassifier
from osteon.weights.backbone import pretrained_weights
from osteon.weights.hub import fetch_hub_file
from osteon.weights.load import load_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from osteon.train.tiles.settings import TileSettings

__all__ = ["base_words", "classifier_with_base", "tile_features"]

_BATCH = 8
_HEADS = ("classifier.", "fc.", "classif.", "head.fc.", "last_linear.")
_RANDOM_SEED = 20240500
"""Of a base that knows nothing: the same for all heads, which would otherwise have nothing in common."""


def classifier_with_base(settings: TileSettings, *, classes: int = 3) -> TileClassifier:
    """The network with its base filled, in evaluation mode; the head is random from torch's global generator.

    Raises:
        UnknownLabelError: no weights are shipped for the base.
        WeightsError: weights cannot be had, or do not fit.
        BackendError: torch or timm is not installed.
    """
    if settings.pretrained == "none":
        with torch.random.fork_rng():
            torch.manual_seed(_RANDOM_SEED)
            network = build_network(settings.architecture, classes=classes)
    else:
        network = build_network(settings.architecture, classes=classes)
    if not isinstance(network, TileClassifier):
        raise UnknownLabelError(f"{settings.architecture} is no classifier of tiles")
    if settings.pretrained != "none":
        _fill(network, _base_state(settings), name=f"{settings.pretrained} weights")
    return network.eval().requires_grad_(requires_grad=False)


def base_words(settings: TileSettings) -> str:
    """Where the base comes from, for tables and cards."""
    known = {
        "embedded": "ImageNet (shipped with osteon)",
        "hub": "ImageNet (timm's hub)",
        "none": "random, frozen: it knows nothing",
    }
    return known.get(settings.pretrained, f"the file {Path(settings.pretrained).name}")


def tile_features(
    network: TileClassifier, tiles: NDArray[np.uint8], *, progress: Progress = silent
) -> NDArray[np.float32]:
    """Pooled features of tiles, batch normalisation as it was trained.

    Args:
        network: of ``classifier_with_base``.
        tiles: (n, row, column, 3) uint8 RGB as the network is to see them.
        progress: told about tiles.

    Returns:
        (n, d) float32.
    """
    found = np.empty((len(tiles), network.num_features), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(tiles), _BATCH):
            block = torch.from_numpy(tiles[start : start + _BATCH].astype(np.float32) / np.float32(255))
            pooled = network.forward_head(network.forward_features(block.permute(0, 3, 1, 2)), pre_logits=True)
            found[start : start + _BATCH] = pooled.numpy()
            progress("features", min(start + _BATCH, len(tiles)), len(tiles))
    return found


def _base_state(settings: TileSettings) -> Mapping[str, Tensor]:
    base = settings.architecture.removesuffix("_tiles")
    if settings.pretrained == "embedded":
        return pretrained_weights(base).state
    if settings.pretrained == "hub":
        if not TILE_BASES[base]:
            return pretrained_weights(base).state  # the hub has other weights of this name; these are osteon's own
        return load_state(fetch_hub_file(base).data, base)
    file = Path(settings.pretrained)
    try:
        return load_state(file.read_bytes(), file.name)
    except OSError as error:
        raise WeightsError(
            f"weights for {settings.architecture} were asked for at {file}; they cannot be read "
            f"({type(error).__name__}): give a safetensors file, embedded, hub or none"
        ) from error


def _fill(network: TileClassifier, state: Mapping[str, Tensor], *, name: str) -> None:
    """Put weights into the base, strictly; those of its own head are left out."""
    own = network.base.state_dict()
    kept = {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    wrong = sorted(
        key
        for key in own.keys() | kept.keys()
        if key not in own or key not in kept or own[key].shape != kept[key].shape
    )
    if wrong:
        raise WeightsError(
            f"{name} do not fit the base {type(network.base).__name__}: {len(wrong)} tensors are missing, left over or "
            f"of another shape, the first is {wrong[0]}"
        )
    network.base.load_state_dict(kept, strict=True)
