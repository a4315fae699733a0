"""What the models of a run are worth: each fold's measure on its test part, and two intervals of their mean.

Two questions, two intervals. Student's t over folds, as the papers give it, asks how much the mean would change with
other folds; its few values share patients, and it can leave 0..1. The patient bootstrap asks how much it would change
with other patients: they are drawn with replacement, and all models of a fold scheme see the same draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Predictions
from osteon.errors import InputError
from osteon.metrics.bootstrap import BootstrapInterval, Resampling, paired_difference, patient_bootstraps
from osteon.metrics.classification import measure
from osteon.metrics.folds import CorrectedTTest, FoldInterval, corrected_t_test, fold_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split

__all__ = [
    "FIELDS",
    "POSITION",
    "TABLE_MEASURES",
    "Difference",
    "Measured",
    "compare_runs",
    "evaluate_folds",
    "fields_only",
    "known_fields",
    "majority_class",
    "position_only",
]

TABLE_MEASURES = ("auc", "tpr", "tnr")
"""The measures of the papers' tables; sensitivity (TPR) and specificity (TNR) from a probability of 0.5 on."""

FIELDS = ("age_years", "sex", "centre", "scanner", "plane")
"""What is known of an image before it is looked at: a network that does not beat it has learnt who comes from where."""

POSITION: Final = "position"
"""Column of a manifest: where in its series an image is, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of one run.

    Attributes:
        name: of ``osteon.metrics.classification.MEASURES``.
        by_fold: one value a fold, on its test part; NaN where it is not defined.
        over_folds: their mean with Student's t.
        over_patients: the same mean with a patient bootstrap.
    """

    name: str
    by_fold: tuple[float, ...]
    over_folds: FoldInterval
    over_patients: BootstrapInterval = field(repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of one run minus that of another.

    Attributes:
        name: of the measure.
        over_patients: the difference of the means over folds, patients drawn for both at once, with its p value.
        over_folds: Nadeau and Bengio's corrected t test over the folds where both are defined; None with fewer than
            two.
    """

    name: str
    over_patients: BootstrapInterval
    over_folds: CorrectedTTest | None


def evaluate_folds(
    predictions: Predictions, *, measures: Sequence[str] = TABLE_MEASURES, resampling: Resampling | None = None
) -> dict[str, Measured]:
    """Measures of ``osteon.metrics.classification.MEASURES`` of a run on the test parts of all its folds.

    Raises:
        InputError: no row of part "test".
    """
    test = _test_rows(predictions)
    folds = np.unique(test.fold)
    truth, score = test.is_positive, test.probability
    resampled = patient_bootstraps(measures, truth, score, test.patient, folds=test.fold, resampling=resampling)
    evaluated = {}
    for name in measures:
        values = [measure(name, truth[test.fold == fold], score[test.fold == fold]) for fold in folds]
        evaluated[name] = Measured(name, tuple(values), fold_interval(values), resampled[name])
    return evaluated


def compare_runs(
    first: Predictions, second: Predictions, *, name: str = "auc", resampling: Resampling | None = None
) -> Difference:
    """First minus second run, on the same folds of the same data, whose rows may come in another order.

    Raises:
        InputError: the runs were not evaluated on the same images in the same folds.
    """
    tests = map(_test_rows, (first, second))
    one, two = (test.where(np.lexsort((test.image, test.fold))) for test in tests)
    if not (np.array_equal(one.image, two.image) and np.array_equal(one.fold, two.fold)):
        raise InputError("two runs can be compared only where both were evaluated on the same images in the same folds")
    truth = one.is_positive
    both = one.probability, two.probability
    resampled = paired_difference(name, truth, both, one.patient, folds=one.fold, resampling=resampling)
    parts = [one.fold == fold for fold in np.unique(one.fold)]
    by_fold = np.array([[measure(name, truth[rows], scores[rows]) for scores in both] for rows in parts])
    defined = by_fold[np.isfinite(by_fold).all(axis=1)]
    test = corrected_t_test(defined[:, 0], defined[:, 1]) if len(defined) > 1 else None
    return Difference(name, resampled, test)


def _test_rows(predictions: Predictions) -> Predictions:
    test = predictions.of(part="test")
    if len(test) == 0:
        raise InputError('these predictions have no row of part "test": nothing can be evaluated')
    return test


def majority_class(manifest: Manifest, split: Split, *, classes: Sequence[str], positive: str) -> Predictions:
    """Predictions of a model that says for every image what most training images are."""

    def evaluate(train: NDArray[np.int64], test: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = np.bincount(labels[train], minlength=len(classes)) / train.size
        return np.tile(shares, (test.size, 1))

    return _predictions(manifest, split, classes, positive, evaluate)


def known_fields(manifest: Manifest) -> tuple[str, ...]:
    """Those of ``FIELDS`` that hold at least two different values."""
    return tuple(name for name in FIELDS if np.unique(manifest.column(name)).size > 1)


def fields_only(manifest: Manifest, split: Split, *, classes: Sequence[str], positive: str) -> Predictions | None:
    """Predictions of a logistic regression on ``known_fields``, fitted on each fold's training part.

    Ages are standardised, an unknown age takes the mean and a sign of its own; the other fields are indicators, a value
    never seen in training has none. The penalty is scikit-learn's default.

    Returns:
        None when no field is known.
    """
    names = known_fields(manifest)
    if not names:
        return None
    columns = {name: manifest.column(name) for name in names}

    def design(train: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.concatenate([_design(name, columns[name], train) for name in names], axis=1)

    return _regressed(manifest, split, classes, positive, design)


def position_only(manifest: Manifest, split: Split, *, classes: Sequence[str], positive: str) -> Predictions:
    """Predictions of a logistic regression on where in its series an image is, fitted on each fold's training part.

    Scans that were cut around what is looked for tell by the position of a slice what it shows: the distance from the
    middle is given too. Both are standardised; the penalty is scikit-learn's default.

    Raises:
        InputError: the manifest lacks the column ``position``, 0 at the first slice of a series to 1 at the last.
    """
    texts = [row.extra.get(POSITION, "") for row in manifest.rows]
    try:
        place = np.array([float(text) for text in texts])
    except ValueError as error:
        raise InputError(
            f"the manifest's column {POSITION} must hold a number from 0 to 1 for each image: make the data set again"
        ) from error
    both = np.stack([place, np.abs(place - 0.5)], axis=1)

    def design(train: NDArray[np.int64]) -> NDArray[np.float64]:
        deviation = both[train].std(axis=0)
        return np.asarray((both - both[train].mean(axis=0)) / np.where(deviation > 0, deviation, 1))

    return _regressed(manifest, split, classes, positive, design)


def _regressed(
    manifest: Manifest,
    split: Split,
    classes: Sequence[str],
    positive: str,
    design: Callable[[NDArray[np.int64]], NDArray[np.float64]],
) -> Predictions:
    """Predictions of logistic regressions; ``design`` gives what they see of all images, from the training rows."""

    def evaluate(train: NDArray[np.int64], test: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        from sklearn.linear_model import LogisticRegression

        model: Any = LogisticRegression(max_iter=1000)
        seen, present = design(train), np.unique(labels[train])
        shares = np.zeros((test.size, len(classes)))
        if present.size == 1:
            shares[:, present[0]] = 1.0
            return shares
        model.fit(seen[train], labels[train])
        shares[:, present] = model.predict_proba(seen[test])
        return shares

    return _predictions(manifest, split, classes, positive, evaluate)


def _design(name: str, column: NDArray[np.str_], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Columns of a field for every image; scale and values are those of the training part."""
    if name != "age_years":
        return np.stack([column == value for value in np.unique(column[train])], axis=1).astype(np.float64)
    unknown = column == ""
    age = np.where(unknown, "nan", column).astype(np.float64)
    known = age[train][~unknown[train]]
    mean, deviation = (known.mean(), known.std() or 1.0) if known.size else (0.0, 1.0)
    return np.stack([np.where(unknown, 0.0, (age - mean) / deviation), unknown], axis=1)


def _predictions(
    manifest: Manifest,
    split: Split,
    classes: Sequence[str],
    positive: str,
    evaluate: Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
) -> Predictions:
    labels = np.array([list(classes).index(row.label) for row in manifest.rows], dtype=np.int64)
    tables = []
    for fold in range(len(split.folds)):
        rows = split.rows(manifest, fold)
        logits = np.log(np.clip(evaluate(rows.train, rows.test, labels), 1e-6, 1)).astype(np.float32)
        tables.append(
            Predictions.of_rows(manifest, rows.test, logits, classes=classes, positive=positive, fold=fold, part="test")
        )
    return Predictions.joined(tables)
