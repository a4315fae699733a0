"""Which images of a series form the volume, and its grid; what is left out is recorded, a guess is refused.

DICOM gives every slice a position, two direction cosines and a pixel spacing (PS3.3 C.7.6.2). Slices are ordered
along the normal of their planes, never by instance number. The grid keeps the planes as they were scanned: an oblique
series gives an oblique grid and nothing is resampled. Only a sheared stack (a tilted gantry: the planes are parallel,
but each is displaced within its own plane) needs its slices moved, each by its own amount along rows and columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import InputError, OsteonError, UnsupportedError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Grid
from osteon.io.dicom.decode import is_decodable, same_pixels
from osteon.io.dicom.header import SPLIT_KEYS
from osteon.io.inventory import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from osteon.io.inventory import Frame


__all__ = ["Plane", "grouped", "natural", "plan_stack"]


CLEAR_MAJORITY: Final = 2.0
"""A group of images is taken as the volume when it is this many times larger than the next."""

ROUNDING_MM: Final = 0.06
"""Positions are often rounded to 0.1 mm: a slice may be this far from its place in a regular stack."""

STEEPEST_SHEAR_DEGREES: Final = 40.0
"""A gantry tilts up to 30 degrees; planes that advance more obliquely than this have wrong tags."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The outcome: a stack, or the reason why there is none; and what a reader must know.

    ``unsupported`` tells a valid series that osteon cannot decode from a series that is not a volume.
    """

    stack: Stack | None
    problem: str | None
    unsupported: bool
    notices: tuple[Notice, ...]


class _RefusedError(Exception):
    """The series cannot be read as a volume; the text says why."""


def plan_stack(frames: Sequence[Frame]) -> _Plan:
    """Find the volume in the images of one series.

    Args:
        frames: all image planes of the series, any order.

    Returns:
        Localizers and exact duplicates are left out, of several image formats or orientations the clear majority is
        taken, two acquisitions of the same places are distinguished by their tags. All of that is in the notices.
    """
    notices: list[Notice] = []
    try:
        chosen = _readable(frames)
        chosen = _without_localizers(chosen, notices)
        chosen = _one_format(chosen, notices)
        chosen = _one_image_a_place(chosen, notices)
        stack, remarks = _place_frames(chosen)
    except (_RefusedError, OsteonError) as error:
        return _Plan(None, str(error), isinstance(error, UnsupportedError), tuple(notices))
    return _Plan(stack, problem=None, unsupported=False, notices=(*notices, *remarks))


def _readable(frames: Sequence[Frame]) -> list[Frame]:
    """All frames, when none is damaged and all can be decoded."""
    broken = [frame for frame in frames if frame.damage is not None]
    if broken:
        more = f" (and {len(broken) - 1} more files are damaged)" if len(broken) > 1 else ""
        raise _RefusedError(f"{broken[0].path.name}: {broken[0].damage}{more}; send the series again")
    for frame in frames:
        if not all(math.isfinite(value) for value in frame.rescale or ()):
            raise _RefusedError(f"{frame.path.name}: Rescale Slope or Rescale Intercept is not a number")
        if not is_decodable(frame.pixels.transfer_syntax):
            raise UnsupportedError(
                f"no decoder for transfer syntax {frame.pixels.transfer_syntax} ({frame.path.name}); convert the "
                "series, for instance with dcmdjpeg or gdcmconv"
            )
    return list(frames)


def _without_localizers(frames: list[Frame], notices: list[Notice]) -> list[Frame]:
    kept = [frame for frame in frames if "LOCALIZER" not in frame.image_type]
    if not kept:
        raise _RefusedError("it holds only localizer images, which are not a volume")
    if len(kept) < len(frames):
        count = len(frames) - len(kept)
        text = f"{count} localizer image{'s were' if count > 1 else ' was'} left out of the volume."
        notices.append(Notice("localizers-dropped", text))
    return kept


def _one_format(frames: list[Frame], notices: list[Notice]) -> list[Frame]:
    """The largest group of images of one size, orientation, pixel spacing and frame of reference."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _same_format(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    groups.sort(key=len, reverse=True)
    best = groups[0]
    if len(groups) > 1:
        found = ", ".join(f"{len(group)} of {_describe(group[0])}" for group in groups[:4])
        if len(best) < CLEAR_MAJORITY * len(groups[1]):
            raise _RefusedError(
                f"its images do not belong together ({found}) and none of the groups is clearly the volume"
            )
        count = len(frames) - len(best)
        text = f"{count} of {len(frames)} images have another size, orientation or spacing and were left out ({found})."
        notices.append(Notice("mixed-images-dropped", text, "warning"))
    if best[0].pixels.samples != 1:
        raise _RefusedError("its images are in colour: a screen capture or a rendering, not a scan")
    return best


def _same_format(first: Frame, second: Frame) -> bool:
    a, b = first.pixels, second.pixels
    return (
        (a.rows, a.columns, a.samples) == (b.rows, b.columns, b.samples)
        and first.frame_of_reference_uid == second.frame_of_reference_uid
        and (first.position is None) == (second.position is None)
        and _close(first.orientation, second.orientation, relative=0.0, absolute=ANGLE_TOLERANCE)
        and _close(first.spacing, second.spacing, relative=SPACING_TOLERANCE / 10, absolute=0.0)
    )


def _close(
    first: tuple[float, ...] | None, second: tuple[float, ...] | None, *, relative: float, absolute: float
) -> bool:
    if first == second or first is None or second is None or len(first) != len(second):
        return first == second
    return all(
        math.isclose(a, b, rel_tol=relative, abs_tol=absolute) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(first, second, strict=True)
    )


def _describe(frame: Frame) -> str:
    size = f"{frame.pixels.rows} x {frame.pixels.columns}"
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        return f"{size} without a place in the patient"
    try:
        plane = _plane_of(frame)
    except OsteonError:
        return f"{size} with broken geometry"
    name = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(plane.axes[0])))]
    return f"{size} {name} at {plane.spacing_mm[0]:.3g} mm"


def _one_image_a_place(frames: list[Frame], notices: list[Notice]) -> list[Frame]:
    """Drop exact duplicates; tell acquisitions of the same places apart."""
    plane = _plane_of(frames[0])
    along = _distances_mm(frames, plane)
    frames, dropped, conflicts = _without_duplicates(frames, along)
    if dropped:
        copies = "copies of other slices were" if dropped > 1 else "copy of another slice was"
        text = f"{dropped} exact {copies} left out."
        notices.append(Notice("duplicates-dropped", text))
    if not conflicts and _is_regular(frames):
        return frames
    split = _split(frames)
    if split is not None:
        name, best, count = split
        text = (
            f"The series holds {count} acquisitions of the same region, distinguished by their {name}; the one with "
            f"the most slices was read ({len(best)} of {len(frames)} images)."
        )
        notices.append(Notice("acquisition-chosen", text, "warning"))
        return best
    if conflicts:
        first = conflicts[0]
        raise _RefusedError(
            f"{len(conflicts)} position{'s hold' if len(conflicts) > 1 else ' holds'} two different images (first at "
            f"{first:.2f} mm along the slice normal) and no tag distinguishes the acquisitions; choose another series, "
            "or separate them"
        )
    return frames


def _without_duplicates(frames: list[Frame], along: np.ndarray) -> tuple[list[Frame], int, list[float]]:
    """Frames without exact copies, how many copies there were, and the places with different images."""
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    if not len(gaps) or float(gaps.min()) > POSITION_TOLERANCE_MM:
        return frames, 0, []
    kept: list[Frame] = []
    conflicts: list[float] = []
    dropped = 0
    here: list[Frame] = []
    place = -math.inf
    for index in order:
        frame = frames[index]
        if along[index] - place > POSITION_TOLERANCE_MM:
            here, place = [], float(along[index])
        if any(_same_place(frame, other) and same_pixels(frame, other) for other in here):
            dropped += 1
            continue
        if here and (not conflicts or conflicts[-1] != place):
            conflicts.append(place)
        here.append(frame)
        kept.append(frame)
    return kept, dropped, conflicts


def _same_place(first: Frame, second: Frame) -> bool:
    a, b = first.position, second.position
    return a is not None and b is not None and math.dist(a, b) <= POSITION_TOLERANCE_MM


def _is_regular(frames: list[Frame]) -> bool:
    try:
        _place_frames(frames)
    except OsteonError:
        return False
    return True


def _split(frames: list[Frame]) -> tuple[str, list[Frame], int] | None:
    """One acquisition out of several that overlap: the tag, its images, how many acquisitions."""
    for index, name in enumerate(SPLIT_KEYS.values()):
        groups = grouped(frames, lambda frame, index=index: frame.split_keys[index])  # type: ignore[misc]
        if len(groups) < 2 or "" in groups:
            continue
        ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), natural(item[0])))
        if (
            _overlap(list(groups.values()))
            and len(ranked[0][1]) > 1
            and all(_is_regular(group) for group in groups.values())
        ):
            return name, ranked[0][1], len(groups)
    return None


def grouped(frames: Iterable[Frame], key: Callable[[Frame], str]) -> dict[str, list[Frame]]:
    """Frames by what ``key`` says of them, in the order in which it says it first."""
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return groups


def natural(value: str) -> tuple[float, str]:
    """Sort key: numbers by value, before text."""
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _overlap(groups: list[list[Frame]]) -> bool:
    """Whether every two neighbours of the groups share part of their range: else they are parts of one scan."""
    plane = _plane_of(groups[0][0])
    ranges = sorted((float(d.min()), float(d.max())) for d in (_distances_mm(group, plane) for group in groups))
    return all(after[0] <= before[1] for before, after in pairwise(ranges))


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Orientation and in-plane spacing of a slice."""

    axes: NDArray[np.float64]  # (3, 3) orthonormal rows: the LPS directions in which slice, row and column index grow
    spacing_mm: tuple[float, float]  # (row, column)


def _plane_of(frame: Frame) -> Plane:
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


def _distances_mm(frames: Sequence[Frame], plane: Plane) -> NDArray[np.float64]:
    """(n,) distance of every frame along the normal of the plane."""
    positions = np.array([frame.position or (math.nan,) * 3 for frame in frames], dtype=np.float64)
    if positions.shape != (len(frames), 3) or not np.isfinite(positions).all():
        raise InputError("an image of the series has no usable Image Position (Patient)")
    return np.asarray(positions @ plane.axes[0])


def _place_frames(frames: Sequence[Frame]) -> tuple[Stack, tuple[Notice, ...]]:
    """Order frames of one format, no two at one position, along their normal; find their grid and notices."""
    plane = _plane_of(frames[0])
    along = _distances_mm(frames, plane)
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
    """The slice spacing, when the slices are at equal distances.

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
                f"{count} slice{'s are' if count != 1 else ' is'} missing: the slices are {usual:.3f} mm apart, but "
                f"nothing is between {places}{more} (along the slice normal); send the series again, or choose "
                "another one"
            )
    worst = int(np.argmax(np.abs(gaps - usual)))
    raise InputError(
        f"the slices are at irregular distances: most are {usual:.3f} mm apart, found {gaps.min():.3f} to "
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
