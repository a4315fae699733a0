"""One volume from file to result folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from osteon.data import Notice
from osteon.data.options import Progress, SystemOptions, silent
from osteon.errors import OutputError
from osteon.io import choose_series, find_images, load_volume
from osteon.reading.folder import new_result, require_free
from osteon.reading.objects import FILE_WORDS, write_dicom_objects, write_plain_masks
from osteon.report import (
    bone_surfaces,
    draw_views,
    file_records,
    findings_document,
    run_document,
    start_run,
    write_document,
    write_html,
    write_pdf,
)
from osteon.systems.registry import choose_system, readable_modalities, system
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run
    from osteon.systems.registry import System

__all__ = ["CaseOptions", "CaseResult", "Progress", "read_case"]


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """What a person may choose about one reading.

    Attributes:
        series_uid: the series to read; None for the best one.
        task: stem of the system; None for the one that fits the modality.
        replace: whether an earlier result at the same place may be replaced.
        system: options of the system.
        seeds: of a synthetic patient, for the record.
        microns_per_pixel: of a slide whose file does not say it.
    """

    series_uid: str | None = None
    task: str | None = None
    replace: bool = False
    system: SystemOptions = field(default_factory=SystemOptions)
    seeds: Mapping[str, int] = field(default_factory=dict)
    microns_per_pixel: float | None = None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was read and where it lies.

    Attributes:
        folder: the result folder.
        answer: of the system.
        findings: content of findings.json.
        notices: of reading, of the system and of writing.
        skipped: parts of the result that could not be made, in words; the result is valid without them.
    """

    folder: Path
    answer: Answer
    findings: Mapping[str, object]
    notices: tuple[Notice, ...]
    skipped: tuple[str, ...]


def read_case(path: Path, result: Path, *, options: CaseOptions, progress: Progress | None = None) -> CaseResult:
    """Read one study and leave one result folder, whole or not at all.

    Args:
        path: DICOM folder or file, zip, or NIfTI.
        result: the folder to be.
        options: what to read and how.
        progress: told about every step.

    Raises:
        OutputError: the result cannot be written there; checked before anything is read.
        InputError: the input cannot be used.
        NotThisTaskError: the image is not what the task is made for.
        OsteonError: anything else that stops the reading; what was there before is untouched.
    """
    tell = progress or silent
    require_free(result, replace=options.replace)
    named = system(options.task) if options.task is not None else None
    if options.system.model is not None:
        find_card(options.system.model)  # a wrong name is told before the images are read
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    with find_images(path, progress=tell) as inventory:
        if path.resolve().is_relative_to(result.resolve()):
            raise OutputError(
                f"the folder {result.name} holds the images that were to be read: choose another place with -o"
            )
        modality, *also = _modalities(named)
        entry = choose_series(
            inventory,
            modality=modality,
            series_uid=options.series_uid,
            also=tuple(also),
            is_marked=options.system.box is not None or options.system.mask is not None,
        )
        volume = load_volume(entry, modality=named.modality if named else "", progress=tell)
        seconds["read images"] = time.perf_counter() - start
        chosen = named or choose_system(volume.modality)
        answer = chosen.load()(volume, options.system, tell)
        run = start_run(
            task=chosen.stem,
            device=answer.models[0].device if answer.models else "cpu",
            inputs=file_records(
                _input_files(volume, options.system.mask), patient=volume.source.patient if volume.source else None
            ),
            seconds=seconds,
            seeds=options.seeds,
        )
        with new_result(result, replace=options.replace) as work:
            answer, document, skipped = _write(work, answer, volume, run, progress=tell)
    notices = (*(volume.source.notices if volume.source else ()), *answer.notices)
    return CaseResult(folder=result, answer=answer, findings=document, notices=notices, skipped=skipped)


def _write(
    folder: Path, answer: Answer, volume: Volume, run: Run, *, progress: Progress
) -> tuple[Answer, Mapping[str, object], tuple[str, ...]]:
    """Every file of a result; gives the answer as written, the content of findings.json and what was skipped."""
    from osteon.io.surface import write_glb, write_stl

    start = time.perf_counter()
    steps = 6
    progress("writing the result", 0, steps)
    views = draw_views(answer, volume, folder / "views")
    progress("writing the result", 1, steps)
    if answer.surfaces:
        write_glb(folder / "bone.glb", answer.surfaces)
        bones = bone_surfaces(answer)
        if bones:
            write_stl(folder / "bone.stl", bones)
    progress("writing the result", 2, steps)
    write_pdf(folder / "report.pdf", answer, volume, views, run=run)
    progress("writing the result", 3, steps)
    is_dicom = volume.source is not None and volume.source.kind == "dicom"
    skipped = write_dicom_objects(folder, answer, volume) if is_dicom else ()
    if skipped or not is_dicom:
        write_plain_masks(folder, answer, volume)
    told = (Notice("dicom-objects-skipped", text, level="warning") for text in skipped)
    answer = replace(answer, notices=(*answer.notices, *told))
    progress("writing the result", 4, steps)
    listed = [*sorted(p.name for p in folder.iterdir() if p.is_file()), "findings.json", "run.json"]
    files = [(name, FILE_WORDS[name]) for name in listed if name in FILE_WORDS]
    write_html(folder / "report.html", answer, volume, views, run=run, files=files)
    progress("writing the result", 5, steps)
    findings = findings_document(answer, volume, run=run)
    write_document(folder / "findings.json", findings, kind="findings")
    outputs = file_records(sorted(p for p in folder.rglob("*") if p.is_file()))
    writing = {"write result": time.perf_counter() - start}
    write_document(
        folder / "run.json", run_document(answer, volume, run=run, outputs=outputs, seconds=writing), kind="run"
    )
    progress("writing the result", steps, steps)
    return answer, findings, skipped


def _input_files(volume: Volume, mask: Path | None) -> list[Path]:
    """What was read: the images, and what a person drew on them."""
    source = volume.source
    drawn = [] if mask is None else [mask]
    if source is None:
        return drawn
    if source.slices:
        return sorted({image.path for image in source.slices}) + drawn
    return [source.location, *drawn]


def _modalities(named: System | None) -> tuple[str, ...]:
    """The modality to look for, and those that are taken where there is none of it."""
    return readable_modalities() if named is None else (named.modality, *named.also)
