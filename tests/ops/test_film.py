"""Field, markers and numbers of films that are drawn here, so that the answer is known; and of a real one."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from osteon.ops.film import collimated_field, film_quality, side_markers

FONTS = sorted((Path(mpl.__file__).parent / "mpl-data" / "fonts" / "ttf").glob("DejaVuSans*.ttf"))
PLAIN = [
    font for font in FONTS if font.stem in {"DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold"}
]


def limb(rows: int = 600, columns: int = 480) -> NDArray[np.float32]:
    """A tapered limb with a shaft on black air, and noise."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    half = 0.22 * columns + 0.06 * columns * np.sin(row / 90)
    inside = np.clip(1 - ((column - columns / 2) / half) ** 2, 0, None)
    bone = np.clip(1 - ((column - columns / 2) / (0.25 * half)) ** 2, 0, None)
    noise = np.random.default_rng(3).normal(0, 0.01, row.shape)
    return np.asarray(np.clip(0.05 + 0.4 * np.sqrt(inside) + 0.3 * np.sqrt(bone) + noise, 0, 1), dtype=np.float32)


def framed(
    angle_deg: float, value: float, *, half: tuple[float, float]
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """A limb in a turned rectangle around the middle, else the value; and the box around the rectangle."""
    film = limb()
    film = np.maximum(film, 0.1) if value == 0 else film
    row, column = np.mgrid[0 : film.shape[0], 0 : film.shape[1]] - np.array([300.0, 240.0])[:, None, None]
    turn = np.deg2rad(angle_deg)  # counter-clockwise as shown: rows run down
    along, down = column * np.cos(turn) - row * np.sin(turn), column * np.sin(turn) + row * np.cos(turn)
    inside = (np.abs(down) < half[0]) & (np.abs(along) < half[1])
    film[~inside] = value
    cos, sin = np.cos(turn), abs(np.sin(turn))
    reach = half[0] * cos + half[1] * sin, half[1] * cos + half[0] * sin
    return film, (300 - reach[0], 240 - reach[1], 300 + reach[0], 240 + reach[1])


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("angle_deg", [0, 3, -5])
@pytest.mark.parametrize("half", [(200, 150), (250, 80)])
def test_a_turned_field_is_found(value: float, angle_deg: float, half: tuple[float, float]) -> None:
    film, truth = framed(angle_deg, value, half=half)
    field = collimated_field(film)
    assert field is not None
    box = field.box
    assert np.abs(np.array([box.top, box.left, box.bottom, box.right]) - truth).max() <= 0.02 * 600
    assert field.angle_deg == pytest.approx(angle_deg, abs=1)
    assert (field.frame, field.sides) == ("white" if value else "black", 4)


def test_one_white_side_is_enough() -> None:
    film = limb()
    film[:, :60] = np.linspace(1, 0.9, 60)
    field = collimated_field(film)
    assert field is not None
    assert field.box.left == pytest.approx(60, abs=6)
    assert (field.box.top, field.box.bottom, field.box.right, field.sides) == (0, 600, 480, 1)


def test_no_field_where_there_is_none() -> None:
    gradient = np.tile(np.linspace(0, 1, 300, dtype=np.float32), (300, 1))
    straight = np.zeros((300, 300), np.float32)
    straight[:, 100:200] = 0.5  # a limb with straight sides on black air is no field
    noise = np.random.default_rng(1).random((300, 300)).astype(np.float32)
    for film in (limb(), gradient, straight, noise, np.zeros((300, 300), np.float32), np.ones((4, 3), np.float32)):
        assert collimated_field(film) is None


def drawn(letter: str, font: Path, size: int, angle_deg: float, *, mirrored: bool = False) -> NDArray[np.float32]:
    """A limb with a lead letter beside it."""
    plate = Image.new("L", (3 * size, 3 * size))
    face = ImageFont.truetype(str(font), size)
    ImageDraw.Draw(plate).text((1.5 * size, 1.5 * size), letter, 255, font=face, anchor="mm")
    ink = np.asarray(plate.rotate(angle_deg, resample=Image.Resampling.BICUBIC)).astype(np.float32) / 255
    film = limb(1024, 900)
    place = np.s_[420 : 420 + 3 * size, 890 - 3 * size : 890]
    film[place] = np.maximum(film[place], 0.95 * (ink[:, ::-1] if mirrored else ink))
    return film


@pytest.mark.parametrize("letter", ["L", "R"])
@pytest.mark.parametrize("font", PLAIN, ids=lambda font: font.stem)
def test_a_letter_is_read_upright_and_never_mirrored(letter: str, font: Path) -> None:
    read = 0
    for size, angle_deg in ((30, 0), (45, 5), (60, -5), (60, 8)):
        (marker,) = side_markers(drawn(letter, font, size, angle_deg))
        assert marker.letter in {letter, ""}
        read += marker.letter == letter
        assert 410 < marker.box.top < marker.box.bottom < 430 + 3 * size
        (mirrored,) = side_markers(drawn(letter, font, size, angle_deg, mirrored=True))
        assert mirrored.letter == ""
        (upside_down,) = side_markers(drawn(letter, font, size, 180 + angle_deg))
        assert upside_down.letter == ""
    assert read >= 3


def test_no_other_letter_is_called() -> None:
    for letter in "ABDEFHKPQ4":
        for font in PLAIN[:2]:
            assert {marker.letter for marker in side_markers(drawn(letter, font, 45, 0))} <= {""}, letter


def test_a_piece_of_a_white_plate_is_no_letter() -> None:
    film = drawn("L", PLAIN[0], 60, 0)
    (marker,) = side_markers(film)
    assert marker.letter == "L"
    box = marker.box
    film[box.top : box.bottom, box.right + 6 : box.right + 14] = 0.95  # as the other side of a dark letter
    assert all(one.letter == "" for one in side_markers(film))


def test_corners_bars_and_bone_are_no_markers() -> None:
    film = limb(1024, 900)
    assert side_markers(film) == ()
    film[-60:, :12] = film[-12:, :60] = 1.0  # an L that goes on to the border
    film[300:700, 880:890] = 1.0  # a wire
    assert side_markers(film) == ()


def test_numbers_of_a_film() -> None:
    film = limb()
    sharp, soft = film_quality(film), film_quality(cv2.GaussianBlur(film, (0, 0), 4))
    assert sharp.blur < soft.blur - 0.1
    assert not sharp.is_almost_empty
    assert 0 <= sharp.low < sharp.median < sharp.high <= 1
    film[:300] = 1.0
    film[300:360] = 0.0
    clipped = film_quality(film)
    assert [clipped.white_share, clipped.black_share] == pytest.approx([0.5, 0.1], abs=0.01)
    assert film_quality(np.full((90, 70), 0.3, np.float32)).is_almost_empty


@pytest.mark.shared_data
def test_a_real_film_with_a_mirrored_marker(shared_data: Path) -> None:
    from osteon.io.image import load_radiograph

    pixels = load_radiograph(shared_data / "nema_wg04_dicom" / "RG3_UNC.dcm").scaled()
    field = collimated_field(pixels)
    assert field is not None
    assert (field.frame, field.sides) == ("white", 2)  # its sides, read off the picture: columns 440 to 1255
    assert [field.box.left, field.box.right] == pytest.approx([445, 1250], abs=20)
    (marker,) = side_markers(pixels, field=field)  # the R of this film is mirrored
    assert marker.letter == ""
    assert [marker.box.top, marker.box.left] == pytest.approx([1389, 1150], abs=8)
