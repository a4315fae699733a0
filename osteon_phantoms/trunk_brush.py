"""A block of slices in the making, and how shapes are laid into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon_phantoms.limb import share_inside
from osteon_phantoms.solid import Points

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon_phantoms.solid import Ellipsoid, Loft, Rod
    from osteon_phantoms.texture import Texture, Textures
    from osteon_phantoms.trunk_shapes import Block, Box3, Window

__all__ = ["Brush", "Near", "solid_box"]

_COARSE_MM: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """The voxels of a window that lie near a surface.

    Attributes:
        index: flat, into the block.
        distance: of each.
        u: of each, reference mm.
        v: of each.
        w: of each.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float32]
    u: NDArray[np.float32]
    v: NDArray[np.float32]
    w: NDArray[np.float32]

    def __len__(self) -> int:
        """How many."""
        return len(self.index)

    def of(self, texture: Texture, *, stretch: float = 1.0, shift_mm: float = 0.0) -> NDArray[np.float32]:
        """A texture at the voxels; ``stretch`` makes it coarser."""
        factor = np.float32(1 / stretch)
        return texture.at(self.u * factor, self.v * factor, self.w * factor, shift_mm=shift_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Brush:
    """Canvas of one block.

    Attributes:
        block: where its voxels lie.
        hu: (slice, row, column) float32.
        owner: uint8: number of the bone that a voxel belongs to, 0 for none.
        lesion: uint8: number of the lesion.
        metal: bool.
        width_mm: over how many reference millimetres an edge is spread.
        textures: shared.
        shift_mm: the patient's own place in them.
    """

    block: Block
    hu: NDArray[np.float32]
    owner: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    metal: NDArray[np.bool_]
    width_mm: float
    textures: Textures = field(repr=False)
    shift_mm: float

    def lay(
        self,
        solid: Ellipsoid | Loft | Rod,
        value: float,
        *,
        rough_mm: float = 0.0,
        within: NDArray[np.float32] | None = None,
    ) -> None:
        """Fill the inside of a shape of ``solid``; ``within`` is a distance on the whole block that limits it."""
        window = self.block.window(solid_box(solid, 2 + 2 * rough_mm))
        if window is None:
            return
        part = self.block.part(window)
        away = np.broadcast_to(solid.distance(part.points), part.shape)
        if rough_mm:
            away = away + np.float32(rough_mm) * self.tile(self.textures.cloud, window, shift_mm=31)
        if within is not None:
            away = np.maximum(away, within[window])
        self.fill(window, away, value)

    def smooth(self, distance: Callable[[Points], NDArray[np.float32]]) -> NDArray[np.float32]:
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

    def fill(self, window: Window, away: NDArray[np.float32], value: NDArray[np.floating[Any]] | float) -> None:
        """Fill the inside of a distance on a window."""
        canvas = self.hu[window]
        share = share_inside(np.asarray(away), self.width_mm)
        canvas += share * (np.asarray(value, dtype=np.float32) - canvas)

    def tile(
        self, texture: Texture, window: Window, *, stretch: float = 1.0, shift_mm: float = 0.0
    ) -> NDArray[np.float32]:
        """A texture on a window."""
        here = self.block.part(window).points
        factor = np.float32(1 / stretch)
        return texture.at(here.u * factor, here.v * factor, here.w * factor, shift_mm=self.shift_mm + shift_mm)

    def near(self, window: Window, away: NDArray[np.float32], *, reach_mm: float) -> Near:
        """The voxels of a window closer than ``reach_mm`` to the inside of a distance."""
        k, r, c = np.nonzero(away < reach_mm)
        distance = away[k, r, c]
        k, r, c = k + window[0].start, r + window[1].start, c + window[2].start
        _, rows, columns = self.block.shape
        return Near((k * rows + r) * columns + c, distance, self.block.u[c], self.block.v[r], self.block.w[k])

    def blend(
        self,
        near: Near,
        share: NDArray[np.floating[Any]],
        value: NDArray[np.floating[Any]] | np.floating[Any] | float,
        *,
        only_up: bool = False,
    ) -> None:
        """Mix a value into voxels; ``only_up`` leaves those alone that are denser."""
        flat = self.hu.reshape(-1)
        now = flat[near.index]
        mixed = now + share * (np.asarray(value, dtype=np.float32) - now)
        flat[near.index] = np.maximum(mixed, now) if only_up else mixed


def _coarse(axis: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same span in steps of about ``_COARSE_MM``."""
    length = abs(float(axis[-1] - axis[0]))
    count = min(len(axis), max(2, round(length / _COARSE_MM) + 1))
    return np.linspace(axis[0], axis[-1], count, dtype=np.float32)


def solid_box(solid: Ellipsoid | Loft | Rod, reach: float) -> Box3:
    """The box of a shape of ``solid`` with a margin."""
    low, high = solid.w_range
    u, v, radius = solid.disc(low, high)
    radius += reach
    return (u - radius, u + radius), (v - radius, v + radius), (low - reach, high + reach)
