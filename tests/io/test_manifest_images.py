"""An image of a data set: every kind gives rows and columns of numbers from 0 to 1, or says why not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageOps

from osteon.errors import InputError, UnsupportedError
from osteon.io.image import read_image, read_mask_image, stored_picture, write_png16

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Source
    from osteon.geometry import Grid

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def _written(path: Path, picture: NDArray[np.generic]) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def test_a_picture_is_divided_by_what_its_bits_hold(tmp_path: Path) -> None:
    assert np.array_equal(read_image(_written(tmp_path / "a.png", RAMP)), RAMP.astype(np.float32) / 255)
    deep = RAMP.astype(np.uint16) * 257
    assert np.allclose(read_image(_written(tmp_path / "b.png", deep)), RAMP / 255, atol=1e-7)
    flat = np.full((16, 16), 100, dtype=np.uint8)
    assert np.allclose(read_image(_written(tmp_path / "c.jpg", flat)), 100 / 255, atol=2 / 255)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    grey = read_image(_written(tmp_path / "a.png", np.dstack([RAMP] * 3)))
    assert np.allclose(grey, RAMP / 255, atol=1e-6)
    assert read_image(_written(tmp_path / "b.png", np.dstack([RAMP] * 4))).shape == (3, 4)
    red = np.zeros((2, 2, 3), dtype=np.uint8)
    red[:, :, 2] = 255
    assert np.allclose(read_image(_written(tmp_path / "c.png", red)), 0.299)


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((40, 30))
    write_png16(tmp_path / "a.png", picture)
    back = read_image(tmp_path / "a.png")
    assert back.dtype == np.float32
    assert np.abs(back - picture).max() <= 0.5 / 65535 + 1e-7
    for bad in (picture + 1, picture - 1, picture * np.nan, picture[:0]):
        with pytest.raises(InputError, match="values from 0 to 1"):
            write_png16(tmp_path / "b.png", bad)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_that_is_cut_off_is_refused_wherever(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (32, 32), dtype=np.uint8)
    path = _written(tmp_path / f"a{suffix}", noise)
    whole = path.read_bytes()
    read_image(path)
    for length in (*range(0, len(whole) - 2, 37), len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"a\{suffix} "):
            read_image(path)


def test_a_changed_byte_of_a_png_is_seen(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.png", RAMP)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png is truncated or damaged"):
        read_image(path)


def test_what_is_not_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png cannot be read: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match=r"none\.nii cannot be read"):
        read_image(tmp_path / "none.nii")
    for name, data in (("a.png", b""), ("b.png", b"hello"), ("c.nii", b"hello"), ("d.dcm", b"\0" * 128 + b"DICM")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path)


def test_a_dicom_image_runs_from_its_smallest_to_its_largest_value(
    tmp_path: Path, make_ct_series: Callable[..., Source], dicom_grids: dict[str, Grid]
) -> None:
    make_ct_series(tmp_path, dicom_grids["axial"])
    path = min(tmp_path.rglob("*.dcm"))
    data = pydicom.dcmread(path)
    data.PixelData = (np.arange(data.Rows * data.Columns) % 977).astype(np.uint16).tobytes()
    data.save_as(path)
    hu = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    wanted = (hu - hu.min()) / (hu.max() - hu.min())
    assert np.allclose(read_image(path), wanted, atol=1e-6)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(tmp_path / "inverted")
    assert np.allclose(read_image(tmp_path / "inverted"), 1 - wanted, atol=1e-6)
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.save_as(tmp_path / "colour")
    with pytest.raises((UnsupportedError, InputError), match="colour"):
        read_image(tmp_path / "colour")
    short = path.read_bytes()[:-500]
    (tmp_path / "short").write_bytes(short)
    with pytest.raises(InputError, match="short"):
        read_image(tmp_path / "short")
    with pytest.raises(InputError, match="image 1 was asked for"):
        read_image(path, frame=1)


def _nifti(path: Path, values: NDArray[np.generic]) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path


def test_a_nifti_slice_counts_columns_first(tmp_path: Path) -> None:
    wanted = np.arange(6, dtype=np.float32).reshape(2, 3) / 5
    flat = wanted.T * 1000 - 100
    assert np.allclose(read_image(_nifti(tmp_path / "a.nii", flat)), wanted, atol=1e-6)
    for shape in ((3, 2, 1), (3, 1, 2), (1, 3, 2), (3, 2, 1, 1)):
        assert np.allclose(read_image(_nifti(tmp_path / "b.nii.gz", flat.reshape(shape))), wanted, atol=1e-6)
    assert read_image(_nifti(tmp_path / "c.nii", np.ones((3, 2), dtype=np.float32))).tolist() == [[0.0] * 3] * 2
    volume = np.stack([flat, flat.max() - flat], axis=2)
    with pytest.raises(InputError, match="holds 2 images"):
        read_image(_nifti(tmp_path / "d.nii", volume))
    assert np.allclose(read_image(tmp_path / "d.nii", frame=1), 1 - wanted, atol=1e-6)
    with pytest.raises(InputError, match="NaN"):
        read_image(_nifti(tmp_path / "e.nii", flat * np.nan))
    whole = (tmp_path / "b.nii.gz").read_bytes()
    (tmp_path / "f.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"f\.nii\.gz"):
        read_image(tmp_path / "f.nii.gz")


FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 100},
    ".webp": {"format": "WEBP", "lossless": True},
    ".tif": {"format": "TIFF"},
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_images_and_masks_are_turned_as_a_viewer_shows_them(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Against Pillow; a mask with the same mark, and one that was drawn on what was shown, both fit."""
    block = np.kron(RAMP, np.ones((8, 8), dtype=np.uint8))
    inside = np.where(block > 150, np.uint8(255), np.uint8(0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = {}
    for name, picture in (("image", block), ("mask", inside)):
        path = tmp_path / f"{name}{suffix}"
        Image.fromarray(picture).convert("RGB").save(path, exif=exif, **FORMATS[suffix])
        with Image.open(path) as opened:
            shown[name] = np.asarray(ImageOps.exif_transpose(opened).convert("L"))
    image = read_image(tmp_path / f"image{suffix}")
    assert image.shape == shown["image"].shape == ((32, 24) if orientation > 4 else (24, 32))
    assert np.abs(image * 255 - shown["image"]).max() <= 2
    mask = read_mask_image(tmp_path / f"mask{suffix}", shape=image.shape)
    assert np.array_equal(mask, shown["mask"] > 127)


def _with_chunk(path: Path, kind: bytes, body: bytes) -> Path:
    """A PNG with one more chunk after its header."""
    data, chunk = path.read_bytes(), kind + body
    path.write_bytes(
        data[:33] + struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    )
    return path


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_bits_that_a_png_declares_are_its_scale(tmp_path: Path, bits: int) -> None:
    few = np.linspace(0, (1 << bits) - 1, 48).round().astype(np.uint16).reshape(6, 8)
    wanted = few / ((1 << bits) - 1)
    as_stored = _with_chunk(_written(tmp_path / "a.png", few), b"sBIT", bytes([bits]))
    assert np.allclose(read_image(as_stored), wanted, atol=1e-6)
    moved = _with_chunk(_written(tmp_path / "b.png", few << (16 - bits)), b"sBIT", bytes([bits]))
    assert np.allclose(read_image(moved), wanted, atol=2 / (1 << bits))
    dark = _with_chunk(_written(tmp_path / "c.png", (few >> 4) << (16 - bits)), b"sBIT", bytes([bits]))
    assert read_image(dark).max() < 0.07  # moved values of a dark picture stay dark


def test_sixteen_bits_of_which_few_are_used_are_refused_unless_the_scale_does_not_matter(tmp_path: Path) -> None:
    few = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    path = _written(tmp_path / "a.png", few)
    with pytest.raises(InputError, match=r"a\.png has 16 bits and nothing above 4032.*sBIT"):
        read_image(path)
    assert np.unique(read_image(path, any_scale=True)).size == 64
    assert read_image(_written(tmp_path / "b.png", few * 16)).max() == pytest.approx(4032 * 16 / 65535)
    assert not read_image(_written(tmp_path / "black.png", few * 0)).any()
    write_png16(tmp_path / "dark.png", np.full((4, 4), 0.01))  # of osteon: it says that it uses them all
    assert read_image(tmp_path / "dark.png").max() == pytest.approx(0.01, abs=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.tif", "TIFF"), ("a.webp", "WEBP"), ("a.jpg", "MPO")])
def test_several_pictures_in_one_file_are_refused_by_name(tmp_path: Path, name: str, kind: str) -> None:
    pages = [Image.fromarray(picture).convert("RGB") for picture in (RAMP, RAMP[::-1].copy(), RAMP * 0)]
    pages[0].save(tmp_path / name, format=kind, save_all=True, append_images=pages[1:])
    for read in (read_image, read_mask_image):
        with pytest.raises(InputError, match=rf"{name} holds (3|several) images"):
            read(tmp_path / name)
    if kind == "TIFF":
        second = stored_picture((tmp_path / name).read_bytes(), name, frame=1)
        assert np.array_equal(second[:, :, 0], RAMP[::-1])
        assert np.allclose(read_image(tmp_path / name, frame=1), RAMP[::-1] / 255, atol=1e-6)
        with pytest.raises(InputError, match=r"a\.tif"):
            read_image(tmp_path / name, frame=3)


@pytest.mark.parametrize("junk", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM", b"MPF\0II*\0\x08\0\0\0\xff\xff"])
def test_a_broken_mark_beside_the_pixels_is_not_a_mark(tmp_path: Path, junk: bytes) -> None:
    data = cv2.imencode(".jpg", np.full((16, 16), 100, dtype=np.uint8))[1].tobytes()
    for marker in (b"\xff\xe1", b"\xff\xe2"):
        path = tmp_path / "a.jpg"
        path.write_bytes(data[:2] + marker + struct.pack(">H", len(junk) + 2) + junk + data[2:])
        assert np.allclose(read_image(path), 100 / 255, atol=2 / 255)
