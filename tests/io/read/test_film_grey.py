"""Grey values of DICOM radiographs: each rule on a file whose answer is worked out here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from osteon.data import Radiograph
from osteon.errors import InputError
from osteon.io.dicom.grey import window_values
from osteon.io.image import load_radiograph, read_image
from tests.film_files import film as film_of
from tests.film_files import lut, notices, save, written

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
BIG_ENDIAN, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return tmp_path / "film.dcm"


def shown(path: Path, **options: Any) -> list[float]:  # noqa: ANN401
    return [float(value) for value in load_radiograph(path, **options).pixels.ravel()]


def by_the_standard(x: float, center: float, width: float, function: str) -> float:
    """The pseudo-code of PS3.3 C.11.2.1.2.1 and C.11.2.1.3 with an output range of 0 to 1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(700.0, -4 * (x - center) / width)))
    if function == "LINEAR_EXACT":
        if x <= center - width / 2:
            return 0.0
        return 1.0 if x > center + width / 2 else (x - center) / width + 0.5
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    return 1.0 if x > center - 0.5 + (width - 1) / 2 else (x - (center - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (2048, 1), (2048, 30), (1000.5, 300.25), (-10, 5000)])
def test_windows_are_those_of_the_standard(film: Path, function: str | None, center: float, width: float) -> None:
    more = {} if function is None else {"VOILUTFunction": function}
    written(film, RAMP, BitsStored=12, WindowCenter=str(center), WindowWidth=str(width), **more)
    expected = [by_the_standard(float(x), center, width, function or "LINEAR") for x in range(4096)]
    assert shown(film) == pytest.approx(expected, abs=1e-6)


def test_the_standards_own_example_of_linear() -> None:
    # PS3.3 C.11.2.1.2.1 note 2: center 2048, width 4096 is the whole range 0 to 4095; center 0, width 100 is -50 to 49
    values = np.array([-51.0, -50.0, -0.5, 49.0, 50.0])
    assert window_values(values, center=0, width=100).tolist() == [0, 0, 0.5, 1, 1]


def test_the_rescale_comes_before_the_window(film: Path) -> None:
    stored = np.array([[0, 10, 20, 30]], np.uint16)
    written(
        film, stored, RescaleSlope="2", RescaleIntercept="-20", WindowCenter="10", WindowWidth="60",
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    assert shown(film) == pytest.approx([0, 20 / 60, 40 / 60, 1])
    written(film, stored, RescaleSlope="-1", RescaleIntercept="30")  # a falling slope turns the order over
    assert shown(film) == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_a_modality_lut_comes_before_the_window_and_instead_of_the_rescale(film: Path) -> None:
    stored = np.array([[0, 1, 2, 3, 9]], np.uint16)
    item = lut(np.array([5, 10, 40]), first=1, bits=8)
    item.ModalityLUTType = "US"
    written(
        film, stored, ModalityLUTSequence=[item], RescaleSlope="100", RescaleIntercept="0", WindowCenter="20",
        WindowWidth="40", VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    assert shown(film) == pytest.approx([5 / 40, 5 / 40, 10 / 40, 1, 1])


@pytest.mark.parametrize("relationship", ["LIN", "LOG", "DISP"])
def test_the_lut_of_fluoroscopy_is_not_for_showing(film: Path, relationship: str) -> None:
    item = lut(np.array([3, 2, 1, 0]), bits=2)
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    written(
        film, stored, Modality="RF", sop_class="1.2.840.10008.5.1.4.1.1.12.2", ModalityLUTSequence=[item],
        PixelIntensityRelationship=relationship,
    )  # fmt: skip
    rising = [0, 1 / 3, 2 / 3, 1]
    assert shown(film) == pytest.approx(rising[::-1] if relationship == "DISP" else rising)


def test_a_voi_lut_comes_before_a_window_and_others_can_be_chosen(film: Path) -> None:
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    tables = [lut(np.array([0, 100, 1023, 512]), bits=10), lut(np.array([0, 0, 0, 1023]), bits=10)]
    written(
        film, stored, VOILUTSequence=tables, WindowCenter=["2", "1"], WindowWidth=["4", "2"],
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    assert shown(film) == pytest.approx([0, 100 / 1023, 1, 512 / 1023])
    assert shown(film, window=1) == [0, 0, 0, 1]
    assert shown(film, window=2) == pytest.approx([0, 0.25, 0.5, 0.75])
    assert shown(film, window=3) == pytest.approx([0, 0.5, 1, 1])
    with pytest.raises(InputError, match="window 4 was asked for, it has 4"):
        load_radiograph(film, window=4)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", BIG_ENDIAN, IMPLICIT, DEFLATED])
def test_a_lut_of_65536_entries_says_0(film: Path, syntax: str) -> None:
    table = np.arange(65536, dtype=np.uint16)[::-1]
    little = syntax != BIG_ENDIAN
    data = table.astype("<u2" if little else ">u2").tobytes()
    stored = np.array([[0, 1, 40000, 65535]], np.uint16)
    ds = film_of(stored if little else stored.byteswap(), VOILUTSequence=[lut(data, count=0)])
    save(ds, film, syntax=syntax)
    assert shown(film) == pytest.approx([1, 65534 / 65535, 25535 / 65535, 0])


@pytest.mark.parametrize(("signed", "first"), [(True, -2), (False, 65534)])
def test_the_first_value_mapped_may_be_negative(film: Path, signed: bool, first: int) -> None:
    """Also where a writer stores it as unsigned, though the pixels are signed."""
    stored = np.array([[-9, -2, -1, 0, 1, 9]], np.int16)
    table = lut(np.array([0, 64, 128, 255]), first=first, bits=8, signed=signed)
    written(film, stored, VOILUTSequence=[table])
    assert shown(film) == pytest.approx([v / 255 for v in (0, 0, 64, 128, 255, 255)])


def test_the_first_value_mapped_may_be_large(film: Path) -> None:
    stored = np.array([[0, 65000, 65001, 65535]], np.uint16)
    written(film, stored, VOILUTSequence=[lut(np.array([0, 200, 255]), first=65000, bits=8)])
    assert shown(film) == pytest.approx([0, 0, 200 / 255, 1])


@pytest.mark.parametrize("packed", [False, True])
def test_entries_of_eight_bits_come_packed_or_one_a_word(film: Path, packed: bool) -> None:
    entries = np.array([0, 17, 255, 34, 51], np.uint8)
    data = entries.tobytes() + b"\0" if packed else entries.astype("<u2").tobytes()
    written(film, np.array([[0, 1, 2, 3, 4]], np.uint16), VOILUTSequence=[lut(data, count=5, bits=8)])
    assert shown(film) == pytest.approx([v / 255 for v in (0, 17, 255, 34, 51)])


def test_a_lut_that_uses_twelve_of_its_sixteen_bits_is_of_twelve(film: Path) -> None:
    written(film, np.array([[0, 1, 2]], np.uint16), VOILUTSequence=[lut(np.array([0, 1000, 4095]))])
    assert shown(film) == pytest.approx([0, 1000 / 4095, 1])
    assert "lut-bits" in notices(load_radiograph(film))
    written(film, np.array([[0, 1, 2]], np.uint16), VOILUTSequence=[lut(np.array([0, 1000, 4095]), bits=10)])
    assert shown(film) == pytest.approx([0, 1000 / 4095, 1])


def broken_lut() -> Dataset:
    return lut(np.array([0, 1]), count=9)


@pytest.mark.parametrize(
    "attributes",
    [
        {"VOILUTSequence": [broken_lut()]},
        {"VOILUTSequence": [Dataset()]},
        {"WindowCenter": "10", "WindowWidth": "0"},
        {"WindowCenter": "10", "WindowWidth": "0.5"},
        {"WindowCenter": "10", "WindowWidth": "-4", "VOILUTFunction": "SIGMOID"},
    ],
)
def test_a_broken_window_is_left_out_with_a_notice(film: Path, attributes: dict[str, Any]) -> None:
    written(film, np.array([[0, 10, 20]], np.uint16), **attributes)
    assert shown(film) == [0, 0.5, 1]
    assert {"window-broken", "voi-missing"} <= notices(load_radiograph(film))
    with pytest.raises(InputError, match="it is broken"):
        load_radiograph(film, window=0)


def test_a_broken_first_window_gives_way_to_the_next(film: Path) -> None:
    written(
        film, np.array([[0, 10, 20]], np.uint16), WindowCenter=["1", "20"], WindowWidth=["0", "40"],
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    assert shown(film) == [0, 0.25, 0.5]
    written(film, np.array([[0, 10, 20]], np.uint16), WindowCenter="10", WindowWidth="20", VOILUTFunction="CUBIC")
    assert notices(load_radiograph(film)) == {"voi-function-unknown"}


@pytest.mark.parametrize("tag", [b"x ", b"\x10\x02"])
def test_a_window_of_the_wrong_type_is_left_out(film: Path, tag: bytes) -> None:
    written(film, np.array([[0, 10, 20]], np.uint16), WindowCenter="7 ", WindowWidth="9 ")
    data = film.read_bytes()
    film.write_bytes(data.replace(b"DS\x02\x007 ", b"US\x02\x00" + tag))
    assert shown(film) == [0, 0.5, 1]
    assert "window-broken" in notices(load_radiograph(film))


def test_a_broken_modality_lut_or_rescale_is_refused(film: Path) -> None:
    stored = np.array([[0, 10, 20]], np.uint16)
    written(film, stored, ModalityLUTSequence=[broken_lut()])
    with pytest.raises(InputError, match=r"film\.dcm: its LUT says 9 entries and has 2"):
        load_radiograph(film)
    written(film, stored, RescaleSlope="0", RescaleIntercept="0")
    with pytest.raises(InputError, match="Rescale Slope"):
        load_radiograph(film)


def test_a_window_that_shows_nothing_is_left_out(film: Path) -> None:
    stored = np.tile(np.arange(100, dtype=np.uint16), (10, 1))
    expected = pytest.approx(np.tile(np.arange(100) / 99, 10))
    for center, width in ((5000, 10), (-5000, 10), (97.5, 2)):
        written(film, stored, WindowCenter=str(center), WindowWidth=str(width))
        assert shown(film) == expected
        assert "voi-left-out" in notices(load_radiograph(film))
    written(film, stored, VOILUTSequence=[lut(np.array([0, 255]), bits=8)])
    assert "voi-left-out" in notices(load_radiograph(film))
    written(film, stored, WindowCenter="90", WindowWidth="10")  # 85 % are black: that is what its maker wanted
    assert "voi-left-out" not in notices(load_radiograph(film))
    assert shown(film)[84] == 0


def test_a_film_that_is_mostly_black_keeps_its_window(film: Path) -> None:
    """No other one shows more of it."""
    stored = np.zeros((50, 50), np.uint16)
    stored[:3, :20] = np.arange(1000, 1020)
    written(film, stored, WindowCenter="1010", WindowWidth="40", VOILUTFunction="LINEAR_EXACT")
    image = load_radiograph(film)
    assert "voi-left-out" not in notices(image)
    assert float(image.pixels[0, 0]) == pytest.approx(0.25)


def test_one_hot_pixel_does_not_rule_the_range(film: Path) -> None:
    stored = np.tile(np.arange(50, dtype=np.uint16), (50, 1))
    stored[0, 0] = 65535
    written(film, stored)
    image = load_radiograph(film)
    assert image.pixels[1].tolist() == pytest.approx((np.arange(50) / 49).tolist())
    assert "voi-missing" in notices(image)


def test_padding_counts_for_no_range(film: Path) -> None:
    stored = np.array([[-32768, 0, 50, 100]], np.int16)
    ds = film_of(stored)
    ds.add_new(0x00280120, "SS", -32768)
    save(ds, film)
    assert shown(film) == [0, 0, 0.5, 1]


def test_dirty_upper_bits_and_every_depth(film: Path) -> None:
    for bits in range(8, 17):
        top = (1 << bits) - 1
        stored = np.array([[0, top // 3, top]], np.uint16)
        dirty = stored | (0xFFFF << bits & 0xFFFF)
        written(film, dirty.astype(np.uint16), BitsStored=bits)
        assert shown(film) == pytest.approx([0, (top // 3) / top, 1])
        signed = np.array([[-(1 << bits - 1), 0, (1 << bits - 1) - 1]], np.int16)
        cut = (signed.view(np.uint16) & top).astype(np.uint16)
        written(film, cut, BitsStored=bits, PixelRepresentation=1)
        assert shown(film) == pytest.approx([0, (1 << bits - 1) / top, 1])
    written(film, np.array([[0, 51, 255, 102]], np.uint8))
    assert shown(film) == pytest.approx([0, 0.2, 1, 0.4])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
def test_bright_is_dense_and_turned_never_twice(film: Path, photometric: str, shape: str | None) -> None:
    more = {} if shape is None else {"PresentationLUTShape": shape}
    written(
        film, np.array([[0, 1, 4]], np.uint16), PhotometricInterpretation=photometric, WindowCenter="2",
        WindowWidth="4", VOILUTFunction="LINEAR_EXACT", **more,
    )  # fmt: skip
    is_turned = photometric == "MONOCHROME1" or shape == "INVERSE"
    assert shown(film) == ([1, 0.75, 0] if is_turned else [0, 0.25, 1])
    contradicts = (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}
    assert ("polarity-contradicts" in notices(load_radiograph(film))) == contradicts


def test_raw_counts_are_refused_or_marked(film: Path) -> None:
    stored = np.array([[0, 1, 2]], np.uint16)
    for attributes in (
        {"PresentationIntentType": "FOR PROCESSING"},
        {"sop_class": "1.2.840.10008.5.1.4.1.1.1.1.1", "Modality": "DX"},
    ):
        written(film, stored, **attributes)
        with pytest.raises(InputError, match=r"FOR PROCESSING.*Send the image FOR PRESENTATION.*raw=True"):
            load_radiograph(film)
        image = load_radiograph(film, raw=True)
        assert image.pixels.tolist() == [[0, 0.5, 1]]
        assert "for-processing" in notices(image)
    for sign, expected in ((1, [1, 0.5, 0]), (-1, [0, 0.5, 1])):
        written(film, stored, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationshipSign=sign)
        assert shown(film, raw=True) == expected


def test_a_film_of_one_value_is_black_and_says_so(film: Path) -> None:
    written(film, np.full((4, 4), 7, np.uint16), WindowCenter="7", WindowWidth="4")
    image = load_radiograph(film)
    assert not image.pixels.any()
    assert "film-of-one-value" in notices(image)


def test_it_is_what_data_sets_see(film: Path) -> None:
    written(film, RAMP, BitsStored=12, WindowCenter="2048", WindowWidth="4096")
    image = load_radiograph(film)
    assert isinstance(image, Radiograph)
    assert image.full_scale == 1.0
    assert image.pixels.dtype == np.dtype(np.float32)
    assert np.array_equal(read_image(film), image.pixels)


@pytest.mark.parametrize(
    ("code", "largest", "mean"),
    [
        ("UNC", 0, 0), ("RLE", 0, 0), ("JPLL", 0, 0), ("JLSL", 0, 0), ("J2KR", 0, 0),
        ("JLSN", 4.01, 1.2), ("J2KI", 9.01, 0.8), ("JPLY", 48.01, 1.3),
    ],
)  # fmt: skip
@pytest.mark.shared_data
def test_a_real_film_in_eight_encodings(shared_data: Path, code: str, largest: float, mean: float) -> None:
    """Lossless equal; near-lossless and lossy within steps of the 1023 that were measured once."""
    folder = shared_data / "nema_wg04_dicom"
    plain, image = load_radiograph(folder / "RG3_UNC.dcm"), load_radiograph(folder / f"RG3_{code}.dcm")
    steps = np.abs(image.pixels - plain.pixels) * 1023
    assert steps.max() <= largest
    assert steps.mean() <= mean
    assert (image.modality, image.view, image.laterality, image.spacing_mm) == ("CR", "AP", "R", None)
    assert ("lossy-compression" in notices(image)) == (largest > 0)
    # MONOCHROME1, looked at once: the shaft of the tibia is brighter than the calf beside it, air is black
    tibia, calf, air = (float(image.pixels[400:600, a:b].mean()) for a, b in ((880, 900), (650, 700), (500, 550)))
    assert 1 > tibia > calf + 0.1 > air + 0.2
    assert air < 0.15
