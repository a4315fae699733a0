"""Posteriors of two Gaussians, known in closed form, come back from a classifier of other shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from osteon.errors import InputError
from osteon.metrics.calibration import share_offsets


def test_bayes_rule_in_closed_form() -> None:
    x = np.linspace(-3, 4, 15)
    density = np.column_stack([norm.pdf(x), norm.pdf(x, loc=1.5)])
    logits = np.log(density * [0.5, 0.5])  # as trained on equal shares
    shifted = np.exp(logits + share_offsets([0.94, 0.06], [0.5, 0.5]))
    wanted = density * [0.94, 0.06]
    np.testing.assert_allclose(shifted / shifted.sum(1, keepdims=True), wanted / wanted.sum(1, keepdims=True))


def test_a_weighted_fit_becomes_the_unweighted_one() -> None:
    generator = np.random.default_rng(4)
    truth = generator.random(40_000) < 0.06
    x = (generator.normal(size=truth.size) + 1.5 * truth)[:, None]
    weighted = LogisticRegression(C=1e6, class_weight="balanced").fit(x, truth).decision_function(x)
    plain = LogisticRegression(C=1e6).fit(x, truth).decision_function(x)
    offsets = share_offsets([0.94, 0.06], [1, 1])
    np.testing.assert_allclose(weighted + offsets[1] - offsets[0], plain, atol=0.35)
    assert np.mean(1 / (1 + np.exp(-weighted - offsets[1] + offsets[0]))) == pytest.approx(truth.mean(), abs=0.005)


def test_equal_shares_change_nothing_and_wrong_ones_are_refused() -> None:
    assert share_offsets([3, 1], [6, 2]).tolist() == [0, 0]
    for true, trained in (([1, 0], [1, 1]), ([1, 1], [1, 1, 1])):
        with pytest.raises(InputError, match="one a class"):
            share_offsets(true, trained)
