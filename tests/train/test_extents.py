"""Extents against legs counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.metrics.bootstrap import Resampling
from osteon.train.export.results import LegExtents, extent_point, leg_extents

TRUTH = {"a": "0011110000", "b": "0000000000", "c": "0110000000", "d": "0000000000"}
PREDICTED = {"a": "0001111000", "b": "0000000000", "c": "0000000110", "d": "1000000000"}
PATIENT = {"a": "p1", "b": "p1", "c": "p2", "d": "p2"}


def _extents() -> LegExtents:
    order = np.random.default_rng(1).permutation(40)  # slices come in any order
    legs = [(name,) for name in TRUTH for _ in range(10)]
    bits = {
        name: np.array([list(map(int, word)) for word in table.values()]).ravel()
        for name, table in (("t", TRUTH), ("c", PREDICTED))
    }
    return leg_extents(
        [legs[index] for index in order],
        patients=np.array([PATIENT[legs[index][0]] for index in order]),
        truth=bits["t"][order].astype(np.bool_),
        score=np.where(bits["c"], 0.9, 0.2)[order],
        folds=np.zeros(40, dtype=np.int64),
        threshold=0.5,
    )


def test_a_call_beside_the_tumour_has_not_found_it() -> None:
    found = _extents().intervals(0.5, Resampling(repeats=200))
    assert found["tpr"].value == 0.5  # a is found; c is predicted, but elsewhere
    assert found["tnr"].value == 0.5  # b is left alone; d is not
    assert found["dice"].value == pytest.approx((2 * 3 / 8 + 0) / 2)
    assert (found["dice"].low, found["dice"].high) == (0, 0.75)  # of two patients
    assert found["dice"].patients == 2


def test_folds_are_joined_each_for_itself() -> None:
    found = leg_extents(
        [("a",)] * 4,
        patients=np.array(["p"] * 4),
        truth=np.array([True, False, True, False]),
        score=np.array([0.9, 0.1, 0.1, 0.9]),
        folds=np.array([0, 0, 1, 1]),
        threshold=0.5,
    )
    assert found.dice.tolist() == [1.0, 0.0]
    assert found.score.tolist() == [0.9, 0.1]
    assert found.slices == 4


def test_the_point_is_the_best_of_all_thresholds() -> None:
    generator = np.random.default_rng(5)
    truth = np.array([list(map(int, word)) for word in TRUTH.values()]).ravel().astype(np.bool_)
    score = np.round(0.3 * truth + generator.random(40), 1)  # many ties
    legs = [(name,) for name in TRUTH for _ in range(10)]
    found = extent_point(legs, truth=truth, score=score, folds=np.zeros(40, dtype=np.int64))
    merit = {}
    for cut in np.unique(score).tolist():
        predicted = score.reshape(4, 10) >= cut
        dice = [
            2 * np.sum(predicted[leg] & truth[10 * leg :][:10]) / (predicted[leg].sum() + count)
            for leg, count in ((0, 4), (2, 2))
        ]
        merit[cut] = np.mean(dice) + np.mean(~predicted[[1, 3]].any(axis=1))
    assert found.threshold is not None
    assert merit[found.threshold] == pytest.approx(max(merit.values()))
    assert found.threshold == min(cut for cut, value in merit.items() if value > max(merit.values()) - 1e-9)
    predicted = score.reshape(4, 10) >= found.threshold
    assert found.specificity == np.mean(~predicted[[1, 3]].any(axis=1))
    assert found.sensitivity == np.mean([predicted[0][2:6].any(), predicted[2][1:3].any()])


def test_without_a_kind_of_leg_there_is_no_point() -> None:
    found = extent_point(
        [("a",)] * 2, truth=np.array([True, False]), score=np.array([0.9, 0.1]), folds=np.zeros(2, int)
    )
    assert found.threshold is None
    assert found.note == "there is no leg without tumour"
