"""Options of a reading of the legs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osteon.data.options import ThresholdOptions, force_option, option, report_ood_option

__all__ = ["DatasetOptions", "LabelledOptions", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about a CT of the legs.

    Attributes:
        roi: "series" follows the legs through the series; "paper" is the paper's literal slice-wise recipe.
        bone: "paper" is the published chain in voxels, "paper-mm" the same in millimetres; "fine" takes a second look
            at what the chain found, so that joints stay open.
        force: read what does not look like legs.
        report_ood: report what the model found even where a leg is outside its training range.
    """

    roi: Literal["series", "paper"] = option(
        "--roi", default="series", help="How legs are found: through the series, or the paper's slice-wise recipe."
    )
    bone: Literal["fine", "paper", "paper-mm"] = option(
        "--bone",
        default="fine",
        help="Bone mask: fine (joints stay open), or the paper's chain in voxels or millimetres.",
    )
    force: bool = force_option()
    report_ood: bool = report_ood_option()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What a person may choose about the pictures of legs."""

    labels: Path = option(
        "--labels",
        required=True,
        help="CSV: series, patient, and boxes (slice_first ... column_last), or slice and label, or label healthy. "
        "Voxels are counted from 0 as osteon read counts them; last is inside.",
    )
    planes: str = option("--planes", default="axial,sagittal,coronal", help="Planes of the pictures, with commas.")
    every: int = option("--every", default=1, low=1, help="Use every N-th slice of a leg and plane.")
    most: int = option(
        "--most", default=0, low=0, help="At most this many pictures of a leg and plane, evenly spaced; 0: all."
    )
    size: int = option("--size", default=256, low=16, high=1024, help="Rows and columns of a picture.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledOptions:
    """What a person may choose about the pictures of legs whose tumours are outlined."""

    planes: str = option("--planes", default="axial,sagittal,coronal", help="Planes of the pictures, with commas.")
    every: int = option("--every", default=1, low=1, help="Use every N-th slice of a leg and plane.")
    most: int = option(
        "--most", default=24, low=0, help="At most this many pictures of a leg and plane, evenly spaced; 0: all."
    )
    size: int = option("--size", default=256, low=16, high=1024, help="Rows and columns of a picture.")
    faint: float = option(
        "--faint", default=60.0, low=0.0, help="Leave pictures out that show less tumour than this, in mm2."
    )
