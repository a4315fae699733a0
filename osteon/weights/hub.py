"""ImageNet weights from timm's hub, for machines with a network; the one place where osteon fetches weights.

A file is fetched once by ``huggingface_hub`` into the cache folder (environment variable ``OSTEON_CACHE``). Nobody
publishes a signed list of these files, so the first download is trusted: it must have the SHA-256 that the hub states,
which is pinned beside it; from then on other bytes are refused. Safetensors only: no pickle is ever opened.

Crops are grey and in 0..1; these networks learnt from photographs normalised channel by channel. The normalisation is
folded into the first convolution and what follows it, so that crops go in as they are. Inside the image this is exact
in evaluation mode; at the border the convolution's zeros now mean black, where they meant the mean colour.
Transformers and Inception-v3 have no such border.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from osteon._optional import require
from osteon.errors import UnknownLabelError, WeightsError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["HUB_VARIABLE", "HubFile", "fetch_hub_file", "fold_normalisation", "is_for_photographs"]

HUB_VARIABLE = "HF_ENDPOINT"
"""Environment variable that names another hub, as the mirror of a hospital; Hugging Face's own name for it."""

_LOG = logging.getLogger(__name__)
_CACHE_VARIABLE = "OSTEON_CACHE"
_HUB = "https://huggingface.co"
_FILE, _PIN = "model.safetensors", "sha256"
_WAIT_SECONDS, _MOST_BYTES = 20.0, 400 << 20
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True)
class _Published:
    """Weights on the hub: the first convolution, and the tensor behind it that takes up a constant."""

    repository: str
    convolution: str
    shift: str  # the running mean of a normalisation, or its own bias
    photographs: tuple[tuple[float, float, float], tuple[float, float, float]] = _IMAGENET  # mean and deviation
    surplus: str | None = None  # beginning of the names of tensors that belong to a second head


_PATCHES = ("patch_embed.proj", "patch_embed.proj.bias")
_PUBLISHED = {
    "deit_small": _Published("timm/deit_small_patch16_224.fb_in1k", *_PATCHES),
    "deit_tiny": _Published("timm/deit_tiny_patch16_224.fb_in1k", *_PATCHES),
    "densenet121": _Published("timm/densenet121.ra_in1k", "features.conv0", "features.norm0.running_mean"),
    "densenet169": _Published("timm/densenet169.tv_in1k", "features.conv0", "features.norm0.running_mean"),
    "densenet201": _Published("timm/densenet201.tv_in1k", "features.conv0", "features.norm0.running_mean"),
    "efficientnet_b0": _Published("timm/efficientnet_b0.ra_in1k", "conv_stem", "bn1.running_mean"),
    "inception_v3": _Published(
        "timm/inception_v3.tv_in1k", "Conv2d_1a_3x3.conv", "Conv2d_1a_3x3.bn.running_mean", _HALVES, "AuxLogits."
    ),
    "resnet18": _Published("timm/resnet18.a1_in1k", "conv1", "bn1.running_mean"),
    "resnet50": _Published("timm/resnet50.a1_in1k", "conv1", "bn1.running_mean"),
    "resnext50": _Published("timm/resnext50_32x4d.a1h_in1k", "conv1", "bn1.running_mean"),
    "vit_small": _Published("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", *_PATCHES, _HALVES),
    "vit_tiny": _Published("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", *_PATCHES, _HALVES),
}

# bases of osteon.nets.tile_classifier: they take colours scaled to -1..1 and are used as they are published
_TILE_BASES = {
    "inception_resnet_v2": "timm/inception_resnet_v2.tf_in1k",
    "resnetv2_50": "timm/resnetv2_50.a1h_in1k",
    "xception": "timm/legacy_xception.tf_in1k",
}


@dataclass(frozen=True, slots=True)
class HubFile:
    """Weights from the hub, as "timm/resnet18.a1_in1k"; the licence is what timm states for all of them."""

    repository: str
    data: bytes = field(repr=False)
    sha256: str
    licence: str = "Apache-2.0"


def fetch_hub_file(architecture: str) -> HubFile:
    """Published ImageNet weights, from the cache or, the first time, from the hub.

    Raises:
        UnknownLabelError: there are none for that network.
        WeightsError: no network, or the file is not the one that was pinned or that the hub states.
    """
    repositories = {name: place.repository for name, place in _PUBLISHED.items()} | _TILE_BASES
    if architecture not in repositories:
        near = nearest_names(architecture, repositories)
        raise UnknownLabelError(f"no weights for {architecture!r} on timm's hub: {near}")
    repository = repositories[architecture]
    cache = Path(os.environ.get(_CACHE_VARIABLE) or user_cache_path("osteon", appauthor=False))
    folder = cache / "hub" / repository.replace("/", "--")
    file, pin = folder / _FILE, folder / _PIN
    pinned = pin.read_text(encoding="ascii").strip() if pin.is_file() else ""
    is_kept = bool(pinned) and file.is_file()
    data = file.read_bytes() if is_kept else _download(repository, architecture)
    found = hashlib.sha256(data).hexdigest()
    if pinned and found != pinned:
        raise WeightsError(
            f"the weights of {repository} are not those first used on this machine: SHA-256 is {found[:12]}..., pinned "
            f"is {pinned[:12]}...; if the change is known and wanted, delete {folder}"
        )
    if not is_kept:
        _keep(folder, data, found)
    return HubFile(repository, data, found)


def fold_normalisation(architecture: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights as weights for images in 0..1; see the module's text for what happens at the border.

    With kernel w, mean m, deviation s: sum w (x - m) / s = sum (w / s) x - shift, and the normalisation that follows
    takes the shift into its running mean; where none follows, the bias of the convolution does.

    Raises:
        WeightsError: the weights are of another network.
    """
    import torch

    place = _PUBLISHED[architecture]
    kept = {name: each for name, each in state.items() if not (place.surplus and name.startswith(place.surplus))}
    # torchvision's old files, from which some of timm's were made, put a dot into the names of a DenseNet's layers
    dotted = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)")
    folded = {dotted.sub(r"\1\2", name): value for name, value in kept.items()}
    kernel_name = f"{place.convolution}.weight"
    if kernel_name not in folded or place.shift not in folded:
        raise WeightsError(f"weights for {architecture} need {kernel_name} and {place.shift}; they are not there")
    kernel, taking = folded[kernel_name].double(), folded[place.shift].double()
    mean, deviation = torch.tensor(place.photographs, dtype=torch.float64)[:, None, :, None, None]
    shift = (kernel * mean / deviation).sum(dim=(1, 2, 3))
    folded[kernel_name] = (kernel / deviation).float()
    sign = -1 if place.shift.endswith(".bias") else 1  # a running mean is subtracted, a bias is added
    folded[place.shift] = (taking + sign * shift).float()
    return folded


def is_for_photographs(architecture: str, state: Mapping[str, Tensor]) -> bool:
    """Whether weights are as they were published: for three normalised channels, by a network of the hub."""
    place = _PUBLISHED.get(architecture)
    kernel = None if place is None else state.get(f"{place.convolution}.weight")
    return kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3


def _download(repository: str, architecture: str) -> bytes:
    """The file of a repository, with the length and SHA-256 that the hub states."""
    hub = os.environ.get(HUB_VARIABLE, _HUB).rstrip("/")
    if not hub.startswith(("https://", "http://")):
        raise WeightsError(f"{HUB_VARIABLE} names a hub by http or https; found {hub.partition(':')[0]!r}")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is first imported
    library = require("huggingface_hub", extra="torch", purpose="to fetch weights from a hub")
    address = f"{hub}/{repository}/resolve/main/{_FILE}"
    _LOG.info("fetching %s", address)
    try:
        with tempfile.TemporaryDirectory() as work:
            library.utils.disable_progress_bars()
            options = {"cache_dir": work, "endpoint": hub, "token": False, "etag_timeout": _WAIT_SECONDS}
            fetch = partial(library.hf_hub_download, repository, _FILE, **options)
            if fetch(dry_run=True).file_size > _MOST_BYTES:
                raise WeightsError(f"{address} is longer than {_MOST_BYTES >> 20} MB: it is not {architecture}")
            kept = Path(fetch()).resolve()  # the library calls the bytes by the hash that the hub states
            data, named = kept.read_bytes(), kept.name
    except (OSError, ValueError) as error:  # the library's own errors are both
        instead = f"use --pretrained embedded --arch mobilenet_v2, or fetch {address} elsewhere and give it with"
        raise WeightsError(
            f"ImageNet weights for {architecture} were asked for from {hub}; they cannot be fetched ({error}). "
            f"Without a network {instead} --pretrained PATH"
        ) from error
    if re.fullmatch(r"[0-9a-f]{64}", named) and hashlib.sha256(data).hexdigest() != named:
        damaged = f"{address} arrived damaged ({len(data)} bytes)"
        raise WeightsError(f"{damaged}: its SHA-256 is not the hub's; fetch it again")
    return data


def _keep(folder: Path, data: bytes, sha256: str) -> None:
    """Put the file in place before its pin: a pin always has a file, whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
            for name, content in ((_FILE, data), (_PIN, sha256.encode())):
                made = Path(temporary) / name
                made.write_bytes(content)
                made.replace(folder / name)
    except OSError as error:
        _LOG.warning("weights of %s were not kept, nor pinned (%s)", folder.name, type(error).__name__)
    else:
        _LOG.info("weights of %s: first use on this machine, SHA-256 %s pinned", folder.name, sha256)
