"""Which published tables can be true: against trying all matrices, and the tables that the specs evaluate.

Lines are those of the files in ../shared/specs.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.confusion_space import RATES, Cells, matrix_fits, parse_published
from osteon.metrics.consistency import Classes, Consistency, check, check_multiclass


def row(text: str) -> dict[str, Any]:
    """``"accuracy 98.34 auc 0.848"`` as keywords."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def conflicts(found: Consistency) -> set[frozenset[str]]:
    return {frozenset(violation.values) for violation in found.violations}


# ----------------------------------------------------------------------------------------- what is published is a range


def test_rounding_intervals_come_from_the_text() -> None:
    found = parse_published({"a": "98.30", "b": "98.3%", "c": "100", "d": 7})
    assert [(value.low, value.high) for value in found.values()] == [
        (Fraction("0.98295"), Fraction("0.98305")),
        (Fraction("0.9825"), Fraction("0.9835")),
        (Fraction("0.995"), Fraction(1)),
        (Fraction("0.065"), Fraction("0.075")),
    ]
    assert parse_published({"a": "0.90"})["a"].high == Fraction("0.905")
    assert parse_published({"a": 0.9})["a"].high == Fraction("0.95")
    assert parse_published({"a": "98,3"})["a"].low == Fraction("0.9825")
    assert parse_published({"a": ".5"}, allowance_points=10)["a"].low == Fraction("0.35")
    assert parse_published({"a": "98", "auc": "0.8"}, own_scale=frozenset({"auc"}))["auc"].high == Fraction("0.85")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"a": "nan"}, "not a number"),
        ({"a": "-3"}, "not a number"),
        ({"a": "1e-3"}, "not a number"),
        ({"a": ""}, "not a number"),
        ({"a": "."}, "not a number"),
        ({"a": "100.1"}, "above 100"),
        ({"a": 1e9}, "above 100"),
        ({"a": "98", "b": "0.9"}, "beside percentages"),
    ],
)
def test_what_is_not_a_share_is_refused(values: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_published(values)


# ------------------------------------------------------------------------------ against trying all confusion matrices


def published_of(cells: Cells, decimals: int) -> dict[str, Any]:
    """The rates of a matrix, published in per cent."""
    rates = {}
    for name, (top, bottom) in RATES.items():
        whole = sum(a * b for a, b in zip(bottom, cells, strict=True))
        part = sum(a * b for a, b in zip(top, cells, strict=True))
        if whole:
            rates[name] = f"{100 * part / whole:.{decimals}f}%"
    return rates


def counted(values: dict[str, Any], positives: int, negatives: int) -> int:
    """All matrices, one by one."""
    wanted = parse_published(values)
    every = ((tp, positives - tp, negatives - tn, tn) for tp in range(positives + 1) for tn in range(negatives + 1))
    return sum(matrix_fits(cells, wanted) for cells in every)


@pytest.mark.parametrize("seed", range(60))
def test_whole_numbers_are_found_as_by_trying_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    positives, negatives = (int(n) for n in generator.integers(1, 30, 2))
    tp, tn = int(generator.integers(0, positives + 1)), int(generator.integers(0, negatives + 1))
    values = published_of((tp, positives - tp, negatives - tn, tn), int(generator.integers(0, 2)))
    if seed % 2:  # one value a little off: sometimes possible, sometimes not
        name = str(generator.choice(list(values)))
        moved = min(max(float(values[name][:-1]) + generator.normal(0, 3), 0), 100)
        values[name] = f"{moved:.0f}%"
    for name in generator.choice(list(values), int(generator.integers(0, 3)), replace=False):
        del values[name]
    found = check(classes=Classes(positives, negatives), **values)
    assert (found.matrices or 0) == counted(values, positives, negatives)
    assert found.possible == (found.matrices is not None) == (found.matrix is not None)
    if found.matrix is not None:
        assert matrix_fits(found.matrix, parse_published(values))
        assert found.matrix[0] + found.matrix[1] == positives


@pytest.mark.parametrize("seed", range(25))
def test_without_sizes_the_truth_is_always_possible(seed: int) -> None:
    generator = np.random.default_rng(seed)
    tp, fn, fp, tn = (int(n) for n in generator.integers(1, 60, 4))
    values = published_of((tp, fn, fp, tn), 1)
    total = tp + fn + fp + tn
    for classes in (Classes(), Classes(total=total), Classes(tp + fn, fp + tn)):
        found = check(classes=classes, **values)
        assert found.possible, found
        assert found.positive_share is not None
        assert found.positive_share[0] - 1e-12 <= (tp + fn) / total <= found.positive_share[1] + 1e-12
        if found.matrix is not None:
            assert matrix_fits(found.matrix, parse_published(values))


@pytest.mark.parametrize("seed", range(10))
def test_without_sizes_impossible_means_no_matrix_of_any_size(seed: int) -> None:
    generator = np.random.default_rng(100 + seed)
    values = {name: f"{generator.integers(50, 100)}%" for name in ("sensitivity", "precision", "accuracy", "f1")}
    fits = sum(counted(values, p, n) for p in range(1, 11) for n in range(1, 11))
    if check(**values).possible is False:  # type: ignore[arg-type]
        assert fits == 0
    for total in (9, 16):
        expected = sum(counted(values, p, total - p) for p in range(1, total))
        assert (check(classes=Classes(total=total), **values).matrices or 0) == expected  # type: ignore[arg-type]


def test_large_numbers_are_solved_without_overflow() -> None:
    cells = (1_234_567, 123_456, 7_654_321, 912_345_678)
    found = check(classes=Classes(cells[0] + cells[1], cells[2] + cells[3]), **published_of(cells, 6))
    assert found.possible
    assert found.matrices is not None
    assert found.matrices < 100


# --------------------------------------------------------------------------------------------- the area under the ROC


def test_the_bounds_of_the_auc_are_reached_and_never_left() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        truth = np.array([1] * 8 + [0] * 12)
        score = np.round(generator.normal(truth * generator.normal(), 1), 1)
        predicted = score >= generator.choice(score)
        tp, tn = int((predicted & (truth == 1)).sum()), int((~predicted & (truth == 0)).sum())
        area = check(sensitivity=f"{tp / 8:.6f}", specificity=f"{tn / 12:.6f}", classes=Classes(8, 12)).auc_range or (
            0.0,
            1.0,
        )
        assert area[0] - 1e-12 <= roc_auc_score(truth, score) <= area[1] + 1e-12
    # sensitivity 3/4, specificity 2/3 with the worst and the best order inside each side of the threshold
    for order, bound in (([9, 8, 7, 0, 10, 1, 2], 0.5), ([10, 9, 8, 3, 7, 1, 2], 1 - 1 / 12)):
        area = check(sensitivity="0.750000", specificity="0.666667", classes=Classes(4, 3)).auc_range or (0.0, 1.0)
        assert roc_auc_score([1, 1, 1, 1, 0, 0, 0], order) == pytest.approx(bound)
        assert min(abs(end - bound) for end in area) < 1e-9


def test_an_auc_below_the_concave_bound_is_noted() -> None:
    found = check(sensitivity="0.90", specificity="0.80", auc="0.75")  # 0.72 at least, 0.85 if concave
    assert found.possible
    assert "not concave" in found.notes[0]
    assert check(sensitivity="0.90", specificity="0.80", auc="0.99").violations[0].message.count("at most 1 -") == 1
    assert check(sensitivity="0.90", specificity="0.80", auc="0.980").possible


# -------------------------------------------------------------------------------------------- the tables of the specs


@pytest.mark.parametrize(
    "published",
    [
        "accuracy 98.34 sensitivity 97.26 specificity 95.74 f1 96.37 auc 0.848",
        "accuracy 96.58 sensitivity 96.27 specificity 92.58 f1 93.69 auc 0.688",
    ],
)
def test_mri_femur_line_29_is_impossible_twice(published: str) -> None:
    found = check(**row(published))
    assert not found.possible
    assert {
        frozenset({"accuracy", "sensitivity", "specificity"}),
        frozenset({"sensitivity", "specificity", "auc"}),
    } <= (conflicts(found))


def test_mri_femur_line_29_in_its_words() -> None:
    found = check(accuracy="98.34", sensitivity="97.26", specificity="95.74", auc="0.848")
    assert "between 95.7350 % and 97.2650 %" in found.violations[0].message
    assert "0.931 (0.965 if it is concave)" in found.violations[1].message


def test_radiographs_systems_line_281_phase_1_validation_is_impossible() -> None:
    found = check(accuracy="94.4", sensitivity="90.0", specificity="87.2")
    assert conflicts(found) == {frozenset({"accuracy", "sensitivity", "specificity"})}


@pytest.mark.parametrize(
    "published",
    [
        "accuracy 90.6 sensitivity 89.4 specificity 91.0",
        "accuracy 90.3 sensitivity 93.0 specificity 84.4",
        "accuracy 86.7 sensitivity 100.0 specificity 76.0",
    ],
)
def test_radiographs_systems_lines_271_and_272_the_other_rows_are_possible(published: str) -> None:
    assert check(**row(published)).possible


def test_radiographs_systems_line_265_the_validation_share_is_found() -> None:
    found = check(accuracy="90.3", sensitivity="93.0", specificity="84.4")
    assert found.positive_share is not None
    assert found.positive_share[0] < 44 / 64 < found.positive_share[1]


def test_radiographs_systems_line_282_fits_five_runs_and_not_six_folds() -> None:
    published = row("accuracy 86.7 sensitivity 100.0 specificity 76.0")
    found = check(classes=Classes(20, 25), **published)
    assert (found.matrix, found.matrices) == ((20, 0, 6, 19), 1)  # 39/45, 20/20, 19/25
    for osteomyelitis in range(1, 11):
        assert not check(specificity="76.0", classes=Classes(24, 6 * osteomyelitis)).possible


# shares of patients, line 149-158
SHARES = [6.06, 2.22, 15.33, 22.37, 1.11, 3.83, 6.30, 4.08, 28.31, 10.38]
# images of the test set, lines 393-402
IMAGES = [6, 57, 16, 73, 1, 20, 13, 100, 44, 27]


@pytest.mark.parametrize(
    ("accuracy", "recall", "forced"), [("92.86", "34.08", 0.70), ("54.10", "19.85", 0.222), ("62.80", "23.05", 0.279)]
)
def test_radiographs_systems_line_214_the_recall_is_impossible(accuracy: str, recall: str, forced: float) -> None:
    found = check_multiclass(accuracy=accuracy, macro_recall=recall, class_shares=SHARES)
    assert not found.possible
    assert found.low == pytest.approx(forced, abs=0.002)
    assert f"{recall} % is published" in found.violations[0].message


def test_radiographs_systems_line_215_with_shares_of_images() -> None:
    found = check_multiclass(accuracy="92.86", macro_recall="34.08", class_shares=IMAGES)
    assert not found.possible
    assert found.low == pytest.approx(0.66, abs=0.007)


def test_radiographs_systems_line_405_a_real_matrix_is_possible() -> None:
    assert check_multiclass(accuracy="0.697", macro_recall="0.505", class_counts=IMAGES).possible  # 249 of 357


@pytest.mark.parametrize(
    "rates",
    # ct-osteosarcoma.md lines 62-72: AUC, TPR, TNR
    [
        "0.828 0.671 0.843", "0.833 0.658 0.828", "0.769 0.612 0.776", "0.732 0.452 0.824",
        "0.873 0.681 0.889", "0.846 0.705 0.858", "0.852 0.638 0.859", "0.850 0.745 0.795", "0.869 0.740 0.830",
        "0.853 0.711 0.842", "0.950 0.764 0.964", "0.905 0.781 0.863", "0.924 0.718 0.932", "0.903 0.688 0.911",
        "0.849 0.667 0.857", "0.830 0.617 0.872", "0.948 0.832 0.946", "0.941 0.770 0.941", "0.923 0.766 0.921",
        "0.944 0.874 0.876", "0.927 0.864 0.838", "0.933 0.803 0.911",
    ],
)  # fmt: skip
def test_ct_osteosarcoma_tables_are_possible(rates: str) -> None:
    auc, tpr, tnr = rates.split()
    found = check(auc=auc, sensitivity=tpr, specificity=tnr)
    assert found.possible
    assert not found.notes


# bone-metastasis.md lines 318-323 and 340-342, columns as published: accuracy, f1, specificity, sensitivity, precision
TABLE_4_SWAPPED = [
    "98.91 79.46 78.75 99.46 80.22",
    "98.90 79.41 79.20 99.44 79.64",
    "98.92 79.74 79.41 99.46 80.16",
    "99.05 82.27 81.88 99.53 82.68",
    "98.83 77.41 74.54 99.50 80.63",
    "98.83 77.54 75.14 99.49 80.12",
    "98.83 77.73 76.33 99.45 79.24",
]
FOLDS_POINTS = 0.06  # line 303: the rules hold to 0.06 points, since means over five folds are published


@pytest.mark.parametrize("cells", TABLE_4_SWAPPED)
def test_bone_metastasis_line_325_is_impossible_as_printed_and_possible_exchanged(cells: str) -> None:
    accuracy, f1, specificity, sensitivity, precision = cells.split()
    published = row(f"accuracy {accuracy} f1 {f1} precision {precision}")
    found = check(**published, specificity=specificity, sensitivity=sensitivity, allowance_points=FOLDS_POINTS)
    assert not found.possible
    assert frozenset({"f1", "sensitivity", "precision"}) in conflicts(found)
    assert any("sensitivity and specificity exchanged" in note for note in found.notes)
    assert check(**published, specificity=sensitivity, sensitivity=specificity, allowance_points=FOLDS_POINTS).possible


@pytest.mark.parametrize("cells", ["98.29 68.78 99.06 70.23 67.36", "99.13 83.67 99.59 82.68 84.68"])
def test_bone_metastasis_line_325_the_two_other_rows_are_possible(cells: str) -> None:
    values = dict(zip(("accuracy", "f1", "specificity", "sensitivity", "precision"), cells.split(), strict=True))
    assert check(**values, allowance_points=FOLDS_POINTS).possible  # type: ignore[arg-type]


# bone-metastasis.md lines 377-384 without InceptionV3: accuracy, f1, "recall", "precision"
TABLE_5_SWAPPED = [
    "81.81 80.08 92.32 70.69",
    "80.18 77.60 93.35 66.39",
    "79.90 77.07 93.92 65.34",
    "79.36 78.47 85.16 72.76",
    "86.94 86.57 92.44 81.40",
    "73.07 67.82 88.75 54.88",
    "70.09 62.79 88.03 48.80",
]
RECONSTRUCTED = Classes(positives=6225, negatives=5816)  # line 98
RECONSTRUCTED_POINTS = 0.02  # lines 98 and 386: accuracies come out to 0.02


@pytest.mark.parametrize("cells", TABLE_5_SWAPPED)
def test_bone_metastasis_line_386_is_impossible_as_printed_and_possible_exchanged(cells: str) -> None:
    accuracy, f1, recall, precision = cells.split()
    published = row(f"accuracy {accuracy} f1 {f1}")
    options: dict[str, Any] = {"classes": RECONSTRUCTED, "allowance_points": RECONSTRUCTED_POINTS}
    found = check(**published, sensitivity=recall, precision=precision, **options)
    assert not found.possible
    assert any("sensitivity and precision exchanged" in note for note in found.notes)
    assert check(**published, sensitivity=precision, precision=recall, **options).possible


def test_bone_metastasis_line_386_the_misprint_contradicts_f1() -> None:
    published = row("accuracy 80.96 f1 79.34 precision 90.37")
    options: dict[str, Any] = {"classes": RECONSTRUCTED, "allowance_points": RECONSTRUCTED_POINTS}
    assert not check(sensitivity="45.17", **published).possible
    assert check(sensitivity="70.71", **published, **options).possible


def test_bone_metastasis_line_406_the_hybrid_row_fits_its_own_matrix() -> None:
    published = row("accuracy 88.41 f1 87.65 sensitivity 79.55 precision 97.59")
    counts: Cells = (4952, 1273, 122, 5694)  # lines 98 and 408
    assert matrix_fits(counts, parse_published(published, allowance_points=RECONSTRUCTED_POINTS))
    assert check(**published, classes=RECONSTRUCTED, allowance_points=RECONSTRUCTED_POINTS).possible
    # 4952 of 5074 is 97.596 %: the thesis cut it off, and rounding would have published 97.60
    assert frozenset({"sensitivity", "precision"}) in conflicts(check(**published, classes=RECONSTRUCTED))


def test_bone_metastasis_line_588_cannot_be_one_test_of_17_patients() -> None:
    published = row("accuracy 82.4 sensitivity 82.4 specificity 81.5 auc 0.861")
    assert check(**published).possible  # for some shares of the classes
    found = check(**published, classes=Classes(total=17))
    assert conflicts(found) == {frozenset({"sensitivity"}), frozenset({"specificity"})}  # 14/17 leaves no negative
    assert "whole numbers" in found.violations[0].message


# ----------------------------------------------------------------------------------------------------------- the rest


def test_a_near_miss_says_how_near() -> None:
    found = check(**row("f1 79.46 sensitivity 78.75 precision 80.22"))
    assert not found.possible
    assert "0.01 percentage points" in found.notes[0]


def test_a_range_of_prevalence_narrows_the_accuracy() -> None:
    published = row("accuracy 0.93 sensitivity 0.95 specificity 0.90")  # needs 60 % positives
    assert check(**published).possible
    assert check(**published, classes=Classes(prevalence=(0.5, 0.7))).possible
    assert not check(**published, classes=Classes(prevalence=(0.1, 0.3))).possible


def test_macro_recall_by_hand_and_by_trying_all() -> None:
    sizes = (5, 3, 2)
    for hits in range(11):
        reached = [
            (a / 5 + b / 3 + c / 2) / 3 for a in range(6) for b in range(4) for c in range(3) if a + b + c == hits
        ]
        found = check_multiclass(accuracy=f"{hits / 10:.2f}", macro_recall="0.5", class_counts=sizes)
        assert (found.low, found.high) == pytest.approx((min(reached), max(reached)))
    none = check_multiclass(accuracy="0.55", macro_recall="0.5", class_counts=sizes)
    assert not none.possible
    assert "no whole number of 10 cases" in none.violations[0].message


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="nothing was published"):
        check()
    with pytest.raises(UnknownLabelError, match="did you mean 'accuracy'"):
        check(acuracy="0.9")  # type: ignore[call-arg]
    for classes, says in (
        (Classes(positives=3), "together"),
        (Classes(3, 4, total=7), "one of the three"),
        (Classes(0, 4), "1 to"),
        (Classes(total=1), "2 to"),
        (Classes(prevalence=(0.5, 0.4)), "rising"),
    ):
        with pytest.raises(InputError, match=says):
            check(accuracy="0.9", classes=classes)
    with pytest.raises(InputError, match="either class_counts or class_shares"):
        check_multiclass(accuracy="0.9", macro_recall="0.9")
    with pytest.raises(InputError, match="two classes"):
        check_multiclass(accuracy="0.9", macro_recall="0.9", class_counts=[3, 0])
    with pytest.raises(InputError, match="two classes"):
        check_multiclass(accuracy="0.9", macro_recall="0.9", class_shares=[0.5, float("nan")])
