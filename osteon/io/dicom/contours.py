"""The closed contours of a region of interest (ROI) as voxels.

A voxel is inside where its centre is, by the even-odd rule over all closed contours of a ROI on its slice: a contour
within another one is a hole, one in the hole an island, a channel (keyhole) leads to a hole. That is what
CLOSEDPLANAR_XOR says, and how holes of CLOSED_PLANAR are drawn. Nothing is filled in between slices.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from osteon.data import Notice
from osteon.errors import GeometryMismatchError, InputError, UnsupportedError
from osteon.io.dicom.references import shown_uid
from osteon.io.limits import CONTOUR_PIXELS, CONTOUR_POINTS, VARIABLE, limit
from osteon.ops.polygons import fill_polygons

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from osteon.data import Source
    from osteon.geometry import Grid

__all__ = ["CLOSED", "CLOSED_XOR", "Roi", "Spent", "Tell", "printable", "roi_mask", "uid_text"]

Tell: TypeAlias = "Callable[[Notice], None]"
"""Called with what a reader of a mask must be told."""

CLOSED: Final = "CLOSED_PLANAR"
CLOSED_XOR: Final = "CLOSEDPLANAR_XOR"
OFF_PLANE: Final = 0.2
"""A contour may be this part of the distance of slices off its slice: programs round positions."""
FARTHEST_VOX: Final = 2.0**40
LONGEST_NUMBER: Final = 64
"""Characters of a coordinate; the standard allows 16."""
SHOWN: Final = 6
"""Contours, slices or ROIs that a message names."""
LONGEST_NAME: Final = 64
ROUNDING_VOX: Final = 0.01
"""A contour along the edge of the image may be this far outside."""
SAME_VOX: Final = 3
"""Decimals of a pixel to which the points of two contours are compared."""
CONTOUR_DATA: Final = 0x30060050
POINTS_SAID: Final = 0x30060046


@dataclass(frozen=True, slots=True)
class Roi:
    """A region of interest of a structure set.

    Attributes:
        name: as a person typed it, what is not printable left out.
        frame_of_reference: UID, or "".
        contours: items of its Contour Sequence.
    """

    number: int
    name: str
    frame_of_reference: str = ""
    contours: Sequence[Dataset] = field(default=(), repr=False)

    def __str__(self) -> str:
        """Number and name."""
        return f"ROI {self.number} {self.name}".rstrip()


@dataclass(frozen=True, slots=True, eq=False)
class _Contour:
    """A closed contour.

    Attributes:
        points_vox: (n, 3) fractional indices of the grid.
        image: SOP Instance UID of the image that it says it was drawn on, or "".
        frame: that it says, or None.
    """

    points_vox: NDArray[np.float64] = field(repr=False)
    is_xor: bool
    image: str = ""
    frame: int | None = None


@dataclass(slots=True)
class Spent:
    """What was read of a file so far.

    Attributes:
        points: of its contours.
        pixels: of the rectangles around them.
    """

    points: int = 0
    pixels: int = 0

    def add(self, name: str, *, points: int = 0, pixels: int = 0) -> None:
        """Count more.

        Raises:
            InputError: it is more than a file may have; ``name`` is that of the file.
        """
        self.points += points
        self.pixels += pixels
        for value, most, what in (
            (self.points, CONTOUR_POINTS, "points"),
            (self.pixels, CONTOUR_PIXELS, "pixels in the rectangles around them"),
        ):
            if value > limit(most):
                raise InputError(
                    f"the contours of {name} have more than {limit(most)} {what} ({VARIABLE} allows more): choose "
                    "fewer ROIs"
                )


def roi_mask(
    roi: Roi, *, like: Grid, source: Source | None, name: str, image: str, tell: Tell, spent: Spent
) -> NDArray[np.bool_]:
    """The voxels of a ROI.

    Args:
        roi: of ``rois_of``.
        like: grid of the volume.
        source: of the volume, or None.
        name: of the file.
        image: what the volume is called.
        tell: called with each notice.
        spent: what was read of the file already; it is counted on.

    Raises:
        InputError, GeometryMismatchError, UnsupportedError: as ``read_structure_set``.
    """
    contours = _closed(roi, like, name, spent, tell)
    slices = _slices(contours, like, f"{roi} of {name}", image)
    _require_images(contours, slices, like, source, f"{roi} of {name}", image)
    mask = np.zeros(like.shape, dtype=np.bool_)
    told = _Told(roi, name, tell)
    for index in sorted(set(slices)):
        here = [contour for contour, place in zip(contours, slices, strict=True) if place == index]
        polygons = told.different(here, index)
        for contour in polygons:
            spent.add(name, pixels=_rectangle(contour, like))
        filled = fill_polygons([contour.points_vox[:, 1:] for contour in polygons], like.shape[1:])
        mask[index] = filled.inside
        told.crossing += [index] * len(filled.crossing)
        told.empty += [index] * len(filled.empty)
        told.overlapping += [index] * sum(not polygons[number].is_xor for number in filled.overlapping)
    told.outside(contours, like)
    told.gaps(mask, sorted(set(slices)))
    told.say()
    return mask


def printable(name: str) -> str:
    """A name for a message: what is not printable left out, shortened."""
    return "".join(letter for letter in name if letter.isprintable()).strip()[:LONGEST_NAME]


def uid_text(value: object) -> str:
    """A UID without its padding; "" where there is none."""
    return str(value or "").strip("\0 ")


def _require_images(
    contours: Sequence[_Contour], slices: Sequence[int], like: Grid, source: Source | None, what: str, image: str
) -> None:
    """Raise unless every contour is on the image that it names."""
    if source is None or source.kind != "dicom":
        return
    at = {(piece.sop_instance_uid, piece.frame): index for index, piece in enumerate(source.slices)}
    frames_of: dict[str, list[int | None]] = {}
    for uid, frame in at:
        frames_of.setdefault(uid, []).append(frame)
    is_whole = len(source.slices) == like.shape[0]  # else slices were interpolated between the images
    for contour, index in zip(contours, slices, strict=True):
        if not contour.image:
            continue
        frames = frames_of.get(contour.image)
        if frames is None:
            raise InputError(
                f"a contour of {what} is on slice {index + 1} of the {image}, but names an image of another series "
                f"({shown_uid(contour.image)}): export the structure set again"
            )
        named = at.get((contour.image, frames[0] if len(frames) == 1 else contour.frame))
        if is_whole and named is not None and named != index:
            raise InputError(
                f"a contour of {what} is on slice {index + 1} of the {image} by its coordinates, but names the image "
                f"of slice {named + 1}: export the structure set again"
            )


# ---------------------------------------------------------------------------------------------------------- the points


def _closed(roi: Roi, like: Grid, name: str, spent: Spent, tell: Tell) -> list[_Contour]:
    """The closed contours of a ROI on the voxels of a grid."""
    what = f"{roi} of {name}"
    found: list[_Contour] = []
    others: Counter[str] = Counter()
    for item in roi.contours:
        kind = str(item.get("ContourGeometricType") or "no type").strip()
        if kind not in {CLOSED, CLOSED_XOR}:
            others[printable(kind)] += 1
            continue
        if any(float(value) for value in item.get("ContourOffsetVector") or ()):
            raise UnsupportedError(f"a contour of {what} is to be shifted (Contour Offset Vector): export it again")
        raw = _raw(item, CONTOUR_DATA)
        spent.add(name, points=(raw.count(b"\\") + 3) // 3)
        points = _points(raw, _raw(item, POINTS_SAID), what)
        if len(points) < 3:
            others["closed, of fewer than three points"] += 1
            continue
        with np.errstate(all="ignore"):  # a place beyond all numbers is refused below
            places = like.to_vox(points)
        if not (np.abs(places) < FARTHEST_VOX).all():
            raise InputError(f"a point of {what} is beyond all places of the patient: export the structure set again")
        image, frame = _named_image(item)
        found.append(_Contour(places, is_xor=kind == CLOSED_XOR, image=image, frame=frame))
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(others.items()))
    if not found:
        raise InputError(f"{what} has no closed contour, only {said}: it encloses nothing")
    if others:
        words = f"{what}: contours that enclose nothing, left out: {sum(others.values())} ({said})."
        tell(Notice("contours-left-out", words))
    return found


def _rectangle(contour: _Contour, like: Grid) -> int:
    """Pixels of the rectangle around a contour, as far as it is on the image."""
    places = contour.points_vox[:, 1:]
    low, high = (np.clip(ends, -1, like.shape[1:]) for ends in (places.min(axis=0), places.max(axis=0)))
    return int(np.prod(np.ceil(high - low) + 1))


def _raw(item: Dataset, tag: int) -> bytes:
    """The bytes of an element of a file, whatever its type says: too long a value is written with another one."""
    value: object = item.get_item(tag).value if tag in item else b""
    if not isinstance(value, bytes):
        raise InputError(f"the structure set was not read from a file: {type(value).__name__} in place of bytes")
    return value.strip(b"\0 ")


def _points(raw: bytes, said: bytes, what: str) -> NDArray[np.float64]:
    """(n, 3) LPS millimetres from the text of Contour Data."""
    parts = raw.split(b"\\")
    if max(map(len, parts)) > LONGEST_NUMBER or len(parts) % 3:
        raise InputError(f"the coordinates of a contour of {what} are damaged: export the structure set again")
    points = np.array(parts).astype(np.float64).reshape(-1, 3)
    if not np.isfinite(points).all() or (said and int(float(said)) != len(points)):
        told = said.decode("ascii", "replace")[:12] or "no number"
        raise InputError(
            f"a contour of {what} has {len(points)} points and says {told}, or one that is not a number: export the "
            "structure set again"
        )
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points


def _named_image(item: Dataset) -> tuple[str, int | None]:
    """The image, and of a multi-frame image the frame, that a contour says it was drawn on; "" of several."""
    images = list(item.get("ContourImageSequence") or ())
    if len(images) != 1:
        return "", None
    frame = images[0].get("ReferencedFrameNumber")
    return uid_text(images[0].get("ReferencedSOPInstanceUID")), frame if isinstance(frame, int) else None


def _slices(contours: Sequence[_Contour], like: Grid, what: str, image: str) -> list[int]:
    """The slice that every contour is on."""
    heights = [each.points_vox[:, 0] for each in contours]
    ends = np.array([(float(height.min()), float(height.max())) for height in heights])
    places = np.rint(ends.mean(axis=1))
    off = np.abs(ends - places[:, None]).max(axis=1)
    beyond = np.maximum(-places, places - like.shape[0] + 1)
    step_mm = like.spacing_mm[0]
    for wrong, values, words in (
        (off > OFF_PLANE, off, f"are not on slices of the {image} ({step_mm:.3g} mm apart)"),
        (beyond > 0, beyond, f"are beyond the first or last slice of the {image}"),
    ):
        if wrong.any():
            first = int(wrong.argmax())
            shown = ", ".join(f"{value * step_mm:.3g}" for value in values[wrong][:SHOWN])
            more = ", ..." if wrong.sum() > SHOWN else ""
            raise GeometryMismatchError(
                f"{int(wrong.sum())} of {len(contours)} contours of {what} {words}: they are {shown}{more} mm off, and "
                f"{OFF_PLANE * step_mm:.3g} mm is allowed; the first reaches from slice {ends[first, 0] + 1:.2f} to "
                f"{ends[first, 1] + 1:.2f}. Read the whole series that they were drawn on, or draw them on this one"
            )
    return [int(place) for place in places]


# --------------------------------------------------------------------------------------------------------- what is told


@dataclass(slots=True)
class _Told:
    """What is odd about the contours of a ROI, gathered and said at the end; lists are of slices, from 0."""

    roi: Roi
    name: str
    tell: Tell
    crossing: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    overlapping: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)

    def different(self, contours: Sequence[_Contour], index: int) -> list[_Contour]:
        """Contours of one slice without those that are there twice; of CLOSEDPLANAR_XOR every one counts."""
        found: dict[object, _Contour] = {}
        for number, contour in enumerate(contours):
            points = np.unique(np.round(contour.points_vox[:, 1:], SAME_VOX), axis=0)
            key = (number,) if contour.is_xor else (len(contour.points_vox), points.tobytes())
            if found.setdefault(key, contour) is not contour:
                self.twice.append(index)
        return list(found.values())

    def outside(self, contours: Sequence[_Contour], like: Grid) -> None:
        """Tell of contours that reach more than half a voxel beyond the outer voxel centres."""
        last = np.array(like.shape[1:]) - 1
        beyond = [
            float((np.maximum(-each.points_vox[:, 1:], each.points_vox[:, 1:] - last) - 0.5).max()) for each in contours
        ]
        far = [value for value in beyond if value > ROUNDING_VOX]
        if far:
            far_mm = max(far) * max(like.spacing_mm[1:])
            words = f"contours that reach outside the image, by up to {far_mm:.3g} mm, cut at its edge: {len(far)}."
            self.say_of("contours-outside-image", words)

    def gaps(self, mask: NDArray[np.bool_], slices: Sequence[int]) -> None:
        """Tell of slices without a contour between two whose contours overlap."""
        pairs = list(pairwise(slices))
        open_pairs = [(a, b) for a, b in pairs if b - a > 1 and (mask[a] & mask[b]).any()]
        if not open_pairs:
            return
        steps = {b - a for a, b in pairs}
        missing = [index for a, b in open_pairs for index in range(a + 1, b)]
        if len(steps) == 1 and len(pairs) > 1:
            step = steps.pop()
            every = "second" if step == 2 else "third" if step == 3 else f"{step}th"
            words = (
                f"contours are drawn on every {every} slice only; the {len(missing)} slices between them are empty, so "
                "that volumes are too small. Interpolate the contours where they were drawn."
            )
        else:
            words = (
                f"no contour is drawn on slice{'s' if len(missing) > 1 else ''} {_ranges(missing)}, between slices "
                "whose contours overlap; nothing was filled in."
            )
        self.say_of("contours-with-gaps", words)

    def say(self) -> None:
        """Tell of what was gathered."""
        for code, slices, words, level in (
            ("contours-twice", self.twice, "contours drawn twice, counted once", "info"),
            (
                "contours-cross-themselves",
                self.crossing,
                "contours that cross themselves or go round a part twice, filled by the even-odd rule",
                "warning",
            ),
            (
                "contours-overlap",
                self.overlapping,
                "contours that partly overlap another one, what both enclose being left out (even-odd rule)",
                "warning",
            ),
            ("contours-too-small", self.empty, "contours without a voxel centre in them, which mark nothing", "info"),
        ):
            if slices:
                where = f"{len(slices)} (slice{'s' if len(set(slices)) > 1 else ''} {_ranges(sorted(set(slices)))})"
                self.say_of(code, f"{words}: {where}.", is_warning=level == "warning")

    def say_of(self, code: str, words: str, *, is_warning: bool = True) -> None:
        """Tell one thing of the ROI."""
        self.tell(Notice(code, f"{self.roi} of {self.name}: {words}", "warning" if is_warning else "info"))


def _ranges(slices: Sequence[int]) -> str:
    """Ascending slices counted from 1, neighbours joined, as "3, 7-9"."""
    runs: list[list[int]] = []
    for index in slices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    said = [f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs]
    return ", ".join(said[:SHOWN]) + (" and others" if len(said) > SHOWN else "")
