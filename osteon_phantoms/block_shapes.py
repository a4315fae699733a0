"""Shapes of the trunk, evaluated on a block of voxels at a time, each in its own small window."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon_phantoms.shapes import FAR_MM, Ellipsoid, Points, Rod, Solid, smooth_max, smooth_min, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon_phantoms.shapes import F32, Simple

__all__ = [
    "Block", "Box3", "Framed", "Joined", "Plate", "Shape", "Tube", "Window", "box_about", "make_plate", "solid_box",
]  # fmt: skip

Box3 = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Lowest and highest u, v and w."""

Window = tuple[slice, slice, slice]
_MARGIN_MM: Final = 4.0


@dataclass(frozen=True, slots=True)
class Block:
    """Voxels of some slices, along three open axes.

    Attributes:
        u: (column,) reference mm.
        v: (row,).
        w: (slice,).
    """

    u: F32
    v: F32
    w: F32

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
        spans = [span(axis, wanted) for axis, wanted in zip((self.w, self.v, self.u), box[::-1], strict=True)]
        if any(part is None for part in spans):
            return None
        return tuple(spans)  # type: ignore[return-value]

    def part(self, window: Window) -> Block:
        """The block of a window."""
        return Block(self.u[window[2]], self.v[window[1]], self.w[window[0]])


def box_about(points: Sequence[Sequence[float]], reach: float) -> Box3:
    """The box that holds points with a margin."""
    low, high = np.min(points, axis=0) - reach, np.max(points, axis=0) + reach
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1])), (float(low[2]), float(high[2]))


def solid_box(solid: Simple, reach: float) -> Box3:
    """The box of a simple shape with a margin."""
    low, high = solid.w_range
    u, v, radius = solid.disc(low, high)
    radius += reach
    return (u - radius, u + radius), (v - radius, v + radius), (low - reach, high + reach)


@dataclass(frozen=True, slots=True)
class Framed:
    """A solid in a frame of its own, pitched about the axis across the patient.

    Attributes:
        solid: in the own frame.
        reach: its box there.
        origin: of the own frame.
        pitch_radians: how far its height leans forward.
        wedge: lost share of the height at the front (a wedge fracture), 0 for none.
        depth_mm: half depth over which it is lost.
    """

    solid: Solid
    reach: Box3
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pitch_radians: float = 0.0
    wedge: float = 0.0
    depth_mm: float = 16.0

    @classmethod
    def of(cls, shape: Ellipsoid | Rod, reach: float | None = None) -> Framed:
        """A simple shape where it is; ``reach`` stands in for its largest radius."""
        ends = [shape.centre] if isinstance(shape, Ellipsoid) else [shape.start, shape.stop]
        radii = shape.radii if isinstance(shape, Ellipsoid) else (shape.radius_start, shape.radius_stop)
        return cls(Solid((shape,)), box_about(ends, reach or max(radii)))

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

    def distance(self, block: Block) -> F32:
        """(slice, row, column) signed distance bound."""
        away = self.solid.distance(self.local(block.points), whole=True)
        return np.asarray(np.broadcast_to(away, block.shape), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A bent rod: round in the plane across it, taller than thick where it runs level.

    Attributes:
        points: (n, 3) along its middle.
        radii: (n,) half thickness.
        tall: height against thickness.
    """

    points: F32 = field(repr=False)
    radii: F32 = field(repr=False)
    tall: float = 1.0

    @classmethod
    def along(cls, points: object, radii: object, *, tall: float = 1.0) -> Tube:
        """A tube through places."""
        return cls(np.asarray(points, dtype=np.float32), np.asarray(radii, dtype=np.float32), tall)

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

    def distance(self, block: Block) -> F32:
        """Signed distance near the tube, ``FAR_MM`` elsewhere."""
        away = np.full(block.shape, FAR_MM, dtype=np.float32)
        for (first, r0), (second, r1) in pairwise(zip(self.points.tolist(), self.radii.tolist(), strict=True)):
            window = block.window(box_about([first, second], max(r0, r1) * self.tall + _MARGIN_MM))
            if window is not None:
                rod = Rod(first, second, r0, r1)
                here = rod.distance(block.part(window).points, flat=1 / self.tall)
                np.minimum(away[window], here, out=away[window])
        return away


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A bent plate of changing thickness, turned about the height: wings of the pelvis, scapulas.

    Attributes:
        origin: (u, v) of its frame; w is that of the trunk.
        turn_radians: from the front (plate in the sagittal plane) towards the left.
        low: lowest (y, w) of the tables.
        tables: (4, y, w) at 1 mm: how far it is off its plane, half thickness across the plane's normal, distance to
            the outline (negative inside), cosine of the surface's inclination.
        box: holds it.
    """

    origin: tuple[float, float]
    turn_radians: float
    low: tuple[float, float]
    tables: F32 = field(repr=False)
    box: Box3 = field(repr=False)

    def distance(self, block: Block) -> F32:
        """Signed distance bound."""
        here = block.points
        cosine, sine = np.float32(math.cos(self.turn_radians)), np.float32(math.sin(self.turn_radians))
        u, v = here.u - np.float32(self.origin[0]), here.v - np.float32(self.origin[1])
        x, y = cosine * u - sine * v, sine * u + cosine * v
        rows, columns = self.tables.shape[1:]
        i = np.clip(y - np.float32(self.low[0]), 0, rows - 1.001)
        j = np.clip(here.w - np.float32(self.low[1]), 0, columns - 1.001)
        bent, thick, outline, slope = (_bilinear(table, i, j) for table in self.tables)
        across = (np.abs(x - bent)) * slope - thick
        away = smooth_max(np.asarray(across, dtype=np.float32), np.asarray(outline + 0 * across), 5.0)
        return np.asarray(np.broadcast_to(away, block.shape), dtype=np.float32)


def _bilinear(table: F32, i: F32, j: F32) -> F32:
    """Values of a table at broadcast places."""
    i0, j0 = i.astype(np.int32), j.astype(np.int32)
    di, dj = i - i0, j - j0
    flat = table.ravel()
    corner = i0 * table.shape[1] + j0
    first = flat[corner] * (1 - dj) + flat[corner + 1] * dj
    corner += table.shape[1]
    second = flat[corner] * (1 - dj) + flat[corner + 1] * dj
    return np.asarray(first * (1 - di) + second * di, dtype=np.float32)


def make_plate(entry: dict[str, Any], *, outward: float) -> Plate:
    """A plate from its outline and some points of it.

    Args:
        entry: ``outline``: corners (y, w), in order; ``bends``: (y, w, how far it is off the plane to the left, half
            thickness); and perhaps ``origin``: (u, v) of the frame, ``turn_degrees``: of the frame.
        outward: -1 mirrors it to the right side of the body.
    """
    import cv2
    from scipy.interpolate import RBFInterpolator

    corners = np.asarray(entry["outline"], dtype=np.float64)
    low, high = np.floor(corners.min(axis=0)) - 16, np.ceil(corners.max(axis=0)) + 16
    rows, columns = (int(n) + 1 for n in high - low)
    grid = np.stack(np.meshgrid(np.arange(rows) + low[0], np.arange(columns) + low[1], indexing="ij"), axis=-1)
    known = np.asarray(entry["bends"], dtype=np.float64)
    surface = RBFInterpolator(known[:, :2], known[:, 2:], kernel="thin_plate_spline", smoothing=2.0)
    values = surface(grid.reshape(-1, 2)).reshape(rows, columns, 2)
    drawn = np.zeros((rows, columns), dtype=np.uint8)
    cv2.fillPoly(drawn, [np.rint(corners - low).astype(np.int32)[:, ::-1]], 1)
    inner = cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outer = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    edge = cv2.GaussianBlur((outer - inner).astype(np.float32), (0, 0), sigmaX=3.0)
    gradient = np.gradient(values[..., 0])
    slope = 1 / np.sqrt(1 + np.square(gradient[0]) + np.square(gradient[1]))
    bent = outward * values[..., 0]
    thick = np.clip(values[..., 1], 1.0, 20.0)
    turn = outward * math.radians(entry.get("turn_degrees", 0.0))
    u, v = entry.get("origin", (0.0, 0.0))
    middle = (outward * u, v)
    cosine, sine = math.cos(turn), math.sin(turn)
    inside = drawn > 0
    x, y, w = bent[inside], grid[inside][:, 0], grid[inside][:, 1]
    held = np.stack([middle[0] + cosine * x + sine * y, middle[1] - sine * x + cosine * y, w], axis=1)
    return Plate(
        origin=middle,
        turn_radians=turn,
        low=(float(low[0]), float(low[1])),
        tables=np.stack([bent, thick, edge, slope]).astype(np.float32),
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

    def distance(self, block: Block) -> F32:
        """Signed distance near the shapes."""
        away = np.full(block.shape, FAR_MM, dtype=np.float32)
        for part in self.parts:
            window = block.window(_wider(part.box, self.blend_mm))
            if window is not None:
                away[window] = smooth_min(away[window], part.distance(block.part(window)), self.blend_mm)
        for cut in self.cuts:
            window = block.window(_wider(cut.box, self.gap_mm))
            if window is not None:
                hollow = np.float32(self.gap_mm) - cut.distance(block.part(window))
                away[window] = np.maximum(away[window], hollow)
        return away


def _wider(box: Box3, reach: float) -> Box3:
    (a, b), (c, d), (e, f) = box
    return (a - reach, b + reach), (c - reach, d + reach), (e - reach, f + reach)


Shape = Framed | Tube | Plate | Joined
"""What has a box, which holds it and a few millimetres about it, and a signed distance on a block."""
