"""Lesions are matched as the rule says, against closed forms and against every pair of voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.lesion_detection import Matching, ScanLesions, label_lesions, match_lesions

Spacing = tuple[float, float, float]
UNEVEN: Spacing = (5.0, 0.8, 0.5)


def box(*boxes: tuple[slice, slice, slice], shape: tuple[int, int, int] = (6, 20, 24)) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    for one in boxes:
        mask[one] = True
    return mask


def bar(start: int, stop: int, row: int = 4) -> tuple[slice, slice, slice]:
    return (slice(1, 3), slice(row, row + 3), slice(start, stop))


def matched(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], matching: Matching, **more: object) -> ScanLesions:
    return match_lesions(truth, predicted, spacing_mm=UNEVEN, patient="p", matching=matching, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", range(9))
def test_a_bar_that_moved_is_the_same_as_long_as_the_rule_says(shift: int) -> None:
    truth, predicted = box(bar(4, 12)), box(bar(4 + shift, 12 + shift))
    iou, covered, apart_mm = max(0, 8 - shift) / (8 + min(shift, 8)), max(0, 8 - shift) / 8, shift * UNEVEN[2]
    for least in (0.1, 0.25, 0.5, 0.9):
        assert matched(truth, predicted, Matching(least=least)).is_hit[0] == (iou >= least)
        assert matched(truth, predicted, Matching("covered", least=least)).is_hit[0] == (covered >= least)
    for most in (0.0, 1.2, 2.0, 5.0):
        assert matched(truth, predicted, Matching("centre", most_mm=most)).is_hit[0] == (apart_mm <= most)
    assert matched(truth, predicted, Matching(least=0.0)).is_hit[0] == (shift < 8)


def test_centres_are_apart_in_mm() -> None:
    truth, predicted = box((slice(0, 1), slice(5, 8), slice(5, 8))), box((slice(1, 2), slice(5, 8), slice(5, 8)))
    assert not matched(truth, predicted, Matching("centre", most_mm=4.9)).is_hit[0]
    assert matched(truth, predicted, Matching("centre", most_mm=5.0)).is_hit[0]


def test_a_lesion_that_broke_up_counts_once_and_lesions_that_grew_together_each() -> None:
    whole, parts = box(bar(2, 14)), box(bar(2, 7), bar(9, 14))
    broken = matched(whole, parts, Matching(least=0.3), probability=[0.4, 0.9])
    assert broken.is_hit.tolist() == [True, True]
    assert broken.true_probability.tolist() == [0.9]
    together = matched(parts, whole, Matching(least=0.3), probability=[0.6])
    assert together.is_hit.tolist() == [True]
    assert together.true_probability.tolist() == [0.6, 0.6]


def test_a_lesion_touches_another_at_a_corner() -> None:
    mask = box((slice(0, 1), slice(0, 1), slice(0, 1)), (slice(1, 2), slice(1, 2), slice(1, 2)))
    mask[1, 1, 2] = mask[2, 2, 2] = True
    assert label_lesions(mask).max() == 1
    apart = mask.astype(np.int32)
    apart[mask] = [1, 2, 3, 3][: int(mask.sum())]
    as_labels = match_lesions(apart, mask, spacing_mm=UNEVEN, patient="p")
    assert as_labels.true_ml.size == 3


def test_false_positives_on_mimics_are_named() -> None:
    truth, mimics = box(bar(2, 6)), box(bar(10, 14), bar(18, 22))
    predicted = box(bar(2, 6), bar(11, 15), bar(3, 6, row=14))
    found = matched(truth, predicted, Matching(), probability=[0.9, 0.7, 0.3], mimics=mimics)
    assert found.is_hit.tolist() == [True, False, False]
    assert found.is_on_mimic.tolist() == [False, True, False]
    assert found.mimic_probability.tolist() == [0.7, -math.inf]
    covering = matched(truth, box(bar(2, 14)), Matching(), mimics=mimics)
    assert covering.is_hit.tolist() == [True]
    assert not covering.is_on_mimic.any()  # what is a hit is not a false positive, wherever it reaches
    assert covering.mimic_probability.tolist() == [-math.inf, -math.inf]


def test_the_probability_of_a_lesion_is_the_mean_of_its_map() -> None:
    predicted = box(bar(2, 4), bar(10, 12))
    chances = np.zeros(predicted.shape, dtype=np.float32)
    chances[..., 2:4], chances[..., 10], chances[..., 11], chances[..., 15:] = 0.25, 0.5, 1.0, 0.9
    found = matched(np.zeros_like(predicted), predicted, Matching(), probability=chances)
    assert found.predicted_probability.tolist() == [0.25, 0.75]


def test_sizes_are_those_of_balls_of_the_same_volume() -> None:
    found = matched(box(bar(2, 6)), box(bar(2, 6)), Matching())
    volume = 2 * 3 * 4 * math.prod(UNEVEN)
    assert found.true_ml[0] == pytest.approx(volume / 1000)
    assert math.pi / 6 * found.true_mm[0] ** 3 == pytest.approx(volume)


def test_nothing_is_nothing() -> None:
    empty, full = box(), box(bar(2, 6))
    for truth, predicted, lesions, calls in ((empty, empty, 0, 0), (full, empty, 1, 0), (empty, full, 0, 1)):
        for rule in ("iou", "centre"):
            found = matched(truth, predicted, Matching(rule), mimics=empty)
            assert (found.true_ml.size, found.predicted_ml.size) == (lesions, calls)
            assert not found.is_hit.any()
            assert (found.true_probability == -math.inf).all()
            assert found.mimic_probability.size == 0


def slowly(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], how: Matching) -> tuple[list[bool], list[bool]]:
    """Which true lesions are found and which predicted ones hit, by sets of voxels."""
    all_corners = np.ones((3, 3, 3))
    pieces = []
    for mask in (truth, predicted):
        labels, count = ndimage.label(mask, structure=all_corners)
        pieces.append([{tuple(map(int, place)) for place in np.argwhere(labels == n + 1)} for n in range(count)])
    found, hit = [False] * len(pieces[0]), [False] * len(pieces[1])
    for one, true in enumerate(pieces[0]):
        for two, other in enumerate(pieces[1]):
            shared = len(true & other)
            if how.rule == "centre":
                middles = [np.mean(list(part), axis=0) * UNEVEN for part in (true, other)]
                same = float(np.linalg.norm(middles[0] - middles[1])) <= how.most_mm
            elif how.rule == "iou":
                same = shared > 0 and shared / len(true | other) >= how.least
            else:
                same = shared > 0 and shared / len(true) >= how.least
            if same:
                found[one] = hit[two] = True
    return found, hit


@given(
    st.integers(0, 10_000),
    st.sampled_from([Matching(), Matching(least=0.0), Matching("covered", least=0.3), Matching("centre", most_mm=2.3)]),
)
def test_lesions_equal_the_slow_way(seed: int, how: Matching) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.random((2, 4, 7, 7)) < 0.12
    found = matched(truth, predicted, how)
    lesions, hits = slowly(truth, predicted, how)
    assert sorted(found.true_probability == 1.0) == sorted(lesions)
    assert sorted(found.is_hit.tolist()) == sorted(hits)
    assert found.true_ml.sum() == pytest.approx(truth.sum() * math.prod(UNEVEN) / 1000)


def test_what_cannot_be_matched_is_refused() -> None:
    mask, other = box(bar(2, 6)), np.zeros((2, 2, 2), dtype=bool)
    with pytest.raises(UnknownLabelError, match="did you mean 'centre'"):
        Matching("center")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 to 1"):
        Matching(least=2)
    with pytest.raises(InputError, match="one grid"):
        matched(mask, other, Matching())
    with pytest.raises(InputError, match="one grid"):
        matched(mask, mask, Matching(), mimics=other)
    with pytest.raises(InputError, match="one each"):
        matched(mask, mask, Matching(), probability=[0.5, 0.5])
    with pytest.raises(InputError, match="outside 0 to 1"):
        matched(mask, mask, Matching(), probability=[math.nan])
    with pytest.raises(InputError, match="without gaps"):
        match_lesions(mask.astype(np.int32) * 2, mask, spacing_mm=UNEVEN, patient="p")
    with pytest.raises(InputError, match="labels from 0 on"):
        match_lesions(mask.astype(float), mask, spacing_mm=UNEVEN, patient="p")


def test_the_rule_is_said_in_text() -> None:
    assert Matching("centre", most_mm=7.5).words == "centres at most 7.5 mm apart"
    assert Matching("covered", least=0.5).words == "share of the true lesion that is covered of at least 0.5"
    assert Matching(least=0).words == "at least one voxel in common"
