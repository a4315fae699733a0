"""``osteon evaluate``: the folder it leaves, what the page says, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from osteon.app.cli.program import build
from osteon.errors import InputError, OutputError
from osteon.metrics.bootstrap import Resampling
from osteon.report.charts import draw_histogram
from osteon.report.evaluation import METRICS_NAME, REPORT_NAME, interval_text, key_table, write_evaluation
from osteon.study.evaluate import evaluate_into

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.run import RunData

FEW = Resampling(repeats=40)


@pytest.fixture(scope="module")
def evaluated(synthetic_run: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for row in synthetic_run.manifest.rows:
        path = synthetic_run.manifest.folder / row.image
        cv2.imwrite(str(path), np.random.default_rng(len(row.image)).integers(0, 255, (20, 24), dtype=np.uint8))
    out = tmp_path_factory.mktemp("evaluated") / "evaluation"
    found = evaluate_into(synthetic_run, out, resampling=FEW)
    assert found.folder == out
    assert json.loads((out / METRICS_NAME).read_text(encoding="utf-8")) == found.document
    return out


def test_every_picture_is_there(evaluated: Path) -> None:
    names = {path.name for path in (evaluated / "figures").iterdir()}
    assert names == {
        "roc_pr.png",
        "reliability.png",
        "decision.png",
        "histogram.png",
        "subgroups.png",
        "failures.png",
    }
    for name in names:
        picture = cv2.imread(str(evaluated / "figures" / name))
        assert picture is not None
        assert picture.std() > 5  # something was drawn


def test_the_page_says_what_the_metrics_say(evaluated: Path) -> None:
    page = (evaluated / REPORT_NAME).read_text(encoding="utf-8")
    document = json.loads((evaluated / METRICS_NAME).read_text(encoding="utf-8"))
    auc = document["levels"]["image"]["measures"]["auc"]["over_patients"]
    assert interval_text(auc) in page
    assert "SYNTHETIC" in page
    assert "default-src" in page  # loads and runs nothing
    assert page.count("data:image/png;base64") == 6
    assert document["worst"][0]["image"] in page


def test_the_same_input_gives_the_same_files(evaluated: Path, synthetic_run: RunData, tmp_path: Path) -> None:
    again = evaluate_into(synthetic_run, tmp_path / "again", resampling=FEW).folder
    for name in (METRICS_NAME, "figures/roc_pr.png", "figures/subgroups.png"):
        assert (again / name).read_bytes() == (evaluated / name).read_bytes()


def test_a_class_that_is_missing_leaves_gaps_not_errors(synthetic_run: RunData, tmp_path: Path) -> None:
    folds = []
    for fold in synthetic_run.run.folds:
        table = fold.predictions
        assert table is not None
        folds.append(replace(fold, table=table.where((table.part == "validation") | ~table.is_positive)))
    data = replace(synthetic_run, run=replace(synthetic_run.run, folds=tuple(folds)))
    found = evaluate_into(data, tmp_path / "gaps", resampling=FEW)
    assert found.document["levels"]["image"]["measures"]["auc"]["over_patients"]["value"] is None
    assert any("Not defined at image level" in warning for warning in found.document["warnings"])
    assert "not defined" in (found.folder / REPORT_NAME).read_text(encoding="utf-8")
    assert not (found.folder / "figures" / "roc_pr.png").exists()


@pytest.mark.parametrize(("most", "says"), [(60, False), (61, True)])
def test_a_histogram_says_when_its_axis_is_not_linear(tmp_path: Path, most: int, says: bool) -> None:
    histogram = {"edges": [0.0, 0.5, 1.0], "negative": [most, 1], "positive": [0, 3]}
    picture = draw_histogram(tmp_path / "histogram.png", {"curves": {"histogram": histogram}})
    assert ("logarithmic" in picture.caption) == says
    assert picture.path.exists()


def test_words_and_table(evaluated: Path) -> None:
    document = json.loads((evaluated / METRICS_NAME).read_text(encoding="utf-8"))
    table = key_table(document)
    assert table.columns[0] == "measure"
    assert len(table.rows) == 7
    assert interval_text({"mean": 0.5, "low": 0.4, "high": 0.6}) == "0.500 (0.400 to 0.600)"


def test_a_folder_that_cannot_be_made(evaluated: Path, tmp_path: Path) -> None:
    document = json.loads((evaluated / METRICS_NAME).read_text(encoding="utf-8"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="another folder"):
        write_evaluation(tmp_path / "file", document)


def test_the_command_on_a_trained_run(toy_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, dataset = toy_run
    words = ["evaluate", str(run), "--data", str(dataset), "-o", str(tmp_path / "e"), "--repeats", "30", "--by", "note"]
    done = CliRunner().invoke(build(), words)
    assert done.exit_code == 0, done.output
    assert "ROC AUC" in done.output
    assert (tmp_path / "e" / REPORT_NAME).exists()
    assert not (run / "evaluation").exists()
    told = CliRunner().invoke(build(), [*words, "--json"])
    assert json.loads(told.output)["run"]["folds_evaluated"] == [0, 1]


def test_the_command_refuses_what_is_not_a_run(toy_run: tuple[Path, Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(build(), ["evaluate", str(tmp_path), "--data", str(toy_run[1])])
    assert isinstance(done.exception, InputError)
    assert "is this the folder of a run" in str(done.exception)
