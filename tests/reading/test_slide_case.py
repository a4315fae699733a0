"""From a slide's file to a whole result folder, and from a bad one to one clear line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.data.system import Header
from osteon.errors import InputError, OutputError, UnknownLabelError
from osteon.io.slide.pyramid import write_pyramid
from osteon.reading import CaseOptions, CaseResult, read_case
from osteon.report.run import validate_document
from osteon.systems.histology import read as histology
from osteon.systems.histology.detail import SlideReading
from osteon.systems.histology.pictures import SlideEntries
from osteon.systems.registry import best_system, system
from tests.slide_doubles import PaintedSlide, write_tile_card

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.weights import ModelCard

FILES = {"findings.json", "run.json", "report.html", "report.pdf", "heatmap.tif", "regions.geojson", "tiles.csv"}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_tile_card(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal TIFF of painted tissue, 4 mm across."""
    squares = np.full((8, 8), "glass", dtype="U12")
    squares[1:7, 1:4], squares[1:7, 4:7] = "viable", "non_viable"
    path = tmp_path_factory.mktemp("slide") / "painted.tif"
    write_pyramid(path, PaintedSlide(squares, microns=4.0))
    return path


@pytest.fixture
def options(card: ModelCard) -> CaseOptions:
    return CaseOptions(options={"device": "cpu", "model": str(card.folder), "demo_on_patient": True})


@pytest.fixture(scope="module")
def case(slide: Path, card: ModelCard, tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    folder = tmp_path_factory.mktemp("result") / "result"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histology, "tile_flags", lambda *_, **__: ())  # paint has no structure, as if out of focus
        options = CaseOptions(options={"device": "cpu", "model": str(card.folder), "demo_on_patient": True})
        found = read_case(slide, folder, options=options)
    assert isinstance(found, CaseResult)
    return found


def _document(case: CaseResult, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((case.folder / name).read_text("utf-8"))
    return document


def test_the_folder_is_whole_and_valid(case: CaseResult) -> None:
    there = {path.name for path in case.folder.iterdir() if path.is_file()}
    assert there == FILES
    assert {path.name for path in (case.folder / "views").iterdir()} >= {"overview.png", "gallery.png"}
    findings, run = _document(case, "findings.json"), _document(case, "run.json")
    validate_document(findings, kind="findings", entries=SlideEntries)
    validate_document(run, kind="run")
    assert findings == case.findings
    assert not case.skipped
    assert not list(case.folder.parent.glob(".osteon-*"))


def test_the_documents_say_what_the_answer_says(case: CaseResult, slide: Path, card: ModelCard) -> None:
    findings, run = _document(case, "findings.json"), _document(case, "run.json")
    assert findings["headline"] == case.answer.headline
    assert findings["is_demo"]
    assert [each["identifier"] for each in findings["findings"]] == [each.identifier for each in case.answer.findings]
    assert [each["name"] for each in run["models"]] == [card.name]
    assert run["inputs"][0]["size_bytes"] == slide.stat().st_size
    assert run["configuration"]["tile_um"] == 1024.0
    assert {"load model", "find tissue", "read and classify tiles", "draw pictures"} <= set(run["runtime_seconds"])
    listed = (case.folder / "tiles.csv").read_text("utf-8").splitlines()
    assert len(listed) == 1 + int(case.answer.detail_as(SlideReading).map.plan.is_tissue.sum())


def test_an_earlier_result_is_kept(case: CaseResult, slide: Path, options: CaseOptions) -> None:
    before = (case.folder / "run.json").read_bytes()
    with pytest.raises(OutputError, match="already holds a result"):
        read_case(slide, case.folder, options=options)
    assert (case.folder / "run.json").read_bytes() == before


@pytest.mark.parametrize("step", ["opening the slide", "classifying tiles", "writing the result"])
def test_an_interruption_leaves_nothing(step: str, slide: Path, tmp_path: Path, options: CaseOptions) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if name == step and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_case(slide, tmp_path / "result", options=options, progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_tile_needs_a_task_and_microns(tmp_path: Path, options: CaseOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histology, "tile_flags", lambda *_, **__: ())
    tile = tmp_path / "tile.png"
    cv2.imwrite(str(tile), PaintedSlide(np.array([["viable"]]), square_um=1024, microns=4.0).read(0, 0, 0, 256, 256))
    named = CaseOptions(task="histology", options=options.options)
    with pytest.raises(InputError, match="--microns"):
        read_case(tile, tmp_path / "result", options=named)
    known = CaseOptions(task="histology", options=options.options, microns_per_pixel=4.0)
    found = read_case(tile, tmp_path / "result", options=known)
    assert isinstance(found, CaseResult)
    assert found.answer.detail_as(SlideReading).map.plan.shape == (1, 1)


def test_microns_go_with_slides_only(tmp_path: Path) -> None:
    (tmp_path / "leg.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="not a slide"):
        read_case(tmp_path / "leg.nii.gz", tmp_path / "r", options=CaseOptions(microns_per_pixel=1.0))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    for task in ("histology", None):
        with pytest.raises(InputError):
            read_case(tmp_path / "pipe.svs", tmp_path / "r", options=CaseOptions(task=task))


def test_a_wrong_model_is_told_before_the_slide_is_read(slide: Path, tmp_path: Path) -> None:
    options = CaseOptions(options={"model": "mobilenet_v2_tiles.demi"})
    with pytest.raises(UnknownLabelError, match="mobilenet_v2_tiles"):
        read_case(slide, tmp_path / "r", options=options)


def test_the_slide_is_not_overwritten_by_its_result(slide: Path, options: CaseOptions) -> None:
    with pytest.raises(OutputError):
        read_case(slide, slide.parent, options=options)
    assert slide.is_file()


def test_the_routes_know_each_other() -> None:
    assert best_system(Header(kind="slide")) is system("histology")
    with pytest.raises(UnknownLabelError, match="did you mean 'histology'"):
        system("histologi")
