"""What the pages of all studies share: tables as files, warnings, how far the trainings are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from osteon.io.whole_file import whole_file
from osteon.report.tables import table_csv, table_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from osteon.report.tables import Table
    from osteon.study.run import Study

__all__ = ["SYNTHETIC", "FoldState", "shown_warnings", "state_notes", "write_tables"]

SYNTHETIC = (
    "SYNTHETIC: these are phantoms. The numbers prove the protocol and its software; they say nothing of patients."
)
"""Stands in every table of a study of phantoms."""


class FoldState(Protocol):
    """Where the training of one fold stands, of classifiers or of segmenters."""

    @property
    def state(self) -> str:
        """One of "done", "failed", "running" and "absent"."""

    @property
    def images(self) -> Mapping[str, int]:
        """How many by part, and "unreadable"."""


def state_notes(study: Study, folds: Sequence[FoldState]) -> tuple[str, ...]:
    """What was left out, what failed, what is not trained yet."""
    notes = []
    unreadable = max((fold.images.get("unreadable", 0) for fold in folds), default=0)
    if unreadable:
        notes.append(f"{unreadable} image(s) could not be read and were left out (--skip-unreadable).")
    notes += [f"FAILED: {error}" for error in study.errors]
    waiting = sum(fold.state in {"absent", "running"} for fold in folds)
    if waiting:
        notes.append(f"{waiting} fold(s) are not trained yet: --resume goes on.")
    return tuple(notes)


def write_tables(folder: Path, tables: Sequence[Table]) -> tuple[tuple[str, str], ...]:
    """Each table as NAME.md and NAME.csv.

    Returns:
        (file name, words) for the page.

    Raises:
        OutputError: a file cannot be written.
    """
    for table in tables:
        for suffix, text in (("md", table_markdown(table)), ("csv", table_csv(table))):
            with whole_file(folder / f"{table.name}.{suffix}") as work:
                work.write_text(text, encoding="utf-8")
    return tuple((f"{table.name}.{suffix}", "") for table in tables for suffix in ("md", "csv"))


def shown_warnings(study: Study, notes: Sequence[str]) -> tuple[str, ...]:
    """Of the notes those that nobody may miss."""
    return tuple(note for note in notes if note.startswith(("SYNTHETIC", "FAILED")) or note in study.split.warnings)
