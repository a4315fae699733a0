"""All numbers of a run: on its test parts, with everything that was fixed on validation applied unchanged.

Measures of tables are means over folds, as ``osteon.train.performance`` has them. Curves, calibration, subgroups and
comparisons need one probability an image: under "holdout" the mean of the folds' calibrated probabilities, under
"nested" that of the one fold whose test part the image is in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import (
    MOST_UNDEFINED,
    Resampling,
    draw_patients,
    paired_difference,
    patient_bootstrap,
    patient_bootstraps,
)
from osteon.metrics.calibration import (
    brier_decomposition,
    decision_curve,
    expected_calibration_error,
    recalibration,
    reliability_curve,
)
from osteon.metrics.classification import aggregate, choose_points, confusion_at, measure, roc_curve
from osteon.metrics.conformal import fit_conformal, measure_coverage, predict_sets
from osteon.metrics.delong import auc_interval, compare_paired
from osteon.metrics.folds import fold_interval
from osteon.metrics.proportions import mcnemar
from osteon.metrics.subgroups import age_bands, subgroup_table
from osteon.train.performance import compare_runs, evaluate_folds, fields_only, known_fields, majority_class
from osteon.train.run import synthetic_share, synthetic_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Manifest, Predictions
    from osteon.metrics.bootstrap import BootstrapInterval
    from osteon.metrics.bootstrap_measures import WeightedMeasure
    from osteon.train.run import RunData

    ImageMeasure = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]

__all__ = ["MEASURES", "Evaluation", "Pooled", "calibration_intervals", "evaluate_run", "plain", "pooled"]

MEASURES = ("auc", "pr_auc", "tpr", "tnr", "accuracy", "precision", "f1")
_FEW_PATIENTS = 10
_WORST = 12

_SLOW_REPEATS = 500
"""Most resamples of what is worked out anew for each: curves and calibration fits."""
_GRID = np.linspace(0, 1, 101)
_ERROR_RATE = 0.1
_DECISION_RANGE = (0.05, 0.95)
"""Thresholds of the decision curve, stated before anything is looked at."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run is worth.

    Attributes:
        document: everything as plain values, NaN as None: the content of metrics.json (docs/reference/evaluation.md).
        worst: (k,) rows of the manifest: the most confidently wrong test images, worst first.
    """

    document: Mapping[str, Any] = field(repr=False)
    worst: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Test images, each once.

    Attributes:
        image: (n,) as in the manifest, sorted.
        patient: (n,).
        series: (n,).
        truth: (n,) bool.
        probability: (n,) calibrated, mean over the folds that evaluated the image.
        uncalibrated: (n,) the same without temperatures.
    """

    image: NDArray[np.str_] = field(repr=False)
    patient: NDArray[np.str_] = field(repr=False)
    series: NDArray[np.str_] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    probability: NDArray[np.float64] = field(repr=False)
    uncalibrated: NDArray[np.float64] = field(repr=False)


def pooled(test: Predictions) -> Pooled:
    """The mean over folds of what was said of each image of rows of part "test"; in a nested split by one fold."""
    image, first, code, count = np.unique(test.image, return_index=True, return_inverse=True, return_counts=True)
    raw = replace(test, temperature=np.ones(len(test)))
    means = [np.clip(np.bincount(code, weights=one.probability) / count, 0, 1) for one in (test, raw)]
    return Pooled(image, test.patient[first], test.series[first], test.is_positive[first], means[0], means[1])


def plain(value: Any) -> Any:  # noqa: ANN401 - any tree of values
    """The same as JSON can hold it: data classes as tables, arrays as lists, what is not finite as None."""
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value


def evaluate_run(data: RunData, *, by: Sequence[str] = (), resampling: Resampling | None = None) -> Evaluation:
    """Evaluate a run on its test parts; ``by`` names further columns for the subgroup table.

    Raises:
        InputError: no fold is done.
        UnknownLabelError: no such column.
    """
    how = resampling or Resampling()
    predictions = data.run.predictions()
    test = predictions.of(part="test")
    if not len(test):
        raise InputError(
            f"the folds of {data.run.folder.name} that are done hold no test image: nothing can be evaluated"
        )
    one = pooled(test)
    index = {row.image: number for number, row in enumerate(data.manifest.rows)}
    rows = np.array([index[name] for name in one.image.tolist()])
    levels = _levels(test, one, how)
    error = np.abs(one.probability - one.truth)  # the most confidently wrong images
    worst = [k for k in np.argsort(-error, kind="stable").tolist() if error[k] > 0.5][:_WORST]
    document: dict[str, Any] = plain(
        {
            "schema_version": 1,
            "run": _about(data),
            "data": _data(data, one),
            "bootstrap": {"unit": "patient", "repeats": how.repeats, "seed": how.seed, "confidence": how.confidence},
            "levels": levels,
            "auc_clustered": auc_interval(one.truth, one.probability, patients=one.patient, confidence=how.confidence),
            "operating_points": _operating_points(predictions, how),
            "calibration": _calibration(predictions, one, how),
            "decision_curve": _decisions(one, how),
            "subgroups": _subgroups(data.manifest, rows, one, by, how),
            "baselines": _baselines(data, test, one, how),
            "conformal": _conformal(predictions),
            "curves": _curves(test, one, how),
            "worst": [
                {
                    "image": one.image[k],
                    "truth": data.manifest.rows[int(rows[k])].label,
                    "probability": one.probability[k],
                }
                for k in worst
            ],
            "warnings": _warnings(data, one, levels),
        }
    )
    return Evaluation(document, tuple(int(rows[k]) for k in worst))


def _about(data: RunData) -> dict[str, Any]:
    settings = data.run.settings
    return {
        "name": data.run.folder.name,
        "settings": settings.document(),
        "classes": list(data.run.classes),
        "positive": settings.positive,
        "scheme": data.split.scheme,
        "unit": data.split.unit,
        "folds": len(data.run.folds),
        "folds_evaluated": [fold.fold for fold in data.run.done],
        "split_sha256": data.split_sha256,
        "manifest_sha256": data.manifest.sha256,
        "versions": dict(data.run.document.get("versions", {})),
    }


def _data(data: RunData, one: Pooled) -> dict[str, Any]:
    return {
        "images": len(one.image),
        "patients": len(np.unique(one.patient)),
        "positive_images": int(one.truth.sum()),
        "positive_patients": len(np.unique(one.patient[one.truth])),
        "synthetic_share": synthetic_share(data.manifest),
        "score": "mean of the folds' calibrated probabilities"
        if data.split.scheme == "holdout"
        else "calibrated probability of the fold whose test part the image is in",
    }


def _levels(test: Predictions, one: Pooled, how: Resampling) -> dict[str, Any]:
    """Measures of images, series and patients: by fold, with both intervals, and the confusion of one probability."""
    found = {}
    for level in ("image", "series", "patient"):
        if level == "series" and not (test.series != "").any():
            continue
        truth, score, patient, fold = _at_level(
            level, test.is_positive, test.probability, test.patient, test.series, test.fold
        )
        resampled = patient_bootstraps(MEASURES, truth, score, patient, folds=fold, resampling=how)
        measures = {}
        for name in MEASURES:
            values = [measure(name, truth[fold == k], score[fold == k]) for k in np.unique(fold)]
            over_folds = fold_interval(values, confidence=how.confidence)
            measures[name] = {"by_fold": values, "over_folds": over_folds, "over_patients": resampled[name]}
        every = np.zeros(len(one.truth), dtype=np.int64)
        whole = _at_level(level, one.truth, one.probability, one.patient, one.series, every)
        found[level] = {
            "count": len(whole[0]),
            "threshold": 0.5,
            "joined": "each image" if level == "image" else "highest probability; positive when any image is",
            "measures": measures,
            "confusion": confusion_at(whole[0], whole[1], 0.5),
            "probability_auc": measure("auc", whole[0], whole[1]),
        }
    return found


def _at_level(
    level: str,
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    patient: NDArray[np.str_],
    series: NDArray[np.str_],
    fold: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.str_], NDArray[np.int64]]:
    """Truth, score, patient and fold of every unit of a level, fold by fold."""
    if level == "image":
        return truth, score, patient, fold
    # a series number of one patient may be that of another
    names = patient if level == "patient" else np.char.add(np.char.add(patient, "\0"), series)
    parts = []
    for number in np.unique(fold):
        inside = fold == number
        joined = aggregate(names[inside], truth[inside], score[inside])
        whose = patient[inside][joined.first]
        parts.append((joined.truth, joined.score, whose, np.full(len(whose), number)))
    first, second, third, fourth = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, third, fourth


def _operating_points(predictions: Predictions, how: Resampling) -> list[dict[str, Any]]:
    """Thresholds fixed on each fold's validation part, and what they give, unchanged, on its test part."""
    found: dict[str, list[dict[str, Any]]] = {}
    rules: dict[str, str] = {}
    for fold in np.unique(predictions.fold).tolist():
        validation = predictions.of(part="validation", fold=fold)
        test = predictions.of(part="test", fold=fold)
        for point in choose_points(validation.is_positive, validation.probability):
            rules[point.name] = point.rule
            entry: dict[str, Any] = {
                "fold": fold,
                "threshold": point.threshold,
                "validation": {"tpr": point.sensitivity, "tnr": point.specificity},
                "note": point.note,
                "test": {"tpr": None, "tnr": None},
            }
            if point.threshold is not None:
                truth, score = test.is_positive, test.probability
                entry["test"] = {
                    name: measure(name, truth, score, threshold=point.threshold) for name in ("tpr", "tnr")
                }
            found.setdefault(point.name, []).append(entry)
    return [
        {"name": name, "rule": rules[name], "by_fold": folds, "test": _at_points(predictions, folds, how)}
        for name, folds in found.items()
    ]


def _at_points(predictions: Predictions, folds: list[dict[str, Any]], how: Resampling) -> dict[str, Any] | None:
    """Means over folds at each fold's own threshold; None when no fold has one."""
    known = {entry["fold"]: float(entry["threshold"]) for entry in folds if entry["threshold"] is not None}
    if not known:
        return None
    test = predictions.of(part="test")
    test = test.where(np.isin(test.fold, list(known)))
    threshold = np.array([known[int(fold)] for fold in test.fold])
    told: dict[str, Any] = {"threshold": threshold, "folds": test.fold, "resampling": how}
    found = patient_bootstraps(("tpr", "tnr"), test.is_positive, test.probability, test.patient, **told)
    by_name = {}
    for name, over_patients in found.items():
        values = [math.nan if entry["test"][name] is None else entry["test"][name] for entry in folds]
        over_folds = fold_interval(values, confidence=how.confidence)
        by_name[name] = {"over_folds": over_folds, "over_patients": over_patients}
    return by_name


def _warnings(data: RunData, one: Pooled, levels: Mapping[str, Any]) -> list[str]:
    said = list(data.split.warnings)
    if data.split.unit == "image":
        said.append("The split is by image: images of one patient are in training and test part, so results LEAK.")
    said += synthetic_text(data.manifest)
    waiting = [fold.fold for fold in data.run.folds if fold.state != "done"]
    if waiting:
        said.append(f"Folds {waiting} of the run are not done and are left out of every number.")
    if data.run.settings.changes_shares:
        said.append(
            "Training saw the classes in other shares than they occur (images_per_epoch or class_weights): "
            "probabilities and their calibration here are those of such shares. osteon models export gives the "
            "networks the true ones."
        )
    for name, truth in (("positive", one.truth), ("negative", ~one.truth)):
        count = len(np.unique(one.patient[truth]))
        if count < _FEW_PATIENTS:
            said.append(f"Patients with a {name} image in the test part: {count}; intervals over patients are rough.")
    for level, entry in levels.items():
        undefined = [name for name, found in entry["measures"].items() if math.isnan(found["over_patients"].value)]
        if undefined:
            said.append(f"Not defined at {level} level (a class or a denominator is missing): {', '.join(undefined)}.")
    return list(dict.fromkeys(said))


def _calibration(predictions: Predictions, one: Pooled, how: Resampling) -> dict[str, Any]:
    """Before and after the temperature that each fold fitted on its validation part."""
    entries: dict[str, Any] = {"fitted_on": "validation part of each fold", "temperature_by_fold": {}}
    for fold in np.unique(predictions.fold).tolist():
        entries["temperature_by_fold"][fold] = predictions.of(part="test", fold=fold).temperature[0]
    for name, probability in (("before", one.uncalibrated), ("after", one.probability)):
        entries[name] = {
            "brier": patient_bootstrap("brier", one.truth, probability, one.patient, resampling=how),
            "brier_parts": brier_decomposition(one.truth, probability),
            "recalibration": recalibration(one.truth, probability),
            "reliability_equal_mass": reliability_curve(one.truth, probability, binning="equal_mass"),
            "reliability_equal_width": reliability_curve(one.truth, probability, binning="equal_width"),
            **calibration_intervals(one.truth, probability, one.patient, resampling=how),
        }
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
        folds: (n,) whose model evaluated; measures are averaged over them.
        resampling: at most a few hundred of its repeats are drawn: each of these measures is a fit.
    """
    few = replace(resampling, repeats=min(resampling.repeats, _SLOW_REPEATS))
    measures = {f"ece_{binning}": _ece(binning) for binning in ("equal_mass", "equal_width")}
    measures |= {part: _line(part) for part in ("slope", "intercept")}
    return {
        name: patient_bootstrap(_weighted(measure), truth, probability, patients, folds=folds, resampling=few)
        for name, measure in measures.items()
    }


def _ece(binning: str) -> ImageMeasure:
    return lambda truth, score: expected_calibration_error(truth, score, binning=binning)  # type: ignore[arg-type]


def _line(part: str) -> ImageMeasure:
    def value(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
        found = getattr(recalibration(truth, score), part)
        return float("nan") if found is None else float(found)

    return value


def _weighted(value: ImageMeasure) -> WeightedMeasure:
    """A measure of images as one of images drawn several times."""

    def measure(truth: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.int32]) -> float:
        return value(np.repeat(truth, weights), np.repeat(score, weights))

    return measure


def _decisions(one: Pooled, how: Resampling) -> dict[str, Any]:
    """Net benefit over a range of thresholds, with pointwise bands over patients."""
    thresholds = np.linspace(*_DECISION_RANGE, 37)
    curve = decision_curve(one.truth, one.probability, thresholds=thresholds)

    def net_benefit(weights: NDArray[np.int32]) -> NDArray[np.float64]:
        return decision_curve(one.truth, one.probability, thresholds=thresholds, weights=weights).model

    low, high, repeats = _band(one, net_benefit, how)
    return {
        "range": _DECISION_RANGE,
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
    if names.size < 2 or len(defined) < (1 - MOST_UNDEFINED) * repeats:
        empty = np.full(curves.shape[1], np.nan)
        return empty, empty, 0
    low, high = np.quantile(defined, (tail, 1 - tail), axis=0)
    return low, high, len(defined)


def _curves(test: Predictions, one: Pooled, how: Resampling) -> dict[str, Any]:
    """ROC curve with its band, precision and recall, histograms of the scores."""
    from sklearn.metrics import precision_recall_curve

    edges = np.linspace(0, 1, 21)
    positive, negative = (np.histogram(one.probability[kind], edges)[0] for kind in (one.truth, ~one.truth))
    histogram = {"edges": edges, "positive": positive, "negative": negative}
    if not one.truth.any() or one.truth.all():
        return {"roc": None, "precision_recall": None, "histogram": histogram}

    def sensitivity(weights: NDArray[np.int32]) -> NDArray[np.float64]:
        truth, score = np.repeat(one.truth, weights), np.repeat(one.probability, weights)
        if not truth.any() or truth.all():
            return np.full(_GRID.size, np.nan)
        curve = roc_curve(truth, score)
        return np.asarray(np.interp(_GRID, curve.false_positive_rate, curve.true_positive_rate))

    low, high, repeats = _band(one, sensitivity, how)
    by_fold = []
    for fold in np.unique(test.fold).tolist():
        own = test.of(part="test", fold=fold)
        if own.is_positive.any() and not own.is_positive.all():
            by_fold.append({"fold": fold, **_roc(own.is_positive, own.probability)})
    precision, recall, _ = precision_recall_curve(one.truth, one.probability)
    band = {"false_positive_rate": _GRID, "low": low, "high": high, "repeats": repeats}
    return {
        "roc": {**_roc(one.truth, one.probability), "by_fold": by_fold, "band": band},
        "precision_recall": {"precision": precision, "recall": recall, "prevalence": float(one.truth.mean())},
        "histogram": histogram,
    }


def _roc(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, Any]:
    curve = roc_curve(truth, score)
    return {"false_positive_rate": curve.false_positive_rate, "true_positive_rate": curve.true_positive_rate}


def _subgroups(
    manifest: Manifest, rows: NDArray[np.int64], one: Pooled, by: Sequence[str], how: Resampling
) -> dict[str, Any]:
    """AUC, sensitivity and specificity by sex, age, plane, centre, scanner and the columns asked for."""
    chosen = [manifest.rows[int(row)] for row in rows]
    groups: dict[str, list[object]] = {"sex": [row.sex for row in chosen]}
    groups["age"] = list(age_bands([row.age_years for row in chosen]))
    for name in ("plane", "centre", "scanner", *by):
        groups[name] = list(manifest.column(name)[rows])
    told = {name: values for name, values in groups.items() if name in by or len(set(values)) > 1}
    found = subgroup_table(one.truth, one.probability, one.patient, told, threshold=0.5, resampling=how)
    return {"threshold": 0.5, "columns": list(told), "rows": found}


def _baselines(data: RunData, test: Predictions, one: Pooled, how: Resampling) -> list[dict[str, Any]]:
    """What can be had without looking at an image, and whether the run is better."""
    names: dict[str, Any] = {"classes": data.run.classes, "positive": data.run.settings.positive}
    tables = {
        "majority class": majority_class(data.manifest, data.split, **names),
        "fields only": fields_only(data.manifest, data.split, **names),
    }
    evaluated = set(zip(test.image.tolist(), test.fold.tolist(), strict=True))
    entries = []
    for name, table in tables.items():
        if table is None:
            continue
        keep = [pair in evaluated for pair in zip(table.image.tolist(), table.fold.tolist(), strict=True)]
        kept = table.where(np.array(keep))
        other = pooled(kept)
        both = one.probability, other.probability
        first, second = (aggregate(each.patient, each.truth, each.probability) for each in (one, other))
        right = ((each.score >= 0.5) == each.truth for each in (first, second))
        measures = evaluate_folds(kept, resampling=how)
        entries.append(
            {
                "name": name,
                "fields": known_fields(data.manifest) if name == "fields only" else [],
                "measures": {
                    key: {"by_fold": found.by_fold, "over_patients": found.over_patients}
                    for key, found in measures.items()
                },
                "auc_difference": compare_runs(test, kept, resampling=how),
                "auc_difference_of_probability": paired_difference("auc", one.truth, both, one.patient, resampling=how),
                "delong_clustered": compare_paired(one.truth, *both, patients=one.patient),
                "mcnemar_patients": mcnemar(*right),
            }
        )
    return entries


def _conformal(predictions: Predictions) -> dict[str, Any]:
    """Coverage on the test parts of prediction sets fitted on the validation parts, fold by fold."""
    sets, labels, notes = [], [], []
    for fold in np.unique(predictions.fold).tolist():
        validation, test = (predictions.of(part=part, fold=fold) for part in ("validation", "test"))
        shares, test_shares = (np.stack([1 - p, p], axis=1) for p in (validation.probability, test.probability))
        truth = validation.is_positive.astype(np.int64)
        fitted = fit_conformal(shares, truth, alpha=_ERROR_RATE, class_conditional=True, patients=validation.patient)
        sets.append(predict_sets(fitted, test_shares))
        labels.append(test.is_positive.astype(np.int64))
        notes += [fitted.note] if fitted.note else []
    members, truth = np.concatenate(sets), np.concatenate(labels)
    return {
        "error_rate": _ERROR_RATE,
        "wanted_coverage": 1 - _ERROR_RATE,
        "assessments": "each fold's own, one an image and fold; images count as independent in the interval",
        "all": measure_coverage(members, truth),
        "by_class": {
            name: measure_coverage(members[truth == k], truth[truth == k])
            for k, name in enumerate(("negative", "positive"))
            if (truth == k).any()
        },
        "notes": sorted(set(notes)),
    }
