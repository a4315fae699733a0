"""Slides from file to result with the packaged model: synthetic, real, and what is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.app.cli.program import build
from osteon.app.cli.terminal import run_guarded
from osteon.systems.histology.detail import SlideReading
from osteon.systems.histology.options import Options
from osteon.systems.histology.read import answer as read_slide
from osteon_phantoms.slides.slide import PhantomSlide, make_slide
from osteon_phantoms.slides.spec import SlideSpec

if TYPE_CHECKING:
    from osteon.data import Answer

OPTIONS = Options(device="cpu")
TILES = "osteosarcoma_he_tiles"


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["osteon", *map(str, words)])
    return run_guarded(build())


def _findings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "findings.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def synthetic() -> PhantomSlide:
    """12 mm across, 70 % of the tumour dead, in patches wider than a tile; computed where it is read."""
    return make_slide(SlideSpec(seed=11, size=(24000, 24000), necrosis_fraction=0.7, region_um=2500))


@pytest.fixture(scope="module")
def answer(synthetic: PhantomSlide) -> Answer:
    return read_slide(synthetic, OPTIONS)


@pytest.mark.slow
def test_seventy_per_cent_necrosis_is_measured_within_the_interval(synthetic: PhantomSlide, answer: Answer) -> None:
    truth = synthetic.true_necrosis()
    assert truth.fraction == pytest.approx(0.7, abs=0.01)
    reading = answer.detail_as(SlideReading)
    necrosis = reading.necrosis
    assert not reading.is_ood
    assert necrosis.fraction is not None
    assert necrosis.interval is not None
    low, high = necrosis.interval
    assert low <= 0.7 <= high
    assert high - low < 0.5, "an interval that holds everything measures nothing"
    assert necrosis.fraction == pytest.approx(0.7, abs=0.15)


@pytest.mark.slow
def test_the_map_lies_over_the_slide(synthetic: PhantomSlide, answer: Answer) -> None:
    slide_map = answer.detail_as(SlideReading).map
    plan = slide_map.plan
    read = np.isfinite(slide_map.probability).all(axis=2)
    for name in slide_map.flags:
        read &= ~slide_map.flags[name]
    rows, columns = np.nonzero(read)
    scale = plan.step_um / synthetic.microns_per_pixel[0]
    true = synthetic.class_at(((rows + 0.5) * scale).astype(int), ((columns + 0.5) * scale).astype(int)).astype(int) - 1
    predicted = slide_map.probability[rows, columns].argmax(axis=1)
    inside = true >= 0  # the middle of a cell may be glass
    assert (predicted == true)[inside].mean() > 0.7
    assert not plan.is_tissue[plan.tissue_share < 0.2].any()


@pytest.mark.shared_data
def test_skin_is_read_and_nothing_is_claimed_of_it(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = next((shared_data / "wsi_small").rglob("*.svs"))
    assert (
        _run(monkeypatch, "read", slide, "-o", tmp_path / "r", "--device", "cpu", "--json", "-q", "--demo-on-patient")
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found == _findings(tmp_path / "r")
    assert "outside the model's training range" in found["headline"]
    assert [each["identifier"] for each in found["findings"]] == ["tissue"]
    # about half of the picture is skin, as a person outlines it
    (area,) = (each["value"] for each in found["findings"][0]["measurements"])
    assert area == pytest.approx(0.65, abs=0.15)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["Viable___Case-48-P5-C14", "Non-Viable-Tumor___Case-3-A12", "Non-Tumor___P9-B12"])
def test_a_real_tile_is_read(name: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tile = next(path for path in sorted((shared_data / TILES).iterdir()) if path.name.startswith(name))
    words = ("--task", "histology", "--microns", "1.0", "--device", "cpu", "-q", "--demo-on-patient")
    assert _run(monkeypatch, "read", tile, "-o", tmp_path / "r", *words) == 0
    found = _findings(tmp_path / "r")
    assert "outside the model's training range" not in found["headline"]
    tissue = next(each for each in found["findings"] if each["identifier"] == "tissue")
    assert 0.2 < tissue["measurements"][0]["value"] < 1.06


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["cat.bmp", "dragonfly.bmp", "sunflower.bmp"])
def test_of_a_photograph_nothing_is_claimed(
    name: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = shared_data / "weights_mobilenet" / name
    words = ("--task", "histology", "--microns", "4.0", "--device", "cpu", "-q", "--demo-on-patient")
    code = _run(monkeypatch, "read", photograph, "-o", tmp_path / "r", *words)
    if code == 0:
        found = _findings(tmp_path / "r")
        assert "outside the model's training range" in found["headline"]
        assert found["slide"]["necrosis"]["fraction"] is None
    else:
        assert code == 1
        assert "no tissue" in capsys.readouterr().err
        assert not (tmp_path / "r").exists()


def _empty(folder: Path) -> tuple[Path, str]:
    cv2.imwrite(str(folder / "empty.png"), np.full((600, 600, 3), 243, dtype=np.uint8))
    return folder / "empty.png", "no tissue was found"


def _small(folder: Path) -> tuple[Path, str]:
    cv2.imwrite(str(folder / "small.png"), np.full((200, 200, 3), (160, 110, 200), dtype=np.uint8))
    return folder / "small.png", "a tile is 1024 um"


def _nothing(folder: Path) -> tuple[Path, str]:
    (folder / "nothing.svs").write_bytes(b"")
    return folder / "nothing.svs", "empty"


def _missing(folder: Path) -> tuple[Path, str]:
    return folder / "missing.svs", "missing.svs"


def _torn(folder: Path) -> tuple[Path, str]:
    cv2.imwrite(str(folder / "whole.png"), np.full((600, 600, 3), (160, 110, 200), dtype=np.uint8))
    (folder / "torn.png").write_bytes((folder / "whole.png").read_bytes()[:100])
    return folder / "torn.png", "torn.png"


def _words(folder: Path) -> tuple[Path, str]:
    (folder / "words.tif").write_text("this is not a slide", encoding="utf-8")
    return folder / "words.tif", "words.tif"


@pytest.mark.parametrize("make", [_empty, _small, _nothing, _missing, _torn, _words])
def test_bad_input_is_one_line_and_leaves_nothing(
    make: Any,  # noqa: ANN401 - one of the functions above
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, expected = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    words = ("--task", "histology", "--microns", "2.0", "--device", "cpu", "-q", "--demo-on-patient")
    assert _run(monkeypatch, "read", path, "-o", tmp_path / "r", *words) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.strip().splitlines()) == 1
    assert expected in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_picture_without_microns_is_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = _empty(tmp_path)
    assert _run(monkeypatch, "read", path, "-o", tmp_path / "r", "--task", "histology", "-q") == 1
    assert "--microns" in capsys.readouterr().err
    assert _run(monkeypatch, "read", path, "-o", tmp_path / "r", "--task", "histology", "--microns", "-1") == 2
