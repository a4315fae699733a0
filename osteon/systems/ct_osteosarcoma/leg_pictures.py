"""The pictures of one leg, each with its label: axial as reading sees them, sagittal and coronal as reformats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.manifest import PLANES
from osteon.errors import GeometryMismatchError, InputError, UnknownLabelError, nearest_names
from osteon.ops.crops import leg_crops
from osteon.systems.ct_osteosarcoma.reformats import plane_axes, reformat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.geometry import Box
    from osteon.ops.legs import Leg

__all__ = ["BuildOptions", "LegPicture", "SliceLabels", "TruthMask", "TumourBoxes", "leg_pictures"]

HEALTHY, TUMOUR = "healthy", "tumour"
CROPS_AT_ONCE = 64
LEAST_SHARE = 0.5
"""A reformat is made where it shows at least this share of what the fullest one shows: not through the skin only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Which pictures are made of a series.

    Attributes:
        planes: of ``osteon.data.manifest.PLANES``.
        every: of the slices of a leg and plane, each so-manieth is used, from the first.
        most: at most so many of a leg and plane, evenly spaced over those; None for all.
        size: rows and columns of a picture.
        faint_mm2: pictures with less tumour than this, but some, are left out when the tumour's outline is known.

    Raises:
        InputError: a number below its range, or no plane.
        UnknownLabelError: no such plane.
    """

    planes: tuple[str, ...] = PLANES
    every: int = 1
    most: int | None = None
    size: int = 256
    faint_mm2: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what makes no picture."""
        for plane in self.planes:
            if plane not in PLANES:
                raise UnknownLabelError(f"no plane {plane!r}: {nearest_names(plane, PLANES)}")
        if not self.planes or min(self.every, 1 if self.most is None else self.most) < 1 or self.size < 16:
            raise InputError(
                "a data set needs a plane, every and most of at least 1 and pictures of at least 16 pixels"
            )
        if not self.faint_mm2 >= 0:
            raise InputError(f"the faintest tumour to show must be 0 mm2 or more, found {self.faint_mm2}")


@dataclass(frozen=True, slots=True, eq=False)
class TruthMask:
    """The tumour's outline is known: (slice, row, column) bool over the volume."""

    array: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TumourBoxes:
    """Boxes of voxels around each tumour; none for a healthy series."""

    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceLabels:
    """Axial slices that were labelled one by one; the others are not used.

    Attributes:
        tumour: (slice index, side of the leg: "left", "right" or "" when the series shows one leg) -> tumour or not.
    """

    tumour: Mapping[tuple[int, str], bool]


@dataclass(frozen=True, slots=True, eq=False)
class LegPicture:
    """One picture.

    Attributes:
        plane: of ``PLANES``.
        index: of the slice, row or column of the volume that it shows.
        label: "tumour" or "healthy".
        tumour_mm2: tumour in it, or None when its outline is not known.
        pixels: (size, size) float32, 0 to 1.
    """

    plane: str
    index: int
    label: str
    tumour_mm2: float | None
    pixels: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """Slices of one plane within the box of a leg, ascending, and what they show."""

    indices: NDArray[np.int64]
    labels: NDArray[np.bool_]
    area_mm2: NDArray[np.float64] | None


def leg_pictures(
    volume: Volume,
    leg: Leg,
    labels: TruthMask | TumourBoxes | SliceLabels,
    *,
    options: BuildOptions,
    only: bool = False,
) -> Iterator[LegPicture]:
    """The pictures of a leg, plane by plane.

    Args:
        volume: CT in HU.
        leg: of ``find_legs``.
        labels: of the series.
        options: which pictures.
        only: whether it is the only leg of the series; slice labels without a side are then its.

    Raises:
        GeometryMismatchError: the truth does not fit the volume.
    """
    territory = leg.mask() & leg.present[leg.box.slices[0]][:, None, None]
    truth = _truth_in_leg(volume, leg, labels, territory)
    for plane, axis in plane_axes(volume.grid).items():
        if plane not in options.planes:
            continue
        if isinstance(labels, SliceLabels):
            chosen = _labelled_slices(leg, labels, only=only) if axis == 0 else None
        else:
            chosen = _slices(volume, territory, truth, axis=axis, measured=isinstance(labels, TruthMask))
        if chosen is None or chosen.indices.size == 0:
            continue
        chosen = _thinned(chosen, options)
        made = (
            _axial(volume, leg, chosen, options)
            if axis == 0
            else _across(volume, leg, territory, chosen, axis, options)
        )
        start = leg.box.start[axis]
        for number, pixels in enumerate(made):
            area = None if chosen.area_mm2 is None else float(chosen.area_mm2[number])
            label = TUMOUR if chosen.labels[number] else HEALTHY
            yield LegPicture(plane, int(chosen.indices[number]) + start, label, area, pixels)


def _truth_in_leg(
    volume: Volume, leg: Leg, labels: TruthMask | TumourBoxes | SliceLabels, territory: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Bool of the box's shape: where tumour is, as far as is known."""
    if isinstance(labels, TruthMask):
        if labels.array.shape != volume.array.shape:
            raise GeometryMismatchError(
                f"the truth has shape {labels.array.shape}, its volume {volume.array.shape}: they must be equal"
            )
        return np.asarray(labels.array[leg.box.slices] & territory)
    truth = np.zeros(territory.shape, dtype=np.bool_)
    if isinstance(labels, TumourBoxes):
        for box in labels.boxes:
            bounds = zip(box.start, box.stop, leg.box.start, territory.shape, strict=True)
            truth[tuple(slice(max(a - low, 0), min(max(b - low, 0), count)) for a, b, low, count in bounds)] = True
        truth &= territory
    return truth


def _labelled_slices(leg: Leg, labels: SliceLabels, *, only: bool) -> _Chosen:
    first = leg.box.start[0]
    mine = {
        index: is_tumour
        for (index, side), is_tumour in sorted(labels.tumour.items())
        if (side == leg.side or (only and not side)) and 0 <= index < leg.present.size and leg.present[index]
    }
    indices = np.array([index - first for index in mine], dtype=np.int64)
    return _Chosen(indices, np.array(list(mine.values()), dtype=np.bool_), None)


def _slices(
    volume: Volume, territory: NDArray[np.bool_], truth: NDArray[np.bool_], *, axis: int, measured: bool
) -> _Chosen:
    """Those that show enough of the leg, with their tumour."""
    others = tuple(other for other in range(3) if other != axis)
    spacing_mm = volume.grid.spacing_mm
    pixel_mm2 = spacing_mm[others[0]] * spacing_mm[others[1]]
    shown = np.count_nonzero(territory, axis=others)
    indices = np.flatnonzero(shown > (0 if axis == 0 else LEAST_SHARE * shown.max()))
    area_mm2 = np.count_nonzero(truth, axis=others)[indices] * pixel_mm2
    return _Chosen(indices, area_mm2 > 0, area_mm2 if measured else None)


def _thinned(chosen: _Chosen, options: BuildOptions) -> _Chosen:
    """Without the faint ones; each so-manieth of the rest; at most so many, evenly spaced."""
    keep = np.arange(chosen.indices.size)
    if chosen.area_mm2 is not None:
        keep = keep[(chosen.area_mm2 == 0) | (chosen.area_mm2 >= options.faint_mm2)]
    keep = keep[:: options.every]
    if options.most is not None and keep.size > options.most:
        keep = keep[np.rint(np.linspace(0, keep.size - 1, options.most)).astype(np.int64)]
    area = None if chosen.area_mm2 is None else chosen.area_mm2[keep]
    return _Chosen(chosen.indices[keep], chosen.labels[keep], area)


def _axial(volume: Volume, leg: Leg, chosen: _Chosen, options: BuildOptions) -> Iterator[NDArray[np.float32]]:
    """As reading sees them."""
    keep = leg.mask()
    for first in range(0, chosen.indices.size, CROPS_AT_ONCE):
        some = np.zeros_like(leg.present)
        some[chosen.indices[first : first + CROPS_AT_ONCE] + leg.box.start[0]] = True
        yield from leg_crops(volume.array, leg.box, some, size=options.size, keep=keep)


def _across(
    volume: Volume, leg: Leg, territory: NDArray[np.bool_], chosen: _Chosen, axis: int, options: BuildOptions
) -> Iterator[NDArray[np.float32]]:
    """Sagittal or coronal ones: head up; the patient's front, or right side, at the left edge."""
    other = 3 - axis
    inside = volume.array[leg.box.slices]
    directions, spacing_mm = volume.grid.directions, volume.grid.spacing_mm
    along = directions[other]
    # LPS grows to the left, to the back and to the head
    flip = (bool(directions[0][2] > 0), bool(along[int(np.argmax(np.abs(along[:2])))] < 0))
    for index in chosen.indices:
        yield reformat(
            np.take(inside, index, axis=axis),
            np.take(territory, index, axis=axis),
            spacing_mm=(spacing_mm[0], spacing_mm[other]),
            size=options.size,
            flip=flip,
        )
