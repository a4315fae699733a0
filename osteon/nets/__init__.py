"""Torch modules and their registry: the classifiers and segmenters osteon can build, by name; no files, no network.

The four networks of the CT osteosarcoma paper (../shared/specs/ct-osteosarcoma.md, section 6) come from timm with
one grey channel and two outputs, as the paper trains them: softmax cross entropy over healthy and tumour.
``densenet_small`` is a DenseNet of the same building blocks, small enough for a model that is shipped with the code.
``mobilenet_v2`` is the network of the ImageNet weights that are shipped with it, ``efficientnet_lite0`` to ``2`` are
those of the extra ``backbones`` (``osteon.weights.backbone``); the four are also encoders of segmenters and bases of
classifiers of tiles.

The other classifiers, and all segmenters, are those of the bone-metastasis thesis (../shared/specs/bone-metastasis.md,
sections 2.1, 2.3 to 2.5); what distinguishes the segmenters is in ``osteon.nets.segmenter_description``. Without
pretrained weights a DeiT is the ViT of its size: its paper changed how one is trained, not what it is.

torch and timm are imported when a network is built, not before: names can be listed without them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError, InputError, UnknownLabelError, nearest_names
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = [
    "ArchitectureInfo",
    "StageInfo",
    "build_network",
    "describe_network",
    "is_transformer",
    "least_image_size",
    "network_names",
]


_ALEXNET = "10.48550/arXiv.1404.5997"
_DEIT = "10.48550/arXiv.2012.12877"
_DENSENET = "10.1109/CVPR.2017.243"
_EFFICIENTNET = "10.48550/arXiv.1905.11946"
_GOOGLENET = "10.1109/CVPR.2015.7298594"
_INCEPTION = "10.1109/CVPR.2016.308"
_RESNET = "10.1109/CVPR.2016.90"
_RESNEXT = "10.1109/CVPR.2017.634"
_VIT = "10.48550/arXiv.2010.11929"
_MOBILENET = "10.1109/CVPR.2018.00474"
_UNET = "10.1007/978-3-319-24574-4_28"
_ATTENTION_UNET = "10.48550/arXiv.1804.03999"
_NESTED_UNET = "10.1007/978-3-030-00889-5_1"
_HYBRID_ATTENTION = "10.1016/j.eswa.2023.120376"
_SEGRESNET = "10.1007/978-3-030-11726-9_28"
_THESIS = "hal:tel-04420934"


@dataclass(frozen=True, slots=True)
class _Architecture:
    """How to build one network."""

    title: str  # what a person reads
    reference: str  # DOI of the paper that described it, or "hal:" and a number of HAL
    factory: str  # "module:callable" that takes ``in_chans`` and ``num_classes``
    options: Mapping[str, Any]  # further keyword arguments of the factory
    in_channels: int = 1  # of the images, where nothing else is asked for
    classes: int = 2  # of the output, where nothing else is asked for
    # "classification" gives (class,) for an image, "segmentation" gives (output, row, column), "tiles" gives (class,)
    # for a histology tile in colour
    task: Literal["classification", "segmentation", "tiles"] = "classification"
    least_size: int = 32  # fewest rows and columns of an image
    is_transformer: bool = False  # whether it is trained as one: the thesis has a schedule of its own for them


def _timm(model: str, title: str, reference: str, *, least_size: int = 32) -> _Architecture:
    """A classifier of timm by its name there."""
    options = {"model_name": model, "pretrained": False}
    return _Architecture(title, reference, "timm:create_model", options, least_size=least_size)


def _transformer(title: str, reference: str, *, width: int, heads: int) -> _Architecture:
    """A ViT, or a DeiT, which is one."""
    factory, options = "osteon.nets.vision_transformer:VisionTransformer", {"embed_dim": width, "num_heads": heads}
    return _Architecture(title, reference, factory, options, is_transformer=True)


def _segmenter(name: str, title: str, reference: str = _HYBRID_ATTENTION) -> _Architecture:
    """A network of ``SEGMENTERS`` or a pair of ``SEQUENCES``; three input channels, as the reference code has them."""
    return _Architecture(
        title,
        reference,
        "osteon.nets.segmenter:named_segmenter",
        {"segmenter": name},
        in_channels=3,
        classes=2 if name in SEQUENCES else len(SEGMENTERS[name].outputs),
        task="segmentation",
    )


def _lite(number: int) -> _Architecture:
    """EfficientNet-Lite0, 1 or 2."""
    title, factory = f"EfficientNet-Lite{number}", "osteon.nets.efficientnet_lite:EfficientNetLite"
    return _Architecture(title, _EFFICIENTNET, factory, {"variant": f"lite{number}"})


def _tiles(base: str, title: str, reference: str, *, least_size: int = 32) -> _Architecture:
    """A classifier of histology tiles on a base of ``osteon.nets.tile_classifier``."""
    return _Architecture(
        f"{title}, pooling, dense 100, dense 3, for histology tiles",
        reference,
        "osteon.nets.tile_classifier:TileClassifier",
        {"base": base},
        in_channels=3,
        classes=3,
        task="tiles",
        least_size=least_size,
    )


_ENCODERS = {"mobilenet_v2": "MobileNetV2", **{f"efficientnet_lite{n}": f"EfficientNet-Lite{n}" for n in range(3)}}
_ARCHITECTURES: dict[str, _Architecture] = {
    "alexnet_femur": _Architecture(
        "AlexNet as optimised for femoral tumours: normalised conv 1 and 2, dropout 0.6, L2 on conv 3 to 5",
        _ALEXNET,
        "osteon.nets.alexnet_femur:AlexNetFemur",
        {},
        least_size=63,
    ),
    "deit_small": _transformer("DeiT-Small, patches of 16", _DEIT, width=384, heads=6),
    "deit_tiny": _transformer("DeiT-Tiny, patches of 16", _DEIT, width=192, heads=3),
    "densenet121": _timm("densenet121", "DenseNet-121", _DENSENET),
    "densenet169": _timm("densenet169", "DenseNet-169", _DENSENET),
    "densenet201": _timm("densenet201", "DenseNet-201", _DENSENET),
    "densenet_small": _Architecture(
        "DenseNet with 51 layers, growth rate 16",
        _DENSENET,
        "timm.models.densenet:DenseNet",
        {"growth_rate": 16, "block_config": (3, 6, 8, 6)},
    ),
    "mobilenet_v2": _Architecture(
        "MobileNetV2 1.0, batch normalisation folded in", _MOBILENET, "osteon.nets.mobilenet_v2:MobileNetV2", {}
    ),
    **{f"efficientnet_lite{number}": _lite(number) for number in range(3)},
    "efficientnet_b0": _timm("efficientnet_b0", "EfficientNet-B0", _EFFICIENTNET),
    "googlenet": _Architecture(
        "GoogLeNet as torchvision has it, without auxiliary heads", _GOOGLENET, "osteon.nets.googlenet:GoogLeNet", {}
    ),
    "inception_v3": _timm("inception_v3", "Inception-v3, without its second head", _INCEPTION, least_size=75),
    "resnet18": _timm("resnet18", "ResNet-18", _RESNET),
    "resnet50": _timm("resnet50", "ResNet-50", _RESNET),
    "resnext50": _timm("resnext50_32x4d", "ResNeXt-50, 32 x 4d", _RESNEXT),
    "vit_small": _transformer("ViT-Small, patches of 16", _VIT, width=384, heads=6),
    "vit_tiny": _transformer("ViT-Tiny, patches of 16", _VIT, width=192, heads=3),
    # the thesis trains it as its single networks and does not say as which: as the convolutional ones, 3.3
    "vit_tiny_resnext50": _Architecture(
        "ViT-Tiny and ResNeXt-50, joined before the head", _THESIS, "osteon.nets.vision_transformer:VitResnext", {}
    ),
    "attunet": _segmenter("attunet", "Attention U-Net", _ATTENTION_UNET),
    "attunetpp": _segmenter("attunetpp", "AttUNet++, residual blocks"),
    "attunetpp_plain": _segmenter("attunetpp_plain", "AttUNet++, plain blocks"),
    "hybrid_attunetpp": _segmenter("hybrid_attunetpp", "Hybrid-AttUNet++, decoders for bone and lesion"),
    "segresnet": _segmenter("segresnet", "SegResNet of MONAI, a reference for studies", _SEGRESNET),
    "unet": _segmenter("unet", "U-Net", _UNET),
    "unet_small": _segmenter("unet_small", "U-Net with three eighths of the channels", _UNET),
    "unet_then_attunet": _segmenter("unet_then_attunet", "U-Net for bone, then Attention U-Net for lesions"),
    "unet_then_attunetpp": _segmenter("unet_then_attunetpp", "U-Net for bone, then AttUNet++ for lesions"),
    "unet_then_unetpp": _segmenter("unet_then_unetpp", "U-Net for bone, then UNet++ for lesions"),
    "unetpp": _segmenter("unetpp", "UNet++, residual blocks", _NESTED_UNET),
    "unetpp_plain": _segmenter("unetpp_plain", "UNet++, plain blocks", _NESTED_UNET),
    **{
        f"{base}_{kind}": _segmenter(f"{base}_{kind}", f"U-Net on {title}{decoders}", _UNET)
        for base, title in _ENCODERS.items()
        for kind, decoders in (
            ("unet", ""),
            ("dual_unet", ", decoders for bone and lesion"),
            ("unet16", " down to 1/16 of the size"),
        )
    },
    **{
        f"efficientnet_lite{number}_tiles": _tiles(
            f"efficientnet_lite{number}", f"EfficientNet-Lite{number}", _EFFICIENTNET
        )
        for number in range(3)
    },
    "inception_resnet_v2_tiles": _tiles(
        "inception_resnet_v2", "Inception-ResNet-v2", "10.48550/arXiv.1602.07261", least_size=75
    ),
    "mobilenet_v2_tiles": _tiles("mobilenet_v2", "MobileNetV2 1.0", _MOBILENET),
    "resnetv2_50_tiles": _tiles("resnetv2_50", "ResNetV2-50", "10.1007/978-3-319-46493-0_38"),
    "xception_tiles": _tiles("xception", "Xception", "10.1109/CVPR.2017.195"),
}
_ARCHITECTURES |= {
    name: replace(
        _ARCHITECTURES[name.removesuffix("_small")],
        title=f"{_ARCHITECTURES[name.removesuffix('_small')].title}, a quarter of the channels",
        options={"segmenter": name},
    )
    for name in SEGMENTERS
    if name.endswith("_small") and name not in _ARCHITECTURES
}

_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One part of a network, in the order data passes through it."""

    name: str  # of the submodule
    kind: str  # class of the submodule
    parameters: int  # trainable numbers in it
    output_shape: tuple[int, ...]  # for one image, without the batch axis


@dataclass(frozen=True, slots=True)
class ArchitectureInfo:
    """What a network looks like from outside."""

    name: str  # in the registry
    title: str  # what a person reads
    reference: str  # DOI of the paper that described it, or "hal:" and a number of HAL
    parameters: int  # trainable numbers
    input_shape: tuple[int, int, int]  # (channel, row, column) of one image
    output_shape: tuple[int, ...]  # (class,) of one image, or (output, row, column) of a segmenter; logits
    stages: tuple[StageInfo, ...]  # its parts, in order


def network_names(*, task: Literal["classification", "segmentation", "tiles"] = "classification") -> tuple[str, ...]:
    """Names that ``build_network`` knows for a task, sorted.

    Example:
        >>> network_names()[:4]
        ('alexnet_femur', 'deit_small', 'deit_tiny', 'densenet121')
        >>> network_names(task="segmentation")[:4]
        ('attunet', 'attunet_small', 'attunetpp', 'attunetpp_plain')
        >>> network_names(task="tiles")
        ('efficientnet_lite0_tiles', 'efficientnet_lite1_tiles', 'efficientnet_lite2_tiles',
         'inception_resnet_v2_tiles', 'mobilenet_v2_tiles', 'resnetv2_50_tiles', 'xception_tiles')
    """
    return tuple(sorted(name for name, known in _ARCHITECTURES.items() if known.task == task))


def least_image_size(name: str) -> int:
    """Fewest rows and columns of an image that a network takes.

    Raises:
        UnknownLabelError: no such network.

    Example:
        >>> least_image_size("vit_tiny"), least_image_size("inception_v3")
        (32, 75)
    """
    return _known(name).least_size


def is_transformer(name: str) -> bool:
    """Whether a network is trained as a transformer; the joined one of the thesis is not.

    Raises:
        UnknownLabelError: no such network.
    """
    return _known(name).is_transformer


def build_network(name: str, *, in_channels: int | None = None, classes: int | None = None) -> nn.Module:
    """A network with fresh random weights, in training mode.

    The weights come from torch's global generator: call ``torch.manual_seed`` first where they must be repeatable.

    Args:
        name: one of ``network_names()``, of any task.
        in_channels: of a classifier 1 (grey) or 3 (three equal copies, for weights trained on photographs), of a
            segmenter any number (neighbouring slices, for example); None is 1 for a classifier and 3 for a segmenter.
        classes: length of the output, logits; None is 2 for a classifier and the number of its maps for a segmenter,
            which cannot have another.

    Returns:
        A module that maps float32 (n, in_channels, row, column) to (n, classes), or a segmenter's to
        (n, classes, row, column).

    Raises:
        UnknownLabelError: no such network.
        InputError: channels or classes out of range.
        BackendError: torch or timm is not installed.
    """
    architecture = _known(name)
    in_channels = architecture.in_channels if in_channels is None else in_channels
    classes = architecture.classes if classes is None else classes
    if in_channels < 1 or (architecture.task != "segmentation" and in_channels not in _CHANNELS):
        allowed = "at least 1" if architecture.task == "segmentation" else "1 or 3"
        raise InputError(f"{name} was asked for {in_channels} input channels; it can be built with {allowed}")
    if classes < 1:
        raise InputError(f"{name} was asked for {classes} classes; at least 1 is needed")
    _import_torchvision_repair()
    module, _, attribute = architecture.factory.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    network: nn.Module = factory(in_chans=in_channels, num_classes=classes, **architecture.options)
    return network


def describe_network(
    name: str, *, in_channels: int | None = None, classes: int | None = None, size: int = 256
) -> ArchitectureInfo:
    """Parameters and shapes of a network, found by running it on shapes alone (torch's meta device).

    Args:
        name: one of ``network_names()``, of any task.
        in_channels: as in ``build_network``.
        classes: length of the output; None as in ``build_network``.
        size: rows and columns of the input, at least ``least_image_size``; for a segmenter a multiple of 16, of
            32 with an encoder of ``nets.encoder``.

    Raises:
        UnknownLabelError: no such network.
        InputError: channels, classes or size out of range.
        BackendError: torch or timm is not installed.
    """
    least = least_image_size(name)
    if size < least:
        raise InputError(f"{name} was asked for images of {size} pixels; it halves them five times: at least {least}")
    _import_torchvision_repair()
    import torch

    with torch.device("meta"):
        network = build_network(name, in_channels=in_channels, classes=classes).eval()
        channels = _ARCHITECTURES[name].in_channels if in_channels is None else in_channels
        image = torch.zeros(1, channels, size, size)
    stages, output_shape = _trace_stages(network, image)
    return ArchitectureInfo(
        name=name,
        title=_ARCHITECTURES[name].title,
        reference=_ARCHITECTURES[name].reference,
        parameters=_count_parameters(network),
        input_shape=(channels, size, size),
        output_shape=output_shape,
        stages=stages,
    )


def _known(name: str) -> _Architecture:
    if name not in _ARCHITECTURES:
        raise UnknownLabelError(f"no network {name!r}: {nearest_names(name, _ARCHITECTURES)}")
    return _ARCHITECTURES[name]


def _trace_stages(network: nn.Module, image: Tensor) -> tuple[tuple[StageInfo, ...], tuple[int, ...]]:
    """Run once and note what leaves each part; a node of a pyramid gives its map first."""
    import torch

    children = _parts(network)
    stages: list[StageInfo] = []

    def note(name: str, part: nn.Module, output: Tensor | tuple[Tensor, ...]) -> None:
        left = output[0] if isinstance(output, tuple) else output
        stages.append(StageInfo(name, type(part).__name__, _count_parameters(part), tuple(left.shape[1:])))

    hooks = [
        part.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, part in children
    ]
    try:
        with torch.inference_mode():
            output_shape = tuple(network(image).shape[1:])
    finally:
        for hook in hooks:
            hook.remove()
    # what belongs to no part: a transformer's class token and places, joined with the patches behind the first part
    own = [
        StageInfo(name, "Parameter", value.numel(), tuple(value.shape[1:]))
        for name, value in network.named_parameters(recurse=False)
    ]
    return (*stages[:1], *own, *stages[1:]), output_shape


def _parts(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children, but the entries of a dictionary of modules, and the blocks that are kept one level down."""
    from torch import nn

    found: list[tuple[str, nn.Module]] = []
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            found += [(f"{name}.{inner}", part) for inner, part in _parts(child)]
        elif name in {"features", "blocks"}:
            found += [(f"{name}.{inner}", part) for inner, part in child.named_children()]
        else:
            found.append((name, child))
    return found


def _count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _import_torchvision_repair() -> None:
    """Make timm importable (see ``osteon._torchvision``), or say what to install."""
    try:
        require("torch", extra="torch", purpose="to build a network")
        importlib.import_module("osteon._torchvision")
        require("timm", extra="torch", purpose="to build a network")
    except MissingPackageError as error:
        raise BackendError(str(error)) from error
