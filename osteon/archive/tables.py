"""The tables: patient, case, study, image; source files with a state each; clinical values and the log about them.

A case is an administrative unit of a patient, not a patient. The columns of ``cases`` and ``studies`` hold the value in
force of each clinical field (final before preliminary); ``clinical`` holds both, with source, date and who verified.
"Unknown" is a value of texts; numbers and dates that are not known are NULL.

References:
    specs/radiographs-cohort-and-pretraining.md, sections 1.1, 1.4 and 6 (C2 to C4).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

__all__ = [
    "STATES",
    "UNKNOWN",
    "about",
    "cases",
    "clinical",
    "files",
    "images",
    "log",
    "metadata",
    "patients",
    "studies",
]

UNKNOWN: Final = "unknown"

STATES: Final = ("new", "stored", "duplicate", "damaged", "refused")
"""Of a source file: seen and not looked at yet; a film of the archive; one that is there; broken; not a grey film."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, default: str = "") -> Column[str]:
    return Column(name, String, nullable=False, default=default)


def _clinical(name: str) -> Column[str]:
    return _text(name, default=UNKNOWN)


def _owner(name: str, table: str, *, index: bool = True) -> Column[int]:
    return Column(name, Integer, ForeignKey(f"{table}.id"), nullable=False, index=index)


about = Table("about", metadata, Column("id", String, primary_key=True))
"""One row: which archive folder the tables belong to."""

patients = Table(
    "patients",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("identifier"),
    Column("number", Integer, nullable=False, default=1),  # 2 for another person under the same identifier
    _text("name"),
    Column("birth_date", String),
    _text("header_sex", default=UNKNOWN),
    _clinical("sex"),
    Column("is_known", Boolean, nullable=False),  # False where the identifier was made up: the files name nobody
    UniqueConstraint("identifier", "number"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", Integer, primary_key=True),
    _owner("patient_id", "patients"),
    _text("number"),  # of the hospital; "" for the case of films that name none
    _clinical("entity"),
    _clinical("location"),
    _clinical("laterality"),
    _clinical("malignancy"),
    _clinical("tumour_status"),
    _clinical("therapy"),
    _clinical("origin"),
    Column("diagnosis_date", String),
    Column("age_years", Float),
    UniqueConstraint("patient_id", "number"),
)

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    _owner("case_id", "cases", index=False),
    _text("uid"),
    Column("date", String, index=True),
    _text("description"),
    Column("accession", String, nullable=False, default="", index=True),
    Column("age_years", Float),  # of the header
    _clinical("imaging_stage"),
    UniqueConstraint("case_id", "uid"),
    Index("ix_studies_case_id", "case_id", "date", "age_years"),  # what the cohort asks is in it
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    _owner("study_id", "studies", index=False),
    Column("sha256", String, nullable=False, unique=True),  # of the file
    Column("pixel_sha256", String, index=True),  # of the grey values; NULL where all are one value
    _text("suffix"),
    Column("bytes", BigInteger, nullable=False),
    Column("sop_uid", String, nullable=False, default="", index=True),
    _text("series_uid"),
    Column("modality", String, nullable=False, default=UNKNOWN),
    Column("body_part", String, nullable=False, default=UNKNOWN),
    _text("side", default=UNKNOWN),
    _text("view", default=UNKNOWN),
    _text("manufacturer", default=UNKNOWN),
    Column("rows", Integer, nullable=False),
    Column("columns", Integer, nullable=False),
    Column("spacing_mm", Float),  # between rows
    _text("spacing_plane"),
    Column("same_as", Integer, ForeignKey("images.id")),  # the film it repeats: then no query counts it
    Index("ix_images_study_id", "study_id", "same_as"),  # films are counted by it
    Index("ix_images_modality", "modality", "body_part"),
)

files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String, nullable=False, unique=True),  # of a member of a zip: ZIP!/MEMBER
    Column("name", String, nullable=False, index=True),  # without its folder
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("state", String, nullable=False, index=True),
    _text("reason"),
    Column("sha256", String),
    Column("image_id", Integer, ForeignKey("images.id"), index=True),
)

clinical = Table(
    "clinical",
    metadata,
    Column("id", Integer, primary_key=True),
    _owner("patient_id", "patients"),
    _text("level"),  # "patient", "case" or "study"
    Column("owner_id", Integer, nullable=False),  # of a row of that level
    _text("field"),
    _text("status"),  # "preliminary" or "final"
    _text("value"),
    _text("source"),
    Column("dated", String),  # of the source
    _text("first_verifier"),
    _text("second_verifier"),
    UniqueConstraint("level", "owner_id", "field", "status"),
)

log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("moment"),  # UTC
    _text("person"),
    _text("role"),
    _text("action"),  # "set" or "verify"
    _owner("patient_id", "patients"),
    _text("level"),
    Column("owner_id", Integer, nullable=False),
    _text("field"),
    _text("status"),
    _text("old"),
    _text("new"),
    _text("source"),
)
