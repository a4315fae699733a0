"""What a segmenter is shown of a series, and where its images are in the patient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.options import silent
from osteon.ops.series_images import SeriesImages, series_images
from osteon.systems.ct_metastasis.search import MARGIN_PX, map_series

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Echo:
    """Gives the images back as maps, and keeps their shapes."""

    card: Any = None

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def maps(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        self.shapes.append(images.shape)
        grey = images.astype(np.float32) / np.float32(255)
        return {"bone": grey, "lesion": 1 - grey}

    def use(self) -> SimpleNamespace:
        return SimpleNamespace()


def _series(count: int = 70) -> SeriesImages:
    """A small body in a wide field, with bone in every slice but the first ten."""
    array = np.full((count, 160, 200), -1000, dtype=np.int16)
    array[:, 60:110, 80:140] = 40
    array[10:, 80:90, 100:110] = 700
    return series_images(array, (2.0, 1.75, 1.75))


def test_only_the_body_in_slices_with_bone_is_shown_in_slabs() -> None:
    images, echo = _series(), Echo()
    told: list[tuple[str, int, int]] = []
    maps = map_series(images, echo, progress=lambda *step: told.append(step))  # type: ignore[arg-type]
    assert [shape[0] for shape in echo.shapes] == [32, 28]
    (rows, columns) = echo.shapes[0][1:]
    assert rows % 16 == columns % 16 == 0
    assert 50 + 2 * MARGIN_PX <= rows < 160
    assert 60 + 2 * MARGIN_PX <= columns < 200
    assert told[-1] == ("bone and lesions", 60, 60)
    inside = maps["lesion"][20] > 0
    assert np.array_equal(maps["bone"][20], images.grey[20])  # bytes come back as they were
    assert np.array_equal(maps["lesion"][20][inside], 255 - images.grey[20][inside])
    assert not maps["bone"][:10].any()
    assert not maps["lesion"][:10].any()


def test_a_model_that_sees_neighbours_is_shown_them() -> None:
    images, echo = _series(), Echo()
    echo.card = SimpleNamespace(image=SimpleNamespace(neighbours=1))
    seen: list[NDArray[np.uint8]] = []
    plain = echo.maps

    def middle(given: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        seen.append(given)
        return plain(given[:, 1])

    echo.maps = middle  # type: ignore[method-assign, assignment]
    maps = map_series(images, echo, progress=silent)  # type: ignore[arg-type] # it is asked for maps only
    assert np.array_equal(maps["bone"][20], images.grey[20])
    assert np.array_equal(seen[0][1:, 0], seen[0][:-1, 1])  # the slice below is the middle one of the image before
    assert np.array_equal(seen[-1][-1, 2], seen[-1][-1, 1])  # beyond the end the last one stands again


def test_a_body_as_wide_as_the_field_is_shown_whole() -> None:
    array = np.full((3, 96, 90), 40, dtype=np.int16)
    array[:, 40:50, 40:50] = 700
    echo = Echo()
    images = series_images(array, (2.0, 1.75, 1.75))
    map_series(images, echo, progress=silent)  # type: ignore[arg-type] # it is asked for maps only
    assert echo.shapes == [(3, *images.frame.size)]
