"""A pyramid that was written is what was given, in every level, and its memory does not follow its size."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
import tifffile

from osteon.data.slide import SlideLevel, SlideSource
from osteon.errors import InputError, OutputError
from osteon.io.slide import open_slide
from osteon.io.slide.pyramid import PyramidOptions, _halved, write_pyramid
from tests.slide_files import chart

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LOSSLESS = PyramidOptions(tile=32, smallest=20, compression="deflate")


class Computed:
    """A slide of any size that is computed where it is read."""

    def __init__(self, rows: int, columns: int) -> None:
        self.levels = (SlideLevel(rows, columns, 1.0),)
        self.microns_per_pixel = (0.5, 0.5)
        self.source = SlideSource(None, "synthetic", is_synthetic=True)
        self.largest = 0

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        self.largest = max(self.largest, rows * columns)
        y, x = np.mgrid[row : row + rows, column : column + columns]
        return np.stack([y % 256, x % 256, (x + y) % 256], axis=2).astype(np.uint8)

    def close(self) -> None:
        pass


def halved_slowly(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixel by pixel: the mean of four, rounded half up; an odd last row or column has no pixel."""
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    answer = np.zeros((rows, columns, picture.shape[2]), np.uint8)
    for row in range(rows):
        for column in range(columns):
            four = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(4, -1).astype(int)
            weight = four[:, 3] if picture.shape[2] == 4 else np.ones(4, int)
            for channel in range(3):
                answer[row, column, channel] = (
                    np.floor((four[:, channel] * weight).sum() / weight.sum() + 0.5) if weight.any() else 0
                )
            if picture.shape[2] == 4:
                answer[row, column, 3] = np.floor(weight.mean() + 0.5)
    return answer


@pytest.mark.parametrize("shape", [(97, 131), (64, 64), (33, 200), (1, 300), (20, 20), (257, 31)])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_level_is_the_mean_of_the_one_above(tmp_path: Path, shape: tuple[int, int], channels: int) -> None:
    generator = np.random.default_rng(5)
    picture = generator.integers(0, 256, (*shape, channels)).astype(np.uint8)
    write_pyramid(tmp_path / "p.tif", picture, microns_per_pixel=0.5, options=LOSSLESS)
    expected = picture
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        for number, page in enumerate(file.pages):
            assert np.array_equal(page.asarray(), expected), number
            assert (page.is_tiled, bool(page.is_reduced)) == (True, number > 0)
            across = page.tags.valueof("XResolution")
            assert across[0] / across[1] == pytest.approx(20000 / 2**number)
            expected = halved_slowly(expected)
        last = file.pages[-1].shape
        assert max(last[:2]) <= 20 or min(last[:2]) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "p.tif"]


def test_transparent_colours_do_not_bleed() -> None:
    four = np.zeros((2, 2, 4), np.uint8)
    four[0, 0] = (200, 100, 0, 255)  # beside three transparent black ones
    assert _halved(four).tolist() == [[[200, 100, 0, 64]]]


def test_jpeg_keeps_colours_within_its_loss(tmp_path: Path) -> None:
    picture = chart(300, 420)
    write_pyramid(tmp_path / "p.tif", picture, microns_per_pixel=0.5, options=PyramidOptions(quality=95))
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        assert file.pages[0].compression.name == "JPEG"
        by_tifffile = file.pages[0].asarray()
    by_openslide = open_slide(tmp_path / "p.tif").read(0, 0, 0, 300, 420)
    for decoded in (by_tifffile, by_openslide):
        assert np.abs(decoded.astype(int) - picture).mean() < 1.5


def test_openslide_knows_the_file(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "p.tif", chart(600, 512), microns_per_pixel=0.25, options=PyramidOptions(smallest=150))
    slide = openslide.OpenSlide(tmp_path / "p.tif")
    assert slide.level_dimensions == ((512, 600), (256, 300), (128, 150))
    assert slide.level_downsamples == (1.0, 2.0, 4.0)
    assert float(slide.properties["openslide.mpp-x"]) == 0.25
    slide.close()


def test_a_synthetic_slide_stays_one_and_is_read_tile_by_tile(tmp_path: Path) -> None:
    slide = Computed(500, 700)
    seen: list[tuple[str, int, int]] = []
    options = PyramidOptions(compression="deflate")
    write_pyramid(tmp_path / "p.tif", slide, options=options, progress=lambda *told: seen.append(told))
    assert slide.largest == 256 * 256
    assert seen == [("writing the slide", 1, 2), ("writing the slide", 2, 2)]
    again = open_slide(tmp_path / "p.tif")
    assert again.source.is_synthetic
    assert again.microns_per_pixel == (0.5, 0.5)
    assert np.array_equal(again.read(0, 100, 200, 300, 400), slide.read(0, 100, 200, 300, 400))


def test_memory_follows_the_width_and_not_the_area(tmp_path: Path) -> None:
    most = []
    for rows in (512, 4096):
        tracemalloc.start()
        write_pyramid(tmp_path / "p.tif", Computed(rows, 1024))
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < 1.3 * most[0]
    assert most[1] < 4096 * 1024 * 3  # less than the pixels of the slide


def test_big_tiff_where_32_bits_would_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osteon.io.slide.pyramid.BIG_TIFF_BYTES", 1000)
    write_pyramid(tmp_path / "p.tif", chart(100, 100), microns_per_pixel=1.0)
    assert (tmp_path / "p.tif").read_bytes()[:4] == b"II+\0"
    assert open_slide(tmp_path / "p.tif").levels[0].rows == 100


def test_what_cannot_be_written(tmp_path: Path) -> None:
    rgb = chart(40, 40)
    with pytest.raises(InputError, match="size of a pixel is not known"):
        write_pyramid(tmp_path / "p.tif", rgb)
    with pytest.raises(InputError, match="at least one pixel, found 0 x 40"):
        write_pyramid(tmp_path / "p.tif", rgb[:0], microns_per_pixel=1.0)
    with pytest.raises(InputError, match=r"found \(40, 40\) uint8"):
        write_pyramid(tmp_path / "p.tif", rgb[..., 0], microns_per_pixel=1.0)
    with pytest.raises(InputError, match="JPEG holds no alpha channel"):
        rgba = np.dstack([rgb, rgb[..., :1]])
        write_pyramid(tmp_path / "p.tif", rgba, microns_per_pixel=1.0, options=PyramidOptions(compression="jpeg"))
    with pytest.raises(InputError, match="tiles are a multiple of 16"):
        PyramidOptions(tile=100)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"p\.tif cannot be written"):
        write_pyramid(tmp_path / "missing" / "p.tif", rgb, microns_per_pixel=1.0)


def test_a_slide_that_is_damaged_leaves_the_earlier_file(tmp_path: Path) -> None:
    class Damaged(Computed):
        def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
            if row >= 256:
                raise InputError("damaged at level 0")
            return super().read(level, row, column, rows, columns)

    (tmp_path / "p.tif").write_bytes(b"earlier")
    with pytest.raises(InputError, match="damaged at level 0"):
        write_pyramid(tmp_path / "p.tif", Damaged(700, 700))
    assert (tmp_path / "p.tif").read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [tmp_path / "p.tif"]
