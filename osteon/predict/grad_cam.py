"""Grad-CAM: which places of a crop raised the logit of a class, for any classifier of the registry.

A map is as coarse as the network's last feature map, and it shows what the network used, not where a tumour is: it is
no segmentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.anatomy import last_feature_map_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["grad_cam", "mean_grad_cam"]


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
        InputError: crops are no stack of images, or the layer gave no feature map.

    References:
        Selvaraju et al.: Grad-CAM. ICCV 2017, doi:10.1109/ICCV.2017.74.
    """
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


def mean_grad_cam(
    networks: Sequence[nn.Module], crops: NDArray[np.float32], *, target: int, channels: int = 1
) -> NDArray[np.float32]:
    """Mean over networks of their heat maps; arguments as ``grad_cam``.

    Raises:
        InputError: no network, or what ``grad_cam`` raises.
    """
    if not networks:
        raise InputError("a heat map was asked for of no network; at least one is needed")
    maps = [grad_cam(network, crops, target=target, channels=channels) for network in networks]
    return np.asarray(np.mean(maps, axis=0, dtype=np.float64), dtype=np.float32)


def _map(features: Tensor, gradient: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * features).sum(dim=1, keepdim=True).clamp(min=0)
    fine = torch.nn.functional.interpolate(coarse, size=shape, mode="bilinear", align_corners=False)[0, 0]
    highest = float(fine.max())
    scaled = fine / highest if highest > 0 else torch.zeros_like(fine)
    return np.asarray(scaled.clamp(0, 1).numpy(), dtype=np.float32)
