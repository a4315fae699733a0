"""Options of a reading of the femur."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from osteon.data.options import ThresholdOptions, option

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about one lesion on an MRI of the femur.

    Attributes:
        box: of the lesion on one slice: first row, first column inside, first row, first column outside, from 0.
        mask: file that outlines the lesion: a picture of the slice, or NIfTI or DICOM SEG of the series.
        slice_number: of the slice that box or mask is drawn on, counted from 1.
    """

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
        help="The lesion's outline in place of a box: PNG of the slice, NIfTI or DICOM SEG of the series.",
        marks=True,
    )
    slice_number: int | None = option(
        "--slice", default=None, metavar="N", help="Slice of the box or mask, counted from 1."
    )
