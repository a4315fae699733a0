"""The patient bootstrap against resamples that are written out image by image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn import metrics as sk

from osteon import _compiled
from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import (
    Resampling,
    draw_patients,
    paired_difference,
    patient_bootstrap,
    patient_bootstraps,
)
from osteon.metrics.bootstrap_measures import evaluated, statistic
from osteon.metrics.classification import MEASURES, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATS = 60
FEW = Resampling(repeats=REPEATS, seed=4)


@pytest.fixture(scope="module")
def cohort() -> dict[str, NDArray[Any]]:
    """25 patients, 80 images, ties, patients of both classes; two models and three folds."""
    rng = np.random.default_rng(11)
    patient = np.concatenate([np.arange(25), rng.integers(0, 25, 55)])
    truth = rng.random(80) < rng.choice([0.1, 0.8], 25)[patient]
    score = np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2, (2, 80)), 0, 1), 1)
    names = np.array([f"p{n:02d}" for n in patient])
    return {"truth": truth, "score": score, "patients": names, "fold": patient % 3, "group": patient % 2}


def drawn_images(patients: NDArray[Any], resample: int, seed: int) -> NDArray[np.int64]:
    """Images of a resample, those of a patient as often as it was drawn: the plain way."""
    names = sorted(set(patients.tolist()))
    picks = np.random.default_rng((seed, resample)).integers(0, len(names), len(names))
    return np.concatenate([np.flatnonzero(patients == names[pick]) for pick in picks])


def plain_measure(name: str, truth: NDArray[np.bool_], score: NDArray[np.float64], threshold: float = 0.5) -> float:
    """scikit-learn where it has the measure and does not warn."""
    if truth.all() or not truth.any():
        return measure(name, truth, score, threshold=threshold)
    known = {"auc": sk.roc_auc_score, "pr_auc": sk.average_precision_score, "brier": sk.brier_score_loss}
    if name in known:
        return float(known[name](truth, score))
    return measure(name, truth, score, threshold=threshold)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_every_resample_agrees_with_one_written_out(cohort: dict[str, NDArray[Any]], name: str) -> None:
    truth, score, patients = cohort["truth"], cohort["score"][0], cohort["patients"]
    expected = []
    for resample in range(REPEATS):
        images = drawn_images(patients, resample, seed=4)
        expected.append(plain_measure(name, truth[images], score[images]))
    ours = statistic(name, evaluated(truth, score, patients))(draw_patients(25, range(REPEATS), seed=4))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    interval = patient_bootstrap(name, truth, score, patients, resampling=FEW)
    assert interval.value == pytest.approx(plain_measure(name, truth, score), abs=1e-12)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.nanpercentile(expected, (2.5, 97.5))), abs=1e-12)
    assert interval.undefined_repeats == np.isnan(expected).sum()


def test_draws_are_whole_patients_within_strata() -> None:
    strata = np.array([0, 0, 1, 1, 1, 1, 0])
    counts = draw_patients(7, range(50), seed=2, strata=strata)
    assert (counts[:, strata == 0].sum(axis=1) == 3).all()
    assert (counts[:, strata == 1].sum(axis=1) == 4).all()
    assert len({row.tobytes() for row in counts}) > 40
    np.testing.assert_array_equal(draw_patients(7, range(20, 30), seed=2, strata=strata), counts[20:30])


def test_patients_are_drawn_evenly() -> None:
    counts = draw_patients(40, range(1000), seed=9)
    # each total is binomial with mean 1000 and standard deviation 31
    assert abs(counts.sum(axis=0) - 1000).max() < 4 * 31.3
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.03)


def test_models_are_averaged_on_the_same_resamples(cohort: dict[str, NDArray[Any]]) -> None:
    counts = draw_patients(25, range(REPEATS), seed=4)
    truth, score, patients = cohort["truth"], cohort["score"], cohort["patients"]
    for name in ("auc", "pr_auc", "log_loss", "f1"):
        both = statistic(name, evaluated(truth, score, patients, [0.3, 0.6]))(counts)
        one = statistic(name, evaluated(truth, score[0], patients, 0.3))(counts)
        two = statistic(name, evaluated(truth, score[1], patients, 0.6))(counts)
        np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-12)
    assert patient_bootstrap("auc", truth, score, patients, resampling=FEW).models == 2


def test_folds_are_judged_apart_and_averaged(cohort: dict[str, NDArray[Any]]) -> None:
    truth, score, patients, fold = cohort["truth"], cohort["score"][0], cohort["patients"], cohort["fold"]
    expected = []
    for resample in range(REPEATS):
        images = drawn_images(patients, resample, seed=4)
        parts = [images[fold[images] == number] for number in range(3)]
        expected.append(np.mean([measure("auc", truth[part], score[part]) for part in parts]))
    interval = patient_bootstrap("auc", truth, score, patients, folds=fold, resampling=FEW)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.nanpercentile(expected, (2.5, 97.5))), abs=1e-12)
    assert interval.folds == 3


def test_models_on_one_test_set_are_folds_whose_images_are_the_same(cohort: dict[str, NDArray[Any]]) -> None:
    truth, score, patients = cohort["truth"], cohort["score"], cohort["patients"]
    as_models = patient_bootstrap("auc", truth, score, patients, resampling=FEW)
    twice = (np.tile(truth, 2), score.ravel(), np.tile(patients, 2))
    as_folds = patient_bootstrap("auc", *twice, folds=np.repeat([0, 1], 80), resampling=FEW)
    assert (as_models.value, as_models.low, as_models.high) == (as_folds.value, as_folds.low, as_folds.high)


def test_a_fold_without_a_class_does_not_count(cohort: dict[str, NDArray[Any]]) -> None:
    truth, score, patients, fold = cohort["truth"].copy(), cohort["score"][0], cohort["patients"], cohort["fold"]
    truth[fold == 1] = False
    with_it = patient_bootstrap("auc", truth, score, patients, folds=fold, resampling=FEW)
    without = np.mean([measure("auc", truth[fold == n], score[fold == n]) for n in (0, 2)])
    assert with_it.value == pytest.approx(without)
    assert not math.isnan(with_it.low)
    # for accuracy every fold counts
    assert patient_bootstrap("accuracy", truth, score, patients, folds=fold, resampling=FEW).value == pytest.approx(
        np.mean([measure("accuracy", truth[fold == n], score[fold == n]) for n in range(3)])
    )


def test_a_function_of_weights_is_a_measure(cohort: dict[str, NDArray[Any]]) -> None:
    def weighted_auc(truth: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.int32]) -> float:
        if not weight[truth].any() or not weight[~truth].any():
            return math.nan
        return float(sk.roc_auc_score(truth, score, sample_weight=weight))

    arguments = (cohort["truth"], cohort["score"], cohort["patients"])
    ours = patient_bootstrap("auc", *arguments, resampling=FEW)
    theirs = patient_bootstrap(weighted_auc, *arguments, resampling=FEW)
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-12)


def test_a_threshold_an_image_is_that_of_its_fold(cohort: dict[str, NDArray[Any]]) -> None:
    truth, score, patients, fold = cohort["truth"], cohort["score"][0], cohort["patients"], cohort["fold"]
    limits = np.array([0.3, 0.5, 0.6])[fold]
    ours = patient_bootstrap("tpr", truth, score, patients, threshold=limits, resampling=FEW)
    assert ours.value == (score >= limits)[truth].mean()


def test_copies_of_images_do_not_narrow_the_interval(cohort: dict[str, NDArray[Any]]) -> None:
    truth, score, patients = cohort["truth"], cohort["score"][0], cohort["patients"]
    for name in ("auc", "pr_auc", "f1", "brier"):
        once = patient_bootstrap(name, truth, score, patients, resampling=FEW)
        thrice = patient_bootstrap(name, *(np.tile(a, 3) for a in (truth, score, patients)), resampling=FEW)
        assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), rel=1e-12)


def test_threads_do_not_change_the_numbers(cohort: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def results() -> list[Any]:
        arguments = (cohort["truth"], cohort["score"], cohort["patients"])
        how = Resampling(repeats=150, seed=3, method="bca")
        return list(patient_bootstraps(MEASURES, *arguments, strata=cohort["group"], resampling=how).values())

    several = results()
    monkeypatch.setattr(_compiled, "available_threads", lambda: 1)
    assert results() == several


def test_several_measures_see_the_same_resamples(cohort: dict[str, NDArray[Any]]) -> None:
    arguments = (cohort["truth"], cohort["score"][0], cohort["patients"])
    together = patient_bootstraps(["auc", "tnr"], *arguments, resampling=FEW)
    assert together["tnr"] == patient_bootstrap("tnr", *arguments, resampling=FEW)
    assert together["auc"] == patient_bootstrap("auc", *arguments, resampling=FEW)


def test_a_difference_is_taken_resample_by_resample(cohort: dict[str, NDArray[Any]]) -> None:
    truth, scores, patients = cohort["truth"], cohort["score"], cohort["patients"]
    counts = draw_patients(25, range(REPEATS), seed=4)
    one, two = (
        statistic("tpr", evaluated(truth, s, patients, t))(counts) for s, t in zip(scores, (0.4, 0.5), strict=True)
    )
    ours = paired_difference("tpr", truth, tuple(scores), patients, thresholds=(0.4, 0.5), resampling=FEW)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.percentile(one - two, (2.5, 97.5))), abs=1e-12)
    smaller = min(((one - two) <= 0).sum(), ((one - two) >= 0).sum())
    assert ours.p_value == pytest.approx(min(1, 2 * (smaller + 1) / (REPEATS + 1)))
    turned = paired_difference("tpr", truth, tuple(scores[::-1]), patients, thresholds=(0.5, 0.4), resampling=FEW)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-ours.value, -ours.high, -ours.low), abs=1e-12)
    assert turned.p_value == ours.p_value


def test_a_score_does_not_differ_from_itself(cohort: dict[str, NDArray[Any]]) -> None:
    score = cohort["score"][0]
    for method in ("percentile", "bca"):
        how = Resampling(repeats=REPEATS, method=method)
        same = paired_difference("auc", cohort["truth"], (score, score), cohort["patients"], resampling=how)
        assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_a_difference_is_averaged_over_folds_where_both_are_defined(cohort: dict[str, NDArray[Any]]) -> None:
    truth, scores, patients, fold = cohort["truth"], cohort["score"], cohort["patients"], cohort["fold"]
    # the second score predicts nothing positive in fold 1: it has no precision there
    second = np.where(fold == 1, 0.0, scores[1])
    ours = paired_difference("precision", truth, (scores[0], second), patients, folds=fold, resampling=FEW)
    gaps = [
        measure("precision", truth[own], scores[0][own]) - measure("precision", truth[own], second[own])
        for own in (fold == 0, fold == 2)
    ]
    assert ours.value == pytest.approx(np.mean(gaps))


def test_a_plain_difference_is_found() -> None:
    truth, noise = np.tile([False, True], 100), np.random.default_rng(1).normal(size=200)
    ours = paired_difference("auc", truth, (truth * 3 + noise, noise), np.arange(200) // 2)
    assert ours.low > 0.3
    assert ours.p_value == pytest.approx(2 / 2001)


def test_resamples_without_a_class_are_counted_and_left_out() -> None:
    ours = patient_bootstrap(
        "auc", [1, 0, 0, 0], [0.9, 0.1, 0.95, 0.3], list("abcd"), resampling=Resampling(repeats=400)
    )
    # the one positive patient is missed with probability 0.75 to the fourth, all draws are that patient almost never
    assert 0.25 < ours.undefined_repeats / 400 < 0.40
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    strata = patient_bootstrap(
        "auc", [1, 0, 0, 0], [0.9, 0.1, 0.95, 0.3], list("abcd"), strata=[1, 0, 0, 0], resampling=FEW
    )
    assert strata.undefined_repeats == 0


def test_a_function_is_never_asked_about_a_resample_without_an_image() -> None:
    sizes = []

    def mean_score(truth: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.int32]) -> float:
        del truth
        sizes.append(int(weights.sum()))
        return float((score * weights).sum() / weights.sum())  # divides by nothing where nobody is drawn

    # folds of one test patient: a resample misses each with probability (2/3) cubed
    found = patient_bootstrap(
        mean_score, [1, 0, 1], [0.2, 0.4, 0.9], list("abc"), folds=[0, 1, 2], resampling=Resampling(repeats=300)
    )
    drawn = draw_patients(3, range(300), seed=1)
    assert found.undefined_repeats == int((drawn == 0).any(axis=1).sum()) > 150
    assert found.value == pytest.approx(0.5)
    assert min(sizes) > 0


@pytest.mark.parametrize("raised", [InputError("nothing to divide by"), ZeroDivisionError()])
def test_a_resample_in_which_a_function_gives_up_is_left_out(raised: Exception) -> None:
    def share(truth: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.int32]) -> float:
        del score
        if not weights[truth].any():
            raise raised
        return float(weights[truth].sum() / weights.sum())

    found = patient_bootstrap(share, [1, 1, 0, 0], [0.5] * 4, list("abcd"), resampling=Resampling(repeats=400))
    drawn = draw_patients(4, range(400), seed=1)
    assert found.undefined_repeats == int((drawn[:, :2].sum(axis=1) == 0).sum()) > 0
    assert found.low < found.value < found.high
    with pytest.raises(type(raised)):  # on the images as they are it is an error, not a resample
        patient_bootstrap(share, [0, 0], [0.5, 0.5], ["a", "b"], resampling=FEW)


def test_no_interval_is_made_of_less_than_half_of_the_resamples() -> None:
    # one of ten patients is positive, in each of two folds: 0.65 of the draws hold each, less than half hold both
    truth, score = [1] + [0] * 9 + [0] * 9 + [1], np.linspace(0, 1, 20)
    how = Resampling(repeats=400)
    single = patient_bootstrap("tpr", truth[:10], score[:10], np.arange(10), resampling=how)
    assert 0 < single.undefined_repeats < 200
    assert not math.isnan(single.low)
    both = patient_bootstrap("tpr", truth, score, np.arange(20), folds=np.repeat([0, 1], 10), resampling=how)
    assert both.undefined_repeats > 200
    assert both.value == pytest.approx(0.5)
    assert math.isnan(both.low)
    assert math.isnan(both.high)


def test_what_is_not_defined_is_not_a_number() -> None:
    one_class = patient_bootstrap("auc", [1, 1], [0.4, 0.5], ["a", "b"], resampling=FEW)
    assert math.isnan(one_class.value)
    assert math.isnan(one_class.high)
    assert one_class.undefined_repeats == REPEATS
    one_patient = patient_bootstrap("auc", [1, 0], [0.4, 0.5], ["a", "a"], resampling=FEW)
    assert (one_patient.value, one_patient.patients) == (0, 1)
    assert math.isnan(one_patient.low)


def test_bad_input_is_reported() -> None:
    truth, score, names = [0, 1, 1], [0.1, 0.2, 0.3], ["a", "b", "b"]
    with pytest.raises(InputError, match="one patient per image"):
        patient_bootstrap("auc", truth, score, ["a"])
    with pytest.raises(InputError, match="one fold per image"):
        patient_bootstrap("auc", truth, score, names, folds=[1])
    with pytest.raises(InputError, match="1 patients are in two strata"):
        patient_bootstrap("auc", truth, score, names, strata=[0, 0, 1])
    with pytest.raises(InputError, match="one stratum per image"):
        patient_bootstrap("auc", truth, score, names, strata=[0])
    with pytest.raises(InputError, match="one threshold"):
        patient_bootstrap("tpr", truth, score, names, threshold=[0.1, 0.2])
    with pytest.raises(InputError, match="validation"):
        patient_bootstrap("tpr", truth, score, names, threshold=float("nan"))
    with pytest.raises(InputError, match="calibrate"):
        patient_bootstrap("brier", truth, [1, 2, 3], names)
    with pytest.raises(InputError, match="take the percentile"):
        patient_bootstrap("auc", truth, score, names, resampling=Resampling(method="bca"))
    with pytest.raises(UnknownLabelError, match="did you mean 'auc'"):
        patient_bootstrap("acu", truth, score, names)
    with pytest.raises(UnknownLabelError, match="did you mean 'bca'"):
        Resampling(method="bcaa")
    with pytest.raises(InputError, match="repeats"):
        Resampling(repeats=0)
