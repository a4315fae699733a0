"""The histology study from a data set to its page: resumable, honest by patient, the printed values held to account."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, UnknownLabelError
from osteon.io.table import write_manifest
from osteon.study.start import StudyCall, start_study
from osteon.systems.histology.published import printed_accuracy, printed_findings, share_fits
from osteon.systems.histology.study import HistologyOptions, plan_histology
from osteon.systems.histology.study_baselines import tile_baselines
from osteon.systems.histology.study_run import open_histology
from osteon.train.tiles.settings import TileSettings

if TYPE_CHECKING:
    from osteon.study.start import StudyOutcome

COLOURS = ((230, 220, 240), (190, 120, 170), (90, 50, 140))
QUICK = ("rates=[0.01, 0.001]", "epochs=[4, 15]", "repeats=2", "choice_repeats=1", "pixels=64")


def make_tiles(folder: Path, *, people: int, each: int) -> Path:
    """Tiles whose mean colour is their class, written as a data set."""
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = []
    for number in range(people * each * 3):
        label, patient = number % 3, number // (3 * each)
        noise = random.normal(0, 12, (64, 64, 3))
        picture = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
        rows.append(ImageRow(image=f"{number}.png", patient=f"P{patient}", label=TILE_CLASSES[label]))
    write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiles(tmp_path_factory.mktemp("tiles") / "data", people=3, each=3)


@pytest.fixture(scope="module")
def done(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyOutcome]:
    folder = tmp_path_factory.mktemp("study") / "study"
    call = StudyCall(task="histology", dataset=dataset, folder=folder, only=("networks",), changes=QUICK)
    return folder, start_study(call)


def test_all_tables_are_there_with_their_warnings(done: tuple[Path, StudyOutcome]) -> None:
    folder, outcome = done
    assert not outcome.errors
    tables = {table.name: table for table in outcome.tables}
    assert set(tables) == {
        f"histology_{name}"
        for name in ("patients", "baselines", "results", "classes", "matrices", "augmentation", "grid", "printed")
    }
    for name, table in tables.items():
        assert (folder / f"{name}.md").exists()
        assert table.rows
    assert any(note.startswith("WARNING: divided by tile") for note in tables["histology_results"].notes)
    assert any(note.startswith("WARNING: as printed") for note in tables["histology_augmentation"].notes)
    assert any("Only 3 patients" in note for note in tables["histology_classes"].notes)
    assert not any(note.startswith("All ") for note in tables["histology_patients"].notes)
    divisions = {row[1] for row in tables["histology_results"].rows}
    assert divisions == {"by patient", "BY TILE"}
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Right without looking at tissue" in page
    assert page.count("data:image/png") == 3
    json.dumps(outcome.document())


def test_colours_that_are_the_class_are_learnt_by_patient(done: tuple[Path, StudyOutcome]) -> None:
    _, outcome = done
    records = next(table.records for table in outcome.tables if table.name == "histology_results")
    values = {(one["division"], one["measure"], one["classes"]): one["value"] for one in records}
    assert values["patient", "accuracy", ""] == 1.0
    assert values["patient", "recall", "non_viable+viable"] == 1.0


def test_what_is_done_is_not_done_again(done: tuple[Path, StudyOutcome], dataset: Path) -> None:
    folder, _ = done
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}
    call = StudyCall(task="histology", dataset=dataset, folder=folder, only=("networks",), changes=QUICK)
    with pytest.raises(InputError, match="--resume"):
        start_study(call)
    lost = folder / "runs" / "mobilenet_v2-none" / "patient-1.json"
    kept = lost.read_text()
    lost.unlink()
    assert open_histology(dataset, folder).done(open_histology(dataset, folder).runs[0], "patient") is None
    resumed = StudyCall(
        task="histology", dataset=dataset, folder=folder, only=("networks",), changes=QUICK, resume=True
    )
    start_study(resumed)
    assert lost.read_text() == kept
    after = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}
    assert [path for path in before if before[path] != after[path]] == [lost]
    other = StudyCall(
        task="histology", dataset=dataset, folder=folder, only=("networks",), changes=("pixels=96",), resume=True
    )
    with pytest.raises(InputError, match="other settings"):
        start_study(other)


def test_one_bad_tile_is_a_failed_row_and_not_the_end(dataset: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "data"
    shutil.copytree(dataset, spoilt)
    (spoilt / "4.png").write_bytes(b"no picture")
    call = StudyCall(
        task="histology", dataset=spoilt, folder=tmp_path / "s", only=("networks", "patient"), changes=QUICK
    )
    with pytest.raises(InputError, match=r"4\.png"):
        start_study(call)  # nothing could be judged: the page cannot be written without the tiles
    assert "4.png" in (tmp_path / "s" / "failures.json").read_text()


def test_labels_that_are_no_classes_are_refused(dataset: Path, tmp_path: Path) -> None:
    rows = tuple(
        ImageRow(image=f"{number}.png", patient="P", label="tumour" if number else "viable") for number in range(3)
    )
    shutil.copytree(dataset, tmp_path / "data")
    write_manifest(Manifest(tmp_path / "data", rows), tmp_path / "data" / "manifest.csv")
    call = StudyCall(task="histology", dataset=tmp_path / "data", folder=tmp_path / "s", changes=QUICK)
    with pytest.raises(UnknownLabelError, match="a tile is labelled"):
        start_study(call)


def test_the_plan_is_the_papers_grids() -> None:
    runs = plan_histology(HistologyOptions(pretrained="none"))
    assert len(runs) == 4 + 2 * 9
    assert len({run.name for run in runs}) == len(runs)
    assert {run.settings.rates for run in runs} == {(0.1, 0.01, 0.005, 0.001, 0.0005, 0.0001)}
    assert [run.settings.architecture for run in plan_histology(HistologyOptions(networks=("xception",)))] == [
        "xception_tiles"
    ]
    with pytest.raises(UnknownLabelError, match="no part"):
        plan_histology(HistologyOptions(only=("litteral",)))
    with pytest.raises(InputError, match="--network"):
        plan_histology(HistologyOptions(values={"architecture": "xception_tiles"}))
    with pytest.raises(InputError, match="--network"):
        plan_histology(HistologyOptions(values={"augmentation.flip": "true"}))


def test_stain_copies_and_the_base_may_be_told_for_all_rows() -> None:
    told = {"augmentation.stain": "0.4", "augmentation.copies": "2", "pretrained": "none"}
    runs = plan_histology(HistologyOptions(values=told))
    assert runs == plan_histology(HistologyOptions(values=told, pretrained="none"))
    assert len(runs) == 4 + 2 * 9
    for run in runs:
        drawn = run.settings.augmentation
        assert (drawn.stain, drawn.copies, run.settings.pretrained) == (0.4, 2, "none")
    assert runs[0].name == "mobilenet_v2-random-stain0.4-copies2"
    assert runs[1].name == "mobilenet_v2-random-rotation30-stain0.4-copies2"


def test_a_patient_known_is_a_class_known_where_they_go_together() -> None:
    labels, patients = np.repeat([0, 1, 2], 10), np.repeat(["a", "b", "c"], 10)
    colours = np.random.default_rng(0).normal(size=(30, 6))
    found = {
        (one.title.split(":")[0], one.unit): one.accuracy
        for one in tile_baselines(labels, patients, colours, None, TileSettings())
    }
    assert found["only whose tile it is", "tile"] == 1.0
    assert found["the commonest class of the training tiles", "patient"] == 0.0


def test_the_printed_values_do_not_fit_their_tiles() -> None:
    accuracy, recall = printed_findings()
    assert not accuracy.holds
    assert not recall.holds
    assert "93 right of 102" in recall.finding
    assert share_fits("0.9411", 102, cut=True) == 96
    assert share_fits("0.9411", 61, cut=True) is None
    assert printed_accuracy("mobilenet_v2_tiles", "rotation30-flip-zoom1.5") == "91.18"
    assert printed_accuracy("mobilenet_v2_tiles", "none") == ""
