"""What can be had without looking at an image: the majority class, and what age, sex and origin alone give away.

They stand in every table. A network that does not beat the fields has learnt who comes from where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split

__all__ = ["FIELDS", "fields_only", "known_fields", "majority_class"]

FIELDS = ("age_years", "sex", "centre", "scanner", "plane")
"""What is known of an image before it is looked at."""


def majority_class(manifest: Manifest, split: Split, *, classes: Sequence[str], positive: str) -> Predictions:
    """Predictions of a model that says for every image what most training images are."""

    def judge(train: NDArray[np.int64], test: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = np.bincount(labels[train], minlength=len(classes)) / train.size
        return np.tile(shares, (test.size, 1))

    return _predictions(manifest, split, classes, positive, judge)


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

    def judge(train: NDArray[np.int64], test: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        from sklearn.linear_model import LogisticRegression

        model: Any = LogisticRegression(max_iter=1000)
        design = np.concatenate([_design(name, columns[name], train) for name in names], axis=1)
        present = np.unique(labels[train])
        shares = np.zeros((test.size, len(classes)))
        if present.size == 1:
            shares[:, present[0]] = 1.0
            return shares
        model.fit(design[train], labels[train])
        shares[:, present] = model.predict_proba(design[test])
        return shares

    return _predictions(manifest, split, classes, positive, judge)


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
    judge: Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
) -> Predictions:
    labels = np.array([list(classes).index(row.label) for row in manifest.rows], dtype=np.int64)
    tables = []
    for fold in range(len(split.folds)):
        rows = split.rows(manifest, fold)
        logits = np.log(np.clip(judge(rows.train, rows.test, labels), 1e-6, 1)).astype(np.float32)
        tables.append(
            Predictions.of_rows(manifest, rows.test, logits, classes=classes, positive=positive, fold=fold, part="test")
        )
    return Predictions.joined(tables)
