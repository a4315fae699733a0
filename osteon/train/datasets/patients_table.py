"""Whose an image is: ``patients.csv`` beside a set of pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from osteon.data import ImageRow
from osteon.errors import InputError, nearest_names
from osteon.io.table import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["NO_SUCH_IMAGE", "PICTURE_SUFFIXES", "PatientsTable", "read_patients"]

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Endings of the files that are taken for pictures."""

NO_SUCH_IMAGE: Final = "the table of patients names it, and there is no such image"
ABOUT: Final = ("sex", "age_years", "centre", "scanner", "study", "split")
_TOLD_BY_FILES: Final = tuple(sorted({entry.name for entry in fields(ImageRow)} - {*ABOUT, "patient", "image"}))
_NAMES: Final = {"image": "file", "filename": "file", "age": "age_years", "gender": "sex", "center": "centre"}
_SEXES: Final = {"": "", "f": "F", "female": "F", "m": "M", "male": "M", "o": "O", "other": "O"}
_OLDEST_YEARS: Final = 130.0


@dataclass(frozen=True, slots=True)
class PatientsTable:
    """What is known of patients.

    Attributes:
        patient_of: file without its ending -> patient; empty when the table has no column FILE.
        about: patient -> columns of ``ABOUT`` that are filled, each one the same in all rows of a patient; in a table
            without FILE all other columns too.
        others: file without its ending -> other columns that are filled.
    """

    patient_of: Mapping[str, str] = field(default_factory=dict, repr=False)
    about: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def find(self, name: str, *, folder: str = "") -> str:
        """Patient of a picture: as its whole path is listed, else ``folder``, else as its bare name is; else ""."""
        return self.patient_of.get(name, "") or folder or self.patient_of.get(PurePosixPath(name).name, "")

    def columns(self, name: str) -> Mapping[str, str]:
        """What else the table says of a picture, by its path or bare name."""
        return self.others.get(name) or self.others.get(PurePosixPath(name).name) or {}

    def unseen(self, names: Iterable[str]) -> list[str]:
        """Files of the table that are not among these paths, sorted."""
        there = set(names)
        there |= {PurePosixPath(name).name for name in there}
        return sorted(name for name in self.patient_of if name not in there)


def read_patients(file: Path) -> PatientsTable:
    """Read a table of patients.

    Columns, in any case: PATIENT; FILE (a picture, with or without its ending) where folders do not name the patient;
    SEX (F, M, O or in words), AGE (years, also as 063Y), CENTRE, SCANNER, STUDY, SPLIT (train or test), the same in
    all rows of a patient. Others are kept as they are, those of a picture with the picture.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    header, lines, _ = read_rows(file)
    columns = {name: _NAMES.get(plain, plain) for name in header for plain in [name.lower().replace(" ", "_")]}
    if "patient" not in columns.values():
        raise InputError(f"{file.name} has no column PATIENT: {nearest_names('PATIENT', header)}")
    doubled = [name for name in header if list(columns.values()).count(columns[name]) > 1]
    if doubled:
        raise InputError(f"{file.name} has two columns for {columns[doubled[0]]}: keep one of {', '.join(doubled)}")
    told = [name for name in header if columns[name] in _TOLD_BY_FILES]
    if told:
        raise InputError(f"{file.name} has a column {told[0]!r}, which the pictures and masks tell: leave it out")
    patient_of: dict[str, str] = {}
    about: dict[str, dict[str, str]] = {}
    others: dict[str, dict[str, str]] = {}
    for number, cells in enumerate(lines, start=1):
        line = {columns[name]: value for name, value in cells.items()}
        patient = line.pop("patient")
        if not patient:
            raise InputError(f"{file.name}: row {number} lacks its patient: fill it")
        if "file" in line:
            picture = _stem(line.pop("file"))
            if not picture or patient_of.setdefault(picture, patient) != patient:
                raise InputError(
                    f"{file.name}: row {number} names no file, or one that another patient has: correct it"
                )
            others[picture] = {column: line.pop(column) for column in list(line) if column not in ABOUT}
        known = about.setdefault(patient, {})
        for column, value in _checked(line, f"{file.name}: row {number}").items():
            if value and known.setdefault(column, value) != value:
                raise InputError(
                    f"{file.name}: row {number} gives its patient another {column} than an earlier row: make them equal"
                )
    if not about:
        raise InputError(f"{file.name} has no rows: it needs one for each picture, or for each patient")
    filled = {name: {column: text for column, text in cells.items() if text} for name, cells in others.items()}
    return PatientsTable(patient_of, about, filled)


def _stem(text: str) -> str:
    path = PurePosixPath(text.replace("\\", "/"))
    return str(path.with_suffix("")) if text and path.suffix.lower() in PICTURE_SUFFIXES else text


def _checked(line: Mapping[str, str], where: str) -> dict[str, str]:
    """Sex, age and part as the manifest writes them."""
    checked = dict(line)
    if "sex" in line:
        if line["sex"].lower() not in _SEXES:
            raise InputError(f"{where} has the sex {line['sex']!r}: it must be empty, F, M or O")
        checked["sex"] = _SEXES[line["sex"].lower()]
    if line.get("age_years"):
        found = re.fullmatch(r"(\d{1,3}(?:[.,]\d+)?)\s*[yY]?", line["age_years"])
        years = float(found[1].replace(",", ".")) if found else _OLDEST_YEARS + 1
        if years > _OLDEST_YEARS:
            raise InputError(f"{where} has the age {line['age_years']!r}: it must be years from 0 to 130")
        checked["age_years"] = f"{years:g}"
    if line.get("split", "") not in ("", "train", "test"):
        raise InputError(f"{where} has the split {line['split']!r}: it must be empty, train or test")
    return checked
