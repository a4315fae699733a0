"""Whose the pictures of a set are: from a table, from folders, or nobody knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.errors import InputError
from osteon.train.datasets.case_builder import SkippedCase
from osteon.train.datasets.picture_cases import FoundPictures, PictureFile, picture_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.train.datasets.patients_table import PatientsTable

__all__ = ["PlacedPicture", "found_pictures"]


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

    Args:
        source: name of the set.
        placed: its pictures.
        table: of patients; may be empty.
        skipped: what was left out already.
        own_patients: take a picture for a patient of its own where nothing tells the patient.

    Raises:
        InputError: nothing tells the patients, or there is no picture.
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
            f"nothing tells the patients of {len(nameless)} images of {source}, so no patient can be kept out of the "
            "test: give patients.csv (FILE, PATIENT, SEX, AGE), or put the images of each patient into a folder, or "
            "take every image for a patient of its own (--own-patients: results will be too good)"
        )
    left_out = [*skipped]
    left_out += [SkippedCase(file.name, "the table of patients does not name it: add a row") for file in nameless]
    if not of_patient:
        first = f"; the first: {left_out[0].name}: {left_out[0].reason}" if left_out else ""
        raise InputError(f"not one image of {source} can be used{first}")
    groups = Counter(patient for _, patient in of_patient)
    cases = []
    for key, files in sorted(of_patient.items()):
        group, patient = key
        told = patient if groups[patient] == 1 or patient in table.about else f"{group}-{patient}"
        name = f"{group}-{patient}" if group else patient
        cases.append(picture_case(name, told, files, table, known=key not in lone))
    return FoundPictures(tuple(cases), tuple(left_out), (UNKNOWN_PATIENTS_WARNING,) if lone else ())
