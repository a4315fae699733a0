"""Group DICOM images into series and say of each whether it is a volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from osteon.data import Notice
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.header import (
    KERNEL,
    PATIENT_ID,
    WANTED,
    has_series_uid,
    read_frame,
    read_patient,
    read_series,
    read_study,
    series_uid,
    text,
)
from osteon.io.dicom.magnetic import bare_pictures, echo_parts, mosaic_problem
from osteon.io.dicom.multiframe import split_frames
from osteon.io.dicom.stack import plan_stack
from osteon.io.inventory import SeriesEntry, SkippedFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data import Series
    from osteon.io.dicom.elements import Elements
    from osteon.io.frame import Frame

__all__ = ["DicomFile", "build_entries", "read_dicom_file"]

PROJECTION_MODALITIES: Final = frozenset({"CR", "DX", "MG", "RF", "XA", "RG", "IO", "PX"})


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A DICOM image file: its elements and its planes."""

    elements: Elements
    frame: Frame


def read_dicom_file(path: Path) -> DicomFile | SkippedFile | None:
    """Look at one file.

    Returns:
        None when it is not DICOM; a SkippedFile when it is DICOM without an image, or too damaged to know its series.

    Raises:
        OSError: the file cannot be read.
    """
    elements = read_elements(path, wanted=WANTED)
    if elements is None:
        return None
    if not series_uid(elements):
        if elements.damage is None:
            return SkippedFile(path, "DICOM without a series: a directory or another record", damaged=False)
        return SkippedFile(path, elements.damage, damaged=True)
    if elements.pixel_offset < 0 and elements.damage is None:
        modality = text(elements.values.get(0x00080060)) or "unknown modality"
        return SkippedFile(path, f"DICOM without pixels ({modality})", damaged=False)
    return DicomFile(elements, read_frame(path, elements))


def build_entries(files: Sequence[DicomFile], *, location: Path) -> tuple[SeriesEntry, ...]:
    """One entry per series, ordered by series number and UID; one an echo of an MR series that holds several."""
    groups: dict[tuple[str, str], list[DicomFile]] = {}
    for file in files:
        # the patient is part of the key: two people under one copied UID must never become one volume
        key = (series_uid(file.elements), text(file.elements.values.get(PATIENT_ID)))
        groups.setdefault(key, []).append(file)
    entries = [entry for group in groups.values() for entry in _entries(group, location)]
    return tuple(sorted(entries, key=lambda entry: (entry.series.number or 0, entry.series.uid, entry.part)))


def _entries(files: list[DicomFile], location: Path) -> list[SeriesEntry]:
    """One entry; several where an MR series holds several echoes of the same places."""
    files = sorted(files, key=lambda file: file.frame.path)
    # a file that broke off early must not speak for the series
    first = next((file for file in files if file.elements.damage is None), files[0]).elements
    series = read_series(first)
    frames: list[Frame] = []
    for file in files:
        several = file.frame.frames_in_file > 1 and file.frame.damage is None
        frames.extend(split_frames(file.frame) if several else (file.frame,))
    if series.modality != "MR":
        return [_entry(first, series, frames, location)]
    found = []
    for part in echo_parts(frames):
        own, bare = bare_pictures(part.frames)
        entry = _entry(first, series, own, location)
        if bare is not None and entry.grid is not None and entry.stack is not None:
            grid = replace(entry.grid, unit="pixel")
            entry = replace(entry, grid=grid, stack=replace(entry.stack, grid=grid))
        found.append(
            replace(
                entry,
                part=part.name,
                reasons=(part.words,) if part.words else (),
                notices=(*((bare,) if bare else ()), *entry.notices),
            )
        )
    return found


def _entry(first: Elements, series: Series, frames: Sequence[Frame], location: Path) -> SeriesEntry:
    notices: tuple[Notice, ...] = ()
    stack, unsupported = None, False
    problem: str | None
    if series.modality in PROJECTION_MODALITIES:
        problem = f"{series.modality} images are projections (radiographs), not slices of a volume"
    elif series.modality == "MR" and (mosaic := mosaic_problem(frames)) is not None:
        problem = mosaic
    else:
        plan = plan_stack(frames)
        stack, problem, unsupported, notices = plan.stack, plan.problem, plan.unsupported, plan.notices
    if not has_series_uid(first):
        text_ = (
            "The images have lost their Series Instance UID; one was made from their other tags, unknown to any "
            "archive."
        )
        notices = (*notices, Notice("uid-made", text_, "warning"))
    used = stack.frames if stack is not None else frames
    if any(frame.lossy for frame in used):
        text_ = "The images went through lossy compression: their values differ slightly from the scanner's."
        notices = (*notices, Notice("lossy-compression", text_, "warning"))
    return SeriesEntry(
        kind="dicom",
        series=series,
        patient=read_patient(first),
        study=read_study(first),
        location=location,
        n_images=len(frames),
        grid=stack.grid if stack is not None else None,
        problem=problem,
        unsupported=unsupported,
        notices=notices,
        image_type=used[0].image_type,
        kernel=text(first.values.get(KERNEL)).split("\\")[0].strip(),
        thickness_mm=used[0].thickness,
        stack=stack,
    )
