"""All numbers of a run: on its test parts, with everything that was fixed on validation applied unchanged.

Measures of tables are means over folds, as ``osteon.train.judging`` has them. Curves, calibration, subgroups and
comparisons need one probability an image: under "holdout" the mean of the folds' calibrated probabilities, under
"nested" that of the one fold whose test part the image is in.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, patient_bootstraps
from osteon.metrics.classification import aggregate, choose_points, confusion_at, measure
from osteon.metrics.delong import auc_interval
from osteon.metrics.folds import fold_interval
from osteon.train.evaluation_checks import (
    baseline_entries,
    calibration_entry,
    conformal_entry,
    curve_entries,
    decision_entry,
    subgroup_entries,
)
from osteon.train.evaluation_scores import Pooled, plain, pooled
from osteon.train.run_data import synthetic_share, synthetic_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.data import Predictions
    from osteon.train.run_data import RunData

__all__ = ["MEASURES", "Evaluation", "evaluate_run"]

MEASURES = ("auc", "pr_auc", "tpr", "tnr", "accuracy", "precision", "f1")
_FEW_PATIENTS = 10
_WORST = 12


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run is worth.

    Attributes:
        document: everything as plain values, NaN as None: the content of metrics.json (docs/reference/evaluation.md).
        worst: (k,) rows of the manifest: the most confidently wrong test images, worst first.
    """

    document: Mapping[str, Any] = field(repr=False)
    worst: tuple[int, ...] = field(repr=False)


def evaluate_run(
    data: RunData,
    *,
    by: Sequence[str] = (),
    decision_range: tuple[float, float] = (0.05, 0.95),
    resampling: Resampling | None = None,
) -> Evaluation:
    """Judge a run on its test parts.

    Args:
        data: of ``osteon.train.run_data.open_run``.
        by: further columns of the manifest for the subgroup table.
        decision_range: thresholds of the decision curve, stated before anything is looked at.
        resampling: of the patient bootstraps.

    Raises:
        InputError: no fold is done, or the range of thresholds cannot be.
        UnknownLabelError: no such column.
    """
    how = resampling or Resampling()
    if not 0 < decision_range[0] < decision_range[1] < 1:
        raise InputError(
            f"the decision curve was asked for from {decision_range[0]} to {decision_range[1]}: inside 0..1"
        )
    predictions = data.run.predictions()
    test = predictions.of(part="test")
    if not len(test):
        raise InputError(f"the folds of {data.run.folder.name} that are done hold no test image: nothing can be judged")
    one = pooled(test)
    index = {row.image: number for number, row in enumerate(data.manifest.rows)}
    rows = np.array([index[name] for name in one.image.tolist()])
    curves = curve_entries(test, one, resampling=how)
    levels = _levels(test, one, how)
    worst = _worst(one)
    document = {
        "schema_version": 1,
        "run": _about(data),
        "data": _data(data, one),
        "bootstrap": {"unit": "patient", "repeats": how.repeats, "seed": how.seed, "confidence": how.confidence},
        "levels": levels,
        "auc_clustered": asdict(
            auc_interval(one.truth, one.probability, patients=one.patient, confidence=how.confidence)
        ),
        "operating_points": _operating_points(predictions, how),
        "calibration": calibration_entry(predictions, one, resampling=how),
        "decision_curve": decision_entry(one, span=decision_range, resampling=how),
        "subgroups": subgroup_entries(data.manifest, rows, one, by=by, resampling=how),
        "baselines": baseline_entries(data, test, one, resampling=how),
        "conformal": conformal_entry(predictions),
        "curves": curves,
        "worst": [
            {
                "image": str(one.image[k]),
                "truth": data.manifest.rows[int(rows[k])].label,
                "probability": float(one.probability[k]),
            }
            for k in worst
        ],
        "warnings": _warnings(data, one, levels),
    }
    cleaned: dict[str, Any] = plain(document)
    return Evaluation(cleaned, tuple(int(rows[k]) for k in worst))


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
        "folds_judged": [fold.fold for fold in data.run.done],
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
            measures[name] = {
                "by_fold": values,
                "over_folds": asdict(fold_interval(values, confidence=how.confidence)),
                "over_patients": asdict(resampled[name]),
            }
        whole = _at_level(
            level, one.truth, one.probability, one.patient, one.series, np.zeros(len(one.truth), dtype=np.int64)
        )
        matrix = confusion_at(whole[0], whole[1], 0.5)
        found[level] = {
            "count": len(whole[0]),
            "threshold": 0.5,
            "joined": "each image" if level == "image" else "highest probability; positive when any image is",
            "measures": measures,
            "confusion": asdict(matrix),
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
    threshold: ArrayLike = np.array([known[int(fold)] for fold in test.fold])
    found = patient_bootstraps(
        ("tpr", "tnr"),
        test.is_positive,
        test.probability,
        test.patient,
        threshold=threshold,
        folds=test.fold,
        resampling=how,
    )
    by_name = {}
    for name, over_patients in found.items():
        values = [math.nan if entry["test"][name] is None else entry["test"][name] for entry in folds]
        by_name[name] = {
            "over_folds": asdict(fold_interval(values, confidence=how.confidence)),
            "over_patients": asdict(over_patients),
        }
    return by_name


def _worst(one: Pooled) -> list[int]:
    """The most confidently wrong images, worst first."""
    error = np.abs(one.probability - one.truth)
    order = np.argsort(-error, kind="stable")
    return [int(k) for k in order if error[k] > 0.5][:_WORST]


def _warnings(data: RunData, one: Pooled, levels: Mapping[str, Any]) -> list[str]:
    said = list(data.split.warnings)
    if data.split.unit == "image":
        said.append("The split is by image: images of one patient are in training and test part, so results LEAK.")
    said += synthetic_words(data.manifest)
    waiting = [fold.fold for fold in data.run.folds if fold.state != "done"]
    if waiting:
        said.append(f"Folds {waiting} of the run are not done and are left out of every number.")
    if data.run.settings.changes_shares:
        said.append(
            "Training saw the classes in other shares than they occur (images_per_epoch or class_weights): "
            "probabilities and their calibration here are those of such shares. osteon models export tells the "
            "networks the true ones."
        )
    for name, truth in (("positive", one.truth), ("negative", ~one.truth)):
        count = len(np.unique(one.patient[truth]))
        if count < _FEW_PATIENTS:
            said.append(f"Patients with a {name} image in the test part: {count}; intervals over patients are rough.")
    for level, entry in levels.items():
        undefined = [name for name, found in entry["measures"].items() if math.isnan(found["over_patients"]["value"])]
        if undefined:
            said.append(f"Not defined at {level} level (a class or a denominator is missing): {', '.join(undefined)}.")
    return list(dict.fromkeys(said))
