"""The pictures of a marked lesion: of every plane, without millimetres, and where the model may not speak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.data import Answer, Finding, HeatMap, Label, Mask, Region, RegionNovelty, SliceReading, SliceScores, Volume
from osteon.geometry import Box, Grid
from osteon.labels import concept
from osteon.report.views import draw_views

SHAPE = (3, 60, 90)
LESION, WINDOW = Box((1, 20, 30), (2, 30, 50)), Box((1, 5, 10), (2, 45, 70))
AXES: dict[str, list[tuple[float, ...]]] = {
    "axial": [(0, 0, 1), (0, 1, 0), (1, 0, 0)],
    "sagittal": [(-1, 0, 0), (0, 0, -1), (0, 1, 0)],
    "coronal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
    "oblique": [(0, 0, 1), (-0.6, 0.8, 0), (0.8, 0.6, 0)],
}


def case(axes: str = "sagittal", *, unlike: bool = False, value: float = 0.8) -> tuple[Answer, Volume]:
    """A bright box in noise, called malignant."""
    grid = Grid.from_axes(shape=SHAPE, spacing_mm=(4.0, 0.8, 0.5), directions=AXES[axes])
    array = np.random.default_rng(0).normal(300, 30, SHAPE).astype(np.int16)
    array[LESION.slices] += 400
    inside = np.zeros(SHAPE, np.uint8)
    inside[LESION.slices] = 1
    label = Label(1, "Lesion", concept("morphologically_abnormal"), concept("lesion"), None, None, (214, 39, 40), "1.2")
    run = ((1, 2),) if value >= 0.5 else ()
    probability = np.array([value], np.float32)
    scores = SliceScores(
        "lesion", np.array([1]), probability, probability, 0.5, () if unlike else run,
        withheld_runs=run if unlike else (), spread=np.array([0.1], np.float32), sets=("either",), error_rate=0.1,
    )  # fmt: skip
    novelty = RegionNovelty(3.0 if unlike else 1.0, 2.0, 2.0, 0.01)
    present = np.array([False, True, False])
    crop = np.random.default_rng(1).random((32, 32), dtype=np.float32)
    answer = Answer(
        task="mri_femur",
        headline="The lesion was called malignant.",
        findings=(Finding("lesion", "1.2", concept("lesion"), "Malignant.", box=LESION, segment=("lesion", 1)),),
        regions=(Region("lesion", WINDOW, present, novelty),),
        masks={"lesion": Mask(inside, grid, (label,), "lesion")},
        detail=SliceReading((scores,), (HeatMap("lesion", 1, crop, crop, (32.0, 30.0), bool(scores.runs)),)),
    )
    return answer, Volume(array, grid, "MR")


@pytest.mark.parametrize("axes", list(AXES))
def test_a_picture_of_every_plane(tmp_path: Path, axes: str) -> None:
    answer, volume = case(axes)
    views = {view.name: view for view in draw_views(answer, volume, tmp_path)}
    assert list(views) == ["overview", "scores", "heat_maps"]
    for view in views.values():
        image = cv2.imread(str(view.path))
        assert image is not None
        assert image.shape[:2] == (view.height, view.width)
    assert "found inside the drawn box" in views["overview"].caption
    assert "raised its score for malignant" in views["heat_maps"].caption


def test_what_a_person_drew_is_called_so(tmp_path: Path) -> None:
    answer, volume = case()
    drawn = replace(answer, masks={"lesion": replace(answer.masks["lesion"], is_drawn=True)})
    assert "as it was drawn" in draw_views(drawn, volume, tmp_path)[0].caption
    bare = replace(answer, masks={})
    assert "Blue line" not in draw_views(bare, volume, tmp_path)[0].caption


def test_a_picture_without_millimetres_has_neither_letters_nor_scale(tmp_path: Path) -> None:
    answer, volume = case("axial")
    with_mm = draw_views(answer, volume, tmp_path / "mm")
    without = draw_views(answer, replace(volume, grid=replace(volume.grid, unit="pixel")), tmp_path / "bare")
    assert "not known" in without[0].caption
    for place in (0, 2):
        known, bare = (cv2.imread(str(views[place].path)) for views in (with_mm, without))
        assert known is not None
        assert bare is not None
        assert not np.array_equal(known, bare)


def test_the_outline_lies_around_the_lesion(tmp_path: Path) -> None:
    """Blue pixels, of the enlarged part, enclose what is bright."""
    answer, volume = case("axial")
    image = cv2.imread(str(draw_views(answer, volume, tmp_path)[0].path))
    assert image is not None
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    right = np.argwhere((blue > red + 60) & (green > red + 30) & (np.arange(image.shape[1]) > image.shape[1] // 2))
    (top, left), (bottom, far) = right.min(axis=0), right.max(axis=0)
    # 10 rows of 0.8 mm and 20 columns of 0.5 mm
    assert (bottom - top) / (far - left) == pytest.approx(8 / 10, rel=0.05)
    inside = image[top + 8 : bottom - 8, left + 8 : far - 8]
    assert np.median(inside) > 150


@pytest.mark.parametrize("value", [0.03, 0.5, 0.98])
def test_a_word_that_is_withheld_is_not_drawn_as_one(tmp_path: Path, value: float) -> None:
    (answer, volume), (silent, _) = case(value=value), case(value=value, unlike=True)
    told = draw_views(answer, volume, tmp_path / "told")
    held = draw_views(silent, volume, tmp_path / "held")
    a, b = (cv2.imread(str(views[1].path)) for views in (told, held))
    assert a is not None
    assert b is not None
    assert not np.array_equal(a, b)
