"""Shapes as signed distances: negative inside, about millimetres near the surface.

A shape is evaluated at ``Points`` whose coordinates broadcast: on an image plane ``u`` and ``v`` are (row, column) and
``w`` is (row, 1) or (1, 1), because no image plane of this package is turned about the patient's front-back axis; on a
block of slices all three are open. What depends on one axis alone is then computed once along it.

Reference: https://iquilezles.org/articles/distfunctions (smooth union, rounded cone, the ellipsoid bound).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

F32 = NDArray[np.float32]

__all__ = [
    "F32",
    "FAR_MM", "Ellipsoid", "Loft", "Points", "Profile", "Rod", "Simple", "Solid", "make_loft", "profile_at", "shape_of",
    "smooth_max", "smooth_min", "solid_of", "span", "united",
]  # fmt: skip

FAR_MM: Final = np.float32(1e3)
"""The distance given to points that a shape cannot reach."""

_EPSILON: Final = np.float32(1e-3)

Profile = tuple[tuple[float, float], ...]
"""Rows of (w, value)."""


def profile_at(rows: Profile, w: F32 | float) -> F32:
    """Values of a profile at heights w, linear between its rows."""
    heights, values = zip(*sorted(rows), strict=True)
    return np.asarray(np.interp(w, heights, values), dtype=np.float32)


def span(axis: F32, wanted: tuple[float, float]) -> slice | None:
    """The run of monotone values that is in a range, or None."""
    inside = np.flatnonzero((axis >= wanted[0]) & (axis <= wanted[1]))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


@dataclass(frozen=True, slots=True)
class Points:
    """Where voxels are in the frame of a limb or the trunk, in reference millimetres; the coordinates broadcast.

    Attributes:
        u: towards the lateral side of a limb, the left of the trunk.
        v: towards the front.
        w: towards the head.
    """

    u: F32
    v: F32
    w: F32

    def window(self, rows: slice, columns: slice) -> Points:
        """The points of a part of a plane."""
        height = self.w[rows] if self.w.shape[0] > 1 else self.w
        return Points(self.u[rows, columns], self.v[rows, columns], height)

    @property
    def w_range(self) -> tuple[float, float]:
        """Lowest and highest w."""
        return float(self.w.min()), float(self.w.max())


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid along the axes of the frame."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]

    @property
    def w_range(self) -> tuple[float, float]:
        """Lowest and highest w of the shape."""
        return self.centre[2] - self.radii[2], self.centre[2] + self.radii[2]

    def disc(self, low: float, high: float) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds every section between two heights."""
        del low, high
        return self.centre[0], self.centre[1], max(self.radii[:2])

    def grown(self, by_mm: float, *, least: float = 0.0) -> Ellipsoid:
        """With other half axes."""
        a, b, c = (max(radius + by_mm, least) for radius in self.radii)
        return Ellipsoid(self.centre, (a, b, c))

    def distance(self, points: Points) -> F32:
        """Signed distance bound at the points."""
        offsets = [axis - np.float32(at) for axis, at in zip((points.u, points.v, points.w), self.centre, strict=True)]
        scaled = sum(np.square(o / np.float32(r)) for o, r in zip(offsets, self.radii, strict=True))
        steep = sum(np.square(o / np.float32(r * r)) for o, r in zip(offsets, self.radii, strict=True))
        length = np.sqrt(scaled)
        return np.asarray(length * (length - 1) / (np.sqrt(steep) + np.float32(1e-6)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Rod:
    """A rounded rod from one point to another with a radius at each end; both heights within the radii give a ball."""

    start: tuple[float, float, float]
    stop: tuple[float, float, float]
    radius_start: float
    radius_stop: float

    @property
    def w_range(self) -> tuple[float, float]:
        """Lowest and highest w of the shape."""
        ends = ((self.start[2], self.radius_start), (self.stop[2], self.radius_stop))
        return min(w - r for w, r in ends), max(w + r for w, r in ends)

    def disc(self, low: float, high: float) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds every section between two heights."""
        axis = np.subtract(self.stop, self.start)
        reach = max(self.radius_start, self.radius_stop)
        ends = np.array([0.0, 1.0])
        if abs(axis[2]) > _EPSILON:
            ends = np.clip(((np.array([low - reach, high + reach]) - self.start[2]) / axis[2]), 0, 1)
        first, second = (np.asarray(self.start)[:2] + t * axis[:2] for t in ends)
        middle = (first + second) / 2
        return float(middle[0]), float(middle[1]), float(np.hypot(*(first - second)) / 2 + reach)

    def grown(self, by_mm: float, *, least: float = 0.0) -> Rod:
        """With other radii, whatever is the least."""
        del least
        return Rod(self.start, self.stop, self.radius_start + by_mm, self.radius_stop + by_mm)

    def distance(self, points: Points, *, flat: float = 1.0) -> F32:
        """Signed distance at the points (exact for equal radii, a close bound otherwise), the height counting less."""
        axis = np.subtract(self.stop, self.start).astype(np.float32)
        axis[2] *= np.float32(flat)
        u, v, w = (axis - np.float32(at) for axis, at in zip((points.u, points.v, points.w), self.start, strict=True))
        w = w * np.float32(flat)
        along = np.clip((u * axis[0] + v * axis[1] + w * axis[2]) / np.float32(axis @ axis), 0, 1)
        radius = np.float32(self.radius_start) + along * np.float32(self.radius_stop - self.radius_start)
        away = np.sqrt(np.square(u - along * axis[0]) + np.square(v - along * axis[1]) + np.square(w - along * axis[2]))
        return np.asarray(away - radius, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Loft:
    """A tube whose section changes with height.

    Attributes:
        w_low_mm: height of the first row of the table.
        table: (heights at 1 mm, 7) float32: centre u, centre v, half width, half depth, triangle, square, slope.
        apex_radians: where a corner of the triangular part points; pi / 2 is forward.
        round_mm: how much the edges of its two ends are rounded.
    """

    w_low_mm: float
    table: F32 = field(repr=False)
    apex_radians: float
    round_mm: float = 4.0

    @property
    def w_range(self) -> tuple[float, float]:
        """Lowest and highest w of the shape."""
        return self.w_low_mm, self.w_low_mm + len(self.table) - 1

    def section(self, w: F32) -> list[F32]:
        """The seven columns at heights w, each of the shape of w; clamped to the ends."""
        place = np.clip(w - np.float32(self.w_low_mm), 0, len(self.table) - 1)
        below = np.minimum(place.astype(np.int32), len(self.table) - 2)
        share = (place - below)[..., None]
        rows = self.table[below] * (1 - share) + self.table[below + 1] * share
        return [rows[..., column] for column in range(rows.shape[-1])]

    def disc(self, low: float, high: float) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds every section between two heights."""
        heights = np.array([low, (low + high) / 2, high], dtype=np.float32)
        u, v, width, depth, triangle, square, _ = self.section(heights)
        middle = float(u.min() + u.max()) / 2, float(v.min() + v.max()) / 2
        away = np.hypot(u - middle[0], v - middle[1]) + np.maximum(width, depth) + np.abs(triangle) + np.abs(square)
        return middle[0], middle[1], float(away.max())

    def distance(self, points: Points) -> F32:
        """Signed distance bound at the points."""
        u0, v0, width, depth, triangle, square, slope = self.section(points.w)
        x = points.u - u0
        y = points.v - v0
        across, forward = x / width, y / depth
        length = np.sqrt(across * across + forward * forward)
        across /= width
        forward /= depth
        steep = np.sqrt(across * across + forward * forward) + np.float32(1e-6)
        away = length * (length - 1) / steep
        if triangle.any() or square.any():
            away = away - self._corners(x, y, triangle=triangle, square=square)
        away = away * slope
        lowest, highest = self.w_range
        beyond = np.maximum(points.w - np.float32(highest), np.float32(lowest) - points.w)
        if float(beyond.max()) < -20:
            return np.asarray(away, dtype=np.float32)
        return smooth_max(np.asarray(away, dtype=np.float32), beyond, self.round_mm)

    def _corners(self, x: F32, y: F32, *, triangle: F32, square: F32) -> F32:
        """How far the third and fourth harmonic push the outline out."""
        radius = np.sqrt(x * x + y * y) + _EPSILON
        turn = (np.float32(np.cos(self.apex_radians)), np.float32(np.sin(self.apex_radians)))
        cosine = (x * turn[0] + y * turn[1]) / radius
        squared = cosine * cosine
        third = cosine * (4 * squared - 3)
        sine_x = np.square(x / radius)
        fourth = 1 - 8 * sine_x * (1 - sine_x)
        push = triangle * third - square * fourth
        return np.asarray(push * radius / (radius + 4), dtype=np.float32)


Simple = Ellipsoid | Loft | Rod


def make_loft(rows: Sequence[Sequence[float]], *, apex_degrees: float = 90.0, round_mm: float = 4.0) -> Loft:
    """Interpolate a table of sections.

    Args:
        rows: (w, centre u, centre v, half width, half depth[, triangle mm[, square mm]]), in any order of w.
        apex_degrees: where a corner of the triangular part points; 90 is forward, 0 lateral.
        round_mm: how much the edges of its two ends are rounded.
    """
    from scipy.interpolate import PchipInterpolator

    padded = np.array(sorted([*row, *([0.0] * (7 - len(row)))] for row in rows))
    heights = np.arange(np.floor(padded[0, 0]), np.ceil(padded[-1, 0]) + 1)
    columns = PchipInterpolator(padded[:, 0], padded[:, 1:], axis=0, extrapolate=False)(
        np.clip(heights, padded[0, 0], padded[-1, 0])
    )
    growth = np.gradient(columns[:, 2:4].mean(axis=1), heights)
    slope = 1 / np.hypot(1, growth)
    table = np.column_stack([columns, slope]).astype(np.float32)
    return Loft(
        w_low_mm=float(heights[0]), table=table, apex_radians=float(np.deg2rad(apex_degrees)), round_mm=round_mm
    )


def shape_of(entry: Any, *, outward: float = 1.0) -> Simple:  # noqa: ANN401 - JSON
    """A shape from a table: 6 numbers an ellipsoid (centre, radii), 8 a rod (start, stop, radii), rows a loft.

    Args:
        entry: the numbers; a loft may also be an object of ``rows``, ``apex`` and ``round``.
        outward: -1 mirrors an ellipsoid or a rod to the right.

    Example:
        >>> shape_of([1, 2, 3, 4, 5, 6], outward=-1.0)
        Ellipsoid(centre=(-1.0, 2, 3), radii=(4, 5, 6))
    """
    if isinstance(entry, dict):
        return make_loft(entry["rows"], apex_degrees=entry.get("apex", 90.0), round_mm=entry.get("round", 4.0))
    if isinstance(entry[0], list):
        return make_loft(entry)
    start = (outward * entry[0], entry[1], entry[2])
    if len(entry) == 6:
        return Ellipsoid(start, (entry[3], entry[4], entry[5]))
    return Rod(start, (outward * entry[3], entry[4], entry[5]), entry[6], entry[7])


def smooth_min(a: F32, b: F32, blend_mm: float) -> F32:
    """Union of two shapes with a fillet of about ``blend_mm``."""
    if blend_mm <= 0:
        return np.minimum(a, b)
    near = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - near * near * np.float32(0.25 / blend_mm))


def smooth_max(a: F32, b: F32, blend_mm: float) -> F32:
    """Intersection of two shapes with a fillet of about ``blend_mm``."""
    return -smooth_min(-a, -b, blend_mm)


def united(parts: Sequence[Simple], points: Points, blend_mm: float) -> F32 | None:
    """Signed distance bound to shapes joined by fillets; None for none."""
    away: F32 | None = None
    for part in parts:
        here = part.distance(points)
        away = here if away is None else smooth_min(away, here, blend_mm)
    return away


@dataclass(frozen=True, slots=True)
class Solid:
    """Shapes joined by fillets, then others carved out.

    Attributes:
        parts: joined.
        cuts: carved out of the union.
        blend_mm: fillet between parts; 0 keeps edges.
        cut_blend_mm: fillet at the cuts.
    """

    parts: tuple[Simple, ...]
    cuts: tuple[Simple, ...] = ()
    blend_mm: float = 4.0
    cut_blend_mm: float = 3.0

    @property
    def w_range(self) -> tuple[float, float]:
        """Lowest and highest w of the shape."""
        ranges = [part.w_range for part in self.parts]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def disc(self, low: float, high: float) -> tuple[float, float, float] | None:
        """Centre (u, v) and radius of a disc that holds every section between two heights; None where there is none."""
        discs = [part.disc(low, high) for part in self._near(low, high)]
        if not discs:
            return None
        left, right = min(u - r for u, _, r in discs), max(u + r for u, _, r in discs)
        back, front = min(v - r for _, v, r in discs), max(v + r for _, v, r in discs)
        radius = float(np.hypot(right - left, front - back)) / 2 if len(discs) > 1 else discs[0][2]
        return (left + right) / 2, (back + front) / 2, radius + self.blend_mm

    def distance(self, points: Points, *, whole: bool = False) -> F32:
        """Signed distance bound at the points; ``whole`` looks at all parts, also those at other heights."""
        low, high = (-np.inf, np.inf) if whole else points.w_range
        away = united(self._near(low, high), points, self.blend_mm)
        if away is None:
            return np.full(points.u.shape, FAR_MM, dtype=np.float32)
        for cut in self.cuts:
            lowest, highest = cut.w_range
            if lowest - self.cut_blend_mm < high and highest + self.cut_blend_mm > low:
                away = smooth_max(away, -cut.distance(points), self.cut_blend_mm)
        return away

    def _near(self, low: float, high: float) -> list[Simple]:
        reach = self.blend_mm + 2
        return [part for part in self.parts if part.w_range[0] - reach < high and part.w_range[1] + reach > low]


def solid_of(entry: dict[str, Any]) -> Solid:
    """A solid from a table: ``parts``, and perhaps ``cuts``, ``blend`` and ``cut_blend``."""
    parts, cuts = (tuple(shape_of(part) for part in entry.get(name, ())) for name in ("parts", "cuts"))
    return Solid(parts, cuts, blend_mm=entry.get("blend", 4.0), cut_blend_mm=entry.get("cut_blend", 3.0))
