"""The system that reads a CT of the trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import DatasetMaker, Header, LabelledMaker, MadeDataset, Match, System, lazy
from osteon.errors import UsageError
from osteon.systems.ct_metastasis.options import DatasetOptions, LabelledOptions, Options

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, LabelledStudy, Volume
    from osteon.data.options import Progress
    from osteon.report import SystemReport

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the trunk")
    return Match(0.5, "a CT; whether it shows the trunk is seen in the pixels")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.ct_metastasis.read import answer

    return answer(volume, options, progress)


def _report() -> SystemReport:
    from osteon.systems.ct_metastasis.pictures import REPORT

    return REPORT


def _make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    from osteon.systems.ct_metastasis.dataset import TrunkOptions
    from osteon.systems.ct_metastasis.source import SourceOptions, build_from_source

    slices = TrunkOptions(
        lesion_slices=_how_many(options.lesion_slices),
        normal_slices=_how_many(options.normal_slices),
        size=options.size,
        need_bone=options.bone,
        seed=options.seed,
    )
    asked = SourceOptions(
        masks=options.masks,
        patients=options.patients,
        own_patients=options.own_patients,
        normal_of_metastatic=not options.drop_normal,
        slices=slices,
    )
    made = build_from_source(source, out, asked, workers=workers, progress=progress)
    lines = [f"source   {made.what}", *(f"! {warning}" for warning in made.warnings)]
    if made.unused:
        table = options.masks.name if options.masks else "the table"
        lines.append(f"- {made.unused} series there are not in {table}: not used")
    return MadeDataset(made.built, tuple(lines), items="series" if options.masks else "")


def _how_many(text: str) -> int | None:
    """A number, or None for "all".

    Raises:
        UsageError: neither.
    """
    if text.strip().lower() == "all":
        return None
    if not text.strip().isdecimal():
        raise UsageError(f"{text!r} is neither a number from 0 nor all")
    return int(text)


def _make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    from osteon.systems.ct_metastasis.dataset import NORMAL, TrunkOptions, build_labelled_study

    normal = options.normal_slices
    if normal is None:
        normal = 70 if NORMAL in study.labels else 0
    asked = TrunkOptions(lesion_slices=options.lesion_slices, normal_slices=normal, size=options.size, seed=study.seed)
    return MadeDataset(build_labelled_study(study, out, asked, workers=workers, progress=progress))


_DATASET = DatasetMaker(
    summary="Make a data set of bone metastases: slices, bone and lesion masks, patients kept together, cohort table.",
    source="A folder: image, bone mask, lesion mask (BM-Seg); or Normal, Abnormal (slices of patients); or CT series "
    "(DICOM, NIfTI, or a zip), which need --masks.",
    options=DatasetOptions,
    items="images, masks or patients",
    make=_make_dataset,
    labelled=LabelledMaker(options=LabelledOptions, make=_make_labelled),
)

SYSTEM = System(
    stem="ct_metastasis",
    summary="CT of the trunk: bone and metastases outlined, lesions listed, slices classified",
    reads=("volume",),
    modalities=("CT",),
    accepts=_accepts,
    options=Options,
    read=_read,
    report=_report,
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
)
