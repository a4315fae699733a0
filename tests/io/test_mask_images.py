"""Masks as files: what is a mask is read to the pixel, what is none is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.errors import InputError, UnsupportedError
from osteon.io.image import read_mask_image, write_png8

if TYPE_CHECKING:
    from numpy.typing import NDArray


def blobs(size: int = 128) -> NDArray[np.bool_]:
    generator = np.random.default_rng(3)
    mask = np.zeros((size, size - 8), np.uint8)
    for _ in range(9):
        middle, half = generator.integers(size, size=2).tolist(), generator.integers(1, 24, size=2).tolist()
        cv2.ellipse(mask, middle, half, float(generator.integers(180)), 0.0, 360.0, 1.0, -1)
    return mask > 0


MASK = blobs()


def written(path: Path, values: NDArray[Any], *options: int) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, values, options)[1].tobytes())
    return path


@pytest.mark.parametrize(
    "values",
    [
        MASK * np.uint8(1),
        MASK * np.uint8(255),
        MASK * np.uint16(65535),
        np.dstack([MASK * np.uint8(255)] * 3),
        np.dstack([*[MASK * np.uint8(255)] * 3, np.full(MASK.shape, 9, np.uint8)]),
    ],
)
def test_zero_and_one_other_value_is_a_mask(tmp_path: Path, values: NDArray[Any]) -> None:
    assert np.array_equal(read_mask_image(written(tmp_path / "a.png", values), shape=(128, 120)), MASK)


def test_a_mask_may_be_empty_or_full_and_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for value in (False, True):
        write_png8(tmp_path / "a.png", np.full((3, 5), value))
        assert np.array_equal(read_mask_image(tmp_path / "a.png"), np.full((3, 5), value))
    write_png8(tmp_path / "a.png", MASK)
    assert np.array_equal(read_mask_image(tmp_path / "a.png"), MASK)
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5) * np.uint8(17)
    write_png8(tmp_path / "b.png", picture)
    assert np.array_equal(np.asarray(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)), picture)
    with pytest.raises(InputError, match="needs two axes"):
        write_png8(tmp_path / "c.png", np.zeros((0, 5), np.uint8))


@pytest.mark.parametrize("quality", [75, 90, 100])
def test_a_jpeg_mask_is_read_to_the_pixel(tmp_path: Path, quality: int) -> None:
    path = written(tmp_path / "a.jpg", MASK * np.uint8(255), cv2.IMWRITE_JPEG_QUALITY, quality)
    assert np.array_equal(read_mask_image(path), MASK)
    colour = written(tmp_path / "c.jpg", np.dstack([MASK * np.uint8(255)] * 3), cv2.IMWRITE_JPEG_QUALITY, quality)
    assert np.array_equal(read_mask_image(colour), MASK)
    empty = written(tmp_path / "b.jpg", np.zeros((40, 40), np.uint8), cv2.IMWRITE_JPEG_QUALITY, quality)
    assert not read_mask_image(empty).any()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("a.png", MASK * np.uint8(7), r"holds 7 beside 0: a mask has one value inside, 1 or 255"),
        ("a.png", MASK * np.uint8(1) + np.eye(128, 120, dtype=np.uint8), r"holds 1, 2 beside 0"),
        ("a.png", np.arange(90, dtype=np.uint8).reshape(9, 10), r"holds 1, 2, 3, 4, \.\.\. beside 0"),
        ("a.png", MASK * np.uint16(255), "1 or 65535"),
        ("a.png", np.dstack([MASK * np.uint8(0), MASK * np.uint8(0), MASK * np.uint8(255)]), "is coloured"),
        ("a.jpg", MASK * np.uint8(1), "none near 255: its labels cannot be distinguished from the noise"),
        ("a.jpg", MASK * np.uint8(128), "between black and white"),
        ("a.jpg", cv2.blur(MASK * np.uint8(255), (9, 9)), "between black and white"),
    ],
)
def test_what_is_not_a_mask_is_refused(tmp_path: Path, name: str, values: NDArray[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_mask_image(written(tmp_path / name, values))


def test_size_damage_and_absence_are_reported(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", MASK * np.uint8(255))
    with pytest.raises(InputError, match="has 128 x 120 pixels, its image has 120 x 128"):
        read_mask_image(path, shape=(120, 128))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"the mask a\.png is truncated"):
        read_mask_image(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        read_mask_image(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_mask_image(tmp_path / "b.png")
    with pytest.raises(UnsupportedError, match="float32"):
        read_mask_image(written(tmp_path / "a.tiff", MASK.astype(np.float32)))
