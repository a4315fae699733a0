"""Fine bone on shapes whose truth is known: joints stay open, thin shells stay whole, wires are left out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.ops.bone import refine_bone, segment_bone

SPACING_MM = (1.0, 0.8, 0.8)
SHAPE = (44, 70, 100)
RADIUS_MM = 11.0
GAP_MM = 2.4


def distance(centre_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.asarray(np.sqrt((z - centre_mm[0]) ** 2 + (y - centre_mm[1]) ** 2 + (x - centre_mm[2]) ** 2))


@pytest.fixture(scope="module")
def joint() -> tuple[NDArray[np.int16], list[NDArray[np.bool_]]]:
    """Two hollow balls of bone, 2.4 mm apart, in flesh; a thin wire in the air above."""
    z_mm, y_mm, x_mm = 22.0, 30.0, 40.0
    half = RADIUS_MM + GAP_MM / 2
    fields = [distance((z_mm, y_mm, x_mm + sign * half)) for sign in (-1, 1)]
    hu = np.full(SHAPE, -1000.0)
    hu[:, 12:64, 8:94] = 40
    balls = [field <= RADIUS_MM for field in fields]
    for field in fields:
        # partial volume: the edge of the cortex is as wide as a voxel
        hu += (900 - 40) * np.clip(RADIUS_MM + 0.4 - field, 0, 0.8) / 0.8
        hu -= (900 - 20) * np.clip(RADIUS_MM - 2.0 + 0.4 - field, 0, 0.8) / 0.8
    hu[:, 4:6, 40:42] = 1200
    noise = np.random.default_rng(5).normal(0, 15, SHAPE)
    return np.rint(hu + noise).astype(np.int16), balls


def test_the_joint_stays_open_where_the_paper_closes_it(
    joint: tuple[NDArray[np.int16], list[NDArray[np.bool_]]],
) -> None:
    hu, balls = joint
    coarse = segment_bone(hu, spacing_mm=SPACING_MM)
    fine = refine_bone(hu, coarse, spacing_mm=SPACING_MM)
    assert coarse.parts[balls[0]].max() == coarse.parts[balls[1]].max()  # one block
    assert len(fine.part_volumes_mm3) == 2
    for ball, volume_mm3 in zip(balls, sorted(fine.part_volumes_mm3), strict=True):
        # the threshold is below half the height of the cortex: the edge is up to half a voxel outside, 11 % of a ball
        assert 1.0 <= volume_mm3 / (ball.sum() * np.prod(SPACING_MM)) <= 1.11
    overlap = 2 * np.count_nonzero(fine.mask & (balls[0] | balls[1])) / (fine.mask.sum() + (balls[0] | balls[1]).sum())
    assert overlap > 0.95


def test_the_wire_in_air_is_not_bone(joint: tuple[NDArray[np.int16], list[NDArray[np.bool_]]]) -> None:
    hu, _ = joint
    fine = refine_bone(hu, segment_bone(hu, spacing_mm=SPACING_MM), spacing_mm=SPACING_MM)
    assert not fine.mask[:, :8].any()


def test_what_is_outside_keep_is_not_bone(joint: tuple[NDArray[np.int16], list[NDArray[np.bool_]]]) -> None:
    hu, _ = joint
    keep = np.zeros(SHAPE, dtype=np.bool_)
    keep[:, :, :50] = True
    fine = refine_bone(hu, segment_bone(hu, spacing_mm=SPACING_MM, keep=keep), spacing_mm=SPACING_MM, keep=keep)
    assert len(fine.part_volumes_mm3) == 1
    assert not fine.mask[:, :, 52:].any()


def test_nothing_found_stays_nothing() -> None:
    hu = np.random.default_rng(0).normal(0, 40, (8, 20, 20)).astype(np.int16)
    coarse = segment_bone(hu, spacing_mm=(1, 1, 1), options=None)
    empty = segment_bone(hu, spacing_mm=(1e-3, 1e-3, 1e-3))
    assert empty.part_volumes_mm3 == ()
    assert refine_bone(hu, empty, spacing_mm=(1, 1, 1)) is empty
    assert refine_bone(hu, coarse, spacing_mm=(1, 1, 1)).parts.shape == hu.shape


def test_spongy_ends_are_kept_and_a_vessel_is_not() -> None:
    """Thick cortex pushes the brightest cluster to 500 HU and more: an end of cancellous bone is below it."""
    hu = np.full(SHAPE, -1000.0)
    hu[:, 5:65, 5:95] = 40
    hu[:, 30:45, 20:35] = 1400
    hu[:, 34:41, 24:31] = -50  # the marrow of a shaft
    cancellous = distance((22.0, 28.0, 56.0)) <= 10.0
    hu[cancellous] = 330
    vessel = np.zeros(SHAPE, dtype=np.bool_)
    vessel[:, 52:58, 80:86] = True
    hu[vessel] = 420
    hu += np.random.default_rng(1).normal(0, 12, SHAPE)
    array = np.rint(hu).astype(np.int16)
    coarse = segment_bone(array, spacing_mm=SPACING_MM)
    fine = refine_bone(array, coarse, spacing_mm=SPACING_MM)
    assert not coarse.mask[cancellous].any()
    assert fine.mask[cancellous].mean() > 0.9
    assert not fine.mask[vessel].any()
    assert len(fine.part_volumes_mm3) == 2
