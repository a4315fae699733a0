from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.data import Measurement
from osteon.data.slide import TILE_CLASSES, Slide
from osteon.errors import OutputError
from osteon.labels import concept
from osteon.report import write_result
from osteon.report.run import validate_document
from osteon.systems.histology.detail import LEFT_OUT, LOOKS, NOT_READ, UNCLAIMED, SlideReading, rgb_of, shown_classes
from osteon.systems.histology.drawings import slide_picture, spread_cells
from osteon.systems.histology.files import TILE_COLUMNS, heat_map_picture, regions_document
from osteon.systems.histology.pictures import REPORT, SlideEntries
from tests.report_writing import content
from tests.systems.histology.slide_answer import ArraySlide, slide_pixels, slide_run, synthetic_answer, synthetic_map

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    return ArraySlide(slide_pixels(384, 512))


@pytest.fixture(scope="module")
def answer() -> Answer:
    return synthetic_answer()


@pytest.fixture(scope="module")
def reading(answer: Answer) -> SlideReading:
    return answer.detail_as(SlideReading)


@pytest.fixture(scope="module")
def folder(answer: Answer, slide: ArraySlide, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("slide")
    write_result(place, answer, slide, REPORT, run=slide_run())
    return place


def test_the_double_is_a_slide(slide: ArraySlide) -> None:
    assert isinstance(slide, Slide)


def test_every_file_is_there_and_valid(folder: Path) -> None:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == {
        "findings.json", "run.json", "report.html", "report.pdf", "heatmap.tif", "regions.geojson", "tiles.csv",
    }  # fmt: skip
    views = {path.stem for path in (folder / "views").iterdir()}
    assert views == {"overview", "necrosis", "gallery", "probabilities", "limits"}
    findings = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    validate_document(findings, kind="findings", entries=SlideEntries)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert run["slide_pixels"] == [384, 512]
    assert run["voxels"] is None
    assert {record["name"] for record in run["outputs"]} >= names - {"run.json"}
    assert run["warnings"] == ["6 tiles were flagged and left out."]


def test_cells_are_called_by_the_highest_probability_unless_flagged(reading: SlideReading) -> None:
    shown = shown_classes(reading)
    plan = reading.map.plan
    for row in range(plan.shape[0]):
        for column in range(plan.shape[1]):
            expected: int = NOT_READ
            if plan.is_tissue[row, column]:
                expected = int(np.argmax(reading.map.probability[row, column]))
                if any(flags[row, column] for flags in reading.map.flags.values()):
                    expected = LEFT_OUT
            assert shown[row, column] == expected
    ood = shown_classes(replace(reading, is_ood=True))
    assert set(np.unique(ood)) == {NOT_READ, LEFT_OUT, UNCLAIMED}


def test_the_table_has_every_cell_that_was_read(folder: Path, reading: SlideReading) -> None:
    with (folder / "tiles.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == TILE_COLUMNS
    plan, shown = reading.map.plan, shown_classes(reading)
    assert len(rows) == int(plan.is_tissue.sum())
    for row in rows:
        cell = int(row["row"]), int(row["column"])
        assert float(row["x_um"]) == (cell[1] + 0.5) * 512
        assert float(row["y_um"]) == (cell[0] + 0.5) * 512
        found = [float(row[f"p_{name}"]) for name in TILE_CLASSES]
        np.testing.assert_allclose(found, reading.map.probability[cell], atol=1e-6)
        assert row["predicted"] == TILE_CLASSES[int(np.argmax(found))]
        assert row["counted"] == str(int(shown[cell] >= 0))
    flagged = {(row["row"], row["column"]): row["flags"] for row in rows if row["flags"]}
    assert flagged[("3", "9")] == "blur"
    assert flagged[("9", "9")] == "ood"
    assert len(flagged) == 6


def _polygon_area(rings: list[list[list[float]]]) -> float:
    total = 0.0
    for ring in rings:
        assert ring[0] == ring[-1]
        total += sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2
    return total


@pytest.mark.parametrize("pixels", [(384, 512), (380, 509)], ids=["whole cells", "cut at the edge"])
def test_polygons_cover_exactly_the_cells_of_their_class(reading: SlideReading, pixels: tuple[int, int]) -> None:
    slide = ArraySlide(slide_pixels(*pixels))
    document: Any = regions_document(reading, slide)
    shown = shown_classes(reading)
    areas: dict[str, float] = {}
    cells: dict[str, float] = {}
    for feature in document["features"]:
        about = feature["properties"]
        assert about["objectType"] == "annotation"
        name = about["classification"]["name"]
        rings = feature["geometry"]["coordinates"]
        area = _polygon_area(rings)
        assert about["measurements"]["Area mm^2"] == pytest.approx(area * 0.016**2, abs=1e-6)
        areas[name] = areas.get(name, 0.0) + area
        cells[name] = cells.get(name, 0.0) + about["measurements"]["Tiles"]
        for x, y in (point for ring in rings for point in ring):
            assert 0 <= x <= pixels[1]
            assert 0 <= y <= pixels[0]
    size = 512 / 16
    for index, look in enumerate(LOOKS):
        expected = 0.0
        for row, column in np.argwhere(shown == index):
            height = min((row + 1) * size, pixels[0]) - row * size
            width = min((column + 1) * size, pixels[1]) - column * size
            expected += height * width
        assert areas[look.title] == pytest.approx(expected)
        assert cells[look.title] == (shown == index).sum()
    assert cells["Left out: out of focus"] == 4
    assert cells["Left out: pen mark"] == 1
    assert "Left out: fold" not in cells


def test_qupath_finds_colour_hole_and_a_lasting_identifier(reading: SlideReading, slide: ArraySlide) -> None:
    document: Any = regions_document(reading, slide)
    dead = [f for f in document["features"] if f["properties"]["classification"]["name"] == "Non-viable tumour"]
    assert any(len(feature["geometry"]["coordinates"]) > 1 for feature in dead)  # the hole stays
    colour = dead[0]["properties"]["classification"]
    assert tuple(colour["color"]) == rgb_of("#e3ab2f")
    packed = colour["colorRGB"] & 0xFFFFFFFF
    assert (packed >> 24, packed >> 16 & 255, packed >> 8 & 255, packed & 255) == (255, *rgb_of("#e3ab2f"))
    names = [feature["id"] for feature in document["features"]]
    assert len(set(names)) == len(names)
    again: Any = regions_document(synthetic_answer().detail_as(SlideReading), ArraySlide(slide_pixels(384, 512)))
    assert [feature["id"] for feature in again["features"]] == names


def test_the_heat_map_lies_over_the_slide(folder: Path, reading: SlideReading, slide: ArraySlide) -> None:
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(folder / "heatmap.tif") as overlay:  # as QuPath does
        micron = float(overlay.properties["openslide.mpp-x"]), float(overlay.properties["openslide.mpp-y"])
        columns, rows = overlay.dimensions
        corner = overlay.read_region((0, 0), 0, (1, 1)).getpixel((0, 0))
    assert micron == pytest.approx((16.0, 16.0), rel=1e-4)
    assert (rows * micron[1], columns * micron[0]) == pytest.approx((384 * 16, 512 * 16), rel=1e-3)
    assert corner[3] == 0
    picture, micron_written = heat_map_picture(reading, slide)
    assert micron_written == 16.0
    shown = shown_classes(reading)
    for row in range(12):
        for column in range(16):
            block = picture[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32].reshape(-1, 4)
            assert (block == block[0]).all()
            if shown[row, column] == NOT_READ:
                assert block[0, 3] == 0
            elif shown[row, column] >= 0:
                assert tuple(block[0, :3]) == rgb_of(LOOKS[shown[row, column]].colour)
                assert block[0, 3] >= 60


def test_the_surer_the_more_opaque(reading: SlideReading, slide: ArraySlide) -> None:
    picture, _ = heat_map_picture(reading, slide)
    cells = picture[::32, ::32, 3]
    viable = shown_classes(reading) == 2
    order = np.argsort(reading.map.probability[viable][:, 2])
    assert (np.diff(cells[viable][order].astype(int)) >= 0).all()


def test_the_numbers_of_findings_are_those_of_the_answer(
    answer: Answer, reading: SlideReading, slide: ArraySlide
) -> None:
    document: Any = content(answer, slide, slide_run())
    about = document["slide"]
    assert about["necrosis"]["fraction"] == pytest.approx(reading.necrosis.fraction, abs=1e-6)
    assert about["necrosis"]["interval"] == pytest.approx(reading.necrosis.interval, abs=1e-6)
    assert [item["area"]["value"] for item in about["classes"]] == pytest.approx(
        [reading.necrosis.area_mm2[name] for name in TILE_CLASSES], abs=1e-6
    )
    assert {item["area"]["unit"]["value"] for item in about["classes"]} == {"mm2"}
    assert about["grade"]["scope"] == "slide"
    assert about["grid"]["flags"] == {"blur": 4, "pen": 1, "fold": 0, "ood": 1}
    assert about["grid"]["tiles_left_out"] == 6
    assert document["models"][0]["sha256"] == "ab" * 32
    assert [notice["origin"] for notice in document["notices"]] == ["reading", "system"]
    first = about["gallery"]["certain"][0]
    assert first["probabilities"] == pytest.approx(reading.map.probability[reading.certain[0]], abs=1e-6)


def test_a_slide_unlike_training_claims_nothing(
    answer: Answer, reading: SlideReading, slide: ArraySlide, tmp_path: Path
) -> None:
    necrosis = replace(
        reading.necrosis, fraction=None, interval=None, area_mm2={"tissue": 30.0, "left_out": 30.0}, regions=0, tiles=0
    )
    ood = replace(reading, is_ood=True, grade=None, certain=(), uncertain=(), necrosis=necrosis)
    report = write_result(tmp_path, replace(answer, detail=ood), slide, REPORT, run=slide_run())
    assert set(report.pictures) == {"overview", "limits"}
    about: Any = report.findings["slide"]
    assert [item["tiles"] for item in about["classes"]] == [0, 0, 0]
    assert [item["area"] for item in about["classes"]] == [None] * 3
    assert about["necrosis"]["fraction"] is None
    document = json.loads((tmp_path / "regions.geojson").read_text(encoding="utf-8"))
    assert all(f["properties"]["classification"]["name"].startswith("Left out") for f in document["features"])
    with (tmp_path / "tiles.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["predicted"] for row in csv.DictReader(stream)} == {""}


def test_no_tissue_at_all_is_a_valid_result(
    answer: Answer, reading: SlideReading, slide: ArraySlide, tmp_path: Path
) -> None:
    plan = reading.map.plan
    nothing = replace(plan, is_tissue=np.zeros_like(plan.is_tissue), tissue_share=np.zeros_like(plan.tissue_share))
    slide_map = replace(
        reading.map, plan=nothing, probability=np.full_like(reading.map.probability, np.nan), ood=None, flags={}
    )
    necrosis = replace(reading.necrosis, fraction=None, interval=None, area_mm2={"tissue": 0.0}, regions=0, tiles=0)
    empty = replace(reading, map=slide_map, necrosis=necrosis, grade=None, certain=(), uncertain=())
    report = write_result(tmp_path, replace(answer, detail=empty, findings=()), slide, REPORT, run=slide_run())
    assert set(report.pictures) == {"overview", "limits"}
    assert json.loads((tmp_path / "regions.geojson").read_text(encoding="utf-8"))["features"] == []


def test_a_number_that_is_none_is_refused(answer: Answer, reading: SlideReading, slide: ArraySlide) -> None:
    broken = replace(answer, detail=replace(reading, necrosis=replace(reading.necrosis, fraction=float("nan"))))
    with pytest.raises(OutputError, match=r"necrosis\.fraction is nan"):
        content(broken, slide, slide_run())
    bad = Measurement(concept=concept("area"), value=float("inf"), unit=concept("unit_mm2"))
    finding = replace(answer.findings[0], measurements=(bad,))
    with pytest.raises(OutputError, match=r"findings\[0\]\.measurements\[0\]\.value is inf"):
        content(replace(answer, findings=(finding,)), slide, slide_run())


def test_the_picture_of_a_slide_has_its_extent_and_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osteon.systems.histology.drawings._LONGEST", 150)
    generator = np.random.default_rng(1)
    slide = ArraySlide(generator.integers(0, 256, (300, 450, 3)).astype(np.uint8), micron=0.5)
    picture = slide_picture(slide)
    assert picture.shape == (100, 150, 3)  # every third pixel
    blocks = slide.pixels.reshape(100, 3, 150, 3, 3).mean(axis=(1, 3))
    assert np.abs(picture.astype(float) - blocks).max() <= 1


def test_colours_lie_where_the_slide_has_the_cell() -> None:
    slide = ArraySlide(slide_pixels(380, 509))
    plan = synthetic_map().plan
    values = np.arange(12 * 16, dtype=np.float32).reshape(12, 16)
    spread = spread_cells(values, plan, slide, (190, 254))
    for row in range(0, 190, 7):
        for column in range(0, 254, 5):
            y, x = (row + 0.5) * 380 / 190, (column + 0.5) * 509 / 254
            assert spread[row, column] == values[int(y // 32), int(x // 32)]
