"""Manifest, split and predictions: what they refuse, and what they derive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.data import Fold, ImageRow, Manifest, Predictions, Split
from osteon.errors import InputError, UnknownLabelError


def _manifest() -> Manifest:
    rows = [
        ImageRow(image=f"{patient}/{number}.png", patient=patient, label=label, extra={"grade": "high"})
        for patient, label in (("A", "tumour"), ("B", "healthy"), ("C", "tumour"), ("D", "healthy"))
        for number in range(2)
    ]
    return Manifest(Path("set"), tuple(rows), sha256="f" * 64)


def test_a_manifest_gives_columns_known_and_unknown() -> None:
    manifest = _manifest()
    assert len(manifest) == 8
    assert manifest.labels == ("healthy", "tumour")
    assert manifest.patients == ("A", "B", "C", "D")
    assert manifest.column("patient").tolist() == list("AABBCCDD")
    assert manifest.column("age_years").tolist() == [""] * 8
    assert manifest.column("grade").tolist() == ["high"] * 8
    assert manifest.truth("tumour").tolist() == [True, True, False, False] * 2
    assert manifest.select([3, 0]).column("image").tolist() == ["B/1.png", "A/0.png"]
    with pytest.raises(UnknownLabelError, match="did you mean 'scanner'"):
        manifest.column("scaner")
    with pytest.raises(UnknownLabelError, match="did you mean 'tumour'"):
        manifest.truth("tumor")


def test_a_manifest_refuses_what_cannot_be_counted() -> None:
    row = ImageRow(image="a.png", patient="A", label="tumour")
    with pytest.raises(InputError, match="at least one row"):
        Manifest(Path(), ())
    with pytest.raises(InputError, match=r"row 2 .* lacks"):
        Manifest(Path(), (row, replace(row, image="b.png", patient="")))
    with pytest.raises(InputError, match=r"row 2 .* earlier row"):
        Manifest(Path(), (row, row))


def test_a_patient_in_two_parts_of_a_fold_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 patient\(s\) .* two parts"):
        Fold(train=("A", "B"), validation=("C",), test=("B",))
    with pytest.raises(InputError, match="nobody in its test part"):
        Fold(train=("A",), validation=("C",), test=())


def test_a_split_finds_the_rows_of_its_patients_or_images() -> None:
    manifest = _manifest()
    split = Split("nested", "patient", (Fold(("A", "B"), ("C",), ("D",)),), seed=1, manifest_sha256="f" * 64)
    rows = split.rows(manifest, 0)
    assert (rows.train.tolist(), rows.validation.tolist(), rows.test.tolist()) == ([0, 1, 2, 3], [4, 5], [6, 7])
    images = Split("nested", "image", (Fold(("A/0.png",), ("A/1.png",), ("D/0.png",)),), seed=1)
    assert images.rows(manifest, 0).validation.tolist() == [1]
    with pytest.raises(InputError, match="another version"):
        replace(split, manifest_sha256="0" * 64).rows(manifest, 0)
    with pytest.raises(InputError, match="no image in its test part"):
        split.rows(replace(manifest, rows=manifest.rows[:6]), 0)


def _predictions(logits: list[list[float]]) -> Predictions:
    n = len(logits)
    return Predictions(
        image=np.array([f"{i}.png" for i in range(n)]),
        patient=np.array(["A"] * n),
        series=np.array([""] * n),
        truth=np.arange(n) % 2,
        logits=np.array(logits, dtype=np.float32).reshape(n, 2),
        fold=np.arange(n) // 2,
        part=np.array(["validation", "test"] * n)[:n],
        temperature=np.where(np.arange(n) < 2, 1.0, 2.0),
        classes=("healthy", "tumour"),
        positive="tumour",
    )


def test_probabilities_are_the_softmax_after_the_temperature() -> None:
    table = _predictions([[0, 0], [0, np.log(3)], [0, 2 * np.log(3)], [1000, 0]])
    assert table.probability == pytest.approx([0.5, 0.75, 0.75, 0.0])
    assert table.is_positive.tolist() == [False, True, False, True]


def test_predictions_are_chosen_by_part_and_fold_and_joined_again() -> None:
    table = _predictions([[0, 0], [0, 1], [0, 2], [0, 3]])
    assert table.of(part="test").image.tolist() == ["1.png", "3.png"]
    assert table.of(part="test", fold=1).image.tolist() == ["3.png"]
    joined = Predictions.joined([table.of(part="validation"), table.of(part="test")])
    assert sorted(joined.image.tolist()) == sorted(table.image.tolist())
    assert joined.temperature.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert len(_predictions([])) == 0
    assert _predictions([]).probability.size == 0


def test_predictions_refuse_columns_that_do_not_belong_together() -> None:
    table = _predictions([[0, 0], [0, 1]])
    with pytest.raises(InputError, match="differ in length"):
        replace(table, fold=np.array([0]))
    with pytest.raises(InputError, match="not finite"):
        replace(table, logits=np.full((2, 2), np.nan, np.float32))
    with pytest.raises(InputError, match="none of"):
        replace(table, positive="malignant")
    with pytest.raises(InputError, match="or none"):
        Predictions.joined([])
