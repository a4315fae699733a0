"""The result folder of one case: every file, from an Answer and what its system says of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from osteon import __version__
from osteon._beside import beside
from osteon._optional import MissingPackageError
from osteon.data import Notice, Slide
from osteon.data.provenance import Clock
from osteon.errors import OsteonError, OutputError, ThirdParty
from osteon.report.findings import make_findings
from osteon.report.page import write_page
from osteon.report.paper import write_paper
from osteon.report.run import file_records, findings_document, make_run, write_document
from osteon.report.sections import make_document
from osteon.report.surfaces import bone_surfaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from osteon.data import Answer, Image, Mask, Radiograph, Volume
    from osteon.data.system import TaskText
    from osteon.report.blocks import Drawing, Part, Picture
    from osteon.report.findings import Entry, Findings
    from osteon.report.run import Run

__all__ = [
    "SystemReport",
    "Written",
    "draw_all",
    "file_text",
    "result_document",
    "write_dicom_objects",
    "write_plain_masks",
    "write_result",
]

_STEP, _STEPS = "writing the result", 5

FIRST_SERIES_NUMBER = 9001
"""Result series sort behind those of the scanner."""

_FILES = {
    "report.pdf": "this report on paper",
    "bone.glb": "bone and what was found in it in 3D, for viewers (millimetres, patient space)",
    "bone.stl": "bone in 3D, for printers and modelling programs (millimetres, patient space)",
    "rtstruct.dcm": "outlines of the masks, as DICOM RT Structure Set (unapproved)",
    "sr.dcm": "findings, as DICOM Structured Report (TID 1500)",
    "report_pdf.dcm": "this report, as DICOM Encapsulated PDF",
    "bone_stl.dcm": "bone in 3D, as DICOM Encapsulated STL",
    "findings.json": "every number, unit and code",
    "run.json": "versions, hashes, settings and times",
}
"""What each file that any system may have is, in words."""


@dataclass(frozen=True, slots=True)
class SystemReport:
    """How a system's answers are shown and written.

    Attributes:
        pictures: what it adds to a report, of its answer, the image, and what findings.json holds.
        entries: type of its own fields of findings.json; None without.
    """

    text: TaskText
    pictures: Callable[[Answer, Any, Findings], Part]
    entries: type[Entry] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        answer: as written, with the notices of writing.
        skipped: parts that could not be made, in words; the result is valid without them.
    """

    answer: Answer
    findings: Mapping[str, Any] = field(repr=False)
    pictures: Mapping[str, Picture] = field(repr=False)
    skipped: tuple[str, ...] = ()


def result_document(answer: Answer, image: Image, report: SystemReport, *, run: Run) -> dict[str, Any]:
    """Content of findings.json, nothing being written.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    findings = make_findings(answer, image, created=run.created)
    return findings_document(findings, report.pictures(answer, image, findings).entries)


def write_result(
    folder: Path,
    answer: Answer,
    image: Image,
    report: SystemReport,
    *,
    run: Run,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Written:
    """Write every file of a result into a folder that is there.

    Raises:
        InputError: the image is damaged where a picture needs it.
        OutputError: a number is not finite, or a file cannot be written.
    """
    from osteon.io.surface import write_glb, write_stl

    clock = Clock()
    progress(_STEP, 0, _STEPS)
    with clock.step("write surfaces"):
        findings = make_findings(answer, image, created=run.created)
        part = report.pictures(answer, image, findings)
        bones = bone_surfaces(answer)
        if bones:
            write_stl(folder / "bone.stl", bones)
    progress(_STEP, 1, _STEPS)
    volume = None if isinstance(image, Slide) else image
    is_dicom = volume is not None and volume.source is not None and volume.source.kind == "dicom"
    with beside(partial(write_dicom_objects, folder, answer, volume), here=not is_dicom) as others:
        with clock.step("draw pictures"):
            drawn = draw_all(folder / "views", part.drawings)
            skipped = _write_files(folder, part)
        progress(_STEP, 2, _STEPS)
        with clock.step("write report.pdf"):
            document = make_document(answer, image, text=report.text, part=part, findings=findings, run=run)
            write_paper(folder / "report.pdf", document, drawn)
        others.go_on()
        with clock.step("write surfaces"):
            if answer.surfaces:
                write_glb(folder / "bone.glb", tuple(answer.surfaces.values()))
        progress(_STEP, 3, _STEPS)
        with clock.step("wait for DICOM objects"):
            no_objects = others.result()
            for left in folder.glob(".osteon-*.part"):  # of a copy that was given up
                left.unlink()
    with clock.step("write report and findings"):
        if volume is not None and (no_objects or not is_dicom):
            write_plain_masks(folder, answer, volume)
        told = [Notice("part-skipped", words, level="warning") for words in skipped]
        if not getattr(image.source, "no_objects", ""):  # which the series' own notice says
            told += [Notice("dicom-objects-skipped", words, level="warning") for words in no_objects]
        answer = replace(answer, notices=(*answer.notices, *told))
        findings = make_findings(answer, image, created=run.created)
        names = sorted({path.name for path in folder.iterdir() if path.is_file()} | {"findings.json", "run.json"})
        files = [(name, words) for name in names if (words := file_text(name, report.text))]
        document = make_document(answer, image, text=report.text, part=part, findings=findings, run=run, files=files)
        write_page(folder / "report.html", document, drawn)
        progress(_STEP, 4, _STEPS)
        content = findings_document(findings, part.entries)
        write_document(folder / "findings.json", content, kind="findings")
        outputs = file_records(sorted(path for path in folder.rglob("*") if path.is_file()))
    written = make_run(answer, image, run=run, outputs=outputs, seconds=clock.seconds)
    write_document(folder / "run.json", written, kind="run")
    progress(_STEP, _STEPS, _STEPS)
    return Written(answer, content, drawn, (*skipped, *no_objects))


def draw_all(folder: Path, drawings: Mapping[str, Drawing]) -> dict[str, Picture]:
    """Draw every picture by the stem of its file into a folder, made when it is missing.

    Raises:
        OutputError: the folder or a picture cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder.name} for the pictures cannot be made: {error.strerror}") from error
    return {name: draw(folder / f"{name}.png") for name, draw in drawings.items()}


def _write_files(folder: Path, part: Part) -> tuple[str, ...]:
    """A system's own files; gives what a missing package left out."""
    skipped = []
    for name, write in part.files.items():
        try:
            write(folder / name)
        except MissingPackageError as error:
            skipped.append(f"{name} was not written: {error}")
    return tuple(skipped)


def file_text(name: str, text: TaskText) -> str:
    """What a file of a result is, in words; "" of a file that is not listed."""
    known = _FILES | dict(text.files)
    for mask, words in text.masks.items():
        known |= {
            _segmentation_name(mask): f"{words.format('segment')}, as DICOM Segmentation",
            f"{mask}.nii.gz": f"{words.format('label')}, as NIfTI labels",
            f"{mask}.labels.json": f"what the labels of {mask}.nii.gz mean",
            f"{mask}.png": f"{words.format('label')}, as a picture of the size of the image",
        }
    return known.get(name, "")


def write_dicom_objects(
    folder: Path, answer: Answer, volume: Volume | Radiograph | None, wait: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Write SEG, SR, the wrapped PDF and STL and, where the answer has contours, RTSTRUCT into the folder.

    Nothing is written when the image is not from DICOM, as a slide.

    The folder holds bone.stl when there is a surface, and report.pdf when ``wait`` returns. Every object is written by
    itself: one that cannot be written does not take the others with it.

    Returns:
        What could not be written, in words: a source series may lack what the standard demands of an object, or hold
        values that no object may hold.

    Raises:
        OutputError: the disk refuses.
    """
    if volume is None or volume.source is None or volume.source.kind != "dicom":
        return ()
    if not volume.grid.is_in_mm:
        return ("No DICOM objects were written: the images do not say how large a pixel is.",)
    from osteon.io.dicom.derived import DerivedSeries, read_source_headers
    from osteon.io.dicom.encapsulated import write_encapsulated_pdf, write_encapsulated_stl
    from osteon.io.dicom.rtstruct import write_structure_set
    from osteon.io.dicom.seg import write_segmentation
    from osteon.io.dicom.sr import write_report_sr

    source = volume.source
    numbers = iter(range(FIRST_SERIES_NUMBER, FIRST_SERIES_NUMBER + 100))
    skipped: list[str] = []

    def series(description: str) -> DerivedSeries:
        return DerivedSeries(number=next(numbers), description=description)

    try:
        with ThirdParty("the headers of the source images cannot be read a second time"):
            headers = read_source_headers(source)
    except OsteonError as error:
        return (f"No DICOM objects were written: {error}.",)
    common: dict[str, Any] = {"source": source, "headers": headers}
    segmentations = {}
    for mask in answer.masks.values():
        if not mask.labels:  # nothing was predicted; a Segmentation needs at least one segment
            continue
        path = folder / _segmentation_name(mask.name)
        place = common | {"grid_of_source": volume.grid, "series": series(f"osteon {mask.name}")}
        by = _maker(answer, mask)
        if _written(path, partial(write_segmentation, path, mask, algorithm=by, **place), skipped):
            segmentations[mask.name] = path
    report: dict[str, Any] = {"segmentations": segmentations, "series": series("osteon findings"), "headers": headers}
    path, shown = folder / "sr.dcm", _without_lost_segments(answer, segmentations)
    _written(path, partial(write_report_sr, path, shown, volume, **report), skipped)
    of_pdf = series("osteon report")
    drawn = [answer.masks[name] for name in answer.contoured if answer.masks[name].labels]
    if drawn:
        path = folder / "rtstruct.dcm"
        made = [(mask, _maker(answer, mask)) for mask in drawn]
        place = common | {"grid_of_source": volume.grid, "series": series("osteon contours")}
        _written(path, partial(write_structure_set, path, made, **place), skipped)
    if (folder / "bone.stl").is_file():
        path, title = folder / "bone_stl.dcm", f"osteon bone, {answer.task}"
        place = common | {"title": title, "series": series("osteon bone surface")}
        _written(path, partial(write_encapsulated_stl, path, folder / "bone.stl", **place), skipped)
    wait()
    path, title = folder / "report_pdf.dcm", f"osteon report, {answer.task}"
    place = common | {"title": title, "series": of_pdf}
    _written(path, partial(write_encapsulated_pdf, path, folder / "report.pdf", **place), skipped)
    return tuple(skipped)


def _without_lost_segments(answer: Answer, segmentations: Mapping[str, Path]) -> Answer:
    """The answer, its findings referring to no segment that was not written."""
    findings = tuple(
        replace(finding, segment=None) if finding.segment and finding.segment[0] not in segmentations else finding
        for finding in answer.findings
    )
    return replace(answer, findings=findings)


def _written(path: Path, write: Callable[[], None], skipped: list[str]) -> bool:
    """Whether an object was written; else nothing of it is left, and why is added to ``skipped``.

    Raises:
        OutputError: the disk refuses, as it would every other file.
    """
    try:
        with ThirdParty("an attribute of the source images does not fit into it"):
            write()
    except OutputError:
        raise
    except OsteonError as error:
        path.unlink(missing_ok=True)
        skipped.append(f"{path.name} was not written: {error}.")
        return False
    return True


def _maker(answer: Answer, mask: Mask) -> tuple[str, str] | None:
    """Name and version of what made a mask: the first model of the answer, or osteon's own steps; None by hand."""
    if mask.is_drawn:
        return None
    if mask.algorithm is None and answer.models:
        return f"{answer.task} ({answer.models[0].name})", answer.models[0].version
    return f"osteon {answer.task}", __version__


def _segmentation_name(mask: str) -> str:
    return "seg.dcm" if mask == "bone" else f"seg_{mask}.dcm"


def write_plain_masks(folder: Path, answer: Answer, volume: Volume | Radiograph) -> None:
    """Write every mask that did not become a DICOM object: as NIfTI labels, or as a picture where it has no place.

    The picture is that of the one slice that was read.
    """
    from osteon.io.image import write_png8
    from osteon.io.nifti import write_mask_nifti

    for mask in answer.masks.values():
        if (folder / _segmentation_name(mask.name)).is_file():
            continue
        if volume.grid.is_in_mm:
            write_mask_nifti(folder / f"{mask.name}.nii.gz", mask)
        else:
            write_png8(folder / f"{mask.name}.png", mask.array.max(axis=0) > 0)
