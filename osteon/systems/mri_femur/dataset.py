"""The data set of the femur study: the lesion of each MR slice cut out as the network sees it, with a manifest.

What is opened are slices with a lesion's mask or box; what is written are crops (``osteon.ops.mr_region``), once, so
that a training and a reading see the same. A patient is done when the file ``cases/NAME.json`` is there, which is
written last.

References:
    Spec mri-femur, sections 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from osteon.data.system import MadeDataset
from osteon.errors import GeometryMismatchError, InputError, OsteonError, OutputError, UnknownLabelError, nearest_names
from osteon.io.image import write_png8
from osteon.ops.mr_region import PlaneBox, RegionOptions, lesion_crop, lesion_in_box, lesion_of_mask, normalise
from osteon.train.datasets.case_builder import (
    BuiltDataset,
    CaseMaker,
    SeriesCase,
    SkippedCase,
    build_cases,
    case_key,
    folder_name,
    forget_pictures,
    known_fields,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import LabelledImage, LabelledStudy, Manifest, Volume
    from osteon.data.options import Progress

__all__ = [
    "BENIGN",
    "INTERMEDIATE",
    "LOOKS",
    "LOOK_COLUMN",
    "MALIGNANT",
    "FemurCase",
    "FemurOptions",
    "FemurPicture",
    "build_dataset",
    "build_labelled_study",
    "is_intermediate",
    "without_intermediates",
]

BENIGN, INTERMEDIATE, MALIGNANT = "benign", "intermediate", "malignant"
LOOKS: Final = (BENIGN, INTERMEDIATE, MALIGNANT)
LOOK_COLUMN: Final = "look"
"""Column of the manifest that keeps which of the three a lesion is, whatever its class is called."""

FOLDERS: Final = ("images", "cases")
WAYS: Final = ("leave-out", "benign")
LEFT_OUT: Final = "intermediate: neither benign nor malignant, and left out of two classes"
_WHITE: Final = 255


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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FemurPicture:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurCase(SeriesCase[list[FemurPicture | SkippedCase]]):
    """The slices of a patient; what could not be opened is told by name and reason."""


def build_dataset(
    cases: Iterable[FemurCase],
    out: Path,
    options: FemurOptions | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
) -> BuiltDataset:
    """Make a data set folder: crops, ``manifest.csv``, the cohort table, ``dataset.json`` that says how.

    Args:
        cases: the patients; their order is that of the manifest.
        out: new, empty, or an earlier data set of this builder: patients that are complete there are kept.
        options: how lesions are cut out, and what becomes of intermediate ones.
        workers: processes; 1 works in this one.
        progress: told about every patient; called often, so that it may stop the work.
        about: what else ``dataset.json`` shall say.

    Returns:
        The manifest and the pictures that were left out, intermediate ones (``is_intermediate``) among them.

    Raises:
        InputError: two cases of one name, none, or no picture in the end.
        OutputError: the folder holds something else, or cannot be written.
        BackendError: a process was ended from outside.
    """
    return build_cases(
        cases, out, _MAKER, options=options or FemurOptions(), workers=workers, progress=progress, about=about
    )


def build_labelled_study(
    study: LabelledStudy, out: Path, options: FemurOptions, *, workers: int = 1, progress: Progress | None = None
) -> BuiltDataset:
    """As ``build_dataset``, of volumes of one slice with the mask "lesion" and the look as their label."""
    cases = [replace(case, open=partial(_open_labelled, case.open)) for case in study.cases]
    return build_dataset(cases, out, options, workers=workers, progress=progress, about=study.about)


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> list[FemurPicture | SkippedCase]:
    return [
        FemurPicture(
            name=one.name,
            look=one.label,
            image=cast("Volume", one.image).array[0],
            lesion=one.masks["lesion"][0] > 0,
            plane=one.plane,
            extra=one.columns,
        )
        for one in open_images()
    ]


def without_intermediates(built: BuiltDataset) -> MadeDataset:
    """Count the pictures that were left out because their lesion is neither benign nor malignant, which is no fault."""
    kept = tuple(item for item in built.skipped if not is_intermediate(item))
    count = len(built.skipped) - len(kept)
    lines = (f"- {count} images of intermediate lesions left out (--intermediate benign keeps them)",) if count else ()
    return MadeDataset(replace(built, skipped=kept), lines)


def is_intermediate(item: SkippedCase) -> bool:
    """Whether a picture was left out because its lesion is neither benign nor malignant."""
    return item.reason == LEFT_OUT


def make_case(case: FemurCase, out: Path, options: FemurOptions) -> str:
    """Write the crops of a patient; gives the reason when the patient could not be opened, else "".

    Raises:
        OutputError: cannot be written.
    """
    stem = folder_name(case.name)
    rows: list[dict[str, object]] = []
    left_out: list[dict[str, str]] = []
    try:
        opened = case.open()
    except OsteonError as error:
        return str(error)
    try:
        forget_pictures(out, _rows_file(stem))
        (out / "images" / stem).mkdir(parents=True, exist_ok=True)
        for item in opened:
            reason = _tried(case, item, out, options, rows) if isinstance(item, FemurPicture) else item.reason
            if reason:
                left_out.append({"name": f"{case.name}/{item.name}", "reason": reason})
    except OSError as error:
        raise OutputError(f"the crops of a patient cannot be written: {error.strerror}; free the disk") from error
    key = case_key(case, options)
    write_json(out / _rows_file(stem), {"key": key, "reason": "", "rows": rows, "left_out": left_out})
    return ""


def _tried(case: FemurCase, item: FemurPicture, out: Path, options: FemurOptions, rows: list[dict[str, object]]) -> str:
    """``_write``, where what cannot be cut out is a reason too."""
    try:
        return _write(case, item, out, options, rows)
    except OutputError:
        raise
    except OsteonError as error:
        return str(error)


def _write(case: FemurCase, item: FemurPicture, out: Path, options: FemurOptions, rows: list[dict[str, object]]) -> str:
    """Cut a lesion out and note its row; gives the reason when its class has no place here."""
    if item.look not in LOOKS:
        raise UnknownLabelError(f"no look {item.look!r}: {nearest_names(item.look, LOOKS)}")
    if item.look == INTERMEDIATE and options.intermediate == "leave-out":
        return LEFT_OUT
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
    stem = folder_name(case.name)
    name = f"images/{stem}/{folder_name(item.name)}.png"
    write_png8(out / name, np.rint(crop * _WHITE).astype(np.uint8))
    extra = {
        LOOK_COLUMN: item.look,
        "box": str(region.box),
        "margin_px": str(options.region.margin_px),
        "masked": "yes" if options.region.masked else "no",
    }
    known = known_fields(case, None)
    rows.append(
        {
            **known,
            "image": name,
            "label": MALIGNANT if item.look == MALIGNANT else BENIGN,
            "plane": item.plane,
            "series": item.series or known["series"],
            "extra": {**case.extra, **item.extra, **extra},
        }
    )
    return ""


def _rows_file(name: str) -> str:
    return f"cases/{name}.json"


def _notes(manifest: Manifest) -> list[str]:
    """How many of the benign are none."""
    count = sum(row.extra.get(LOOK_COLUMN) == INTERMEDIATE for row in manifest.rows)
    return [f"{count} images of intermediate lesions count as benign (--intermediate benign)."] if count else []


_MAKER: Final = CaseMaker(make=make_case, rows_file=_rows_file, folders=FOLDERS, notes=_notes, what="patients")
