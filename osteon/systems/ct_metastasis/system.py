"""The system that reads a CT of the trunk."""

from __future__ import annotations

from osteon.data.system import DatasetMaker, Header, LabelledMaker, Match, System, late, lazy
from osteon.systems.ct_metastasis.options import DatasetOptions, LabelledOptions, Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the trunk")
    return Match(0.5, "a CT; whether it shows the trunk is seen in the pixels")


_DATASET = DatasetMaker(
    summary="Make a data set of bone metastases: slices, bone and lesion masks, patients kept together, cohort table.",
    source="A folder: image, bone mask, lesion mask (BM-Seg); or Normal, Abnormal (slices of patients); or CT series "
    "(DICOM, NIfTI, or a zip), which need --masks.",
    options=DatasetOptions,
    items="images, masks or patients",
    make=late(__package__, "picture_sets", "make_dataset"),
    labelled=LabelledMaker(options=LabelledOptions, make=late(__package__, "dataset", "make_labelled")),
)

SYSTEM = System(
    stem="ct_metastasis",
    summary="CT of the trunk: bone and metastases outlined, lesions listed, slices classified",
    reads=("volume",),
    modalities=("CT",),
    accepts=_accepts,
    options=Options,
    read=late(__package__, "read", "answer"),
    report=lazy(__package__, "pictures", "REPORT"),
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
    hints={
        "study --only": "segmentation, classification, or a run, as hybrid_attunetpp",
        "study --pretrained": "default: hub",
        "study --set-classifier": "of the classifiers of slices",
        "train": "maps of lesions and bone; ct_metastasis_slices: classes of slices",
        "train --config": "default of ct_metastasis_slices: FA",
        "train --arch": "default of maps: hybrid_attunetpp",
        "train --bone-networks": "of sequential pairs",
    },
)
