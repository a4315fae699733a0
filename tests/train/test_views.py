"""Neighbours are those of the same series, views hide what is outside, and drawn ones never cut the lesion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.errors import InputError
from osteon.train.images import ImageSet
from osteon.train.pixels import Pixels
from osteon.train.views import DrawnViews, blanked, known_views, neighbour_rows, series_boxes, view_slices, view_text
from tests.train.toy_slices import SIZE, toy_slices


def of_series(*slices: tuple[str, int], **extra: str) -> Manifest:
    """A manifest of (series, slice)."""
    rows = [
        ImageRow(
            image=f"{name}-{number}.png",
            patient="p",
            label="tumour",
            series=name,
            extra={"slice": str(number), **extra},
        )
        for name, number in slices
    ]
    return Manifest(Path("toy"), tuple(rows))


def test_neighbours_are_of_the_same_series_and_the_last_before_an_end_or_a_gap_stands_again() -> None:
    manifest = of_series(("a", 4), ("b", 5), ("a", 6), ("a", 5), ("a", 9))
    assert neighbour_rows(manifest, 1).tolist() == [[0, 0, 3], [1, 1, 1], [3, 2, 2], [0, 3, 2], [4, 4, 4]]
    # slice 4, two on either side: 4, 4, 4, 5, 6; slice 6: 4, 5, 6, 6, 6; nothing jumps from 6 to 9
    assert neighbour_rows(manifest, 2)[[0, 2, 4]].tolist() == [[0, 0, 0, 3, 2], [0, 3, 2, 2, 2], [4] * 5]


def test_neighbours_of_images_without_a_place_are_refused() -> None:
    manifest = of_series(("a", 1), ("a", 2))
    nowhere = replace(manifest.rows[1], extra={})
    with pytest.raises(InputError, match=r"a-2\.png has no series or no slice"):
        neighbour_rows(Manifest(manifest.folder, (manifest.rows[0], nowhere)), 1)
    with pytest.raises(InputError, match="second image of slice 1"):
        neighbour_rows(Manifest(manifest.folder, (manifest.rows[0], replace(manifest.rows[0], image="x.png"))), 1)


def test_a_view_survives_the_manifest_and_empty_ones_show_everything() -> None:
    view = (0.25, 0.75, 0.125, 1.0)
    rows = (*of_series(("a", 1), view=view_text(view)).rows, *of_series(("b", 1), view="").rows)
    found = known_views(Manifest(Path("toy"), rows))
    assert found is not None
    assert found.tolist() == [list(view), [0, 1, 0, 1]]
    assert known_views(of_series(("a", 1))) is None


@pytest.mark.parametrize(
    "text", ["0 1 0", "0 1 0 2", "0.5 0.5 0 1", "0 1 0.7 0.2", "0 1 a 1", "0 nan 0 1", "-0.1 1 0 1"]
)
def test_a_view_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="the view"):
        known_views(of_series(("a", 1), view=text))


def test_what_is_outside_a_view_is_0_in_every_channel() -> None:
    images = np.ones((2, 3, 8, 10), dtype=np.float32)
    found = blanked(images, np.array([[0.25, 0.5, 0.1, 0.9], [0, 1, 0, 1]]))
    wanted = np.zeros((3, 8, 10), dtype=np.float32)
    wanted[:, 2:4, 1:9] = 1
    assert np.array_equal(found[0], wanted)
    assert (found[1] == 1).all()


def test_a_network_is_shown_the_neighbours_within_the_view_of_the_image() -> None:
    values = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    views = np.array([[0, 1, 0, 1], [0, 0.5, 0, 1], [0, 1, 0, 1]])
    pixels = Pixels(values, around=np.array([[0, 0, 1], [0, 1, 2], [1, 2, 2]]), views=views)
    shown = np.rint(pixels.shown(np.array([1])) * 255)
    assert shown.shape == (1, 3, 4, 4)
    assert np.array_equal(shown[0, :, :2], values[:, :2])
    assert not shown[0, :, 2:].any()
    alone = replace(pixels, around=None, views=None)
    assert np.array_equal(alone.shown(np.array([2, 0])), alone.crops(np.array([2, 0]))[:, None])


def test_the_box_of_a_series_is_that_of_all_its_lesions() -> None:
    masks = np.zeros((4, 10, 20), dtype=np.bool_)
    masks[0, 2, 5] = masks[2, 7, 12] = masks[1, 0, 0] = True
    boxes = series_boxes(of_series(("a", 0), ("b", 0), ("a", 1), ("c", 0)), masks)
    assert boxes.tolist() == [[0.2, 0.8, 0.25, 0.65], [0, 0.1, 0, 0.05], [0.2, 0.8, 0.25, 0.65], [0, 1, 0, 1]]


def test_drawn_views_hold_the_lesion_and_margins_are_spread_evenly() -> None:
    draw = DrawnViews(np.array([[0.4, 0.6, 0.5, 0.55], [0.05, 0.95, 0, 1]]), 0.2, seed=1)
    margins = np.array([(draw(epoch=epoch, row=0) - draw.boxes[0]) * (-1, 1, -1, 1) for epoch in range(2000)])
    assert margins.min() >= 0
    assert margins.max() <= 0.2
    np.testing.assert_allclose(margins.mean(axis=0), 0.1, atol=0.005)
    assert np.abs(np.corrcoef(margins.T) - np.eye(4)).max() < 0.08  # each side for itself
    np.testing.assert_array_equal(draw(epoch=3, row=0), draw(epoch=3, row=0))
    assert (draw(epoch=1, row=1)[2:] == (0, 1)).all()  # nothing beyond the image


def test_a_training_is_shown_drawn_views_and_the_masks_are_whole() -> None:
    manifest, pixels = toy_slices(patients=2)
    draw = DrawnViews(series_boxes(manifest, pixels.masks["lesion"]), 0.1, seed=1)
    images = ImageSet(pixels, masks=("lesion",), views=draw)
    for epoch in range(5):
        image, masks, _ = images[(epoch, 3)]
        part = view_slices(draw(epoch=epoch, row=3), (SIZE, SIZE))
        kept = np.zeros((SIZE, SIZE), dtype=np.uint8)
        kept[part] = pixels.values[3][part]
        assert np.array_equal(np.rint(image[0].numpy() * 255), kept)
        assert np.array_equal(masks[0].numpy().astype(bool), pixels.masks["lesion"][3])
