"""Patients who come as pictures, not as series: folders of pictures as people name them, and whose each picture is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.data.identifiers import spelling
from osteon.data.manifest import PATIENT_KNOWN
from osteon.errors import InputError
from osteon.io.table import refuse_same_spelling
from osteon.train.datasets.case_builder import SeriesCase, SkippedCase, file_state
from osteon.train.datasets.patients_table import PICTURE_SUFFIXES, PatientsTable, read_patients
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "FoundPictures",
    "PictureCase",
    "PictureFile",
    "PlacedPicture",
    "found_pictures",
    "inner_folder",
    "patients_of",
    "pictures_below",
    "plain_name",
    "subfolders",
]

_PATIENTS: Final = "patients.csv"
_MANIFEST_FIELDS: Final = ("sex", "centre", "scanner", "study", "split")
_NOT_MEANT: Final = (".", "__MACOSX")
"""How names of files begin that a system made for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A picture on the disk.

    Attributes:
        name: of it in its set, for whoever has to correct it.
        target: where it goes below ``image``, without its ending.
        image: the file.
        lesion: mask of the lesions, or None.
        bone: mask of the bone, or None.
        label: of a picture without masks; "" where the lesion mask tells it.
        extra: further columns.
    """

    name: str
    target: str
    image: Path
    lesion: Path | None = None
    bone: Path | None = None
    label: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCase(SeriesCase[tuple[PictureFile, ...]]):
    """The pictures of a patient."""


@dataclass(frozen=True, slots=True)
class FoundPictures:
    """What a folder holds: patients, sorted, files that belong to nothing, and what must be known of any result."""

    cases: tuple[PictureCase, ...] = field(repr=False)
    skipped: tuple[SkippedCase, ...]
    warnings: tuple[str, ...] = ()


def _picture_case(
    name: str, patient: str, files: Sequence[PictureFile], table: PatientsTable, *, known: bool = True
) -> PictureCase:
    """A patient with what the table says; ``known``: that the pictures are of one patient, and that no others are."""
    about = table.about.get(patient, {})
    fields = {column: about[column] for column in _MANIFEST_FIELDS if column in about}
    extra = {column: text for column, text in about.items() if column not in {*_MANIFEST_FIELDS, "age_years"}}
    state = [(repr(item), [file_state(path) for path in (item.image, item.lesion, item.bone)]) for item in files]
    return PictureCase(
        name=name,
        patient=patient,
        open=partial(tuple, files),
        fingerprint=digest(state),
        age_years=float(about["age_years"]) if "age_years" in about else None,
        extra=extra if known else {**extra, PATIENT_KNOWN: "no"},
        **fields,
    )


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A picture in its set.

    Attributes:
        file: the picture.
        path: below the folder of the pictures, with ``/`` and without its ending: what the table may name.
        folder: that is named after the patient; "" for none.
        group: of patients; equal names in two groups are two persons.
    """

    file: PictureFile
    path: str
    folder: str
    group: str = ""


def found_pictures(
    source: str,
    placed: Sequence[PlacedPicture],
    table: PatientsTable,
    *,
    skipped: Sequence[SkippedCase],
    own_patients: bool,
) -> FoundPictures:
    """The patients of a set.

    With ``own_patients`` a picture of which nothing identifies the patient is taken for a patient of its own.

    Raises:
        InputError: nothing identifies the patients, or there is no picture.
    """
    of_patient: dict[tuple[str, str], list[PictureFile]] = {}
    lone: set[tuple[str, str]] = set()
    nameless: list[PictureFile] = []
    for item in placed:
        patient = table.find(item.path, folder=item.folder)
        key = (item.group, patient or item.path)
        if patient or own_patients:
            file = replace(item.file, extra={**table.columns(item.path), **item.file.extra})
            of_patient.setdefault(key, []).append(file)
            lone |= set() if patient else {key}
        else:
            nameless.append(item.file)
    if nameless and not table.patient_of:
        raise InputError(
            f"nothing identifies the patients of {len(nameless)} images of {source}, so none can be kept out of the "
            "test: give patients.csv (FILE, PATIENT, SEX, AGE), or put the images of each patient into a folder, or "
            "take every image for a patient of its own (--own-patients: results will be too good)"
        )
    left_out = [*skipped]
    left_out += [SkippedCase(file.name, "the table of patients does not name it: add a row") for file in nameless]
    if not of_patient:
        first = f"; the first: {left_out[0].name}: {left_out[0].reason}" if left_out else ""
        raise InputError(f"not one image of {source} can be used{first}")
    if table.about and not table.patient_of:  # patients of the table that no folder is named after, but for a dash
        named = {patient for key in of_patient.keys() - lone for patient in key[1:]}
        refuse_same_spelling({*named, *table.about}, where=f"the folders of {source} and the table of patients")
    groups = Counter(name for _, name in {(group, spelling(patient)) for group, patient in of_patient})
    cases = []
    for key, files in sorted(of_patient.items()):
        group, patient = key
        told = patient if groups[spelling(patient)] == 1 or patient in table.about else f"{group}-{patient}"
        name = f"{group}-{patient}" if group else patient
        cases.append(_picture_case(name, told, files, table, known=key not in lone))
    return FoundPictures(tuple(cases), tuple(left_out), (UNKNOWN_PATIENTS_WARNING,) if lone else ())


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted; those that a system made for itself are none."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(_NOT_MEANT))


def inner_folder(source: Path) -> Path:
    """The folder itself, or the one that it is only wrapped around, however often."""
    place = source
    while len(inside := subfolders(place)) == 1 and not pictures_below(place, deep=False):
        place = inside[0]
    return place


def patients_of(source: Path, named: Path | None) -> PatientsTable:
    """The table of patients that was named, or ``patients.csv`` in the source; an empty one where neither is."""
    beside = set() if named or not source.is_dir() else {*source.iterdir(), *inner_folder(source).iterdir()}
    files = [named] if named else sorted(path for path in beside if path.name.lower() == _PATIENTS)
    return read_patients(files[0]) if files else PatientsTable()


def plain_name(name: str) -> str:
    """A name in small letters, words with single spaces, without a plural.

    Example:
        >>> plain_name("Lesion_Masks")
        'lesion mask'
    """
    return re.sub(r"[\s_-]+", " ", name.lower()).strip().removesuffix("s")


def pictures_below(folder: Path | None, *, deep: bool = True) -> dict[str, list[Path]]:
    """Path below the folder, with ``/`` and without its ending -> the pictures of that name."""
    found: dict[str, list[Path]] = {}
    if folder is None:
        return found
    for path in sorted(folder.rglob("*") if deep else folder.iterdir()):
        inside = path.relative_to(folder)
        meant = not any(part.startswith(_NOT_MEANT) for part in inside.parts)
        if meant and path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
            found.setdefault(inside.with_suffix("").as_posix(), []).append(path)
    return found
