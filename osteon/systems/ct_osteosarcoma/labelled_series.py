"""Real series with a list of labels: which series is meant, what it shows, and how it is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

from osteon.errors import InputError, nearest_names
from osteon.geometry import Box
from osteon.io import find_images, load_volume
from osteon.ops.legs import Side
from osteon.systems.ct_osteosarcoma.dataset import BuildOptions, Case, OpenedCase, build_dataset
from osteon.systems.ct_osteosarcoma.leg_pictures import HEALTHY, TUMOUR, SliceLabels, TumourBoxes
from osteon.train.datasets.series_index import ABOUT, check_about, find_series, read_series_table, series_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.io import SeriesEntry
    from osteon.systems.ct_osteosarcoma.dataset import BuiltDataset

__all__ = ["LabelledSeries", "build_labelled", "read_labels"]

BOX: Final = ("slice_first", "slice_last", "row_first", "row_last", "column_first", "column_last")
COLUMNS: Final = ("series", *ABOUT, "label", "slice", "leg", *BOX)


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """All rows of one series.

    Attributes:
        series: Series Instance UID, name of the folder of its files, or name of the NIfTI file.
        about: columns of ``ABOUT`` that are filled.
        labels: of the series.
    """

    series: str
    about: Mapping[str, str]
    labels: TumourBoxes | SliceLabels


def read_labels(file: Path) -> tuple[LabelledSeries, ...]:
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
    for number, line in read_series_table(file, COLUMNS):
        groups.setdefault(line["series"], []).append((number, line))
    try:
        return tuple(_series(name, rows) for name, rows in groups.items())
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def build_labelled(
    series: Path,
    labels: Path,
    out: Path,
    *,
    options: BuildOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[BuiltDataset, int]:
    """Make a data set of labelled series.

    Args:
        series: folder, file or zip.
        labels: as ``read_labels`` reads it.
        out: the data set folder.
        options: which pictures.
        workers: processes.
        progress: told about every step.

    Returns:
        What was made, and how many series there are without a label; they are not used.

    Raises:
        InputError: labels that cannot be read, or that name a series that is not there.
        OutputError: as ``build_dataset``.
    """
    listed = read_labels(labels)
    with find_images(series, progress=progress) as inventory:
        found = [find_series(item.series, inventory) for item in listed]
        if len({id(entry) for entry in found}) != len(found):
            raise InputError(f"{labels.name} names a series in two ways, by UID and by folder: use one")
        # named after the patient's pseudonym: a folder may be called after the person
        so_far = Counter[str]()
        cases = []
        for item, entry in zip(listed, found, strict=True):
            so_far[item.about["patient"]] += 1
            cases.append(_case(f"{item.about['patient']}-{so_far[item.about['patient']]}", item, entry))
        about = {"what": "labelled CT series", "labels": labels.name}
        built = build_dataset(cases, out, options=options, workers=workers, progress=progress, about=about)
        return built, len(inventory.entries) - len(cases)


def open_entry(entry: SeriesEntry, labels: TumourBoxes | SliceLabels) -> OpenedCase:
    """Load a series that was found; top level, so that another process can do it.

    Raises:
        InputError, UnsupportedError: no CT, or it cannot be read.
    """
    if entry.series.modality not in ("CT", ""):
        raise InputError(f"a CT was asked for, the series is {entry.series.modality}")
    return OpenedCase(load_volume(entry), labels)


def _series(name: str, rows: Sequence[tuple[int, dict[str, str]]]) -> LabelledSeries:
    about: dict[str, str] = {}
    boxes: list[Box] = []
    slices: dict[tuple[int, str], bool] = {}
    healthy = False
    for number, line in rows:
        for column in ABOUT:
            value = line.get(column, "")
            if value and about.setdefault(column, value) != value:
                raise InputError(f"row {number} gives its series another {column} than an earlier row: make them equal")
        filled = [column for column in BOX if line.get(column)]
        label, slice_text = line.get("label", ""), line.get("slice", "")
        if label not in ("", HEALTHY, TUMOUR):
            raise InputError(f"row {number} has the label {label!r}: {nearest_names(label, (HEALTHY, TUMOUR))}")
        if len(filled) == len(BOX) and not slice_text and label != HEALTHY:
            boxes.append(_box(number, line))
        elif slice_text and label and not filled:
            key = (_index(number, "slice", slice_text), _side(number, line.get("leg", "")))
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
    check_about(rows[0][0], about)
    return LabelledSeries(name, about, SliceLabels(slices) if slices else TumourBoxes(tuple(boxes)))


def _index(number: int, column: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"row {number} has the {column} {text!r}: it must be a whole number from 0")
    return int(text)


def _side(number: int, text: str) -> str:
    if text not in ("", *get_args(Side)):
        raise InputError(f"row {number} has the leg {text!r}: it must be left, right or empty")
    return text


def _box(number: int, line: Mapping[str, str]) -> Box:
    ends = [_index(number, column, line[column]) for column in BOX]
    first, last = ends[::2], ends[1::2]
    if any(b < a for a, b in zip(first, last, strict=True)):
        raise InputError(f"row {number} has a box whose last index lies before its first: swap them")
    return Box(start=(first[0], first[1], first[2]), stop=(last[0] + 1, last[1] + 1, last[2] + 1))


def _case(name: str, item: LabelledSeries, entry: SeriesEntry) -> Case:
    return Case(
        name=name,
        open=partial(open_entry, entry, item.labels),
        fingerprint=repr((entry.series.uid, entry.n_images, item.labels)),
        **series_fields(item.about, entry),
    )
