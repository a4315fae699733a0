"""The histology study from a data set to its page: resumable, honest by patient, published values held to account."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, UnknownLabelError
from osteon.io.settings_file import parse_assignments
from osteon.io.table import write_manifest
from osteon.study.protocol import Choices
from osteon.study.published import read_published
from osteon.study.run import StudyJobs, StudyOutcome, open_study, run_study
from osteon.systems.histology.recipe import RECIPE
from osteon.systems.histology.study import STUDY, plan_histology
from osteon.systems.histology.study_folds import tile_baselines

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


def run(data: Path, folder: Path, *only: str, changes: tuple[str, ...] = QUICK, resume: bool = False) -> StudyOutcome:
    choices = Choices(only=only or ("networks",), values=parse_assignments(changes))
    return run_study(STUDY, data, folder, choices, jobs=StudyJobs(resume=resume))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiles(tmp_path_factory.mktemp("tiles") / "data", people=3, each=3)


@pytest.fixture(scope="module")
def done(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyOutcome]:
    folder = tmp_path_factory.mktemp("study") / "study"
    return folder, run(dataset, folder)


def test_all_tables_are_there_with_their_warnings(done: tuple[Path, StudyOutcome]) -> None:
    folder, outcome = done
    assert not outcome.errors
    tables = {table.name: table for table in outcome.tables}
    assert set(tables) == {
        f"histology_{name}"
        for name in ("patients", "baselines", "results", "classes", "matrices", "augmentation", "grid", "published")
    }
    for name, table in tables.items():
        assert (folder / f"{name}.md").exists()
        assert table.rows
    assert any(note.startswith("WARNING: divided by tile") for note in tables["histology_results"].notes)
    assert any(note.startswith("WARNING: as published") for note in tables["histology_augmentation"].notes)
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
    with pytest.raises(InputError, match="--resume"):
        run(dataset, folder)
    lost = folder / "runs" / "mobilenet_v2-none" / "patient-1.json"
    kept = lost.read_text()
    lost.unlink()
    assert len(open_study(STUDY, dataset, folder).runs[0].pending) == 1
    run(dataset, folder, resume=True)
    assert lost.read_text() == kept
    after = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}
    assert [path for path in before if before[path] != after[path]] == [lost]
    with pytest.raises(InputError, match="other settings"):
        run(dataset, folder, changes=("pixels=96",), resume=True)
    with pytest.raises(InputError, match="other folds or another seed"):
        run(dataset, folder, "augmentation", changes=(*QUICK, "seed=5"), resume=True)


def test_one_bad_tile_is_a_failed_row_and_not_the_end(dataset: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "data"
    shutil.copytree(dataset, spoilt)
    (spoilt / "4.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"4\.png"):
        run(spoilt, tmp_path / "s", "networks", "patient")  # without the tiles the page cannot be written
    failures = json.loads((tmp_path / "s" / "failures.json").read_text())
    assert list(failures) == ["mobilenet_v2-none/features"], "folds of a row without features are not begun"
    assert "4.png" in failures["mobilenet_v2-none/features"]


def test_labels_that_are_no_classes_are_refused(dataset: Path, tmp_path: Path) -> None:
    rows = tuple(
        ImageRow(image=f"{number}.png", patient="P", label="tumour" if number else "viable") for number in range(3)
    )
    shutil.copytree(dataset, tmp_path / "data")
    write_manifest(Manifest(tmp_path / "data", rows), tmp_path / "data" / "manifest.csv")
    with pytest.raises(UnknownLabelError, match="a tile is labelled"):
        run(tmp_path / "data", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_plan_is_the_papers_grids() -> None:
    runs = plan_histology(Choices(pretrained="none"))
    assert len(runs) == 4 + 2 * 9
    assert len({run.name for run in runs}) == len(runs)
    assert {run.settings.rates for run in runs} == {(0.1, 0.01, 0.005, 0.001, 0.0005, 0.0001)}
    assert [run.settings.architecture for run in plan_histology(Choices(networks=("xception",)))] == ["xception_tiles"]
    with pytest.raises(UnknownLabelError, match="no part"):
        plan_histology(Choices(only=("litteral",)))
    with pytest.raises(InputError, match="--network"):
        plan_histology(Choices(values={"architecture": "xception_tiles"}))
    with pytest.raises(InputError, match="--network"):
        plan_histology(Choices(values={"augmentation.flip": "true"}))


def test_stain_copies_and_the_base_may_be_told_for_all_rows() -> None:
    told = {"augmentation.stain": "0.4", "augmentation.copies": "2", "pretrained": "none"}
    runs = plan_histology(Choices(values=told))
    assert runs == plan_histology(Choices(values=told, pretrained="none"))
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
        for one in tile_baselines(labels, patients, colours, None, RECIPE.settings())
    }
    assert found["only whose tile it is", "tile"] == 1.0
    assert found["the commonest class of the training tiles", "patient"] == 0.0


def share_fits(text: str, whole: int, *, cut: bool = False) -> int | None:
    """Which count of a whole gives a published share, rounded as published (or cut off); None where none does."""
    unit, value = 10 ** -len(text.partition(".")[2]), float(text)
    for count in range(whole + 1):
        share = count / whole
        if (value <= share + 1e-12 < value + unit) if cut else abs(share - value) <= unit / 2 + 1e-12:
            return count
    return None


def test_the_published_values_do_not_fit_their_tiles() -> None:
    published = read_published("osteon.systems.histology")
    accuracy, recall = published.checks[0].rows
    assert (accuracy[1], recall[1]) == ("no", "no")
    facts, best = published.facts, published.facts["best"]
    total = sum(facts["tiles"].values())
    evaluated = round(total * facts["validation_share"])
    share = f"{float(best['accuracy']) / 100:.4f}"
    assert share_fits(share, evaluated) is None
    near = [size for size in range(evaluated - 14, evaluated + 15) if share_fits(share, size) is not None]
    assert near == [102]
    assert accuracy[2].startswith(f"No count of {evaluated} tiles gives it; of sizes near a tenth {near[0]} does.")
    tumours = round(evaluated * (1 - facts["tiles"]["non_tumour"] / total))
    missed, text = best["false_negatives"], best["tumour_recall"]
    needed = [size for size in range(missed, 4 * evaluated) if share_fits(text, size, cut=True) == size - missed]
    assert recall[2].startswith(
        f"{missed} missed and that recall need {', '.join(map(str, needed))} tumour tiles; a tenth of the set has "
        f"about {tumours}. 102 tiles in all fit both: {share_fits(share, 102)} right of 102, and "
        f"{share_fits(text, 102, cut=True)} of 102 with tumour and none distinguished"
    )
    assert "93 right of 102" in recall[2]
    assert share_fits(text, tumours, cut=True) is None
    rows = published.tables["accuracy"]
    assert rows["mobilenet_v2_tiles rotation30-flip-zoom1.5"].values["accuracy"] == best["accuracy"] == "91.18"
    assert "mobilenet_v2_tiles none" not in rows
