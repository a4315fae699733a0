"""Values refuse what cannot be, and keep patient text to themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteon.data import (
    Answer,
    ClassProbabilities,
    Finding,
    Label,
    Mask,
    Patient,
    Series,
    SliceReading,
    SliceScores,
    SliceSource,
    Source,
    Study,
    Volume,
    named,
)
from osteon.errors import GeometryMismatchError, InputError, UnknownLabelError, UnsupportedError
from osteon.geometry import Grid
from osteon.labels import concept

GRID = Grid.from_axes(shape=(2, 3, 4), spacing_mm=(1, 1, 1))


def test_array_and_grid_must_have_one_shape() -> None:
    with pytest.raises(GeometryMismatchError, match=r"\(2, 3, 5\)"):
        Volume(np.zeros((2, 3, 5), np.int16), GRID, modality="CT")
    with pytest.raises(GeometryMismatchError, match="mask bone"):
        Mask(np.zeros((3, 3, 4), np.uint8), GRID, labels=(), name="bone")


def test_a_mask_knows_only_declared_labels() -> None:
    array = np.zeros((2, 3, 4), np.uint8)
    array[0, 1] = 2
    label = Label(value=2, name="Bone", category=concept("anatomical_structure"), kind=concept("bone"))
    mask = Mask(array, GRID, labels=(label,))
    assert mask.of(2).sum() == 4
    with pytest.raises(UnknownLabelError, match="known: 2"):
        mask.of(1)


def test_no_patient_text_in_a_repr() -> None:
    source = Source(
        kind="dicom",
        location=Path("secretfolder"),
        patient=Patient(identifier="secretid", name="secretname", birth_date="19990101"),
        study=Study(uid="1.2", description="secretstudy", accession_number="secretnumber"),
        series=Series(uid="1.3", modality="CT", description="secretseries"),
        slices=(SliceSource("1.4", Path("secretpath")),),
    )
    volume = Volume(np.zeros((2, 3, 4), np.int16), GRID, modality="CT", unit="HU", source=source)
    assert "secret" not in repr(volume)
    assert "19990101" not in repr(volume)


def test_an_answer_gives_its_detail_by_type_only_and_says_little_of_itself() -> None:
    label = Label(1, "Bone", concept("anatomical_structure"), concept("bone"), tracking_uid="1.2.999")
    mask = Mask(np.ones((2, 3, 4), np.uint8), GRID, labels=(label,), name="bone")
    finding = Finding("left", "1.2.999", concept("bone"), "Bone.")
    answer = Answer("legs", "Bone.", "negative", (finding,), masks=named((mask,)), detail=SliceReading())
    assert answer.detail_as(SliceReading) is answer.detail
    with pytest.raises(UnsupportedError, match="answer of legs has SliceReading"):
        answer.detail_as(Finding)
    assert repr(answer) == "Answer('legs', negative, findings=1, masks=['bone'], surfaces=0)"
    assert "1.2.999" not in repr(finding) + repr(label)


def test_class_probabilities_refuse_what_does_not_fit() -> None:
    assert ClassProbabilities(("a", "b", "c"), (0.2, 0.4, 0.4), ("b", "c"), 0.1).best == "b"
    for probability, kept in (((0.5, 0.5), None), ((0.2, 0.4, 0.4), ("d",))):
        with pytest.raises(InputError, match="a, b, c"):
            ClassProbabilities(("a", "b", "c"), probability, kept)


def test_agreement_counts_slices_that_both_call_alike() -> None:
    """Of five slices the classifier suspects the last three and the outlines the second and third: 2 of 5 are alike."""
    values = np.array([0.1, 0.2, 0.5, 0.6, 0.9], np.float32)
    outlined = np.array([False, True, True, False, False])
    scores = SliceScores("legs", np.arange(5), values, values, 0.5, ((2, 5),), by_segmentation=outlined)
    assert scores.agreement == pytest.approx(2 / 5)
