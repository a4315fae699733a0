"""Who may see a patient: the one place that decides it, and from which every query of the archive is built.

No other module of the package may select: they take a query from here, which holds the joins and the permission, and
refine it (``tests/archive/test_access.py`` reads their source for that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, select, true

from osteon.archive.tables import cases, clinical, files, images, log, patients, studies

if TYPE_CHECKING:
    from sqlalchemy import Connection, FromClause

__all__ = [
    "OPERATOR",
    "Viewer",
    "find_patient",
    "patient_key",
    "select_cases",
    "select_clinical",
    "select_files",
    "select_film_count",
    "select_films",
    "select_log",
    "select_patients",
    "select_studies",
]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks.

    Attributes:
        patients: row numbers of the patients they may see; None for all.
    """

    patients: frozenset[int] | None = None


OPERATOR: Final = Viewer()
"""Who can open the archive folder and its database can read all of it: the command line hides nothing from them."""


def _allowed(viewer: Viewer) -> ColumnElement[bool]:
    return true() if viewer.patients is None else patients.c.id.in_(viewer.patients)


def _with_cases() -> FromClause:
    return patients.join(cases, cases.c.patient_id == patients.c.id)


def _with_studies() -> FromClause:
    return _with_cases().join(studies, studies.c.case_id == cases.c.id)


def _with_images() -> FromClause:
    return _with_studies().join(images, images.c.study_id == studies.c.id)


def select_patients(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - whatever SQLAlchemy selects
    """Columns of patients."""
    return select(*columns).select_from(patients).where(_allowed(viewer))


def select_cases(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of cases and their patients."""
    return select(*columns).select_from(_with_cases()).where(_allowed(viewer))


def select_studies(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of studies, their cases and patients."""
    return select(*columns).select_from(_with_studies()).where(_allowed(viewer))


def select_films(viewer: Viewer, *columns: Any, repeated: bool = False) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of images and all above them; ``repeated`` takes in those that repeat another one."""
    found = select(*columns).select_from(_with_images()).where(_allowed(viewer))
    return found if repeated else found.where(images.c.same_as.is_(None))


def select_film_count(viewer: Viewer) -> Select[Any]:
    """How many films there are; for who sees everybody without the joins, which take five times as long."""
    if viewer.patients is None:
        return select(func.count()).select_from(images).where(images.c.same_as.is_(None))
    return select_films(viewer, func.count())


def select_files(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of source files; of those that gave no film only for who sees everybody, as they may be of anyone."""
    found = select(*columns).select_from(files)
    if viewer.patients is None:
        return found
    return found.where(files.c.image_id.in_(select_films(viewer, images.c.id, repeated=True)))


def select_clinical(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of clinical values and their patients."""
    return (
        select(*columns)
        .select_from(clinical.join(patients, clinical.c.patient_id == patients.c.id))
        .where(_allowed(viewer))
    )


def select_log(viewer: Viewer, *columns: Any) -> Select[Any]:  # noqa: ANN401 - as above
    """Columns of the log and its patients."""
    return select(*columns).select_from(log.join(patients, log.c.patient_id == patients.c.id)).where(_allowed(viewer))


def patient_key(identifier: str, number: int) -> str:
    """How a patient is named: the identifier, and which person under it where there are several.

    Example:
        >>> patient_key("4711", 1), patient_key("4711", 2)
        ('4711', '4711#2')
    """
    return identifier if number == 1 else f"{identifier}#{number}"


def find_patient(connection: Connection, viewer: Viewer, key: str) -> int | None:
    """Row number of the patient with that key; None where there is none, or none that may be seen."""
    identifier, _, number = key.rpartition("#")
    wanted = [and_(patients.c.identifier == key, patients.c.number == 1)]
    if identifier and number.isdecimal():
        wanted.append(and_(patients.c.identifier == identifier, patients.c.number == int(number)))
    for each in wanted:
        row = connection.execute(select_patients(viewer, patients.c.id).where(each)).scalar()
        if row is not None:
            return int(row)
    return None
