"""The system that reads an H&E slide of osteosarcoma."""

from __future__ import annotations

from osteon.data.system import DatasetMaker, Header, LabelledMaker, Match, System, late, lazy
from osteon.systems.histology.options import DatasetOptions, LabelledOptions, Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind == "slide":
        return Match(0.9, "a slide")
    if header.kind == "picture":
        return Match(0.1, "a picture, which only a person can call a slide: read when the task is named")
    return Match(0.0, "it reads slides")


_DATASET = DatasetMaker(
    summary="Make a data set of H&E tiles: class, patient and slide from names, folders or a table; patients kept "
    "together.",
    source="A folder of tiles named Class___Case-3-SLIDE-X-Y.jpg, or of folders of the classes.",
    options=DatasetOptions,
    items="tiles or patients",
    make=late(__package__, "dataset", "make_dataset"),
    labelled=LabelledMaker(
        options=LabelledOptions, items="patients", make=late(__package__, "dataset", "make_labelled")
    ),
)

SYSTEM = System(
    stem="histology",
    summary="H&E slide of osteosarcoma: viable and non-viable tumour mapped, necrosis with its interval",
    reads=("slide",),
    modalities=(),
    accepts=_accepts,
    options=Options,
    read=late(__package__, "read", "answer"),
    report=lazy(__package__, "pictures", "REPORT"),
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
    hints={
        "study --only": "networks, augmentation, patient, tile or literal",
        "study --network": "default: those with weights at hand",
        "train": "tiles of slides",
    },
)
