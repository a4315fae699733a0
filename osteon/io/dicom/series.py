"""Group DICOM images into series and say of each whether it is a volume.

Special about MR: mosaics, several echoes of the same places, images without a pixel size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from osteon.data import Notice, Series
from osteon.errors import InputError, ThirdParty
from osteon.geometry import Grid
from osteon.io.dicom import header
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.film import read_view
from osteon.io.dicom.join import Part, continuing, paths_of
from osteon.io.dicom.references import reference_problem
from osteon.io.dicom.stack import grouped, natural, plan_stack
from osteon.io.inventory import SeriesEntry, SkippedFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.io.dicom.elements import Elements
    from osteon.io.inventory import Frame


__all__ = ["DicomFile", "build_entries", "read_dicom_file"]


SHOWN: Final = 4
"""Series that a notice names."""

AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ORIGIN: Final = (0.0, 0.0, 0.0)


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
    elements = read_elements(path, wanted=header.WANTED)
    if elements is None:
        return None
    if not header.series_uid(elements):
        if elements.damage is None:
            return SkippedFile(path, "DICOM without a series: a directory or another record", damaged=False)
        return SkippedFile(path, elements.damage, damaged=True)
    if elements.pixel_offset < 0 and elements.damage is None:
        modality = header.modality_of(elements) or "unknown modality"
        return SkippedFile(path, f"DICOM without pixels ({modality})", damaged=False)
    return DicomFile(elements, header.read_frame(path, elements))


def build_entries(files: Sequence[DicomFile], *, location: Path) -> tuple[SeriesEntry, ...]:
    """One entry per series, ordered by series number and UID; one an echo of an MR series that holds several."""
    groups: dict[tuple[str, str], list[DicomFile]] = {}
    for file in files:
        # the patient is part of the key: two people under one copied UID must never become one volume
        key = (header.series_uid(file.elements), header.text(file.elements.values.get(header.PATIENT_ID)))
        groups.setdefault(key, []).append(file)
    found = [(group, _entries_or_problem(group, location)) for group in groups.values()]
    parts = [_part(number, group, entries[0]) for number, (group, entries) in enumerate(found) if len(entries) == 1]
    for chain in continuing(parts):
        paths = paths_of(chain)
        files = [file for part in chain for file in found[part.number][0] if file.frame.path in paths]
        entries = _entries_or_problem(files, location)
        if len(entries) == 1 and entries[0].problem is None:
            for part in chain:
                found[part.number] = ([], [])
            found.append((files, [_joined(entries[0], chain, repeated=sum(len(p.frames) for p in chain) - len(paths))]))
    entries = [entry for _, group in found for entry in group]
    return tuple(sorted(entries, key=lambda entry: (entry.series.number or 0, entry.series.uid, entry.part)))


def _entries_or_problem(files: list[DicomFile], location: Path) -> list[SeriesEntry]:
    """Its entries; one that says why, when its headers hold what nothing can follow."""
    try:
        with ThirdParty("its headers hold values that cannot be followed"):
            return _entries(files, location)
    except InputError as error:
        series = Series(uid=header.series_uid(files[0].elements), modality="")
        return [SeriesEntry(kind="dicom", series=series, location=location, n_images=len(files), problem=str(error))]


def _part(number: int, files: Sequence[DicomFile], entry: SeriesEntry) -> Part:
    frames = entry.stack.frames if entry.stack is not None else tuple(file.frame for file in files)
    return Part(number, entry, files[0].elements, frames)


def _joined(entry: SeriesEntry, chain: Sequence[Part], *, repeated: int) -> SeriesEntry:
    """The scan that several series are, under the name of the first of them by number and UID."""
    series = [part.entry for part in chain]
    lead = min(series, key=lambda one: (one.series.number or 0, one.series.uid))
    listed = ", ".join(f"{one.series.uid} ({one.n_images})" for one in series[:SHOWN])
    more = f" and {len(series) - SHOWN} more" if len(series) > SHOWN else ""
    over = (
        f" {repeated} of these images show a place that another one shows too, and were not read." if repeated else ""
    )
    text = (
        f"{len(series)} series continue each other (one study, frame of reference, kernel and pixel size) and were "
        f"read as one scan of {entry.n_images} images: {listed}{more}.{over} One of them alone is read when it is "
        "named (--series UID)."
    )
    return replace(
        entry, series=lead.series, joined=tuple(series), notices=(Notice("series-joined", text), *entry.notices)
    )


def _entries(files: list[DicomFile], location: Path) -> list[SeriesEntry]:
    """One entry; several where an MR series holds several echoes of the same places."""
    files = sorted(files, key=lambda file: file.frame.path)
    # a file that broke off early must not speak for the series
    first = next((file for file in files if file.elements.damage is None), files[0]).elements
    series = header.read_series(first)
    frames: list[Frame] = []
    for file in files:
        several = file.frame.frames_in_file > 1 and file.frame.damage is None
        frames.extend(header.split_frames(file.frame) if several else (file.frame,))
    if series.modality != "MR":
        return [_entry(first, series, frames, location)]
    found = []
    for part in _echo_parts(frames):
        own, bare = _bare_pictures(part.frames)
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
    stack, unsupported, film = None, False, None
    problem: str | None
    if is_film := header.is_film(first):
        film, problem = _film(series, frames)
    elif series.modality == "MR" and (mosaic := _mosaic_problem(frames)) is not None:
        problem = mosaic
    else:
        plan = plan_stack(frames)
        stack, problem, unsupported, notices = plan.stack, plan.problem, plan.unsupported, plan.notices
    if not header.has_series_uid(first):
        text = (
            "The images have lost their Series Instance UID; one was made from their other tags, unknown to any "
            "archive."
        )
        notices = (*notices, Notice("uid-made", text, "warning"))
    used = stack.frames if stack is not None else frames
    no_objects = reference_problem(used)
    if no_objects and stack is not None:
        text = f"No DICOM object can refer to these images: {no_objects}. Masks are written as NIfTI instead."
        notices = (*notices, Notice("no-dicom-objects", text, "warning"))
    if any(frame.lossy for frame in used):
        notices = (*notices, header.LOSSY_NOTICE)
    return SeriesEntry(
        kind="dicom",
        series=series,
        patient=header.read_patient(first),
        study=header.read_study(first),
        location=location,
        n_images=len(frames),
        grid=stack.grid if stack is not None else film,
        problem=problem,
        unsupported=unsupported,
        notices=notices,
        image_type=used[0].image_type,
        kernel=header.text(first.values.get(header.KERNEL)).split("\\")[0].strip(),
        thickness_mm=used[0].thickness,
        stack=stack,
        path=frames[0].path if film is not None else None,
        is_film=is_film,
        view=read_view(first) if is_film else "",
        no_objects=no_objects,
    )


def _film(series: Series, frames: Sequence[Frame]) -> tuple[Grid | None, str | None]:
    """The grid of a single radiograph, which counts pixels; or why there is none."""
    kind = f"{series.modality or 'secondary capture'} images are projections (radiographs), not slices of a volume"
    if len(frames) != 1:
        return None, f"{kind}; one of them is read where its file is named" if frames[0].number is None else kind
    if frames[0].damage is not None:
        return None, frames[0].damage
    return Grid.of_pixels(frames[0].pixels.rows, frames[0].pixels.columns), None


@dataclass(frozen=True, slots=True)
class _EchoPart:
    """The images of one echo."""

    name: str  # as "echo-2", counted by rising echo time; "" when the series holds one echo
    words: str  # as "echo 2 of 3, TE 26 ms"
    frames: tuple[Frame, ...] = field(repr=False)  # of the echo


def _mosaic_problem(frames: Sequence[Frame]) -> str | None:
    """Why a Siemens mosaic is not a volume; None when no image is one.

    Many slices are side by side in one image there, and where each of them is stands in private elements only.
    """
    count = sum("MOSAIC" in frame.image_type for frame in frames)
    if not count:
        return None
    return (
        f"{count} of its {len(frames)} images are mosaics (many slices side by side in one picture): send the series "
        "as single slices, or convert it to NIfTI with a program that knows Siemens' private elements (dcm2niix)"
    )


def _echo_parts(frames: Sequence[Frame]) -> tuple[_EchoPart, ...]:
    """The echoes of a series: one part when it holds one, or when its echo times belong to different places.

    Images are distinguished by echo time and, where that says nothing, by echo number. Two echoes of one place are
    different pictures; which one is meant is not guessed.
    """
    whole = _EchoPart("", "", tuple(frames))
    if any(frame.damage is not None for frame in frames):
        return (whole,)
    names = list(header.SPLIT_KEYS.values())
    for key, unit in (("echo time", "TE {} ms"), ("echo number", "echo number {}")):
        at = names.index(key)
        groups = grouped(frames, lambda frame, at=at: _plain(frame.split_keys[at].strip()))  # type: ignore[misc]
        if len(groups) > 1 and "" not in groups and _share_places(list(groups.values())):
            ranked = sorted(groups.items(), key=lambda item: natural(item[0]))
            total = len(ranked)
            return tuple(
                _EchoPart(f"echo-{n}", f"echo {n} of {total}, {unit.format(value)}", tuple(group))
                for n, (value, group) in enumerate(ranked, start=1)
            )
    return (whole,)


def _bare_pictures(frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], Notice | None]:
    """Frames without a pixel size on a grid that counts pixels."""
    frames = tuple(frames)
    if any(frame.spacing is not None for frame in frames):
        return frames, None
    changed = tuple(replace(frame, spacing=(1.0, 1.0)) for frame in frames)
    if len(frames) == 1:
        changed = (replace(changed[0], position=ORIGIN, orientation=AXIAL, thickness=1.0, step=None),)
    text = (
        "The images have no Pixel Spacing: how large anything is in millimetres is not known, so no length is given "
        "and no DICOM object is written."
    )
    return changed, Notice("no-pixel-size", text, "warning")


def _share_places(groups: Sequence[Sequence[Frame]]) -> bool:
    """Whether two groups hold an image of one place."""
    seen: set[object] = set()
    for group in groups:
        places = {_place(frame) for frame in group}
        if seen & places:
            return True
        seen |= places
    return False


def _place(frame: Frame) -> tuple[object, object]:
    position, orientation = frame.position, frame.orientation
    return (
        None if position is None else tuple(round(value, 2) for value in position),
        None if orientation is None else tuple(round(value, 3) for value in orientation),
    )


def _plain(value: str) -> str:
    """A number as it is shown, so that 20 and 20.0 are one echo; other text as it is."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
