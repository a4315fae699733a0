"""The system that reads a CT of the legs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import DatasetMaker, Header, LabelledMaker, MadeDataset, Match, System, lazy
from osteon.systems.ct_osteosarcoma.options import DatasetOptions, LabelledOptions, Options

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, LabelledStudy, Volume
    from osteon.data.options import Progress
    from osteon.report import SystemReport

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the legs")
    return Match(0.6, "a CT; whether it shows legs is seen in the pixels")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.ct_osteosarcoma.read import answer

    return answer(volume, options, progress)


def _report() -> SystemReport:
    from osteon.systems.ct_osteosarcoma.pictures import REPORT

    return REPORT


def _make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    from osteon.systems.ct_osteosarcoma.dataset import BuildOptions
    from osteon.systems.ct_osteosarcoma.labelled_series import build_labelled

    planes = _planes(options.planes)
    asked = BuildOptions(planes=planes, every=options.every, most=options.most or None, size=options.size)
    built, unused = build_labelled(source, options.labels, out, options=asked, workers=workers, progress=progress)
    lines = (f"- {unused} series there are not in {options.labels.name}: not used",) if unused else ()
    return MadeDataset(built, lines)


def _planes(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    from osteon.systems.ct_osteosarcoma.dataset import BuildOptions, build_labelled_study

    asked = BuildOptions(
        planes=_planes(options.planes),
        every=options.every,
        most=options.most or None,
        size=options.size,
        faint_mm2=options.faint,
    )
    return MadeDataset(build_labelled_study(study, out, asked, workers=workers, progress=progress))


_DATASET = DatasetMaker(
    summary="Cut labelled CT series of the legs into pictures, patients kept together, with manifest and cohort table.",
    source="A folder with the series (DICOM in any layout, NIfTI), or a zip of one.",
    options=DatasetOptions,
    make=_make_dataset,
    labelled=LabelledMaker(options=LabelledOptions, make=_make_labelled),
)

SYSTEM = System(
    stem="ct_osteosarcoma",
    summary="CT of the legs: tumour probability a slice, extent, bone in 3D",
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
