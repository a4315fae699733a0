"""Take films in: each file has a row with a state before anything happens to it, and loses neither to a kill.

A file is read, copied under the hash of its content, and entered in one transaction that also sets its state. What a
kill leaves behind is a row in the state "new", and at most a copy that the next run finds and uses.

Two people under one identifier (another date of birth, or another name where no date is known) are never merged: the
second becomes a patient of their own, as ID#2. Pictures, and DICOM files without a patient, belong to a patient made up
for that file, or that study.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, update

from osteon.archive.access import OPERATOR, select_cases, select_files, select_films, select_patients, select_studies
from osteon.archive.films import NotAFilmError, read_film
from osteon.archive.sources import open_sources
from osteon.archive.tables import UNKNOWN, cases, files, images, patients, studies
from osteon.data.identifiers import spelling
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.image import write_colour
from osteon.io.whole_file import file_bytes, remove_leftovers, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from osteon.archive.films import Film
    from osteon.archive.sources import SourceFile
    from osteon.archive.store import Archive
    from osteon.data import Patient

__all__ = ["Added", "add_sources", "date_or_none"]

STEP: Final = "taking films in"
BATCH: Final = 500
"""Rows that are looked up or entered at once."""

SAME_FILE: Final = "the same file is there already"
SAME_UID: Final = "another file with this SOP Instance UID is there, with other content"
SAME_PIXELS: Final = "a film with the same pixels is there, under another identifier"

# built once: SQLAlchemy takes longer to build a query than SQLite to answer it
_FILMS: Final = select_films(OPERATOR, images.c.id, repeated=True)
_OF_CONTENT: Final = _FILMS.where(images.c.sha256 == bindparam("value"))
_ORIGINALS: Final = _FILMS.where(images.c.same_as.is_(None)).order_by(images.c.id)
_ALIKE: Final = (
    (_ORIGINALS.where(images.c.sop_uid == bindparam("value")), "sop_uid", SAME_UID),
    (_ORIGINALS.where(images.c.pixel_sha256 == bindparam("value")), "pixel_sha256", SAME_PIXELS),
)
_STATE: Final = select_files(OPERATOR, files.c.state).where(files.c.id == bindparam("row"))
_SET_STATE: Final = update(files).where(files.c.id == bindparam("row"))
_PERSONS: Final = (
    select_patients(OPERATOR, patients)
    .where(patients.c.identifier == bindparam("identifier"))
    .order_by(patients.c.number)
)
_STUDY: Final = select_studies(OPERATOR, studies.c.id).where(
    patients.c.id == bindparam("patient"), studies.c.uid == bindparam("uid")
)
_CASE: Final = select_cases(OPERATOR, cases.c.id).where(
    patients.c.id == bindparam("patient"), cases.c.number == bindparam("number")
)
_NEW: Final = {table.name: insert(table).returning(table.c.id) for table in (patients, cases, studies, images)}


@dataclass(frozen=True, slots=True)
class Added:
    """What a run did.

    Attributes:
        files: of the sources.
        before: of these, done in an earlier run.
        states: state -> files of this run.
    """

    files: int
    before: int
    states: dict[str, int]


def add_sources(archive: Archive, sources: Sequence[Path], *, progress: Progress = silent) -> Added:
    """Take in all films of some folders, zips and files. The originals are not touched.

    Files whose row says that they are done, and whose size and time are as they were, are passed over.

    Args:
        archive: that takes them in.
        sources: as of ``open_sources``.
        progress: called after every file; what it raises ends the run between two files.

    Raises:
        InputError: a source does not exist.
        OutputError: the archive or its database cannot be written; what was taken in before stays.
    """
    for name in ("films", "thumbnails"):
        remove_leftovers(archive.folder / name, deep=True)
    with open_sources(sources, leave_out=archive.folder, progress=progress) as found:
        rows = _enter_files(archive, found)
        todo = [(row, each) for each in found if (row := rows[each.name]) is not None]
        states: Counter[str] = Counter()
        progress(STEP, 0, len(todo))
        for done, (row, each) in enumerate(todo, start=1):
            states[_take_in(archive, row, each)] += 1
            progress(STEP, done, len(todo))
    return Added(len(found), len(found) - len(todo), dict(states))


def _enter_files(archive: Archive, found: Sequence[SourceFile]) -> dict[str, int | None]:
    """Rows of files that are to be looked at; None for those that are done. New ones are entered."""
    rows: dict[str, int | None] = {}
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        with archive.writing() as connection:
            seen = select_files(OPERATOR, files).where(files.c.path.in_([each.name for each in batch]))
            known = {row.path: row for row in connection.execute(seen)}
            fresh = [each for each in batch if each.name not in known]
            if fresh:
                connection.execute(insert(files), [_file_row(each) for each in fresh])
                known |= {row.path: row for row in connection.execute(seen)}
            for each in batch:
                row = known[each.name]
                changed = (row.bytes, row.mtime_ns) != (each.bytes, each.mtime_ns)
                if changed:
                    connection.execute(update(files).where(files.c.id == row.id).values(**_file_row(each)))
                rows[each.name] = row.id if changed or row.state == "new" else None
    return rows


def _file_row(each: SourceFile) -> dict[str, object]:
    name = each.name.replace("\\", "/").rsplit("/", 1)[-1]
    more = {"reason": "", "sha256": None, "image_id": None}
    return {"path": each.name, "name": name, "bytes": each.bytes, "mtime_ns": each.mtime_ns, "state": "new", **more}


def _take_in(archive: Archive, row: int, each: SourceFile) -> str:
    """Take in one file; returns its state."""
    if each.problem:
        return _close(archive, row, "damaged", each.problem)
    sha256 = ""
    try:
        film = None
        data = _content(each.path)
        sha256 = hashlib.sha256(data).hexdigest()
        with archive.reading() as connection:
            is_there = connection.execute(_OF_CONTENT, {"value": sha256}).first() is not None
        if not is_there:
            film = read_film(each.path)
    except NotAFilmError as error:
        return _close(archive, row, "refused", str(error), sha256)
    except InputError as error:
        return _close(archive, row, "damaged", str(error), sha256)
    if film is not None:
        _copy(archive, sha256, film, data)
    with archive.writing() as connection:
        return _enter(connection, row, sha256, film, len(data))


def _content(path: Path) -> bytes:
    """What a file holds; of one that cannot be a film only what is refused, without reading it whole."""
    from osteon.io.limits import PICTURE_BYTES, limit

    try:
        if path.stat().st_size > limit(PICTURE_BYTES):
            read_film(path)  # says why not
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or type(error).__name__}") from error
    return file_bytes(path)


def _copy(archive: Archive, sha256: str, film: Film, data: bytes) -> None:
    target, small = archive.film_path(sha256, film.suffix), archive.thumbnail_path(sha256)
    try:
        for path in (target, small):
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the archive folder cannot be written ({reason}): check its disk and permissions") from error
    if not (target.is_file() and target.stat().st_size == len(data)):
        write_whole(target, data)
    write_colour(small, film.thumbnail, quality=85)


def _close(archive: Archive, row: int, state: str, reason: str, sha256: str = "") -> str:
    """Set the state of a file that gives no film."""
    values = {"state": state, "reason": _clean(reason), "sha256": sha256 or None, "image_id": None}
    with archive.writing() as connection:
        connection.execute(_SET_STATE, {"row": row, **values})
    return state


def _enter(connection: Connection, row: int, sha256: str, film: Film | None, size: int) -> str:
    """Enter a film that is copied, and set the state of its file, in one transaction."""
    said = connection.execute(_STATE, {"row": row}).scalar_one()
    if said != "new":  # another program was faster
        return str(said)
    there = connection.execute(_OF_CONTENT, {"value": sha256}).scalar()
    if there is not None or film is None:
        state, reason, image = "duplicate", SAME_FILE, there
    else:
        state, reason, image = _enter_image(connection, sha256, film, size)
    values = {"state": state, "reason": reason, "sha256": sha256, "image_id": image}
    connection.execute(_SET_STATE, {"row": row, **values})
    return state


def _enter_image(connection: Connection, sha256: str, film: Film, size: int) -> tuple[str, str, int]:
    patient = _enter_patient(connection, film, sha256)
    study = _enter_study(connection, patient, film)
    state, reason, same = "stored", "", None
    for alike, name, words in _ALIKE:
        value = _clean(getattr(film, name) or "")
        same = connection.execute(alike, {"value": value}).scalar() if value else None
        if same is not None:
            state, reason = "duplicate", words
            break
    values = {
        "study_id": study,
        "sha256": sha256,
        "pixel_sha256": film.pixel_sha256,
        "suffix": film.suffix,
        "bytes": size,
        "sop_uid": _clean(film.sop_uid),
        "series_uid": _clean(film.series.uid),
        "modality": _clean(film.series.modality) or UNKNOWN,
        "body_part": _clean(film.series.body_part) or UNKNOWN,
        "side": _clean(film.side) or UNKNOWN,
        "view": _clean(film.view) or UNKNOWN,
        "manufacturer": _clean(film.series.manufacturer) or UNKNOWN,
        "rows": film.rows,
        "columns": film.columns,
        "spacing_mm": film.spacing_mm,
        "spacing_plane": film.spacing_plane,
        "same_as": same,
    }
    return state, reason, _new_row(connection, "images", values)


def _enter_patient(connection: Connection, film: Film, sha256: str) -> int:
    """Row of the patient; a new one where nobody under that identifier can be this person."""
    person = film.patient
    identifier, is_known = _clean(person.identifier), True
    if not identifier:
        study = hashlib.sha256(film.study.uid.encode()).hexdigest()
        identifier, is_known = f"study-{study[:16]}" if film.study.uid else f"file-{sha256[:16]}", False
    found = connection.execute(_PERSONS, {"identifier": identifier}).all()
    for row in found:
        if _may_be(row, person):
            _complete(connection, row, person)
            return int(row.id)
    sex = person.sex or UNKNOWN
    values = {"identifier": identifier, "number": len(found) + 1, "name": _clean(person.name), "is_known": is_known}
    values |= {"birth_date": date_or_none(person.birth_date), "header_sex": sex, "sex": sex}
    return _new_row(connection, "patients", values)


def _may_be(row: Any, person: Patient) -> bool:  # noqa: ANN401 - a row
    """Whether a person can be the patient of a row: by date of birth, or else by name; what is not said fits."""
    birth = date_or_none(person.birth_date)
    if row.birth_date and birth:
        return bool(row.birth_date == birth)
    name = _clean(person.name)
    return not (row.name and name) or spelling(row.name.replace("^", " ")) == spelling(name.replace("^", " "))


def _complete(connection: Connection, row: Any, person: Patient) -> None:  # noqa: ANN401 - a row
    """Fill in what earlier files of the patient did not say."""
    more: dict[str, object] = {}
    if not row.birth_date and (birth := date_or_none(person.birth_date)):
        more["birth_date"] = birth
    if not row.name and person.name:
        more["name"] = _clean(person.name)
    if row.header_sex == UNKNOWN and person.sex:
        more["header_sex"] = person.sex
        more |= {"sex": person.sex} if row.sex == UNKNOWN else {}
    if more:
        connection.execute(update(patients).where(patients.c.id == row.id).values(**more))


def _enter_study(connection: Connection, patient: int, film: Film) -> int:
    uid = _clean(film.study.uid)
    found = connection.execute(_STUDY, {"patient": patient, "uid": uid}).scalar()
    if found is not None:  # in whichever case it is now
        return int(found)
    number = _clean(film.case)
    there = connection.execute(_CASE, {"patient": patient, "number": number}).scalar()
    case = there or _new_row(connection, "cases", {"patient_id": patient, "number": number})
    values = {
        "case_id": case,
        "uid": uid,
        "date": date_or_none(film.study.date),
        "description": _clean(film.study.description),
        "accession": _clean(film.study.accession_number),
        "age_years": film.patient.age_years,
    }
    return _new_row(connection, "studies", values)


def _new_row(connection: Connection, table: str, values: dict[str, object]) -> int:
    return int(connection.execute(_NEW[table], values).scalar_one())


def date_or_none(text: str) -> str | None:
    """A date of DICOM (YYYYMMDD) as YYYY-MM-DD; None where it is none, as anonymisers leave it.

    Example:
        >>> date_or_none("20100228"), date_or_none("20100231"), date_or_none("")
        ('2010-02-28', None, None)
    """
    from datetime import datetime

    try:
        # a calendar date without a time zone
        found = datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - a date
    except ValueError:
        return None
    return found.strftime("%Y-%m-%d") if found.year >= 1800 else None


def _clean(text: str) -> str:
    """A text without what PostgreSQL does not take: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip()
