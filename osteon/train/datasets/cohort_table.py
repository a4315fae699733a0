"""Who is in a data set: patients and images, by label, plane, sex, age, centre and part."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from osteon.io.whole_file import whole_file
from osteon.metrics.subgroups import UNKNOWN, age_bands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from osteon.data import ImageRow, Manifest

__all__ = ["CohortLine", "cohort_lines", "write_cohort"]

_EXTRA: Final = ("kind", "leg")
"""Columns of the builders that are counted where they occur."""


@dataclass(frozen=True, slots=True)
class CohortLine:
    """Counts of one group.

    Attributes:
        by: what the group is of, as "sex"; "all" for everybody.
        group: as "F".
        patients: with an image in the group.
        images: in the group.
        label_patients: patients with an image of each label in the group, in the order of ``Manifest.labels``.
        label_images: images of each label.
    """

    by: str
    group: str
    patients: int
    images: int
    label_patients: tuple[int, ...]
    label_images: tuple[int, ...]


def cohort_lines(manifest: Manifest) -> tuple[CohortLine, ...]:
    """All lines of the cohort table: everybody first, then each group of each characteristic, sorted."""
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
        lines += [_line(by, group, groups[group], manifest.labels) for group in sorted(groups)]
    return tuple(lines)


def write_cohort(manifest: Manifest, folder: Path, *, notes: Sequence[str] = ()) -> None:
    """Write ``cohort.csv`` and ``cohort.md``.

    Args:
        manifest: the data set.
        folder: of both files; it must be there.
        notes: sentences under the table, as which series were left out.

    Raises:
        OutputError: cannot be written.
    """
    names = [
        *(f"patients with {label} images" for label in manifest.labels),
        *(f"{label} images" for label in manifest.labels),
    ]
    header = ["by", "group", "patients", "images", *names]
    cells = [
        [line.by, line.group, *map(str, (line.patients, line.images, *line.label_patients, *line.label_images))]
        for line in cohort_lines(manifest)
    ]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *cells])
    page = ["# Cohort", "", *_markdown(header, cells), *(f"\n{note}" for note in notes)]
    page.append("\nA patient counts in every group in which an image of theirs lies.")
    for name, content in (("cohort.csv", text.getvalue()), ("cohort.md", "\n".join(page) + "\n")):
        with whole_file(folder / name) as work:
            work.write_text(content, encoding="utf-8")


def _line(by: str, group: str, rows: Sequence[ImageRow], labels: Iterable[str]) -> CohortLine:
    return CohortLine(
        by=by,
        group=group,
        patients=len({row.patient for row in rows}),
        images=len(rows),
        label_patients=tuple(len({row.patient for row in rows if row.label == label}) for label in labels),
        label_images=tuple(sum(row.label == label for row in rows) for label in labels),
    )


def _markdown(header: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    plain = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in cells]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *plain)]
