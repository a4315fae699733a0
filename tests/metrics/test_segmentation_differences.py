"""Differences of mask measures against a plain loop over draws; Dice beside the pooled measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import Resampling, draw_patients
from osteon.metrics.segmentation import (
    MASK_MEASURES,
    PixelCounts,
    image_dice,
    pixel_counts,
    pooled,
    pooled_difference,
)

PATIENTS = np.repeat(["a", "b", "c", "d"], [2, 3, 4, 1])


def _counts(seed: int, wrong: float) -> PixelCounts:
    truth = np.random.default_rng(2).random((10, 12, 10)) < 0.2
    noise = np.random.default_rng(seed).random(truth.shape) < wrong
    return pixel_counts(truth, np.where(noise, ~truth, truth))


def _rows(counts: PixelCounts, rows: np.ndarray) -> PixelCounts:
    return PixelCounts(*(column[rows] for column in counts.table.T))


@pytest.mark.parametrize("name", MASK_MEASURES)
def test_a_difference_is_that_of_the_measures_on_the_same_draws(name: str) -> None:
    first, second = _counts(3, 0.1), _counts(4, 0.2)
    how = Resampling(repeats=150, seed=5)
    found = pooled_difference(first, second, PATIENTS, measure=name, resampling=how)
    differences = []
    for row in draw_patients(4, range(150), seed=5):
        rows = np.concatenate([np.flatnonzero("abcd"[k] == PATIENTS) for k in range(4) for _ in range(row[k])])
        one, two = (
            pooled(_rows(counts, rows), PATIENTS[rows], measures=[name], resampling=Resampling(repeats=1))[name].value
            for counts in (first, second)
        )
        differences.append(one - two)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, (0.025, 0.975))))
    values = [pooled(counts, PATIENTS, measures=[name], resampling=how)[name].value for counts in (first, second)]
    assert found.value == pytest.approx(values[0] - values[1])
    least = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert found.p_value == pytest.approx(min(1, 2 * (least + 1) / 151))
    assert found.patients == 4


def test_a_method_does_not_differ_from_itself() -> None:
    counts = _counts(3, 0.1)
    found = pooled_difference(counts, counts, PATIENTS, resampling=Resampling(repeats=50))
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_dice_is_the_mean_over_images_and_its_interval_draws_patients() -> None:
    counts = _counts(3, 0.1)
    found = pooled(counts, PATIENTS, measures=["dice"], resampling=Resampling(repeats=100))["dice"]
    assert found.value == pytest.approx(image_dice(counts).mean())
    assert found.low < found.value < found.high


def test_what_cannot_be_paired_is_refused() -> None:
    counts = _counts(3, 0.1)
    with pytest.raises(InputError, match="in pairs"):
        pooled_difference(counts, _rows(counts, np.arange(3)), PATIENTS)
    with pytest.raises(UnknownLabelError, match="recall"):
        pooled_difference(counts, counts, PATIENTS, measure="recall")
    alone = pooled_difference(counts, counts, np.full(10, "a"))
    assert alone.value == 0
    assert alone.p_value is not None
    assert math.isnan(alone.p_value)
