"""Values refuse what cannot be, and keep patient text to themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteon.data import Label, Mask, Patient, Series, SliceSource, Source, Study, Volume
from osteon.errors import GeometryMismatchError, UnknownLabelError
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
