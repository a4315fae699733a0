"""Where the parts of a network lie: its layers from input to output, its pooled feature, its head.

Works for every network of the registry. What freezes layers, keeps embeddings or looks at feature maps asks here and
knows no architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PooledFeatures",
    "feature_dimensions",
    "feature_stages",
    "last_feature_map_module",
    "pooled_features",
    "split_head",
]


class _Classifier(Protocol):
    """What timm's classifiers and ours have in common."""

    num_features: int

    def forward_features(self, x: Tensor, /) -> Tensor: ...

    def forward_head(self, x: Tensor, /, pre_logits: bool = False) -> Tensor: ...  # noqa: FBT001, FBT002 - timm's

    def get_classifier(self) -> nn.Module: ...


class PooledFeatures(nn.Module):
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
    block before it: it makes no sense to train one without the other. Every parameter of the network is in exactly
    one layer.

    Args:
        network: as ``build_network`` makes it.

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
    return [*stages, (head_name, [head])]


def pooled_features(network: nn.Module, images: Tensor) -> Tensor:
    """What the head of a network sees; gradients flow, and the mode (training, evaluation) is left as it is.

    Args:
        network: as ``build_network`` makes it.
        images: (n, channel, row, column).

    Returns:
        (n, d), d as ``feature_dimensions`` says.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    known = _classifier(network)
    return known.forward_head(known.forward_features(images), pre_logits=True)


def feature_dimensions(network: nn.Module) -> int:
    """Length of the pooled feature.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    return int(_head(network).in_features)


def split_head(network: nn.Module) -> tuple[PooledFeatures, nn.Linear]:
    """A network as two: ``head(body(images))`` equals ``network(images)``. Both share its weights.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    return PooledFeatures(network), _head(network)


def last_feature_map_module(network: nn.Module) -> nn.Module:
    """The module whose output is the last feature map (n, d, row, column), after its activation: Grad-CAM hooks it.

    Raises:
        InputError: the network is none of the registry's kind.
    """
    features = dict(network.named_children()).get("features")
    _, blocks = feature_stages(network)[-2]
    return blocks[0] if features is None else features  # a DenseNet's last block is followed by its last norm


def _children(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children; DenseNet and MobileNetV2 keep their blocks one level down, in ``features``."""
    return [
        pair
        for name, child in network.named_children()
        for pair in (child.named_children() if name == "features" else [(name, child)])
    ]


def _is_block(part: nn.Module) -> bool:
    """Whether a part holds a convolution: all else belongs to the part before it."""
    return any(isinstance(inner, nn.Conv2d) for inner in part.modules())


def _head(network: nn.Module) -> nn.Linear:
    head = _classifier(network).get_classifier()
    if not isinstance(head, nn.Linear):
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
