"""Least distances, against all pairs of voxels, and the outline of a body."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from osteon.ops.nearest import body_outline, nearest

SPACING = (4.0, 0.8, 1.1)


@pytest.mark.parametrize("seed", range(6))
def test_no_pair_of_voxels_is_nearer_by_more_than_a_voxel(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask, other = np.zeros((2, 5, 40, 40), dtype=np.bool_)
    row, column = random.integers(8, 16, 2)
    mask[1:4, row : row + 6, column : column + 5] = random.random((3, 6, 5)) < 0.7
    mask[2, row, column] = True
    other[:, 26:, 24:] = random.random((5, 14, 16)) < 0.3
    found = nearest(mask, other, spacing_mm=SPACING)
    assert found is not None
    assert mask[found.place]
    assert other[found.other]
    apart = [
        np.linalg.norm(np.maximum(np.abs(a - b) - 1, 0) * SPACING)
        for a, b in product(np.argwhere(mask), np.argwhere(other))
    ]
    assert min(apart) <= found.distance_mm <= min(apart) + max(SPACING)
    gap = np.maximum(np.abs(np.subtract(found.place, found.other)) - 1, 0) * SPACING
    assert found.distance_mm == pytest.approx(float(np.linalg.norm(gap)))


def test_masks_that_touch_or_overlap_are_not_apart_and_nothing_is_near_to_nothing() -> None:
    mask, other = np.zeros((2, 3, 9, 9), dtype=np.bool_)
    mask[1, 2:5, 2:5] = True
    assert nearest(mask, other, spacing_mm=SPACING) is None
    assert nearest(other, mask, spacing_mm=SPACING) is None
    other[1, 5, 3] = True
    touching = nearest(mask, other, spacing_mm=SPACING)
    assert touching is not None
    assert touching.distance_mm == 0
    assert touching.place in {(1, 4, 2), (1, 4, 3), (1, 4, 4)}  # at a corner they touch, too
    other[1, 4, 4] = True
    shared = nearest(mask, other, spacing_mm=SPACING)
    assert shared is not None
    assert (shared.distance_mm, shared.place) == (0.0, (1, 4, 4))


def test_what_is_far_is_found_in_the_whole_image() -> None:
    mask, other = np.zeros((2, 3, 200, 8), dtype=np.bool_)
    mask[1, 5:8, 3], other[1, 180, 3] = True, True
    found = nearest(mask, other, spacing_mm=(4.0, 1.0, 1.0))
    assert found is not None
    assert (found.distance_mm, found.place, found.other) == (172.0, (1, 7, 3), (1, 180, 3))


def test_the_outline_of_a_body_has_its_cavities_and_not_its_table() -> None:
    row, column = np.ogrid[:120, :120]
    limb = (row - 50) ** 2 + (column - 60) ** 2 < 40**2
    image = np.where(limb, 40, -1000)
    image[40:50, 55:65] = -1000  # gas
    image[110:113] = 100  # a table's shell
    image[5:7, 5:7] = 60
    found = body_outline(np.stack([image] * 3).astype(np.int16), -300, spacing_mm=(5.0, 1.0, 1.0))
    assert np.count_nonzero(found[1] ^ limb) < 0.02 * np.count_nonzero(limb)
    assert found[1, 45, 60]
    assert not found[1, 100:].any()
    assert not body_outline(np.full((2, 20, 20), -1000), -300, spacing_mm=(5.0, 1.0, 1.0)).any()


def test_a_body_that_the_field_cuts_is_whole_at_the_edge() -> None:
    image = np.full((1, 60, 60), -1000)
    image[0, 10:40, 30:] = 50
    found = body_outline(image, -300, spacing_mm=(5.0, 1.0, 1.0))
    assert found[0, 15:35, 59].all()
    mask = np.zeros_like(found)
    mask[0, 20:25, 56:] = True
    skin = nearest(mask, ~found, spacing_mm=(5.0, 1.0, 1.0))
    assert skin is not None
    assert skin.distance_mm == pytest.approx(10, abs=1)  # upwards, and not to the edge of the image
