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
from osteon.io.table import whole_number
from osteon.metrics.bootstrap import (
    MOST_UNDEFINED,
    BootstrapInterval,
    Resampling,
    patient_bootstrap,
    patient_bootstraps,
)
from osteon.metrics.classification import OperatingPoint, aggregate, choose_points
from osteon.metrics.multiclass import cluster_intervals
from osteon.ops.runs import smooth_scores
from osteon.train.evaluation import calibration_intervals
from osteon.weights import MeasuredResult
from osteon.weights import OperatingPoint as CardPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.data import ImageRow, Manifest

__all__ = [
    "PAPER_THRESHOLD",
    "POINTS",
    "LegExtents",
    "ReadScores",
    "choose_point",
    "class_results",
    "extent_point",
    "half_point",
    "leg_extents",
    "point_warnings",
    "read_scores",
    "test_results",
    "validation_points",
]

PAPER_THRESHOLD = 0.95
"""Of the paper, on the smoothed probability; fixed before any training."""

POINTS = ("paper", "youden", "sensitivity", "specificity", "legs")
"""Operating points that a card may carry; all but the first are fixed on the validation parts."""

DEFAULT_POINT = "youden"

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
    "tpr": "legs with tumour found (a predicted slice within the tumour), >= {:.4g}",
    "tnr": "legs without tumour left alone, >= {:.4g}",
    "dice": "Dice of predicted and tumour slices, mean over legs with tumour, >= {:.4g}",
}


@dataclass(frozen=True, slots=True, eq=False)
class ReadScores:
    """Scores (k,) of the rows (k,) of predictions as reading thresholds them: smoothed along the slices, or not."""

    rows: NDArray[np.int64] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    is_smoothed: bool


def read_scores(
    manifest: Manifest, images: NDArray[np.str_], folds: NDArray[np.int64], probability: NDArray[np.float64]
) -> ReadScores:
    """Smooth along axial slices where the manifest says which slice of which leg an image is.

    Args:
        manifest: that names the images.
        images: (n,) as in the manifest.
        folds: (n,) whose model evaluated; scores of different models are not smoothed together.
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
    """Whether most slices have a neighbour; a data set of every fifth slice cannot be smoothed as a scan is."""
    steps = np.concatenate([np.diff(np.sort(numbers)) for numbers in groups])
    return bool(steps.size and np.mean(steps == 1) > 0.5)


def _slice_of(row: ImageRow) -> tuple[tuple[str, ...], int] | None:
    text = whole_number(row.extra.get("slice", ""))
    if not text.isdigit():
        return None
    return (row.patient, row.study, row.series, row.extra.get("leg", "")), int(text)


def validation_points(
    manifest: Manifest, predictions: Sequence[Predictions]
) -> tuple[tuple[OperatingPoint, ...], ReadScores]:
    """Thresholds fixed on the validation parts, each image evaluated by the member that did not learn from it.

    Where slices are smoothed, one more is chosen for the extents that are predicted (``extent_point``).

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
) -> CardPoint:
    """The card's operating point: a threshold that was given, else the wanted one of ``POINTS``.

    Points and scores are of ``validation_points``. Without a wish it is "youden", or where no threshold does better
    than predicting all images the same, one half.

    Raises:
        UnknownLabelError: no such point.
        InputError: the threshold is out of range, or the rule was not met on the validation images.
    """
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise InputError(f"the threshold is {threshold}; it must be between 0 and 1")
        return _point(threshold, "given by who exported the model, not fitted", smoothed=True)
    if wanted not in ("", *POINTS):
        raise UnknownLabelError(f"no operating point {wanted!r}: {nearest_names(wanted, POINTS)}")
    if wanted == "paper":
        return _point(PAPER_THRESHOLD, "CT osteosarcoma paper, fixed before training", smoothed=True)
    chosen = next((point for point in points if point.name.startswith(wanted or DEFAULT_POINT)), None)
    if not wanted and chosen is not None and chosen.threshold is None:
        return _point(0.5, f"0.5, not fitted: on the validation parts {chosen.note}", smoothed=scores.is_smoothed)
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


def point_warnings(point: CardPoint, scores: ReadScores) -> tuple[str, ...]:
    """A sentence where an operating point predicts all validation images alike; scores are of ``validation_points``."""
    share = float(np.mean(scores.score >= point.threshold))
    if 0 < share < 1:
        return ()
    said = "no image" if share == 0 else "every image"
    words = (
        f"At the threshold {point.threshold:.4g} ({point.source}) the model predicts {said} of the validation parts "
        f"positive (their scores go from {scores.score.min():.3f} to {scores.score.max():.3f}): choose another "
        "--operating-point or --threshold."
    )
    return (words,)


def _point(threshold: float, source: str, *, smoothed: bool) -> CardPoint:
    sigma, median = (_SIGMA_SLICES, _MEDIAN_SLICES) if smoothed else (0.0, 1)
    return CardPoint(threshold, sigma, median, source)


def half_point() -> CardPoint:
    """Where the class with the largest probability is predicted: what the card's measures of one class are made at."""
    return _point(0.5, "a probability of one half, not fitted", smoothed=False)


def class_results(
    predictions: Sequence[Predictions], *, resampling: Resampling, is_synthetic: bool
) -> list[MeasuredResult]:
    """Results on all classes: what each member predicted right on its test part."""
    table = Predictions.joined([one.of(part="test") for one in predictions])
    predicted, classes = table.logits.argmax(axis=1), table.classes
    keys: dict[str, tuple[str, ...]] = {"accuracy of all classes, images": ("accuracy",)}
    keys |= {f"recall of {name}, images": ("recall", name) for name in classes}
    measures = tuple(keys.values())
    rates = cluster_intervals(measures, table.truth, predicted, table.patient, classes=classes, resampling=resampling)
    return [
        MeasuredResult(
            metric=metric,
            value=None if math.isnan(rate.value) else round(rate.value, 6),
            interval=None if math.isnan(rate.low) else (round(rate.low, 6), round(rate.high, 6)),
            interval_method=f"patient bootstrap, percentile, {rate.repeats} draws, seed {rate.seed}",
            data="each member on its own test part" + (" (SYNTHETIC)" if is_synthetic else ""),
            patients=int(np.unique(table.patient).size),
            images=len(table),
            is_synthetic=is_synthetic,
        )
        for metric, rate in ((metric, rates[key]) for metric, key in keys.items())
    ]


def test_results(
    manifest: Manifest,
    predictions: Sequence[Predictions],
    *,
    scheme: str,
    point: CardPoint,
    resampling: Resampling,
    is_synthetic: bool,
) -> list[MeasuredResult]:
    """Results on the test part with the weights as they are shipped.

    ``predictions`` has one table a member. Under "holdout" the model itself is evaluated: the mean of its members.
    Under "nested" every member is evaluated on the patients of its own test part, and measures are means over members.
    """
    tables = [one.of(part="test") for one in predictions]
    if scheme == "holdout":
        table = tables[0]
        for other in tables:
            if not np.array_equal(other.image, table.image):
                raise InputError("the members were evaluated on different test images: export folds of one split")
        probability = np.mean([one.probability for one in tables], axis=0)
        folds = np.zeros(len(table), dtype=np.int64)
        what = "test part, mean of the members" if len(tables) > 1 else "test part"
    else:
        table = Predictions.joined(tables)
        probability, folds = table.probability, table.fold
        what = "out of fold, each member on its own test part; the mean of the members was not measured"
    results: list[MeasuredResult] = []

    def note(names: Mapping[str, str], found: Mapping[str, BootstrapInterval], images: int | None = None) -> None:
        about = {"data": what + (" (SYNTHETIC)" if is_synthetic else ""), "is_synthetic": is_synthetic}
        results.extend(_entry(words, found[name], images, about) for name, words in names.items())

    truth, patients = table.is_positive, table.patient
    how: dict[str, Any] = {"folds": folds, "resampling": resampling}
    note(_IMAGE_MEASURES, patient_bootstraps(_IMAGE_MEASURES, truth, probability, patients, **how))
    note(_CALIBRATION_MEASURES, calibration_intervals(truth, probability, patients, **how))
    read = read_scores(manifest, table.image, folds, probability)
    if point.gaussian_sigma_slices == 0:
        read = ReadScores(np.arange(len(table)), probability, is_smoothed=False)
    rows, score, threshold = read.rows, read.score, point.threshold
    truth, patients, folds = truth[rows], patients[rows], folds[rows]
    kind = "axial slices after smoothing" if read.is_smoothed else "images"
    predicted = {"tpr": f"sensitivity, {{}}, >= {threshold:.4g}", "tnr": f"specificity, {{}}, >= {threshold:.4g}"}
    auc = {"auc": "ROC AUC, {}"}
    names = {name: words.format(kind) for name, words in ((auc if read.is_smoothed else {}) | predicted).items()}
    at: dict[str, Any] = {"threshold": threshold, "resampling": resampling}
    note(names, patient_bootstraps(names, truth, score, patients, folds=folds, **at))
    # of a patient the highest score, against whether any image is positive
    joined = aggregate(patients, truth, score)
    names = {name: words.format("patients (highest score)") for name, words in (auc | predicted).items()}
    found = patient_bootstraps(names, joined.truth, joined.score, joined.groups, folds=folds[joined.first], **at)
    note(names, found, len(rows))
    if read.is_smoothed:
        of_slices = _legs(manifest, table.image[rows])
        legs = leg_extents(of_slices, patients=patients, truth=truth, score=score, folds=folds, threshold=threshold)
        names = {name: words.format(threshold) for name, words in _LEG_MEASURES.items()}
        note(names, legs.intervals(threshold, resampling), legs.slices)
    return results


def _entry(metric: str, found: BootstrapInterval, images: int | None, about: dict[str, Any]) -> MeasuredResult:
    known = not (math.isnan(found.low) or math.isnan(found.high)) and found.low < found.high
    method = f"patient bootstrap, {found.method}, {found.repeats} draws, seed {found.seed}"
    if found.undefined_repeats:
        method += f"; {found.undefined_repeats} draws in which it is not defined were left out"
    if not known:
        many = found.undefined_repeats > MOST_UNDEFINED * found.repeats and not math.isnan(found.value)
        why = (
            "not defined in more than half of the draws"
            if many
            else "not defined, one patient, or every draw was equal"
        )
        method += f": no interval ({why})"
    return MeasuredResult(
        metric=metric,
        value=None if math.isnan(found.value) else round(found.value, 6),
        interval=(round(found.low, 6), round(found.high, 6)) if known else None,
        interval_method=method,
        patients=found.patients,
        images=found.images if images is None else images,
        **about,
    )


@dataclass(frozen=True, slots=True, eq=False)
class LegExtents:
    """One row a leg.

    Attributes:
        patients: (k,) id of the patient.
        has_tumour: (k,) whether a slice of the leg shows tumour.
        score: (k,) highest score: of a tumour leg within its tumour, of another leg anywhere. A run that misses the
            tumour does not count as having found it.
        dice: (k,) overlap of predicted slices and tumour slices, 2 |A and B| / (|A| + |B|); 0 without either.
        folds: (k,) whose model evaluated.
        slices: number of slices evaluated.
    """

    patients: NDArray[np.str_] = field(repr=False)
    has_tumour: NDArray[np.bool_] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    dice: NDArray[np.float64] = field(repr=False)
    folds: NDArray[np.int64] = field(repr=False)
    slices: int

    def intervals(self, threshold: float, resampling: Resampling) -> dict[str, BootstrapInterval]:
        """Share of tumour legs found ("tpr"), of other legs left alone ("tnr"), and mean "dice" of tumour legs."""
        found = patient_bootstraps(
            ("tpr", "tnr"),
            self.has_tumour,
            self.score,
            self.patients,
            threshold=threshold,
            folds=self.folds,
            resampling=resampling,
        )
        dice = patient_bootstrap(
            _mean_of_positive, self.has_tumour, self.dice, self.patients, folds=self.folds, resampling=resampling
        )
        return {**found, "dice": dice}


def leg_extents(
    legs: Sequence[tuple[str, ...]],
    *,
    patients: NDArray[np.str_],
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    folds: NDArray[np.int64],
    threshold: float,
) -> LegExtents:
    """Join the slices of each leg.

    Args:
        legs: (n) which leg a slice is of.
        patients: (n,) id of the patient.
        truth: (n,) whether the slice shows tumour.
        score: (n,) as it is thresholded.
        folds: (n,) whose model evaluated; a leg is joined within a fold.
        threshold: a slice is predicted tumour from here on.
    """
    groups = _members(legs, folds)
    first = np.array([group[0] for group in groups], dtype=np.int64)
    return LegExtents(
        patients=patients[first],
        has_tumour=np.array([truth[group].any() for group in groups], dtype=np.bool_),
        score=np.array([_highest(truth[group], score[group]) for group in groups], dtype=np.float64),
        dice=np.array([_dice(truth[group], score[group], threshold) for group in groups], dtype=np.float64),
        folds=folds[first],
        slices=len(legs),
    )


def extent_point(
    legs: Sequence[tuple[str, ...]], *, truth: NDArray[np.bool_], score: NDArray[np.float64], folds: NDArray[np.int64]
) -> OperatingPoint:
    """The threshold at which predicted slices match the tumour best while other legs are left alone.

    Of every observed score the one with the largest mean of two numbers: the Dice of predicted and tumour slices,
    averaged over legs with tumour, and the share of legs without tumour in which nothing is predicted (their Dice, when
    nothing predicted is taken as a perfect answer to nothing there). Of equals the lowest.

    Args:
        legs: (n) which leg a slice is of, as the rest of ``leg_extents``; validation slices.
        truth: (n,) whether the slice shows tumour.
        score: (n,) as it is thresholded.
        folds: (n,) whose model evaluated.

    Returns:
        The point with the shares of legs found and left alone; without a threshold when a kind of leg is missing.
    """
    cuts = np.unique(score)
    dice, found, alone = [], [], []
    for group in _members(legs, folds):
        if truth[group].any():
            dice.append(_dice(truth[group], score[group], cuts))
            found.append(_highest(truth[group], score[group]) >= cuts)
        else:
            alone.append(score[group].max() < cuts)
    rule = "largest mean of the Dice over legs with tumour and the share of other legs left alone"
    if not dice or not alone:
        missing = "with" if alone else "without"
        return OperatingPoint("legs", rule, None, None, None, f"there is no leg {missing} tumour")
    best = int(np.argmax(np.mean(dice, axis=0) + np.mean(alone, axis=0)))
    shares = [float(np.mean(part, axis=0)[best]) for part in (found, alone)]
    return OperatingPoint("legs", rule, float(cuts[best]), shares[0], shares[1])


def _members(legs: Sequence[tuple[str, ...]], folds: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Numbers of the slices of each leg and fold, in the order in which they first appear."""
    members: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for index, leg in enumerate(legs):
        members.setdefault((leg, int(folds[index])), []).append(index)
    return [np.array(group, dtype=np.int64) for group in members.values()]


def _highest(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    return float((score[truth] if truth.any() else score).max())


def _dice(truth: NDArray[np.bool_], score: NDArray[np.float64], threshold: ArrayLike) -> NDArray[np.float64]:
    """For each threshold; 0 without tumour."""
    predicted = len(score) - np.searchsorted(np.sort(score), threshold)
    both = np.count_nonzero(truth) - np.searchsorted(np.sort(score[truth]), threshold)
    return np.asarray(2 * both / np.maximum(predicted + np.count_nonzero(truth), 1), dtype=np.float64)


def _mean_of_positive(truth: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
    """Weighted mean of the values of positive rows; NaN without one."""
    share = np.asarray(weights, dtype=np.float64) * np.asarray(truth, dtype=np.bool_)
    return float(share @ np.asarray(values, dtype=np.float64) / share.sum()) if share.sum() else float("nan")
