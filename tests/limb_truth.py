"""A limb whose truth is known, on any grid, and a segmenter that knows the grey of its tumour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import cv2
import msgspec
import numpy as np

from osteon.data import ModelUse, Volume
from osteon.geometry import Grid
from osteon.weights import ImageInput, MapOutput, ModelCard, Preprocessing
from tests.cards import TRAINING, segmenter_card

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

    from osteon.data import RegionOod
    from osteon.data.options import Progress

SKIN_MM, FAT_MM = 60.0, 50.0
"""Radius of the limb, and of what is within its fat."""
BONE_LPS_MM, BONE_MM, MARROW_MM = (20.0, 8.0), 14.0, 9.0
CENTRE_LPS_MM, RADII_MM = (-22.0, -6.0, 0.0), (18.0, 14.0, 32.0)
"""Of the tumour, an ellipsoid."""

_VALUES: Final = {
    "mr": {"air": 4, "fat": 900, "muscle": 350, "cortex": 30, "marrow": 850, "tumour": 560},
    "ct": {"air": -1000, "fat": -100, "muscle": 50, "cortex": 1100, "marrow": 40, "tumour": 130},
}
_GREY: Final = {"mr": (155, 190), "ct": (165, 205)}
"""Of tumour, once a scan is prepared."""


@dataclass(frozen=True, slots=True, eq=False)
class Limb:
    """A scan of a limb and what is in it, bool of its shape."""

    volume: Volume
    tumour: NDArray[np.bool_] = field(repr=False)
    bone: NDArray[np.bool_] = field(repr=False)
    body: NDArray[np.bool_] = field(repr=False)


def limb_grid(
    shape: Sequence[int] = (40, 110, 120),
    spacing_mm: Sequence[float] = (4.0, 1.3, 1.2),
    *,
    directions: NDArray[np.float64] | None = None,
    middle_lps_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid around a place in the limb."""
    plain = Grid.from_axes(shape=shape, spacing_mm=spacing_mm, directions=directions)
    at = plain.to_lps_mm([(n - 1) / 2 for n in shape])
    return Grid.from_axes(
        shape=shape,
        spacing_mm=spacing_mm,
        directions=directions,
        origin_lps_mm=(np.asarray(middle_lps_mm) - at).tolist(),
    )


def make_limb(
    modality: Literal["mr", "ct"] = "mr",
    grid: Grid | None = None,
    *,
    tumours: Sequence[tuple[Sequence[float], Sequence[float]]] = ((CENTRE_LPS_MM, RADII_MM),),
    seed: int = 1,
) -> Limb:
    """A cylinder of fat and muscle along the body, with a bone and tumours; each voxel is what its middle is."""
    grid = grid or limb_grid()
    x, y, z = np.moveaxis(grid.to_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    from_middle = np.hypot(x, y)
    from_bone = np.hypot(x - BONE_LPS_MM[0], y - BONE_LPS_MM[1])
    tumour = np.zeros(grid.shape, dtype=np.bool_)
    for centre, radii in tumours:
        away = (axis - at for axis, at in zip((x, y, z), centre, strict=True))
        tumour |= sum((one / radius) ** 2 for one, radius in zip(away, radii, strict=True)) <= 1
    values = _VALUES[modality]
    parts = (
        (from_middle <= SKIN_MM, "fat"),
        (from_middle <= FAT_MM, "muscle"),
        (from_bone <= BONE_MM, "cortex"),
        (from_bone <= MARROW_MM, "marrow"),
        (tumour, "tumour"),
    )
    array = np.full(grid.shape, float(values["air"]))
    for where, name in parts:
        array[where] = values[name]
    noise = np.random.default_rng(seed).normal(0, 4, grid.shape)
    array = np.rint(array + noise).astype(np.int16)
    if modality == "mr":
        array = np.maximum(array, 0)
    volume = Volume(array, grid, modality=modality.upper(), unit="HU" if modality == "ct" else "")
    return Limb(volume, tumour, (from_bone <= BONE_MM) & ~tumour, from_middle <= SKIN_MM)


def limb_card(modality: Literal["mr", "ct"] = "mr", **changes: Any) -> ModelCard:  # noqa: ANN401 - entries of a card
    """The card of a model of one patient, SYN_1."""
    made: dict[str, Any] = {"pixel_mm": 500 / 256, "slice_mm": 3.27, "modality": [modality]}
    if modality == "ct":
        made["window_hu"] = [-160.0, 240.0]
    how = Preprocessing("osteon.systems.limb_sarcoma.prepare", made, "three axial slices")
    known = {
        "task": "limb_sarcoma",
        "is_demo": False,
        "inputs": {"image": ImageInput(3, "axial", how, size_step=16, values="byte", neighbours=1)},
        "training": msgspec.structs.replace(TRAINING, is_synthetic=False, patients=("SYN_1",)),
        "statement": "Trained on 1 patient; cross-validated Dice 0.5 (0.4 to 0.6); not a medical device.",
    }
    return segmenter_card((MapOutput("lesion"),), **{**known, **changes})


class GreySegmenter:
    """Outlines what is as grey as the tumour and not thin, by the slice in the middle of its neighbours.

    Attributes:
        card: of ``limb_card``.
        blocks: that it was given.
    """

    def __init__(self, modality: Literal["mr", "ct"] = "mr", *, ood: RegionOod | None = None) -> None:
        """Know the grey of tumour; ``ood`` is what it says of any scan."""
        self.card: ModelCard | None = limb_card(modality)
        self.blocks: list[NDArray[np.uint8]] = []
        self.limits: Any = ood
        self._grey, self._ood = _GREY[modality], ood

    def run(
        self, blocks: Iterable[NDArray[np.uint8]], *, progress: Progress, total: int | None
    ) -> Generator[dict[str, NDArray[Any]]]:
        """A map whose edge is where that of the tumour is."""
        done, low, high = 0, *self._grey
        for block in blocks:
            self.blocks.append(block)
            found = []
            for image in block[:, block.shape[1] // 2]:
                inside = ((image >= low) & (image <= high)).astype(np.uint8)
                opened = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
                found.append(cv2.GaussianBlur(opened.astype(np.float32), (0, 0), 0.8))
            done += len(block)
            progress("segmenting slices", done, total or done)
            given: dict[str, NDArray[Any]] = {"lesion": np.stack(found)}
            yield given if self._ood is None else {**given, "distance": np.full(len(block), self._ood.score)}

    def ood(self, distance: NDArray[np.float32] | None) -> RegionOod | None:
        """What it was told to say."""
        return None if distance is None or self._ood is None else replace(self._ood, score=float(np.median(distance)))

    def use(self) -> ModelUse:
        """As of a model without files."""
        statement = self.card.statement if self.card else ""
        return ModelUse("grey.test", "0.1.0", "ab" * 32, "numpy", "cpu", is_demo=False, statement=statement)
