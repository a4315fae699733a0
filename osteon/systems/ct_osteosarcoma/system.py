"""The system that reads a CT of the legs."""

from __future__ import annotations

from osteon.data.system import DatasetMaker, Header, LabelledMaker, Match, System, late, lazy
from osteon.systems.ct_osteosarcoma.options import DatasetOptions, LabelledOptions, Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the legs")
    return Match(0.6, "a CT; whether it shows legs is seen in the pixels")


_DATASET = DatasetMaker(
    summary="Cut labelled CT series of the legs into pictures, patients kept together, with manifest and cohort table.",
    source="A folder with the series (DICOM in any layout, NIfTI), or a zip of one.",
    options=DatasetOptions,
    make=late(__package__, "dataset", "make_dataset"),
    labelled=LabelledMaker(options=LabelledOptions, make=late(__package__, "dataset", "make_labelled")),
)

SYSTEM = System(
    stem="ct_osteosarcoma",
    summary="CT of the legs: tumour probability a slice, extent, bone in 3D",
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
        "study --only": "a configuration (C F CA CE CAE FAE), or baselines",
        "study --strategy": "ft, lp-ft, g-lf",
        "study --network": "those of the baselines; default: the paper's four",
        "study --arch": "what is fine-tuned; default: mobilenet_v2",
        "study --pretrained": "default: embedded",
        "study --set-baseline": "of the baselines of table 1",
        "train": "classes of slices",
    },
)
