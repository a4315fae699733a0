"""Which series answers the question, and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.io.inventory import Inventory, SeriesEntry

__all__ = ["choose_series", "kernel_is_sharp", "other_series"]

REFORMATTED: Final = frozenset(
    {"MPR", "REFORMATTED", "MIP", "MINIP", "AVERAGE", "PROJECTION IMAGE", "VRT", "CSA MPR", "CPR"}
)
AXIAL_COSINE: Final = 0.8
"""A series is axial when the normal of its slices is within 37 degrees of the patient's long axis."""

LISTED: Final = 8
NO_NUMBER: Final = 2**31


def choose_series(
    inventory: Inventory,
    *,
    modality: str | None = "CT",
    series_uid: str | None = None,
    also: tuple[str, ...] = (),
    is_marked: bool = False,
) -> SeriesEntry:
    """Pick the series to read.

    Of the readable series of the modality, in this order: original over derived or reformatted; axial over other
    planes; more slices; thinner slices; a soft-tissue kernel over a sharp one (a sharp kernel adds noise and
    overshoots at the cortex, which shifts every threshold in Hounsfield units); the lower series number.

    Args:
        inventory: from ``find_images``.
        modality: DICOM modality; None takes any, "" what has none (NIfTI, a picture).
        series_uid: this series and no other, also when there are several patients; "UID#echo-2" for one echo of a
            series that holds several.
        also: modalities that are taken, in this order, where there is none of the first.
        is_marked: a person marked something on one of the series: which one is then not chosen, but has to be named.

    Returns:
        The entry, with reasons and notices that say how it was chosen.

    Raises:
        InputError: no images, another modality only, several patients, an unknown UID, several echoes and none named,
            several series of which one is marked, or nothing that is a volume.
        UnsupportedError: the only series of the modality are encoded in a way that no decoder here knows.
    """
    _require_images(inventory)
    if series_uid is not None:
        return _named(inventory, series_uid, None if modality is None else (modality, *also))
    entries = _of_modality(inventory, modality, also)
    _require_one_patient(inventory, entries)
    fit = [entry for entry in entries if entry.problem is None]
    fit = [entry for entry in fit if not entry.is_film] or fit  # a radiograph where there is no volume
    if not fit:
        kind = UnsupportedError if all(entry.unsupported for entry in entries) else InputError
        wanted = f"{modality} series" if modality else "series"
        raise kind(
            f"{_place(inventory)}: no {wanted} can be read as a volume: {_problems(entries)}{_damaged(inventory)}"
        )
    if fit[0].kind == "nifti" and len(fit) > 1:
        raise InputError(
            f"{_place(inventory)}: found {len(fit)} NIfTI files, and nothing in them says which one is meant; name "
            "one file"
        )
    ranked = sorted(fit, key=_rank)
    chosen = ranked[0]
    if is_marked and len({entry.series.uid for entry in fit}) > 1:
        raise InputError(
            f"{_place(inventory)}: what was drawn belongs to one series, found {len(fit)}; say which with --series "
            f"UID. Found {_listing(tuple(ranked))}"
        )
    if chosen.part:
        raise _which_part([entry for entry in entries if entry.series.uid == chosen.series.uid])
    reasons = (*_facts(chosen), *_comparison(chosen, ranked[1:], entries))
    return _with_reasons(_with_neighbours(chosen, ranked[1:]), inventory, reasons)


def other_series(inventory: Inventory, entry: SeriesEntry) -> str:
    """Which series was taken, and which others are there, as a sentence for errors; "" when there is no other."""
    others = tuple(one for one in inventory.entries if one.name != entry.name)
    if not others:
        return ""
    return f"Series {entry.name} was taken ({_images(entry.n_images)}); others, for --series UID: {_listing(others)}"


def _with_neighbours(chosen: SeriesEntry, others: list[SeriesEntry]) -> SeriesEntry:
    """A warning of slices of the same kind beside those that were chosen: a scan in parts that do not meet."""
    beside = [entry for entry in others if _continues_elsewhere(chosen, entry)]
    if not beside:
        return chosen
    count, listed = sum(entry.n_images for entry in beside), ", ".join(entry.name for entry in beside[:LISTED])
    total = count + chosen.n_images
    text = (
        f"{count} slices of the same kind, at other places of the patient, are in other series and were not read: "
        f"{listed}. Read them by themselves (--series UID)."
    )
    words = f"{count} of {total} slices of like series were not read." if 10 * count > total else ""
    return replace(chosen, notices=(*chosen.notices, Notice("slices-elsewhere", text, "warning", headline=words)))


def _continues_elsewhere(first: SeriesEntry, second: SeriesEntry) -> bool:
    """Whether two series have one frame of reference, kernel and kind of image, parallel slices and no common place."""
    if first.kind != "dicom" or first.grid is None or second.grid is None or not first.series.frame_of_reference_uid:
        return False
    said = [
        (e.series.frame_of_reference_uid, e.series.modality, e.kernel, e.image_type, e.thickness_mm)
        for e in (first, second)
    ]
    normal = first.grid.directions[0]
    if said[0] != said[1] or first.series.modality != "CT" or abs(float(normal @ second.grid.directions[0])) < 0.999:
        return False
    ends = [
        sorted(float(value) for value in grid.to_lps_mm([(0, 0, 0), (grid.shape[0] - 1, 0, 0)]) @ normal)
        for grid in (first.grid, second.grid)
    ]
    return ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0]


def kernel_is_sharp(kernel: str) -> bool | None:
    """Whether a convolution kernel is a sharp one (bone, lung, edge), from the makers' names; None when not known.

    Example:
        >>> kernel_is_sharp("B70s"), kernel_is_sharp("Br40d"), kernel_is_sharp("BONEPLUS"), kernel_is_sharp("FC08")
        (True, False, True, False)
    """
    name = kernel.strip().upper()
    if match := re.match(r"^[A-Z]{1,2}(\d{2})[A-Z]*", name):
        number = int(match[1])
        if name.startswith("FC"):  # Toshiba, Canon: 30-39 and 80-89 bone, 50-59 lung
            return 30 <= number < 40 or 50 <= number < 60 or number >= 80
        return number >= 50  # Siemens: B10 smooth to B90 sharp
    if name in {"BONE", "BONEPLUS", "EDGE", "LUNG", "DETAIL", "ULTRA", "D", "L", "YA", "YB", "YC", "YD", "YE"}:
        return True
    if name in {"STANDARD", "SOFT", "SMOOTH", "A", "B", "C", "CHEST"}:
        return False
    return None


def _require_images(inventory: Inventory) -> None:
    if inventory.entries:
        return
    where = _place(inventory)
    if inventory.n_files == 0:
        raise InputError(f"{where}: asked for images, the folder is empty; give the folder that holds the DICOM files")
    if inventory.damaged:
        raise InputError(f"{where}: no image could be read of {inventory.n_files} files{_damaged(inventory)}")
    found = Counter(item.reason for item in inventory.skipped).most_common(3)
    said = ", ".join(f"{count} {reason}" for reason, count in found)
    raise InputError(
        f"{where}: found no images in {inventory.n_files} files ({said}); give a DICOM folder, a zip or a NIfTI file"
    )


def _which_part(parts: list[SeriesEntry]) -> InputError:
    """Several pictures of the same places, and nobody has said which is meant."""
    listed = "; ".join(f"--series {entry.name} ({entry.reasons[0]})" for entry in parts)
    return InputError(
        f"series {parts[0].series.uid} holds {len(parts)} echoes of the same places, which are different pictures: "
        f"say which is meant: {listed}"
    )


def _named(inventory: Inventory, series_uid: str, modalities: tuple[str, ...] | None) -> SeriesEntry:
    # a series that is part of a joined scan is read alone when it is named
    each = [one for entry in inventory.entries for one in (entry.joined or (entry,))]
    found = [entry for entry in each if series_uid in (entry.series.uid, entry.name)]
    if not found:
        raise InputError(f"{_place(inventory)}: series {series_uid} is not here; found {_listing(inventory.entries)}")
    if len({_person(entry) for entry in found}) > 1:
        raise InputError(
            f"series {series_uid} holds images of {len(found)} patients{_who_differs(found)}; give one patient's folder"
        )
    entry = found[0]
    if len(found) > 1 and entry.part:
        raise _which_part(found)
    if modalities is not None and entry.series.modality not in {*modalities, ""}:
        wanted = modalities[0]
        raise InputError(f"series {series_uid} is {entry.series.modality}, not {wanted}; name a {wanted} series")
    if entry.problem is not None:
        kind = UnsupportedError if entry.unsupported else InputError
        raise kind(f"series {series_uid} cannot be read as a volume: {entry.problem}")
    told = [f"It is {entry.reasons[0]}."] if entry.part else []
    return _with_reasons(entry, inventory, (*_facts(entry), *told, "It was named by its UID."))


def _of_modality(inventory: Inventory, modality: str | None, also: tuple[str, ...]) -> list[SeriesEntry]:
    """Entries of the first modality that is there; NIfTI, which names none, only when no DICOM has it.

    A picture names none either, and is taken only where "" is among the modalities.
    """
    dicom = [entry for entry in inventory.entries if entry.kind == "dicom"]
    wanted = (modality, *also)
    for one in wanted:
        entries = dicom if one is None else [entry for entry in dicom if entry.series.modality == one]
        if entries:
            return entries
    bare = ("nifti", "picture") if "" in wanted else ("nifti",)
    entries = [entry for entry in inventory.entries if entry.kind in bare]
    if entries:
        return entries
    counts = Counter(_kind(entry) for entry in inventory.entries)
    images = Counter[str]()
    for entry in inventory.entries:
        images[_kind(entry)] += entry.n_images
    found = ", ".join(f"{count} {name} series ({_images(images[name])})" for name, count in sorted(counts.items()))
    asked = " or ".join(one for one in wanted if one)
    asked = f"{'an' if asked.startswith('MR') else 'a'} {asked}"
    raise InputError(f"{_place(inventory)}: asked for {asked} series, found {found}; give {asked}")


def _kind(entry: SeriesEntry) -> str:
    return entry.series.modality or ("picture" if entry.kind == "picture" else "unnamed")


def _require_one_patient(inventory: Inventory, entries: list[SeriesEntry]) -> None:
    """Refuse a mix of patients: a result would carry the wrong name."""
    people = {_person(entry) for entry in inventory.entries if entry.kind == "dicom"}
    if len(people) > 1 and entries[0].kind == "dicom":
        raise InputError(
            f"{_place(inventory)}: found images of {len(people)} patients{_who_differs(inventory.entries)}; say which "
            f"series is meant with --series UID, or give one patient's folder. Found {_listing(inventory.entries)}"
        )


def _who_differs(entries: Sequence[SeriesEntry]) -> str:
    """Which tags make several patients of them, without a word of the patient; "" where nothing is to be told."""
    found = [entry for entry in entries if entry.kind == "dicom"]
    told = []
    for name, values in (
        ("Patient ID (0010,0020)", [entry.patient.identifier.strip() for entry in found]),
        ("Patient's Name (0010,0010)", [entry.patient.name.strip() for entry in found]),
    ):
        empty = sum(entry.n_images for entry, value in zip(found, values, strict=True) if not value)
        if empty > 0 and any(values):
            told.append(f"{name} is empty on {empty} of {sum(entry.n_images for entry in found)} images")
        elif len(set(values)) > 1:
            told.append(f"{name} has {len(set(values))} values")
    shared = len({entry.series.uid for entry in found}) < len(found)
    same = ", within one Series Instance UID (0020,000E); repair the tags if it is one person" if shared else ""
    return f" ({'; '.join(told)}{same})" if told else ""


def _person(entry: SeriesEntry) -> tuple[str, str]:
    """Identifier and name, blind to case and to how empty name parts are written."""
    name = re.sub(r"[\s^=]+", " ", entry.patient.name).strip().upper()
    return entry.patient.identifier.strip().upper(), name


def _rank(entry: SeriesEntry) -> tuple[object, ...]:
    sharp = kernel_is_sharp(entry.kernel)
    slices = entry.grid.shape[0] if entry.grid else 0
    return (
        not _is_original(entry),
        not _is_axial(entry),
        -slices,
        entry.grid.spacing_mm[0] if entry.grid else 0.0,
        {False: 0, None: 1, True: 2}[sharp],
        entry.series.number if entry.series.number is not None else NO_NUMBER,
        entry.series.uid,
    )


def _is_original(entry: SeriesEntry) -> bool:
    values = entry.image_type
    return not ((values[:1] == ("DERIVED",) or "SECONDARY" in values[1:2]) or REFORMATTED.intersection(values))


def _is_axial(entry: SeriesEntry) -> bool:
    return entry.grid is not None and abs(float(entry.grid.directions[0, 2])) >= AXIAL_COSINE


def _facts(entry: SeriesEntry) -> tuple[str, ...]:
    if entry.grid is None:
        return ()
    if entry.kind == "picture":
        return (f"A picture of {entry.grid.shape[1]} x {entry.grid.shape[2]} pixels.",)
    if entry.is_film:
        kind = entry.series.modality or "secondary capture"
        return (f"A radiograph ({kind}) of {entry.grid.shape[1]} x {entry.grid.shape[2]} pixels.",)
    plane = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(entry.grid.directions[0])))]
    kind = "original" if _is_original(entry) else "derived or reformatted"
    kernel = {True: ", sharp kernel", False: ", soft-tissue kernel", None: ""}[kernel_is_sharp(entry.kernel)]
    modality = f"{entry.series.modality} " if entry.series.modality else ""
    count, step = len(entry.stack.frames) if entry.stack else entry.grid.shape[0], entry.grid.spacing_mm[0]
    slices = f"{count} {plane} slices, {step:.3g} mm apart" if count > 1 else f"a single {plane} slice"
    return (f"{modality}series of {slices}, {kind}{kernel}.",)


def _comparison(chosen: SeriesEntry, others: list[SeriesEntry], entries: list[SeriesEntry]) -> tuple[str, ...]:
    """Why this one and not the next, and why not the unreadable ones."""
    said = []
    if others:
        second = others[0]
        names = (
            "original, not derived",
            "axial",
            "more slices",
            "thinner slices",
            "soft-tissue kernel",
            "lower series number",
        )
        reason = next(
            (name for name, a, b in zip(names, _rank(chosen), _rank(second), strict=False) if a != b),
            "first in the order of the UIDs",
        )
        listed = ", ".join(f"{entry.name} ({_images(entry.n_images)})" for entry in others[:LISTED])
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        said.append(f"Chosen over {len(others)} other readable series: {reason}.")
        said.append(f"It is series {chosen.name}; not read: {listed}{more}.")
    refused = [entry for entry in entries if entry.problem is not None]
    said.extend(f"Not series {entry.series.uid}: {entry.problem}." for entry in refused[:LISTED])
    return tuple(said)


def _with_reasons(entry: SeriesEntry, inventory: Inventory, reasons: tuple[str, ...]) -> SeriesEntry:
    notices = [Notice("series-chosen", " ".join(reasons))]
    if inventory.damaged:
        names = ", ".join(item.path.name for item in inventory.damaged[:3])
        text = (
            f"{len(inventory.damaged)} files of the input are damaged and could not be assigned to a series ({names})."
        )
        notices.append(Notice("damaged-files", text, "warning"))
    return replace(entry, reasons=reasons, notices=(*notices, *entry.notices))


def _problems(entries: list[SeriesEntry]) -> str:
    said = "; ".join(
        f"{entry.problem} (series {entry.series.uid}, {_images(entry.n_images)})" for entry in entries[:LISTED]
    )
    return said + (f"; and {len(entries) - LISTED} more" if len(entries) > LISTED else "")


def _damaged(inventory: Inventory) -> str:
    """The damaged files as the end of a sentence: what they held may be what is missing."""
    if not inventory.damaged:
        return ""
    first, count = inventory.damaged[0], len(inventory.damaged)
    files = f"{count} files are damaged (first" if count > 1 else "1 file is damaged ("
    again = "them" if count > 1 else "it"
    return f"; {files}{' ' if count > 1 else ''}{first.path.name}: {first.reason}); send {again} again"


def _listing(entries: tuple[SeriesEntry, ...]) -> str:
    said = "; ".join(entry.summary for entry in entries[:LISTED])
    return said + (f"; and {len(entries) - LISTED} more" if len(entries) > LISTED else "")


def _images(count: int) -> str:
    return f"{count} image{'s' if count != 1 else ''}"


def _place(inventory: Inventory) -> str:
    return str(inventory.location)
