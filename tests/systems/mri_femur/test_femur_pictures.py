"""The pictures of a marked lesion: in true proportions whatever the plane, and where the model may not speak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.data import Answer, Finding, HeatMap, Label, Mask, Region, RegionOod, SliceReading, SliceScores, Volume
from osteon.geometry import Box, Grid
from osteon.labels import concept
from osteon.report import Run
from osteon.report.orientation import Display
from osteon.systems.mri_femur.pictures import draw_marked_slice, draw_probability
from tests.report_writing import drawn, page_text, paper_text, write_both

SHAPE = (3, 60, 90)
LESION, WINDOW = Box((1, 20, 30), (2, 30, 50)), Box((1, 5, 10), (2, 45, 70))
AXES: dict[str, list[tuple[float, ...]]] = {
    "axial": [(0, 0, 1), (0, 1, 0), (1, 0, 0)],
    "sagittal": [(-1, 0, 0), (0, 0, -1), (0, 1, 0)],
    "coronal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
    "oblique": [(0, 0, 1), (-0.6, 0.8, 0), (0.8, 0.6, 0)],
}


def case(axes: str = "sagittal", *, is_ood: bool = False, value: float = 0.8) -> tuple[Answer, Volume]:
    """A bright box in noise, predicted malignant."""
    grid = Grid.from_axes(shape=SHAPE, spacing_mm=(4.0, 0.8, 0.5), directions=AXES[axes])
    array = np.random.default_rng(0).normal(300, 30, SHAPE).astype(np.int16)
    array[LESION.slices] += 400
    inside = np.zeros(SHAPE, np.uint8)
    inside[LESION.slices] = 1
    label = Label(1, "Lesion", concept("morphologically_abnormal"), concept("lesion"), None, None, (214, 39, 40), "1.2")
    run = ((1, 2),) if value >= 0.5 else ()
    probability = np.array([value], np.float32)
    scores = SliceScores(
        "lesion", np.array([1]), probability, probability, 0.5, () if is_ood else run,
        withheld_runs=run if is_ood else (), spread=np.array([0.1], np.float32), sets=("either",), error_rate=0.1,
    )  # fmt: skip
    ood = RegionOod(3.0 if is_ood else 1.0, 2.0, 2.0, 0.01)
    present = np.array([False, True, False])
    crop = np.random.default_rng(1).random((32, 32), dtype=np.float32)
    answer = Answer(
        task="mri_femur",
        headline="The lesion was predicted malignant.",
        findings=(Finding("lesion", "1.2", concept("lesion"), "Malignant.", box=LESION, segment=("lesion", 1)),),
        regions=(Region("lesion", WINDOW, present, ood),),
        masks={"lesion": Mask(inside, grid, (label,), "lesion")},
        detail=SliceReading((scores,), (HeatMap("lesion", 1, crop, crop, (32.0, 30.0), bool(scores.runs)),)),
    )
    return answer, Volume(array, grid, "MR")


def picture(path: Path) -> NDArray[np.int64]:
    """(row, column, RGB)."""
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image[..., ::-1], dtype=np.int64)


@pytest.mark.parametrize("axes", list(AXES))
def test_the_outline_lies_around_the_lesion_in_true_proportions(tmp_path: Path, axes: str) -> None:
    """Blue pixels, of the enlarged part, enclose what is bright, whichever way the plane is."""
    answer, volume = case(axes)
    drawn = draw_marked_slice(tmp_path / "overview.png", answer, volume)
    image = picture(drawn.path)
    assert image.shape[:2] == (drawn.height, drawn.width)
    red, green, blue = (image[..., channel] for channel in range(3))
    columns = np.arange(image.shape[1])
    right = np.argwhere((blue > red + 60) & (green > red + 30) & (columns > image.shape[1] // 2))
    (top, left), (bottom, far) = right.min(axis=0), right.max(axis=0)
    across, down = Display.of(volume.grid).extent_mm(LESION)
    assert {round(across), round(down)} == {8, 10}  # 10 rows of 0.8 mm and 20 columns of 0.5 mm
    assert (bottom - top) / (far - left) == pytest.approx(down / across, rel=0.05)
    assert np.median(image[top + 8 : bottom - 8, left + 8 : far - 8]) > 150


def test_the_caption_says_who_drew_the_outline_and_what_is_not_known(tmp_path: Path) -> None:
    answer, volume = case("axial")
    drawn = replace(answer, masks={"lesion": replace(answer.masks["lesion"], is_drawn=True)})
    captions = [draw_marked_slice(tmp_path / "a.png", one, volume).caption for one in (answer, drawn)]
    assert "found inside the drawn box" in captions[0]
    assert "as it was drawn" in captions[1]
    bare = replace(volume, grid=replace(volume.grid, unit="pixel"))
    assert "not known" in draw_marked_slice(tmp_path / "a.png", replace(answer, masks={}), bare).caption


@pytest.mark.parametrize(("value", "colour"), [(0.1, (0, 114, 178)), (0.45, (0, 114, 178)), (0.9, (213, 94, 0))])
def test_the_diamond_stands_at_the_probability_and_is_empty_where_no_word_is_given(
    tmp_path: Path, value: float, colour: tuple[int, int, int]
) -> None:
    """Ends of the line from what 0 and 1 draw: the middle of the diamond is at its share of the way between them."""

    def middle(probability: float, rgb: tuple[int, int, int], *, ood: bool = False) -> float | None:
        answer, _ = case(value=probability, is_ood=ood)
        scores = answer.detail_as(SliceReading).scores[0]
        image = picture(draw_probability(tmp_path / "scores.png", answer, scores).path)
        places = np.argwhere((np.abs(image - rgb) < 12).all(axis=2))
        return float(places[:, 1].mean()) if len(places) > 60 else None

    low, high, found = middle(0.0, (0, 114, 178)), middle(1.0, (213, 94, 0)), middle(value, colour)
    assert low is not None
    assert high is not None
    assert found == pytest.approx(low + value * (high - low), abs=2)
    assert middle(value, colour, ood=True) is None


def test_the_report_shows_all_three_and_lists_the_finding_once(tmp_path: Path) -> None:
    answer, volume = case()
    run = Run(task=answer.task)
    pictures = drawn(answer, volume, run, tmp_path / "views")
    assert list(pictures) == ["overview", "scores", "heat_maps"]
    assert "raised its score for malignant" in pictures["heat_maps"].caption
    write_both(answer, volume, run, tmp_path, pictures=pictures)
    for words in (page_text(tmp_path), paper_text(tmp_path)):
        assert words.count("Coded as Lesion") == 1
        assert "Diamond: the model's calibrated probability of malignant" in words
        assert "every slice" not in words.casefold()
