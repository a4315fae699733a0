"""Options of a reading of the trunk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from osteon.data.options import ThresholdOptions, force_option, option, report_ood_option

__all__ = ["DatasetOptions", "LabelledOptions", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about a CT of the trunk.

    Attributes:
        force: read what is not a trunk in Hounsfield units.
        report_ood: report lesions even where the series is outside the model's training range.
    """

    force: bool = force_option()
    report_ood: bool = report_ood_option()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What a person may choose about slices with masks."""

    masks: Path | None = option(
        "--masks",
        help="For CT series, a CSV: series, patient, lesion_mask and bone_mask (NIfTI, DICOM SEG or RTSTRUCT), or "
        "label normal.",
    )
    patients: Path | None = option(
        "--patients", help="For pictures, a CSV: FILE, PATIENT, SEX, AGE. Default: patients.csv in the source."
    )
    own_patients: bool = option(
        "--own-patients",
        default=False,
        help="Take each picture for a patient of its own. Leaks: results will be too good.",
    )
    bone: bool = option("--bone", default=True, help="Bone masks are needed; --no-bone takes what has none.")
    drop_normal: bool = option(
        "--drop-normal", default=False, help="Of Abnormal, leave the normal slices of metastatic patients out."
    )
    lesion_slices: str = option(
        "--lesion-slices",
        default="70",
        help="Of a CT series, at most this many slices with a lesion, drawn at random; or all.",
    )
    normal_slices: str = option(
        "--normal-slices", default="0", help="Of a CT series, at most this many slices without one; or all."
    )
    size: int = option("--size", default=224, low=16, high=1024, help="Of a CT series, rows and columns of a picture.")
    seed: int = option("--seed", default=1, low=0, help="Another seed draws other slices.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledOptions:
    """What a person may choose about slices of trunks whose bone and lesions are outlined."""

    lesion_slices: int = option(
        "--lesion-slices", default=70, low=0, help="At most this many slices with a lesion of a patient, at random."
    )
    normal_slices: int | None = option(
        "--normal-slices",
        low=0,
        help="At most this many slices without a lesion; 0, or 70 when some patients are healthy.",
    )
    size: int = option("--size", default=224, low=16, high=1024, help="Rows and columns of a picture.")
