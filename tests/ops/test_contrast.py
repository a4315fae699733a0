"""Vessels and bladders filled with contrast agent against bones of the same HU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.ops.lesions import find_contrast
from osteon.ops.series_images import series_images
from tests.trunk_truth import SHAPE, Trunk, axes, make_trunk

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return make_trunk()


def _found(trunk: Trunk, also: NDArray[np.bool_]) -> NDArray[np.bool_]:
    images = series_images(trunk.array, trunk.spacing_mm)
    assert images.grey.shape == SHAPE
    return find_contrast(images, trunk.bone | also)


def _tube(x_mm: float, y_mm: float, radius_mm: float, length_mm: float = 200.0) -> NDArray[np.bool_]:
    z, y, x = axes()
    return np.broadcast_to(((y - y_mm) ** 2 + (x - x_mm) ** 2 < radius_mm**2) & (z < length_mm), SHAPE)


@pytest.mark.parametrize(
    ("where", "hu"),
    [((12.0, 20.0, 11.0), 350), ((12.0, 20.0, 11.0), 180), ((-30.0, 70.0, 5.0), 280), ((0.0, 0.0, 25.0), 600)],
    ids=["arterial aorta", "venous aorta", "small vessel", "filled bladder"],
)
def test_an_even_tube_in_soft_tissue_is_contrast(trunk: Trunk, where: tuple[float, float, float], hu: int) -> None:
    tube = _tube(*where) & ~trunk.bone
    noise = np.random.default_rng(4).normal(0, 10, SHAPE)
    filled = trunk.with_hu(tube, hu)
    filled.array[tube] += noise[tube].astype(np.int16)
    found = _found(filled, tube)
    assert np.count_nonzero(found & tube) > 0.9 * np.count_nonzero(tube)
    assert np.count_nonzero(found & trunk.bone) < 0.01 * np.count_nonzero(trunk.bone)


def test_bone_itself_is_none(trunk: Trunk) -> None:
    assert not _found(trunk, np.zeros(SHAPE, dtype=bool)).any()


def test_a_short_even_thing_may_be_a_dense_lesion(trunk: Trunk) -> None:
    tube = _tube(12.0, 20.0, 11.0, length_mm=36.0)
    assert not _found(trunk.with_hu(tube, 400), tube).any()


def test_a_vertebra_that_is_dense_throughout_stays_bone(trunk: Trunk) -> None:
    body = trunk.bone & np.broadcast_to(np.abs(axes()[0] - 73) < 13, SHAPE) & np.broadcast_to(axes()[1] < 66, SHAPE)
    body &= np.broadcast_to(np.abs(axes()[2]) < 25, SHAPE)
    assert not _found(trunk.with_hu(body, 650), np.zeros(SHAPE, dtype=bool)).any()


def test_a_tube_denser_than_contrast_gets_is_bone(trunk: Trunk) -> None:
    tube = _tube(0.0, 0.0, 12.0)
    assert not _found(trunk.with_hu(tube, 1000), tube).any()


def test_a_long_bone_of_thick_even_cortex_is_none() -> None:
    """A femoral shaft: 30 mm wide, cortex of 600 HU and 7 mm, marrow of -60 HU."""
    z, y, x = axes()
    off_axis = np.broadcast_to(np.hypot(x, y) + 0 * z, SHAPE)
    bone = off_axis < 15
    array = np.where(bone, 600, 40).astype(np.int16)
    array[off_axis < 8] = -60
    shaft = Trunk(array, bone, np.zeros(SHAPE, dtype=np.uint8))
    assert not _found(shaft, np.zeros(SHAPE, dtype=bool)).any()
