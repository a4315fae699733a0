"""The data set of the femur study: the lesion of each MR slice cut out as the network sees it, with a manifest.

What is opened are slices with a lesion's mask or box; what is written are crops (``osteon.ops.mr_region``), once, so
that a training and a reading see the same. A patient is done when the file ``cases/NAME.json`` is there, which is
written last.

Of a folder of files a table (``labels.csv`` in it) says what they show. It has a row a slice: ``image`` (a picture, a
DICOM image or a NIfTI slice), ``patient``, ``label`` (benign, intermediate or malignant) and either ``mask`` (a file of
the same size, not 0 inside) or ``box`` (R0,C0,R1,C1 as ``osteon read --box`` takes it: half open, counted from 0, on
the pixels as stored). ``slice`` names one image of several in a file. Other columns are kept, of which osteon knows
study, series, plane, centre, scanner, sex, age_years and split.

References:
    Spec mri-femur, sections 1 and 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from osteon.data.manifest import PLANES
from osteon.data.system import MadeDataset
from osteon.errors import GeometryMismatchError, InputError, OsteonError, UnknownLabelError, nearest_names
from osteon.io.image import read_image, read_mask_image, write_png8
from osteon.io.nifti import is_nifti_name
from osteon.io.table import read_rows, whole_number
from osteon.ops.mr_region import PlaneBox, RegionOptions, lesion_crop, lesion_in_box, lesion_of_mask, normalise
from osteon.train.datasets.case_builder import (
    BuiltDataset,
    CaseMaker,
    SeriesCase,
    SkippedCase,
    build_cases,
    build_labelled,
    file_state,
    folder_name,
    item_by_item,
    known_fields,
)
from osteon.train.datasets.series_index import check_about, check_same
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import LabelledImage, LabelledStudy, Manifest, Volume
    from osteon.data.options import Progress
    from osteon.systems.mri_femur.options import DatasetOptions, LabelledOptions

__all__ = [
    "BENIGN",
    "INTERMEDIATE",
    "LOOKS",
    "LOOK_COLUMN",
    "MALIGNANT",
    "FemurOptions",
    "LabelledSlice",
    "make_dataset",
    "make_labelled",
    "parse_box",
    "read_femur_table",
]

BENIGN, INTERMEDIATE, MALIGNANT = "benign", "intermediate", "malignant"
LOOKS: Final = (BENIGN, INTERMEDIATE, MALIGNANT)
LOOK_COLUMN: Final = "look"
"""Column of the manifest that keeps which of the three a lesion is, whatever its class is called."""

WAYS: Final = ("leave-out", "benign")
LEFT_OUT: Final = "intermediate: neither benign nor malignant, and left out of two classes"
_WHITE: Final = 255

LABELS_NAME: Final = "labels.csv"
REQUIRED: Final = ("image", "patient", "label")
OF_SLICE: Final = ("image", "patient", "label", "mask", "box", "slice", "plane")
OF_PATIENT: Final = ("sex", "age_years", "centre", "split")
"""Must be the same in all rows of a patient."""

_Opened = Iterable["_FemurPicture | SkippedCase"]
"""The slices of a patient; what could not be opened is given by name and reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurOptions:
    """How pictures are made.

    Attributes:
        region: how a lesion is cut out.
        intermediate: what becomes of lesions that are neither: "leave-out" of the manifest, or call them "benign".

    Raises:
        UnknownLabelError: no such way.
        InputError: a crop of no size.
    """

    region: RegionOptions = field(default_factory=RegionOptions)
    intermediate: Literal["leave-out", "benign"] = "leave-out"

    def __post_init__(self) -> None:
        """Refuse what makes no picture."""
        if self.intermediate not in WAYS:
            raise UnknownLabelError(f"intermediate {self.intermediate!r}: {nearest_names(self.intermediate, WAYS)}")
        if self.region.size < 16 or self.region.margin_px < 0:
            raise InputError(
                f"a crop of {self.region.size} pixels with a margin of {self.region.margin_px} was asked for: at least "
                "16 pixels, and a margin of at least 0, are needed"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _FemurPicture:
    """One slice with its lesion.

    Attributes:
        name: unique in its case; names the file.
        look: one of ``LOOKS``.
        image: (row, column), any unit.
        lesion: (row, column) mask, not 0 inside, or the box that a person drew.
        plane: "axial", "sagittal", "coronal" or "".
        series: where it differs from that of the case.
        extra: further columns, as the sequence.
    """

    name: str
    look: str
    image: NDArray[Any] = field(repr=False)
    lesion: NDArray[Any] | PlaneBox = field(repr=False)
    plane: str = ""
    series: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    """Make a data set of a folder of slices.

    Raises:
        InputError: a table that cannot be read, or no picture in the end.
        OutputError: cannot be written.
        BackendError: a process was ended from outside.
    """
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of the MR slices")
    region = RegionOptions(margin_px=options.margin, masked=options.masked, size=options.size)
    asked = FemurOptions(region=region, intermediate=options.intermediate)
    file = options.labels or source / LABELS_NAME
    about = {"what": "MR slices of the femur with lesions marked", "labels": file.name}
    cases = read_femur_table(file, source)
    built = build_cases(cases, out, _MAKER, options=asked, workers=workers, progress=progress, about=about)
    return _without_intermediates(built)


def make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    """Make the data set of volumes of one slice with the mask "lesion" and the look as their label."""
    asked = FemurOptions(intermediate=options.intermediate)
    built = build_labelled(study, out, _MAKER, asked, _open_labelled, workers=workers, progress=progress)
    return _without_intermediates(built)


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> _Opened:
    return [
        _FemurPicture(
            one.name,
            one.label,
            cast("Volume", one.image).array[0],
            one.masks["lesion"][0] > 0,
            one.plane,
            extra=one.columns,
        )
        for one in open_images()
    ]


def _without_intermediates(built: BuiltDataset) -> MadeDataset:
    """Count the pictures that were left out because their lesion is neither benign nor malignant: not a fault."""
    kept = tuple(item for item in built.skipped if item.reason != LEFT_OUT)
    count = len(built.skipped) - len(kept)
    lines = (f"- {count} images of intermediate lesions left out (--intermediate benign keeps them)",) if count else ()
    return MadeDataset(replace(built, skipped=kept), lines)


def _rows(
    case: SeriesCase[_Opened], opened: _Opened, out: Path, options: FemurOptions
) -> Iterator[dict[str, object] | SkippedCase]:
    """Write the crops of a patient; what is left out has the patient's name too."""
    for found in item_by_item(_write, case, opened, out, options):
        yield (SkippedCase(f"{case.name}/{found.name}", found.reason) if isinstance(found, SkippedCase) else found)


def _write(case: SeriesCase[_Opened], item: _FemurPicture, out: Path, options: FemurOptions) -> dict[str, object]:
    """Cut a lesion out and give its row."""
    if item.look not in LOOKS:
        raise UnknownLabelError(f"no look {item.look!r}: {nearest_names(item.look, LOOKS)}")
    if item.look == INTERMEDIATE and options.intermediate == "leave-out":
        raise InputError(LEFT_OUT)
    grey = normalise(item.image)
    if isinstance(item.lesion, PlaneBox):
        region = lesion_in_box(grey, item.lesion, options=options.region)
    else:
        if item.lesion.shape != grey.shape:
            raise GeometryMismatchError(
                f"the lesion mask has {item.lesion.shape[0]} x {item.lesion.shape[1]} pixels, the slice "
                f"{grey.shape[0]} x {grey.shape[1]}: draw it on that slice"
            )
        region = lesion_of_mask(np.asarray(item.lesion) != 0, options=options.region)
    crop = lesion_crop(grey, region, options=options.region)
    name = f"images/{folder_name(case.name)}/{folder_name(item.name)}.png"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    write_png8(out / name, np.rint(crop * _WHITE).astype(np.uint8))
    extra = {
        LOOK_COLUMN: item.look,
        "box": str(region.box),
        "margin_px": str(options.region.margin_px),
        "masked": "yes" if options.region.masked else "no",
    }
    known = known_fields(case, None)
    return {
        **known,
        "image": name,
        "label": MALIGNANT if item.look == MALIGNANT else BENIGN,
        "plane": item.plane,
        "series": item.series or known["series"],
        "extra": {**case.extra, **item.extra, **extra},
    }


def _notes(manifest: Manifest) -> list[str]:
    """How many of the benign are none."""
    count = sum(row.extra.get(LOOK_COLUMN) == INTERMEDIATE for row in manifest.rows)
    return [f"{count} images of intermediate lesions count as benign (--intermediate benign)."] if count else []


_MAKER: Final = CaseMaker(
    rows=_rows, folders=("images", "cases"), notes=_notes, what="patients", pictures="crops of a patient"
)


# ----------------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSlice:
    """A row of the table.

    Attributes:
        name: unique for its patient.
        image: the file.
        frame: which image of it; None where there is one.
        look: of ``LOOKS``.
        mask: file of the lesion, or None.
        box: of the lesion, or None.
        plane: as of ``_FemurPicture``.
        series: as of ``_FemurPicture``.
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


def read_femur_table(file: Path, folder: Path) -> tuple[SeriesCase[_Opened], ...]:
    """The patients of a table, sorted by name.

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
            known = about.setdefault(line["patient"], {})
            check_about(number, line)
            check_same(known, line, OF_PATIENT, number, whose="patient")
            for column in ("study", "scanner"):
                known.setdefault(column, line.get(column, ""))
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
    numbers = [whole_number(number) for number in re.split(r"[\s,;]+", text.strip())]
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
    mask, box, frame = line.get("mask", ""), line.get("box", ""), whole_number(line.get("slice", ""))
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


def _case(patient: str, items: Sequence[LabelledSlice], about: Mapping[str, str]) -> SeriesCase[_Opened]:
    files = [[file_state(path) for path in (item.image, item.mask)] for item in items]
    age = about.get("age_years", "").replace(",", ".")
    return SeriesCase(
        name=patient,
        patient=patient,
        open=partial(open_slices, tuple(items)),
        fingerprint=digest([repr(items), files]),
        age_years=float(age) if age else None,
        extra={},
        **{column: about.get(column, "") for column in ("study", "centre", "scanner", "sex", "split")},
    )


def open_slices(items: Sequence[LabelledSlice]) -> Iterator[_FemurPicture | SkippedCase]:
    """Read the slices of a patient; top level, so that another process can do it."""
    for item in items:
        try:
            image = read_image(item.image, frame=item.frame)
            lesion: Any = item.box
            if item.mask is not None and is_nifti_name(item.mask):
                lesion = read_image(item.mask, frame=item.frame) > 0
            elif item.mask is not None:
                lesion = read_mask_image(item.mask, shape=(image.shape[0], image.shape[1]))
        except OsteonError as error:
            yield SkippedCase(item.name, str(error))
        else:
            yield _FemurPicture(item.name, item.look, image, lesion, item.plane, item.series, item.extra)
