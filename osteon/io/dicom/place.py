"""Where the slices of a stack are: their order, their distances, their grid.

DICOM gives every slice a position, two direction cosines and a pixel spacing (PS3.3 C.7.6.2). Slices are ordered
along the normal of their planes, never by instance number. The grid keeps the planes as they were scanned: an oblique
series gives an oblique grid. Two things move or mix pixels: a sheared stack (a tilted gantry: the planes are parallel,
but each is displaced within its own plane), whose slices are moved along rows and columns, and slices at unequal
distances, between which those of a regular stack are interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import InputError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Grid
from osteon.io.inventory import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.io.inventory import Frame


__all__ = ["Plane", "distances_mm", "place_frames", "plane_of"]


ROUNDING_MM: Final = 0.06
"""Positions are often rounded to 0.1 mm: a slice may be this far from its place in a regular stack."""

STEEPEST_SHEAR_DEGREES: Final = 40.0
"""A gantry tilts up to 30 degrees; planes that advance more obliquely than this have wrong tags."""

LIKE_GAPS: Final = 1.25
"""Neighbouring gaps whose ratio is at most this belong to one run."""

WIDE_GAP: Final = 1.5
"""A gap this many times the usual one is a hole when it is not one of a run."""

PLANNED_GAPS: Final = 3
"""As many like gaps in a row are a plan of the scan."""

WIDEST_HOLE: Final = 2.5
"""Over a hole of more than this many usual gaps nothing is interpolated."""

MOST_RUNS: Final = 3
"""As many runs of like gaps a short series may have: more are two series shuffled into each other."""

FINE_SHARE: Final = 0.25
"""The spacing of an interpolated volume: the gap that this share of the gaps does not exceed."""

MOST_INTERPOLATED: Final = 3
"""An interpolated volume has at most this many times the slices that were scanned."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Orientation and in-plane spacing of a slice."""

    axes: NDArray[np.float64]  # (3, 3) orthonormal rows: the LPS directions in which slice, row and column index grow
    spacing_mm: tuple[float, float]  # (row, column)


def plane_of(frame: Frame) -> Plane:
    """Orientation and spacing of a frame, checked."""
    if frame.position is None:
        raise InputError("the images have no Image Position (Patient): where the slices are is not known")
    if frame.orientation is None:
        raise InputError("the images have no Image Orientation (Patient): how the slices are is not known")
    if frame.spacing is None:
        raise InputError("the images have no Pixel Spacing: their size in millimetres is not known")
    if len(frame.position) != 3 or len(frame.orientation) != 6 or len(frame.spacing) != 2:
        raise InputError("position, orientation or pixel spacing of the images has the wrong number of values")
    for name, values in (
        ("position", frame.position),
        ("orientation", frame.orientation),
        ("pixel spacing", frame.spacing),
    ):
        if not all(math.isfinite(value) for value in values):
            raise InputError(f"the {name} of the images holds NaN or something that is not a number")
    row_mm, column_mm = frame.spacing
    if row_mm <= 0 or column_mm <= 0:
        raise InputError(f"the pixel spacing must be positive, found {row_mm:g} x {column_mm:g} mm")
    return Plane(axes=_axes(frame.orientation), spacing_mm=(row_mm, column_mm))


def _axes(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Orthonormal slice, row, column directions from the six cosines."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = float(np.linalg.norm(along_row)), float(np.linalg.norm(along_column))
    if max(abs(length - 1) for length in lengths) > ANGLE_TOLERANCE:
        raise InputError(
            f"Image Orientation (Patient) must hold two unit vectors, found lengths {lengths[0]:.4f} and "
            f"{lengths[1]:.4f}"
        )
    cosine = float(along_row @ along_column)
    if abs(cosine) > ANGLE_TOLERANCE:
        angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        raise InputError(
            f"rows and columns must be at right angles, found {angle:.2f} degrees in Image Orientation (Patient)"
        )
    along_row = along_row / lengths[0]
    along_column = along_column - (along_column @ along_row) * along_row
    along_column /= np.linalg.norm(along_column)
    return np.stack([np.cross(along_row, along_column), along_column, along_row])


def distances_mm(frames: Sequence[Frame], plane: Plane) -> NDArray[np.float64]:
    """(n,) distance of every frame along the normal of the plane."""
    positions = np.array([frame.position or (math.nan,) * 3 for frame in frames], dtype=np.float64)
    if positions.shape != (len(frames), 3) or not np.isfinite(positions).all():
        raise InputError("an image of the series has no usable Image Position (Patient)")
    return np.asarray(positions @ plane.axes[0])


def place_frames(frames: Sequence[Frame]) -> tuple[Stack, tuple[Notice, ...]]:
    """Order frames of one format, no two at one position, along their normal; find their grid and notices."""
    plane = plane_of(frames[0])
    along = distances_mm(frames, plane)
    order = np.argsort(along, kind="stable")
    frames = tuple(frames[index] for index in order)
    along = along[order]
    notices: list[Notice] = []
    places_vox = None
    if len(frames) == 1:
        step_mm = _single_step(frames[0], notices)
    else:
        step_mm, places_vox = _slice_places(along)
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    shear_mm = _shear(positions, along, plane)
    slices = len(frames) if places_vox is None else round(float(places_vox[-1])) + 1
    shape = (slices, frames[0].pixels.rows, frames[0].pixels.columns)
    origin = positions[0]
    shift_vox = None
    if shear_mm is not None:
        shift_vox, shape, origin = _unsheared(shear_mm, plane, shape, origin)
        notices.append(_tilt_notice(shear_mm, along))
    if places_vox is None:
        _compare_step(frames, step_mm, positions, notices)
    else:
        notices.append(_variable_notice(along, step_mm))
    grid = Grid.from_axes(
        shape=shape, spacing_mm=(step_mm, *plane.spacing_mm), directions=plane.axes, origin_lps_mm=origin.tolist()
    )
    if shift_vox is None and float(np.abs(plane.axes).max(axis=1).min()) < 1 - ANGLE_TOLERANCE:
        text = "The slices are oblique to the patient's axes; they were kept as scanned, without resampling."
        notices.append(Notice("oblique-axes", text))
    return Stack(frames=frames, grid=grid, shift_vox=shift_vox, places_vox=places_vox), tuple(notices)


def _single_step(frame: Frame, notices: list[Notice]) -> float:
    """Slice spacing of a lone slice: its thickness."""
    if frame.thickness is None or not math.isfinite(frame.thickness) or frame.thickness <= 0:
        raise InputError("a single slice without a usable Slice Thickness has no extent along its normal")
    text = f"The series is a single slice; its thickness of {frame.thickness:g} mm is taken as the slice spacing."
    notices.append(Notice("single-slice", text, "warning"))
    return frame.thickness


def _slice_places(along: NDArray[np.float64]) -> tuple[float, NDArray[np.float64] | None]:
    """The slice spacing in mm, and where every slice is in steps of it; None when they are at equal distances.

    Rounding of positions moves single slices but does not add up; a missing slice does. So the test is the distance of
    every slice from its place in a regular stack, not the scatter of the gaps.

    Raises:
        InputError: slices are missing, or their distances follow no plan.
    """
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    tolerance = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * usual, min(ROUNDING_MM, 0.1 * usual))
    index = np.arange(len(along))
    centred = index - index.mean()
    fitted = float(centred @ along) / float(centred @ centred)
    off = np.abs(along - along.mean() - fitted * centred)
    if float(off.max()) <= tolerance:
        return round(fitted, 6), None
    if float(gaps.min()) <= POSITION_TOLERANCE_MM:
        raise _irregular(along, gaps, usual)
    _require_whole(along, gaps, usual)
    # both ends keep their places: the length of the scan is that of its positions
    extent = float(along[-1] - along[0])
    count = max(1, round(extent / float(np.quantile(gaps, FINE_SHARE, method="lower"))))
    if count >= MOST_INTERPOLATED * len(along):
        raise _irregular(along, gaps, usual)
    return extent / count, (along - along[0]) * (count / extent)


def _require_whole(along: NDArray[np.float64], gaps: NDArray[np.float64], usual: float) -> None:
    """Raise unless the slices were planned where they are.

    Slices that are dense in one part and sparse in another come in runs of like gaps. A wide gap by itself is a hole.
    """
    ends = np.flatnonzero(np.maximum(gaps[1:], gaps[:-1]) > LIKE_GAPS * np.minimum(gaps[1:], gaps[:-1])) + 1
    runs = np.split(np.arange(len(gaps)), ends)
    wide = [int(at) for run in runs if len(run) < PLANNED_GAPS for at in run if gaps[at] > WIDE_GAP * usual]
    multiples = gaps[wide] / usual
    is_missing = np.abs(multiples - np.round(multiples)) <= 0.1 * np.round(multiples)
    missing = [at for at, alike in zip(wide, is_missing, strict=True) if alike]
    if missing:
        count = int(np.round(multiples[is_missing] - 1).sum())
        places = ", ".join(f"{along[at]:.2f} and {along[at + 1]:.2f} mm" for at in missing[:5])
        more = f" and {len(missing) - 5} more places" if len(missing) > 5 else ""
        raise InputError(
            f"{count} slice{'s are' if count != 1 else ' is'} missing: the slices are {usual:.3f} mm apart, but "
            f"nothing is between {places}{more} (along the slice normal); send the series again, or choose another one"
        )
    if len(runs) > MOST_RUNS + len(gaps) // 6 or (multiples > WIDEST_HOLE).any():
        raise _irregular(along, gaps, usual)


def _irregular(along: NDArray[np.float64], gaps: NDArray[np.float64], usual: float) -> InputError:
    worst = int(np.argmax(np.abs(gaps - usual)))
    return InputError(
        f"the slices are at irregular distances: most are {usual:.3f} mm apart, found {gaps.min():.3f} to "
        f"{gaps.max():.3f} mm (first between {along[worst]:.2f} and {along[worst + 1]:.2f} mm along the slice "
        "normal); choose another series"
    )


def _variable_notice(along: NDArray[np.float64], step_mm: float) -> Notice:
    gaps = np.diff(along)
    return Notice(
        "variable-spacing-resampled",
        f"The slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart: the volume was interpolated linearly between "
        f"them at their true positions, {step_mm:.3g} mm apart; lengths and volumes are those of the positions. "
        "DICOM segmentations have planes of their own there.",
        "warning",
    )


def _shear(positions: NDArray[np.float64], along: NDArray[np.float64], plane: Plane) -> NDArray[np.float64] | None:
    """(n, 2) displacement in mm along (rows, columns) of a sheared stack; None when the stack is upright."""
    sideways = (positions - positions[0]) @ plane.axes[1:].T
    if len(along) < 2:
        return None
    centred = along - along.mean()
    slope = centred @ sideways / float(centred @ centred)
    fitted = np.outer(along - along[0], slope)
    steepness = float(np.linalg.norm(slope))
    angle = math.degrees(math.atan(steepness))
    if angle > STEEPEST_SHEAR_DEGREES:
        raise InputError(
            f"the slices advance at {angle:.0f} degrees to their normal: position and orientation tags contradict "
            "each other"
        )
    residual = sideways - fitted
    worst = float(np.abs(residual - residual.mean(axis=0)).max())
    if worst > ROUNDING_MM:
        raise InputError(
            f"the slices are displaced sideways by up to {worst:.2f} mm without a rule: their positions cannot form "
            "a volume"
        )
    reach_mm = steepness * float(along[-1] - along[0])
    if steepness <= ANGLE_TOLERANCE or reach_mm <= ROUNDING_MM:
        return None
    return np.asarray(fitted)


def _unsheared(
    shear_mm: NDArray[np.float64], plane: Plane, shape: tuple[int, int, int], origin: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[int, int, int], NDArray[np.float64]]:
    """Shift of every slice in voxels, shape and origin of the upright grid that holds all slices whole."""
    spacing = np.array(plane.spacing_mm)
    shift = shear_mm / spacing
    first = shift.min(axis=0)
    shift = shift - first
    # an axis that moves by rounding only is left alone: no blurring for nothing
    shift[:, shift.max(axis=0) * spacing <= POSITION_TOLERANCE_MM] = 0.0
    rows, columns = (math.ceil(value - 1e-6) for value in shift.max(axis=0))
    origin = origin + (first * spacing) @ plane.axes[1:]
    return shift, (shape[0], shape[1] + rows, shape[2] + columns), origin


def _tilt_notice(shear_mm: NDArray[np.float64], along: NDArray[np.float64]) -> Notice:
    travel = float(np.linalg.norm(shear_mm[-1]))
    angle = math.degrees(math.atan2(travel, float(along[-1] - along[0])))
    return Notice(
        "gantry-tilt-corrected",
        f"The gantry was tilted by {angle:.1f} degrees: every slice was moved within its own plane (linear "
        f"interpolation, up to {travel:.1f} mm) so that the volume is upright on its slices. Voxels that no slice "
        "covers hold air.",
        "warning",
    )


def _compare_step(
    frames: Sequence[Frame], step_mm: float, positions: NDArray[np.float64], notices: list[Notice]
) -> None:
    """Record a Spacing Between Slices tag that contradicts the positions."""
    said = frames[0].step
    if said is None or len(frames) < 2:
        return
    travel = float(np.linalg.norm(positions[-1] - positions[0])) / (len(frames) - 1)
    if not math.isfinite(said) or min(abs(abs(said) - step_mm), abs(abs(said) - travel)) > SPACING_TOLERANCE * step_mm:
        text = (
            f"Spacing Between Slices says {said:g} mm, the positions of the slices {step_mm:.4g} mm; the positions "
            "were used."
        )
        notices.append(Notice("slice-spacing-from-positions", text, "warning"))
