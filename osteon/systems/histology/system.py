"""The system that reads an H&E slide of osteosarcoma."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import DatasetMaker, Header, LabelledMaker, MadeDataset, Match, System, lazy
from osteon.systems.histology.options import DatasetOptions, LabelledOptions, Options

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, LabelledStudy, Slide
    from osteon.data.options import Progress
    from osteon.report import SystemReport

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind == "slide":
        return Match(0.9, "a slide")
    if header.kind == "picture":
        return Match(0.1, "a picture, which only a person can call a slide: read when the task is named")
    return Match(0.0, "it reads slides")


def _read(slide: Slide, options: Options, progress: Progress) -> Answer:
    from osteon.systems.histology.read import answer_slide

    return answer_slide(slide, options, progress)


def _report() -> SystemReport:
    from osteon.systems.histology.pictures import REPORT

    return REPORT


def _make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    from osteon.systems.histology.dataset import TileOptions, build_tiles

    asked = TileOptions(microns_per_pixel=options.microns)
    built = build_tiles(
        source,
        out,
        asked,
        patients=options.patients,
        own_patients=options.own_patients,
        workers=workers,
        progress=progress,
    )
    return MadeDataset(built)


def _make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    from osteon.systems.histology.dataset import build_labelled_study

    return MadeDataset(build_labelled_study(study, out, options, workers=workers, progress=progress))


_DATASET = DatasetMaker(
    summary="Make a data set of H&E tiles: class, patient and slide from names, folders or a table; patients kept "
    "together.",
    source="A folder of tiles named Class___Case-3-SLIDE-X-Y.jpg, or of folders of the classes.",
    options=DatasetOptions,
    items="tiles or patients",
    make=_make_dataset,
    labelled=LabelledMaker(options=LabelledOptions, items="patients", make=_make_labelled),
)

SYSTEM = System(
    stem="histology",
    summary="H&E slide of osteosarcoma: viable and non-viable tumour mapped, necrosis with its interval",
    reads=("slide",),
    modalities=(),
    accepts=_accepts,
    options=Options,
    read=_read,
    report=_report,
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
)
