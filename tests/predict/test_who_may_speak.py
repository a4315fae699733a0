"""Whom a model was trained on, as far as its card says it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from osteon.data import Patient, Series, Source, Study, Volume
from osteon.geometry import Grid
from osteon.predict.predictor import has_learnt
from tests.cards import TRAINING, plain_card

CARD = plain_card(training=msgspec.structs.replace(TRAINING, patients=("STS_001", "STS_012")))


def _volume(identifier: str, name: str) -> Volume:
    grid = Grid.from_axes(shape=(2, 4, 4), spacing_mm=(1.0, 1.0, 1.0))
    source = Source("nifti", Path(name), Patient(identifier=identifier), Study(uid=""), Series(uid="", modality="MR"))
    return Volume(np.zeros(grid.shape, dtype=np.int16), grid, modality="MR", source=source)


@pytest.mark.parametrize(
    ("identifier", "name", "is_known"),
    [
        ("STS_001", "series", True),
        (" sts_012 ", "series", True),
        ("STS_002", "STS_001_MR.nii.gz", False),
        ("", "STS_001_MR_T1.nii.gz", True),
        ("", "sts_001.nii", True),
        ("", "STS_0011_MR.nii.gz", False),
        ("", "scan_STS_001.nii.gz", False),
        ("", "", False),
    ],
)
def test_patients_are_known_by_their_identifier_or_their_file(identifier: str, name: str, is_known: bool) -> None:
    assert has_learnt(CARD, _volume(identifier, name)) is is_known


def test_nobody_is_known_where_the_card_names_nobody() -> None:
    assert not has_learnt(plain_card(), _volume("STS_001", "STS_001.nii"))
    assert not has_learnt(None, _volume("STS_001", "STS_001.nii"))
    assert not has_learnt(CARD, Volume(np.zeros((2, 4, 4), np.int16), _volume("", "").grid, modality="MR"))
