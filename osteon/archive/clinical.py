"""Clinical values: set by a person, verified by two, never overwritten in silence; and tables of a hospital system.

Each field keeps a preliminary and a final value with source and date. The value in force is the final one, or else the
preliminary one. A change takes the verification away. The log only grows.

References:
    specs/radiographs-cohort-and-pretraining.md, section 1.4 (d, f, h) and C4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, update

from osteon.archive.access import (
    OPERATOR,
    Viewer,
    find_patient,
    patient_key,
    select_cases,
    select_clinical,
    select_films,
    select_log,
    select_studies,
)
from osteon.archive.fields import LEVELS, clinical_field, require_date
from osteon.archive.tables import cases, clinical, files, images, log, patients, studies
from osteon.errors import InputError, UsageError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from osteon.archive.fields import ClinicalField
    from osteon.archive.store import Archive

__all__ = ["ROLES", "STATUSES", "Entry", "Place", "list_log", "set_values", "set_within", "verify_values"]

STATUSES: Final = ("preliminary", "final")
ROLES: Final = ("clinician", "data-scientist", "documentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who enters what from where.

    Attributes:
        person: name or short name; never empty.
        role: one of ``ROLES``.
        status: "preliminary" or "final".
        source: document, as "pathology report 4711".
        dated: of the source, as 2010-02-28; "" where it is not known.

    Raises:
        UsageError: no person, or no such role or status.
        InputError: no date.
    """

    person: str
    role: str
    status: str = "final"
    source: str = field(default="", repr=False)
    dated: str = ""

    def __post_init__(self) -> None:
        """Check."""
        if not self.person.strip():
            raise UsageError("--person is needed: who enters or verifies a value is kept")
        for flag, value, known in (("--role", self.role, ROLES), ("--status", self.status, STATUSES)):
            if value not in known:
                raise UsageError(f"{flag} {value}: {nearest_names(value, known)}")
        if self.dated:
            require_date(self.dated, "the date of the source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a value is of, as a person names it.

    Attributes:
        patient: key, as "4711" or "4711#2".
        case: number of the case; "" where the patient has one.
        study: its UID or accession number.
        file: name of a source file; stands for all of the others.
    """

    patient: str = field(default="", repr=False)
    case: str = field(default="", repr=False)
    study: str = field(default="", repr=False)
    file: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Row numbers; None where the place does not say one."""

    patient: int
    case: int | None = None
    study: int | None = None


def set_values(
    archive: Archive, place: Place, values: Mapping[str, str], entry: Entry, *, viewer: Viewer = OPERATOR
) -> int:
    """Set clinical fields of one patient, case or study: all of them, or none.

    Returns:
        How many changed.

    Raises:
        InputError: no such patient, case or study, or a value that the field does not take.
        UsageError: no such field.
    """
    with archive.writing() as connection:
        changed, problems = set_within(connection, place, values, entry, viewer=viewer)
        if problems:
            raise InputError("; ".join(problems.values()))
    return changed


def set_within(
    connection: Connection, place: Place, values: Mapping[str, str], entry: Entry, *, viewer: Viewer = OPERATOR
) -> tuple[int, dict[str, str]]:
    """As ``set_values``, within a transaction: what can be set is set.

    Returns:
        How many changed, and the fields that could not be set with the reason.

    Raises:
        InputError: no such patient, case or study.
        UsageError: no such field.
    """
    known = {name: clinical_field(name) for name in values}
    rows = _find(connection, place, viewer)
    changed, problems = 0, {}
    for name, each in known.items():
        try:
            changed += _set(connection, rows, each, each.checked(values[name]), entry)
        except InputError as error:
            problems[name] = str(error)
    return changed, problems


def verify_values(
    archive: Archive, place: Place, names: Sequence[str], entry: Entry, *, viewer: Viewer = OPERATOR
) -> dict[str, int]:
    """Confirm values as they are; two different persons make them verified.

    Returns:
        Field -> by how many it is verified now, 1 or 2.

    Raises:
        InputError: no such place or value, the same person again, or two have verified it.
        UsageError: no such field.
    """
    counts = {}
    with archive.writing() as connection:
        rows = _find(connection, place, viewer)
        for name in names:
            each = clinical_field(name)
            found = _current(connection, rows, each, entry.status)
            if found is None:
                raise InputError(f"{name} has no {entry.status} value: set one before it is verified")
            if entry.person in (found.first_verifier, found.second_verifier):
                raise InputError(f"{name} was verified by this person already: a second one has to look")
            if found.second_verifier:
                raise InputError(f"{name} was verified by two persons already")
            slot = "second_verifier" if found.first_verifier else "first_verifier"
            connection.execute(update(clinical).where(clinical.c.id == found.id).values({slot: entry.person}))
            _write_log(connection, rows, each, entry, action="verify", old=found.value, new=found.value)
            counts[name] = 2 if found.first_verifier else 1
    return counts


def list_log(archive: Archive, patient: str = "", *, viewer: Viewer = OPERATOR) -> list[dict[str, Any]]:
    """The log, the oldest entry first; of one patient, or of all.

    Raises:
        InputError: no such patient.
    """
    names = ("moment", "person", "role", "action", "level", "field", "status", "old", "new", "source")
    with archive.reading() as connection:
        wanted = select_log(viewer, patients.c.identifier, patients.c.number, *(log.c[name] for name in names))
        if patient:
            wanted = wanted.where(patients.c.id == _patient(connection, patient, viewer))
        return [
            {"patient": patient_key(identifier, number), **dict(zip(names, entry, strict=True))}
            for identifier, number, *entry in connection.execute(wanted.order_by(log.c.id))
        ]


# ------------------------------------------------------------------------------------------------------------ places


def _find(connection: Connection, place: Place, viewer: Viewer) -> _Rows:
    if place.file:
        return _of_file(connection, place.file, viewer)
    patient = _patient(connection, place.patient, viewer)
    if place.study:
        either = (studies.c.uid == place.study) | (studies.c.accession == place.study)
        found = connection.execute(
            select_studies(viewer, studies.c.id, cases.c.id).where(patients.c.id == patient, either)
        ).all()
        if len(found) != 1:
            raise InputError(f"{len(found)} studies of that patient have that UID or accession number: name one")
        study, case = found[0]
        if place.case:
            case = _case(connection, patient, place.case, viewer)
            connection.execute(update(studies).where(studies.c.id == study).values(case_id=case))
        return _Rows(patient, case, study)
    return _Rows(patient, _case(connection, patient, place.case, viewer))


def _patient(connection: Connection, key: str, viewer: Viewer) -> int:
    found = find_patient(connection, viewer, key) if key else None
    if found is None:
        raise InputError("no patient of that identifier is in the archive")
    return found


def _case(connection: Connection, patient: int, number: str, viewer: Viewer) -> int | None:
    """Row of a case. A number that is not known names the case without one, or else makes a case."""
    found = {
        row.number: int(row.id)
        for row in connection.execute(
            select_cases(viewer, cases.c.id, cases.c.number).where(patients.c.id == patient).order_by(cases.c.id)
        )
    }
    if not number:
        return found.get("") if "" in found else next(iter(found.values())) if len(found) == 1 else None
    if number in found:
        return found[number]
    if len(found) == 1 and "" in found:
        connection.execute(update(cases).where(cases.c.id == found[""]).values(number=number))
        return found[""]
    made = insert(cases).values(patient_id=patient, number=number).returning(cases.c.id)
    return int(connection.execute(made).scalar_one())


def _of_file(connection: Connection, name: str, viewer: Viewer) -> _Rows:
    wanted = select_films(viewer, patients.c.id, cases.c.id, studies.c.id, repeated=True).join(
        files, and_(files.c.image_id == images.c.id, files.c.name == name)
    )
    found = {tuple(row) for row in connection.execute(wanted)}
    if len(found) != 1:
        raise InputError(f"{len(found)} studies hold a film of a file of that name")
    return _Rows(*found.pop())


def _owner(rows: _Rows, each: ClinicalField) -> int:
    found: int | None = getattr(rows, each.level)
    if found is None:
        of = "a study (--study)" if each.level == "study" else "one of the patient's cases (--case)"
        raise InputError(f"{each.name} is of {of}: name it")
    return found


# ------------------------------------------------------------------------------------------------------------ values


def _current(connection: Connection, rows: _Rows, each: ClinicalField, status: str) -> Any:  # noqa: ANN401 - a row
    return connection.execute(
        select_clinical(OPERATOR, clinical).where(
            clinical.c.level == each.level,
            clinical.c.owner_id == _owner(rows, each),
            clinical.c.field == each.name,
            clinical.c.status == status,
        )
    ).first()


def _set(connection: Connection, rows: _Rows, each: ClinicalField, value: str, entry: Entry) -> bool:
    """Set one value; whether anything changed."""
    owner, found = _owner(rows, each), _current(connection, rows, each, entry.status)
    values = {"value": value, "source": entry.source, "dated": entry.dated or None}
    if found is not None and all(getattr(found, name) == one for name, one in values.items()):
        return False
    if found is None:
        key = {"patient_id": rows.patient, "level": each.level, "owner_id": owner, "field": each.name}
        connection.execute(insert(clinical).values(**key, status=entry.status, **values))
    else:
        same = found.value == value
        more = {} if same else {"first_verifier": "", "second_verifier": ""}
        connection.execute(update(clinical).where(clinical.c.id == found.id).values(**values, **more))
    _write_log(connection, rows, each, entry, action="set", old=found.value if found is not None else "", new=value)
    final = _current(connection, rows, each, "final")
    if entry.status == "final" or final is None:
        table = LEVELS[each.level]
        column = each.column or each.name
        connection.execute(update(table).where(table.c.id == owner).values({column: each.stored(value)}))
    return True


def _write_log(
    connection: Connection, rows: _Rows, each: ClinicalField, entry: Entry, *, action: str, old: str, new: str
) -> None:
    values = {
        "moment": datetime.now(UTC).isoformat(timespec="seconds"),
        "person": entry.person,
        "role": entry.role,
        "action": action,
        "patient_id": rows.patient,
        "level": each.level,
        "owner_id": _owner(rows, each),
        "field": each.name,
        "status": entry.status,
        "old": old,
        "new": new,
        "source": entry.source,
    }
    connection.execute(insert(log).values(**values))
