"""The system that reads a marked lesion on an MRI of the femur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import DatasetMaker, Header, LabelledMaker, MadeDataset, Match, System, lazy
from osteon.systems.mri_femur.options import DatasetOptions, LabelledOptions, Options

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, LabelledStudy, Volume
    from osteon.data.options import Progress
    from osteon.report import SystemReport

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind not in {"volume", "radiograph", "picture"}:
        return Match(0.0, "it reads an MRI")
    if header.modality == "MR":
        return Match(0.8, "an MRI")
    if header.modality in {"CT", ""}:
        return Match(0.1, "no MRI by its header: read only when the task is named")
    return Match(0.0, "it reads an MRI")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.mri_femur.read import answer

    return answer(volume, options, progress)


def _report() -> SystemReport:
    from osteon.systems.mri_femur.pictures import REPORT

    return REPORT


def _make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    from osteon.ops.mr_region import RegionOptions
    from osteon.systems.mri_femur.dataset import FemurOptions, without_intermediates
    from osteon.systems.mri_femur.source import build_from_table

    region = RegionOptions(margin_px=options.margin, masked=options.masked, size=options.size)
    asked = FemurOptions(region=region, intermediate=options.intermediate)
    built = build_from_table(source, out, labels=options.labels, options=asked, workers=workers, progress=progress)
    return without_intermediates(built)


def _make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    from osteon.systems.mri_femur.dataset import FemurOptions, build_labelled_study, without_intermediates

    asked = FemurOptions(intermediate=options.intermediate)
    return without_intermediates(build_labelled_study(study, out, asked, workers=workers, progress=progress))


_DATASET = DatasetMaker(
    summary="Cut the lesions of MR slices of the femur out as crops, patients kept together, with manifest and cohort.",
    source="A folder of MR slices (pictures, DICOM, NIfTI slices) with the masks of their lesions.",
    options=DatasetOptions,
    items="images or patients",
    make=_make_dataset,
    labelled=LabelledMaker(options=LabelledOptions, items="images or patients", make=_make_labelled),
)

SYSTEM = System(
    stem="mri_femur",
    summary="MRI of the femur: a marked lesion, benign or malignant",
    reads=("volume", "radiograph"),
    modalities=("MR", "CT", ""),
    accepts=_accepts,
    options=Options,
    read=_read,
    report=_report,
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
)
