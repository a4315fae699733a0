from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from osteon.data import SliceReading, named
from osteon.errors import OutputError
from osteon.geometry import Box
from osteon.report.orientation import Display
from osteon.report.sheet import Sheet
from osteon.report.slices import projection, regions_or_whole, telling_slices
from osteon.report.surfaces import surface_region
from tests.report_writing import drawn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run
    from osteon.report.blocks import Picture


@pytest.fixture(scope="module")
def views(answer: Answer, volume: Volume, run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Picture, ...]:
    return tuple(drawn(answer, volume, run, tmp_path_factory.mktemp("views")).values())


def test_all_pictures_are_there_and_as_large_as_said(views: tuple[Picture, ...]) -> None:
    assert [view.name for view in views] == ["overview", "slices", "scores", "bone_anterior", "bone_lateral"]
    for view in views:
        picture = cv2.imread(str(view.path))
        assert picture is not None
        assert picture.shape == (view.height, view.width, 3)
        assert picture.std() > 10
        assert view.caption.endswith(".")


def test_a_round_leg_is_round_in_the_picture(views: tuple[Picture, ...]) -> None:
    """Rows are 2 mm and columns 3 mm apart; soft tissue of 40 HU has grey value 76 in the bone window."""
    picture = cv2.imread(str(views[1].path))
    assert picture is not None
    leg = (np.abs(picture.astype(int) - 76).max(axis=2) <= 1)[:600, :500]
    rows, columns = np.nonzero(cv2.erode(leg.astype(np.uint8), np.ones((9, 9), np.uint8)))
    across, down = np.ptp(columns), np.ptp(rows)
    assert across > 150
    assert across / down == pytest.approx(1, abs=0.06)  # a column is a fourteenth of the leg


def test_a_panel_that_would_distort_is_refused() -> None:
    with pytest.raises(OutputError, match="distorts"):
        Sheet(100, 100).panel(0, 0, 50, 50, extent_mm=(10, 20))


def test_equal_answers_give_equal_files(
    answer: Answer, volume: Volume, run: Run, views: tuple[Picture, ...], tmp_path: Path
) -> None:
    again = tuple(drawn(replace(answer, surfaces={}), volume, run, tmp_path).values())
    for view, other in zip(views, again, strict=False):
        assert view.path.read_bytes() == other.path.read_bytes()


def test_a_demo_model_is_named_in_the_picture(
    answer: Answer, volume: Volume, run: Run, views: tuple[Picture, ...], tmp_path: Path
) -> None:
    honest = replace(answer, models=tuple(replace(model, is_demo=False) for model in answer.models))
    for view, other in zip(views, tuple(drawn(honest, volume, run, tmp_path).values()), strict=True):
        marked, plain = (cv2.imread(str(item.path)) for item in (view, other))
        assert marked is not None
        assert plain is not None
        changed = np.nonzero((marked != plain).any(axis=2))
        assert changed[0].max() < 60  # only the corner with the words differs
        assert changed[1].min() > view.width / 3


@pytest.mark.parametrize("regions", [0, 1])
def test_an_answer_without_scores_and_surfaces_has_two_pictures(
    bare: Answer, volume: Volume, run: Run, tmp_path: Path, regions: int
) -> None:
    views = tuple(drawn(replace(bare, regions=bare.regions[:regions]), volume, run, tmp_path).values())
    assert [view.name for view in views] == ["overview", "slices"]
    assert "demo" not in " ".join(view.caption for view in views)


@pytest.mark.parametrize(
    "directions",
    [
        np.array([(0.0, 0, -1), (0, 1, 0), (1, 0, 0)]),  # left-handed, head first
        np.array([(1.0, 0, 0), (0, 0, -1), (0, 1, 0)]),  # sagittal slices
        np.array([(0, -0.6, 0.8), (0, 0.8, 0.6), (1.0, 0, 0)]),  # oblique
    ],
)
def test_any_orientation_can_be_drawn(
    answer: Answer, turned: Callable[..., Volume], run: Run, tmp_path: Path, directions: np.ndarray
) -> None:
    volume = turned(directions)
    masks = named(replace(mask, grid=volume.grid) for mask in answer.masks.values())
    views = tuple(drawn(replace(answer, masks=masks), volume, run, tmp_path).values())
    assert len(views) == 5


def test_a_projection_is_the_mean_of_clipped_values_whatever_the_axis(volume: Volume) -> None:
    display = Display.of(volume.grid)
    box = Box(start=(3, 6, 4), stop=(20, 56, 38))
    slow = np.clip(display.turn(volume.array[box.slices]).astype(np.float64), -50, 1300) + 50
    for axis in range(3):
        np.testing.assert_allclose(projection(volume, display, box=box, axis=axis), slow.mean(axis=axis), rtol=1e-5)


def test_a_surface_belongs_to_the_leg_it_is_named_after_or_lies_nearest(answer: Answer, volume: Volume) -> None:
    wide = tuple(replace(region, box=Box(start=(0, 0, 0), stop=volume.grid.shape)) for region in answer.regions)
    right, left, box = answer.surfaces.values()
    assert [surface_region(item, wide, volume) for item in (right, left, box)] == ["right leg", "left leg", "left leg"]
    unnamed = replace(right, name="bone_1")
    assert surface_region(unnamed, answer.regions, volume) == "right leg"
    assert surface_region(unnamed, (), volume) is None


def test_the_highest_slices_are_shown_apart(answer: Answer, bare: Answer, volume: Volume) -> None:
    left, scores = answer.regions[1], answer.detail_as(SliceReading).scores
    chosen = telling_slices(scores, left)
    assert chosen == sorted(chosen)
    assert all(18 <= index < 26 for index in chosen)
    assert np.diff(chosen).min() >= 2
    assert telling_slices((), bare.regions[0]) == [7, 20, 33]
    assert regions_or_whole(replace(bare, regions=()), volume)[0].box.stop == volume.grid.shape
    nowhere = replace(left, name="elsewhere", present=np.zeros(40, dtype=np.bool_))
    assert telling_slices(scores, nowhere) == []


def test_a_folder_that_cannot_be_made_is_said(answer: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be made"):
        drawn(answer, volume, run, tmp_path / "file" / "views")
