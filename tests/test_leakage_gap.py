"""Leakage is worth something on phantoms and nothing where patients have nothing in common with themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.leakage_gap import measure_gap
from osteon.data import ImageRow, Manifest
from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling

FEW = Resampling(repeats=300)


def _made(own_look: float) -> tuple[Manifest, NDArray[np.float32]]:
    """40 patients of 12 images; the label is the patient's, a weak sign of it is in every image."""
    generator = np.random.default_rng(7)
    rows, vectors = [], []
    for patient in range(40):
        look = generator.normal(0, own_look, 24)
        for index in range(12):
            label = "tumour" if patient % 2 else "healthy"
            rows.append(ImageRow(image=f"{patient}-{index}.png", patient=f"p{patient}", label=label))
            vector = look + generator.normal(0, 1, 24)
            vector[0] += 0.5 * (patient % 2)
            vectors.append(vector)
    return Manifest(Path(), tuple(rows)), np.array(vectors, np.float32)


def test_images_of_a_patient_with_a_look_of_its_own_leak() -> None:
    found = measure_gap(*_made(1.5), resampling=FEW)
    assert found.gap.low > 0.1
    assert found.gap.value == pytest.approx(found.by_image.value - found.by_patient.value)


def test_images_that_share_nothing_but_the_label_do_not_leak() -> None:
    found = measure_gap(*_made(0.0), resampling=FEW)
    assert found.gap.low < 0.02
    assert abs(found.gap.value) < 0.05
    assert found.by_patient.value > 0.5


def test_too_few_patients_are_refused() -> None:
    manifest, vectors = _made(0.0)
    with pytest.raises(InputError, match="as many patients as folds"):
        measure_gap(manifest.select(range(24)), vectors[:24])
