"""Who is in the archive, as the tables 2.1 and 2.2 of the thesis count it: by case, with unknown counted.

References:
    specs/radiographs-cohort-and-pretraining.md, sections 1.2, 1.3 and C3.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func

from osteon.archive.access import OPERATOR, Viewer, patient_key, select_cases, select_studies
from osteon.archive.fields import CLINICAL
from osteon.archive.search import summary
from osteon.archive.tables import UNKNOWN, cases, patients, studies
from osteon.labels.tumours import behaviours_of, overlapping_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.archive.store import Archive

__all__ = ["MOST_SHAPIRO", "Cohort", "Conflict", "Continuous", "cohort"]

DISCRETE: Final = ("entity", "sex", "location", "malignancy", "tumour_status")
MOST_SHAPIRO: Final = 5000
"""Values up to which scipy's p value of the Shapiro-Wilk test is accurate."""


@dataclass(frozen=True, slots=True)
class Continuous:
    """A line of table 2.2.

    Attributes:
        known: values.
        unknown: cases without one.
        median: NaN where there is no value, as the others.
        quartiles: first and third.
        shapiro_w: of the Shapiro-Wilk test; NaN below three values, or where all are equal.
        shapiro_p: its p value, of at most ``MOST_SHAPIRO`` values accurate.
    """

    known: int
    unknown: int
    median: float
    quartiles: tuple[float, float]
    shapiro_w: float
    shapiro_p: float

    @property
    def interquartile_range(self) -> float:
        """Third minus first quartile."""
        return self.quartiles[1] - self.quartiles[0]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A case whose recorded malignancy its entity does not have."""

    patient: str
    case: str
    entity: str
    malignancy: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cohort:
    """The tables.

    Attributes:
        counts: patients, cases, studies, films.
        discrete: field -> value -> cases, the most frequent first, unknown last.
        continuous: "age" and "year".
        conflicts: of entity against malignancy; listed, never mended.
        overlapping: pairs of names that both occur and may mean one entity.
    """

    counts: dict[str, int]
    discrete: dict[str, dict[str, int]]
    continuous: dict[str, Continuous]
    conflicts: tuple[Conflict, ...]
    overlapping: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """As JSON: NaN becomes null, percentages stand beside counts."""
        total = self.counts["cases"]
        tables = {
            field: [
                {"value": value, "cases": count, "percent": round(100 * count / total, 2)}
                for value, count in rows.items()
            ]
            for field, rows in self.discrete.items()
        }
        lines = {}
        for name, line in self.continuous.items():
            values = asdict(line) | {"interquartile_range": line.interquartile_range}
            lines[name] = {key: _plain(value) for key, value in values.items()}
        return {
            "counts": self.counts,
            "discrete": tables,
            "continuous": lines,
            "conflicts": [asdict(each) for each in self.conflicts],
            "overlapping": [list(pair) for pair in self.overlapping],
        }


def _plain(value: Any) -> Any:  # noqa: ANN401 - as JSON has it
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def cohort(archive: Archive, *, viewer: Viewer = OPERATOR) -> Cohort:
    """Count all cases. The unit is the case, as in the thesis; a patient may have several.

    The age is the one set for the case, else that at its first study; the year is that of the diagnosis, else of the
    first study: the thesis defines neither.
    """
    everything = summary(archive, viewer=viewer)
    counts = {name: everything[name] for name in ("patients", "cases", "studies", "films")}
    with archive.reading() as connection:
        discrete = {}
        for name in DISCRETE:
            column = CLINICAL[name].in_force
            found = connection.execute(select_cases(viewer, column, func.count()).group_by(column)).all()
            ranked = sorted(found, key=lambda row: (row[0] == UNKNOWN, -row[1], row[0]))
            discrete[name] = {str(value): int(count) for value, count in ranked}
        of_studies = select_studies(viewer, cases.c.id, func.min(studies.c.date), func.min(studies.c.age_years))
        first = {row[0]: (row[1], row[2]) for row in connection.execute(of_studies.group_by(cases.c.id))}
        named = (patients.c.identifier, patients.c.number, cases.c.number, cases.c.entity, cases.c.malignancy)
        rows = connection.execute(
            select_cases(viewer, cases.c.id, cases.c.age_years, cases.c.diagnosis_date, *named).order_by(cases.c.id)
        ).all()
    ages, dates, conflicts = [], [], []
    for row, age, diagnosed, identifier, person, number, entity, malignancy in rows:
        seen, youngest = first.get(row, (None, None))
        ages.append(youngest if age is None else age)
        dates.append(diagnosed or seen)
        expected = behaviours_of(entity)
        if malignancy != UNKNOWN and expected and malignancy not in expected:
            conflicts.append(Conflict(patient_key(identifier, person), number, entity, malignancy, expected))
    there = discrete["entity"]
    return Cohort(
        counts,
        discrete,
        {"age": _continuous(ages), "year": _continuous([float(each[:4]) if each else None for each in dates])},
        tuple(conflicts),
        tuple(pair for pair in overlapping_names() if set(pair) <= set(there)),
    )


def _continuous(values: Sequence[float | None]) -> Continuous:
    import numpy as np
    from scipy import stats

    known = np.array([value for value in values if value is not None], dtype=np.float64)
    unknown = len(values) - known.size
    if not known.size:
        return Continuous(0, unknown, math.nan, (math.nan, math.nan), math.nan, math.nan)
    low, median, high = np.percentile(known, (25, 50, 75))
    w = p = math.nan
    if known.size >= 3 and np.ptp(known) > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of p beyond 5000 values: the report says it
            w, p = stats.shapiro(known)
    return Continuous(int(known.size), unknown, float(median), (float(low), float(high)), float(w), float(p))
