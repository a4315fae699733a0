"""What a person would write with the usual libraries to segment a CT, and the small trunk phantoms of the bench."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.data import Volume
    from osteon.weights import Input

__all__ = [
    "PlainResult",
    "grey_slices",
    "plain_loop",
    "plain_maps",
    "series_phantom",
    "slice_inputs",
    "trained",
    "written",
]

_LESIONS = (("L2", "lytic", 22.0), ("L3", "blastic", 16.0), ("L4", "mixed", 26.0))
_PATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class PlainResult:
    """What the plain loop leaves.

    Attributes:
        bone: (slice, row, column) bool.
        lesions: the same shape, 1, 2, ... a connected lesion.
        count: of lesions.
    """

    bone: NDArray[np.bool_] = field(repr=False)
    lesions: NDArray[np.int32] = field(repr=False)
    count: int


def plain_loop(folder: Path, networks: list[nn.Module], *, size: int = 224) -> PlainResult:
    """DICOM folder to masks and lesions: slice by slice window, resize, network, sigmoid, resize back, threshold.

    Args:
        folder: of one series.
        networks: members, each (1, channel, row, column) to logits of lesion and bone.
        size: rows and columns that the network sees.
    """
    import cv2
    import torch
    from scipy import ndimage

    from bench.ct_recipe import read_folder

    array, _ = read_folder(folder)
    bone, lesion = (np.zeros(array.shape, dtype=bool) for _ in range(2))
    with torch.inference_mode():
        for index, plane in enumerate(array):
            grey = np.clip((plane.astype(np.float32) + 450) / 1500, 0, 1)
            small = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
            image = torch.from_numpy(small)[None, None]
            members = [network(_in_channels(network, image)).sigmoid() for network in networks]
            found = torch.stack(members).mean(dim=0)[0].numpy()
            large = [cv2.resize(one, plane.shape[::-1], interpolation=cv2.INTER_LINEAR) for one in found]
            lesion[index], bone[index] = large[0] >= 0.5, large[1] >= 0.5
    labels, count = ndimage.label(lesion, structure=np.ones((3, 3, 3)))
    return PlainResult(bone, labels.astype(np.int32, copy=False), int(count))


def plain_maps(network: nn.Module, images: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    """Probabilities (n, map, row, column) by torch itself, ``batch`` images at a time."""
    import torch

    answers = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            part = torch.from_numpy(images[start : start + batch]).to(torch.float32).div_(255)
            answers.append(network(_in_channels(network, part[:, None])).sigmoid().numpy())
    return np.concatenate(answers)


def _in_channels(network: nn.Module, images: Tensor) -> Tensor:
    """The grey image as often as the first convolution takes it."""
    return images.expand(-1, next(network.parameters()).shape[1], -1, -1)


def grey_slices(count: int, size: int, *, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Windowed slices of a lumbar spine that show metastases, 392 mm wide at any size, and their masks.

    Returns:
        (count, size, size) uint8, and (count, 2, size, size) float32 of lesion and bone.
    """
    from osteon.ops.series_images import windowed
    from osteon_phantoms import TrunkLesionSpec, TrunkSpec, make_trunk

    spec = TrunkSpec(
        seed=seed,
        size=(size, size),
        pixel_mm=392.0 / size,
        slice_mm=3.0,
        length_mm=150.0,
        centre_share=0.4,
        lesions=tuple(TrunkLesionSpec(bone=bone, type=kind, size_mm=mm) for bone, kind, mm in _LESIONS),  # type: ignore[arg-type]
    )
    made = make_trunk(spec)
    lesion, bone = (made.masks[name].array > 0 for name in ("lesions", "structures"))
    shown = np.flatnonzero(lesion.any(axis=(1, 2)))
    chosen = shown[np.linspace(0, len(shown) - 1, count).round().astype(np.int64)]
    masks = np.stack([lesion[chosen], bone[chosen]], axis=1)
    images = windowed(made.volume.array[chosen])
    return images, masks.astype(np.float32)


def series_phantom(shape: tuple[int, int, int]) -> Volume:
    """A trunk with metastases, 1 mm slices of 400 mm."""
    from osteon_phantoms import TrunkLesionSpec, TrunkSpec, make_trunk

    lesions = tuple(TrunkLesionSpec(bone=bone, type=kind, size_mm=mm) for bone, kind, mm in _LESIONS)  # type: ignore[arg-type]
    return make_trunk(
        TrunkSpec(
            seed=1,
            coverage="trunk",
            length_mm=float(shape[0]),
            centre_share=0.3,
            slice_mm=1.0,
            size=shape[1:],
            pixel_mm=400.0 / shape[1],
            lesions=lesions,
        )
    ).volume


def trained(architecture: str, *, steps: int, seed: int = 1) -> nn.Module:
    """A network trained for a moment on slices of phantoms: masks that mean something, statistics that fit.

    Args:
        architecture: of lesion and bone.
        steps: of Adam on four patches of 64 x 64 each.
        seed: of weights and patches.
    """
    import torch

    from osteon.nets import build_network

    torch.manual_seed(seed)
    network = build_network(architecture).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    sets = [grey_slices(24, size, seed=seed + 10) for size in (224, 512)]
    random = np.random.default_rng(seed)
    for _ in range(steps):
        patches, targets = [], []
        for _ in range(4):
            images, masks = sets[int(random.integers(2))]
            number = int(random.integers(len(images)))
            rows, columns = np.nonzero(masks[number, 0] if random.integers(2) else masks[number].any(axis=0))
            pick = int(random.integers(len(rows)))
            top, left = (
                int(np.clip(centre - random.integers(_PATCH), 0, images.shape[1] - _PATCH))
                for centre in (rows[pick], columns[pick])
            )
            here = slice(top, top + _PATCH), slice(left, left + _PATCH)
            patches.append(images[number][here])
            targets.append(masks[number][:, here[0], here[1]])
        shown = torch.from_numpy(np.stack(patches)).to(torch.float32).div_(255)[:, None].expand(-1, 3, -1, -1)
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(
            network(shown), torch.from_numpy(np.stack(targets))
        ).backward()
        optimiser.step()
    return network.eval()


def written(folder: Path, architecture: str, *, steps: int) -> Path:
    """A model folder of a network that was trained for a moment; it may be run in bfloat16.

    Args:
        folder: in which it is made.
        architecture: of lesion and bone.
        steps: of ``trained``.
    """
    from osteon.weights import Golden, MapOutput, Maps, ModelCard, Training, write_model

    network = trained(architecture, steps=steps)
    card = ModelCard(
        name=f"{architecture}.bench",
        version="0.0.0",
        task="ct_metastasis",
        architecture=architecture,
        storage="float32",
        inputs=slice_inputs(),
        output=Maps((MapOutput("lesion"), MapOutput("bone"))),
        golden=Golden("slices", {"float32": 3e-4}, {"bfloat16": 0.05}),
        training=Training("phantoms of the bench", True, "none", "0" * 64, "bench.segmenter", "2026-11-21", 1),  # noqa: FBT003
        licence="Apache-2.0",
        intended_use="measuring speed",
        exclusions=("everything else",),
        is_demo=True,
        statement="Trained for a moment on synthetic phantoms, to measure speed.",
    )
    images, _ = grey_slices(2, 96)
    return write_model(folder, card, [network], golden={"image": images}).folder


def slice_inputs() -> dict[str, Input]:
    """8-bit grey slices of any size that is a multiple of 16, as a segmenter takes them."""
    from osteon.weights import ImageInput, Preprocessing

    made = Preprocessing("osteon.ops.series_images", {}, "slices in a window")
    return {"image": ImageInput(3, "axial", made, size_step=16, values="byte")}
