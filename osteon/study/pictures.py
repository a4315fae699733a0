"""Pictures that the studies share: measures with their intervals, and how the trainings went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.report.study_charts import Curve, Estimate, draw_estimates, draw_learning_curves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from osteon.report.results_page import Picture
    from osteon.study.plan import RunState, Study
    from osteon.study.tables import ResultRow

__all__ = ["draw_measures", "draw_trainings"]


def draw_measures(
    study: Study,
    rows: Sequence[ResultRow],
    titles: Mapping[str, str],
    *,
    file: str = "{}",
    folds: bool = True,
    whole: bool = False,
) -> list[Picture]:
    """A picture a measure: each run that has a result with its intervals, what is printed beneath it.

    Args:
        study: of the runs.
        rows: of its tables; the first of their heads names a run.
        titles: of the pictures, by measure.
        file: name of a picture's file, with {} for the measure.
        folds: show the mean over folds.
        whole: the bootstrap is of all test images together, not of the mean over folds.

    Raises:
        OutputError: a picture cannot be written.
    """
    pictures = []
    for key, title in titles.items():
        estimates = []
        for row in rows:
            if row.measured is None:
                continue
            over, patients = row.measured[key].over_folds, row.measured[key].over_patients
            estimates.append(
                Estimate(
                    row.heads[0],
                    over.mean if folds else math.nan,
                    (over.low, over.high) if folds else (math.nan, math.nan),
                    (patients.low, patients.high),
                    row.published.interval(key) if row.published else None,
                    patients.value if whole else None,
                )
            )
        if estimates:
            path = study.figures / f"{file.format(key)}.png"
            pictures.append(draw_estimates(path, title, estimates, mark=study.mark))
    return pictures


def draw_trainings(
    study: Study, runs: Iterable[RunState], *, name: str = "learning", measure: str = "validation_auc"
) -> list[Picture]:
    """A validation measure by epoch, of all folds of some runs; no picture where no epoch has ended.

    Args:
        study: of the runs.
        runs: whose folds.
        name: of the picture's file.
        measure: attribute of an epoch.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves = []
    for run in runs:
        for fold in run.folds:
            stages = [getattr(record, "stage", "") for record in fold.history]
            changes = zip(fold.history[1:], stages, stages[1:], strict=False)
            begun = tuple(record.epoch for record, before, now in changes if now != before)
            values = tuple(getattr(record, measure) for record in fold.history)
            if values:
                curves.append(Curve(run.plan.name, values, fold.best_epoch, begun))
    words = measure.rpartition("_")[2].upper()
    return (
        [draw_learning_curves(study.figures / f"{name}.png", curves, measure=words, mark=study.mark)] if curves else []
    )
