"""Pictures of the metastasis study: measures with intervals, folds, examples, trainings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.report.fold_chart import FoldDots, draw_folds
from osteon.report.study_charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.systems.ct_metastasis.published import PrintedRow, classified_rows, fold_rows, segmented_rows
from osteon.systems.ct_metastasis.study_classified import judge_classifier
from osteon.systems.ct_metastasis.study_evaluation import judge_masks
from osteon.systems.ct_metastasis.study_examples import example_pictures
from osteon.systems.ct_metastasis.study_rows import CLASSIFIERS, SEGMENTERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.results_page import Picture
    from osteon.study.run import Study
    from osteon.train.segmentation.counts import SegmentCounts

__all__ = ["classify_pictures", "segment_pictures"]


def segment_pictures(
    study: Study, lesions: Mapping[str, SegmentCounts], folder: Path, mark: str, resampling: Resampling | None
) -> tuple[Picture, ...]:
    """Measures with their intervals, F1 fold by fold, examples, and how the trainings went.

    Args:
        study: of the rows.
        lesions: by run that has ended, the lesion map of the test parts of all folds.
        folder: of the PNGs.
        mark: words in the corner of each.
        resampling: of the patient bootstrap.

    Raises:
        OutputError: a picture cannot be written.
    """
    printed = {row.model: row for table in ("table4_1", "table4_2") for row in segmented_rows(table)}
    by_fold = {model: tuple(float(text) / 100 for text in folds) for model, (folds, _) in fold_rows().items()}
    estimates: dict[str, list[Estimate]] = {"f1": [], "dice": []}
    dots = []
    for row in SEGMENTERS:
        if row.run not in lesions:
            continue
        judged = judge_masks(lesions[row.run], resampling=resampling)
        for key, rows in estimates.items():
            one = judged[key]
            folds, patients = one.over_folds, one.over_patients
            line = _printed_line(printed.get(row.printed), key)
            limits = (folds.low, folds.high), (patients.low, patients.high)
            rows.append(Estimate(row.title, folds.mean, *limits, line, patients.value))
        dots.append(FoldDots(row.title, tuple(judged["f1"].by_fold.values()), by_fold.get(row.printed, ())))
    pictures = []
    if dots:
        pictures = [
            draw_estimates(folder / "f1.png", "F1 of lesions, pooled over pixels", estimates["f1"], mark=mark),
            draw_estimates(folder / "dice.png", "Dice of lesions, mean over images", estimates["dice"], mark=mark),
            draw_folds(folder / "folds.png", "F1 of each fold", dots, mark=mark),
        ]
    pictures += example_pictures(study, folder, mark)
    curves = [
        Curve(run.plan.name, tuple(record.lesion_f1 for record in fold.history), fold.best_epoch)
        for run in study.segmenters
        for fold in run.folds
        if fold.history
    ]
    if curves:
        pictures.append(draw_learning_curves(folder / "learning-segmenters.png", curves, measure="F1", mark=mark))
    return tuple(pictures)


def _printed_line(row: PrintedRow | None, measure: str) -> tuple[float, float, float] | None:
    """What is printed as an interval of no width; None where nothing is."""
    if row is None or measure not in row.printed:
        return None
    value = row.value(measure)
    return (value, value, value)


def classify_pictures(
    study: Study, predictions: Mapping[str, Predictions], folder: Path, mark: str, resampling: Resampling | None
) -> tuple[Picture, ...]:
    """F1, recall and AUC with their intervals, and how the trainings went; arguments as of ``segment_pictures``."""
    printed = {row.model: row for table in ("table5_1", "table5_2") for row in classified_rows(table)}
    nowhere = (math.nan, math.nan)
    judged = {
        row: judge_classifier(predictions[row.run], resampling=resampling)
        for row in CLASSIFIERS
        if row.run in predictions
    }
    pictures = []
    for key, title in (("f1", "F1 of slices"), ("sensitivity", "Recall of slices"), ("auc", "ROC AUC of slices")):
        rows = [
            Estimate(
                row.printed,
                math.nan,
                nowhere,
                (found[key].low, found[key].high),
                _printed_line(printed[row.printed], key),
                found[key].value,
            )
            for row, found in judged.items()
        ]
        if rows:
            pictures.append(draw_estimates(folder / f"slices-{key}.png", title, rows, mark=mark))
    curves = [
        Curve(run.plan.name, tuple(record.validation_auc for record in fold.history), fold.best_epoch)
        for run in study.runs
        for fold in run.folds
        if fold.history
    ]
    if curves:
        pictures.append(draw_learning_curves(folder / "learning-classifiers.png", curves, mark=mark))
    return tuple(pictures)
