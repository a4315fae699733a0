"""Look into the archive: counts, lists of patients and files, and films by typed filters."""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, false, func, not_, or_

from osteon.archive.access import (
    OPERATOR,
    Viewer,
    patient_key,
    select_cases,
    select_clinical,
    select_files,
    select_film_count,
    select_films,
    select_patients,
    select_studies,
)
from osteon.archive.fields import CLINICAL, SEARCHED, SearchField, require_date
from osteon.archive.tables import STATES, UNKNOWN, cases, clinical, files, images, patients, studies
from osteon.errors import InputError, UsageError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Select

    from osteon.archive.store import Archive

__all__ = ["SHOWN", "conditions", "count_films", "list_files", "list_patients", "search_films", "summary"]

_FILTER: Final = re.compile(r"\s*(\w+)\s*(!=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)

SHOWN: Final = (
    "patient",
    "case",
    "study_date",
    "modality",
    "body_part",
    "side",
    "view",
    "entity",
    "malignancy",
    "sha256",
)
"""Fields of a film in a list."""


def summary(archive: Archive, *, viewer: Viewer = OPERATOR) -> dict[str, Any]:
    """Counts: files by state, patients, cases, studies, films, identifiers of two people, verified values."""
    with archive.reading() as connection:

        def count(query: Any) -> int:  # noqa: ANN401 - a query of one number
            return int(connection.execute(query).scalar_one())

        by_state = _pairs(connection, select_files(viewer, files.c.state, func.count()).group_by(files.c.state))
        seconds = func.count(clinical.c.id).filter(clinical.c.second_verifier != "")
        values = connection.execute(select_clinical(viewer, func.count(clinical.c.id), seconds)).one()
        return {
            "files": {state: by_state.get(state, 0) for state in STATES},
            "patients": count(select_patients(viewer, func.count(patients.c.id))),
            "patients_not_named": count(select_patients(viewer, func.count()).where(~patients.c.is_known)),
            "second_person_under_an_identifier": count(
                select_patients(viewer, func.count()).where(patients.c.number > 1)
            ),
            "cases": count(select_cases(viewer, func.count(cases.c.id))),
            "studies": count(select_studies(viewer, func.count(studies.c.id))),
            "films": count(select_film_count(viewer)),
            "clinical_values": int(values[0]),
            "verified_by_two": int(values[1]),
        }


def _pairs(connection: Connection, query: Select[Any]) -> dict[Any, Any]:
    """What a query of two columns finds: the first to the second."""
    return {row[0]: row[1] for row in connection.execute(query)}


def list_patients(archive: Archive, *, viewer: Viewer = OPERATOR) -> list[dict[str, Any]]:
    """Every patient with counts, the sex, and the entities of their cases."""
    with archive.reading() as connection:
        entities: dict[int, set[str]] = {}
        n_cases: Counter[int] = Counter()
        for owner, entity in connection.execute(select_cases(viewer, patients.c.id, cases.c.entity)):
            entities.setdefault(owner, set()).add(entity)
            n_cases[owner] += 1
        n_studies = _pairs(
            connection, select_studies(viewer, patients.c.id, func.count(studies.c.id)).group_by(patients.c.id)
        )
        n_films = _pairs(
            connection, select_films(viewer, patients.c.id, func.count(images.c.id)).group_by(patients.c.id)
        )
        return [
            {
                "patient": patient_key(row.identifier, row.number),
                "named": bool(row.is_known),
                "sex": row.sex,
                "cases": n_cases[row.id],
                "studies": n_studies.get(row.id, 0),
                "films": n_films.get(row.id, 0),
                "entities": sorted(entities.get(row.id, set()) - {UNKNOWN}),
            }
            for row in connection.execute(select_patients(viewer, patients).order_by(patients.c.identifier))
        ]


def list_files(archive: Archive, state: str, *, viewer: Viewer = OPERATOR) -> list[dict[str, Any]]:
    """Source files in a state, with the reason, and the content of the film that a duplicate repeats.

    Raises:
        UsageError: no such state.
    """
    if state not in STATES:
        raise UsageError(f"no state {state!r}: {nearest_names(state, STATES)}")
    columns = (files.c.path, files.c.state, files.c.reason, files.c.sha256)
    with archive.reading() as connection:
        wanted = select_files(viewer, *columns).where(files.c.state == state).order_by(files.c.path)
        return [dict(row._mapping) for row in connection.execute(wanted)]  # noqa: SLF001 - its name


def search_films(
    archive: Archive,
    where: Sequence[str],
    *,
    names: Sequence[str] = SHOWN,
    most: int | None = None,
    viewer: Viewer = OPERATOR,
) -> list[dict[str, Any]]:
    """Films that meet all filters, by patient and date of study.

    Args:
        archive: to look in.
        where: filters as of ``conditions``.
        names: fields of ``SEARCHED`` to give.
        most: how many; None for all.
        viewer: who looks.

    Returns:
        Field -> value; a second person under an identifier is ID#2.
    """
    columns = [SEARCHED[name].column.label(name) for name in names if name != "patient"]
    wanted = (
        select_films(viewer, patients.c.identifier, patients.c.number, *columns)
        .where(*conditions(where))
        .order_by(patients.c.id, studies.c.date, images.c.id)
        .limit(most)
    )
    with archive.reading() as connection:
        found = []
        for row in connection.execute(wanted):
            cells = list(row)
            values = dict(zip([name for name in names if name != "patient"], cells[2:], strict=True))
            found.append({"patient": patient_key(cells[0], cells[1]), **values})
        return found


def count_films(archive: Archive, where: Sequence[str], *, viewer: Viewer = OPERATOR) -> int:
    """How many films meet all filters; those that repeat another one are not counted."""
    wanted = select_films(viewer, func.count()).where(*conditions(where)) if where else select_film_count(viewer)
    with archive.reading() as connection:
        return int(connection.execute(wanted).scalar_one())


def conditions(where: Sequence[str]) -> list[ColumnElement[bool]]:
    """Filters as a person writes them: ``entity=osteosarcoma``, ``age<18``, ``study_date>2004-05``, ``view~lat``.

    ``=`` and ``!=`` compare whole values (clinical ones by their synonyms too), ``<`` and ``>`` numbers and dates,
    ``~`` looks for a part of a text in any case. A date may be a year or a month: then that part is compared.

    Raises:
        UsageError: no such field, another form, or a value that the field cannot have.
    """
    return [_condition(text) for text in where]


def _condition(text: str) -> ColumnElement[bool]:
    found = _FILTER.fullmatch(text)
    if found is None:
        raise UsageError(f"--where {text!r} is not a valid filter: write FIELD=VALUE, or with !=, <, > or ~ in between")
    name, sign, value = found.groups()
    if name not in SEARCHED:
        raise UsageError(f"--where: no field {name!r}: {nearest_names(name, SEARCHED)}")
    each = SEARCHED[name]
    is_unknown = value.casefold() == UNKNOWN and each.kind != "text"
    _require_sense(name, each, sign, is_unknown=is_unknown)
    found_it: ColumnElement[bool]
    if sign == "~":
        found_it = each.column.icontains(value, autoescape=True)
    elif is_unknown:
        found_it = each.column.is_(None)
    elif name == "patient":
        found_it = _of_patient(value)
    else:
        column, wanted = _compared(name, each, value)
        found_it = {"<": operator.lt, ">": operator.gt}.get(sign, operator.eq)(column, wanted)
    return not_(func.coalesce(found_it, false())) if sign == "!=" else found_it


def _require_sense(name: str, each: SearchField, sign: str, *, is_unknown: bool) -> None:
    if sign == "~" and each.kind == "number":
        raise UsageError(f"--where: {name} is a number, ~ looks for a part of a text: use =, !=, < or >")
    if sign in "<>" and each.kind == "text":
        raise UsageError(f"--where: {name} is a text, {sign} compares numbers and dates: use =, != or ~")
    if sign in "<>" and is_unknown:
        raise UsageError(f"--where: nothing is before or after {UNKNOWN}: use = or !=")


def _of_patient(key: str) -> ColumnElement[bool]:
    identifier, _, number = key.rpartition("#")
    first = (patients.c.identifier == key) & (patients.c.number == 1)
    if not (identifier and number.isdecimal()):
        return first
    return or_(first, (patients.c.identifier == identifier) & (patients.c.number == int(number)))


def _compared(name: str, each: SearchField, value: str) -> tuple[Any, str | float]:
    """The column and the value as they are compared."""
    try:
        if each.kind == "number":
            return each.column, float(value.replace(",", "."))
        if each.kind == "date":
            wanted = require_date(value, name)
            return (each.column if len(wanted) == 10 else func.substr(each.column, 1, len(wanted))), wanted
        if name in CLINICAL:
            return each.column, CLINICAL[name].checked(value)
    except (InputError, ValueError) as error:
        told = f"{name} is a number" if isinstance(error, ValueError) else str(error)
        raise UsageError(f"--where: {told}") from error
    if value.casefold() == UNKNOWN:
        return each.column, UNKNOWN
    return each.column, value
