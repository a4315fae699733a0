"""The subgroup table: each row is the measure of the part, scikit-learn's and counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, patient_bootstrap
from osteon.metrics.proportions import wilson
from osteon.metrics.subgroups import age_bands, subgroup_table

QUICK = Resampling(repeats=200, seed=3)


def test_each_row_is_the_measure_of_its_part() -> None:
    generator = np.random.default_rng(0)
    who = np.repeat(np.arange(40), 3)
    truth = generator.random(120) < 0.4
    score = generator.normal(truth, 1.0)
    sex = np.where(who % 2 == 0, "F", "M").tolist()
    plane = ["axial", "sagittal", "coronal"] * 40
    rows = subgroup_table(truth, score, who, {"sex": sex, "plane": plane}, threshold=0.5, resampling=QUICK)
    assert [(row.column, row.group) for row in rows] == [
        ("all", "all"),
        ("sex", "F"),
        ("sex", "M"),
        ("plane", "axial"),
        ("plane", "coronal"),
        ("plane", "sagittal"),
    ]
    part = np.array(sex) == "F"
    row = rows[1]
    predicted = score[part] >= 0.5
    assert row.auc.value == pytest.approx(roc_auc_score(truth[part], score[part]))
    assert row.tpr.value == pytest.approx(recall_score(truth[part], predicted))
    assert row.tnr.value == pytest.approx(recall_score(~truth[part], ~predicted))
    assert (row.patients, row.images, row.positives) == (20, 60, truth[part].sum())
    assert row.positive_patients == len(set(who[part & truth]))
    again = patient_bootstrap("auc", truth[part], score[part], who[part], resampling=QUICK)
    assert (row.auc.low, row.auc.high) == (again.low, again.high)
    assert rows[3].patients == 40  # a patient has images in every plane
    assert rows[3].images == 40


def test_what_is_not_known_is_a_group_of_its_own_and_last() -> None:
    centre = ["b", "", "a", None, "b", float("nan"), " a ", "zz"]
    rows = subgroup_table([0, 1] * 4, [0.1, 0.9] * 4, range(8), {"centre": centre}, threshold=0.5, resampling=QUICK)
    assert [(row.group, row.images) for row in rows[1:]] == [("a", 2), ("b", 2), ("zz", 1), ("unknown", 3)]


def test_a_missing_class_is_not_defined_and_said() -> None:
    rows = subgroup_table(
        [1, 1, 0, 1], [0.9, 0.2, 0.1, 0.8], ["a", "b", "c", "d"], {"sex": ["F", "F", "M", "M"]},
        threshold=0.5, resampling=QUICK,
    )  # fmt: skip
    women = rows[1]
    assert str(women.auc) == str(women.tnr) == "not defined"
    assert women.tpr.value == 0.5
    assert women.note == "no negative image"
    assert rows[2].note == ""


def test_a_rate_of_one_has_wilsons_interval_over_patients() -> None:
    # three patients, six images, all found: the bootstrap would say 1.000 to 1.000
    truth, score, who = [1] * 6 + [0] * 4, [0.9] * 6 + [0.1] * 4, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    row = subgroup_table(truth, score, who, {}, threshold=0.5, resampling=QUICK)[0]
    expected = wilson(3, 3)
    assert (row.tpr.value, row.tpr.low, row.tpr.high) == (1.0, expected.low, 1.0)
    assert row.tpr.method == "Wilson, patients"
    assert str(row.tpr) == "1.000 (0.439-1.000)"  # Wilson for all of n: n / (n + 1.96^2) = 3 / 6.84


def test_one_patient_has_no_interval() -> None:
    row = subgroup_table([0, 1, 1], [0.1, 0.9, 0.2], ["a"] * 3, {}, threshold=0.5, resampling=QUICK)[0]
    assert math.isnan(row.auc.low)
    assert str(row.tpr) == "0.500 (no interval)"
    assert "one patient" in row.note


def test_age_bands_by_hand() -> None:
    ages = [0, 9.99, 10, 17, 18, 29.5, 30, 49, 50, 69, 70, 101, None, float("nan")]
    expected = ["0-9", "0-9", "10-17", "10-17", "18-29", "18-29", "30-49", "30-49", "50-69", "50-69", "70+", "70+"]
    assert age_bands(ages) == [*expected, "unknown", "unknown"]
    rows = subgroup_table(
        [0, 1] * 3, [0.1, 0.9] * 3, range(6), {"age": age_bands([71, 5, 12, 33, None, 5])},
        threshold=0.5, resampling=QUICK,
    )  # fmt: skip
    assert [row.group for row in rows[1:]] == ["0-9", "10-17", "30-49", "70+", "unknown"]


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="2 values for 3 images"):
        subgroup_table([0, 1, 1], [0.1, 0.9, 0.2], ["a"] * 3, {"sex": ["F", "M"]}, threshold=0.5)
    with pytest.raises(InputError, match="one patient per image"):
        subgroup_table([0, 1, 1], [0.1, 0.9, 0.2], ["a"] * 2, {}, threshold=0.5)
    with pytest.raises(InputError, match="below 0"):
        age_bands([-1])
