"""Heads on frozen features are trained, resumed, evaluated and exported by the commands of any other network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from osteon.app.cli.program import build
from osteon.data import ImageRow, Manifest, Split
from osteon.data.manifest import Fold
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest, write_manifest
from osteon.predict.predictor import Predictor
from osteon.systems.histology.detail import tiles_of
from osteon.systems.histology.recipe import RECIPE
from osteon.train.run import Run, RunOptions, train_run
from osteon.train.tile_features import read_tile
from osteon.weights import Classes, read_card

COLOURS = ((230, 220, 240), (190, 120, 170), (90, 50, 140))
QUICK: dict[str, Any] = {"rates": (0.01, 0.001), "epochs": (4, 15), "repeats": 2, "pixels": 64, "batch": 8}
PEOPLE = ("P0", "P1", "P2", "P3")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles whose mean colour is their class; two folds by patient."""
    folder = tmp_path_factory.mktemp("tiles") / "data"
    folder.mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(len(PEOPLE) * 18):
        label = number % 3
        picture = np.clip(np.array(COLOURS[label]) + random.normal(0, 12, (64, 64, 3)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
        extra = {"microns_per_pixel": "2", "columns": "64", "rows": "64"}
        rows.append(
            ImageRow(image=f"{number}.png", patient=PEOPLE[number // 18], label=TILE_CLASSES[label], extra=extra)
        )
    write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    folds = (Fold(("P0", "P1"), ("P2",), ("P3",)), Fold(("P2", "P3"), ("P0",), ("P1",)))
    write_split(Split("nested", "patient", folds, 1), folder)
    return folder


def train(dataset: Path, out: Path, *, folds: tuple[int, ...] | None = None, **settings: object) -> Run:
    wanted = RECIPE.settings({**QUICK, **settings})
    return train_run(read_manifest(dataset), read_split(dataset), wanted, out, options=RunOptions(folds=folds))


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(dataset, tmp_path_factory.mktemp("runs") / "run")


def test_classes_that_are_colours_are_learnt(run: Run) -> None:
    assert run.is_complete
    assert run.classes == TILE_CLASSES
    for fold in run.folds:
        assert len(fold.history) == 15
        assert fold.best_epoch in (4, 15), "only epochs of the grid may be chosen"
        assert {record.head_rate for record in fold.history} <= set(QUICK["rates"])
        assert fold.predictions is not None
        test = fold.predictions.of(part="test")
        assert (test.logits.argmax(axis=1) == test.truth).mean() > 0.9
        assert set(test.patient) == set(PEOPLE) & {f"P{3 - 2 * fold.fold}"}


def test_a_fold_that_was_lost_comes_back_bit_for_bit(run: Run, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "fold-1")
    again = train(dataset, tmp_path / "run")
    np.testing.assert_array_equal(again.predictions().logits, run.predictions().logits)
    assert again.folds[1].weights.read_bytes() == run.folds[1].weights.read_bytes()
    with pytest.raises(InputError, match="other settings"):
        train(dataset, tmp_path / "run", seed=9)


def test_a_ridge_has_one_record_a_strength(dataset: Path, tmp_path: Path) -> None:
    found = train(dataset, tmp_path / "ridge", folds=(0,), head="ridge", strengths=(1.0, 30.0)).folds[0]
    assert [record.head_rate for record in found.history] == [1.0, 30.0]
    assert found.monitored is not None
    assert found.monitored > 0.9


def test_unreadable_tiles_are_named_or_refused(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data" / "4.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"4\.png"):
        train(tmp_path / "data", tmp_path / "a")
    manifest, split = read_manifest(tmp_path / "data"), read_split(tmp_path / "data")
    options = RunOptions(folds=(0,), skip_unreadable=True)
    found = train_run(manifest, split, RECIPE.settings(QUICK), tmp_path / "b", options=options)
    assert [entry["image"] for entry in found.document["unreadable"]] == ["4.png"]
    assert found.folds[0].images["unreadable"] == 1


def test_train_evaluate_and_export_by_command(dataset: Path, tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    changes = [f"--set={name}={','.join(map(str, np.atleast_1d(value)))}" for name, value in QUICK.items()]
    program = build()

    def call(*words: str) -> str:
        done = CliRunner().invoke(program, list(words), catch_exceptions=False)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    call("train", "histology", "--data", str(dataset), "-o", str(run), *changes)
    told = json.loads(call("evaluate", str(run), "--data", str(dataset), "--repeats", "20", "--json"))
    assert told["run"]["classes"] == list(TILE_CLASSES)
    call("models", "export", str(run), "--data", str(dataset), "-o", str(model), "--repeats", "20")
    card = read_card(model)
    tiles = tiles_of(card)
    assert (card.task, tiles.tile_um, tiles.pixels, len(card.members)) == ("histology", 128.0, 64, 2)
    assert any(entry.metric == "recall of viable, images" and (entry.value or 0) > 0.9 for entry in card.results)
    predictor = Predictor.load(card, runtime="torch")
    assert predictor.limits is not None
    shown = np.stack([read_tile(dataset / f"{number}.png", side=64) for number in range(3)])
    assert predictor.scores(shown).probability.argmax(axis=1).tolist() == [0, 1, 2]
    # the three tiles of a fold are all right, where no finite temperature is best: the model stays as sure as it was
    assert isinstance(card.output, Classes)
    assert card.output.temperatures == (1.0, 1.0)
    words = ["models", "export", str(run), "--data", str(dataset), "-o", str(tmp_path / "other")]
    for wish, said in (
        (("--threshold", "0.3"), "predicts the likeliest class"),
        (("--operating-point", "youden"), "predicts the likeliest class"),
        (("--least-mm3", "9"), "which have no lesions"),
    ):
        refused = CliRunner().invoke(program, [*words, *wish])
        assert refused.exit_code == 1
        assert isinstance(refused.exception, SystemExit | InputError)
        assert said in (refused.output + str(refused.exception))
