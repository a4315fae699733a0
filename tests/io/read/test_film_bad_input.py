"""DICOM files that are no simple grey film: each is read, or refused with one clear error."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from osteon.errors import InputError, UnsupportedError
from osteon.io.image import load_radiograph
from tests.film_files import film as film_of
from tests.film_files import notices, save, written

GREY = np.arange(12, dtype=np.uint16).reshape(3, 4)
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return tmp_path / "film.dcm"


def colour(pixels: np.ndarray[Any, np.dtype[np.uint8]], **attributes: object) -> Dataset:
    return film_of(
        pixels[..., 0], sop_class=SECONDARY, Modality="OT", SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, PixelData=pixels.tobytes(), **attributes,
    )  # fmt: skip


def test_a_photograph_of_a_film_is_grey_where_its_channels_are_equal(film: Path) -> None:
    grey = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
    save(colour(np.repeat(grey[..., None], 3, axis=2), WindowCenter="3", WindowWidth="2"), film)
    image = load_radiograph(film)
    assert np.allclose(image.pixels, grey / 255)
    assert "grey-in-colour" in notices(image)
    tinted = np.repeat(grey[..., None], 3, axis=2)
    tinted[1, 1, 0] += 60
    save(colour(tinted), film)
    with pytest.raises(UnsupportedError, match=r"film\.dcm is a colour DICOM image"):
        load_radiograph(film)


@pytest.mark.parametrize("is_grey", [True, False])
def test_a_palette_is_looked_up_and_not_taken_for_grey(film: Path, is_grey: bool) -> None:
    indices = np.array([[0, 1, 2, 3]], np.uint8)
    ds = film_of(indices, sop_class=SECONDARY, Modality="OT", PhotometricInterpretation="PALETTE COLOR")
    for number, name in enumerate(("Red", "Green", "Blue")):
        table = np.array([65535, 0, 26214, 13107], np.uint16)
        table[2] += 0 if is_grey else 3000 * number
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", table.tobytes())
    save(ds, film)
    if is_grey:
        assert load_radiograph(film).pixels[0].tolist() == pytest.approx([1, 0, 0.4, 0.2])
        return
    with pytest.raises(UnsupportedError, match="colour"):
        load_radiograph(film)


def test_a_frame_of_fluoroscopy_is_chosen(film: Path) -> None:
    frames = np.stack([GREY, GREY[::-1], GREY * 2])
    written(film, frames, Modality="RF", sop_class="1.2.840.10008.5.1.4.1.1.12.2", NumberOfFrames=3)
    with pytest.raises(InputError, match="holds 3 images: extract one, or say which"):
        load_radiograph(film)
    image = load_radiograph(film, frame=1)
    assert np.allclose(image.pixels, GREY[::-1] / 11)
    assert image.source is not None
    assert image.source.slices[0].frame == 2


@pytest.mark.parametrize(
    ("sop_class", "modality", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "Encapsulated PDF Storage"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "Grayscale Softcopy Presentation State Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "SR", "Basic Text SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.1", "CR", "Computed Radiography Image Storage"),
        ("1.2.3", "CR", "a class that is not known"),
    ],
)
def test_what_holds_no_image_says_what_it_is(film: Path, sop_class: str, modality: str, name: str) -> None:
    written(film, GREY, sop_class=sop_class, Modality=modality, PixelData=None)
    with pytest.raises(InputError, match=f"holds no image, but is of {name}"):
        load_radiograph(film)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107"])
def test_a_video_is_refused(film: Path, syntax: str) -> None:
    ds = film_of(GREY, Modality="RF", NumberOfFrames=30, PixelData=encapsulate([b"\0\0\1\xb3" + bytes(60)]))
    save(ds, film, syntax=syntax)
    with pytest.raises(UnsupportedError, match=r"encoded as (MPEG|HEVC).*of a video, export the frame"):
        load_radiograph(film)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"Rows": 0}, "no Rows or Columns"),
        ({"Columns": 0}, "no Rows or Columns"),
        ({"PixelData": b""}, "12 pixels|3 x 4 pixels"),
        ({"Rows": 5}, "5 x 4 pixels"),
        ({"BitsStored": 17}, "17 of 16 bits"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 of 1 bits"),
        ({"RescaleSlope": "x"}, "Rescale Slope or Intercept is broken"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_named(film: Path, attributes: dict[str, Any], match: str) -> None:
    written(film, GREY, **{k: v for k, v in attributes.items() if k != "RescaleSlope"}, RescaleSlope="1")
    if "RescaleSlope" in attributes:
        film.write_bytes(film.read_bytes().replace(b"DS\x02\x001 ", b"DS\x02\x00x "))
    with pytest.raises(InputError, match=match):
        load_radiograph(film)


def test_a_film_that_has_lost_its_uids_is_read(film: Path) -> None:
    ds = film_of(GREY)
    del ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID
    save(ds, film)
    image = load_radiograph(film)
    assert np.allclose(image.pixels, GREY / 11)
    assert image.source is not None
    assert "it needs" in image.source.no_objects


def test_truncated_films_are_refused(film: Path) -> None:
    written(film, GREY)
    whole = film.read_bytes()
    for size in range(140, len(whole) - 1, 7):
        film.write_bytes(whole[:size])
        with pytest.raises(InputError):
            load_radiograph(film)


def test_a_film_of_forty_megapixels_takes_its_pixels_and_little_more(film: Path) -> None:
    stored = np.tile(np.arange(6400, dtype=np.uint16) % 4096, (6250, 1))
    written(
        film, stored, BitsStored=12, WindowCenter="2048", WindowWidth="4096", PhotometricInterpretation="MONOCHROME1"
    )
    expected = (1 - (np.arange(6400) % 4096) / 4095).astype(np.float32)
    shown_bytes, stored_bytes = 4 * stored.size, stored.nbytes
    del stored
    tracemalloc.start()
    try:
        image = load_radiograph(film)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.allclose(image.pixels[[0, 3000, -1]], expected, atol=1e-6)
    assert most < shown_bytes + 2 * stored_bytes + 64 * 2**20
