"""An epoch may show a piece of each image: masks come along, and every second piece holds a lesion."""

from __future__ import annotations

import numpy as np

from osteon.train.segmentation.images import MaskedSet
from tests.train.segmentation.toy_slices import SIZE, toy_slices


def test_a_piece_is_cut_from_image_and_masks_alike() -> None:
    _, pixels = toy_slices(patients=2)
    whole, pieces = MaskedSet(pixels), MaskedSet(pixels, seed=3, moves=False, crop=16)
    image, masks, row = pieces[(2, 1)]
    full, full_masks, _ = whole[(2, 1)]
    assert image.shape == (1, 16, 16)
    assert masks.shape == (2, 16, 16)
    assert int(row) == 1
    places = [
        (top, left)
        for top in range(SIZE - 15)
        for left in range(SIZE - 15)
        if np.array_equal(full[:, top : top + 16, left : left + 16], image)
    ]
    assert len(places) == 1
    top, left = places[0]
    assert np.array_equal(full_masks[:, top : top + 16, left : left + 16], masks)
    again = MaskedSet(pixels, seed=3, moves=False, crop=16)[(2, 1)]
    assert np.array_equal(again[0], image)


def test_lesions_are_met_more_often_than_by_chance() -> None:
    _, pixels = toy_slices(patients=2)
    corner = pixels.lesion.copy()
    corner[:] = False
    corner[:, :2, :2] = True  # a piece of 16 of 32 pixels meets the corner by chance once in a hundred times
    import dataclasses

    pieces = MaskedSet(dataclasses.replace(pixels, lesion=corner), seed=1, moves=False, crop=16)
    met = np.mean([bool(pieces[(epoch, row)][1][0].any()) for epoch in range(40) for row in range(6)])
    assert 0.4 < met < 0.62
