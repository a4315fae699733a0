"""Options of a reading of a limb, and of data sets of their sarcomas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osteon.data.options import ThresholdOptions, force_option, option, report_ood_option

__all__ = ["DatasetOptions", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about a limb.

    Attributes:
        force: read what says that it is not T1.
        report_ood: report tumours even where the scan is outside the model's training range.
    """

    force: bool = force_option()
    report_ood: bool = report_ood_option()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What a person may choose about volumes with a mask of the tumour."""

    modality: Literal["mr", "ct", "both"] = option("--modality", default="mr", help="Which images: MR T1, CT, or both.")
    masks: Path | None = option(
        "--masks",
        help="A CSV: series, patient, tumour_mask (NIfTI, NRRD, DICOM SEG or RTSTRUCT), tumour_labels. Default: every "
        "NAME_mask.nii.gz beside its NAME.nii.gz.",
    )
    margin: int = option(
        "--margin",
        default=50,
        low=0,
        high=200,
        help="Images end 0 to this many mm from the tumour on each side, drawn once for a patient: margins.json.",
    )
    margins: Path | None = option("--margins", help="A margins.json of another data set: its margins are taken.")
    whole: bool = option("--whole", default=False, help="Whole stacks: nothing is cut away.")
    size: int = option("--size", default=160, low=32, high=1024, help="Rows and columns of a picture; 16 divides them.")
    seed: int = option("--seed", default=1, low=0, help="Another seed draws other margins.")
