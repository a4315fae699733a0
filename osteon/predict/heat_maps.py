"""Where in an image a classifier looked: class activation maps, and Grad-CAM where a network has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from osteon._optional import has_package
from osteon.data import Notice
from osteon.errors import InputError
from osteon.weights import load_networks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.weights import ModelCard

__all__ = ["activation_maps", "torch_heat_maps"]

_NO_TORCH = Notice(
    "no-heat-maps",
    "Heat maps of where the model looked were not made: they need torch, which is not installed.",
    level="info",
)
_NO_MAP = Notice(
    "no-heat-maps",
    "Heat maps of where the model looked were not made: its network ends in no feature map, as a transformer.",
    level="info",
)


def activation_maps(activation: NDArray[np.float32], *, size: tuple[int, int]) -> NDArray[np.float32]:
    """Heat maps of one class from its activation at every place of the last feature map.

    Activations are cut off below 0, enlarged bilinearly to the image, and divided by their largest value: what Grad-CAM
    gives for a linear head behind a mean over places, whose gradient is the same everywhere.

    Args:
        activation: (n, member, r, c).
        size: rows and columns of the image.

    Returns:
        (n, row, column) float32, 0 to 1, the mean over members; all 0 where nothing raised the logit.
    """
    coarse = np.maximum(activation, 0)
    fine = np.empty((*activation.shape[:2], *size), dtype=np.float32)
    for image, own in enumerate(coarse):
        for member, one in enumerate(own):
            enlarged = cv2.resize(one, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
            highest = float(enlarged.max())
            fine[image, member] = enlarged / highest if highest > 0 else 0.0
    return np.asarray(fine.clip(0, 1).mean(axis=1, dtype=np.float64), dtype=np.float32)


def torch_heat_maps(
    card: ModelCard | None, images: NDArray[np.float32], *, target: int
) -> tuple[NDArray[np.float32] | None, tuple[Notice, ...]]:
    """Grad-CAM of the networks of a card, the mean over members.

    Returns:
        (n, row, column); or None, and a notice that says why, where torch is missing or a network ends in no feature
        map; without a card neither.

    Raises:
        WeightsError: see ``osteon.weights.load_network``.
    """
    if card is None:
        return None, ()
    if not has_package("torch"):
        return None, (_NO_TORCH,)
    from osteon.nets.anatomy import last_feature_map_module
    from osteon.predict.grad_cam import mean_grad_cam

    networks = load_networks(card)
    try:
        last_feature_map_module(networks[0])
    except InputError:
        return None, (_NO_MAP,)
    return mean_grad_cam(networks, images, target=target, channels=card.image.channels), ()
