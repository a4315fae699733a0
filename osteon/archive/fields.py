"""What can be known of a film: the clinical fields that are set and verified, and all fields that can be asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import func

from osteon.archive.tables import UNKNOWN, cases, images, patients, studies
from osteon.errors import InputError, UnknownLabelError, UsageError, nearest_names
from osteon.io.table import whole_number
from osteon.labels.tumours import entity_name, location_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CLINICAL", "LEVELS", "SEARCHED", "ClinicalField", "SearchField", "clinical_field", "require_date"]

Kind = Literal["text", "number", "date"]
LEVELS: Final = {"patient": patients, "case": cases, "study": studies}
"""What a clinical field is of, and the table that holds its value in force."""

OLDEST_YEARS: Final = 130.0
_DATE: Final = re.compile(r"\d{4}(-\d{2}){0,2}")

_SEXES: Final = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M", "o": "O", "other": "O", "d": "O"}
_SIDES: Final = {"l": "L", "left": "L", "r": "R", "right": "R", "b": "B", "both": "B", "bilateral": "B"}


@dataclass(frozen=True, slots=True)
class ClinicalField:
    """A field that a person sets and two persons verify.

    Attributes:
        name: as it is asked for; that of its column too, unless ``column`` says another.
        level: "patient", "case" or "study".
        kind: of its values.
        words: what a person may write -> what is kept; empty for any text.
        find: gives what is kept of a text, where there is a table of names.
        column: of the value in force.
    """

    name: str
    level: str
    kind: Kind = "text"
    words: Mapping[str, str] | None = None
    find: Callable[[str], str] | None = None
    column: str = ""

    @property
    def in_force(self) -> Any:  # noqa: ANN401 - a column
        """The column that holds the value in force."""
        return LEVELS[self.level].c[self.column or self.name]

    def checked(self, text: str) -> str:
        """A value as it is kept; "unknown" is one of every field.

        Raises:
            InputError: not a value of this field.
        """
        plain = " ".join(text.split())
        if plain.casefold() == UNKNOWN:
            return UNKNOWN
        try:
            if self.words is not None:
                return self._word(plain)
            if self.find is not None:
                return self.find(plain)
        except UnknownLabelError as error:
            raise InputError(f"{self.name}: {error}") from error
        if self.kind == "date":
            return require_date(plain, self.name)
        if self.kind == "number":
            return _years(plain, self.name)
        if not plain:
            raise InputError(f"{self.name} is empty: write {UNKNOWN} where it is not known")
        return plain

    def _word(self, plain: str) -> str:
        words = self.words or {}
        if plain.casefold() not in words:
            known = nearest_names(plain, {*words.values(), UNKNOWN})
            raise UnknownLabelError(f"not a value of it: {known}")
        return words[plain.casefold()]

    def stored(self, value: str) -> str | float | None:
        """What the column in force holds for a checked value."""
        if self.kind == "text":
            return value
        return None if value == UNKNOWN else float(value) if self.kind == "number" else value


def _words(*values: str) -> dict[str, str]:
    return {value.casefold(): value for value in values}


CLINICAL: Final[dict[str, ClinicalField]] = {
    each.name: each
    for each in (
        ClinicalField("sex", "patient", words=_SEXES),
        ClinicalField("entity", "case", find=entity_name),
        ClinicalField("location", "case", find=location_name),
        ClinicalField("laterality", "case", words=_SIDES),
        ClinicalField("malignancy", "case", words=_words("benign", "intermediate", "malignant")),
        ClinicalField("tumour_status", "case", words=_words("primary", "recurrence", "metastasis")),
        ClinicalField("therapy", "case"),
        ClinicalField("origin", "case", words=_words("internal", "external")),
        ClinicalField("diagnosis_date", "case", "date"),
        ClinicalField("age", "case", "number", column="age_years"),
        ClinicalField(
            "imaging_stage",
            "study",
            words=_words("pre-op", "post-op", "pre-chemo", "post-chemo", "follow-up", "metastasis check"),
        ),
    )
}
"""References: specs/radiographs-cohort-and-pretraining.md, sections 1.2 and 1.4."""


def clinical_field(name: str) -> ClinicalField:
    """A clinical field by its name.

    Raises:
        UsageError: none of that name; the message lists them.
    """
    if name not in CLINICAL:
        raise UsageError(f"no clinical field {name!r}: {nearest_names(name, CLINICAL)}")
    return CLINICAL[name]


def require_date(text: str, name: str) -> str:
    """A date as it is kept: YYYY, YYYY-MM or YYYY-MM-DD.

    Raises:
        InputError: another form, or no day of the calendar.
    """
    problem = f"{name} is not a valid date: write it as 2010-02-28, 2010-02 or 2010"
    if not _DATE.fullmatch(text):
        raise InputError(problem)
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :])
    except ValueError as error:
        raise InputError(problem) from error
    return text


def _years(text: str, name: str) -> str:
    try:
        found = float(whole_number(text).replace(",", "."))
    except ValueError:
        found = -1.0
    if not 0 <= found <= OLDEST_YEARS:
        raise InputError(f"{name} must be years from 0 to {OLDEST_YEARS:.0f}")
    return f"{found:g}"


@dataclass(frozen=True, slots=True)
class SearchField:
    """A field that films can be searched by: its column and the kind of its values."""

    column: Any
    kind: Kind = "text"


SEARCHED: Final[dict[str, SearchField]] = {
    "patient": SearchField(patients.c.identifier),
    "case": SearchField(cases.c.number),
    **{name: SearchField(each.in_force, each.kind) for name, each in CLINICAL.items()},
    "age": SearchField(func.coalesce(cases.c.age_years, studies.c.age_years), "number"),
    "study": SearchField(studies.c.uid),
    "study_date": SearchField(studies.c.date, "date"),
    "description": SearchField(studies.c.description),
    "accession": SearchField(studies.c.accession),
    "series": SearchField(images.c.series_uid),
    "modality": SearchField(images.c.modality),
    "body_part": SearchField(images.c.body_part),
    "side": SearchField(images.c.side),
    "view": SearchField(images.c.view),
    "manufacturer": SearchField(images.c.manufacturer),
    "rows": SearchField(images.c.rows, "number"),
    "columns": SearchField(images.c.columns, "number"),
    "spacing_mm": SearchField(images.c.spacing_mm, "number"),
    "sha256": SearchField(images.c.sha256),
}
"""The age is that of the case, or else that at the study."""
