"""Shapes of the trunk, evaluated on a block of voxels at a time: each in its own small window, signed distances in mm.

A block's coordinates stay open, (1, 1, column), (1, row, 1) and (slice, 1, 1), so that what depends on one axis is
computed once along it. The shapes of ``solid`` broadcast in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from osteon_phantoms.solid import FAR_MM, Points, smooth_max, smooth_min

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon_phantoms.solid import Ellipsoid, Loft, Rod

__all__ = ["Block", "Box3", "Framed", "Joined", "Plain", "Plate", "Shape", "Tube", "Window", "box_about", "make_plate"]

Box3 = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Lowest and highest u, v and w."""

Window = tuple[slice, slice, slice]
_MARGIN_MM: Final = 4.0


@dataclass(frozen=True, slots=True)
class Block:
    """Voxels of some slices in the reference frame of the trunk.

    Attributes:
        u: (column,) towards the left, reference mm.
        v: (row,) towards the front.
        w: (slice,) towards the head.
    """

    u: NDArray[np.float32]
    v: NDArray[np.float32]
    w: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slice, row, column)."""
        return len(self.w), len(self.v), len(self.u)

    @property
    def points(self) -> Points:
        """Open coordinates."""
        return Points(self.u[None, None, :], self.v[None, :, None], self.w[:, None, None])

    def window(self, box: Box3) -> Window | None:
        """The voxels within a box, or None when there are none."""
        spans = [_span(axis, span) for axis, span in zip((self.w, self.v, self.u), box[::-1], strict=True)]
        if any(span is None for span in spans):
            return None
        return tuple(spans)  # type: ignore[return-value]

    def part(self, window: Window) -> Block:
        """The block of a window."""
        return Block(self.u[window[2]], self.v[window[1]], self.w[window[0]])


def _span(axis: NDArray[np.float32], wanted: tuple[float, float]) -> slice | None:
    inside = np.flatnonzero((axis >= wanted[0]) & (axis <= wanted[1]))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def box_about(points: Sequence[Sequence[float]], reach: float) -> Box3:
    """The box that holds points with a margin."""
    low, high = np.min(points, axis=0) - reach, np.max(points, axis=0) + reach
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1])), (float(low[2]), float(high[2]))


class Shape(Protocol):
    """What has a box and a signed distance."""

    @property
    def box(self) -> Box3:
        """Holds the shape and a few millimetres about it."""
        ...

    def distance(self, block: Block) -> NDArray[np.float32]:
        """(slice, row, column) signed distance; a shape may answer ``FAR_MM`` beyond a few millimetres."""
        ...


@dataclass(frozen=True, slots=True)
class Framed:
    """Shapes of ``solid`` in a frame of their own, pitched about the axis across the patient.

    Attributes:
        parts: joined, in the own frame.
        cuts: carved out.
        origin: of the own frame.
        pitch_radians: how far its height leans forward.
        blend_mm: fillet between parts.
        cut_blend_mm: fillet at cuts.
        wedge: lost share of the height at the front (a wedge fracture), 0 for none.
        depth_mm: half depth over which it is lost.
        reach: the box in the own frame.
    """

    parts: tuple[Ellipsoid | Loft | Rod, ...]
    cuts: tuple[Ellipsoid | Rod, ...]
    origin: tuple[float, float, float]
    pitch_radians: float
    reach: Box3
    blend_mm: float = 4.0
    cut_blend_mm: float = 2.0
    wedge: float = 0.0
    depth_mm: float = 16.0

    @property
    def box(self) -> Box3:
        """Holds the shape and a few millimetres about it."""
        corners = [self.to_trunk((u, v, w)) for u in self.reach[0] for v in self.reach[1] for w in self.reach[2]]
        return box_about(corners, _MARGIN_MM)

    def to_trunk(self, point: Sequence[float]) -> tuple[float, float, float]:
        """A point of the own frame in that of the trunk."""
        sine, cosine = math.sin(self.pitch_radians), math.cos(self.pitch_radians)
        u, v, w = point
        u0, v0, w0 = self.origin
        return u0 + u, v0 + cosine * v + sine * w, w0 - sine * v + cosine * w

    def local(self, points: Points) -> Points:
        """Points of the trunk in the own frame."""
        sine, cosine = np.float32(math.sin(self.pitch_radians)), np.float32(math.cos(self.pitch_radians))
        u0, v0, w0 = (np.float32(value) for value in self.origin)
        forward, up = points.v - v0, points.w - w0
        v, w = cosine * forward - sine * up, sine * forward + cosine * up
        if self.wedge:
            front = np.clip((v + np.float32(self.depth_mm)) * np.float32(0.5 / self.depth_mm), 0, 1)
            w = w / (1 - np.float32(self.wedge) * front * (w > 0))
        return Points(points.u - u0, v, w)

    def distance(self, block: Block) -> NDArray[np.float32]:
        """Signed distance bound."""
        here = self.local(block.points)
        away: NDArray[np.float32] | None = None
        for part in self.parts:
            one = part.distance(here)
            away = one if away is None else smooth_min(away, one, self.blend_mm)
        if away is None:
            return np.full(block.shape, FAR_MM, dtype=np.float32)
        for cut in self.cuts:
            away = smooth_max(away, -cut.distance(here), self.cut_blend_mm)
        return np.asarray(np.broadcast_to(away, block.shape), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A bent rod: round in the plane across it, taller than thick where it runs level.

    Attributes:
        points: (n, 3) along its middle.
        radii: (n,) half thickness.
        tall: height against thickness.
    """

    points: NDArray[np.float32] = field(repr=False)
    radii: NDArray[np.float32] = field(repr=False)
    tall: float = 1.0

    @property
    def box(self) -> Box3:
        """Holds the shape and a few millimetres about it."""
        return box_about(self.points.tolist(), float(self.radii.max()) * self.tall + _MARGIN_MM)

    def at(self, share: float) -> tuple[float, float, float]:
        """The point at a share of its length."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        u, v, w = (float(np.interp(share * along[-1], along, self.points[:, axis])) for axis in range(3))
        return u, v, w

    def distance(self, block: Block) -> NDArray[np.float32]:
        """Signed distance near the tube, ``FAR_MM`` elsewhere."""
        away = np.full(block.shape, FAR_MM, dtype=np.float32)
        flat = np.float32(1 / self.tall)
        for k in range(len(self.points) - 1):
            first, second = self.points[k], self.points[k + 1]
            r0, r1 = self.radii[k], self.radii[k + 1]
            reach = float(max(r0, r1)) * self.tall + _MARGIN_MM
            window = block.window(box_about([first.tolist(), second.tolist()], reach))
            if window is None:
                continue
            here = block.part(window).points
            axis = (second - first).astype(np.float32)
            axis[2] *= flat
            u, v, w = here.u - first[0], here.v - first[1], (here.w - first[2]) * flat
            share = np.clip((u * axis[0] + v * axis[1] + w * axis[2]) / np.float32(max(axis @ axis, 1e-6)), 0, 1)
            length = np.sqrt(
                np.square(u - share * axis[0]) + np.square(v - share * axis[1]) + np.square(w - share * axis[2])
            )
            np.minimum(away[window], length - (r0 + share * (r1 - r0)), out=away[window])
        return away


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A bent plate of changing thickness, turned about the height: wings of the pelvis, shoulder blades.

    Attributes:
        origin: (u, v) of its frame; w is that of the trunk.
        turn_radians: from the front (plate in the sagittal plane) towards the left.
        low: lowest (y, w) of the tables.
        tables: (3, y, w) at 1 mm: how far it lies off its plane, half thickness across the plane's normal, distance to
            the outline (negative inside).
        slope: (y, w) cosine of the surface's inclination.
        box: holds it.
    """

    origin: tuple[float, float]
    turn_radians: float
    low: tuple[float, float]
    tables: NDArray[np.float32] = field(repr=False)
    slope: NDArray[np.float32] = field(repr=False)
    box: Box3 = field(repr=False)

    def distance(self, block: Block) -> NDArray[np.float32]:
        """Signed distance bound."""
        here = block.points
        cosine, sine = np.float32(math.cos(self.turn_radians)), np.float32(math.sin(self.turn_radians))
        u, v = here.u - np.float32(self.origin[0]), here.v - np.float32(self.origin[1])
        x, y = cosine * u - sine * v, sine * u + cosine * v
        rows, columns = self.tables.shape[1:]
        i = np.clip(y - np.float32(self.low[0]), 0, rows - 1.001)
        j = np.clip(here.w - np.float32(self.low[1]), 0, columns - 1.001)
        bent, thick, outline, slope = (_bilinear(table, i, j) for table in (*self.tables, self.slope))
        across = (np.abs(x - bent)) * slope - thick
        away = smooth_max(np.asarray(across, dtype=np.float32), np.asarray(outline + 0 * across), 5.0)
        return np.asarray(np.broadcast_to(away, block.shape), dtype=np.float32)


def _bilinear(table: NDArray[np.float32], i: NDArray[np.float32], j: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of a table at broadcast places."""
    i0, j0 = i.astype(np.int32), j.astype(np.int32)
    di, dj = i - i0, j - j0
    flat = table.ravel()
    corner = i0 * table.shape[1] + j0
    first = flat[corner] * (1 - dj) + flat[corner + 1] * dj
    corner += table.shape[1]
    second = flat[corner] * (1 - dj) + flat[corner + 1] * dj
    return np.asarray(first * (1 - di) + second * di, dtype=np.float32)


def make_plate(
    outline: Sequence[tuple[float, float]],
    bends: Sequence[tuple[float, float, float, float]],
    *,
    origin: tuple[float, float] = (0.0, 0.0),
    turn_degrees: float = 0.0,
    mirrored: bool = False,
) -> Plate:
    """A plate from its outline and some points of it.

    Args:
        outline: corners (y, w), in order.
        bends: (y, w, how far it lies off the plane to the left, half thickness).
        origin: (u, v) of the frame.
        turn_degrees: of the frame.
        mirrored: for the right side of the body.
    """
    import cv2
    from scipy.interpolate import RBFInterpolator

    corners = np.asarray(outline, dtype=np.float64)
    low, high = np.floor(corners.min(axis=0)) - 16, np.ceil(corners.max(axis=0)) + 16
    rows, columns = (int(n) + 1 for n in high - low)
    grid = np.stack(np.meshgrid(np.arange(rows) + low[0], np.arange(columns) + low[1], indexing="ij"), axis=-1)
    known = np.asarray(bends, dtype=np.float64)
    surface = RBFInterpolator(known[:, :2], known[:, 2:], kernel="thin_plate_spline", smoothing=2.0)
    values = surface(grid.reshape(-1, 2)).reshape(rows, columns, 2)
    drawn = np.zeros((rows, columns), dtype=np.uint8)
    cv2.fillPoly(drawn, [np.rint(corners - low).astype(np.int32)[:, ::-1]], 1)
    inner = cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outer = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    edge = cv2.GaussianBlur((outer - inner).astype(np.float32), (0, 0), sigmaX=3.0)
    gradient = np.gradient(values[..., 0])
    slope = 1 / np.sqrt(1 + np.square(gradient[0]) + np.square(gradient[1]))
    side = -1.0 if mirrored else 1.0
    bent = side * values[..., 0]
    thick = np.clip(values[..., 1], 1.0, 20.0)
    turn = side * math.radians(turn_degrees)
    middle = (side * origin[0], origin[1])
    cosine, sine = math.cos(turn), math.sin(turn)
    inside = drawn > 0
    x, y, w = bent[inside], grid[inside][:, 0], grid[inside][:, 1]
    held = np.stack([middle[0] + cosine * x + sine * y, middle[1] - sine * x + cosine * y, w], axis=1)
    return Plate(
        origin=middle,
        turn_radians=turn,
        low=(float(low[0]), float(low[1])),
        tables=np.stack([bent, thick, edge]).astype(np.float32),
        slope=slope.astype(np.float32),
        box=box_about(held.tolist(), float(thick[inside].max()) + _MARGIN_MM),
    )


@dataclass(frozen=True, slots=True)
class Joined:
    """Shapes joined by fillets, others carved out.

    Attributes:
        parts: joined; each is evaluated in its own window.
        cuts: carved out.
        blend_mm: fillet between parts.
        gap_mm: how far the result keeps from the cuts.
    """

    parts: tuple[Shape, ...]
    cuts: tuple[Shape, ...] = ()
    blend_mm: float = 6.0
    gap_mm: float = 0.0

    @property
    def box(self) -> Box3:
        """Holds the shape and a few millimetres about it."""
        boxes = np.array([part.box for part in self.parts])
        low, high = boxes[:, :, 0].min(axis=0), boxes[:, :, 1].max(axis=0)
        return (float(low[0]), float(high[0])), (float(low[1]), float(high[1])), (float(low[2]), float(high[2]))

    def distance(self, block: Block) -> NDArray[np.float32]:
        """Signed distance near the shapes."""
        away = np.full(block.shape, FAR_MM, dtype=np.float32)
        for part in self.parts:
            window = block.window(_grown(part.box, self.blend_mm))
            if window is not None:
                away[window] = smooth_min(away[window], part.distance(block.part(window)), self.blend_mm)
        for cut in self.cuts:
            window = block.window(_grown(cut.box, self.gap_mm))
            if window is not None:
                hollow = np.float32(self.gap_mm) - cut.distance(block.part(window))
                away[window] = np.maximum(away[window], hollow)
        return away


def _grown(box: Box3, reach: float) -> Box3:
    (a, b), (c, d), (e, f) = box
    return (a - reach, b + reach), (c - reach, d + reach), (e - reach, f + reach)


@dataclass(frozen=True, slots=True)
class Plain:
    """A shape of ``solid`` in the frame of the trunk.

    Attributes:
        solid: the shape.
        box: holds it.
    """

    solid: Ellipsoid | Loft | Rod
    box: Box3

    def distance(self, block: Block) -> NDArray[np.float32]:
        """Signed distance bound."""
        return np.asarray(np.broadcast_to(self.solid.distance(block.points), block.shape), dtype=np.float32)
