"""Stored pixels become values: encodings, bits, rescale, padding, damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteon.errors import InputError, UnsupportedError
from osteon.io import choose_series, find_images, open_volume
from osteon.io.dicom.decode import CODECS, is_decodable

Make = Callable[..., Path]

SYNTAXES = {
    "implicit little": "1.2.840.10008.1.2",
    "explicit little": "1.2.840.10008.1.2.1",
    "explicit big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG lossless": "1.2.840.10008.1.2.4.57",
    "JPEG lossless first order": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "HTJ2K": "1.2.840.10008.1.2.4.201",
}


@pytest.fixture(scope="module")
def noise() -> NDArray[np.int16]:
    return np.random.default_rng(3).integers(-1000, 2000, (3, 32, 24)).astype(np.int16)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES.keys())
@pytest.mark.parametrize("kind", ["signed 16", "unsigned 12", "signed 12", "unsigned 8"])
def test_every_lossless_encoding_gives_the_same_values(
    make_series: Make,
    noise: NDArray[np.int16],
    syntax: str,
    kind: str,
) -> None:
    stored: NDArray[Any] = noise
    if kind.startswith("unsigned"):
        stored = (noise + 1000).astype(np.uint16) if kind.endswith("12") else (noise & 255).astype(np.uint8)
    bits = int(kind.split()[1])
    volume = open_volume(make_series(stored=stored, syntax=syntax, bits_stored=bits, intercept=7))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, stored.astype(int) + 7)


def test_each_slice_has_its_own_rescale(make_series: Make, noise: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = index + 1, -100 * index

    volume = open_volume(make_series(stored=noise, edit=edit))
    for index, plane in enumerate(noise):
        assert np.array_equal(volume.array[index], plane.astype(int) * (index + 1) - 100 * index)


def test_fractional_rescale_gives_float32(make_series: Make, noise: NDArray[np.int16]) -> None:
    volume = open_volume(make_series(stored=noise, slope=0.25, intercept=0.5))
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, (noise * 0.25 + 0.5).astype(np.float32))


@pytest.mark.parametrize("top", [65535, 33000])
def test_values_beyond_int16_give_float32_not_nonsense(make_series: Make, top: int) -> None:
    stored = np.full((3, 4, 5), 12, dtype=np.uint16)
    stored[1, 2, 3] = top
    volume = open_volume(make_series(stored=stored, intercept=0))
    assert volume.array.dtype == np.float32
    assert volume.array[1, 2, 3] == top


def test_large_unsigned_values_that_fit_after_the_rescale_stay_int16(make_series: Make) -> None:
    stored = np.full((3, 4, 5), 33000, dtype=np.uint16)
    stored[0, 0, 0] = 0
    volume = open_volume(make_series(stored=stored))
    assert volume.array.dtype == np.int16
    assert (volume.array[0, 0, 0], volume.array[1, 1, 1]) == (-1024, 31976)


def test_bits_outside_the_stored_ones_are_ignored(make_series: Make, noise: NDArray[np.int16]) -> None:
    clean = ((noise + 1000) & 0xFFF).astype(np.uint16)
    # an old overlay is in the four high bits
    volume = open_volume(make_series("high", stored=clean | np.uint16(0xA000), bits_stored=12, intercept=0))
    assert np.array_equal(volume.array, clean)

    def edit(ds: Dataset, index: int) -> None:
        ds.HighBit = 15

    volume = open_volume(
        make_series("left", stored=(clean << 4) | np.uint16(5), bits_stored=12, intercept=0, edit=edit)
    )
    assert np.array_equal(volume.array, clean)


def test_padding_is_air_and_is_recorded(make_series: Make, noise: NDArray[np.int16]) -> None:
    stored = noise.copy()
    stored[:, :4] = -2000

    def edit(ds: Dataset, index: int) -> None:
        ds.add_new("PixelPaddingValue", "SS", -2000)

    volume = open_volume(make_series(stored=stored, edit=edit))
    assert (volume.array[:, :4] == -1024).all()
    assert np.array_equal(volume.array[:, 4:], stored[:, 4:] - 1024)
    assert volume.source is not None
    assert any(n.code == "padding-is-air" and "12.5 %" in n.text for n in volume.source.notices)


def test_padding_that_would_overflow_does_not_cost_int16(make_series: Make, noise: NDArray[np.int16]) -> None:
    stored = noise.copy()
    stored[0, 0, 0] = -32768

    def edit(ds: Dataset, index: int) -> None:
        ds.add_new("PixelPaddingValue", "SS", -32768)

    volume = open_volume(make_series(stored=stored, edit=edit))
    assert volume.array.dtype == np.int16
    assert volume.array[0, 0, 0] == -1024


def test_padding_value_of_a_tissue_is_not_a_padding(make_series: Make, noise: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.add_new("PixelPaddingValue", "SS", 0)

    volume = open_volume(make_series(stored=noise, intercept=0, edit=edit))
    assert np.array_equal(volume.array, noise)


def test_rescale_that_is_not_a_number_is_refused(make_series: Make, noise: NDArray[np.int16]) -> None:
    def spoil(data: bytes, index: int) -> bytes:
        assert b"-1024" in data
        return data.replace(b"-1024", b"abcde") if index == 2 else data

    with pytest.raises(InputError, match=r"image\d{4}: Rescale Slope or Rescale Intercept"):
        open_volume(make_series(stored=noise, file_edit=spoil))


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_pixels_that_are_ieee_numbers(make_series: Make, noise: NDArray[np.int16], keyword: str, kind: str) -> None:
    values = noise.astype(kind) + 0.25

    def edit(ds: Dataset, index: int) -> None:
        setattr(ds, keyword, values[index].tobytes())
        del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
        ds.BitsAllocated = values.itemsize * 8

    volume = open_volume(make_series(stored=noise, slope=None, edit=edit))
    assert np.array_equal(volume.array, values.astype(np.float32))


def test_an_intercept_lost_and_set_to_nothing_is_seen(make_series: Make, noise: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.RescaleIntercept = 0 if index < 2 else -1024

    with pytest.raises(InputError, match="intercept 1 and 0 on 2 slices"):
        open_volume(make_series(stored=np.tile(noise, (2, 1, 1)), edit=edit))


def test_an_unspecified_unit_without_air_is_refused(make_series: Make, noise: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.RescaleType = "US"

    assert open_volume(make_series("air", stored=noise, edit=edit)).array.min() < -500
    with pytest.raises(InputError, match=r"Rescale Type \(0028,1054\) is US"):
        open_volume(make_series(stored=noise, intercept=5000, edit=edit))


def test_missing_rescale_is_recorded(make_series: Make, noise: NDArray[np.int16]) -> None:
    volume = open_volume(make_series(stored=noise, slope=None))
    assert np.array_equal(volume.array, noise)
    assert volume.source is not None
    assert "rescale-missing" in {n.code for n in volume.source.notices}


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1.99"])
def test_truncated_file_is_named(make_series: Make, noise: NDArray[np.int16], syntax: str) -> None:
    folder = make_series(
        stored=noise,
        syntax=syntax,
        prefix="cut",
        file_edit=lambda data, index: data[: len(data) - 200] if index == 1 else data,
    )
    with pytest.raises(InputError, match=r"cut\d{4}.*(truncated|ends early)") as caught:
        open_volume(folder)
    assert "Test" not in str(caught.value)


def test_file_cut_inside_its_header_is_named(make_series: Make, noise: NDArray[np.int16]) -> None:
    folder = make_series(stored=noise, file_edit=lambda data, index: data[:900] if index == 1 else data)
    with pytest.raises(InputError, match=r"image\d{4}.*ends inside its header"):
        open_volume(folder)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"])
@pytest.mark.parametrize("rows", [31, 33])
def test_file_that_lies_about_its_size(make_series: Make, noise: NDArray[np.int16], syntax: str, rows: int) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.Rows = rows

    with pytest.raises(InputError, match=r"image\d{4}.*its header says"):
        open_volume(make_series(stored=noise, syntax=syntax, edit=edit))


def test_garbage_in_compressed_pixels_is_an_input_error(make_series: Make, noise: NDArray[np.int16]) -> None:
    def scramble(data: bytes, index: int) -> bytes:
        return data.replace(b"\xff\x4f\xff\x51", bytes(4)) if index == 0 else data

    with pytest.raises(InputError, match=r"image\d{4}"):
        open_volume(make_series(stored=noise, syntax="1.2.840.10008.1.2.4.90", file_edit=scramble))


def test_encoding_without_a_decoder(make_series: Make, noise: NDArray[np.int16]) -> None:
    retired = "1.2.840.10008.1.2.4.52"  # JPEG extended, processes 3 and 5
    assert not is_decodable(retired)

    def relabel(data: bytes, index: int) -> bytes:
        return data.replace(b"1.2.840.10008.1.2.4.80", retired.encode())

    folder = make_series(stored=noise, syntax="1.2.840.10008.1.2.4.80", file_edit=relabel)
    with find_images(folder) as inventory:
        assert "no decoder for transfer syntax" in str(inventory.entries[0].problem)
        with pytest.raises(UnsupportedError, match=retired):
            choose_series(inventory)


def test_every_codec_is_there() -> None:
    import imagecodecs

    for name in CODECS.values():
        assert callable(getattr(imagecodecs, f"{name}_decode"))


@pytest.mark.parametrize("name", ["RLE", "JPEG lossless first order", "JPEG 2000"])
def test_the_fall_back_decoders_agree(
    make_series: Make,
    noise: NDArray[np.int16],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr("osteon.io.dicom.decode._imagecodecs", refuse)
    stored = (noise + 1000).astype(np.uint16)
    volume = open_volume(make_series(stored=stored, syntax=SYNTAXES[name], bits_stored=12))
    assert np.array_equal(volume.array, stored.astype(int) - 1024)
