"""Rates of several classes: by hand, against the binary ones, and their intervals against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import Resampling, draw_patients
from osteon.metrics.classification import confusion_at
from osteon.metrics.multiclass import ClassCounts, class_counts, cluster_intervals

NAMES = ("none", "dead", "alive")


def test_rates_worked_out_by_hand() -> None:
    truth = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    predicted = [0, 0, 0, 1, 1, 1, 2, 2, 0, 1]
    counts = class_counts(truth, predicted, NAMES)
    np.testing.assert_array_equal(counts.matrix, [[3, 1, 0], [0, 2, 1], [1, 1, 1]])
    assert counts.rate("accuracy") == 0.6
    assert counts.rate("recall", "none") == 0.75
    assert counts.rate("precision", "dead") == 0.5
    assert counts.rate("f1", "alive") == pytest.approx(2 * 1 / (3 + 2))
    assert counts.rate("balanced_accuracy") == pytest.approx((3 / 4 + 2 / 3 + 1 / 3) / 3)


def test_two_classes_together_are_the_binary_measures() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 3, 60), random.integers(0, 3, 60)
    counts = class_counts(truth, predicted, NAMES)
    binary = confusion_at(truth > 0, (predicted > 0).astype(float), 0.5)
    pairs = {"recall": "tpr", "specificity": "tnr", "precision": "precision", "f1": "f1", "accuracy": "accuracy"}
    for mine, theirs in pairs.items():
        assert counts.rate(mine, "dead", "alive") == pytest.approx(binary.rate(theirs))


def test_intervals_are_those_of_a_loop_over_drawn_patients() -> None:
    random = np.random.default_rng(1)
    truth, predicted, who = random.integers(0, 3, 80), random.integers(0, 3, 80), random.integers(0, 6, 80)
    how = Resampling(repeats=50, seed=3)
    found = cluster_intervals(
        (("accuracy",), ("recall", "alive")), truth, predicted, who, classes=NAMES, resampling=how
    )
    slow = []
    for counts in draw_patients(6, range(50), seed=3):
        rows = np.concatenate([np.repeat(np.flatnonzero(who == one), times) for one, times in enumerate(counts)])
        slow.append((truth[rows] == predicted[rows]).mean())
    low, high = np.quantile(slow, (0.025, 0.975))
    one = found["accuracy",]
    assert (one.low, one.high) == pytest.approx((low, high))
    assert one.value == pytest.approx((truth == predicted).mean())
    assert (one.patients, one.images) == (6, 80)


def test_what_is_not_defined_is_nan_and_one_patient_has_no_interval() -> None:
    counts = class_counts([0, 0], [0, 0], NAMES)
    assert np.isnan(counts.rate("recall", "dead"))
    alone = cluster_intervals((("accuracy",),), [0, 1], [0, 0], ["a", "a"], classes=NAMES)["accuracy",]
    assert alone.value == 0.5
    assert np.isnan(alone.low)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="one each"):
        class_counts([0, 1], [0], NAMES)
    with pytest.raises(InputError, match="0 to 2"):
        class_counts([0, 3], [0, 1], NAMES)
    with pytest.raises(UnknownLabelError, match="no class"):
        ClassCounts(np.eye(3, dtype=int), NAMES).rate("recall", "alife")
    with pytest.raises(UnknownLabelError, match="no measure"):
        ClassCounts(np.eye(3, dtype=int), NAMES).rate("recal", "alive")
