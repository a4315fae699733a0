"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _number(
    name: str, kind: type[sa.Integer | sa.Float[Any]] = sa.Integer, *, nullable: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=nullable)


def _texts(*names: str) -> tuple[sa.Column[Any], ...]:
    return tuple(map(_text, names))


def _make(name: str, *parts: sa.Column[Any] | sa.Constraint, refers: tuple[tuple[str, str], ...] = ()) -> None:
    """A table with a row number, and its references as (column, table)."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        *parts,
        *(
            sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{name}_{column}_{other}"))
            for column, other in refers
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )


def _unique(name: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{name}_{columns[0]}"))


def _indices(table: str, *columns: str) -> None:
    with op.batch_alter_table(table) as batch:
        for column in columns:
            batch.create_index(op.f(f"ix_{table}_{column}"), [column])


def upgrade() -> None:
    """Make them."""
    op.create_table("about", _text("id"), sa.PrimaryKeyConstraint("id", name=op.f("pk_about")))
    _make(
        "patients",
        *(_text("identifier"), _number("number"), _text("name"), _text("birth_date", nullable=True)),
        *(*_texts("header_sex", "sex"), sa.Column("is_known", sa.Boolean(), nullable=False)),
        _unique("patients", "identifier", "number"),
    )
    _make(
        "cases",
        *(_number("patient_id"), _text("number"), *_texts("entity", "location", "laterality", "malignancy")),
        *(*_texts("tumour_status", "therapy", "origin"), _text("diagnosis_date", nullable=True)),
        _number("age_years", sa.Float, nullable=True),
        _unique("cases", "patient_id", "number"),
        refers=(("patient_id", "patients"),),
    )
    _make(
        "studies",
        *(_number("case_id"), _text("uid"), _text("date", nullable=True), *_texts("description", "accession")),
        *(_number("age_years", sa.Float, nullable=True), _text("imaging_stage")),
        _unique("studies", "case_id", "uid"),
        refers=(("case_id", "cases"),),
    )
    _make(
        "images",
        *(_number("study_id"), _text("sha256"), _text("pixel_sha256", nullable=True), _text("suffix")),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        *_texts("sop_uid", "series_uid", "modality", "body_part", "side", "view", "manufacturer"),
        *(_number("rows"), _number("columns"), _number("spacing_mm", sa.Float, nullable=True), _text("spacing_plane")),
        _number("same_as", nullable=True),
        _unique("images", "sha256"),
        refers=(("study_id", "studies"), ("same_as", "images")),
    )
    _make(
        "files",
        *_texts("path", "name"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("bytes", "mtime_ns")),
        *(*_texts("state", "reason"), _text("sha256", nullable=True), _number("image_id", nullable=True)),
        _unique("files", "path"),
        refers=(("image_id", "images"),),
    )
    about = (_number("patient_id"), _text("level"), _number("owner_id"), *_texts("field", "status"))
    _make(
        "clinical",
        *(*about, *_texts("value", "source"), _text("dated", nullable=True)),
        *_texts("first_verifier", "second_verifier"),
        _unique("clinical", "level", "owner_id", "field", "status"),
        refers=(("patient_id", "patients"),),
    )
    about = (_number("patient_id"), _text("level"), _number("owner_id"), *_texts("field", "status"))
    _make(
        "log",
        *(*_texts("moment", "person", "role", "action"), *about, *_texts("old", "new", "source")),
        refers=(("patient_id", "patients"),),
    )
    _indices("cases", "patient_id")
    _indices("studies", "date", "accession")
    with op.batch_alter_table("studies") as batch:
        batch.create_index("ix_studies_case_id", ["case_id", "date", "age_years"])
    _indices("images", "pixel_sha256", "sop_uid")
    with op.batch_alter_table("images") as batch:
        batch.create_index("ix_images_study_id", ["study_id", "same_as"])
        batch.create_index("ix_images_modality", ["modality", "body_part"])
    _indices("files", "name", "state", "image_id")
    _indices("clinical", "patient_id")
    _indices("log", "patient_id")
