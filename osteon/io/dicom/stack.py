"""Which images of a series form the volume; what is left out is recorded, a choice that would be a guess is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import OsteonError, UnsupportedError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE
from osteon.io.dicom.decode import is_decodable, same_pixels
from osteon.io.dicom.geometry import distances_mm, place_frames, plane_of
from osteon.io.dicom.header import SPLIT_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from osteon.io.inventory import Frame, Stack

__all__ = ["grouped", "natural", "plan_stack"]

CLEAR_MAJORITY: Final = 2.0
"""A group of images is taken as the volume when it is this many times larger than the next."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The outcome: a stack, or the reason why there is none; and what a reader must know.

    ``unsupported`` tells a valid series that osteon cannot decode from a series that is no volume.
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
        taken, two acquisitions of the same places are told apart by their tags. All of that is in the notices.
    """
    notices: list[Notice] = []
    try:
        chosen = _readable(frames)
        chosen = _without_localizers(chosen, notices)
        chosen = _one_format(chosen, notices)
        chosen = _one_image_a_place(chosen, notices)
        stack, remarks = place_frames(chosen)
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
        raise _RefusedError("it holds only localizer images, which are no volume")
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
        plane = plane_of(frame)
    except OsteonError:
        return f"{size} with broken geometry"
    name = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(plane.axes[0])))]
    return f"{size} {name} at {plane.spacing_mm[0]:.3g} mm"


def _one_image_a_place(frames: list[Frame], notices: list[Notice]) -> list[Frame]:
    """Drop exact duplicates; tell acquisitions of the same places apart."""
    plane = plane_of(frames[0])
    along = distances_mm(frames, plane)
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
            f"The series holds {count} acquisitions of the same region, told apart by their {name}; the one with the "
            f"most slices was read ({len(best)} of {len(frames)} images)."
        )
        notices.append(Notice("acquisition-chosen", text, "warning"))
        return best
    if conflicts:
        first = conflicts[0]
        raise _RefusedError(
            f"{len(conflicts)} position{'s hold' if len(conflicts) > 1 else ' holds'} two different images (first at "
            f"{first:.2f} mm along the slice normal) and no tag tells the acquisitions apart; choose another series, "
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
        place_frames(frames)
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
    plane = plane_of(groups[0][0])
    ranges = sorted((float(d.min()), float(d.max())) for d in (distances_mm(group, plane) for group in groups))
    return all(after[0] <= before[1] for before, after in pairwise(ranges))
