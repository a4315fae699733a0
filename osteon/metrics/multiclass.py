"""Several classes: a matrix of counts, its rates, and their intervals over patients.

The rule of ``osteon.metrics.classification`` holds here too: a rate whose denominator is empty is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap import BootstrapInterval, Resampling, SampleSize, drawn_patients, interval_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClassCounts", "class_counts", "cluster_intervals"]


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Counts by true and by predicted class, of one set of images or of many at once.

    Attributes:
        matrix: (..., true, predicted) counts.

    Example:
        >>> counts = ClassCounts(np.array([[8, 2], [1, 9]]), ("none", "tumour"))
        >>> float(counts.rate("accuracy")), float(counts.rate("recall", "tumour"))
        (0.85, 0.9)
    """

    matrix: NDArray[np.integer] = field(repr=False)
    classes: tuple[str, ...]

    def rate(self, measure: str, *classes: str) -> NDArray[np.float64]:
        """A rate, (...); NaN where its denominator is 0.

        Args:
            measure: "accuracy", of all classes; or "precision", "recall", "specificity", "f1" or "balanced_accuracy"
                of ``classes``, taken together as one class against the rest.
            classes: which; empty for accuracy, and for "balanced_accuracy", which is then the mean recall of all.

        Raises:
            UnknownLabelError: no such measure or class.
        """
        whole = self.matrix.sum(axis=(-2, -1))
        if measure == "accuracy" and not classes:
            return _share(np.trace(self.matrix, axis1=-2, axis2=-1), whole)
        if measure == "balanced_accuracy" and not classes:
            return np.asarray(np.mean([self.rate("recall", name) for name in self.classes], axis=0))
        picked = [self._index(name) for name in classes]
        truly = self.matrix[..., picked, :].sum(axis=(-2, -1))
        predicted = self.matrix[..., :, picked].sum(axis=(-2, -1))
        both = self.matrix[..., picked, :][..., picked].sum(axis=(-2, -1))
        neither = whole - truly - predicted + both
        rates = {
            "accuracy": (both + neither, whole),
            "recall": (both, truly),
            "precision": (both, predicted),
            "specificity": (neither, whole - truly),
            "f1": (2 * both, truly + predicted),
        }
        if measure not in rates:
            raise UnknownLabelError(f"no measure {measure!r} of classes: {nearest_names(measure, rates)}")
        return _share(*rates[measure])

    def _index(self, name: str) -> int:
        if name not in self.classes:
            raise UnknownLabelError(f"no class {name!r}: {nearest_names(name, self.classes)}")
        return self.classes.index(name)


def class_counts(truth: ArrayLike, predicted: ArrayLike, classes: tuple[str, ...]) -> ClassCounts:
    """Count classes 0 to len(classes) - 1, true and predicted, one of each an image.

    Raises:
        InputError: shapes differ, or a number is not a class.
    """
    return ClassCounts(_by_group(truth, predicted, len(classes), np.zeros(np.size(truth), np.int64), 1)[0], classes)


def cluster_intervals(
    measures: tuple[tuple[str, ...], ...],
    truth: ArrayLike,
    predicted: ArrayLike,
    patients: ArrayLike,
    *,
    classes: tuple[str, ...],
    resampling: Resampling | None = None,
) -> dict[tuple[str, ...], BootstrapInterval]:
    """Rates with intervals from resampled patients, all on the same resamples; classes (n,) are true and predicted.

    Args:
        measures: arguments of ``ClassCounts.rate``, as ("recall", "viable").
        truth: (n,) true class.
        predicted: (n,) predicted class.
        patients: (n,) whose image.
        classes: names.
        resampling: repeats, seed and confidence; percentile only.

    Raises:
        InputError: shapes differ, or BCa is asked for.
        UnknownLabelError: no such measure or class.

    References:
        Field and Welsh 2007, 10.1111/j.1467-9868.2007.00593.x
    """
    how = resampling or Resampling()
    owner, draws = drawn_patients(np.asarray(patients).astype(str), np.size(truth), how, of="several classes")
    each = _by_group(truth, predicted, len(classes), owner, draws.shape[1])
    drawn, whole = ClassCounts(np.einsum("rp,pij->rij", draws, each), classes), ClassCounts(each.sum(axis=0), classes)
    size = SampleSize(draws.shape[1], int(each.sum()))
    return {
        measure: interval_of(float(whole.rate(*measure)), drawn.rate(*measure), how, size=size) for measure in measures
    }


def _by_group(
    truth: ArrayLike, predicted: ArrayLike, classes: int, group: NDArray[np.int64], groups: int
) -> NDArray[np.int64]:
    """(groups, true, predicted) counts."""
    rows, columns = np.asarray(truth), np.asarray(predicted)
    if rows.shape != columns.shape or rows.ndim != 1 or rows.shape != group.shape or rows.size == 0:
        raise InputError(
            f"true classes of {rows.shape} images and predicted ones of {columns.shape}: one each is needed"
        )
    for values in (rows, columns):
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= classes:
            raise InputError(f"classes must be whole numbers 0 to {classes - 1}")
    place = (group * classes + rows.astype(np.int64)) * classes + columns
    return np.bincount(place, minlength=groups * classes**2).reshape(groups, classes, classes)


def _share(part: NDArray[np.integer], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    whole = np.asarray(whole)
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), np.nan), dtype=np.float64)
