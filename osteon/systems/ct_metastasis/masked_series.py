"""Real CT series with masks: a table says which series, whose, and which files mark its lesions and its bone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.curation.splits import NORMAL
from osteon.errors import InputError
from osteon.io import find_images, load_volume, read_mask_volume
from osteon.systems.ct_metastasis.dataset import OpenedTrunk, TrunkCase, build_dataset
from osteon.train.datasets.case_builder import file_state
from osteon.train.datasets.series_index import ABOUT, check_about, find_series, read_series_table, series_fields
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.io import SeriesEntry
    from osteon.systems.ct_metastasis.dataset import TrunkOptions
    from osteon.train.datasets.case_builder import BuiltDataset

__all__ = ["MaskedSeries", "build_masked", "read_masks"]

COLUMNS: Final = ("series", *ABOUT, "label", "lesion_mask", "bone_mask", "lesion_labels", "bone_labels")


@dataclass(frozen=True, slots=True)
class MaskedSeries:
    """A row of the table.

    Attributes:
        series: Series Instance UID, name of the folder of its files, or name of the NIfTI file.
        about: columns of ``ABOUT`` that are filled.
        lesion: file that marks the lesions; None: there is none.
        bone: file that marks the bone; None: it is not marked.
        lesion_labels: values or segment numbers that are lesions, none named for all of them; None: there is one.
        bone_labels: those that are bone.
    """

    series: str
    about: Mapping[str, str]
    lesion: Path | None
    bone: Path | None
    lesion_labels: tuple[int, ...] | None = None
    bone_labels: tuple[int, ...] | None = None


def read_masks(file: Path) -> tuple[MaskedSeries, ...]:
    """Read a table of series and masks.

    Every row names a ``series``, its ``patient`` and its ``lesion_mask`` (NIfTI or DICOM SEG, path from the table's
    folder), or has the ``label`` normal instead: no lesion in the series. Optional: ``bone_mask``; ``lesion_labels``
    and ``bone_labels`` (values of the mask or segments that count: numbers with spaces, or all; needed where a NIfTI
    mask holds more than 0 and 1, and when one file marks both); centre, scanner, sex, age_years, split, kind.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    rows = read_series_table(file, COLUMNS)
    try:
        return tuple(_row(number, line, file.parent) for number, line in rows)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def build_masked(
    series: Path,
    masks: Path,
    out: Path,
    *,
    options: TrunkOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[BuiltDataset, int]:
    """Make a data set of CT series with masks.

    Args:
        series: folder, file or zip.
        masks: table as ``read_masks`` reads it.
        out: the data set folder.
        options: which slices.
        workers: processes.
        progress: told about every step.

    Returns:
        What was made, and how many series there are that the table does not name; they are not used.

    Raises:
        InputError: a table that cannot be read, or that names a series that is not there.
        OutputError: as ``build_dataset``.
    """
    listed = read_masks(masks)
    with find_images(series, progress=progress) as inventory:
        found = [find_series(item.series, inventory) for item in listed]
        if len({id(entry) for entry in found}) != len(found):
            raise InputError(f"{masks.name} names a series twice: keep one row of each")
        # named after the patient's pseudonym: a folder may be called after the person
        so_far = Counter[str]()
        cases = []
        for item, entry in zip(listed, found, strict=True):
            so_far[item.about["patient"]] += 1
            cases.append(_case(f"{item.about['patient']}-{so_far[item.about['patient']]}", item, entry))
        about = {"what": "CT series with masks", "masks": masks.name}
        built = build_dataset(cases, out, options, workers=workers, progress=progress, about=about)
        masks_too = {path.resolve() for item in listed for path in (item.lesion, item.bone) if path}
        unused = [
            entry
            for entry in inventory.entries
            if not any(entry is one for one in found)
            and entry.series.modality in ("CT", "")
            and (entry.path is None or entry.path.resolve() not in masks_too)
        ]
        return built, len(unused)


def open_masked(entry: SeriesEntry, item: MaskedSeries) -> OpenedTrunk:
    """Load a series with its masks; top level, so that another process can do it.

    Raises:
        InputError, UnsupportedError, GeometryMismatchError: no CT, or a series or mask that cannot be used.
    """
    if entry.series.modality not in ("CT", ""):
        raise InputError(f"a CT was asked for, the series is {entry.series.modality}")
    volume = load_volume(entry, modality="CT")
    bone = None if item.bone is None else read_mask_volume(item.bone, like=volume.grid, labels=item.bone_labels)
    if item.lesion is None:
        return OpenedTrunk(volume, np.zeros(volume.grid.shape, dtype=np.bool_), bone)
    return OpenedTrunk(volume, read_mask_volume(item.lesion, like=volume.grid, labels=item.lesion_labels), bone)


def _row(number: int, line: Mapping[str, str], folder: Path) -> MaskedSeries:
    about = {column: line[column] for column in ABOUT if line.get(column)}
    check_about(number, about)
    label, lesion, bone = (line.get(column, "") for column in ("label", "lesion_mask", "bone_mask"))
    if label not in ("", NORMAL):
        raise InputError(f"row {number} has the label {label!r}: it must be empty, or normal where there is no lesion")
    if bool(lesion) == (label == NORMAL):
        raise InputError(f"row {number} must have either a lesion_mask or the label normal")
    lesions, bones = (_labels(number, column, line.get(column, "")) for column in ("lesion_labels", "bone_labels"))
    if lesion and lesion == bone and (lesions is None or bones is None):
        raise InputError(f"row {number} names one file for lesions and bone: fill lesion_labels and bone_labels")
    return MaskedSeries(
        series=line["series"],
        about=about,
        lesion=folder / lesion if lesion else None,
        bone=folder / bone if bone else None,
        lesion_labels=lesions,
        bone_labels=bones,
    )


def _labels(number: int, column: str, text: str) -> tuple[int, ...] | None:
    if not text or text == "all":
        return () if text else None
    words = re.split(r"[\s|+]+", text)
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(
            f"row {number} has the {column} {text!r}: they must be numbers from 1 with spaces between, or all"
        )
    return tuple(sorted({int(word) for word in words}))


def _case(name: str, item: MaskedSeries, entry: SeriesEntry) -> TrunkCase:
    files = [file_state(path) for path in (item.lesion, item.bone)]
    return TrunkCase(
        name=name,
        open=partial(open_masked, entry, item),
        fingerprint=digest([repr((entry.series.uid, entry.n_images, item)), files]),
        **series_fields(item.about, entry),
    )
