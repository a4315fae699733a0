"""Simple bodies of known shape: ellipses of muscle with bone in them, on tables, in air."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import Volume
from osteon.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR, MUSCLE, CORTEX, MARROW, FOAM = -1000, 50, 1200, 0, -700


@dataclass(slots=True)
class Scene:
    """A picture in the making; every shape is in millimetres from the middle of the picture, +row posterior."""

    shape: tuple[int, int, int] = (24, 160, 200)
    spacing_mm: tuple[float, float, float] = (5.0, 2.0, 2.0)
    directions: list[list[float]] | None = None
    array: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.array = np.full(self.shape, float(AIR))

    def ellipse(self, row_mm: float, column_mm: float, radii_mm: tuple[float, float]) -> NDArray[np.bool_]:
        rows = (np.arange(self.shape[1]) - (self.shape[1] - 1) / 2) * self.spacing_mm[1] - row_mm
        columns = (np.arange(self.shape[2]) - (self.shape[2] - 1) / 2) * self.spacing_mm[2] - column_mm
        return (rows[:, None] / radii_mm[0]) ** 2 + (columns[None] / radii_mm[1]) ** 2 <= 1

    def limb(
        self,
        *,
        row_mm: float = 0.0,
        column_mm: float = 0.0,
        radius_mm: float = 55.0,
        bone_mm: float = 16.0,
        slices: slice = slice(None),
        taper: float = 0.0,
    ) -> Scene:
        """A round limb with one hollow bone; ``taper`` is the loss of radius from the first to the last slice."""
        for k in range(self.shape[0])[slices]:
            radius = radius_mm * (1 - taper * k / self.shape[0])
            self.array[k][self.ellipse(row_mm, column_mm, (radius, radius))] = MUSCLE
            self.array[k][self.ellipse(row_mm, column_mm, (bone_mm, bone_mm))] = CORTEX
            self.array[k][self.ellipse(row_mm, column_mm, (bone_mm / 2, bone_mm / 2))] = MARROW
        return self

    def table(
        self, *, row_mm: float = 110.0, hu: float = 100.0, curved: bool = False, thickness_mm: float = 30.0
    ) -> Scene:
        rows = (np.arange(self.shape[1]) - (self.shape[1] - 1) / 2)[:, None] * self.spacing_mm[1]
        columns = (np.arange(self.shape[2]) - (self.shape[2] - 1) / 2)[None] * self.spacing_mm[2]
        top = row_mm - (columns / 40) ** 2 * 2 if curved else np.full_like(columns, row_mm)
        inside = (rows >= top) & (rows < top + thickness_mm) & (np.abs(columns) < 170)
        self.array[:, inside & (self.array < -500).all(axis=0)] = hu
        return self

    def volume(self, *, noise_hu: float = 12.0) -> Volume:
        generator = np.random.default_rng(5)
        noisy = self.array + generator.normal(0, noise_hu, self.shape)
        grid = Grid.from_axes(shape=self.shape, spacing_mm=self.spacing_mm, directions=self.directions)
        return Volume(array=np.rint(noisy).astype(np.int16), grid=grid, modality="CT", unit="HU")


@pytest.fixture
def scene() -> type[Scene]:
    """The builder of pictures."""
    return Scene


@pytest.fixture(scope="session")
def two_legs() -> Volume:
    """Two legs apart on a flat table."""
    return Scene().limb(column_mm=-75).limb(column_mm=75).table().volume()
