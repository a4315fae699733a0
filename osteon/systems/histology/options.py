"""Options of a reading of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from osteon.data.options import ModelOptions, force_option, option, report_ood_option

__all__ = ["DatasetOptions", "LabelledOptions", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ModelOptions):
    """What a person may choose about a slide.

    Attributes:
        force: read a slide of another magnification than the model's.
        report_ood: report necrosis even where the tissue is outside the model's training range.
        after_chemotherapy: the slide is of an osteosarcoma after chemotherapy: propose a Huvos grade.
    """

    after_chemotherapy: bool = option(
        "--after-chemotherapy",
        default=False,
        help="It is an osteosarcoma after chemotherapy: propose a Huvos grade for this slide.",
    )

    force: bool = force_option()
    report_ood: bool = report_ood_option()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What a person may choose about tiles."""

    microns: float | None = option(
        "--microns",
        help="Micrometres per pixel of all tiles, where neither the files nor the table say it; 1.0 for the public "
        "osteosarcoma tiles.",
    )
    patients: Path | None = option(
        "--patients",
        help="CSV: FILE, PATIENT, STUDY, microns_per_pixel, where names do not say. Default: patients.csv in the "
        "source.",
    )
    own_patients: bool = option(
        "--own-patients",
        default=False,
        help="Take each tile for a patient of its own. Leaks: results will be too good.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledOptions:
    """Tiles whose class is known are taken as they are: there is nothing to choose."""
