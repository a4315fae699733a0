"""A small trunk made by hand, and a segmenter that knows the truth about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import ModelUse, Volume
from osteon.geometry import Grid
from osteon.ops.series_images import series_images, slice_step
from osteon.systems.ct_metastasis.search import LEAST_BONE_HU, body_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.weights import ModelCard

    Millimetres = NDArray[np.float64]

SPACING_MM = (3.0, 1.75, 1.75)
SHAPE = (60, 144, 208)


@dataclass(frozen=True, eq=False)
class Trunk:
    """HU with what is true of them.

    Attributes:
        array: int16.
        bone: bool, marrow and lesions included.
        lesion: uint8, 1, 2...
        spacing_mm: of all.
    """

    array: NDArray[np.int16]
    bone: NDArray[np.bool_]
    lesion: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float] = SPACING_MM

    @property
    def volume(self) -> Volume:
        """On an upright grid."""
        grid = Grid.from_axes(shape=self.array.shape, spacing_mm=self.spacing_mm, origin_lps_mm=(-180.0, -120.0, 0.0))
        return Volume(self.array, grid, modality="CT", unit="HU")

    def segmenter(self, **wrong: NDArray[np.bool_]) -> TrueSegmenter:
        """One that gives the truth, or what else is given as ``bone`` or ``lesion``."""
        truth: dict[str, NDArray[np.bool_]] = {"bone": self.bone, "lesion": self.lesion > 0}
        return TrueSegmenter(self.volume, {**truth, **wrong})

    def with_hu(self, where: NDArray[np.bool_], hu: float) -> Trunk:
        """The same with other HU somewhere."""
        array = self.array.copy()
        array[where] = hu
        return replace(self, array=array)


class TrueSegmenter:
    """Gives the maps of the images it is asked for, which must come in order."""

    card: ModelCard | None = None

    def __init__(self, volume: Volume, masks: dict[str, NDArray[np.bool_]]) -> None:
        """Bring the masks to the images that the reading will make."""
        self.images = series_images(volume.array, volume.grid.spacing_mm, step=slice_step(volume.grid.spacing_mm[0]))
        frame = self.images.frame
        self.truth = {
            name: np.stack([frame.images(mask[k][None] * np.uint8(255))[0] for k in self.images.slices])
            for name, mask in masks.items()
        }
        self.shown = np.flatnonzero(self.images.highest_hu >= LEAST_BONE_HU)
        self.box = body_box(self.images, self.shown, 16)
        self.asked = 0

    def maps(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The truth of the next images."""
        at = self.shown[self.asked : self.asked + len(images)]
        self.asked += len(images)
        assert np.array_equal(images, self.images.grey[at][:, *self.box])
        return {name: maps[at][:, *self.box].astype(np.float32) / np.float32(255) for name, maps in self.truth.items()}

    def use(self) -> ModelUse:
        """A model that nobody trained."""
        return ModelUse("truth", "1.0.0", "00" * 32, "none", "cpu", is_demo=False, statement="It knows the truth.")


def axes(shape: tuple[int, int, int] = SHAPE, spacing_mm: tuple[float, float, float] = SPACING_MM) -> list[Millimetres]:
    """Millimetres along each axis, from the middle of the last two."""
    z, y, x = (np.arange(n) * mm for n, mm in zip(shape, spacing_mm, strict=True))
    return list(np.meshgrid(z, y - y.mean(), x - x.mean(), indexing="ij", sparse=True))


def make_trunk(*, seed: int = 1) -> Trunk:
    """A chest: spine with canal and discs, lungs, a pair of bent ribs, lesions in a vertebra (1) and a rib (2).

    The spine is at y = 55 mm behind the middle, its canal at 75. Vertebrae are 24 mm high with discs of 6 mm.
    """
    z, y, x = axes()
    generator = np.random.default_rng(seed)
    inside = (y / 105) ** 2 + (x / 155) ** 2
    array = np.full(SHAPE, -1000.0)
    array[np.broadcast_to(inside < 1, SHAPE)] = 40
    for side in (-1, 1):
        array[np.broadcast_to(((x - side * 75) / 58) ** 2 + (y / 82) ** 2 < 1, SHAPE)] = -850
    bone, marrow = (
        spine(z, y, x, less_mm=less) | rib(z, y, x, side=-1, less_mm=less) | rib(z, y, x, side=1, less_mm=less)
        for less in (0.0, 2.6)
    )
    array[bone] = 600
    array[marrow] = 170
    lesion = np.zeros(SHAPE, dtype=np.uint8)
    vertebra = (z - 73) ** 2 + (y - 52) ** 2 + (x - 4) ** 2 < 9**2
    lesion[np.broadcast_to(vertebra, SHAPE) & bone] = 1
    array[lesion == 1] = 50
    lesion[rib(z, y, x, side=1) & (np.abs(y + 10) < 9)] = 2
    array[lesion == 2] = 650
    array += generator.normal(0, 10, SHAPE)
    return Trunk(np.rint(array).astype(np.int16), bone, lesion)


def spine(z: Millimetres, y: Millimetres, x: Millimetres, *, less_mm: float = 0.0) -> NDArray[np.bool_]:
    """Bodies of 40 x 32 mm with an arch behind; discs between."""
    high = np.abs(z % 30 - 13) <= 11.5 - less_mm / 2
    body = ((x / (21 - less_mm)) ** 2 + ((y - 50) / (16 - less_mm)) ** 2 < 1) & high
    off_canal = np.hypot(x, y - 75)
    arch = (off_canal >= 9 + less_mm / 3) & (off_canal <= 17 - less_mm) & (y > 60) & high
    return np.asarray(body | arch)


def rib(z: Millimetres, y: Millimetres, x: Millimetres, *, side: int, less_mm: float = 0.0) -> NDArray[np.bool_]:
    """An arc around a lung from beside the spine to the front, falling 60 mm; 12 mm thick."""
    angle = np.arctan2(y, side * x * 1.05)
    reach = np.hypot(y / 0.92, (x - side * 70) * 1.12) / 1.0
    falls = 105 - (np.pi / 2 - angle) * 20
    thick = (reach - 72) ** 2 + (z - falls) ** 2 < (7 - less_mm) ** 2
    return np.asarray(thick & (side * x > 22) & (y < 70) & (y > -60))
