"""The named door from DICOM's image planes to a Grid.

DICOM gives every slice a position, two direction cosines and a pixel spacing (PS3.3 C.7.6.2). Slices are ordered
along the normal of their planes, never by instance number. The grid keeps the planes as they were scanned: an oblique
series gives an oblique grid and nothing is resampled. Only a sheared stack (a tilted gantry: the planes are parallel,
but each is displaced within its own plane) needs its slices moved, each by its own amount along rows and columns.
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
"""Positions are often rounded to 0.1 mm: a slice may lie this far from its place in a regular stack."""

STEEPEST_SHEAR_DEGREES: Final = 40.0
"""A gantry tilts up to 30 degrees; planes that advance more obliquely than this have wrong tags."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Orientation and in-plane spacing of a slice."""

    axes: NDArray[np.float64]  # (3, 3) orthonormal rows: the LPS directions in which slice, row and column index grow
    spacing_mm: tuple[float, float]  # (row, column)


def plane_of(frame: Frame) -> Plane:
    """Orientation and spacing of a frame, checked.

    Raises:
        InputError: a tag is missing, not a number, not positive, or the cosines are no rotation.
    """
    if frame.position is None:
        raise InputError("the images have no Image Position (Patient): where the slices lie is not known")
    if frame.orientation is None:
        raise InputError("the images have no Image Orientation (Patient): how the slices lie is not known")
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
            raise InputError(f"the {name} of the images holds NaN or something that is no number")
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
    """(n,) distance of every frame along the normal of the plane.

    Raises:
        InputError: a position is missing or not finite.
    """
    positions = np.array([frame.position or (math.nan,) * 3 for frame in frames], dtype=np.float64)
    if positions.shape != (len(frames), 3) or not np.isfinite(positions).all():
        raise InputError("an image of the series has no usable Image Position (Patient)")
    return np.asarray(positions @ plane.axes[0])


def place_frames(frames: Sequence[Frame]) -> tuple[Stack, tuple[Notice, ...]]:
    """Order frames along their normal and find the grid they fill.

    Args:
        frames: planes of one orientation, size and pixel spacing, no two at one position, any order.

    Returns:
        The stack, and what a reader must know (spacing from the positions, single slice, tilt, oblique axes).

    Raises:
        InputError: missing or irregular slices, sideways jumps, broken tags; the message says where.
    """
    plane = plane_of(frames[0])
    along = distances_mm(frames, plane)
    order = np.argsort(along, kind="stable")
    frames = tuple(frames[index] for index in order)
    along = along[order]
    notices: list[Notice] = []
    step_mm = _single_step(frames[0], notices) if len(frames) == 1 else _regular_step(along)
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    shear_mm = _shear(positions, along, plane)
    shape = (len(frames), frames[0].pixels.rows, frames[0].pixels.columns)
    origin = positions[0]
    shift_vox = None
    if shear_mm is not None:
        shift_vox, shape, origin = _unsheared(shear_mm, plane, shape, origin)
        notices.append(_tilt_notice(shear_mm, along))
    _compare_step(frames, step_mm, positions, notices)
    grid = Grid.from_axes(
        shape=shape, spacing_mm=(step_mm, *plane.spacing_mm), directions=plane.axes, origin_lps_mm=origin.tolist()
    )
    if shift_vox is None and float(np.abs(plane.axes).max(axis=1).min()) < 1 - ANGLE_TOLERANCE:
        text = "The slices are oblique to the patient's axes; they were kept as scanned, without resampling."
        notices.append(Notice("oblique-axes", text))
    return Stack(frames=frames, grid=grid, shift_vox=shift_vox), tuple(notices)


def _single_step(frame: Frame, notices: list[Notice]) -> float:
    """Slice spacing of a lone slice: its thickness."""
    if frame.thickness is None or not math.isfinite(frame.thickness) or frame.thickness <= 0:
        raise InputError("a single slice without a usable Slice Thickness has no extent along its normal")
    text = f"The series is a single slice; its thickness of {frame.thickness:g} mm is taken as the slice spacing."
    notices.append(Notice("single-slice", text, "warning"))
    return frame.thickness


def _regular_step(along: NDArray[np.float64]) -> float:
    """The slice spacing, when the slices lie at equal distances.

    Rounding of positions moves single slices but does not add up; a missing slice does. So the test is the distance of
    every slice from its place in a regular stack, not the scatter of the gaps.
    """
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    tolerance = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * usual, min(ROUNDING_MM, 0.1 * usual))
    index = np.arange(len(along))
    centred = index - index.mean()
    fitted = float(centred @ along) / float(centred @ centred)
    off = np.abs(along - along.mean() - fitted * centred)
    if float(off.max()) <= tolerance:
        return round(fitted, 6)
    wide = np.flatnonzero(gaps > 1.5 * usual)
    multiples = gaps[wide] / usual
    if wide.size and (np.abs(multiples - np.round(multiples)) <= 0.1 * np.round(multiples)).all():
        near = np.setdiff1d(np.arange(len(gaps)), wide)
        if (np.abs(gaps[near] - usual) <= 2 * tolerance).all():
            count = int(np.round(multiples - 1).sum())
            places = ", ".join(f"{along[at]:.2f} and {along[at + 1]:.2f} mm" for at in wide[:5])
            more = f" and {wide.size - 5} more places" if wide.size > 5 else ""
            raise InputError(
                f"{count} slice{'s are' if count != 1 else ' is'} missing: the slices lie {usual:.3f} mm apart, but "
                f"nothing lies between {places}{more} (along the slice normal); send the series again, or choose "
                "another one"
            )
    worst = int(np.argmax(np.abs(gaps - usual)))
    raise InputError(
        f"the slices lie at irregular distances: most are {usual:.3f} mm apart, found {gaps.min():.3f} to "
        f"{gaps.max():.3f} mm (first between {along[worst]:.2f} and {along[worst + 1]:.2f} mm along the slice "
        "normal); choose another series"
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
