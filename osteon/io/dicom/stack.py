"""Which images of a series form the volume; what is left out is recorded, a guess is refused.

Where the images are is asked of ``osteon.io.dicom.place``.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import OsteonError, UnsupportedError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE
from osteon.io.dicom.decode import is_decodable, same_pixels
from osteon.io.dicom.header import BITS_GIVEN, SPLIT_KEYS
from osteon.io.dicom.place import distances_mm, place_frames, plane_of
from osteon.io.dicom.references import counted, shown_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from osteon.io.dicom.place import Plane
    from osteon.io.inventory import Frame, Stack


__all__ = ["SHARED_BY_RUNS", "grouped", "join_runs", "left_out", "natural", "plan_stack"]


CLEAR_MAJORITY: Final = 2.0
"""A group of images is taken as the volume when it is this many times larger than the next."""

RUN_KEYS: Final = frozenset({"acquisition number", "acquisition time"})
"""What may differ between the parts of one scan; what differs otherwise is another picture of the same place."""

SHARED_BY_RUNS: Final = 0.25
"""Two runs of the table that continue each other share at most this part of the shorter one."""

TOLD_IN_HEADLINE: Final = 0.1
"""A larger part of the images that was not read is said in the headline."""

HEADER_TAGS: Final[dict[str, Callable[[Frame], str]]] = {
    "Rows and Columns (0028,0010 and 0028,0011)": lambda frame: f"{frame.pixels.rows} x {frame.pixels.columns}",
    "Samples per Pixel (0028,0002)": lambda frame: str(frame.pixels.samples),
    "Frame of Reference UID (0020,0052)": lambda frame: shown_uid(frame.frame_of_reference_uid),
    "Image Position (0020,0032)": lambda frame: "" if frame.position is None else "given",
    "Image Orientation (0020,0037)": lambda frame: _rounded(frame.orientation, 3),
    "Pixel Spacing (0028,0030)": lambda frame: _rounded(frame.spacing, 4),
}
"""What images of one volume have in common: the tag, and its value in words."""


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
        stack, remarks = place_frames(chosen)
        _require_one_scale(stack.frames)
    except (_RefusedError, OsteonError) as error:
        # images that were left out before may be what is missing now
        before = " ".join(notice.text for notice in notices if notice.code == "mixed-images-dropped")
        problem = f"{error} ({before.rstrip('.')})" if before else str(error)
        return _Plan(None, problem, isinstance(error, UnsupportedError), tuple(notices))
    return _Plan(stack, problem=None, unsupported=False, notices=(*notices, *remarks))


def left_out(code: str, text: str, count: int, total: int) -> Notice:
    """A warning of images that were not read; the headline says it too when they are many."""
    words = f"{count} of {total} images were not read." if count > TOLD_IN_HEADLINE * total else ""
    return Notice(code, text, "warning", headline=words)


def _require_one_scale(frames: Sequence[Frame]) -> None:
    """Raise unless all slices of a CT come to Hounsfield units in the same way."""
    if frames[0].modality != "CT":
        return
    bare = [frame for frame in frames if frame.rescale is None]
    if bare and len(bare) < len(frames):
        scales = {f"{frame.rescale[0]:g} and {frame.rescale[1]:g}" for frame in frames if frame.rescale is not None}
        raise _RefusedError(
            f"Rescale Slope and Intercept (0028,1053 and 0028,1052) are missing on {len(bare)} of {len(frames)} slices "
            f"(first {bare[0].path.name}), the others have {', '.join(sorted(scales)[:3])}: the values are not on one "
            "scale; export the series again, or put the tags back on the slices that lost them"
        )
    units = sorted({frame.rescale_type for frame in frames} - {"", "HU", "US"})
    if units:
        raise _RefusedError(
            f"Rescale Type (0028,1054) is {', '.join(units)}: the values are not Hounsfield units (HU); choose the "
            "series of the CT in HU"
        )


def _readable(frames: Sequence[Frame]) -> list[Frame]:
    """All frames, when none is damaged and all can be decoded."""
    broken = [frame for frame in frames if frame.damage is not None]
    if broken:
        more = f" (and {len(broken) - 1} more files likewise)" if len(broken) > 1 else ""
        is_whole = str(broken[0].damage).startswith(BITS_GIVEN)
        remedy = "repair the header, or convert the series" if is_whole else "send the series again"
        raise _RefusedError(f"{broken[0].path.name}: {broken[0].damage}{more}; {remedy}")
    for frame in frames:
        if not all(math.isfinite(value) for value in frame.rescale or ()):
            raise _RefusedError(f"{frame.path.name}: Rescale Slope or Rescale Intercept is not a number")
        if not is_decodable(frame.pixels.transfer_syntax):
            raise UnsupportedError(
                f"no decoder for transfer syntax {shown_uid(frame.pixels.transfer_syntax)} ({frame.path.name}); "
                "convert the series, for instance with dcmdjpeg or gdcmconv"
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
    # a Frame of Reference that a slice has lost contradicts none: those that say theirs come first
    for frame in sorted(frames, key=lambda frame: not frame.frame_of_reference_uid):
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
        differing = _differing(frames)
        if len(best) < CLEAR_MAJORITY * len(groups[1]):
            raise _RefusedError(
                f"its images do not belong together ({found}{', ...' if len(groups) > 4 else ''}) and none of the "
                f"groups is clearly the volume: {differing}; give the images of one scan alone, or, where a tool has "
                "changed these tags, the series as the scanner made it"
            )
        count = len(frames) - len(best)
        text = (
            f"{count} of {len(frames)} images have another size, orientation, spacing or frame of reference and were "
            f"left out ({found}): {differing}."
        )
        notices.append(left_out("mixed-images-dropped", text, count, len(frames)))
    if best[0].pixels.samples != 1:
        raise _RefusedError("its images are in colour: a screen capture or a rendering, not a scan")
    return _one_orientation(best, notices)


def _one_orientation(frames: list[Frame], notices: list[Notice]) -> list[Frame]:
    """The frames with the orientation of most of them, where it differs in its last digits."""
    ranked = Counter(frame.orientation for frame in frames).most_common()
    usual = ranked[0][0]
    if len(ranked) == 1 or usual is None:
        return frames
    off = max(abs(a - b) for other, _ in ranked for a, b in zip(other or usual, usual, strict=True))
    text = (
        f"Image Orientation (0020,0037) differs between the slices by up to {off:.1g}, as by rounding; that of most "
        "slices was taken for all."
    )
    notices.append(Notice("orientation-of-most-slices", text))
    return [replace(frame, orientation=usual) for frame in frames]


def _differing(frames: Sequence[Frame]) -> str:
    """The tags in which images differ, with their values and how often each is there."""
    told = ((name, [value(frame) for frame in frames]) for name, value in HEADER_TAGS.items())
    return "; ".join(f"{name} differs: {counted(values)}" for name, values in told if len(set(values)) > 1)


def _rounded(values: tuple[float, ...] | None, digits: int) -> str:
    return "" if values is None else "\\".join(f"{round(value, digits) + 0.0:g}" for value in values)


def _same_format(first: Frame, second: Frame) -> bool:
    a, b = first.pixels, second.pixels
    return (
        (a.rows, a.columns, a.samples) == (b.rows, b.columns, b.samples)
        and second.frame_of_reference_uid in {first.frame_of_reference_uid, ""}
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
    if not conflicts and _is_placed(frames, evenly=True):
        return frames
    split = _split(frames, notices)
    if split is not None:
        return split
    if conflicts:
        once = _one_each(frames, plane)
        if len(frames) - len(once) <= max(1, TOLD_IN_HEADLINE * len(frames)) and _is_placed(once, evenly=True):
            text = (
                f"{len(conflicts)} place{'s were' if len(conflicts) > 1 else ' was'} scanned twice (first at "
                f"{conflicts[0]:.2f} mm along the slice normal), with other pixels; one image of each was taken."
            )
            notices.append(Notice("repeated-places", text, "warning"))
            return once
        first = conflicts[0]
        raise _RefusedError(
            f"{len(conflicts)} position{'s hold' if len(conflicts) > 1 else ' holds'} two different images (first at "
            f"{first:.2f} mm along the slice normal) and no tag distinguishes the acquisitions; choose another series, "
            "or separate them"
        )
    return frames


def _one_each(frames: list[Frame], plane: Plane) -> list[Frame]:
    """The first image of every place."""
    along = distances_mm(frames, plane)
    order = np.argsort(along, kind="stable")
    first = np.diff(along[order], prepend=-math.inf) > POSITION_TOLERANCE_MM
    return [frames[index] for index in order[first]]


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


def _is_placed(frames: list[Frame], *, evenly: bool = False) -> bool:
    """Whether frames form a stack; ``evenly``: one that needs no interpolation."""
    try:
        stack, _ = place_frames(frames)
    except OsteonError:
        return False
    return not evenly or stack.places_vox is None


def _split(frames: list[Frame], notices: list[Notice]) -> list[Frame] | None:
    """The scan out of several acquisitions that a tag distinguishes; None where no tag does.

    Runs of the table that continue each other are joined. Of acquisitions of one region the one with the most slices
    is taken.
    """
    for index, name in enumerate(SPLIT_KEYS.values()):
        groups = grouped(frames, lambda frame, index=index: frame.split_keys[index])  # type: ignore[misc]
        if len(groups) < 2 or "" in groups:
            continue
        ranked = [group for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), natural(item[0])))]
        if not _overlap(ranked) or len(ranked[0]) < 2 or not all(_is_placed(group) for group in ranked):
            continue
        taken, kept = join_runs(ranked) if name in RUN_KEYS else ([0], ranked[0])
        if len(taken) > 1 and not _is_placed(kept):
            taken, kept = [0], ranked[0]
        total = sum(len(ranked[place]) for place in taken)
        if len(taken) > 1:
            text = (
                f"The series holds {len(taken)} runs of the table, distinguished by their {name}, that continue each "
                f"other: they were joined ({total} images). Where they overlap, the longer run was read: "
                f"{total - len(kept)} of the other's images repeat{'' if total - len(kept) != 1 else 's'} a place."
            )
            notices.append(Notice("runs-joined", text))
        if total < len(frames):
            text = (
                f"The series holds {len(groups)} acquisitions of the same region, distinguished by their {name}; the "
                f"one with the most slices was read ({total} of {len(frames)} images)."
            )
            notices.append(left_out("acquisition-chosen", text, len(frames) - total, len(frames)))
        return kept
    return None


def join_runs(groups: Sequence[Sequence[Frame]]) -> tuple[list[int], list[Frame]]:
    """Which groups of parallel images continue each other, the first among them, and their images.

    Args:
        groups: the most important first. A group that shares more than a quarter of its places with those before it
            repeats them, and is left out; of one that shares fewer, those images are.
    """
    plane = plane_of(groups[0][0])
    taken: list[int] = []
    kept: list[Frame] = []
    ranges: list[tuple[float, float]] = []
    for place, group in enumerate(groups):
        along = distances_mm(group, plane)
        is_shared = np.zeros(len(group), dtype=np.bool_)
        for low, high in ranges:
            is_shared |= (along >= low - POSITION_TOLERANCE_MM) & (along <= high + POSITION_TOLERANCE_MM)
        if is_shared.sum() <= SHARED_BY_RUNS * len(group):
            taken.append(place)
            ranges.append((float(along.min()), float(along.max())))
            kept.extend(frame for frame, shared in zip(group, is_shared, strict=True) if not shared)
    return taken, kept


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
