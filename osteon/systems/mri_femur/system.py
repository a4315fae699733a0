"""The system that reads a marked lesion on an MRI of the femur."""

from __future__ import annotations

from osteon.data.system import DatasetMaker, Header, LabelledMaker, Match, System, late, lazy
from osteon.systems.mri_femur.options import DatasetOptions, LabelledOptions, Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind not in {"volume", "radiograph", "picture"}:
        return Match(0.0, "it reads an MRI")
    if header.modality == "MR":
        return Match(0.8, "an MRI")
    if header.modality in {"CT", ""}:
        return Match(0.1, "no MRI by its header: read only when the task is named")
    return Match(0.0, "it reads an MRI")


_DATASET = DatasetMaker(
    summary="Cut the lesions of MR slices of the femur out as crops, patients kept together, with manifest and cohort.",
    source="A folder of MR slices (pictures, DICOM, NIfTI slices) with the masks of their lesions.",
    options=DatasetOptions,
    items="images or patients",
    make=late(__package__, "dataset", "make_dataset"),
    labelled=LabelledMaker(
        options=LabelledOptions, items="images or patients", make=late(__package__, "dataset", "make_labelled")
    ),
)

SYSTEM = System(
    stem="mri_femur",
    summary="MRI of the femur: a marked lesion, benign or malignant",
    reads=("volume", "radiograph"),
    modalities=("MR", "CT", ""),
    accepts=_accepts,
    options=Options,
    read=late(__package__, "read", "answer"),
    report=lazy(__package__, "pictures", "REPORT"),
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
    hints={
        "study --only": "folds or holdout",
        "study --network": "default: three",
        "study --set-baseline": "of networks that are not its paper's",
        "train": "benign or malignant",
        "train --strategy": "default: scratch, but ft of mobilenet_v2",
        "train --config": "default: CA",
    },
)
