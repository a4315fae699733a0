"""Where the parts of a network lie: its layers from input to output, its pooled feature, its head.

Works for every network of the registry. What freezes layers, keeps embeddings or looks at feature maps asks here and
knows no architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.segmenter import Segmenter, SegmenterPair
from osteon.nets.tile_classifier import TileClassifier, TileHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["feature_stages", "last_feature_map_module", "middle_map_modules", "pooled_features", "split_head"]


_OF_MAPS = (nn.Conv2d, nn.BatchNorm2d)
"""A part that gives a feature map holds one of them; pooling and dropout behind it do not."""
_MIDDLE = (4, 16)
"""So many times smaller than the image, at least and at most, is a map in the middle of a network."""
_PROBE_SIDE = 224


class _Classifier(Protocol):
    """What timm's classifiers and ours have in common."""

    num_features: int

    def forward_features(self, x: Tensor, /) -> Tensor: ...

    def forward_head(self, x: Tensor, /, pre_logits: bool = False) -> Tensor: ...  # noqa: FBT001, FBT002 - timm's

    def get_classifier(self) -> nn.Module: ...


class _OwnParameters(nn.Module):
    """Parameters that a network has beside its blocks, as a part that can be trained or frozen; it shares them."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        for name, value in parameters.items():
            self.register_parameter(name, value)


class _PooledFeatures(nn.Module):
    """A network without its head: images in, pooled features out. It shares the network's weights.

    Attributes:
        network: the whole network.
    """

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network; nothing is copied."""
        super().__init__()
        _classifier(network)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to pooled features (n, d)."""
        return pooled_features(self.network, images)


def feature_stages(network: nn.Module) -> list[tuple[str, list[nn.Module]]]:
    """The layers of a network, from input to output, the head last: what gradual unfreezing counts.

    A layer is a child block of the backbone. A normalisation, activation or pooling beside the blocks belongs to the
    block before it: it makes no sense to train one without the other; so do the parameters that are of no block, as
    the class token and the places of a transformer, to the first. Every parameter of the network is in exactly one
    layer. A branch of a joined network is one layer.

    Returns:
        (name, modules) of each layer; the name is that of the block, as "denseblock3".

    Raises:
        InputError: the network is none of the registry's kind.

    References:
        specs/ct-osteosarcoma.md, section 4: G-LF unfreezes "one more layer from the end".

    Example:
        >>> from osteon.nets import build_network
        >>> [name for name, _ in feature_stages(build_network("resnet18"))]
        ['conv1', 'layer1', 'layer2', 'layer3', 'layer4', 'fc']
    """
    head = _head(network)
    stages: list[tuple[str, list[nn.Module]]] = []
    head_name = "classifier"
    for name, part in _children(network):
        if part is head:
            head_name = name
        elif stages and not _is_block(part):
            stages[-1][1].append(part)
        else:
            stages.append((name, [part]))
    own = dict(network.named_parameters(recurse=False))
    if own:
        stages[0][1].append(_OwnParameters(own))
    return [*stages, (head_name, [head])]


def pooled_features(network: nn.Module, images: Tensor) -> Tensor:
    """What the head of a network sees of images (n, channel, row, column), (n, d); gradients flow, the mode stays.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    known = _classifier(network)
    return known.forward_head(known.forward_features(images), pre_logits=True)


def split_head(network: nn.Module) -> tuple[_PooledFeatures, nn.Linear | TileHead]:
    """A network as two: ``head(body(images))`` equals ``network(images)``. Both share its weights.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    return _PooledFeatures(network), _head(network)


def last_feature_map_module(network: nn.Module) -> nn.Module:
    """The module whose output is the last feature map (n, d, row, column), after its activation: Grad-CAM hooks it.

    Its mean over places is the pooled feature, but in a network that has fully connected layers between the two and
    names the map itself (``feature_map``, as AlexNet does). A transformer has no such map: its head reads the class
    token, which no place of the last layer leads to. Nor has a joined network: its branches end in grids of their own.

    Raises:
        InputError: the network is none of the registry's kind, or has no such map.
    """
    named: str = getattr(network, "feature_map", "")
    if named:
        return network.get_submodule(named)
    _, parts = feature_stages(network)[-2]
    maps = [part for part in parts if any(isinstance(inner, _OF_MAPS) for inner in part.modules())]
    if not maps or "transformer" in dict(network.named_children()):
        raise InputError(
            f"{type(network).__name__} ends in no feature map that its head reads alone, so Grad-CAM has nothing to "
            "show: name a layer that gives one, as the last of its convolutional branch, or use a convolutional network"
        )
    return maps[-1]


def middle_map_modules(network: nn.Module, *, channels: int = 1) -> list[nn.Module]:
    """The modules behind the maps in the middle of a network, 4 to 16 times smaller than the image; the last of a size.

    Such maps show texture, noise and small shapes, not yet what the network was trained to tell apart. Of a segmenter
    they are those of its encoder, of a pair those of the network that sees the whole image.

    Args:
        network: of the registry, in evaluation mode; one that is not a segmenter is run once.
        channels: of its input.

    Returns:
        From input to output; empty for a network without such maps, as of one that ends in tokens.

    Raises:
        InputError: the network is none of the registry's kind.

    Example:
        >>> from osteon.nets import build_network
        >>> network = build_network("mobilenet_v2").eval()
        >>> names = {part: name for name, part in network.features.named_children()}
        >>> [names[part] for part in middle_map_modules(network)]
        ['stage2', 'stage3', 'stage5']
    """
    if isinstance(network, SegmenterPair):
        network = network.bone
    if isinstance(network, Segmenter):
        return [part for level, part in enumerate(network.levels) if _MIDDLE[0] <= 1 << level <= _MIDDLE[1]]
    known = _classifier(network)
    last: dict[int, nn.Module] = {}

    def note(part: nn.Module, _: object, out: object) -> None:
        if isinstance(out, torch.Tensor) and out.ndim == 4 and out.shape[2] == out.shape[3]:
            last[_PROBE_SIDE // out.shape[2]] = part

    parts = _children(network.base if isinstance(network, TileClassifier) else network)
    hooks = [part.register_forward_hook(note) for _, part in parts]
    try:
        with torch.inference_mode():
            known.forward_features(torch.zeros(1, channels, _PROBE_SIDE, _PROBE_SIDE))
    except (RuntimeError, AssertionError, InputError):  # of a network that takes images of one other size only
        return []
    finally:
        for hook in hooks:
            hook.remove()
    low, high = _MIDDLE
    return [part for times, part in last.items() if low <= times <= high]


def _children(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children; a DenseNet keeps its blocks one level down in ``features``, others in ``blocks``, by number."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in network.named_children():
        if name == "features":
            found += child.named_children()
        elif name == "blocks":
            found += [(f"block{number}", part) for number, part in enumerate(child.children(), start=1)]
        else:
            found.append((name, child))
    return found


def _is_block(part: nn.Module) -> bool:
    """Whether a part multiplies its input with weights of its own: all else belongs to the part before it."""
    return any(isinstance(inner, (nn.Conv2d, nn.Linear)) for inner in part.modules())


def _head(network: nn.Module) -> nn.Linear | TileHead:
    head = _classifier(network).get_classifier()
    if not isinstance(head, nn.Linear | TileHead):
        raise InputError(f"{type(network).__name__} has the head {type(head).__name__}; a linear one is needed")
    return head


def _classifier(network: nn.Module) -> _Classifier:
    wanted = ("forward_features", "forward_head", "get_classifier")
    missing = [name for name in wanted if not callable(getattr(network, name, None))]
    if missing:
        raise InputError(
            f"{type(network).__name__} has no {', '.join(missing)}: build the network with osteon.nets.build_network"
        )
    return cast("_Classifier", network)
