"""MR slices of the femur as a person has them: a folder of files, and a table that says what they show.

The table (``labels.csv`` in the folder) has a row a slice: ``image`` (a picture, a DICOM image or a NIfTI slice),
``patient``, ``label`` (benign, intermediate or malignant) and either ``mask`` (a file of the same size, not 0 inside)
or ``box`` (R0,C0,R1,C1 as ``osteon read --box`` takes it: half open, counted from 0, on the pixels as stored).
``slice`` names one image of several in a file. Other columns are kept, of which osteon knows study, series, plane,
centre, scanner, sex, age_years and split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from osteon.data.manifest import PLANES
from osteon.errors import InputError, OsteonError, nearest_names
from osteon.io.image import read_image, read_mask_image
from osteon.io.nifti import is_nifti_name
from osteon.io.table import read_rows
from osteon.ops.mr_region import PlaneBox
from osteon.systems.mri_femur.dataset import LOOKS, FemurCase, FemurOptions, FemurPicture, build_dataset
from osteon.train.datasets.case_builder import SkippedCase, file_state
from osteon.train.datasets.series_index import check_about
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset

__all__ = ["LABELS_NAME", "LabelledSlice", "build_from_table", "parse_box", "read_femur_table"]

LABELS_NAME: Final = "labels.csv"
REQUIRED: Final = ("image", "patient", "label")
OF_SLICE: Final = ("image", "patient", "label", "mask", "box", "slice", "plane")
OF_PATIENT: Final = ("sex", "age_years", "centre", "split")
"""Must be the same in all rows of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSlice:
    """A row of the table.

    Attributes:
        name: unique for its patient.
        image: the file.
        frame: which image of it; None where there is one.
        look: of ``osteon.systems.mri_femur.dataset.LOOKS``.
        mask: file of the lesion, or None.
        box: of the lesion, or None.
        plane: as of ``FemurPicture``.
        series: as of ``FemurPicture``.
        extra: further columns.
    """

    name: str
    image: Path
    frame: int | None
    look: str
    mask: Path | None
    box: PlaneBox | None
    plane: str
    series: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def build_from_table(
    source: Path,
    out: Path,
    *,
    labels: Path | None = None,
    options: FemurOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """Make a data set of a folder of slices.

    Args:
        source: the folder; the files of the table lie below it.
        out: the data set folder.
        labels: the table; None: ``labels.csv`` in the source.
        options: how lesions are cut out, and what becomes of intermediate ones.
        workers: processes.
        progress: told about every patient.

    Raises:
        InputError: a table that cannot be read, or as ``build_dataset``.
        OutputError: cannot be written.
        BackendError: a process was ended from outside.
    """
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of the MR slices")
    file = labels or source / LABELS_NAME
    cases = read_femur_table(file, source)
    about = {"what": "MR slices of the femur with lesions marked", "labels": file.name}
    return build_dataset(cases, out, options, workers=workers, progress=progress, about=about)


def read_femur_table(file: Path, folder: Path) -> tuple[FemurCase, ...]:
    """The patients of a table, sorted by name.

    Args:
        file: as this module says.
        folder: of the images and masks.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    header, lines, _ = read_rows(file)
    for column in REQUIRED:
        if column not in header:
            raise InputError(
                f"{file.name} has no column {column!r} ({nearest_names(column, header)}): it needs "
                f"{', '.join(REQUIRED)}, and mask or box"
            )
    slices: dict[str, list[LabelledSlice]] = {}
    about: dict[str, dict[str, str]] = {}
    seen: set[str] = set()
    try:
        for number, line in enumerate(lines, start=1):
            item = _slice(number, line, folder, seen)
            slices.setdefault(line["patient"], []).append(item)
            _note(number, line, about.setdefault(line["patient"], {}))
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    if not slices:
        raise InputError(f"{file.name} has no rows: it needs one for each slice")
    return tuple(_case(patient, items, about[patient]) for patient, items in sorted(slices.items()))


def parse_box(text: str) -> PlaneBox:
    """A box as it is typed.

    Raises:
        InputError: not four whole numbers, or empty.

    Example:
        >>> parse_box("10,20,40,60")
        PlaneBox(top=10, left=20, bottom=40, right=60)
    """
    numbers = re.split(r"[\s,;]+", text.strip())
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise InputError(f"the box {text!r} is not R0,C0,R1,C1: four whole numbers from 0")
    return PlaneBox(*map(int, numbers))


def _slice(number: int, line: Mapping[str, str], folder: Path, seen: set[str]) -> LabelledSlice:
    """A row, checked; its name joins those that were seen."""
    for column in REQUIRED:
        if not line[column]:
            raise InputError(f"row {number} lacks its {column}: fill it")
    if line["label"] not in LOOKS:
        raise InputError(f"row {number} has the label {line['label']!r}: {nearest_names(line['label'], LOOKS)}")
    mask, box, frame = (line.get(column, "") for column in ("mask", "box", "slice"))
    if bool(mask) == bool(box):
        raise InputError(f"row {number} must have either a mask or a box of its lesion")
    if frame and not frame.isdecimal():
        raise InputError(f"row {number} has the slice {frame!r}: it must be a whole number from 0")
    if line.get("plane", "") not in ("", *PLANES):
        raise InputError(f"row {number} has the plane {line['plane']!r}: {nearest_names(line['plane'], PLANES)}")
    try:
        drawn = parse_box(box) if box else None
    except InputError as error:
        raise InputError(f"row {number}: {error}") from error
    name = line["image"] + (f"-{frame}" if frame else "")
    if name in seen:
        raise InputError(f"row {number} names a slice that an earlier row names: keep one")
    seen.add(name)
    known = {*OF_SLICE, *OF_PATIENT, "scanner", "study", "series"}
    told = {column: text for column, text in line.items() if text and column not in known}
    return LabelledSlice(
        name=name,
        image=folder / line["image"],
        frame=int(frame) if frame else None,
        look=line["label"],
        mask=folder / mask if mask else None,
        box=drawn,
        plane=line.get("plane", ""),
        series=line.get("series", ""),
        extra={"file": line["image"], **told},
    )


def _note(number: int, line: Mapping[str, str], about: dict[str, str]) -> None:
    """What a row says of its patient; two rows must not differ."""
    check_about(number, line)
    for column in OF_PATIENT:
        text = line.get(column, "")
        if text and about.setdefault(column, text) != text:
            raise InputError(f"row {number} gives its patient another {column} than an earlier row: make them equal")
    for column in ("study", "scanner"):
        about.setdefault(column, line.get(column, ""))


def _case(patient: str, items: Sequence[LabelledSlice], about: Mapping[str, str]) -> FemurCase:
    files = [[file_state(path) for path in (item.image, item.mask)] for item in items]
    age = about.get("age_years", "").replace(",", ".")
    return FemurCase(
        name=patient,
        patient=patient,
        open=partial(open_slices, tuple(items)),
        fingerprint=digest([repr(items), files]),
        study=about.get("study", ""),
        centre=about.get("centre", ""),
        scanner=about.get("scanner", ""),
        sex=about.get("sex", ""),
        age_years=float(age) if age else None,
        split=about.get("split", ""),
    )


def open_slices(items: Sequence[LabelledSlice]) -> list[FemurPicture | SkippedCase]:
    """Read the slices of a patient; top level, so that another process can do it."""
    found: list[FemurPicture | SkippedCase] = []
    for item in items:
        try:
            image = read_image(item.image, frame=item.frame)
            lesion = item.box if item.mask is None else _mask(item.mask, item.frame, image)
        except OsteonError as error:
            found.append(SkippedCase(item.name, str(error)))
            continue
        if lesion is not None:
            found.append(
                FemurPicture(
                    name=item.name,
                    look=item.look,
                    image=image,
                    lesion=lesion,
                    plane=item.plane,
                    series=item.series,
                    extra=item.extra,
                )
            )
    return found


def _mask(file: Path, frame: int | None, image: NDArray[np.float32]) -> NDArray[Any]:
    if is_nifti_name(file):
        return read_image(file, frame=frame) > 0
    return read_mask_image(file, shape=(image.shape[0], image.shape[1]))
