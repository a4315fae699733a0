"""Options of a reading of the femur."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osteon.data.options import ThresholdOptions, force_option, mask_label_option, option, report_ood_option

__all__ = ["DatasetOptions", "LabelledOptions", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about one lesion on an MRI of the femur."""

    box: tuple[int, int, int, int] | None = option(
        "--box",
        default=None,
        metavar="R0,C0,R1,C1",
        marks=True,
        help="The lesion's box on its slice, rows and columns counted from 0, R1 and C1 the first outside.",
    )
    mask: Path | None = option(
        "--mask",
        default=None,
        help="The lesion's outline in place of a box: PNG of the slice; NIfTI, NRRD, DICOM SEG or RTSTRUCT of "
        "the series.",
        marks=True,
    )
    mask_label: str | None = mask_label_option()
    slice_number: int | None = option(
        "--slice", default=None, metavar="N", help="Slice of the box or mask, counted from 1."
    )
    force: bool = force_option()
    report_ood: bool = report_ood_option()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What a person may choose about the crops of lesions."""

    labels: Path | None = option(
        "--labels",
        help="CSV: image, patient, label (benign, intermediate, malignant), and mask or box (R0,C0,R1,C1). Default: "
        "labels.csv in the folder.",
    )
    intermediate: Literal["leave-out", "benign"] = option(
        "--intermediate", default="leave-out", help="What becomes of intermediate lesions: leave-out or benign."
    )
    margin: int = option("--margin", default=20, low=0, high=500, help="Pixels around the lesion's box.")
    masked: bool = option("--masked", default=False, help="Show nothing outside the lesion's region.")
    size: int = option("--size", default=224, low=16, high=1024, help="Rows and columns of a crop.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledOptions:
    """What a person may choose about crops of lesions that are outlined."""

    intermediate: Literal["leave-out", "benign"] = option(
        "--intermediate", default="leave-out", help="Lesions that are neither benign nor malignant."
    )
