"""A picture in the making, and how shapes are laid into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon_phantoms.block_shapes import Block, solid_box
from osteon_phantoms.labels import TABLE_VALUE
from osteon_phantoms.shapes import Points, span

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon_phantoms.block_shapes import Window
    from osteon_phantoms.shapes import F32, Simple
    from osteon_phantoms.texture import Texture, Textures

__all__ = [
    "Canvas",
    "Near",
    "Plane",
    "Rasterizer",
    "ScannerTable",
    "Values",
    "blend",
    "densify",
    "share_inside",
    "soft",
]

_COARSE_MM: Final = 4.0
Values = Any
"""A number or an array that broadcasts."""


def share_inside(distance: F32, width_mm: float) -> F32:
    """Share of a voxel that is inside a shape, from the signed distance of its centre."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1 / width_mm), 0, 1))


def soft(distance: NDArray[np.floating], width_mm: float) -> F32:
    """1 where a distance is negative, 0 where it is positive, a ramp of a width between."""
    away = np.asarray(distance, dtype=np.float32)
    return np.asarray(np.clip(0.5 - away / np.float32(width_mm), 0, 1), dtype=np.float32)


def blend(hu: F32, share: Values, value: Values) -> None:
    """Mix a value in, in place."""
    hu += share * (value - hu)


def densify(hu: F32, share: Values, value: Values) -> None:
    """Mix a value in where it is the denser one, in place."""
    hu += share * (value - hu) * (hu < value)


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the pixels of one slice lie, LPS mm; y and z both change with the row when the gantry is tilted."""

    x_lps_mm: F32
    y_lps_mm: F32
    z_lps_mm: F32
    pixel_mm: float

    def window(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> tuple[slice, slice] | None:
        """Rows and columns that hold a rectangle, or None when it is outside."""
        rows, columns = span(self.y_lps_mm, y_range), span(self.x_lps_mm, x_range)
        return None if rows is None or columns is None else (rows, columns)

    def part(self, rows: slice, columns: slice) -> Plane:
        """The plane of a window."""
        return Plane(self.x_lps_mm[columns], self.y_lps_mm[rows], self.z_lps_mm[rows], self.pixel_mm)


@dataclass(frozen=True, slots=True)
class Canvas:
    """One slice in the making.

    Attributes:
        hu: (row, column) float32.
        label: truth, uint8, or None.
        width_mm: over how many millimetres of the shapes an edge is spread: a pixel.
    """

    hu: F32
    label: NDArray[np.uint8] | None
    width_mm: float

    @property
    def layers(self) -> tuple[F32, NDArray[np.uint8] | None]:
        """HU and labels."""
        return self.hu, self.label

    def part(self, window: tuple[slice, slice]) -> Canvas:
        """A window of the canvas, not a copy."""
        return Canvas(self.hu[window], None if self.label is None else self.label[window], self.width_mm)

    def lay(self, distance: F32, value: Values, label: int | None = None) -> None:
        """Fill the inside of a distance."""
        blend(self.hu, share_inside(distance, self.width_mm), value)
        if label is not None and self.label is not None:
            self.label[distance < 0] = label


@dataclass(frozen=True, slots=True, eq=False)
class Near(Points):
    """The voxels of a window that are near a surface; ``u``, ``v``, ``w`` and these have one value each.

    Attributes:
        index: flat, into the block.
        distance: of each.
    """

    index: NDArray[np.int64]
    distance: F32

    def __len__(self) -> int:
        """How many."""
        return len(self.index)

    def from_point(self, point: tuple[float, float, float], *, flat: float = 1.0) -> F32:
        """Distance from a point; ``flat`` below 1 stretches the ball in height."""
        u, v, w = point
        height = (self.w - w) if flat == 1 else (self.w - w) * np.float32(flat)
        return np.asarray(np.sqrt(np.square(self.u - u) + np.square(self.v - v) + np.square(height)))


@dataclass(frozen=True, slots=True, eq=False)
class Rasterizer:
    """Canvas of one block of slices.

    Attributes:
        block: where its voxels are.
        hu: (slice, row, column) float32.
        owner: uint8: number of the bone that a voxel belongs to, 0 for none.
        lesion: uint8: number of the lesion.
        width_mm: over how many reference millimetres an edge is spread.
        textures: shared.
        shift_mm: the patient's own place in them.
    """

    block: Block
    hu: F32
    owner: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    width_mm: float
    textures: Textures = field(repr=False)
    shift_mm: float

    def distance(self, solid: Simple, reach: float) -> tuple[Window, F32] | None:
        """The window of a simple shape and its signed distance there; None outside the block."""
        window = self.block.window(solid_box(solid, reach))
        if window is None:
            return None
        part = self.block.part(window)
        return window, np.broadcast_to(solid.distance(part.points), part.shape)

    def lay(self, solid: Simple, value: float, *, rough_mm: float = 0.0, within: F32 | None = None) -> None:
        """Fill the inside of a simple shape; ``within`` is a distance on the whole block that limits it."""
        found = self.distance(solid, 2 + 2 * rough_mm)
        if found is None:
            return
        window, away = found
        if rough_mm:
            away = away + np.float32(rough_mm) * self.tile(self.textures.cloud, window, shift_mm=31)
        if within is not None:
            away = np.maximum(away, within[window])
        self.fill(away, value, window)

    def smooth(self, distance: Callable[[Points], F32]) -> F32:
        """Distance to a large smooth shape on the whole block: taken every 4 mm, linear between.

        For soft tissue only: what bounds bone or a lesion is taken at every voxel.
        """
        import cv2

        block = self.block
        u, v = _coarse(block.u), _coarse(block.v)
        points = Points(u[None, None, :], v[None, :, None], block.w[:, None, None])
        coarse = np.broadcast_to(distance(points), (len(block.w), len(v), len(u))).astype(np.float32)
        if coarse.shape == block.shape:
            return coarse
        rows, columns = block.shape[1:]
        x = np.linspace(0, len(u) - 1, columns, dtype=np.float32)
        y = np.linspace(0, len(v) - 1, rows, dtype=np.float32)
        across, down = np.meshgrid(x, y)
        out = np.empty(block.shape, dtype=np.float32)
        for target, plane in zip(out, coarse, strict=True):
            cv2.remap(plane, across, down, cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_REPLICATE)
        return out

    def fill(self, away: F32, value: Values, window: Window | None = None) -> None:
        """Fill the inside of a distance on a window, or on the whole block."""
        share = share_inside(np.asarray(away), self.width_mm)
        blend(self.hu if window is None else self.hu[window], share, np.asarray(value, dtype=np.float32))

    def tile(
        self, texture: Texture, window: Window | None = None, *, stretch: float = 1.0, shift_mm: float = 0.0
    ) -> F32:
        """A texture on a window, or on the whole block."""
        block = self.block if window is None else self.block.part(window)
        return texture.of(block.points, stretch=stretch, shift_mm=self.shift_mm + shift_mm)

    def near(self, window: Window, away: F32, *, reach_mm: float) -> Near:
        """The voxels of a window closer than ``reach_mm`` to the inside of a distance."""
        k, r, c = np.nonzero(away < reach_mm)
        distance = away[k, r, c]
        k, r, c = k + window[0].start, r + window[1].start, c + window[2].start
        _, rows, columns = self.block.shape
        index = (k * rows + r) * columns + c
        return Near(self.block.u[c], self.block.v[r], self.block.w[k], index, distance)

    def blend(self, near: Near, share: Values, value: Values, *, only_up: bool = False) -> None:
        """Mix a value into voxels; ``only_up`` leaves those alone that are denser."""
        flat = self.hu.reshape(-1)
        now = flat[near.index]
        mixed = now + share * (np.asarray(value, dtype=np.float32) - now)
        flat[near.index] = np.maximum(mixed, now) if only_up else mixed


def _coarse(axis: F32) -> F32:
    """The same span in steps of about ``_COARSE_MM``."""
    length = abs(float(axis[-1] - axis[0]))
    count = min(len(axis), max(2, round(length / _COARSE_MM) + 1))
    return np.linspace(axis[0], axis[-1], count, dtype=np.float32)


_MAT_MM: Final = 9.0
_HALF_WIDTH_MM: Final = 215.0
_THICK_MM: Final = 32.0
_CURVE_RADIUS_MM: Final = 640.0


@dataclass(frozen=True, slots=True)
class ScannerTable:
    """The table under the patient: a thin carbon shell around foam, under a mat.

    Attributes:
        shape: "flat" or "curved".
        surface_y_lps_mm: where the patient touches the mat.
        facing: +1 when the table is behind the patient (supine), -1 in front (prone).
    """

    shape: str
    surface_y_lps_mm: float
    facing: float

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw the table into a slice, in place."""
        x = plane.x_lps_mm[None, :]
        depth = np.float32(self.facing) * (plane.y_lps_mm[:, None] - np.float32(self.surface_y_lps_mm))
        if self.shape == "curved":
            depth = depth + (np.square(x) - np.float32(80.0**2)) / np.float32(2 * _CURVE_RADIUS_MM)
        beside = np.abs(x) - np.float32(_HALF_WIDTH_MM)
        body = depth - np.float32(_MAT_MM)
        below = _THICK_MM - 10 * np.square(np.clip(x / np.float32(_HALF_WIDTH_MM), -1, 1))
        shell = np.maximum(np.maximum(-body, body - below), beside)
        width = np.float32(plane.pixel_mm)
        hollow = np.clip(0.5 - (shell + 2.0) / width, 0, 1)
        blend(canvas.hu, np.clip(0.5 - np.maximum(np.maximum(-depth, body), beside + 8) / width, 0, 1), -915)
        blend(canvas.hu, np.clip(0.5 - shell / width, 0, 1), 160 + hollow * (-940 - 160))
        if canvas.label is not None:
            canvas.label[(shell < 0)] = TABLE_VALUE
