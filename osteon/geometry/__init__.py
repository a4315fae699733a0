"""Where a voxel is: one convention, (slice, row, column) indices and LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.errors import GeometryMismatchError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ANGLE_TOLERANCE",
    "POSITION_TOLERANCE_MM",
    "SPACING_TOLERANCE",
    "Box",
    "Grid",
    "Turn",
    "axial_turn",
    "turn_onto",
    "turn_towards",
]


ANGLE_TOLERANCE: Final = 1e-3
"""Largest difference between direction cosines that count as equal (0.06 degrees)."""

SPACING_TOLERANCE: Final = 1e-2
"""Largest relative difference between spacings that count as equal.

Scanners round positions to 0.1 or 0.01 mm; 1 % of a 1 mm step accepts that and still shows a missing slice.
"""

POSITION_TOLERANCE_MM: Final = 1e-2
"""Largest distance between positions that count as one position."""

SMALLEST_SPACING_MM: Final = 1e-4
LARGEST_SPACING_MM: Final = 1e3
"""Micro-CT has 0.001 mm; what is beyond these is a damaged header, and ends in overflows later."""

_AXIAL: Final = np.array([(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
"""Feet to head, front to back, the patient's right to left."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Shape and affine of an orthogonal, uniformly spaced volume.

    Attributes:
        shape: voxels along (slice, row, column); all at least 1.
        affine: (4, 4) float64; maps (slice, row, column, 1) to (x, y, z, 1) in LPS millimetres:
            +x is the patient's left, +y posterior, +z head. Index 0 is the centre of the first voxel.
        unit: "mm"; "pixel" where the image says neither how large a pixel is nor where it is: then nothing may be
            given in millimetres or called left or right.

    Either handedness is allowed. The axes must be orthogonal and the spacings positive.

    Raises:
        InputError: non-finite numbers, an empty shape, a degenerate or sheared affine, a spacing that no scanner has.

    Example:
        >>> grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2.0, 1.0, 1.0))
        >>> grid.to_lps_mm([1, 0, 3]).tolist()
        [3.0, 0.0, 2.0]
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    unit: Literal["mm", "pixel"] = "mm"

    def __post_init__(self) -> None:
        """Refuse what cannot be a grid; keep the affine read-only."""
        affine = np.array(self.affine, dtype=np.float64)
        if not np.isfinite(affine).all():
            raise InputError("the geometry holds NaN or infinite numbers: position, orientation or spacing is broken")
        if affine.shape != (4, 4) or not np.allclose(affine[3], (0, 0, 0, 1)):
            raise InputError(f"an affine must be 4x4 with last row 0 0 0 1, found shape {affine.shape}")
        if min(self.shape) < 1:
            raise InputError(f"a grid needs three axes of at least one voxel, found shape {tuple(self.shape)}")
        with np.errstate(over="ignore"):  # too large a spacing is refused below
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
        if (spacing <= 0).any():
            raise InputError(f"voxel spacing must be positive, found {spacing.tolist()} mm (slice, row, column)")
        if self.unit == "mm" and not (spacing.min() >= SMALLEST_SPACING_MM and spacing.max() <= LARGEST_SPACING_MM):
            raise InputError(
                f"voxel spacing must be from {SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm, found "
                f"{' x '.join(f'{value:g}' for value in spacing)} mm (slice, row, column): the header (Pixel Spacing, "
                "positions; in NIfTI the affine or its unit) is damaged"
            )
        cosines = affine[:3, :3] / spacing
        skew = float(np.abs(cosines.T @ cosines - np.eye(3)).max())
        if skew > ANGLE_TOLERANCE:
            raise InputError(
                f"the axes are not orthogonal (largest cosine {skew:.4f}): a sheared grid, as of a tilted gantry, "
                "must be corrected before it is used"
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def of_pixels(cls, rows: int, columns: int) -> Grid:
        """The grid of one plane of which neither size nor place are known."""
        return cls(shape=(1, rows, columns), affine=np.eye(4)[[2, 1, 0, 3]], unit="pixel")

    @property
    def is_in_mm(self) -> bool:
        """Whether lengths and sides of the patient are known."""
        return self.unit == "mm"

    @classmethod
    def from_axes(
        cls,
        *,
        shape: Sequence[int],
        spacing_mm: Sequence[float],
        directions: ArrayLike | None = None,
        origin_lps_mm: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Grid:
        """Build a grid from spacing, axis directions and the centre of voxel (0, 0, 0).

        Args:
            shape: (slice, row, column).
            spacing_mm: distance between neighbours along (slice, row, column).
            directions: (3, 3); row i is the LPS unit vector in which index i grows. Default: an axial
                head-up series, slices +z, rows +y, columns +x.
            origin_lps_mm: centre of voxel (0, 0, 0).

        Raises:
            InputError: as the class.
        """
        axes = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)] if directions is None else directions, dtype=np.float64)
        affine = np.eye(4)
        affine[:3, :3] = (axes * np.asarray(spacing_mm, dtype=np.float64)[:, None]).T
        affine[:3, 3] = origin_lps_mm
        slices, rows, columns = (int(n) for n in shape)
        return cls(shape=(slices, rows, columns), affine=affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along (slice, row, column)."""
        slice_mm, row_mm, column_mm = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return slice_mm, row_mm, column_mm

    @property
    def directions(self) -> NDArray[np.float64]:
        """(3, 3); row i is the LPS unit vector in which index i grows."""
        return np.asarray((self.affine[:3, :3] / np.asarray(self.spacing_mm)).T)

    @property
    def origin_lps_mm(self) -> NDArray[np.float64]:
        """(3,) centre of voxel (0, 0, 0)."""
        return np.asarray(self.affine[:3, 3])

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm))

    def to_lps_mm(self, points_vox: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) voxel indices (slice, row, column; fractions allowed) to LPS millimetres."""
        points = np.asarray(points_vox, dtype=np.float64)
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_vox(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) LPS millimetres to fractional voxel indices (slice, row, column)."""
        inverse = np.linalg.inv(self.affine)
        points = np.asarray(points_lps_mm, dtype=np.float64)
        return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """The grid of ``array[start[0]:stop[0], start[1]:stop[1], start[2]:stop[2]]``.

        Raises:
            InputError: the crop is empty or reaches outside.
        """
        inside = all(0 <= a < b <= n for a, b, n in zip(start, stop, self.shape, strict=True))
        if not inside:
            raise InputError(f"crop {tuple(start)} to {tuple(stop)} is not inside {self.shape}")
        affine = self.affine.copy()
        affine[:3, 3] = self.to_lps_mm(list(start))
        slices, rows, columns = (int(b) - int(a) for a, b in zip(start, stop, strict=True))
        return Grid(shape=(slices, rows, columns), affine=affine, unit=self.unit)

    def same_as(self, other: Grid) -> bool:
        """Whether both grids put every voxel at the same place, within the tolerances of this package."""
        if self.shape != other.shape:
            return False
        relative = np.abs(np.asarray(self.spacing_mm) / np.asarray(other.spacing_mm) - 1).max()
        corners = [(0, 0, 0), tuple(n - 1 for n in self.shape)]
        far = np.abs(self.to_lps_mm(corners) - other.to_lps_mm(corners)).max()
        turned = np.abs(self.directions - other.directions).max()
        limit = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * min(self.spacing_mm))
        return bool(relative <= SPACING_TOLERANCE and far <= limit and turned <= ANGLE_TOLERANCE)

    def require_same(self, other: Grid, *, what: str) -> None:
        """Raise unless both grids agree.

        Raises:
            GeometryMismatchError: they differ; the message names ``what`` and both grids.
        """
        if not self.same_as(other):
            raise GeometryMismatchError(f"{what} must be on one grid, found {self} and {other}")

    def __repr__(self) -> str:
        """As the text."""
        return f"Grid({self})"

    def __str__(self) -> str:
        """Shape, spacing and origin in one line."""
        spacing = " x ".join(f"{v:.3g}" for v in self.spacing_mm)
        origin = ", ".join(f"{v:.1f}" for v in self.origin_lps_mm)
        return f"{' x '.join(map(str, self.shape))} voxels at {spacing} mm from ({origin}) LPS mm"


@dataclass(frozen=True, slots=True)
class Box:
    """A block of voxels of one grid: half-open index ranges.

    Attributes:
        start: first (slice, row, column) inside.
        stop: first (slice, row, column) outside.

    Raises:
        InputError: the box is empty on an axis.

    Example:
        >>> Box(start=(0, 0, 0), stop=(2, 3, 4)).shape
        (2, 3, 4)
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        if any(b <= a for a, b in zip(self.start, self.stop, strict=True)):
            raise InputError(f"a box must hold at least one voxel, found {self.start} to {self.stop}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (slice, row, column)."""
        slices, rows, columns = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return slices, rows, columns

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box into an array on the grid."""
        first, second, third = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return first, second, third

    def corners_lps_mm(self, grid: Grid) -> NDArray[np.float64]:
        """(8, 3) corners at the outer faces of the voxels; bit 2, 1, 0 of the row number picks slice, row, column."""
        ends = [(a - 0.5, b - 0.5) for a, b in zip(self.start, self.stop, strict=True)]
        return grid.to_lps_mm(list(product(*ends)))

    def bounds_lps_mm(self, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest LPS coordinates of the corners, each (3,)."""
        corners = self.corners_lps_mm(grid)
        return np.asarray(corners.min(axis=0)), np.asarray(corners.max(axis=0))

    def volume_mm3(self, grid: Grid) -> float:
        """Volume of the box."""
        return float(np.prod(self.shape)) * grid.voxel_volume_mm3


@dataclass(frozen=True, slots=True)
class Turn:
    """A transposition and flips.

    Attributes:
        order: old axis behind each new axis.
        flipped: whether a new axis runs against its old one.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def array(self, array: NDArray[Any]) -> NDArray[Any]:
        """View of a (slice, row, column) array along the new axes."""
        return array.transpose(self.order)[tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)]

    def grid(self, grid: Grid) -> Grid:
        """The grid of the turned array."""
        affine = grid.affine.copy()
        first = [0, 0, 0]
        for new, (old, flip) in enumerate(zip(self.order, self.flipped, strict=True)):
            affine[:3, new] = grid.affine[:3, old] * (-1 if flip else 1)
            first[old] = grid.shape[old] - 1 if flip else 0
        affine[:3, 3] = grid.to_lps_mm(first)
        slices, rows, columns = (grid.shape[axis] for axis in self.order)
        return Grid(shape=(slices, rows, columns), affine=affine)

    def box_before(self, box: Box, shape: tuple[int, int, int]) -> Box:
        """A box of the turned array as one of the array that was turned, which has that shape.

        Example:
            >>> Turn((1, 0, 2), (True, False, False)).box_before(Box((0, 1, 2), (2, 3, 4)), (5, 8, 9))
            Box(start=(1, 6, 2), stop=(3, 8, 4))
        """
        start, stop = [0, 0, 0], [0, 0, 0]
        for new, (old, flip) in enumerate(zip(self.order, self.flipped, strict=True)):
            low, high = box.start[new], box.stop[new]
            start[old], stop[old] = (shape[old] - high, shape[old] - low) if flip else (low, high)
        return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))


def axial_turn(grid: Grid) -> Turn:
    """The turn that makes slices ascend to the head, rows to the back, columns to the left, as nearly as axes allow.

    Example:
        >>> axial_turn(
        ...     Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2, 1, 1), directions=[(0, 0, 1), (0, -1, 0), (1, 0, 0)])
        ... )
        Turn(order=(0, 1, 2), flipped=(False, True, False))
    """
    return _turn(grid, _AXIAL)


def turn_onto(grid: Grid, target: Grid, *, what: str, within_vox: float = 0.0) -> Turn:
    """The turn that brings a grid onto another one that has the same voxels in another order.

    What is said of the thickness of a single slice does not matter: files give its thickness, its distance, or nothing.

    Args:
        grid: of what is to be turned.
        target: where it has to be.
        what: named in the error, as "the lesion mask and its image".
        within_vox: how far a voxel may be from its place, beyond what counts as equal anyhow.

    Raises:
        GeometryMismatchError: shape, spacing or place differ, not the order of the axes only; where only the place
            does, the message says by how much.
    """
    turn = _turn(grid, target.directions)
    turned = _as_thick(turn.grid(grid), target)
    if not turned.same_as(target):
        off, off_mm = _apart(turned, target) if turned.shape == target.shape else (np.inf, np.inf)
        if not off <= within_vox:
            far = f": off by up to {off:.2g} voxels ({off_mm:.2g} mm)" if np.isfinite(off) else ""
            allowed = f", {within_vox:g} of a voxel is allowed" if far and within_vox else ""
            raise GeometryMismatchError(f"{what} must be on one grid, found {target} and {turned}{far}{allowed}")
    return turn


def _apart(grid: Grid, target: Grid) -> tuple[float, float]:
    """Largest distance of a corner from that of a target of the same shape, in voxels along an axis and in mm."""
    corners = np.array(list(product(*((0, n - 1) for n in grid.shape))), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged header may place it beyond all numbers
        places = grid.to_lps_mm(corners)
        voxels = np.abs(target.to_vox(places) - corners).max()
        return float(voxels), float(np.linalg.norm(places - target.to_lps_mm(corners), axis=1).max())


def turn_towards(grid: Grid, target: Grid) -> Turn:
    """The turn that brings the axes of a grid as near to those of another one as axes allow."""
    return _turn(grid, target.directions)


def _as_thick(grid: Grid, target: Grid) -> Grid:
    """The grid with the target's spacing along axes that have one voxel in both: no distance is along them."""
    affine = grid.affine.copy()
    for axis in range(3):
        if grid.shape[axis] == target.shape[axis] == 1:
            affine[:3, axis] *= target.spacing_mm[axis] / grid.spacing_mm[axis]
    return Grid(shape=grid.shape, affine=affine)


def _turn(grid: Grid, wanted: NDArray[np.float64]) -> Turn:
    closeness = wanted @ grid.directions.T
    first, second, third = max(
        permutations(range(3)), key=lambda order: sum(abs(closeness[new, order[new]]) for new in range(3))
    )
    flips = [bool(closeness[new, old] < 0) for new, old in enumerate((first, second, third))]
    return Turn(order=(first, second, third), flipped=(flips[0], flips[1], flips[2]))
