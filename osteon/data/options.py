"""What a person may choose about a system's run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Progress", "SystemOptions", "silent"]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; the step is a phrase for a person."""


def silent(step: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""
    del step, done, total


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """Options of every system; a system ignores what it has no use for.

    Attributes:
        device: "auto", "cpu" or "cuda".
        model: name or folder of a model card; None for the system's default.
        force: answer even when the image is not what the system is made for; the result says so.
        roi: "series" follows the legs through the series; "paper" is the paper's literal slice-wise recipe.
        bone: "paper" is the published chain in voxels, "paper-mm" the same in millimetres; "fine" takes a second look
            at what the chain found, so that joints stay open.
        threshold: smoothed probability from which a slice is called tumour, or from which a pixel belongs to a lesion,
            0 to 1; None for that of the model's card.
        report_unlike: report slices called tumour even where the image is unlike anything the model was trained on.
        box: of the lesion on one slice: first row, first column inside, first row, first column outside, from 0.
        mask: file that outlines the lesion: a picture of the slice, or NIfTI or DICOM SEG of the series.
        slice_number: of the slice that box or mask is drawn on, counted from 1.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    model: str | None = None
    force: bool = False
    roi: Literal["series", "paper"] = "series"
    bone: Literal["fine", "paper", "paper-mm"] = "fine"
    threshold: float | None = None
    report_unlike: bool = False
    box: tuple[int, int, int, int] | None = None
    mask: Path | None = None
    slice_number: int | None = None
