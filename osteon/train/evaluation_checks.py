"""The parts of an evaluation beyond its main measures: calibration, decisions, subgroups, baselines, sets, curves."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.metrics.bootstrap import draw_patients, paired_difference, patient_bootstrap
from osteon.metrics.calibration import (
    brier_decomposition,
    decision_curve,
    expected_calibration_error,
    recalibration,
    reliability_curve,
)
from osteon.metrics.classification import aggregate, roc_curve
from osteon.metrics.conformal import fit_conformal, measure_coverage, predict_sets
from osteon.metrics.delong import compare_paired
from osteon.metrics.proportions import mcnemar
from osteon.metrics.subgroups import age_bands, subgroup_table
from osteon.train.baselines import fields_only, known_fields, majority_class
from osteon.train.evaluation_scores import pooled
from osteon.train.judging import compare_runs, judge_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from osteon.data import Manifest, Predictions
    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.metrics.bootstrap_measures import WeightedMeasure
    from osteon.train.evaluation_scores import Pooled
    from osteon.train.run_data import RunData

__all__ = [
    "baseline_entries",
    "calibration_entry",
    "calibration_intervals",
    "conformal_entry",
    "curve_entries",
    "decision_entry",
    "subgroup_entries",
]

_SLOW_REPEATS = 500
"""Most resamples of what is worked out anew for each: curves and calibration fits."""
_GRID = np.linspace(0, 1, 101)
_ERROR_RATE = 0.1


def calibration_entry(predictions: Predictions, one: Pooled, *, resampling: Resampling) -> dict[str, Any]:
    """Before and after the temperature that each fold fitted on its validation part."""
    entries: dict[str, Any] = {"fitted_on": "validation part of each fold", "temperature_by_fold": {}}
    for fold in np.unique(predictions.fold).tolist():
        entries["temperature_by_fold"][str(fold)] = float(predictions.of(part="test", fold=fold).temperature[0])
    for name, probability in (("before", one.uncalibrated), ("after", one.probability)):
        brier = patient_bootstrap("brier", one.truth, probability, one.patient, resampling=resampling)
        entry: dict[str, Any] = {
            "brier": asdict(brier),
            "brier_parts": asdict(brier_decomposition(one.truth, probability)),
            "recalibration": asdict(recalibration(one.truth, probability)),
        }
        for binning in ("equal_mass", "equal_width"):
            entry[f"reliability_{binning}"] = asdict(reliability_curve(one.truth, probability, binning=binning))
        found = calibration_intervals(one.truth, probability, one.patient, resampling=resampling)
        entries[name] = entry | {part: asdict(interval) for part, interval in found.items()}
    return entries


def calibration_intervals(
    truth: NDArray[np.bool_],
    probability: NDArray[np.float64],
    patients: NDArray[np.str_],
    *,
    folds: NDArray[np.int64] | None = None,
    resampling: Resampling,
) -> dict[str, BootstrapInterval]:
    """Expected calibration error ("ece_equal_mass", "ece_equal_width"), "slope" and "intercept" of recalibration.

    Args:
        truth: (n,) whether an image is positive.
        probability: (n,) of it.
        patients: (n,) id of the patient.
        folds: (n,) whose model judged; measures are averaged over them.
        resampling: at most a few hundred of its repeats are drawn: each of these measures is a fit.
    """
    few = replace(resampling, repeats=min(resampling.repeats, _SLOW_REPEATS))
    measures = {f"ece_{binning}": _ece(binning) for binning in ("equal_mass", "equal_width")}
    measures |= {part: _line(part) for part in ("slope", "intercept")}
    return {
        name: patient_bootstrap(_weighted(measure), truth, probability, patients, folds=folds, resampling=few)
        for name, measure in measures.items()
    }


def _ece(binning: str) -> Callable[[NDArray[np.bool_], NDArray[np.float64]], float]:
    return lambda truth, score: expected_calibration_error(truth, score, binning=binning)  # type: ignore[arg-type]


def _line(part: str) -> Callable[[NDArray[np.bool_], NDArray[np.float64]], float]:
    def value(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
        found = getattr(recalibration(truth, score), part)
        return float("nan") if found is None else float(found)

    return value


def _weighted(value: Callable[[NDArray[np.bool_], NDArray[np.float64]], float]) -> WeightedMeasure:
    """A measure of images as one of images drawn several times."""

    def measure(truth: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.int32]) -> float:
        if not weights.any():  # a fold of one test patient, who was not drawn
            return float("nan")
        return value(np.repeat(truth, weights), np.repeat(score, weights))

    return measure


def decision_entry(one: Pooled, *, span: tuple[float, float], resampling: Resampling) -> dict[str, Any]:
    """Net benefit over a range of thresholds, with pointwise bands over patients."""
    thresholds = np.linspace(*span, 37)
    curve = decision_curve(one.truth, one.probability, thresholds=thresholds)

    def net_benefit(weights: NDArray[np.int32]) -> NDArray[np.float64]:
        return decision_curve(one.truth, one.probability, thresholds=thresholds, weights=weights).model

    low, high, repeats = _band(one, net_benefit, resampling)
    return {
        "range": list(span),
        "range_source": "stated before the test part was looked at",
        "thresholds": thresholds,
        "model": curve.model,
        "low": low,
        "high": high,
        "treat_all": curve.treat_all,
        "prevalence": curve.prevalence,
        "repeats": repeats,
    }


def _band(
    one: Pooled, curve: Callable[[NDArray[np.int32]], NDArray[np.float64]], how: Resampling
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Pointwise percentile limits of a curve over resampled patients."""
    names, code = np.unique(one.patient, return_inverse=True)
    repeats = min(how.repeats, _SLOW_REPEATS)
    drawn = draw_patients(names.size, range(repeats), seed=how.seed)
    curves = np.stack([curve(counts[code]) for counts in drawn])
    tail = (1 - how.confidence) / 2
    defined = curves[~np.isnan(curves).any(axis=1)]
    if names.size < 2 or not len(defined):
        empty = np.full(curves.shape[1], np.nan)
        return empty, empty, 0
    low, high = np.quantile(defined, (tail, 1 - tail), axis=0)
    return low, high, len(defined)


def curve_entries(test: Predictions, one: Pooled, *, resampling: Resampling) -> dict[str, Any]:
    """ROC curve with its band, precision and recall, histograms of the scores."""
    from sklearn.metrics import precision_recall_curve

    if not one.truth.any() or one.truth.all():
        return {"roc": None, "precision_recall": None, "histogram": _histogram(one)}

    def sensitivity(weights: NDArray[np.int32]) -> NDArray[np.float64]:
        truth, score = np.repeat(one.truth, weights), np.repeat(one.probability, weights)
        if not truth.any() or truth.all():
            return np.full(_GRID.size, np.nan)
        curve = roc_curve(truth, score)
        return np.asarray(np.interp(_GRID, curve.false_positive_rate, curve.true_positive_rate))

    low, high, repeats = _band(one, sensitivity, resampling)
    curve = roc_curve(one.truth, one.probability)
    precision, recall, _ = precision_recall_curve(one.truth, one.probability)
    return {
        "roc": {
            "false_positive_rate": curve.false_positive_rate,
            "true_positive_rate": curve.true_positive_rate,
            "by_fold": _roc_by_fold(test),
            "band": {"false_positive_rate": _GRID, "low": low, "high": high, "repeats": repeats},
        },
        "precision_recall": {"precision": precision, "recall": recall, "prevalence": float(one.truth.mean())},
        "histogram": _histogram(one),
    }


def _roc_by_fold(test: Predictions) -> list[dict[str, Any]]:
    found = []
    for fold in np.unique(test.fold).tolist():
        own = test.of(part="test", fold=fold)
        if own.is_positive.any() and not own.is_positive.all():
            curve = roc_curve(own.is_positive, own.probability)
            found.append(
                {
                    "fold": fold,
                    "false_positive_rate": curve.false_positive_rate,
                    "true_positive_rate": curve.true_positive_rate,
                }
            )
    return found


def _histogram(one: Pooled) -> dict[str, Any]:
    edges = np.linspace(0, 1, 21)
    return {
        "edges": edges,
        "positive": np.histogram(one.probability[one.truth], edges)[0],
        "negative": np.histogram(one.probability[~one.truth], edges)[0],
    }


def subgroup_entries(
    manifest: Manifest, rows: NDArray[np.int64], one: Pooled, *, by: Sequence[str], resampling: Resampling
) -> dict[str, Any]:
    """AUC, sensitivity and specificity by sex, age, plane, centre, scanner and the columns asked for."""
    chosen = [manifest.rows[int(row)] for row in rows]
    groups: dict[str, list[object]] = {"sex": [row.sex for row in chosen]}
    groups["age"] = list(age_bands([row.age_years for row in chosen]))
    for name in ("plane", "centre", "scanner", *by):
        groups[name] = list(manifest.column(name)[rows])
    told = {name: values for name, values in groups.items() if name in by or len(set(values)) > 1}
    found = subgroup_table(one.truth, one.probability, one.patient, told, threshold=0.5, resampling=resampling)
    return {"threshold": 0.5, "columns": list(told), "rows": [asdict(row) for row in found]}


def baseline_entries(data: RunData, test: Predictions, one: Pooled, *, resampling: Resampling) -> list[dict[str, Any]]:
    """What can be had without looking at an image, and whether the run is better."""
    classes, positive = data.run.classes, data.run.settings.positive
    tables = {
        "majority class": majority_class(data.manifest, data.split, classes=classes, positive=positive),
        "fields only": fields_only(data.manifest, data.split, classes=classes, positive=positive),
    }
    judged = set(zip(test.image.tolist(), test.fold.tolist(), strict=True))
    entries = []
    for name, table in tables.items():
        if table is None:
            continue
        keep = [pair in judged for pair in zip(table.image.tolist(), table.fold.tolist(), strict=True)]
        kept = table.where(np.array(keep))
        other = pooled(kept)
        first, second = (aggregate(each.patient, each.truth, each.probability) for each in (one, other))
        measures = judge_folds(kept, resampling=resampling)
        entries.append(
            {
                "name": name,
                "fields": list(known_fields(data.manifest)) if name == "fields only" else [],
                "measures": {
                    key: {"by_fold": found.by_fold, "over_patients": asdict(found.over_patients)}
                    for key, found in measures.items()
                },
                "auc_difference": asdict(compare_runs(test, kept, resampling=resampling)),
                "auc_difference_of_probability": asdict(
                    paired_difference(
                        "auc", one.truth, (one.probability, other.probability), one.patient, resampling=resampling
                    )
                ),
                "delong_clustered": asdict(
                    compare_paired(one.truth, one.probability, other.probability, patients=one.patient)
                ),
                "mcnemar_patients": asdict(
                    mcnemar((first.score >= 0.5) == first.truth, (second.score >= 0.5) == second.truth)
                ),
            }
        )
    return entries


def conformal_entry(predictions: Predictions) -> dict[str, Any]:
    """Coverage on the test parts of prediction sets fitted on the validation parts, fold by fold."""
    sets, labels, notes = [], [], []
    for fold in np.unique(predictions.fold).tolist():
        parts = {part: predictions.of(part=part, fold=fold) for part in ("validation", "test")}
        shares = {part: _two_columns(table) for part, table in parts.items()}
        fitted = fit_conformal(
            shares["validation"],
            parts["validation"].is_positive.astype(np.int64),
            alpha=_ERROR_RATE,
            class_conditional=True,
            patients=parts["validation"].patient,
        )
        sets.append(predict_sets(fitted, shares["test"]))
        labels.append(parts["test"].is_positive.astype(np.int64))
        notes += [fitted.note] if fitted.note else []
    members, truth = np.concatenate(sets), np.concatenate(labels)
    by_class = {
        name: asdict(measure_coverage(members[truth == k], truth[truth == k]))
        for k, name in enumerate(("negative", "positive"))
        if (truth == k).any()
    }
    return {
        "error_rate": _ERROR_RATE,
        "wanted_coverage": 1 - _ERROR_RATE,
        "judgements": "each fold's own, one an image and fold; images count as independent in the interval",
        "all": asdict(measure_coverage(members, truth)),
        "by_class": by_class,
        "notes": sorted(set(notes)),
    }


def _two_columns(table: Predictions) -> NDArray[np.float64]:
    probability = table.probability
    return np.stack([1 - probability, probability], axis=1)
