"""A real CT of a torso (3 mm, hip prosthesis) with the bones of a label map: nothing is named falsely."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import nibabel as nib
import numpy as np
import pytest

from osteon.data import Volume
from osteon.geometry import axial_turn
from osteon.io import choose_series, find_images, load_volume
from osteon.ops.lesions import find_contrast
from osteon.ops.series_images import series_images
from osteon.ops.skeleton_site import find_landmarks, prove_site
from osteon.systems.ct_metastasis.options import Options
from osteon.systems.ct_metastasis.read import answer
from osteon.systems.ct_metastasis.text import LesionReading
from tests.trunk_truth import TrueSegmenter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.shared_data

BONES: Final = {
    "vertebra": range(27, 51),
    "sacrum": (25, 26),
    "femur": (75, 76),
    "hip": (77, 78),
    "rib": range(92, 116),
}
"""Values of TotalSegmentator's label map: the output of a model, but good enough to tell a rib from a vertebra."""


@pytest.fixture(scope="module")
def torso(shared_data: Path) -> tuple[Volume, NDArray[np.uint8]]:
    """Upright, and its labels."""
    folder = shared_data / "totalseg_ct"
    with find_images(folder / "example_ct.nii.gz") as inventory:
        volume = load_volume(choose_series(inventory, modality="CT"), modality="CT")
    stored = np.asarray(nib.load(folder / "example_seg_fast_force_split.nii.gz").dataobj).transpose(2, 1, 0)
    turn = axial_turn(volume.grid)
    upright = Volume(turn.array(volume.array), turn.grid(volume.grid), modality="CT", unit="HU")
    return upright, turn.array(stored).astype(np.uint8)


def _bone(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.isin(labels, [value for values in BONES.values() for value in values])


def test_no_lesion_of_a_real_torso_is_put_into_a_wrong_bone(torso: tuple[Volume, NDArray[np.uint8]]) -> None:
    volume, labels = torso
    images = series_images(volume.array, volume.grid.spacing_mm)

    def shown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.stack([images.frame.images(one[None] * np.uint8(255))[0] for one in mask]) >= 128

    bone = shown(_bone(labels))
    landmarks = find_landmarks(images, bone)
    assert landmarks.canal is not None
    assert not find_contrast(images, bone).any()
    generator = np.random.default_rng(20261121)
    named: Counter[tuple[str, str]] = Counter()
    for name, values in BONES.items():
        places = np.argwhere(shown(np.isin(labels, list(values))))
        for centre in places[generator.integers(0, len(places), 25)]:
            away = np.linalg.norm((places - centre) * np.array(images.spacing_mm), axis=1)
            named[name, prove_site(images, landmarks, places[away < generator.uniform(4, 12)]).name] += 1
    allowed = {("vertebra", "vertebra"), ("rib", "rib"), ("hip", "pelvis"), ("sacrum", "pelvis")}
    assert {pair for pair in named if pair[1] != "not determined"} <= allowed
    assert named["vertebra", "vertebra"] >= 8


def test_metal_is_told_and_a_lesion_of_the_spine_is_listed(torso: tuple[Volume, NDArray[np.uint8]]) -> None:
    volume, labels = torso
    body = np.argwhere(labels == 30)  # L2
    middle = body[np.abs(body - np.median(body, axis=0)).sum(axis=1).argmin()]
    away = np.linalg.norm((np.argwhere(np.ones(labels.shape, dtype=bool)) - middle) * 3.0, axis=1)
    lesion = (away.reshape(labels.shape) < 9) & (labels == 30)
    array = volume.array.astype(np.float32)
    array[lesion] = 30
    known = Volume(array, volume.grid, modality="CT", unit="HU")
    told = answer(known, Options(), segmenter=TrueSegmenter(known, {"bone": _bone(labels), "lesion": lesion}))
    (one,) = told.detail_as(LesionReading).lesions
    assert one.density_pattern == "lytic"
    assert one.site in {"vertebra", "not determined"}
    assert one.volume_ml == pytest.approx(lesion.sum() * 27 / 1000, rel=0.1)
    assert not one.near_metal
    assert {"metal"} <= {notice.code for notice in told.notices}
