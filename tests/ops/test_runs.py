from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from osteon.errors import InputError
from osteon.ops.runs import positive_runs, smooth_scores, stretches


def test_filters_by_hand() -> None:
    # sigma 0 leaves the median: each value becomes the middle one of three
    assert smooth_scores([0, 1, 1, 0, 1], sigma=0).tolist() == [0, 1, 1, 1, 1]
    assert smooth_scores([0.5, 0.25, 1.0], sigma=0, median=1).tolist() == [0.5, 0.25, 1.0]


def test_filters_equal_scipy_in_the_papers_order() -> None:
    scores = np.random.default_rng(0).random(60)
    gaussian = ndimage.gaussian_filter1d(scores, 2)
    expected = np.array([np.median(np.pad(gaussian, 1, mode="edge")[i : i + 3]) for i in range(60)])
    assert np.allclose(smooth_scores(scores), expected, atol=1e-7)


def test_a_constant_score_stays_to_the_ends() -> None:
    assert np.allclose(smooth_scores(np.full(5, 0.97)), 0.97)


def test_a_gap_keeps_both_sides_apart() -> None:
    present = np.array([True] * 10 + [False] * 2 + [True] * 10)
    scores = np.where(np.arange(22) < 10, 1.0, 0.0)
    smoothed = smooth_scores(scores, present=present)
    assert np.allclose(smoothed[:10], 1)
    assert not smoothed[10:].any()
    assert positive_runs(np.ones(22), present=present) == ((0, 10), (12, 22))


def test_bad_settings_are_refused() -> None:
    for keywords in ({"sigma": -1.0}, {"median": 2}, {"present": [True]}):
        with pytest.raises(InputError):
            smooth_scores([0.0, 1.0], **keywords)
    with pytest.raises(InputError, match="NaN"):
        smooth_scores([0.0, float("nan")])
    assert smooth_scores([0.0, float("nan")], present=[True, False]).tolist() == [0, 0]


def test_the_threshold_itself_is_positive() -> None:
    assert positive_runs(np.array([0.95], dtype=np.float32)) == ((0, 1),)
    assert positive_runs([]) == ()


@given(st.lists(st.booleans(), max_size=40))
def test_stretches_hold_exactly_the_true_slices(flags: list[bool]) -> None:
    rebuilt = np.zeros(len(flags), dtype=bool)
    for first, stop in stretches(flags):
        assert stop > first
        rebuilt[first:stop] = True
    assert rebuilt.tolist() == flags
