"""Networks as they are run: pixels as a card describes them in, what all members give out, in one module.

Whatever becomes of pixels between the card's image and a network (channels, range) is part of the module, so that a
graph made of it needs nothing beside it. A module names its inputs (``takes``) and outputs (``gives``), in their order.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.anatomy import middle_map_modules, split_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from osteon.nets.tile_classifier import TileHead

__all__ = ["DeployedClassifier", "DeployedEmbedder", "moments", "noted"]

_PROBE_SIDES = (32, 64, 224)
_SAME = 1e-4
"""Of a pooled feature against the mean of the map, as a part of the largest: another order of adding."""


class _Pixels(nn.Module):
    """Images of a card to (n, channel, row, column) in the range that the network was trained on."""

    def __init__(self, *, channels: int, is_rgb: bool, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self._channels, self._is_rgb, self._scale, self._offset = channels, is_rgb, scale, offset

    def forward(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2) if self._is_rgb else image[:, None].expand(-1, self._channels, -1, -1)
        if image.dtype == torch.uint8 or (self._scale, self._offset) != (1.0, 0.0):
            return planes.to(torch.float32) * self._scale + self._offset
        return planes


class DeployedClassifier(nn.Module):
    """What members give for the same images, side by side.

    ``logits`` (n, member, class); ``layers`` (n, member, d), what the image looks like in the middle of the network:
    mean and standard deviation over places of every channel of its middle maps (``middle_map_modules``), or the pooled
    feature of a network without such maps; and, where the head is one linear layer behind a mean over places,
    ``activation`` (n, member, class, r, c): the head at every place of the last feature map, whose mean over places is
    the logit without its bias. Networks that are none of the registry's give logits alone.

    Members of a frozen base differ in their heads alone: a base that several have in common is run once.

    Attributes:
        takes: "image", and the names of further inputs, which the networks take as they are.
        gives: names of the outputs.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        channels: int = 1,
        is_rgb: bool = False,
        scale: float = 1.0,
        offset: float = 0.0,
        more_inputs: tuple[str, ...] = (),
    ) -> None:
        """Take over networks; they are put into evaluation mode.

        Args:
            networks: members, as ``osteon.nets.build_network`` makes them: (n, channel, row, column) to (n, class).
            channels: of their input.
            is_rgb: whether images are (n, row, column, 3), else (n, row, column).
            scale: pixels are multiplied by it before the networks see them.
            offset: and this is added.
            more_inputs: names of inputs beside the image.

        Raises:
            InputError: no network.
        """
        super().__init__()
        if not networks:
            raise InputError("images were to be classified by no network; at least one is needed")
        self.networks = nn.ModuleList(networks)
        self.eval()
        self.pixels = _Pixels(channels=channels, is_rgb=is_rgb, scale=scale, offset=offset)
        self.takes = ("image", *more_inputs)
        try:
            heads = [split_head(network)[1] for network in networks] if not more_inputs else []
        except InputError:
            heads = []
        tensors = [_without_head(network, head) for network, head in zip(networks, heads, strict=bool(heads))]
        self._base_of = [next(i for i, other in enumerate(tensors) if _are_equal(own, other)) for own in tensors]
        self._has_map = bool(heads) and all(_reads_mean_of_map(each, channels) for each in networks)
        names = ("logits", "layers", "activation")
        self.gives: tuple[str, ...] = names[: 1 + bool(heads) + self._has_map]
        self._middle = {
            base: middle_map_modules(self.networks[base], channels=channels) for base in set(self._base_of) if heads
        }

    def forward(self, image: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """What ``gives`` names."""
        images = self.pixels(image)
        if "layers" not in self.gives:
            return (torch.stack([network(images, *more) for network in self.networks], dim=1),)
        maps: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        logits, layers, activation = [], [], []
        for network, base in zip(self.networks, self._base_of, strict=True):
            if base not in maps:
                with noted(self._middle[base]) as seen:
                    last = network.forward_features(images)  # type: ignore[operator]  # of the registry
                pooled = network.forward_head(last, pre_logits=True)  # type: ignore[operator]
                look = torch.cat([moments(each) for each in seen], dim=1) if seen else pooled
                maps[base] = last, pooled, look
            last, pooled, look = maps[base]
            head = network.get_classifier()  # type: ignore[operator]
            logits.append(head(pooled))
            layers.append(look)
            if self._has_map:
                activation.append(nn.functional.conv2d(last, head.weight[:, :, None, None]))
        found = (logits, layers, activation)[: len(self.gives)]
        return tuple(torch.stack(rows, dim=1) for rows in found)


class DeployedEmbedder(nn.Module):
    """Images (n, row, column) to pooled features (n, d) of one network, whose head is not run.

    Attributes:
        takes: "image".
        gives: "embedding".
    """

    takes = ("image",)
    gives = ("embedding",)

    def __init__(self, network: nn.Module, *, channels: int = 1) -> None:
        """Take over a network of the registry with this many input channels; it is put into evaluation mode."""
        super().__init__()
        self.pixels = _Pixels(channels=channels, is_rgb=False)
        self.body = split_head(network)[0]
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Pooled features."""
        found: Tensor = self.body(self.pixels(image))
        return found


@contextmanager
def noted(parts: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """What parts of a network give while it is run."""
    seen: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda _, __, out: seen.append(out)) for part in parts]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def moments(seen: Tensor) -> Tensor:
    """Mean and standard deviation over places of each channel, (n, 2 d)."""
    mean = seen.mean(dim=(2, 3), keepdim=True)
    spread = (seen - mean).square().mean(dim=(2, 3)).sqrt()
    return torch.cat([mean[:, :, 0, 0], spread], dim=1)


def _reads_mean_of_map(network: nn.Module, channels: int) -> bool:
    """Whether the head of a network is linear and sees the mean over places of the last feature map; tried out."""
    if not isinstance(split_head(network)[1], nn.Linear):
        return False
    generator = torch.Generator().manual_seed(0)
    for side in _PROBE_SIDES:
        images = torch.rand(1, channels, side, side, generator=generator)
        try:
            with torch.inference_mode():
                seen = network.forward_features(images)  # type: ignore[operator]  # of the registry
                pooled = network.forward_head(seen, pre_logits=True)  # type: ignore[operator]
        except (RuntimeError, AssertionError, InputError):
            continue  # the image is too small for this network, or not its size
        if seen.ndim != 4 or seen.shape[:2] != pooled.shape:
            return False
        return bool(((seen.mean(dim=(2, 3)) - pooled).abs().max() <= _SAME * pooled.abs().max()).item())
    return False


def _without_head(network: nn.Module, head: nn.Linear | TileHead) -> dict[str, Tensor]:
    """What decides the features of a network."""
    of_head = {id(value) for value in head.parameters()}
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value for name, value in named.items() if id(value) not in of_head}


def _are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    if one.keys() != other.keys():
        return False
    return all(value is other[name] or torch.equal(value, other[name]) for name, value in one.items())
