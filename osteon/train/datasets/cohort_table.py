"""Who is in a data set: patients and images, by label, plane, sex, age, centre and part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.io.table import csv_text
from osteon.metrics.subgroups import UNKNOWN, age_bands
from osteon.train.run_folder import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from osteon.data import ImageRow, Manifest

__all__ = ["cohort_lines", "write_cohort"]

_EXTRA: Final = ("kind", "leg")
"""Columns of the builders that are counted where they occur."""


def cohort_lines(manifest: Manifest) -> list[list[str]]:
    """Lines of the cohort table: everybody first, then each group of each characteristic, sorted.

    A line has what the group is of, the group, patients and images, then patients with an image of each label, and
    images of each, in the order of ``Manifest.labels``.
    """
    groupings: dict[str, Callable[[ImageRow], str]] = {
        "all": lambda _: "everybody",
        "plane": lambda row: row.plane or UNKNOWN,
        "sex": lambda row: row.sex or UNKNOWN,
        "age (years)": lambda row: age_bands([row.age_years])[0],
        "centre": lambda row: row.centre or UNKNOWN,
        "scanner": lambda row: row.scanner or UNKNOWN,
        "part": lambda row: row.split or "not fixed",
    }
    for name in _EXTRA:
        if any(row.extra.get(name) for row in manifest.rows):
            groupings[name] = lambda row, name=name: row.extra.get(name) or UNKNOWN  # type: ignore[misc]
    lines = []
    for by, group_of in groupings.items():
        groups: dict[str, list[ImageRow]] = {}
        for row in manifest.rows:
            groups.setdefault(group_of(row), []).append(row)
        for group, rows in sorted(groups.items()):
            labelled = [[row.patient for row in rows if row.label == label] for label in manifest.labels]
            counts = [len({row.patient for row in rows}), len(rows)]
            counts += [*(len(set(people)) for people in labelled), *map(len, labelled)]
            lines.append([by, group, *map(str, counts)])
    return lines


def write_cohort(manifest: Manifest, folder: Path, *, notes: Sequence[str] = ()) -> None:
    """Write ``cohort.csv`` and ``cohort.md`` into a folder, notes under the table.

    Raises:
        OutputError: cannot be written.
    """
    names = [f"{words}{label} images" for words in ("patients with ", "") for label in manifest.labels]
    header, cells = ["by", "group", "patients", "images", *names], cohort_lines(manifest)
    page = ["# Cohort", "", *_markdown(header, cells), *(f"\n{note}" for note in notes)]
    page.append("\nA patient counts in every group in which an image of theirs is.")
    for name, content in (("cohort.csv", csv_text(header, cells)), ("cohort.md", "\n".join(page) + "\n")):
        write_text(folder / name, content)


def _markdown(header: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    plain = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in cells]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *plain)]
