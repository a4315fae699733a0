"""The curve of lesions found is drawn, and says how lesions were matched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.lesion_detection import Froc, Matching, ScanLesions, froc
from osteon.report.charts import draw_froc

FEW = Resampling(repeats=100)


def synthetic(seed: int, skill: float, patients: int = 12) -> Froc:
    generator = np.random.default_rng(seed)
    scans = []
    for patient in range(patients):
        hits = np.sort(generator.beta(skill, 1, generator.integers(0, 6)))
        false = generator.beta(1, skill, generator.integers(0, 9))
        missed = np.full(generator.integers(0, 2), -np.inf)
        scans.append(
            ScanLesions(
                patient=f"p{patient}",
                true_ml=np.ones(hits.size + missed.size),
                true_probability=np.concatenate([hits, missed]),
                predicted_ml=np.ones(hits.size + false.size),
                predicted_probability=np.concatenate([hits, false]),
                is_hit=np.arange(hits.size + false.size) < hits.size,
                is_on_mimic=np.zeros(hits.size + false.size, dtype=bool),
                mimic_probability=np.empty(0),
            )
        )
    return froc(scans, resampling=FEW)


def test_a_curve_is_drawn(tmp_path: Path) -> None:
    curves = {"hybrid_attunetpp": synthetic(1, 3.0), "unet": synthetic(2, 1.5)}
    picture = draw_froc(tmp_path / "froc.png", curves, matching=Matching().words, mark="SYNTHETIC")
    assert picture.path == tmp_path / "froc.png"
    assert "intersection over union of at least 0.1" in picture.caption
    shown = cv2.imread(str(picture.path))
    assert shown is not None
    assert shown.shape[:2] == (560, 900)
    blue, orange = (
        (np.abs(shown.astype(int) - colour) < 12).all(axis=2).sum() for colour in ((178, 114, 0), (0, 94, 213))
    )
    assert min(blue, orange) > 300


def test_one_patient_has_a_curve_without_a_band(tmp_path: Path) -> None:
    assert draw_froc(tmp_path / "froc.png", {"one": synthetic(5, 2.0, patients=1)}, matching="rule").path.exists()


def test_no_curve_and_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 to 4"):
        draw_froc(tmp_path / "froc.png", {}, matching="")
