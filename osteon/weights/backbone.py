"""Networks that know something before they are trained: weights shipped with osteon, from timm's hub, or from a file.

The shipped ones need no network: MobileNetV2 with what it learnt on ImageNet, for embeddings and as the start of
fine-tuning. Whatever the source, the network that comes out takes crops in 0..1, with one channel or three, and its
head is fresh. Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jsonschema import Draft202012Validator

from osteon.errors import UnknownLabelError, WeightsError, nearest_names
from osteon.weights.card import CARD_NAME, CardFile
from osteon.weights.files import read_verified
from osteon.weights.hub import fetch_hub_file, fold_normalisation, is_for_photographs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = [
    "BackboneCard",
    "PretrainedWeights",
    "backbone_names",
    "fill_network",
    "load_backbone_into",
    "pretrained_network",
    "pretrained_weights",
    "read_backbone",
    "verify_backbone",
]


_JOINED = {"vit_tiny_resnext50": {"convolutional": "resnext50", "transformer": "vit_tiny"}}
"""Branches of joined networks, by the name of the submodule."""

_HEADS = ("fc.", "head.")
"""Beginning of the names of the heads of those branches."""


@dataclass(frozen=True, slots=True)
class BackboneCard:
    """What shipped weights are, checked against the schema.

    Attributes:
        name: ``architecture.tag``.
        version: of the weights.
        architecture: name in ``osteon.nets``.
        folder: where card.json lies.
        weights: safetensors file.
        golden: safetensors file with ``crops`` and the ``features`` they must give.
        channels: of the stored first convolution.
        classes: of the stored head.
        least_size: smallest rows and columns of an image.
        feature_dimensions: length of the pooled feature.
        tolerance: largest difference of a golden feature, as a part of the largest feature.
        licence: SPDX identifier.
        statement: one line on what it was trained on.
        document: the whole card.
    """

    name: str
    version: str
    architecture: str
    folder: Path = field(repr=False)
    weights: CardFile = field(repr=False)
    golden: CardFile = field(repr=False)
    channels: int
    classes: int
    least_size: int
    feature_dimensions: int
    tolerance: float
    licence: str
    statement: str
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Weights to begin with, for images in 0..1, and where they came from.

    Attributes:
        name: as "mobilenet_v2.imagenet", "timm/resnet18.a1_in1k" or the name of a file.
        architecture: name in ``osteon.nets``.
        sha256: of the file; of the hashes in hexadecimal, with a space between them, where there are several files.
        licence: SPDX identifier; "" where nobody said.
        state: float32, head included.
    """

    name: str
    architecture: str
    sha256: str
    licence: str
    state: Mapping[str, Tensor] = field(repr=False)


def backbone_names() -> tuple[str, ...]:
    """Names of the shipped backbones, sorted.

    Example:
        >>> backbone_names()
        ('mobilenet_v2.imagenet',)
    """
    return tuple(sorted(path.parent.name for path in _packaged().glob(f"*/{CARD_NAME}")))


def read_backbone(name: str | Path) -> BackboneCard:
    """The card of a backbone. The weights themselves are not touched.

    Args:
        name: one of ``backbone_names()``, its architecture alone, or the ``Path`` of a backbone's folder.

    Raises:
        UnknownLabelError: none of that name.
        WeightsError: the card cannot be read or breaks the schema.
    """
    if isinstance(name, Path):
        return _read_card(name)
    known = backbone_names()
    chosen = [each for each in known if name in (each, each.partition(".")[0])]
    if not chosen:
        raise UnknownLabelError(f"no backbone {name!r} is shipped: {nearest_names(name, known)}")
    return _read_card(_packaged() / chosen[0])


def verify_backbone(card: BackboneCard) -> float:
    """Prove a backbone: hashes, strict load, golden features with one channel and with three.

    Returns:
        The largest difference of a golden feature, as a part of the largest feature; float32 on the CPU.

    Raises:
        WeightsError: files are missing or changed, do not fit, or the golden features are not reproduced.
        BackendError: torch or timm is not installed.
    """
    import torch
    from safetensors.numpy import load

    from osteon.nets import build_network
    from osteon.nets.anatomy import pooled_features

    golden = load(_verified(card, card.golden))
    wanted: NDArray[np.float32] = golden["features"]
    crops = torch.from_numpy(golden["crops"].astype(np.float32))[:, None]
    weights = _embedded(card)
    difference = 0.0
    for channels in (1, 3):
        network = build_network(card.architecture, in_channels=channels, classes=card.classes).eval()
        fill_network(network, weights, with_head=True)
        with torch.inference_mode():
            found = pooled_features(network, crops.expand(-1, channels, -1, -1)).numpy()
        difference = max(difference, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    if not difference <= card.tolerance:  # also when it is not a number
        raise WeightsError(
            f"{card.name} does not reproduce its golden features: they differ by {difference:.2g}, allowed is "
            f"{card.tolerance:.2g}; install osteon again, or report this machine"
        )
    return difference


def pretrained_weights(architecture: str, *, source: str | Path = "embedded") -> PretrainedWeights:
    """Find weights to begin with. Their name, SHA-256 and licence belong into the record of a run.

    Args:
        architecture: name in ``osteon.nets``.
        source: "embedded" (shipped: mobilenet_v2), "hub" (timm's, needs a network the first time), or the ``Path`` of
            a safetensors file. A file with three channels for a network of the hub is taken as timm's own, for
            normalised photographs; with one channel as osteon's, for crops in 0..1. A joined network takes from the
            hub what its branches take.

    Raises:
        UnknownLabelError: the source has no weights for that network.
        WeightsError: they cannot be had, or are not what they should be.
    """
    if isinstance(source, Path):
        return _from_file(architecture, source)
    if source == "hub":
        if architecture in _JOINED:
            return _joined(architecture)
        file = fetch_hub_file(architecture)
        state = fold_normalisation(architecture, _tensors(file.data, file.repository))
        return PretrainedWeights(file.repository, architecture, file.sha256, file.licence, state)
    if source != "embedded":
        raise UnknownLabelError(
            f"no source {source!r} of pretrained weights: {nearest_names(source, ['embedded', 'hub'])}, or a Path"
        )
    if not any(name.partition(".")[0] == architecture for name in backbone_names()):
        shipped = ", ".join(name.partition(".")[0] for name in backbone_names())
        raise UnknownLabelError(
            f"no weights for {architecture} are shipped with osteon, only for {shipped}: use --arch {shipped}, "
            "--pretrained hub on a machine with a network, or --weights PATH"
        )
    return _embedded(read_backbone(architecture))


def pretrained_network(
    architecture: str, *, in_channels: int = 1, classes: int = 2, source: str | Path = "embedded"
) -> nn.Module:
    """A network that knows something, with a fresh head from torch's global generator, in training mode.

    Args:
        architecture: name in ``osteon.nets``.
        in_channels: 1 or 3; images in 0..1 either way. One grey channel gives what three equal ones give.
        classes: length of the output.
        source: as for ``pretrained_weights``.

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


def load_backbone_into(network: nn.Module, name: str | Path = "mobilenet_v2.imagenet") -> BackboneCard:
    """Fill a network, all but its head, with a shipped backbone.

    Returns:
        The card of the backbone.

    Raises:
        UnknownLabelError: no such backbone.
        WeightsError: the weights were changed, or do not fit the network.
    """
    card = read_backbone(name)
    fill_network(network, _embedded(card))
    return card


def fill_network(network: nn.Module, weights: PretrainedWeights, *, with_head: bool = False) -> None:
    """Put weights into a network, strictly: every tensor but the head's must be there and fit.

    A first convolution of another number of channels is adapted: kernels are summed for one channel, and shared
    equally among three. Grey images then give what they gave before.

    Args:
        network: as ``build_network`` makes it.
        weights: of the same architecture.
        with_head: take the head too; it must have as many classes.

    Raises:
        WeightsError: tensors are missing, left over, or of another shape.
    """
    from torch.nn import Conv2d

    from osteon.nets.anatomy import feature_stages

    head = f"{feature_stages(network)[-1][0]}."
    firsts = [  # one for every branch; nothing further in reads so few channels at once
        f"{name}.weight"
        for name, part in network.named_modules()
        if isinstance(part, Conv2d) and part.groups == 1 and part.in_channels in (1, 3)
    ]
    own = network.state_dict()
    state = {name: value for name, value in weights.state.items() if with_head or not name.startswith(head)}
    for first in firsts:
        if first in state:
            state[first] = _with_channels(state[first], own[first].shape[1])
    wanted = {name: value for name, value in own.items() if with_head or not name.startswith(head)}
    wrong = sorted(
        name
        for name in wanted.keys() | state.keys()
        if name not in wanted or name not in state or wanted[name].shape != state[name].shape
    )
    if wrong:
        raise WeightsError(
            f"{weights.name} does not fit {type(network).__name__}: {len(wrong)} tensors are missing, left over or of "
            f"another shape, the first is {wrong[0]}; {weights.architecture} was asked for"
        )
    network.load_state_dict(own | state, strict=True)


def _with_channels(kernel: Tensor, channels: int) -> Tensor:
    """A first kernel (out, in, row, column) for another number of equal channels."""
    if kernel.ndim != 4 or kernel.shape[1] == channels:
        return kernel
    return (kernel.double().sum(dim=1, keepdim=True) / channels).expand(-1, channels, -1, -1).to(kernel.dtype)


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
    state = _tensors(data, path.name)
    first = next((value for value in state.values() if value.ndim == 4), None)
    if first is None:
        raise WeightsError(f"{path.name} holds no convolution: weights for {architecture} are needed")
    if is_for_photographs(architecture, state):
        state = fold_normalisation(architecture, state)
    return PretrainedWeights(path.name, architecture, hashlib.sha256(data).hexdigest(), "", state)


def _embedded(card: BackboneCard) -> PretrainedWeights:
    state = _tensors(_verified(card, card.weights), card.name)
    return PretrainedWeights(card.name, card.architecture, card.weights.sha256, card.licence, state)


def _tensors(data: bytes, name: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{name} is no safetensors file ({error}); other formats are not opened") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in stored.items()}


def _packaged() -> Path:
    return Path(str(files("osteon.weights"))) / "backbones"


@cache
def _validator() -> Draft202012Validator:
    text = files("osteon.weights").joinpath("schema", "backbone-1.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _read_card(folder: Path) -> BackboneCard:
    file = folder / CARD_NAME
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read ({type(error).__name__}): install osteon again") from error
    problem = next(iter(_validator().iter_errors(document)), None)
    if problem is not None:
        where = ".".join(str(part) for part in problem.absolute_path) or "the card"
        raise WeightsError(f"{file} is not a valid backbone card: {where}: {problem.message}; see backbone-1.json")
    listed = {
        name: CardFile(folder / entry["path"], entry["sha256"], entry["bytes"])
        for name, entry in document["files"].items()
    }
    return BackboneCard(
        name=document["name"],
        version=document["version"],
        architecture=document["architecture"],
        folder=folder,
        weights=listed["weights"],
        golden=listed["golden"],
        channels=document["input"]["channels"],
        classes=document["classes"],
        least_size=document["input"]["least_size"],
        feature_dimensions=document["features"]["dimensions"],
        tolerance=document["golden"]["tolerance"],
        licence=document["licence"],
        statement=document["statement"],
        document=document,
    )


def _verified(card: BackboneCard, file: CardFile) -> bytes:
    return read_verified(card.name, file, remedy="install osteon again")
