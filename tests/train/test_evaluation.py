"""Every number of metrics.json against scikit-learn or the definition written out, on predictions that were made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.delong import auc_interval, compare_paired
from osteon.train.evaluation import evaluate_run, plain, pooled
from osteon.train.performance import fields_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.train.run import RunData

FEW = Resampling(repeats=60)


@pytest.fixture(scope="module")
def document(synthetic_run: RunData) -> dict[str, Any]:
    return dict(evaluate_run(synthetic_run, by=["dose"], resampling=FEW).document)


def _oracle(name: str) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    predicted: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
        "auc": roc_auc_score,
        "pr_auc": average_precision_score,
        "tpr": lambda truth, score: recall_score(truth, score >= 0.5),
        "tnr": lambda truth, score: recall_score(~truth, score < 0.5),
        "accuracy": lambda truth, score: accuracy_score(truth, score >= 0.5),
        "precision": lambda truth, score: precision_score(truth, score >= 0.5),
        "f1": lambda truth, score: f1_score(truth, score >= 0.5),
    }
    return predicted[name]


@pytest.mark.parametrize("name", ["auc", "pr_auc", "tpr", "tnr", "accuracy", "precision", "f1"])
@pytest.mark.parametrize("level", ["image", "series", "patient"])
def test_measures_by_level_and_fold(synthetic_run: RunData, document: dict[str, Any], level: str, name: str) -> None:
    test = synthetic_run.run.predictions().of(part="test")
    expected = []
    for fold in range(3):
        own = test.of(part="test", fold=fold)
        units: dict[Any, list[tuple[bool, float]]] = {}
        for row in range(len(own)):
            key = {"image": row, "series": (own.patient[row], own.series[row]), "patient": own.patient[row]}[level]
            units.setdefault(key, []).append((bool(own.is_positive[row]), float(own.probability[row])))
        truth = np.array([any(one for one, _ in members) for members in units.values()])
        score = np.array([max(score for _, score in members) for members in units.values()])
        expected.append(_oracle(name)(truth, score))
    found = document["levels"][level]["measures"][name]
    assert found["by_fold"] == pytest.approx(expected)
    assert found["over_folds"]["mean"] == pytest.approx(np.mean(expected))
    assert found["over_patients"]["value"] == pytest.approx(np.mean(expected))
    spread = np.std(expected, ddof=1) / np.sqrt(3) * 4.302652729911275  # t, 2 degrees of freedom, 97.5 %
    assert found["over_folds"]["high"] - np.mean(expected) == pytest.approx(spread)
    assert found["over_patients"]["patients"] == 24


def test_one_probability_an_image(synthetic_run: RunData, document: dict[str, Any]) -> None:
    test = synthetic_run.run.predictions().of(part="test")
    one = pooled(test)
    for k in (0, 17, len(one.image) - 1):
        mine = test.image == one.image[k]
        assert one.probability[k] == pytest.approx(test.probability[mine].mean())
    matrix = document["levels"]["image"]["confusion"]
    predicted = one.probability >= 0.5
    assert matrix == {
        "tp": int((predicted & one.truth).sum()),
        "fp": int((predicted & ~one.truth).sum()),
        "tn": int((~predicted & ~one.truth).sum()),
        "fn": int((~predicted & one.truth).sum()),
    }
    interval = auc_interval(one.truth, one.probability, patients=one.patient)
    assert document["auc_clustered"]["low"] == pytest.approx(interval.low)
    worst = document["worst"]
    error = np.sort(np.abs(one.probability - one.truth))[::-1]
    assert [abs(e["probability"] - (e["truth"] == "tumour")) for e in worst] == pytest.approx(
        [e for e in error[:12] if e > 0.5]
    )


def test_operating_points_are_fixed_on_validation(synthetic_run: RunData, document: dict[str, Any]) -> None:
    predictions = synthetic_run.run.predictions()
    points = {entry["name"]: entry for entry in document["operating_points"]}
    assert set(points) == {"youden", "sensitivity_0.95", "specificity_0.95"}
    tprs = []
    for entry in points["sensitivity_0.95"]["by_fold"]:
        validation = predictions.of(part="validation", fold=entry["fold"])
        test = predictions.of(part="test", fold=entry["fold"])
        positive = np.sort(validation.probability[validation.is_positive])
        fitting = [t for t in validation.probability if np.mean(positive >= t) >= 0.95]
        assert entry["threshold"] == pytest.approx(max(fitting))
        assert entry["test"]["tpr"] == pytest.approx(np.mean(test.probability[test.is_positive] >= entry["threshold"]))
        tprs.append(entry["test"]["tpr"])
    assert points["sensitivity_0.95"]["test"]["tpr"]["over_patients"]["value"] == pytest.approx(np.mean(tprs))


def test_calibration(synthetic_run: RunData, document: dict[str, Any]) -> None:
    one = pooled(synthetic_run.run.predictions().of(part="test"))
    assert document["calibration"]["temperature_by_fold"] == pytest.approx({"0": 1.9, "1": 2.0, "2": 2.1})
    for name, probability in (("before", one.uncalibrated), ("after", one.probability)):
        entry = document["calibration"][name]
        assert entry["brier"]["value"] == pytest.approx(brier_score_loss(one.truth, probability))
        # equal width, written out
        bins = np.minimum((probability * 10).astype(int), 9)
        gaps = [
            abs(probability[bins == b].mean() - one.truth[bins == b].mean()) * np.mean(bins == b) for b in set(bins)
        ]
        assert entry["ece_equal_width"]["value"] == pytest.approx(sum(gaps))
        log_odds = np.log(probability / (1 - probability))[:, None]
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds, one.truth)
        assert entry["slope"]["value"] == pytest.approx(float(model.coef_[0, 0]), rel=1e-3)
        assert entry["intercept"]["value"] == pytest.approx(float(model.intercept_[0]), rel=1e-2, abs=1e-3)
        assert entry["slope"]["low"] < entry["slope"]["value"] < entry["slope"]["high"]


def test_decision_curve(synthetic_run: RunData, document: dict[str, Any]) -> None:
    one = pooled(synthetic_run.run.predictions().of(part="test"))
    curve = document["decision_curve"]
    assert (curve["thresholds"][0], curve["thresholds"][-1]) == pytest.approx((0.05, 0.95))
    for k in (0, 18, 36):
        t = curve["thresholds"][k]
        predicted = one.probability >= t
        benefit = np.mean(predicted & one.truth) - np.mean(predicted & ~one.truth) * t / (1 - t)
        assert curve["model"][k] == pytest.approx(benefit)
        assert curve["low"][k] <= benefit <= curve["high"][k]


def test_curves_and_their_band(document: dict[str, Any]) -> None:
    roc = document["curves"]["roc"]
    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(document["levels"]["image"]["probability_auc"])
    band = roc["band"]
    inside = np.interp(band["false_positive_rate"], roc["false_positive_rate"], roc["true_positive_rate"])
    assert np.mean((np.array(band["low"]) <= inside + 1e-9) & (inside <= np.array(band["high"]) + 1e-9)) > 0.9
    histogram = document["curves"]["histogram"]
    assert sum(histogram["positive"]) + sum(histogram["negative"]) == 192


def test_subgroups(synthetic_run: RunData, document: dict[str, Any]) -> None:
    one = pooled(synthetic_run.run.predictions().of(part="test"))
    sex = {row.image: row.sex for row in synthetic_run.manifest.rows}
    rows = {(row["column"], row["group"]): row for row in document["subgroups"]["rows"]}
    assert document["subgroups"]["columns"] == ["sex", "age", "plane", "centre", "dose"]  # one scanner: not told
    women = np.array([sex[name] == "F" for name in one.image.tolist()])
    expected = roc_auc_score(one.truth[women], one.probability[women])
    assert rows["sex", "F"]["auc"]["value"] == pytest.approx(expected)
    assert rows["sex", "F"]["images"] == int(women.sum())


def test_baselines(synthetic_run: RunData, document: dict[str, Any]) -> None:
    test = synthetic_run.run.predictions().of(part="test")
    found = {entry["name"]: entry for entry in document["baselines"]}
    assert found["majority class"]["measures"]["auc"]["by_fold"] == pytest.approx([0.5] * 3)
    data = synthetic_run
    table = fields_only(data.manifest, data.split, classes=data.run.classes, positive="tumour")
    assert table is not None
    one, other = pooled(test), pooled(table)
    expected = compare_paired(one.truth, one.probability, other.probability, patients=one.patient)
    assert found["fields only"]["delong_clustered"]["p_value"] == pytest.approx(expected.p_value)
    by_fold = [
        roc_auc_score(each.is_positive, each.probability) - roc_auc_score(mine.is_positive, mine.probability)
        for each, mine in ((test.of(part="test", fold=k), table.of(part="test", fold=k)) for k in range(3))
    ]
    assert found["fields only"]["auc_difference"]["over_patients"]["value"] == pytest.approx(np.mean(by_fold))
    right: list[dict[str, bool]] = []
    for scores in (one, other):
        mine = {}
        for patient in np.unique(one.patient).tolist():
            rows = scores.patient == patient
            mine[patient] = bool((scores.probability[rows].max() >= 0.5) == scores.truth[rows].any())
        right.append(mine)
    only = sum(right[0][patient] and not right[1][patient] for patient in right[0])
    assert found["fields only"]["mcnemar_patients"]["only_first"] == only


def test_sets_and_warnings(document: dict[str, Any]) -> None:
    conformal = document["conformal"]
    assert conformal["all"]["n"] == 3 * 192
    assert conformal["all"]["covered"] == sum(entry["covered"] for entry in conformal["by_class"].values())
    assert any("SYNTHETIC" in warning for warning in document["warnings"])
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_leaking_split_and_missing_folds_are_reported(synthetic_run: RunData) -> None:
    run = synthetic_run.run
    waiting = replace(run.folds[2], state="failed", table=None)
    data = replace(
        synthetic_run,
        run=replace(run, folds=(*run.folds[:2], waiting)),
        split=replace(synthetic_run.split, unit="image"),
        manifest=replace(synthetic_run.manifest),
    )
    patients = synthetic_run.split
    data = replace(data, split=replace(patients, warnings=("by image",)))
    found = evaluate_run(data, resampling=FEW).document
    assert "by image" in found["warnings"]
    assert any("Folds [2]" in warning for warning in found["warnings"])
    assert found["run"]["folds_evaluated"] == [0, 1]


@pytest.mark.parametrize("changes", [{"images_per_epoch": 40}, {"images_per_epoch": None, "class_weights": "balanced"}])
def test_changed_shares_of_the_classes_are_reported(synthetic_run: RunData, changes: dict[str, Any]) -> None:
    run = synthetic_run.run
    for settings, expected in (
        (replace(run.settings, images_per_epoch=None, class_weights="none"), False),
        (replace(run.settings, **changes), True),
    ):
        found = evaluate_run(replace(synthetic_run, run=replace(run, settings=settings)), resampling=FEW).document
        assert any("other shares" in warning for warning in found["warnings"]) is expected


def test_what_cannot_be_judged_is_refused(synthetic_run: RunData) -> None:
    run = synthetic_run.run
    nothing = tuple(replace(fold, state="running", table=None) for fold in run.folds)
    with pytest.raises(InputError, match="no fold of the run"):
        evaluate_run(replace(synthetic_run, run=replace(run, folds=nothing)))
    with pytest.raises(UnknownLabelError, match="dose"):
        evaluate_run(synthetic_run, by=["dosis"], resampling=FEW)


def test_plain_values() -> None:
    assert plain({"a": np.float32(2), "b": (np.nan, 1), "c": np.arange(2)}) == {"a": 2.0, "b": [None, 1], "c": [0, 1]}
