"""From a slide to areas, necrosis and grade; what is left out, and what is not claimed."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import TILE_CLASSES
from osteon.errors import InputError
from osteon.metrics.conformal import ConformalThreshold
from osteon.metrics.necrosis import huvos_grade
from osteon.ops.stain import StainNormaliser
from osteon.ops.tile_plan import plan_tiles, slide_size_um, tile_view
from osteon.predict.predictor import Predictor
from osteon.systems.histology import read as histology
from osteon.systems.histology.detail import SlideReading
from osteon.systems.histology.options import Options
from osteon.systems.histology.read import answer, read_tiles
from osteon.weights import Limits, OutOfDistribution
from osteon.weights.card import CardFile
from osteon.weights.limits import TrainingSpace
from tests.slide_doubles import COLOURS, TILE, PaintedSlide, tile_card

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.predict.engines import Arrays, Batch

OPTIONS = Options()
CELL_MM2 = 0.512**2


def _density(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log((rgb + 1) / 256)


class _ByColour:
    """An engine that knows the paint: the class whose colour the middle of a tile is nearest to."""

    description = "by colour"
    device = "cpu"
    gives: tuple[str, ...] = ("logits", "features")

    def run(self, batches: Iterable[Batch]) -> Iterator[Arrays]:
        middle = slice(TILE // 4, 3 * TILE // 4)
        for tiles in (batch["image"] for batch in batches):
            seen = tiles[:, middle, middle].mean(axis=(1, 2)) if len(tiles) else np.empty((0, 3))
            known = np.array([COLOURS[name] for name in TILE_CLASSES], dtype=np.float64)
            distance = np.linalg.norm(seen[:, None] - known, axis=2)
            both = {"logits": -distance / 2, "layers": _density(seen)}
            yield {name: rows[:, None].astype(np.float32) for name, rows in both.items()}


def _limits() -> Limits:
    known = _density(np.array([COLOURS[name] for name in TILE_CLASSES], dtype=np.float64))
    centres = known.astype(np.float32)
    one = np.ones(3, dtype=np.float32)
    spaces = tuple(TrainingSpace(centre, one, np.eye(3, dtype=np.float32), one, 1.0, 0.1) for centre in centres)
    return Limits(
        OutOfDistribution("by colour", ((0.1,) * 3,), 2.0, 1.5, 0.25, 3, 3, 3, 3),
        (spaces,),
        ConformalThreshold(0.1, "lac", (0.9,) * 3, (3,) * 3, "draw", class_conditional=True, note=""),
    )


@pytest.fixture(scope="module")
def classifier() -> Predictor:
    """A model whose word on a painted slide is known; only its card is real."""
    card = tile_card(members=(CardFile("none.safetensors", "0" * 64, 1),))
    return Predictor(_ByColour(), name=card.name, inputs=card.inputs, output=card.output, card=card, limits=_limits())


@pytest.fixture(autouse=True)
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """A painted square has no structure, which is what a blurred tile looks like."""
    monkeypatch.setattr(histology, "tile_flags", lambda *_, **__: ())


def _squares(**parts: tuple[slice, slice]) -> NDArray[np.str_]:
    """16 x 16 squares of glass with rectangles on it."""
    squares = np.full((16, 16), "glass", dtype="U12")
    for name, place in parts.items():
        squares[place] = name
    return squares


def reading_of(answer: Answer) -> SlideReading:
    return answer.detail_as(SlideReading)


def _read(slide: PaintedSlide, classifier: Predictor, options: Options = OPTIONS) -> Answer:
    return answer(slide, options, classifier=classifier)


SEVENTY = {
    "viable": (slice(2, 14), slice(2, 5)),
    "non_viable": (slice(2, 14), slice(5, 12)),
    "non_tumour": (slice(2, 14), slice(12, 14)),
}


@pytest.fixture(scope="module")
def seventy(classifier: Predictor) -> Answer:
    """12 rows of tissue: 3 columns viable, 7 non-viable, 2 non-tumour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histology, "tile_flags", lambda *_, **__: ())
        return _read(PaintedSlide(_squares(**SEVENTY)), classifier, Options(after_chemotherapy=True))


def test_areas_and_fraction_are_those_of_the_paint(seventy: Answer) -> None:
    areas = reading_of(seventy).necrosis.area_mm2
    for name, cells in {"viable": 36, "non_viable": 84, "non_tumour": 24, "tissue": 144, "left_out": 0}.items():
        assert areas[name] == pytest.approx(cells * CELL_MM2, rel=0.03), name
    assert reading_of(seventy).necrosis.fraction == pytest.approx(0.7, abs=0.005)
    interval, grade = reading_of(seventy).necrosis.interval, reading_of(seventy).grade
    assert interval is not None
    low, high = interval
    assert low <= 0.7 <= high
    assert (reading_of(seventy).necrosis.regions, reading_of(seventy).necrosis.tiles) == (1, 120)
    assert grade is not None
    assert grade.grade == "II"
    assert not reading_of(seventy).is_ood


def test_the_map_is_the_paint(seventy: Answer) -> None:
    plan = reading_of(seventy).map.plan
    assert plan.shape == (16, 16)
    assert (plan.tile_um, plan.step_um, plan.pixels) == (1024.0, 512.0, TILE)
    expected = _squares(**SEVENTY)
    predicted = np.array(TILE_CLASSES)[np.nan_to_num(reading_of(seventy).map.probability).argmax(axis=2)]
    np.testing.assert_array_equal(plan.is_tissue, expected != "glass")
    np.testing.assert_array_equal(np.where(plan.is_tissue, predicted, "glass"), expected)
    assert np.isnan(reading_of(seventy).map.probability[~plan.is_tissue]).all()
    assert np.isfinite(reading_of(seventy).map.probability[plan.is_tissue]).all()


def test_the_words_say_what_the_numbers_say(seventy: Answer) -> None:
    assert seventy.headline.startswith("Necrosis: 70 % of the tumour")
    assert "Proposed Huvos grade, for this slide alone: II" in seventy.headline
    assert [each.identifier for each in seventy.findings] == ["necrosis", "viable-tumour", "non-tumour", "tissue"]
    fraction, area = seventy.findings[0].measurements
    assert (fraction.value, fraction.interval) == (
        reading_of(seventy).necrosis.fraction,
        reading_of(seventy).necrosis.interval,
    )
    assert (area.value, area.unit.value) == (reading_of(seventy).necrosis.area_mm2["non_viable"], "mm2")
    assert seventy.findings[0].kind.value == "6574001"
    assert [each.is_abnormal for each in seventy.findings] == [True, True, False, False]
    assert {each.code for each in seventy.notices} == {"grade-of-one-slide"}
    assert [each.name for each in seventy.models] == ["mobilenet_v2_tiles.random_test"]


def test_the_gallery_has_the_surest_of_each_class_and_the_least_sure(seventy: Answer) -> None:
    probability = reading_of(seventy).map.probability
    predicted = [int(probability[cell].argmax()) for cell in reading_of(seventy).certain]
    assert predicted == [0, 1, 2] * 6
    lowest = min(float(probability[cell].max()) for cell in reading_of(seventy).certain)
    assert all(float(probability[cell].max()) <= lowest for cell in reading_of(seventy).uncertain)
    highest = np.nanmax(probability, axis=2, initial=-1)
    assert float(probability[reading_of(seventy).uncertain[0]].max()) == highest[highest >= 0].min()


def test_reading_again_gives_the_same(seventy: Answer, classifier: Predictor) -> None:
    again = _read(PaintedSlide(_squares(**SEVENTY)), classifier)
    np.testing.assert_array_equal(reading_of(again).map.probability, reading_of(seventy).map.probability)
    assert reading_of(again).necrosis == reading_of(seventy).necrosis
    assert again.findings == seventy.findings
    assert (reading_of(again).certain, reading_of(again).uncertain) == (
        reading_of(seventy).certain,
        reading_of(seventy).uncertain,
    )


def test_flagged_tiles_are_left_out_and_counted(classifier: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def dark(tile: NDArray[np.uint8], **_: float) -> tuple[str, ...]:
        return ("pen",) if tile[24:40, 24:40].mean() < 140 else ()

    monkeypatch.setattr(histology, "tile_flags", dark)  # viable tumour is the darkest paint
    found = _read(PaintedSlide(_squares(**SEVENTY)), classifier)
    assert reading_of(found).necrosis.fraction == 1.0
    assert reading_of(found).necrosis.area_mm2["viable"] == 0
    assert reading_of(found).necrosis.area_mm2["left_out"] == pytest.approx(36 * CELL_MM2, rel=0.03)
    assert int(reading_of(found).map.flags["pen"].sum()) == 36
    notice = next(each for each in found.notices if each.code == "tiles-left-out")
    assert "36 of 144 tiles" in notice.text
    assert "36 under pen marks" in notice.text
    assert notice.level == "warning"
    assert not {
        reading_of(found).map.flags["pen"][cell] for cell in (*reading_of(found).certain, *reading_of(found).uncertain)
    } & {np.True_}


def test_nothing_is_said_where_no_tile_is_clean(classifier: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histology, "tile_flags", lambda *_, **__: ("blur",))
    found = _read(PaintedSlide(_squares(**SEVENTY)), classifier)
    assert found.headline.startswith("No assessment: none of the")
    assert reading_of(found).necrosis.fraction is None
    assert reading_of(found).grade is None
    assert (reading_of(found).certain, reading_of(found).uncertain) == ((), ())


def test_strange_tiles_are_left_out_but_do_not_silence_the_rest(classifier: Predictor) -> None:
    squares = _squares(**SEVENTY, strange=(slice(2, 14), slice(12, 14)))
    found = _read(PaintedSlide(squares), classifier)
    assert not reading_of(found).is_ood
    assert reading_of(found).necrosis.fraction == pytest.approx(0.7, abs=0.005)
    np.testing.assert_array_equal(reading_of(found).map.flags["ood"], squares == "strange")
    assert reading_of(found).map.ood is not None
    assert reading_of(found).map.ood_threshold == 2.0
    assert "24 out of distribution" in next(each.text for each in found.notices)


def test_nothing_is_claimed_of_a_slide_unlike_any(classifier: Predictor) -> None:
    squares = _squares(viable=(slice(2, 5), slice(2, 14)), strange=(slice(5, 14), slice(2, 14)))
    found = _read(PaintedSlide(squares), classifier)
    assert reading_of(found).is_ood
    assert "the slide is outside the model's training range (score" in found.headline
    assert (reading_of(found).necrosis.fraction, reading_of(found).necrosis.interval, reading_of(found).grade) == (
        None,
        None,
        None,
    )
    assert [each.identifier for each in found.findings] == ["tissue"]
    assert set(reading_of(found).necrosis.area_mm2) == {"tissue", "left_out"}
    assert [each.code for each in found.notices] == ["out-of-distribution"]


def test_a_person_may_ask_for_it_all_the_same(classifier: Predictor) -> None:
    squares = _squares(viable=(slice(2, 5), slice(2, 14)), strange=(slice(5, 14), slice(2, 14)))
    found = _read(PaintedSlide(squares), classifier, Options(report_ood=True))
    assert not reading_of(found).is_ood
    assert reading_of(found).necrosis.area_mm2["left_out"] == 0
    assert "ood" not in reading_of(found).map.flags
    notice = next(each for each in found.notices if each.code == "out-of-distribution")
    assert "because that was asked for" in notice.text


def test_a_model_that_does_not_know_its_limits_says_so(classifier: Predictor) -> None:
    simple = copy.copy(classifier)
    simple.limits = None
    found = _read(PaintedSlide(_squares(**SEVENTY)), simple)
    assert reading_of(found).map.ood is None
    assert "limits-unknown" in {each.code for each in found.notices}


def test_a_slide_without_tumour_has_neither_fraction_nor_grade(classifier: Predictor) -> None:
    found = _read(PaintedSlide(_squares(non_tumour=(slice(2, 14), slice(2, 14)))), classifier)
    assert "No tumour detected" in found.headline
    assert reading_of(found).necrosis.fraction is None
    assert reading_of(found).grade is None
    assert [each.identifier for each in found.findings] == ["non-tumour", "tissue"]


def test_in_a_picture_of_one_tile_any_tissue_will_do(classifier: Predictor) -> None:
    squares = np.full((8, 8), "glass", dtype="U12")
    squares[3:5, 3:5] = "viable"
    found = _read(PaintedSlide(squares, square_um=128, microns=4.0), classifier)
    assert reading_of(found).map.plan.shape == (1, 1)
    assert reading_of(found).necrosis.area_mm2["tissue"] == pytest.approx(0.256**2, rel=0.2)
    with pytest.raises(InputError, match="no tissue was found"):
        _read(PaintedSlide(np.full((1, 1), "glass"), square_um=1024, microns=4.0), classifier)


def test_a_grade_is_for_osteosarcoma_after_chemotherapy_and_for_two_neighbours_at_most(
    classifier: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histology, "tile_flags", lambda *_, **__: ())
    plain = _read(PaintedSlide(_squares(**SEVENTY)), classifier)
    assert "grade" not in plain.headline.lower()
    assert reading_of(plain).grade is None
    assert {each.code: each.level for each in plain.notices} == {"no-grade": "info"}
    apart = _squares()
    for number in range(9):
        row, column = 1 + 5 * (number // 3), 1 + 5 * (number % 3)
        apart[row : row + 4, column : column + 4] = "viable" if number in {2, 4} else "non_viable"
    wide = _read(PaintedSlide(apart), classifier, Options(after_chemotherapy=True))
    interval = reading_of(wide).necrosis.interval
    assert interval is not None
    assert len(huvos_grade(0.75, interval).possible) > 2
    assert reading_of(wide).grade is None
    assert "No Huvos grade proposed." in wide.headline


def test_a_demo_model_says_nothing_of_a_patient() -> None:
    found = answer(PaintedSlide(_squares(**SEVENTY)), Options(device="cpu"))
    assert found.headline.startswith("No assessment: only a demo model is installed. Tissue on the slide: 3")
    assert (found.status, found.models) == ("not_assessed", ())
    assert [each.identifier for each in found.findings] == ["tissue"]
    assert found.findings[0].measurements[0].value == pytest.approx(144 * CELL_MM2, rel=0.03)
    assert not np.isfinite(reading_of(found).map.probability).any()


def test_an_empty_slide_is_refused(classifier: Predictor) -> None:
    slide = PaintedSlide(_squares())
    with pytest.raises(InputError, match="no tissue was found"):
        _read(slide, classifier)
    forced = _read(slide, classifier, Options(force=True))
    assert int(reading_of(forced).map.plan.is_tissue.sum()) == 256


@pytest.mark.parametrize(
    ("side", "cells", "area_mm2"), [(1024, 1, 1.024**2), (700, 1, 0.7**2), (520, 1, 0.52**2), (1100, 9, 1.024**2)]
)
def test_a_picture_of_a_tile_is_one_cell(classifier: Predictor, side: int, cells: int, area_mm2: float) -> None:
    squares = np.full((1, 1), "viable", dtype="U12")
    found = _read(PaintedSlide(squares, square_um=side, microns=4.0), classifier)
    assert reading_of(found).map.plan.is_tissue.size == cells
    assert reading_of(found).necrosis.fraction == (None if cells == 1 else 0.0), "of one tile there is no share"
    assert found.status == "positive"
    assert reading_of(found).necrosis.area_mm2["viable"] == pytest.approx(area_mm2, rel=0.02)
    assert reading_of(found).necrosis.interval is None
    assert reading_of(found).grade is None, "a tile is not a ground for a grade"
    assert ("The tile is classified as viable tumour (probability" in found.headline) == (cells == 1)
    assert ("smaller-than-a-tile" in {each.code for each in found.notices}) == (side < 1024)


def test_what_is_too_small_or_too_coarse_is_refused(classifier: Predictor) -> None:
    squares = np.full((1, 1), "viable", dtype="U12")
    with pytest.raises(InputError, match=r"500 x 500 um; a tile is 1024 um"):
        _read(PaintedSlide(squares, square_um=500, microns=4.0), classifier)
    with pytest.raises(InputError, match=r"40 um a pixel; the model sees 16 um"):
        _read(PaintedSlide(np.full((16, 16), "viable"), square_um=520, microns=40.0), classifier)
    coarse = _read(PaintedSlide(np.full((8, 8), "viable"), square_um=500, microns=20.0), classifier)
    assert "coarse-pixels" in {each.code for each in coarse.notices}


def test_progress_counts_tiles(classifier: Predictor) -> None:
    told: list[tuple[str, int, int]] = []
    answer(PaintedSlide(_squares(**SEVENTY)), OPTIONS, classifier=classifier, progress=lambda *step: told.append(step))
    counted = [done for step, done, total in told if step == "classifying tiles" and total == 144]
    assert counted[0] == 0
    assert counted[-1] == 144
    assert counted == sorted(counted)


def test_an_interruption_leaves_no_thread(classifier: Predictor) -> None:
    def stop(step: str, done: int, total: int) -> None:
        if step == "classifying tiles" and done:
            raise KeyboardInterrupt

    slide = PaintedSlide(_squares(**SEVENTY), seconds=0.01)
    with pytest.raises(KeyboardInterrupt):
        answer(slide, OPTIONS, classifier=classifier, progress=stop)
    assert not [each for each in threading.enumerate() if each.name.startswith("osteon-tiles")]


@pytest.mark.parametrize("downsamples", [(1.0,), (1.0, 2.0, 4.0)])
@pytest.mark.parametrize("microns", [2.0, 3.7])
def test_every_tile_is_read_once_as_it_is_read_alone(downsamples: tuple[float, ...], microns: float) -> None:
    slide = PaintedSlide(_squares(**SEVENTY), microns=microns, downsamples=downsamples)
    is_tissue = np.random.default_rng(3).random((100, 100)) < 0.3
    size_um = slide_size_um(slide)
    plan = plan_tiles(size_um, is_tissue, (size_um[0] / 100, size_um[1] / 100), pixels=TILE, least_tissue=0.3)
    slide.reads.clear()
    blocks = list(read_tiles(slide, plan, evaluate=lambda tile: ("fold",) if tile.mean() < 150 else (), threads=3))
    pixels = sum(rows * columns for _, rows, columns in slide.reads)
    seen = [cell for block in blocks for cell in block.cells]
    assert sorted(seen) == [(int(row), int(column)) for row, column in np.argwhere(plan.is_tissue)]
    for block in blocks:
        for cell, tile, is_dark in zip(block.cells, block.tiles, block.flags["fold"], strict=True):
            difference = tile.astype(float) - tile_view(slide, plan, cell)
            assert np.abs(difference).mean() < 6, "a place may be rounded by half a pixel, which moves the grain"
            assert abs(difference.mean()) < 1.5
            assert is_dark == (tile.mean() < 150)
    alone = sum(rows * columns for _, rows, columns in slide.reads) - pixels
    assert pixels < 0.75 * alone, "neighbours share what is read"
    assert max(len(block.cells) for block in blocks) <= 64


def test_few_blocks_are_held_however_large_the_slide() -> None:
    slide = PaintedSlide(np.full((48, 48), "viable"), microns=16.0)
    size_um = slide_size_um(slide)
    plan = plan_tiles(size_um, np.ones((48, 48), dtype=bool), 512.0, pixels=TILE)
    blocks = read_tiles(slide, plan, evaluate=lambda _: (), threads=2)
    next(blocks)
    assert len(slide.reads) <= 5
    blocks.close()


def test_a_damaged_place_stops_the_reading(classifier: Predictor) -> None:
    slide = PaintedSlide(_squares(**SEVENTY))
    whole = slide.read

    def damaged(level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        if row > 400:
            raise InputError("the slide is damaged at row 400")
        return whole(level, row, column, rows, columns)

    plan = plan_tiles(slide_size_um(slide), np.ones((16, 16), dtype=bool), 512.0, pixels=TILE)
    slide.read = damaged  # type: ignore[method-assign]
    with pytest.raises(InputError, match="damaged at row 400"):
        list(read_tiles(slide, plan, evaluate=lambda _: (), threads=2))


def test_the_stain_of_a_slide_is_measured_once(classifier: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    whole = StainNormaliser.of_slide

    def counted(self: StainNormaliser, tiles: list[NDArray[np.uint8]]) -> object:
        measured.append(len(tiles))
        return whole(self, tiles)

    monkeypatch.setattr(StainNormaliser, "of_slide", counted)
    changed = copy.copy(classifier)
    changed.card = tile_card(members=(CardFile("none.safetensors", "0" * 64, 1),), stain="reinhard")
    found = _read(PaintedSlide(_squares(**SEVENTY)), changed)
    assert measured == [32]
    assert found.configuration["stain"] == "reinhard"
