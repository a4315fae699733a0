"""Extents against legs counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.metrics.bootstrap import Resampling
from osteon.training.extents import LegExtents, leg_extents

TRUTH = {"a": "0011110000", "b": "0000000000", "c": "0110000000", "d": "0000000000"}
CALLED = {"a": "0001111000", "b": "0000000000", "c": "0000000110", "d": "1000000000"}
PATIENT = {"a": "p1", "b": "p1", "c": "p2", "d": "p2"}


def _extents() -> LegExtents:
    order = np.random.default_rng(1).permutation(40)  # slices come in any order
    legs = [(name,) for name in TRUTH for _ in range(10)]
    bits = {
        name: np.array([list(map(int, word)) for word in table.values()]).ravel()
        for name, table in (("t", TRUTH), ("c", CALLED))
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
    assert found["tpr"].value == 0.5  # a is found; c is called, but elsewhere
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
