"""``osteon train`` from outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]

QUICK = (
    "--strategy", "scratch", "--arch", "densenet_small", "--device", "cpu",
    "--set", "epochs=2", "--set", "image_size=32", "--set", "batch=8", "--set", "threads=1",
    "--set", "learning_rate=1e-3",
)  # fmt: skip


@pytest.fixture
def dataset(toy_dataset: Path, tmp_path: Path, osteon: Run) -> Path:
    folder = tmp_path / "toy"
    shutil.copytree(toy_dataset, folder)
    assert osteon("split", folder, "--folds", 2).code == 0
    return folder


def test_a_run_is_trained_told_and_not_trained_again(
    dataset: Path, tmp_path: Path, osteon: Run, plain: Callable[[str], None]
) -> None:
    words = ("train", "ct_osteosarcoma", "--data", dataset, *QUICK, "-o", tmp_path / "run")
    first = osteon(*words, "--fold", 0)
    assert first.code == 0, first.err
    assert "fold 0: epoch" in first.out
    assert "fold 1: not trained yet" in first.out
    assert "fold 0 epoch   2 all" in first.err
    plain(first.out)
    second = osteon(*words)
    assert second.code == 0
    assert "fold 0 epoch" not in second.err
    assert second.out.count(" kept, validation AUC ") == 2
    refused = osteon(*words, "--seed", 5)
    assert refused.code == 1
    assert "seed 1 there, 5 now" in refused.err


def test_settings_come_from_a_file_and_from_options(dataset: Path, tmp_path: Path, osteon: Run) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("epochs = 9\nlearning_rat = 1e-4\n", encoding="utf-8")
    words = ("train", "ct_osteosarcoma", "--data", dataset, "-o", tmp_path / "run", "--settings", file)
    ran = osteon(*words)
    assert ran.code == 1
    assert "did you mean 'learning_rate'" in ran.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--strategy", "lpft"), "did you mean 'lp-ft'"),
        (("--set", "batch"), "name=value"),
        (("--arch", "resnet18"), "choose pretrained hub"),
        (("--pretrained", "gone.safetensors"), "gone.safetensors"),
        (("--fold", "7"), "folds 0 to 1"),
    ],
)
def test_what_cannot_be_trained_is_reported(
    dataset: Path, tmp_path: Path, osteon: Run, options: tuple[str, ...], says: str
) -> None:
    ran = osteon("train", "ct_osteosarcoma", "--data", dataset, "-o", tmp_path / "run", *options)
    assert ran.code == 1
    assert says in ran.err


def test_an_unreadable_image_is_skipped_only_when_asked(dataset: Path, tmp_path: Path, osteon: Run) -> None:
    (dataset / "images" / "t1-0.png").write_bytes(b"")
    words = ("train", "ct_osteosarcoma", "--data", dataset, *QUICK, "-o", tmp_path / "run", "--fold", 0)
    ran = osteon(*words)
    assert ran.code == 1
    assert "images/t1-0.png" in ran.err
    ran = osteon(*words, "--skip-unreadable")
    assert ran.code == 3
    assert "1 image(s) could not be read" in ran.out
