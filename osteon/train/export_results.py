"""What stands in a card as measured: the operating point from validation, results on the test part, both as read.

Where the manifest names slices (columns ``slice`` and ``leg``), scores are smoothed along them as at reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Predictions
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap import BootstrapInterval, Resampling, patient_bootstraps
from osteon.metrics.classification import OperatingPoint, aggregate, choose_points
from osteon.metrics.multiclass import cluster_intervals
from osteon.ops.runs import smooth_scores
from osteon.train.evaluation_checks import calibration_intervals
from osteon.train.extents import extent_point, leg_extents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest

__all__ = [
    "PAPER_THRESHOLD",
    "POINTS",
    "ReadScores",
    "choose_point",
    "class_results",
    "half_point",
    "read_scores",
    "test_results",
    "validation_points",
]

PAPER_THRESHOLD = 0.95
"""Of the paper, on the smoothed probability; fixed before any training."""

POINTS = ("paper", "youden", "sensitivity", "specificity", "legs")
"""Operating points that a card may carry."""

_SIGMA_SLICES, _MEDIAN_SLICES = 2.0, 3
_IMAGE_MEASURES = {
    "auc": "ROC AUC, images",
    "pr_auc": "average precision, images",
    "tpr": "sensitivity, images, probability >= 0.5",
    "tnr": "specificity, images, probability >= 0.5",
    "brier": "Brier score, images",
}

_CALIBRATION_MEASURES = {
    "ece_equal_mass": "expected calibration error, images, bins of equal numbers",
    "slope": "calibration slope, images (1 is right)",
    "intercept": "calibration intercept, images (0 is right)",
}
_LEG_MEASURES = {
    "tpr": "legs with tumour found (a called slice within the tumour), >= {:.4g}",
    "tnr": "legs without tumour left alone, >= {:.4g}",
    "dice": "Dice of called and tumour slices, mean over legs with tumour, >= {:.4g}",
}


@dataclass(frozen=True, slots=True, eq=False)
class ReadScores:
    """Scores as reading thresholds them.

    Attributes:
        rows: (k,) of the predictions they belong to.
        score: (k,) float64.
        is_smoothed: whether along the slices; otherwise they are the probabilities themselves.
    """

    rows: NDArray[np.int64] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    is_smoothed: bool

    @property
    def smoothing(self) -> dict[str, float | int]:
        """The entries of a card's operating point that say how slices are smoothed."""
        sigma, median = (_SIGMA_SLICES, _MEDIAN_SLICES) if self.is_smoothed else (0.0, 1)
        return {"gaussian_sigma_slices": sigma, "median_slices": median}


def read_scores(
    manifest: Manifest, images: NDArray[np.str_], folds: NDArray[np.int64], probability: NDArray[np.float64]
) -> ReadScores:
    """Smooth along axial slices where the manifest says which slice of which leg an image is.

    Args:
        manifest: that names the images.
        images: (n,) as in the manifest.
        folds: (n,) whose model judged; scores of different models are not smoothed together.
        probability: (n,).

    Returns:
        The axial images with smoothed scores; or all images with their probabilities, when slices are not known or
        most have no neighbour.
    """
    by_name = {row.image: row for row in manifest.rows}
    rows = [by_name[name] for name in images.tolist()]
    keys = [_slice_of(row) for row in rows]
    axial = np.array([index for index, row in enumerate(rows) if row.plane in {"axial", ""}], dtype=np.int64)
    places = [(keys[i], int(folds[i])) for i in axial]
    if not places or any(key is None for key, _ in places) or len(set(places)) < len(places):
        return ReadScores(np.arange(len(rows)), probability, is_smoothed=False)
    score = np.empty(len(rows))
    groups: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for index in axial.tolist():
        leg, number = keys[index] or ((), 0)
        groups.setdefault((leg, int(folds[index])), []).append((number, index))
    if not _follow_each_other([number for number, _ in members] for members in groups.values()):
        return ReadScores(np.arange(len(rows)), probability, is_smoothed=False)
    for members in groups.values():
        numbers, indices = (np.array(part) for part in zip(*sorted(members), strict=True))
        places_along = numbers - numbers[0]
        line = np.zeros(int(places_along[-1]) + 1)
        present = np.zeros(line.size, dtype=np.bool_)
        line[places_along], present[places_along] = probability[indices], True
        smoothed = smooth_scores(line, present=present, sigma=_SIGMA_SLICES, median=_MEDIAN_SLICES)
        score[indices] = smoothed[places_along]
    return ReadScores(axial, score[axial], is_smoothed=True)


def _follow_each_other(groups: Iterable[list[int]]) -> bool:
    """Whether most slices have a neighbour; a data set of each fifth slice cannot be smoothed as a scan is."""
    steps = np.concatenate([np.diff(np.sort(numbers)) for numbers in groups])
    return bool(steps.size and np.mean(steps == 1) > 0.5)


def _slice_of(row: ImageRow) -> tuple[tuple[str, ...], int] | None:
    text = row.extra.get("slice", "")
    if not text.isdigit():
        return None
    return (row.patient, row.study, row.series, row.extra.get("leg", "")), int(text)


def validation_points(
    manifest: Manifest, predictions: Sequence[Predictions]
) -> tuple[tuple[OperatingPoint, ...], ReadScores]:
    """Thresholds fixed on the validation parts, each image judged by the member that did not learn from it.

    Where slices are smoothed, one more is chosen for the extents that are called (``extent_point``).

    Raises:
        InputError: a class is missing in the validation parts.
    """
    table = Predictions.joined([one.of(part="validation") for one in predictions])
    found = read_scores(manifest, table.image, table.fold, table.probability)
    points = choose_points(table.is_positive[found.rows], found.score)
    if found.is_smoothed:
        rows = found.rows
        legs = _legs(manifest, table.image[rows])
        points += (extent_point(legs, truth=table.is_positive[rows], score=found.score, folds=table.fold[rows]),)
    return points, found


def _legs(manifest: Manifest, images: NDArray[np.str_]) -> list[tuple[str, ...]]:
    """Which leg each slice is of; all are known where slices were smoothed."""
    by_name = {row.image: row for row in manifest.rows}
    keys = (_slice_of(by_name[name]) for name in images.tolist())
    return [key[0] for key in keys if key]


def choose_point(
    points: Sequence[OperatingPoint], scores: ReadScores, *, wanted: str, threshold: float | None
) -> dict[str, Any]:
    """The card's operating point.

    Args:
        points: of ``validation_points``.
        scores: of ``validation_points``.
        wanted: one of ``POINTS``.
        threshold: a number given by the user, that goes before; None for none.

    Raises:
        UnknownLabelError: no such point.
        InputError: the threshold is out of range, or the rule was not met on the validation images.
    """
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise InputError(f"the threshold is {threshold}; it must lie between 0 and 1")
        return _point(threshold, "given by who exported the model, not fitted", smoothed=True)
    if wanted not in POINTS:
        raise UnknownLabelError(f"no operating point {wanted!r}: {nearest_names(wanted, POINTS)}")
    if wanted == "paper":
        return _point(PAPER_THRESHOLD, "CT osteosarcoma paper, fixed before training", smoothed=True)
    chosen = next((point for point in points if point.name.startswith(wanted)), None)
    if chosen is None:
        raise InputError(
            f"the operating point {wanted} needs axial slices that follow each other, "
            f"named in the manifest's columns slice and leg. Choose another of {', '.join(POINTS)}, or give a threshold"
        )
    if chosen.threshold is None:
        raise InputError(
            f"the operating point {wanted} ({chosen.rule}) was not met on the validation images: {chosen.note}. "
            f"Choose another of {', '.join(POINTS)}, or give a threshold"
        )
    kind = "smoothed axial slices" if scores.is_smoothed else "single images, not smoothed"
    source = (
        f"{chosen.rule} on the validation parts ({kind}; each image by the member that did not learn from it): "
        f"sensitivity {chosen.sensitivity:.3f}, specificity {chosen.specificity:.3f} there"
    )
    return _point(min(max(chosen.threshold, 0.0), 1.0), source, smoothed=scores.is_smoothed)


def _point(threshold: float, source: str, *, smoothed: bool) -> dict[str, Any]:
    sigma, median = (_SIGMA_SLICES, _MEDIAN_SLICES) if smoothed else (0.0, 1)
    return {
        "threshold": threshold,
        "gaussian_sigma_slices": sigma,
        "median_slices": median,
        "source": source,
    }


def half_point(threshold: float | None) -> dict[str, Any]:
    """Where the class with the largest probability is called: what the card's measures of one class are made at."""
    if threshold is not None:
        raise InputError(
            "a threshold was given; of tiles the class with the largest probability is called: leave it out"
        )
    return _point(0.5, "a probability of one half, not fitted", smoothed=False)


def class_results(
    predictions: Sequence[Predictions], *, resampling: Resampling, is_synthetic: bool
) -> list[dict[str, Any]]:
    """Entries of the card's results on all classes: what each member called right on its test part."""
    table = Predictions.joined([one.of(part="test") for one in predictions])
    measures = {"accuracy of all classes, images": ("accuracy",)} | {
        f"recall of {name}, images": ("recall", name) for name in table.classes
    }
    rates = cluster_intervals(
        tuple(measures.values()),
        table.truth,
        table.logits.argmax(axis=1),
        table.patient,
        classes=table.classes,
        resampling=resampling,
    )
    found = []
    for metric, key in measures.items():
        rate = rates[key]
        interval = None if math.isnan(rate.low) else [round(rate.low, 6), round(rate.high, 6)]
        found.append(
            {
                "metric": metric,
                "value": None if math.isnan(rate.value) else round(rate.value, 6),
                "interval": interval,
                "interval_method": f"patient bootstrap, percentile, {rate.repeats} draws, seed {rate.seed}",
                "data": "each member on its own test part" + (" (SYNTHETIC)" if is_synthetic else ""),
                "patients": int(np.unique(table.patient).size),
                "images": len(table),
                "is_synthetic": is_synthetic,
            }
        )
    return found


def test_results(
    manifest: Manifest,
    predictions: Sequence[Predictions],
    *,
    scheme: str,
    point: dict[str, Any],
    resampling: Resampling,
    is_synthetic: bool,
) -> list[dict[str, Any]]:
    """Entries of the card's results: measured on the test part with the weights as they are shipped.

    ``predictions`` has one table a member. Under "holdout" the model itself is judged: the mean of its members. Under
    "nested" every member is judged on the patients of its own test part, and measures are means over members.
    """
    tables = [one.of(part="test") for one in predictions]
    if scheme == "holdout":
        table = tables[0]
        for other in tables:
            if not np.array_equal(other.image, table.image):
                raise InputError("the members were judged on different test images: export folds of one split")
        probability = np.mean([one.probability for one in tables], axis=0)
        folds = np.zeros(len(table), dtype=np.int64)
        what = "test part, mean of the members" if len(tables) > 1 else "test part"
    else:
        table = Predictions.joined(tables)
        probability, folds = table.probability, table.fold
        what = "out of fold, each member on its own test part; the mean of the members was not measured"
    what += " (SYNTHETIC)" if is_synthetic else ""
    about = {"data": what, "is_synthetic": is_synthetic}
    truth = table.is_positive
    found = patient_bootstraps(_IMAGE_MEASURES, truth, probability, table.patient, folds=folds, resampling=resampling)
    results = [_entry(_IMAGE_MEASURES[name], one, about) for name, one in found.items()]
    found = calibration_intervals(truth, probability, table.patient, folds=folds, resampling=resampling)
    results += [_entry(words, found[name], about) for name, words in _CALIBRATION_MEASURES.items()]
    smoothed = read_scores(manifest, table.image, folds, probability)
    if point["gaussian_sigma_slices"] == 0:
        smoothed = ReadScores(np.arange(len(table)), probability, is_smoothed=False)
    threshold = point["threshold"]
    rows, score = smoothed.rows, smoothed.score
    kind = "axial slices after smoothing" if smoothed.is_smoothed else "images"
    names = {
        "tpr": f"sensitivity, {kind}, >= {threshold:.4g}",
        "tnr": f"specificity, {kind}, >= {threshold:.4g}",
    }
    if smoothed.is_smoothed:
        names = {"auc": f"ROC AUC, {kind}", **names}
    found = patient_bootstraps(
        names, truth[rows], score, table.patient[rows], threshold=threshold, folds=folds[rows], resampling=resampling
    )
    results += [_entry(names[name], one, about) for name, one in found.items()]
    results += _of_patients(table.patient[rows], truth[rows], score, folds[rows], threshold, about, resampling)
    if smoothed.is_smoothed:
        legs = leg_extents(
            _legs(manifest, table.image[rows]),
            patients=table.patient[rows],
            truth=truth[rows],
            score=score,
            folds=folds[rows],
            threshold=threshold,
        )
        results += [
            _entry(_LEG_MEASURES[name].format(threshold), one, about) | {"images": legs.slices}
            for name, one in legs.intervals(threshold, resampling).items()
        ]
    return results


def _of_patients(
    patients: NDArray[np.str_],
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    folds: NDArray[np.int64],
    threshold: float,
    about: dict[str, Any],
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """The highest score of a patient, against whether any image is positive."""
    joined = aggregate(patients, truth, score)
    names = {
        "auc": "ROC AUC, patients (highest score)",
        "tpr": f"sensitivity, patients (highest score), >= {threshold:.4g}",
        "tnr": f"specificity, patients (highest score), >= {threshold:.4g}",
    }
    found = patient_bootstraps(
        names,
        joined.truth,
        joined.score,
        joined.groups,
        threshold=threshold,
        folds=folds[joined.first],
        resampling=resampling,
    )
    return [_entry(names[name], one, about) | {"images": int(patients.size)} for name, one in found.items()]


def _entry(metric: str, found: BootstrapInterval, about: dict[str, Any]) -> dict[str, Any]:
    known = not (math.isnan(found.low) or math.isnan(found.high)) and found.low < found.high
    method = f"patient bootstrap, {found.method}, {found.repeats} draws, seed {found.seed}"
    if found.undefined_repeats:
        method += f"; {found.undefined_repeats} draws in which it is not defined were left out"
    if not known:
        method += ": no interval (not defined, one patient, or every draw was equal)"
    return {
        "metric": metric,
        "value": None if math.isnan(found.value) else round(found.value, 6),
        "interval": [round(found.low, 6), round(found.high, 6)] if known else None,
        "interval_method": method,
        "data": about["data"],
        "patients": found.patients,
        "images": found.images,
        "is_synthetic": about["is_synthetic"],
    }
