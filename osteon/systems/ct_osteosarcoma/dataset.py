"""The data set of the CT study: every leg of every series as axial, sagittal and coronal pictures, with a manifest.

A series is done when its file ``cases/NAME.json`` is there, which is written last. What was stopped goes on where
it was; what is done with the same options is not made again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import numpy as np

from osteon.data.manifest import PLANES
from osteon.data.system import MadeDataset
from osteon.errors import GeometryMismatchError, InputError, UnknownLabelError, nearest_names
from osteon.geometry import Box
from osteon.io import load_volume
from osteon.io.image import write_png16
from osteon.io.table import whole_number
from osteon.ops.crops import leg_crops
from osteon.ops.legs import Side, find_legs
from osteon.train.datasets import series_index
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SeriesCase,
    build_cases,
    build_labelled,
    folder_name,
    known_fields,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import LabelledImage, LabelledStudy, Volume
    from osteon.data.options import Progress
    from osteon.geometry import Grid
    from osteon.io import SeriesEntry
    from osteon.ops.legs import Leg
    from osteon.systems.ct_osteosarcoma.options import DatasetOptions, LabelledOptions

__all__ = [
    "MAKER",
    "BuildOptions",
    "OpenedCase",
    "SliceLabels",
    "TruthMask",
    "TumourBoxes",
    "leg_pictures",
    "make_dataset",
    "make_labelled",
    "plane_axes",
    "read_labels",
    "reformat",
]


BOX: Final = ("slice_first", "slice_last", "row_first", "row_last", "column_first", "column_last")
COLUMNS: Final = ("series", *series_index.ABOUT, "label", "slice", "leg", *BOX)


HEALTHY, TUMOUR = "healthy", "tumour"
CROPS_AT_ONCE = 64
LEAST_SHARE = 0.5
"""A reformat is made where it shows at least this share of what the fullest one shows: not through the skin only."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCase:
    """A series in memory: the volume, and what is known about tumours in it."""

    volume: Volume
    labels: TruthMask | TumourBoxes | SliceLabels


def make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    """Make the data set of volumes in which the mask "lesion" says where tumour is."""
    asked = _asked(options, faint_mm2=options.faint)
    return MadeDataset(build_labelled(study, out, MAKER, asked, _open_labelled, workers=workers, progress=progress))


def _asked(options: DatasetOptions | LabelledOptions, *, faint_mm2: float = 0.0) -> BuildOptions:
    planes = tuple(dict.fromkeys(name.strip() for name in options.planes.split(",") if name.strip()))
    return BuildOptions(
        planes=planes, every=options.every, most=options.most or None, size=options.size, faint_mm2=faint_mm2
    )


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> OpenedCase:
    (image,) = open_images()
    return OpenedCase(cast("Volume", image.image), TruthMask(image.masks["lesion"] > 0))


def _rows(
    case: SeriesCase[OpenedCase], opened: OpenedCase, out: Path, options: BuildOptions
) -> Iterator[dict[str, object]]:
    """Write the pictures of a series and give their rows."""
    legs = find_legs(opened.volume).legs
    shares = _shares(opened.labels, legs)
    target = out / "images" / folder_name(case.name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for leg, labels in zip(legs, shares, strict=True):
        for picture in leg_pictures(opened.volume, leg, labels, options=options, only=len(legs) == 1):
            name = f"{leg.side}-{picture.plane}-{picture.index:04}.png"
            write_png16(target / name, picture.pixels)
            yield _document(case, opened, leg, picture, f"images/{target.name}/{name}")


def _shares(
    labels: TruthMask | TumourBoxes | SliceLabels, legs: Sequence[Leg]
) -> list[TruthMask | TumourBoxes | SliceLabels]:
    """What each leg has of the labels: a box belongs to the leg in which most of it is.

    Raises:
        InputError: a box outside every leg, or labelled slices of which leg is not said.
    """
    if isinstance(labels, SliceLabels):
        if len(legs) > 1 and any(not side for _, side in labels.tumour):
            raise InputError("its labelled slices show two legs: fill the column leg with left or right")
        return [labels for _ in legs]
    if isinstance(labels, TruthMask):
        return [labels for _ in legs]
    mine: list[list[Any]] = [[] for _ in legs]
    for box in labels.boxes:
        shared = [_shared_voxels(leg, box.start, box.stop) for leg in legs]
        if not max(shared):
            raise InputError("a tumour box is outside the legs: voxels are counted from 0 along slices, rows, columns")
        mine[int(np.argmax(shared))].append(box)
    return [TumourBoxes(tuple(boxes)) for boxes in mine]


def _shared_voxels(leg: Leg, start: Sequence[int], stop: Sequence[int]) -> int:
    bounds = zip(start, stop, leg.box.start, leg.box.shape, strict=True)
    window = tuple(slice(max(a - low, 0), min(max(b - low, 0), count)) for a, b, low, count in bounds)
    return int(np.count_nonzero(leg.mask()[window]))


def _document(
    case: SeriesCase[OpenedCase], opened: OpenedCase, leg: Leg, picture: _LegPicture, path: str
) -> dict[str, object]:
    """The row of a picture as JSON keeps it."""
    area = "" if picture.tumour_mm2 is None else f"{picture.tumour_mm2:.1f}"
    return {
        "image": path,
        "label": picture.label,
        "plane": picture.plane,
        **known_fields(case, opened.volume.source),
        "extra": {"leg": leg.side, "slice": str(picture.index), "tumour_mm2": area, **case.extra},
    }


MAKER: Final = CaseMaker(rows=_rows, folders=("images", "cases"), empty="no picture could be labelled")


@dataclass(frozen=True, slots=True)
class _LabelledSeries:
    """All rows of one series.

    Attributes:
        series: Series Instance UID, name of the folder of its files, or name of the NIfTI file.
        about: columns of ``ABOUT`` that are filled.
        labels: of the series.
    """

    series: str
    about: Mapping[str, str]
    labels: TumourBoxes | SliceLabels


def read_labels(file: Path) -> tuple[_LabelledSeries, ...]:
    """Read a list of labels.

    Every row names a ``series`` and its ``patient`` and is one of: a tumour's box (six columns ``slice_first`` to
    ``column_last``), an axial slice (``slice``, ``label`` tumour or healthy, and ``leg`` left or right where the series
    shows both), or a healthy series (``label`` healthy and no more). Indices count from 0 in the order in which osteon
    reads the series (that of its findings); the last ones are inside the box. Optional columns: centre, scanner, sex,
    age_years, split, kind.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, line in series_index.read_series_table(file, COLUMNS):
        groups.setdefault(line["series"], []).append((number, line))
    try:
        return tuple(_series(name, rows) for name, rows in groups.items())
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    """Make a data set of labelled series.

    Raises:
        InputError: labels that cannot be read, or that name a series that is not there.
        OutputError: cannot be written.
    """
    table = options.labels.name
    twice = f"{table} names a series in two ways, by UID and by folder: use one"
    about = {"what": "labelled CT series", "labels": table}
    listed = read_labels(options.labels)
    with series_index.listed_series(source, listed, _case, twice=twice, progress=progress) as (cases, others):
        built = build_cases(cases, out, MAKER, options=_asked(options), workers=workers, progress=progress, about=about)
    lines = (f"- {len(others)} series there are not in {table}: not used",) if others else ()
    return MadeDataset(built, lines)


def open_entry(entry: SeriesEntry, labels: TumourBoxes | SliceLabels) -> OpenedCase:
    """Load a series that was found; top level, so that another process can do it.

    Raises:
        InputError, UnsupportedError: no CT, or it cannot be read.
    """
    if entry.series.modality not in ("CT", ""):
        raise InputError(f"a CT was asked for, the series is {entry.series.modality}")
    return OpenedCase(load_volume(entry), labels)


def _series(name: str, rows: Sequence[tuple[int, dict[str, str]]]) -> _LabelledSeries:
    about: dict[str, str] = {}
    boxes: list[Box] = []
    slices: dict[tuple[int, str], bool] = {}
    healthy = False
    for number, line in rows:
        series_index.check_same(about, line, series_index.ABOUT, number, whose="series")
        filled = [column for column in BOX if line.get(column)]
        label, slice_text = line.get("label", ""), line.get("slice", "")
        if label not in ("", HEALTHY, TUMOUR):
            raise InputError(f"row {number} has the label {label!r}: {nearest_names(label, (HEALTHY, TUMOUR))}")
        if len(filled) == len(BOX) and not slice_text and label != HEALTHY:
            boxes.append(_box(number, line))
        elif slice_text and label and not filled:
            side = line.get("leg", "")
            if side not in ("", *get_args(Side)):
                raise InputError(f"row {number} has the leg {side!r}: it must be left, right or empty")
            key = (_index(number, "slice", slice_text), side)
            if key in slices:
                raise InputError(f"row {number} labels a slice that an earlier row labels: keep one")
            slices[key] = label == TUMOUR
        elif label == HEALTHY and not filled and not slice_text:
            healthy = True
        else:
            raise InputError(
                f"row {number} is none of: a box ({', '.join(BOX)}), a slice with its label, label healthy alone"
            )
    if bool(boxes) + bool(slices) + healthy > 1:
        raise InputError(f"row {rows[-1][0]}: a series has boxes, labelled slices, or is healthy, not several of these")
    series_index.check_about(rows[0][0], about)
    return _LabelledSeries(name, about, SliceLabels(slices) if slices else TumourBoxes(tuple(boxes)))


def _index(number: int, column: str, text: str) -> int:
    text = whole_number(text)
    if not text.isdecimal():
        raise InputError(f"row {number} has the {column} {text!r}: it must be a whole number from 0")
    return int(text)


def _box(number: int, line: Mapping[str, str]) -> Box:
    ends = [_index(number, column, line[column]) for column in BOX]
    first, last = ends[::2], ends[1::2]
    if any(b < a for a, b in zip(first, last, strict=True)):
        raise InputError(f"row {number} has a box whose last index is before its first: swap them")
    return Box(start=(first[0], first[1], first[2]), stop=(last[0] + 1, last[1] + 1, last[2] + 1))


def _case(name: str, item: _LabelledSeries, entry: SeriesEntry) -> SeriesCase[OpenedCase]:
    return SeriesCase(
        name=name,
        open=partial(open_entry, entry, item.labels),
        fingerprint=repr((entry.series.uid, entry.n_images, item.labels)),
        **series_index.series_fields(item.about, entry),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Which pictures are made of a series.

    Attributes:
        planes: of ``osteon.data.manifest.PLANES``.
        every: of the slices of a leg and plane, every N-th is used, from the first.
        most: at most this many of a leg and plane, evenly spaced over those; None for all.
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
class _LegPicture:
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
) -> Iterator[_LegPicture]:
    """The pictures of a leg, plane by plane; slice labels without a side are those of the only leg of a series.

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
            yield _LegPicture(plane, int(chosen.indices[number]) + start, label, area, pixels)


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
    """Without the faint ones; every N-th of the rest; at most this many, evenly spaced."""
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


def plane_axes(grid: Grid) -> dict[str, int]:
    """Which array axis a picture of each plane runs across: axial 0, the others 2 and 1, or 1 and 2 in a side position.

    Example:
        >>> from osteon.geometry import Grid
        >>> plane_axes(Grid.from_axes(shape=(4, 4, 4), spacing_mm=(3.0, 1.0, 1.0)))
        {'axial': 0, 'sagittal': 2, 'coronal': 1}
    """
    columns_run_across = abs(grid.directions[2][0]) >= abs(grid.directions[1][0])
    return (
        {"axial": 0, "sagittal": 2, "coronal": 1} if columns_run_across else {"axial": 0, "sagittal": 1, "coronal": 2}
    )


def reformat(
    plane: NDArray[Any],
    keep: NDArray[np.bool_],
    *,
    spacing_mm: tuple[float, float],
    size: int,
    flip: tuple[bool, bool] = (False, False),
) -> NDArray[np.float32]:
    """One picture with square pixels, scaled to 0..1.

    The longer side fills the picture and the shorter one is in its middle. Between slices values are interpolated
    linearly, along them the nearest is taken. What is not kept, or is outside, takes the smallest value.

    Args:
        plane: (slice, n) HU, cut out of the box of a leg.
        keep: of the same shape: what belongs to the leg.
        spacing_mm: between slices, and along n.
        size: rows and columns of the picture.
        flip: turn the picture upside down, or left to right.

    Returns:
        (size, size) float32: smallest value 0, largest 1; all 0 when there is one value only.
    """
    values = np.where(keep, plane, plane.min()).astype(np.float32)
    side_mm = max(count * step for count, step in zip(plane.shape, spacing_mm, strict=True))
    (slices, slices_in), (places, places_in) = (
        _places(count, step_mm, side_mm, size) for count, step_mm in zip(plane.shape, spacing_mm, strict=True)
    )
    lower = np.floor(slices).astype(np.int64)
    upper = np.minimum(lower + 1, plane.shape[0] - 1)
    weight = (slices - lower).astype(np.float32)[:, None]
    across = values[:, np.floor(places + 0.5).astype(np.int64).clip(0, plane.shape[1] - 1)]
    picture = (1 - weight) * across[lower] + weight * across[upper]
    inside = slices_in[:, None] & places_in
    low = float(picture[inside].min())
    span = float(picture[inside].max()) - low
    if span <= 0:
        return np.zeros((size, size), dtype=np.float32)
    scaled = np.where(inside, (picture - low) / span, 0).astype(np.float32).clip(0.0, 1.0)
    return np.ascontiguousarray(scaled[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1])


def _places(count: int, step_mm: float, side_mm: float, size: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where each output pixel's centre is among ``count`` samples, kept inside, and whether it was inside."""
    from_middle_mm = (np.arange(size) + 0.5) * (side_mm / size) - side_mm / 2
    place = from_middle_mm / step_mm + (count - 1) / 2
    inside = (place >= -0.5) & (place <= count - 0.5)
    return place.clip(0, count - 1), inside
