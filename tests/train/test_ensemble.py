"""Nested members never see what they score, literal members do and say so, and probabilities are averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from osteon.data import Manifest, Split
from osteon.errors import InputError
from osteon.study.plan import evaluate_ensemble, inner_split, train_nested
from osteon.train.objectives.segment import kept_network
from osteon.train.pixels import Pixels
from osteon.train.run import Run, RunOptions, train_run
from tests.train.quick import QUICK_SEGMENTER
from tests.train.toy_slices import toy_slices, toy_split

Toy = tuple[Manifest, Split, Pixels]
SETTINGS = replace(QUICK_SEGMENTER, epochs=2)


@pytest.fixture(scope="module")
def toy() -> Toy:
    manifest, pixels = toy_slices(patients=9, each=2)
    return manifest, toy_split(manifest, folds=3), pixels


@pytest.fixture(scope="module")
def run(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Run:
    manifest, split, pixels = toy
    folder = tmp_path_factory.mktemp("plain") / "run"
    return train_run(manifest, split, SETTINGS, folder, options=RunOptions(pixels=pixels))


def test_nested_members_never_see_a_patient_of_the_outer_test_part(toy: Toy) -> None:
    manifest, split, _ = toy
    for outer, whole in enumerate(split.folds):
        inner = inner_split(manifest, split, outer, members=3)
        assert len(inner.folds) == 3
        for fold in inner.folds:
            assert fold.test == whole.test
            assert not set(whole.test) & {*fold.train, *fold.validation}
            assert {*fold.train, *fold.validation} == {*whole.train, *whole.validation}
        parts = [name for fold in inner.folds for name in fold.validation]
        assert sorted(parts) == sorted({*whole.train, *whole.validation})  # each chooses by others
    with pytest.raises(InputError, match="at least 3"):
        inner_split(manifest, split, 0, members=2)
    with pytest.raises(InputError, match="folds 0 to 2"):
        inner_split(manifest, split, 3)


def test_slices_of_one_label_can_be_divided_too(toy: Toy) -> None:
    manifest, split, _ = toy
    assert manifest.labels == ("metastasis",)
    assert inner_split(manifest, split, 0, members=3).seed != inner_split(manifest, split, 1, members=3).seed


def test_the_literal_reading_averages_all_networks_and_warns(toy: Toy, run: Run, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    how: dict[str, Any] = {"options": RunOptions(pixels=pixels), "keep": tmp_path / "kept", "like": SETTINGS}
    counts = evaluate_ensemble(manifest, split, run, **how)
    assert len(counts.warnings) == 1
    assert "up to 2 had learnt from its test images" in counts.warnings[0]
    networks = [kept_network(SETTINGS, fold.weights) for fold in run.folds]
    for number in range(3):
        rows = split.rows(manifest, number).test
        with torch.inference_mode():
            shown = torch.from_numpy(pixels.crops(rows))[:, None]
            mean = sum(network(shown).sigmoid().numpy() for network in networks) / 3
        for index, name in enumerate(("lesion", "bone")):
            truth, predicted = pixels.masks[name][rows], mean[:, index] >= 0.5
            found = counts.of(fold=number, output=name)
            assert found.image.tolist() == [manifest.rows[int(row)].image for row in rows]
            expected = [np.sum(truth & predicted), np.sum(~truth & predicted), np.sum(truth & ~predicted)]
            assert np.abs(found.counts.table.sum(axis=0)[:3] - expected).max() <= 1  # a pixel at 0.5 may round
    # what is kept is read, not evaluated again
    for fold in run.folds:
        assert (tmp_path / "kept" / f"fold-{fold.fold}.csv").exists()
    told: list[str] = []
    again = evaluate_ensemble(manifest, split, run, **how, progress=lambda step, *_: told.append(step))
    assert not told
    assert np.array_equal(again.counts.table, counts.counts.table)
    assert again.warnings == counts.warnings


def test_the_nested_reading_is_trained_resumed_and_judged_without_a_warning(toy: Toy, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    told: list[int] = []
    options = RunOptions(folds=[1], pixels=pixels, on_epoch=lambda fold, _: told.append(fold))
    runs = train_nested(manifest, split, SETTINGS, tmp_path / "nested", members=3, options=options)
    assert told == [0, 0, 1, 1, 2, 2]
    again = train_nested(manifest, split, SETTINGS, tmp_path / "nested", members=3, options=options)
    assert told == [0, 0, 1, 1, 2, 2]
    assert [fold.state for fold in again[0].folds] == ["done"] * 3
    evaluated = evaluate_ensemble(manifest, split, runs, options=RunOptions(folds=[1], pixels=pixels))
    assert evaluated.warnings == ()
    assert set(evaluated.fold.tolist()) == {1}
    assert set(evaluated.patient.tolist()) == set(split.folds[1].test)
    # each member alone was evaluated on the same images
    assert set(runs[0].counts().of(part="test").image.tolist()) == set(evaluated.image.tolist())
    with pytest.raises(InputError, match="one each is needed"):
        evaluate_ensemble(manifest, split, runs, options=RunOptions(pixels=pixels))
    with pytest.raises(InputError, match="another split"):
        evaluate_ensemble(manifest, split, runs, options=RunOptions(folds=[0], pixels=pixels))


def test_members_that_are_missing_are_named(toy: Toy, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    some = train_run(
        manifest,
        split,
        replace(SETTINGS, epochs=1),
        tmp_path / "run",
        options=RunOptions(folds=[0], pixels=pixels),
    )
    with pytest.raises(InputError, match="1 of 3 members"):
        evaluate_ensemble(manifest, split, some, options=RunOptions(pixels=pixels))


def test_a_holdout_that_nobody_saw_needs_no_warning(toy: Toy, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    inner = inner_split(manifest, split, 0, members=3)
    run = train_run(manifest, inner, replace(SETTINGS, epochs=1), tmp_path / "run", options=RunOptions(pixels=pixels))
    counts = evaluate_ensemble(manifest, inner, run, options=RunOptions(folds=[0], pixels=pixels))
    assert counts.warnings == ()
