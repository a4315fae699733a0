"""An image of a data set: every kind gives rows and columns of numbers from 0 to 1, or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import nibabel
import numpy as np
import pydicom
import pytest

from osteon.errors import InputError, UnsupportedError
from osteon.io.image import read_image, write_png16

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


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
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
