"""Where in an image a classifier looked: class activation maps, and Grad-CAM where a network has none.

A map is as coarse as the network's last feature map, and it shows what the network used, not where a tumour is: it is
no segmentation.
"""

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
    from torch import Tensor, nn

    from osteon.weights import ModelCard

__all__ = ["activation_maps", "grad_cam", "torch_heat_maps"]

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
    """Heat maps of one class from its activation (n, member, r, c) at every place of the last feature map.

    Activations are cut off below 0, enlarged bilinearly to the image's rows and columns, and divided by their largest
    value: what Grad-CAM gives for a linear head behind a mean over places, whose gradient is the same everywhere.

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

    networks = load_networks(card)
    try:
        last_feature_map_module(networks[0])
    except InputError:
        return None, (_NO_MAP,)
    maps = [grad_cam(network, images, target=target, channels=card.image.channels) for network in networks]
    return np.asarray(np.mean(maps, axis=0, dtype=np.float64), dtype=np.float32), ()


def grad_cam(
    network: nn.Module, crops: NDArray[np.float32], *, target: int, layer: nn.Module | None = None, channels: int = 1
) -> NDArray[np.float32]:
    """Heat maps of one network.

    The feature map is weighted by the mean gradient of the target's logit over each channel, summed over channels,
    cut off below 0, enlarged bilinearly to the crop, and divided by its largest value.

    Args:
        network: in evaluation mode; its weights and their gradients are left as they are.
        crops: (n, row, column).
        target: class whose logit is explained.
        layer: module whose output is looked at; the last feature map of a registry network by default.
        channels: of the network's input; the crop is given to each.

    Returns:
        (n, row, column) float32, 0 to 1; all 0 where nothing raised the logit.

    Raises:
        InputError: crops are not a stack of images, or the layer gave no feature map.

    References:
        Selvaraju et al.: Grad-CAM. ICCV 2017, doi:10.1109/ICCV.2017.74.
    """
    import torch

    from osteon.nets.anatomy import last_feature_map_module

    if crops.ndim != 3:
        raise InputError(f"heat maps need crops of shape (n, row, column); found {crops.shape}")
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        del module, inputs
        seen.append(output)
        return output.clone()  # what follows may work in place, and this is looked at afterwards

    hook = (layer or last_feature_map_module(network)).register_forward_hook(keep)
    maps = []
    try:
        for crop in crops:  # one at a time: memory, and a map never depends on its neighbours
            seen.clear()
            with torch.enable_grad():
                image = torch.from_numpy(np.ascontiguousarray(crop, dtype=np.float32))[None, None]
                # the input asks for a gradient, so a feature map has one even in a network whose weights are frozen
                logits = network(image.expand(-1, channels, -1, -1).clone().requires_grad_())
                if not seen or seen[-1].ndim != 4:
                    raise InputError(f"{type(network).__name__}: the layer that was looked at gives no feature map")
                (gradient,) = torch.autograd.grad(logits[0, target], seen[-1])
            maps.append(_map(seen[-1].detach(), gradient, crop.shape))
    finally:
        hook.remove()
    return np.stack(maps) if maps else np.empty_like(crops, dtype=np.float32)


def _map(features: Tensor, gradient: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    import torch

    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * features).sum(dim=1, keepdim=True).clamp(min=0)
    fine = torch.nn.functional.interpolate(coarse, size=shape, mode="bilinear", align_corners=False)[0, 0]
    highest = float(fine.max())
    scaled = fine / highest if highest > 0 else torch.zeros_like(fine)
    return np.asarray(scaled.clamp(0, 1).numpy(), dtype=np.float32)
