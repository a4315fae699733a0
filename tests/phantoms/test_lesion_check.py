"""A reading that knows the truth finds every lesion; one that lists a mimic, or nothing, is counted so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from bench import lesion_check
from bench.lesion_check import CheckedScan, check_scan
from osteon.data import Answer
from osteon.metrics.lesion_detection import detect_lesions
from osteon.systems.ct_metastasis.options import Options
from osteon.systems.ct_metastasis.read import answer as read_trunk
from osteon_phantoms import Phantom, TrunkSpec, make_trunk, people
from osteon_phantoms.study import TrunkStudy
from tests.trunk_truth import TrueSegmenter


@pytest.fixture(scope="module")
def phantom() -> Phantom[TrunkSpec]:
    """A patient with metastases and a bone island, which is in bone for sure."""
    persons = people("ct_metastasis", 80, seed=5, options=TrunkStudy(preset="tiny"))
    kinds = [[mimic.kind for mimic in person.spec.mimics] for person in persons]
    chosen = next(
        person
        for person, kind in zip(persons, kinds, strict=True)
        if 0 < len(person.spec.lesions) < 4 and "bone_island" in kind and person.spec.patient_position == "HFS"
    )
    return make_trunk(chosen.spec, threads=1)


def answer_of(phantom: Phantom[TrunkSpec], lesion: np.ndarray) -> Answer:
    truth = {"bone": np.asarray(phantom.masks["structures"].array) > 0, "lesion": lesion}
    return read_trunk(phantom.volume, Options(), segmenter=TrueSegmenter(phantom.volume, truth))


def read(phantom: Phantom[TrunkSpec], lesion: np.ndarray) -> CheckedScan:
    return check_scan(phantom, answer_of(phantom, lesion), "P")


def test_the_truth_finds_what_is_large_enough_and_lists_nothing_else(phantom: Phantom[TrunkSpec]) -> None:
    answer = answer_of(phantom, np.asarray(phantom.masks["lesions"].array) > 0)
    found = check_scan(phantom, answer, "P")
    detection = detect_lesions([found.lesions], threshold=0.0)
    assert detection.sensitivity.count >= 1
    assert detection.false_positives.value == 0
    own, bone = np.asarray(phantom.masks["structures"].array) > 0, answer.masks["bone"].array > 0
    assert found.bone_dice == pytest.approx(f1_score(own.ravel(), bone.ravel()))
    assert len(found.hausdorff_mm) == detection.sensitivity.count == len(found.characters)
    assert np.median(found.hausdorff_mm) <= 2 * max(phantom.volume.grid.spacing_mm)
    assert np.median(found.surface_dice) > 0.6  # voxels are wider than its tolerance


def test_a_listed_look_alike_is_false_and_lies_on_its_mimic(phantom: Phantom[TrunkSpec]) -> None:
    island = next(mimic for mimic in phantom.mimics if mimic.spec.kind == "bone_island")
    centre = np.rint(phantom.volume.grid.to_vox(np.array([island.centre_lps_mm]))[0])
    places = np.indices(phantom.volume.grid.shape) - centre[:, None, None, None]
    away = np.sqrt(((places * np.array(phantom.volume.grid.spacing_mm)[:, None, None, None]) ** 2).sum(axis=0))
    ball = (away < 12) & (np.asarray(phantom.masks["lesions"].array) == 0)
    found = read(phantom, ball)
    assert found.lesions.predicted_ml.size == 1
    assert not found.lesions.is_hit.any()
    assert found.lesions.is_on_mimic.any()
    assert found.lesions.true_probability.max() == -np.inf


def test_the_table_and_the_curve_say_that_they_are_synthetic(
    phantom: Phantom[TrunkSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = read(phantom, np.asarray(phantom.masks["lesions"].array) > 0)
    monkeypatch.setattr(lesion_check, "check_lesions", lambda **_: (scan, scan))
    lesion_check.main([str(tmp_path / "out")])
    assert capsys.readouterr().out == (tmp_path / "out" / "lesions.md").read_text("utf-8")
    assert "SYNTHETIC: 2 synthetic patients" in (tmp_path / "out" / "lesions.md").read_text("utf-8")
    assert (tmp_path / "out" / "froc.png").stat().st_size > 10_000
