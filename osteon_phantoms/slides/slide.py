"""A synthetic H&E slide whose pixels are computed where they are read, and the class of every place of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.phantom_mark import mark_tile
from osteon.data.slide import TILE_CLASSES, SlideLevel, SlideSource
from osteon.errors import InputError
from osteon_phantoms.slides.cells import draw_cells, draw_small, draw_vessels
from osteon_phantoms.slides.finish import Artefacts, develop, draw_artefacts, make_artefacts, stain_table
from osteon_phantoms.slides.ground import classes, classes_of, make_ground
from osteon_phantoms.slides.matrix import draw_ground
from osteon_phantoms.slides.spec import SlideSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from osteon_phantoms.slides.ground import Ground

__all__ = ["PIXEL_CLASSES", "PhantomSlide", "TrueNecrosis", "make_slide"]

PIXEL_CLASSES: Final = ("background", *TILE_CLASSES)
"""What the numbers of a true map mean."""

_BLOCK: Final = 1024
"""Rows and columns that are drawn at once: what bounds the memory of a large rectangle."""
_SMALLEST_LEVEL: Final = 1024
_COUNTED: Final = 6_000_000
"""Places at which areas are counted, where a finer grid than 4 um would need more."""
_WHITE: Final = 255


@dataclass(frozen=True, slots=True)
class TrueNecrosis:
    """What a synthetic slide shows.

    Attributes:
        fraction: dead tumour of all tumour; None without tumour.
        area_mm2: by name of ``PIXEL_CLASSES``.
    """

    fraction: float | None
    area_mm2: Mapping[str, float]


class PhantomSlide:
    """A slide of ``SlideSpec``; a ``osteon.data.slide.Slide``.

    Nothing is kept: the pixels of a rectangle follow from the seed and the place, whatever was read before and however
    the rectangle is cut. A level is drawn at its own pixel width, not averaged from level 0; means of a tile agree to
    some grey levels.

    Attributes:
        spec: what was asked for.
    """

    def __init__(self, spec: SlideSpec | None = None) -> None:
        """Draw the regions; pixels wait until they are read."""
        self.spec = spec or SlideSpec()
        rows, columns = self.spec.size
        levels = [SlideLevel(rows, columns, 1.0)]
        while max(levels[-1].rows, levels[-1].columns) > _SMALLEST_LEVEL:
            down = 2 ** len(levels)
            levels.append(SlideLevel(math.ceil(rows / down), math.ceil(columns / down), float(down)))
        self._levels = tuple(levels)
        self._stains = stain_table(self.spec.stain)

    @cached_property
    def _ground(self) -> Ground:
        return make_ground(self.spec)

    @cached_property
    def _artefacts(self) -> Artefacts:
        return make_artefacts(self.spec)

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Level 0, the largest, first; each half as wide as the one before."""
        return self._levels

    @property
    def microns_per_pixel(self) -> tuple[float, float]:
        """Of level 0, (row, column)."""
        return self.spec.microns_per_pixel, self.spec.microns_per_pixel

    @property
    def source(self) -> SlideSource:
        """Says that nobody's tissue is shown."""
        return SlideSource(path=None, format="synthetic", is_synthetic=True)

    def close(self) -> None:
        """Nothing is open."""

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels of a rectangle of a level, (rows, columns, 3) uint8 RGB; white where it leaves the slide.

        Raises:
            InputError: no such level, or a rectangle without rows or columns.
        """
        if not 0 <= level < len(self._levels) or rows < 1 or columns < 1:
            raise InputError(
                f"a rectangle of {rows} x {columns} pixels of level {level} was asked for: the slide has levels 0 to "
                f"{len(self._levels) - 1}, and a rectangle at least one pixel"
            )
        there = self._levels[level]
        out = np.full((rows, columns, 3), _WHITE, np.uint8)
        first, stop = max(0, row), min(there.rows, row + rows)
        left, right = max(0, column), min(there.columns, column + columns)
        for top in range(first, stop, _BLOCK):
            for side in range(left, right, _BLOCK):
                bottom, end = min(stop, top + _BLOCK), min(right, side + _BLOCK)
                self._draw(level, top, side, out[top - row : bottom - row, side - column : end - column])
        return out

    def _draw(self, level: int, row: int, column: int, out: NDArray[np.uint8]) -> None:
        """Draw a rectangle that is on the slide."""
        pitch = self._levels[level].downsample * self.spec.microns_per_pixel
        place = (row, column, pitch)
        light = np.empty(out.shape, np.float32)
        kinds = np.empty(out.shape[:2], np.uint8)
        draw_ground(self._ground, place, self._stains, light, kinds)
        if kinds.any() or kinds.size < 10_000:  # a cell may reach over the edge of the tissue
            draw_cells(self._ground, place, self._stains, light)
            draw_small(self._ground, place, self._stains, light)
            draw_vessels(self._ground, place, self._stains, light)
        draw_artefacts(self._artefacts, place, light)
        stain = self.spec.stain
        # at a coarser level a scanner has averaged its noise
        noise = stain.noise * max(0.25, 1 / self._levels[level].downsample)
        camera = np.array([*stain.glass, stain.gamma, noise], dtype=np.float64)
        develop(light, (row, column, self._ground.seed + level), camera, out)
        if level == 0:
            mark_tile(out, row=row, column=column)

    def class_at(self, rows: NDArray[np.integer] | int, columns: NDArray[np.integer] | int) -> NDArray[np.uint8]:
        """Classes of pixels of level 0, indices into ``PIXEL_CLASSES``.

        Args:
            rows: of level 0, any shape that goes with ``columns``.
            columns: of level 0.

        Returns:
            (broadcast shape) uint8; 0 outside the slide.
        """
        both = np.broadcast_arrays(np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64))
        shape = both[0].shape
        flat_rows, flat_columns = (np.ascontiguousarray(array).reshape(-1) for array in both)
        out = np.empty(flat_rows.size, np.uint8)
        micron = self.spec.microns_per_pixel
        classes_of(self._ground, (flat_rows + 0.5) * micron, (flat_columns + 0.5) * micron, out)
        height, width = self.spec.size
        outside = (flat_rows < 0) | (flat_rows >= height) | (flat_columns < 0) | (flat_columns >= width)
        out[outside] = 0
        return out.reshape(shape)

    def true_map(self, *, step_um: float) -> NDArray[np.uint8]:
        """Classes at the middles of the cells of a grid that begins at the slide's corner, (rows, columns) uint8.

        Args:
            step_um: width of a cell; the last ones may reach over the edge.

        Raises:
            InputError: no width.
        """
        if not step_um > 0:
            raise InputError(f"a map needs cells wider than 0 um, found {step_um:g}")
        height, width = (side * self.spec.microns_per_pixel for side in self.spec.size)
        y, x = (
            np.array([min(side, (index + 0.5) * step_um) for index in range(math.ceil(side / step_um))])
            for side in (height, width)
        )
        out = np.empty((len(y), len(x)), np.uint8)
        classes(self._ground, y, x, out)
        return out

    def true_necrosis(self) -> TrueNecrosis:
        """Areas of the classes, counted on a grid of 4 um or, on a large slide, of some six million places."""
        height, width = (side * self.spec.microns_per_pixel for side in self.spec.size)
        step = max(min(4.0, height / 64), math.sqrt(height * width / _COUNTED))
        shape = (math.ceil(height / step), math.ceil(width / step))
        counts = np.zeros(len(PIXEL_CLASSES), np.int64)
        x = np.asarray((np.arange(shape[1]) + 0.5) * (width / shape[1]), dtype=np.float64)
        for top in range(0, shape[0], 256):
            y = np.asarray((np.arange(top, min(shape[0], top + 256)) + 0.5) * (height / shape[0]), dtype=np.float64)
            out = np.empty((len(y), len(x)), np.uint8)
            classes(self._ground, y, x, out)
            counts += np.bincount(out.reshape(-1), minlength=len(PIXEL_CLASSES))
        areas = counts / counts.sum() * (height * width / 1e6)
        area_mm2 = {name: float(area) for name, area in zip(PIXEL_CLASSES, areas, strict=True)}
        dead, alive = area_mm2["non_viable"], area_mm2["viable"]
        return TrueNecrosis(dead / (dead + alive) if dead + alive > 0 else None, area_mm2)


def make_slide(spec: SlideSpec | None = None) -> PhantomSlide:
    """The slide of a spec; pixels are computed where they are read.

    Example:
        >>> slide = make_slide(SlideSpec(seed=2, size=(256, 256), region_um=200))
        >>> slide.read(0, 0, 0, 16, 32).shape
        (16, 32, 3)
    """
    return PhantomSlide(spec)
