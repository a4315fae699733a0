"""``osteon consistency`` from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]

MRI_FEMUR = ("--accuracy", "98.34", "--sensitivity", "97.26", "--specificity", "95.74", "--auc", "0.848")


def test_an_impossible_table_ends_with_3_and_says_why(osteon: Run, plain: Callable[[str], None]) -> None:
    ran = osteon("consistency", *MRI_FEMUR)
    assert ran.code == 3
    assert ran.out.startswith("impossible\n")
    assert "accuracy is between 95.7350 % and 97.2650 %" in ran.out
    assert "at least sensitivity x specificity = 0.931 (0.965 if it is concave)" in ran.out
    assert ran.err == ""
    plain(ran.out)


def test_a_possible_table_ends_with_0_and_shows_a_matrix(osteon: Run) -> None:
    words = ("--accuracy", "86.7", "--sensitivity", "100.0", "--specificity", "76.0")
    ran = osteon("consistency", *words, "--positives", "20", "--negatives", "25")
    assert (ran.code, ran.err) == (0, "")
    assert "tp 20, fn 0, fp 6, tn 19 (45 cases, one of 1 that fit)" in ran.out
    assert osteon("consistency", *words, "--total", 45).code == 0
    assert osteon("consistency", *words, "--prevalence", 0.6, 0.9).code == 3
    assert osteon("consistency", *words, "--prevalence", 0.4, 0.5).code == 0


def test_json_holds_the_same(osteon: Run) -> None:
    ran = osteon("consistency", *MRI_FEMUR, "--positives", 165, "--negatives", 335, "--json")
    found = json.loads(ran.out)
    assert ran.code == 3
    assert found["possible"] is False
    assert found["matrix"] is None
    assert ["sensitivity", "specificity", "auc"] in [row["values"] for row in found["violations"]]
    fine = osteon("consistency", "--sensitivity", "0.832", "--specificity", "0.946", "--auc", "0.948", "--json")
    assert fine.code == 0
    assert json.loads(fine.out)["auc_range"] == pytest.approx([0.787, 0.991], abs=1e-3)


def test_an_allowance_is_for_means_over_folds(osteon: Run) -> None:
    words = ("consistency", "--f1", "79.46", "--sensitivity", "78.75", "--precision", "80.22")
    assert osteon(*words).code == 3
    assert osteon(*words, "--allowance", "0.06").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing was published"),
        (("--accuracy", "high"), "not a number"),
        (("--accuracy", "134"), "above 100 %"),
        (("--accuracy", "98.3", "--sensitivity", "0.97"), "stands beside percentages"),
        (("--accuracy", "98.3", "--positives", "3"), "together"),
        (("--accuracy", "98.3", "--positives", "0", "--negatives", "3"), "1 to"),
        (("--accuracy", "98.3", "--total", "1"), "2 to"),
        (("--accuracy", "98.3", "--prevalence", "0.5", "0.2"), "rising"),
        (("--accuracy", "98.3", "--allowance", "-1"), "allowance"),
    ],
)
def test_nonsense_ends_with_2(osteon: Run, words: tuple[str, ...], says: str) -> None:
    ran = osteon("consistency", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert says in " ".join(ran.err.replace("│", " ").split())
