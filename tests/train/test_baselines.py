"""Baselines that never look at an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from osteon.data import Fold, ImageRow, Manifest, Split
from osteon.errors import InputError
from osteon.train.performance import evaluate_folds, fields_only, known_fields, majority_class, position_only

CLASSES = ("healthy", "tumour")


def _manifest(*, telling: bool) -> Manifest:
    """Twenty patients; with telling fields every tumour patient is young and comes from one of two centres."""
    generator = np.random.default_rng(5)
    rows = []
    for patient in range(20):
        sick = patient % 4 == 0
        age = (15.0 if sick else 60.0) + generator.normal() if telling else 40.0 + 10 * generator.normal()
        rows += [
            ImageRow(
                image=f"{patient}-{image}.png",
                patient=f"P{patient:02d}",
                label=CLASSES[sick],
                age_years=None if patient == 7 else round(age, 1),
                sex="FM"[patient // 2 % 2],
            )
            for image in range(3)
        ]
    return Manifest(Path(), tuple(rows))


def _split(manifest: Manifest) -> Split:
    folds = []
    for number in range(4):
        test = tuple(p for i, p in enumerate(manifest.patients) if i // 4 % 4 == number)
        rest = [p for p in manifest.patients if p not in test]
        folds.append(Fold(tuple(rest[4:]), tuple(rest[:4]), test))
    return Split("nested", "patient", tuple(folds), seed=1)


def test_the_majority_says_the_same_for_all() -> None:
    manifest = _manifest(telling=True)
    table = majority_class(manifest, _split(manifest), classes=CLASSES, positive="tumour")
    evaluated = evaluate_folds(table)
    assert evaluated["auc"].over_folds.mean == 0.5
    assert evaluated["tpr"].over_folds.mean == 0
    assert evaluated["tnr"].over_folds.mean == 1
    assert np.unique(table.probability[table.fold == 0]).size == 1


def test_fields_that_tell_are_found_out() -> None:
    manifest = _manifest(telling=True)
    assert known_fields(manifest) == ("age_years", "sex")
    table = fields_only(manifest, _split(manifest), classes=CLASSES, positive="tumour")
    assert table is not None
    assert evaluate_folds(table)["auc"].over_folds.mean > 0.95


def test_fields_equal_a_regression_fitted_by_hand() -> None:
    manifest = _manifest(telling=False)
    split = _split(manifest)
    table = fields_only(manifest, split, classes=CLASSES, positive="tumour")
    assert table is not None
    rows = split.rows(manifest, 1)
    design = []
    known = [row.age_years for i, row in enumerate(manifest.rows) if i in rows.train and row.age_years is not None]
    for row in manifest.rows:
        age = 0.0 if row.age_years is None else (row.age_years - np.mean(known)) / np.std(known)
        design.append([age, row.age_years is None, row.sex == "F", row.sex == "M"])
    truth = manifest.truth("tumour")
    model = LogisticRegression(max_iter=1000).fit(np.array(design)[rows.train], truth[rows.train])
    expected = model.predict_proba(np.array(design)[rows.test])[:, 1]
    assert table.probability[table.fold == 1] == pytest.approx(expected, abs=1e-5)


def test_without_fields_there_is_nothing_to_judge() -> None:
    manifest = _manifest(telling=True)
    bare = Manifest(Path(), tuple(replace(row, age_years=None, sex="F") for row in manifest.rows))
    assert known_fields(bare) == ()
    assert fields_only(bare, _split(bare), classes=CLASSES, positive="tumour") is None


def test_position_alone_equals_a_regression_fitted_by_hand() -> None:
    manifest = _manifest(telling=False)
    places = np.random.default_rng(1).uniform(size=len(manifest))
    rows = tuple(
        replace(row, extra={"position": f"{place:.4f}"}, label="tumour" if abs(place - 0.5) < 0.25 else "normal")
        for row, place in zip(manifest.rows, places, strict=True)
    )
    cut, labels = Manifest(manifest.folder, rows), ("normal", "tumour")
    split = replace(_split(manifest), manifest_sha256=cut.sha256)
    table = position_only(cut, split, classes=labels, positive="tumour")
    assert evaluate_folds(table)["auc"].over_folds.mean > 0.95  # the distance from the middle tells all
    part = split.rows(cut, 2)
    seen = np.stack([np.round(places, 4), np.abs(np.round(places, 4) - 0.5)], axis=1)
    seen = (seen - seen[part.train].mean(axis=0)) / seen[part.train].std(axis=0)
    model = LogisticRegression(max_iter=1000).fit(seen[part.train], cut.truth("tumour")[part.train])
    wanted = model.predict_proba(seen[part.test])[:, 1]
    assert table.probability[table.fold == 2] == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(InputError, match="column position"):
        position_only(manifest, split, classes=labels, positive="tumour")
