"""A run's measures: by hand, by scikit-learn, and with intervals whose ends are where they must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from osteon.data import Predictions
from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling
from osteon.train.performance import compare_runs, evaluate_folds

FEW = Resampling(repeats=200, seed=3)


def predictions(*, folds: int = 3, patients: int = 12, skill: float = 1.0, scheme: str = "holdout") -> Predictions:
    """Five images a patient; under holdout every fold evaluates all patients, nested each fold evaluates its own."""
    generator = np.random.default_rng([int(skill * 100), folds])
    rows = [
        (fold, patient, image)
        for fold in range(folds)
        for patient in range(patients)
        for image in range(5)
        if scheme == "holdout" or patient % folds == fold
    ]
    fold, patient, image = np.array(rows).T
    truth = (patient // folds) % 2
    margin = generator.normal(size=len(rows)) + skill * (2 * truth - 1)
    return Predictions(
        image=np.array([f"{p}-{i}.png" for p, i in zip(patient, image, strict=True)]),
        patient=np.array([f"P{p}" for p in patient]),
        series=np.full(len(rows), ""),
        truth=truth.astype(np.int64),
        logits=np.stack([np.zeros(len(rows)), margin], axis=1).astype(np.float32),
        fold=fold.astype(np.int64),
        part=np.full(len(rows), "test"),
        temperature=np.ones(len(rows)),
        classes=("healthy", "tumour"),
        positive="tumour",
    )


@pytest.mark.parametrize("scheme", ["holdout", "nested"])
def test_the_mean_over_folds_is_the_mean_of_each_folds_measure(scheme: str) -> None:
    table = predictions(scheme=scheme)
    evaluated = evaluate_folds(table, resampling=FEW)
    aucs = [
        roc_auc_score(table.is_positive[table.fold == fold], table.probability[table.fold == fold]) for fold in range(3)
    ]
    assert evaluated["auc"].by_fold == pytest.approx(aucs)
    assert evaluated["auc"].over_folds.mean == pytest.approx(np.mean(aucs))
    assert evaluated["auc"].over_patients.value == pytest.approx(np.mean(aucs))
    low, high = stats.t.interval(0.95, 2, loc=np.mean(aucs), scale=stats.sem(aucs))
    assert (evaluated["auc"].over_folds.low, evaluated["auc"].over_folds.high) == pytest.approx((low, high))
    calls = table.logits[:, 1] >= table.logits[:, 0]
    by_hand = [np.mean(calls[(table.fold == fold) & table.is_positive]) for fold in range(3)]
    assert evaluated["tpr"].by_fold == pytest.approx(by_hand)
    assert evaluated["tnr"].over_patients.patients == 12
    interval = evaluated["auc"].over_patients
    if scheme == "holdout":
        assert interval.low < np.mean(aucs) < interval.high
    else:  # four patients a fold: most resamples leave a fold without one of the classes
        assert interval.undefined_repeats > interval.repeats / 2
        assert np.isnan([interval.low, interval.high]).all()


def test_only_the_test_part_is_judged() -> None:
    table = predictions()
    spoilt = replace(table, part=np.full(len(table), "validation"), logits=-table.logits)
    joined = Predictions.joined([table, spoilt])
    assert evaluate_folds(joined, resampling=FEW) == evaluate_folds(table, resampling=FEW)
    with pytest.raises(InputError, match="nothing can be evaluated"):
        evaluate_folds(spoilt)


def test_a_run_compared_with_itself_differs_by_nothing() -> None:
    table = predictions()
    shuffled = table.where(np.random.default_rng(1).permutation(len(table)))
    result = compare_runs(table, shuffled, resampling=FEW)
    assert result.over_patients.value == 0
    assert result.over_patients.p_value == 1
    assert result.over_folds is not None
    assert result.over_folds.p_value == 1


def test_a_better_run_is_found_to_be_better() -> None:
    good, poor = predictions(skill=2.0), predictions(skill=0.2)
    result = compare_runs(good, poor, resampling=FEW)
    means = [np.mean(evaluate_folds(table, resampling=FEW)["auc"].by_fold) for table in (good, poor)]
    assert result.over_patients.value == pytest.approx(means[0] - means[1])
    assert result.over_patients.low > 0
    assert result.over_patients.p_value is not None
    assert result.over_patients.p_value < 0.05
    with pytest.raises(InputError, match="same images in the same folds"):
        compare_runs(good, poor.where(poor.fold > 0))
