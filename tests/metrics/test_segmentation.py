"""Measures of masks against scikit-learn on the same pixels, by hand, and by drawing patients in a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import Resampling, draw_patients
from osteon.metrics.segmentation import POOLED_MEASURES, image_dice, pixel_counts, pooled

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.str_]]

ORACLES: dict[str, Any] = {
    "f1": metrics.f1_score,
    "iou": metrics.jaccard_score,
    "accuracy": metrics.accuracy_score,
    "specificity": lambda truth, predicted: metrics.recall_score(~truth, ~predicted),
    "sensitivity": metrics.recall_score,
    "precision": metrics.precision_score,
}


@pytest.fixture(scope="module")
def masks() -> Masks:
    """Nine images of three patients."""
    generator = np.random.default_rng(2)
    truth = generator.random((9, 12, 10)) < 0.2
    predicted = np.where(generator.random(truth.shape) < 0.15, ~truth, truth)
    return truth, predicted, np.repeat(["a", "b", "c"], [2, 3, 4])


@pytest.mark.parametrize("name", POOLED_MEASURES)
def test_pooled_measures_are_scikit_learns(masks: Masks, name: str) -> None:
    truth, predicted, patients = masks
    how = Resampling(repeats=200)
    found = pooled(pixel_counts(truth, predicted), patients, measures=[name], resampling=how)[name]
    assert found.value == pytest.approx(ORACLES[name](truth.ravel(), predicted.ravel()))
    replicates = []
    for row in draw_patients(3, range(200), seed=how.seed):
        rows = np.concatenate([np.flatnonzero(patients == "abc"[k]) for k in range(3) for _ in range(row[k])])
        replicates.append(ORACLES[name](truth[rows].ravel(), predicted[rows].ravel()))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(replicates, (0.025, 0.975))))
    assert (found.patients, found.undefined_repeats) == (3, 0)


def test_dice_of_an_image_is_its_f1(masks: Masks) -> None:
    truth, predicted, _ = masks
    counts = pixel_counts(truth, predicted)
    wanted = [metrics.f1_score(one.ravel(), other.ravel()) for one, other in zip(truth, predicted, strict=True)]
    assert image_dice(counts) == pytest.approx(wanted)


def test_two_empty_masks_have_a_stated_rule() -> None:
    truth = np.zeros((3, 2, 2), bool)
    predicted = truth.copy()
    truth[0, 0, 0] = predicted[0, 0, 0] = predicted[1, 0, 0] = True  # right, wrong, empty
    counts = pixel_counts(truth, predicted)
    assert image_dice(counts).tolist() == [1, 0, 1]
    nothing = pixel_counts(truth[2:], predicted[2:])
    found = pooled(nothing, ["p"])
    assert math.isnan(found["f1"].value)
    assert math.isnan(found["sensitivity"].low)
    assert found["specificity"].value == 1
    assert math.isnan(found["specificity"].low)  # one patient only


def test_what_cannot_be_compared_is_refused(masks: Masks) -> None:
    truth, predicted, patients = masks
    counts = pixel_counts(truth, predicted)
    for one, other, said in (
        (truth, predicted[:, :5], "cannot be compared"),
        (truth[0], predicted[0], "cannot be compared"),
        (truth, predicted.astype(np.float32), "threshold first"),
    ):
        with pytest.raises(InputError, match=said):
            pixel_counts(one, other)
    with pytest.raises(InputError, match="one an image"):
        pooled(counts, patients[:4])
    with pytest.raises(InputError, match="percentile"):
        pooled(counts, patients, resampling=Resampling(method="bca"))
    with pytest.raises(UnknownLabelError, match="did you mean 'iou'"):
        pooled(counts, patients, measures=["iuo"])
