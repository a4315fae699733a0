"""Thresholds against scikit-learn's ROC and an exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from osteon.errors import InputError
from osteon.metrics.classification import (
    choose_points,
    confusion_at,
    target_point,
    youden_point,
)

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]


def sample(seed: int, n: int = 80, decimals: int = 1) -> Sample:
    """Overlapping scores with ties."""
    generator = np.random.default_rng(seed)
    truth = generator.random(n) < 0.4
    truth[:2] = True, False
    return truth, np.round(generator.normal(1.2 * truth, 1), decimals)


def rates(sample: Sample, threshold: float) -> tuple[float, float]:
    truth, score = sample
    return float((score[truth] >= threshold).mean()), float((score[~truth] < threshold).mean())


@pytest.mark.parametrize("seed", range(12))
def test_each_rule_is_what_an_exhaustive_search_finds(seed: int) -> None:
    given = sample(seed)
    every = [rates(given, t) for t in np.unique(given[1])]
    youden, sensitive, specific = choose_points(*given, sensitivity=0.9, specificity=0.9)
    assert youden.sensitivity is not None
    assert youden.specificity is not None
    assert youden.sensitivity + youden.specificity == pytest.approx(max(a + b for a, b in every))
    assert sensitive.specificity == pytest.approx(max(b for a, b in every if a >= 0.9))
    assert specific.sensitivity == pytest.approx(max(a for a, b in every if b >= 0.9))
    for point in (youden, sensitive, specific):
        assert point.threshold is not None
        assert (point.sensitivity, point.specificity) == pytest.approx(rates(given, point.threshold))


def test_youden_is_the_point_of_scikit_learns_curve() -> None:
    truth, score = sample(5, n=400, decimals=6)
    false, true, thresholds = roc_curve(truth, score, drop_intermediate=False)
    assert youden_point(truth, score).threshold == thresholds[np.argmax(true - false)]


def test_by_hand() -> None:
    truth, score = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.6, 0.8, 0.9]
    assert youden_point(truth, score).threshold == 0.4  # 1 + 3/4
    point = target_point(truth, score, at_least=0.75, of="sensitivity")
    assert (point.threshold, point.sensitivity, point.specificity) == (0.6, 0.75, 0.75)
    point = target_point(truth, score, at_least=0.95, of="specificity")
    assert (point.threshold, point.sensitivity, point.specificity) == (0.8, 0.5, 1.0)
    assert point.rule == "best sensitivity with specificity >= 0.95"


def test_a_score_at_the_threshold_is_positive_and_the_threshold_stays() -> None:
    point = youden_point([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
    found = confusion_at([0, 1, 1, 0, 1], [0.7, 0.7, 0.69, 0.1, 0.95], point.threshold or 0.0)
    assert (found.tp, found.fn, found.fp, found.tn) == (2, 1, 1, 1)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.specificity == 0.5


def test_a_target_that_cannot_be_met_is_reported() -> None:
    # the lowest score is a positive's, the highest a negative's
    truth, score = [1, 0, 1, 0], [0.1, 0.2, 0.3, 0.9]
    low = target_point(truth, score, of="sensitivity")
    assert (low.threshold, low.sensitivity) == (None, None)
    assert "every image positive" in low.note
    high = target_point(truth, score, of="specificity")
    assert high.threshold is None
    assert "every image negative" in high.note
    flat = youden_point([0, 1, 0, 1], [0.5] * 4)
    assert "no threshold does better" in flat.note


@pytest.mark.parametrize("truth", [[1, 1], [0, 0]])
def test_one_class_gives_no_threshold(truth: list[int]) -> None:
    with pytest.raises(InputError, match="both classes"):
        youden_point(truth, [0.1, 0.2])


@pytest.mark.parametrize("target", [0.0, 1.01, float("nan")])
def test_a_target_is_a_share(target: float) -> None:
    with pytest.raises(InputError, match="target"):
        target_point([0, 1], [0.1, 0.2], at_least=target, of="sensitivity")
