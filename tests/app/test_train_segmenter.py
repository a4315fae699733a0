"""``osteon train ct_metastasis`` from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.train.toy_slices import write_toy_dataset

Run = Callable[..., SimpleNamespace]

QUICK = (
    "--arch", "hybrid_attunetpp_small", "--device", "cpu", "--set", "epochs=2", "--set", "image_size=32",
    "--set", "batch=4", "--set", "threads=1", "--set", "augments=no",
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("slices") / "toy")


def test_segmenters_are_trained_told_and_not_trained_again(
    dataset: Path, tmp_path: Path, osteon: Run, plain: Callable[[str], None]
) -> None:
    words = ("train", "ct_metastasis", "--data", dataset, *QUICK, "-o", tmp_path / "run")
    first = osteon(*words, "--fold", 0)
    assert first.code == 0, first.err
    assert "fold 0: epoch" in first.out
    assert "fold 1: not trained yet" in first.out
    assert "lesion, test part of 1 fold(s): 6 images of 2 patients" in first.out
    for name in ("F1", "mean Dice", "IoU", "accuracy", "specificity", "sensitivity", "precision"):
        assert f"  {name} " in first.out
    assert "rate 5.0e-03" in first.err
    plain(first.out)
    second = osteon(*words, "--fold", 0)
    assert second.code == 0
    assert "epoch" not in second.err
    refused = osteon(*words, "--seed", 5)
    assert refused.code == 1
    assert "seed 1 there, 5 now" in refused.err

    evaluated = osteon("evaluate", tmp_path / "run", "--data", dataset, "--repeats", 50)
    assert evaluated.code == 0, evaluated.err
    assert "SYNTHETIC" in evaluated.out
    assert "6 images of 2 patients" in evaluated.out
    folder = tmp_path / "run" / "evaluation"
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert [len(found[name]) for name in ("patients", "worst")] == [2, 6]
    line = next(line for line in first.out.splitlines() if line.startswith("  F1"))
    assert f"{found['maps']['lesion']['measures']['f1']['over_patients']['value']:.4f}" == line.split()[1]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 1
    assert "Images with the lowest Dice" in page
    by = osteon("evaluate", tmp_path / "run", "--data", dataset, "--by", "sex")
    assert by.code == 1
    assert "leave it out" in by.err

    exported = osteon(
        "models", "export", tmp_path / "run", "--data", dataset, "-o", tmp_path / "model", "--repeats", 50,
        "--operating-point", "half", "--device", "cpu",
    )  # fmt: skip
    assert exported.code == 0, exported.err
    assert "hybrid_attunetpp_small.model: 1 network(s)" in exported.out
    assert "F1, lesion, pixels, probability >= 0.5" in exported.out


@pytest.mark.parametrize(
    ("options", "says", "code"),
    [
        (("--strategy", "ft"), "--strategy: not of ct_metastasis", 2),
        (("--set", "learning_rate=1"), "no setting 'learning_rate'", 1),
        (("--arch", "mobilenet_v2"), "architecture 'mobilenet_v2' does not exist", 1),
        (("--set", "image_size=100"), "multiple of 16", 1),
    ],
)
def test_what_cannot_be_trained_is_reported(
    dataset: Path, tmp_path: Path, osteon: Run, options: tuple[str, ...], says: str, code: int
) -> None:
    ran = osteon("train", "ct_metastasis", "--data", dataset, "-o", tmp_path / "run", *options)
    assert ran.code == code
    assert says in ran.err
    assert not (tmp_path / "run").exists()
