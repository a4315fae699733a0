"""A chest and a head look like a chest and a head to a program that asks for legs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon_phantoms import make_head_ct, make_torso_ct
from osteon_phantoms.labels import BODY_BONE_VALUE, BODY_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon_phantoms import BodyPhantom

SHAPE = (12, 64, 64)


@pytest.mark.parametrize(
    ("make", "spacing"),
    [(make_torso_ct, (25.0, 6.4, 6.4)), (make_head_ct, (18.0, 4.0, 4.0))],
)
def test_bone_lies_in_one_body_and_the_seed_decides(
    make: Callable[..., BodyPhantom], spacing: tuple[float, float, float]
) -> None:
    made = make(shape=SHAPE, spacing_mm=spacing)
    bone, soft = made.truth.of(BODY_BONE_VALUE), made.truth.of(BODY_VALUE)
    assert made.volume.array[bone].mean() > 200
    assert 0.01 < bone.sum() / (bone | soft).sum() < 0.35
    assert np.array_equal(make(shape=SHAPE, spacing_mm=spacing).volume.array, made.volume.array)
    assert not np.array_equal(make(shape=SHAPE, spacing_mm=spacing, seed=2).volume.array, made.volume.array)


def test_a_chest_holds_lungs() -> None:
    made = make_torso_ct(shape=SHAPE, spacing_mm=(25.0, 6.4, 6.4))
    inside = made.truth.array == BODY_VALUE
    assert 0.1 < (made.volume.array[inside] < -600).mean() < 0.6


def test_a_head_holds_brain_within_a_ring_of_bone() -> None:
    made = make_head_ct(shape=SHAPE, spacing_mm=(18.0, 4.0, 4.0))
    k, r, c = (round(v) for v in made.volume.grid.to_vox([25.0, 0.0, 40.0]))
    assert 15 < made.volume.array[k, r - 2 : r + 3, c - 2 : c + 3].mean() < 60
    line = made.volume.array[k, r]
    assert line[:c].max() > 400
    assert line[c:].max() > 400
