"""What is evaluated decides nothing; the literal protocol is distinguished; settings refuse what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.systems.histology.recipe import RECIPE
from osteon.systems.histology.study_folds import evaluate_fold, evaluate_literally, outer_folds
from osteon.train.settings import HeadSettings, TileAugmentation
from osteon.train.tile_features import TileTable

SETTINGS = RECIPE.settings({"rates": (0.05, 0.005), "epochs": (2, 6), "repeats": 2, "choice_repeats": 1, "batch": 8})


def make_table(*, people: int = 4, each: int = 9, copies: int = 1) -> TileTable:
    """Classes lie on axes of their own; patients are shifted."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(3), people * each // 3)
    patients = np.repeat([f"p{number}" for number in range(people)], each)
    features = (np.eye(3)[labels] * 3 + random.normal(size=(labels.size, 3)) * 0.3).astype(np.float32)
    drawn = np.stack([features + random.normal(size=features.shape) * 0.1 for _ in range(copies)]).astype(np.float32)
    return TileTable(features, drawn, labels, patients)


def test_patients_are_left_out_one_by_one_or_dealt() -> None:
    labels, groups = np.tile([0, 1], 6), np.repeat(np.arange(6), 2).astype(str)
    one_by_one = outer_folds(labels, groups, most=6, seed=1)
    assert [np.unique(groups[test]).tolist() for test in one_by_one] == [[str(number)] for number in range(6)]
    dealt = outer_folds(labels, groups, most=3, seed=1)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(12))
    for test in dealt:
        assert not set(groups[test]) & set(np.delete(groups, test))
    with pytest.raises(InputError, match="at least two patients"):
        outer_folds(labels, np.full(12, "a"), most=3, seed=1)


def test_test_tiles_decide_nothing() -> None:
    table = make_table()
    test = np.flatnonzero(table.patients == "p2")
    found = evaluate_fold(table, test, SETTINGS, unit="patient")
    spoilt = replace(
        table,
        labels=np.where(table.patients == "p2", (table.labels + 1) % 3, table.labels),
        copies=np.where((table.patients == "p2")[None, :, None], np.float32(1e6), table.copies),
    )
    again = evaluate_fold(spoilt, test, SETTINGS, unit="patient")
    np.testing.assert_array_equal(found.logits, again.logits)
    assert (found.rate, found.epochs) == (again.rate, again.epochs)
    assert found.epochs in SETTINGS.epochs
    assert (found.logits.mean(axis=0).argmax(axis=1) == table.labels[test]).all()


def test_one_patient_to_learn_from_is_said() -> None:
    table = make_table(people=2)
    found = evaluate_fold(table, np.flatnonzero(table.patients == "p0"), SETTINGS, unit="patient")
    assert "one patient was left" in found.note


def test_early_stop_may_end_between_the_epochs_of_the_grid() -> None:
    table = make_table()
    test = np.flatnonzero(table.patients == "p1")
    choice = evaluate_fold(table, test, replace(SETTINGS, early_stop=True, epochs=(6,)), unit="patient")
    assert choice.accuracy.shape == (2, 6)
    chosen = choice.accuracy[SETTINGS.rates.index(choice.rate), choice.epochs - 1]
    assert chosen == choice.accuracy.max()


def test_the_literal_best_is_the_largest_of_all_runs_on_a_tenth_of_the_tiles() -> None:
    table = make_table(people=5, each=12)
    found = evaluate_literally(table, SETTINGS)
    assert found.test.size == 6
    assert found.accuracy.shape == (2, 2, 6)
    assert found.accuracy[found.best] == found.accuracy.max()
    assert (found.predicted == table.labels[found.test]).mean() == pytest.approx(found.accuracy.max())
    assert set(found.test.tolist()) <= set(range(60))


def test_copies_stand_beside_the_originals() -> None:
    table = make_table(copies=2)
    features, labels = table.training(np.array([3, 5]))
    np.testing.assert_array_equal(features[:2], table.features[[3, 5]])
    np.testing.assert_array_equal(features[2:4], table.copies[0][[3, 5]])
    np.testing.assert_array_equal(labels, np.tile(table.labels[[3, 5]], 3))


def test_settings_are_kept_and_checked() -> None:
    changed = RECIPE.settings({"rates": [0.1], "augmentation.zoom": "1.5", "augmentation.flip": "yes"})
    assert changed.name == "mobilenet_v2-flip-zoom1.5"
    assert changed.pretrained == "embedded"
    assert HeadSettings.of(changed.document()) == changed
    random = RECIPE.settings({"architecture": "resnetv2_50_tiles", "pretrained": "none"})
    assert random.name == "resnetv2_50-random-none"
    assert RECIPE.settings({"architecture": "resnetv2_50_tiles"}).pretrained == "hub"
    for wrong, kind, words in (
        ({"augmentation.zoon": 1}, UnknownLabelError, "zoom"),
        ({"augmentation": "zoom"}, InputError, r"augmentation\.zoom"),
        ({"architecture": "mobilenet_v2"}, UnknownLabelError, "mobilenet_v2_tiles"),
        ({"positive": "vital"}, UnknownLabelError, "viable"),
        ({"epochs": (50, 30)}, InputError, "rise"),
        ({"epochs": ()}, InputError, "epochs"),
        ({"rates": (0.0,)}, InputError, "rates"),
        ({"repeats": "many"}, InputError, "repeats"),
        ({"augmentation.stain": 1.0}, InputError, r"augmentation\.stain"),
    ):
        with pytest.raises(kind, match=words):
            RECIPE.settings(wrong)
    with pytest.raises(InputError, match=r"augmentation\.copies"):
        TileAugmentation(copies=-1)
