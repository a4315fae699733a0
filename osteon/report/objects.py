"""The objects a PACS or another program reads: DICOM SEG, SR, PDF and STL, or NIfTI masks where there is no DICOM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon import __version__
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer, Radiograph, Volume
    from osteon.data.text import TaskText

__all__ = ["file_words", "write_dicom_objects", "write_plain_masks"]

FIRST_SERIES_NUMBER = 9001
"""Result series sort behind those of the scanner."""

_FILES = {
    "report.pdf": "this report on paper",
    "bone.glb": "bone and what was found in it in 3D, for viewers (millimetres, patient space)",
    "bone.stl": "bone in 3D, for printers and modelling programs (millimetres, patient space)",
    "sr.dcm": "findings, as DICOM Structured Report (TID 1500)",
    "report_pdf.dcm": "this report, as DICOM Encapsulated PDF",
    "bone_stl.dcm": "bone in 3D, as DICOM Encapsulated STL",
    "findings.json": "every number, unit and code",
    "run.json": "versions, hashes, settings and times",
}
"""What each file that any system may have is, in words."""


def file_words(name: str, text: TaskText) -> str:
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
    """Write SEG, SR and the wrapped PDF and STL that lie in the folder.

    Args:
        folder: holds bone.stl when there is a surface, and report.pdf after the wait.
        answer: what is said.
        volume: what it is said about; nothing is written when it is not from DICOM, as a slide.
        wait: returns when report.pdf is there.

    Returns:
        What could not be written, in words: a source series may lack what the standard demands of an object.
    """
    if volume is None or volume.source is None or volume.source.kind != "dicom":
        return ()
    if not volume.grid.is_in_mm:
        return ("No DICOM objects were written: the images do not say how large a pixel is.",)
    from osteon.io.dicom.derived import DerivedSeries, read_source_headers
    from osteon.io.dicom.encapsulated import write_encapsulated_pdf, write_encapsulated_stl
    from osteon.io.dicom.seg import write_segmentation
    from osteon.io.dicom.sr import write_report_sr

    source = volume.source
    numbers = iter(range(FIRST_SERIES_NUMBER, FIRST_SERIES_NUMBER + 100))

    def series(description: str) -> DerivedSeries:
        return DerivedSeries(number=next(numbers), description=description)

    try:
        headers = read_source_headers(source)
        segmentations = {}
        for mask in answer.masks.values():
            if not mask.labels:  # nothing was called; a Segmentation needs at least one segment
                continue
            path = folder / _segmentation_name(mask.name)
            words = f"osteon {mask.name}"
            write_segmentation(
                path,
                mask,
                source=source,
                grid_of_source=volume.grid,
                algorithm=None if mask.is_drawn else _algorithm(answer, by_model=mask.algorithm is None),
                series=series(words),
                headers=headers,
            )
            segmentations[mask.name] = path
        write_report_sr(
            folder / "sr.dcm",
            answer,
            volume,
            segmentations=segmentations,
            series=series("osteon findings"),
            headers=headers,
        )
        of_pdf = series("osteon report")
        if (folder / "bone.stl").is_file():
            write_encapsulated_stl(
                folder / "bone_stl.dcm",
                folder / "bone.stl",
                source=source,
                title=f"osteon bone, {answer.task}",
                series=series("osteon bone surface"),
                headers=headers,
            )
        wait()
        write_encapsulated_pdf(
            folder / "report_pdf.dcm",
            folder / "report.pdf",
            source=source,
            title=f"osteon report, {answer.task}",
            series=of_pdf,
            headers=headers,
        )
    except InputError as error:
        for path in folder.glob("*.dcm"):
            path.unlink()
        return (f"No DICOM objects were written: {error}.",)
    return ()


def _algorithm(answer: Answer, *, by_model: bool) -> tuple[str, str]:
    """Name and version of what made a mask: the first model of the answer, or osteon's own steps."""
    if by_model and answer.models:
        return f"{answer.task} ({answer.models[0].name})", answer.models[0].version
    return f"osteon {answer.task}", __version__


def _segmentation_name(mask: str) -> str:
    return "seg.dcm" if mask == "bone" else f"seg_{mask}.dcm"


def write_plain_masks(folder: Path, answer: Answer, volume: Volume | Radiograph) -> None:
    """Write every mask for a volume without DICOM objects: as NIfTI labels, or as a picture where it has no place.

    The picture is that of the one slice that was read.
    """
    from osteon.io.mask_image import write_png8
    from osteon.io.nifti import write_mask_nifti

    for mask in answer.masks.values():
        if volume.grid.is_in_mm:
            write_mask_nifti(folder / f"{mask.name}.nii.gz", mask)
        else:
            write_png8(folder / f"{mask.name}.png", mask.array.max(axis=0) > 0)
