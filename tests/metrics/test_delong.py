"""DeLong and Obuchowski against every pair written out, published numbers, and the bootstrap's own logic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import norm

from osteon.errors import InputError
from osteon.metrics.classification import roc_auc
from osteon.metrics.delong import auc_covariance, auc_interval, compare_paired

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pairwise(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[Any, Any, NDArray[np.float64]]:
    """Components of positives and of negatives, and the areas, from the matrix of all pairs."""
    of_positives, of_negatives = [], []
    for score in scores:
        x, y = score[truth], score[~truth]
        won = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
        of_positives.append(won.mean(axis=1))
        of_negatives.append(won.mean(axis=0))
    return np.array(of_positives), np.array(of_negatives), np.array(of_positives).mean(axis=1)


def plain_delong(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[Any, Any]:
    x, y, aucs = pairwise(truth, scores)
    return aucs, np.cov(x).reshape(len(scores), -1) / x.shape[1] + np.cov(y).reshape(len(scores), -1) / y.shape[1]


def plain_obuchowski(truth: NDArray[np.bool_], scores: NDArray[np.float64], patients: NDArray[Any]) -> NDArray[Any]:
    """The formulae of the paper, patient by patient and score by score."""
    x, y, aucs = pairwise(truth, scores)
    of_x, of_y = patients[truth], patients[~truth]
    names = sorted(set(patients.tolist()))
    with_x, with_y, all_patients = len(set(of_x.tolist())), len(set(of_y.tolist())), len(names)
    m, n = x.shape[1], y.shape[1]
    result = np.empty((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            s10 = s01 = s11 = s11_turned = 0.0
            for name in names:
                xr, xs = x[r][of_x == name], x[s][of_x == name]
                yr, ys = y[r][of_y == name], y[s][of_y == name]
                s10 += (xr.sum() - xr.size * aucs[r]) * (xs.sum() - xs.size * aucs[s])
                s01 += (yr.sum() - yr.size * aucs[r]) * (ys.sum() - ys.size * aucs[s])
                s11 += (xr.sum() - xr.size * aucs[r]) * (ys.sum() - ys.size * aucs[s])
                s11_turned += (xs.sum() - xs.size * aucs[s]) * (yr.sum() - yr.size * aucs[r])
            s10 *= with_x / ((with_x - 1) * m)
            s01 *= with_y / ((with_y - 1) * n)
            s11 *= all_patients / (all_patients - 1)
            s11_turned *= all_patients / (all_patients - 1)
            result[r, s] = s10 / m + s01 / n + s11 / (m * n) + s11_turned / (m * n)
    return result


def cohort(seed: int, decimals: int) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
    """Images of 40 patients, some with both classes, two scores that share the patient's level."""
    rng = np.random.default_rng(seed)
    patients = np.sort(rng.integers(0, 40, 150))
    truth = rng.random(150) < rng.choice([0.1, 0.7], 40)[patients]
    level = rng.normal(0, 0.7, 40)[patients]
    scores = np.stack([truth * gain + level + rng.normal(size=150) for gain in (1.0, 0.6)])
    return truth, np.round(scores, decimals), patients


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_areas_and_covariance_agree_with_all_pairs(seed: int, decimals: int) -> None:
    truth, scores, patients = cohort(seed, decimals)
    aucs, covariance = auc_covariance(truth, scores)
    expected, plain = plain_delong(truth, scores)
    np.testing.assert_allclose(aucs, expected, rtol=1e-12)
    np.testing.assert_allclose(aucs, [roc_auc(truth, score) for score in scores], rtol=1e-12)
    np.testing.assert_allclose(covariance, plain, rtol=1e-10)
    clustered = auc_covariance(truth, scores, patients=patients)[1]
    np.testing.assert_allclose(clustered, plain_obuchowski(truth, scores, patients), rtol=1e-10)


def test_published_ratings_of_hanley_and_mcneil() -> None:
    # Hanley and McNeil 1982 (doi:10.1148/radiology.143.1.7063747), table II; standard error and limits by DeLong as
    # Stata's manual prints them for these ratings (roctab, hanley.dta): 0.8932, 0.0307, 0.83295 to 0.95339
    truth = np.repeat([False, True], [58, 51])
    ratings = np.concatenate([np.repeat(range(1, 6), (33, 6, 6, 11, 2)), np.repeat(range(1, 6), (3, 2, 2, 11, 33))])
    ours = auc_interval(truth, ratings)
    assert (round(ours.value, 4), round(ours.standard_error, 4)) == (0.8932, 0.0307)
    assert (round(ours.low, 5), round(ours.high, 5)) == (0.83295, 0.95339)


def test_patients_of_one_image_give_delong() -> None:
    truth, scores, _ = cohort(2, 1)
    alone = auc_covariance(truth, scores, patients=np.arange(truth.size))[1]
    np.testing.assert_allclose(alone, auc_covariance(truth, scores)[1], rtol=1e-12)


def test_copies_of_images_teach_nothing_new() -> None:
    truth, scores, patients = cohort(3, 1)
    once = auc_covariance(truth, scores, patients=patients)
    thrice = auc_covariance(np.tile(truth, 3), np.tile(scores, 3), patients=np.tile(patients, 3))
    np.testing.assert_allclose(thrice[0], once[0], rtol=1e-12)
    np.testing.assert_allclose(thrice[1], once[1], rtol=1e-12)
    # DeLong, which is not known of the patients, is misled
    assert (np.diag(auc_covariance(np.tile(truth, 3), np.tile(scores, 3))[1]) < 0.4 * np.diag(once[1])).all()


def test_paired_test_is_that_of_the_contrast() -> None:
    truth, scores, patients = cohort(4, 2)
    for ids, plain in ((None, plain_delong(truth, scores)[1]), (patients, plain_obuchowski(truth, scores, patients))):
        ours = compare_paired(truth, *scores, patients=ids)
        error = math.sqrt(plain[0, 0] + plain[1, 1] - 2 * plain[0, 1])
        gap = roc_auc(truth, scores[0]) - roc_auc(truth, scores[1])
        assert ours.difference == pytest.approx(gap)
        assert ours.statistic == pytest.approx(gap / error)
        assert ours.p_value == pytest.approx(2 * norm.sf(abs(gap / error)))
        assert (ours.low, ours.high) == pytest.approx(norm.interval(0.95, gap, error))


def test_a_score_does_not_differ_from_itself_or_its_logarithm() -> None:
    truth, scores, patients = cohort(5, 3)
    for ids in (None, patients):
        same = compare_paired(truth, scores[0], np.exp(scores[0]), patients=ids)
        assert (same.difference, same.p_value) == (0, 1)
        assert math.isnan(same.statistic)


def test_a_perfect_score_has_no_interval() -> None:
    perfect = auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (perfect.value, perfect.standard_error) == (1, 0)
    assert math.isnan(perfect.low)


def test_too_few_of_a_class_leave_no_standard_error() -> None:
    assert math.isnan(auc_interval([0, 0, 1], [0.1, 0.9, 0.8]).standard_error)
    assert math.isnan(auc_interval([1, 1], [0.1, 0.9]).value)
    # both positives are of one patient
    assert math.isnan(auc_interval([0, 0, 1, 1], [0.1, 0.85, 0.8, 0.9], patients=[1, 2, 3, 3]).standard_error)
    assert math.isnan(compare_paired([0, 0, 1], [0.1, 0.9, 0.8], [0.1, 0.2, 0.3]).p_value)


def test_bad_input_is_reported() -> None:
    with pytest.raises(InputError, match="one patient per image"):
        auc_interval([0, 1], [0.1, 0.2], patients=[1])
    with pytest.raises(InputError, match="one model"):
        auc_interval([0, 1], [[0.1, 0.2]])
    with pytest.raises(InputError, match="confidence"):
        auc_interval([0, 1], [0.1, 0.2], confidence=1.0)


def test_clustered_interval_covers_as_promised() -> None:
    rng = np.random.default_rng(8)
    truth, patients = np.tile([False, True, True, False], 60), np.repeat(np.arange(60), 4)
    target = norm.cdf(1 / math.sqrt(2 * (1 + 0.8**2)))
    covered = {"delong": 0, "obuchowski": 0}
    for _ in range(200):
        # the level of a patient moves all of its images; it cancels within a patient and not between patients
        score = truth + rng.normal(0, 0.8, 60)[patients] + rng.normal(size=240)
        for ids in (None, patients):
            ours = auc_interval(truth, score, patients=ids)
            covered[ours.method] += ours.low <= target <= ours.high
    assert 0.90 <= covered["obuchowski"] / 200 <= 0.99
