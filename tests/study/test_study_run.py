"""A study carried out on toy images: whole, interrupted, on Ray, with a run that fails; always the same numbers."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from osteon.app.cli.program import build
from osteon.app.cli.terminal import EXIT_OK, run_guarded
from osteon.curation.splits import make_split
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.settings_file import parse_assignments
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.report.blocks import Table
from osteon.study.protocol import Choices
from osteon.study.run import StudyJobs, StudyOutcome, open_study, run_study, train_study
from osteon.systems.ct_osteosarcoma.study import STUDY, plan_runs
from osteon.train.launch import Cluster

SETTINGS = ("image_size=32", "epochs=1", "threads=1", "batch=8", "learning_rate=1e-3", "final_rate=1e-4")


pytestmark = pytest.mark.usefixtures("loaded_once")


def _run(
    dataset: Path,
    folder: Path,
    *,
    resume: bool = False,
    ray: str = "",
    progress: Progress = silent,
    **changes: tuple[str, ...],
) -> StudyOutcome:
    choices = Choices(
        only=changes.get("only", ("CE", "baselines")),
        strategies=("ft",),
        networks=("densenet_small",),
        values=parse_assignments((*SETTINGS, *changes.get("changes", ()))),
        baseline_values=parse_assignments(changes.get("baseline_changes", ())),
    )
    jobs = StudyJobs(cluster=Cluster(ray) if ray else None, resume=resume)
    return run_study(STUDY, dataset, folder, choices, jobs=jobs, progress=progress)


def _numbers(folder: Path) -> list[list[str]]:
    """All measured numbers of the tables, without the notes."""
    rows = []
    for name in ("table1", "table3"):
        with (folder / f"{name}.csv").open(encoding="utf-8") as file:
            rows += [row for row in csv.reader(file) if not row[0].startswith("#")]
    return rows


@pytest.fixture(scope="module")
def dataset(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy images with two folds."""
    folder = tmp_path_factory.mktemp("data") / "toy"
    shutil.copytree(toy_dataset, folder)
    write_split(make_split(read_manifest(folder), folds=2), folder / "splits.json")
    return folder


@pytest.fixture(scope="module")
def whole(dataset: Path, loaded_once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    outcome = _run(dataset, folder)
    assert outcome.errors == ()
    return folder


def test_a_study_leaves_tables_a_page_and_runs(whole: Path, dataset: Path) -> None:
    rows = _numbers(whole)
    measured = [row for row in rows if row[1] == "baseline-densenet_small"]
    assert [row[2] for row in measured] == ["auc", "tpr", "tnr"]
    assert all(row[3] for row in measured)
    text = (whole / "table3.md").read_text("utf-8")
    assert "| CE | FT |" in text
    assert "majority class" in text
    assert "fields only" in text
    assert "Other than in the paper: image_size 32 (paper: 256)" in text
    assert "holdout" in text
    page = (whole / "index.html").read_text("utf-8")
    assert page.count("data:image/png") == 4
    assert "2 of 2 planned rows are complete." in page
    study = open_study(STUDY, dataset, whole)
    assert set(study.predictions) == {"baseline-densenet_small", "CE-ft"}
    assert all((whole / "runs" / name / "settings.json").exists() for name in study.predictions)


def test_a_study_of_other_pictures_is_not_gone_on_with(whole: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    picture = tmp_path / "data" / read_manifest(dataset).rows[0].image
    picture.write_bytes(picture.read_bytes() + b" ")
    with pytest.raises(InputError, match="trained on other pictures"):
        _run(tmp_path / "data", whole, resume=True)


def test_what_is_printed_is_the_tables_line_by_line(whole: Path, dataset: Path) -> None:
    outcome = _run(dataset, whole, resume=True)
    lines = outcome.lines()
    titles = [line for line in lines if line.startswith("### ")]
    assert [title.split()[1] for title in titles[:3]] == ["Table", "Table", "Table"]
    assert not any("\n" in line for line in lines)
    files = [whole / f"{table.name}.md" for table in outcome.tables if table.rows]
    assert "\n".join(lines) == "\n".join(file.read_text("utf-8") for file in files)
    empty = dataclasses.replace(outcome, tables=(Table("none", "Nothing", ("a",), ()),))
    assert empty.lines() == ()


def test_one_run_has_nothing_to_be_compared_with(dataset: Path, tmp_path: Path) -> None:
    study = tmp_path / "one"
    outcome = _run(dataset, study, only=("CE",))
    page = (study / "index.html").read_text("utf-8")
    assert "1 of 1 planned rows are complete." in page
    assert "there is nothing to compare" in page
    assert not any(line.startswith("### Comparisons") for line in outcome.lines())


def test_an_interrupted_study_goes_on_to_the_same_numbers(whole: Path, dataset: Path, tmp_path: Path) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("jobs", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(dataset, tmp_path / "study", progress=stop)
    with pytest.raises(InputError, match="--resume"):
        _run(dataset, tmp_path / "study")
    said: list[tuple[str, int, int]] = []
    _run(dataset, tmp_path / "study", resume=True, progress=lambda *step: said.append(step))
    assert ("jobs", 0, 3) in said, "one of four folds was done"
    assert _numbers(tmp_path / "study") == _numbers(whole)


def test_other_settings_or_data_are_refused(whole: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        _run(dataset, whole, resume=True, changes=("batch=4",))
    changed = tmp_path / "changed"
    shutil.copytree(dataset, changed)
    with (changed / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(InputError, match="run osteon split again"):
        _run(changed, tmp_path / "new")
    assert not (tmp_path / "new").exists(), "a folder with the wrong split could not be used any more"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OutputError, match="holds no study"):
        _run(dataset, tmp_path / "full")
    assert (tmp_path / "full" / "file").exists()


def test_a_run_that_fails_does_not_take_the_others_along(dataset: Path, tmp_path: Path) -> None:
    outcome = _run(dataset, tmp_path / "study", baseline_changes=("learning_rate=1e30",))
    assert len(outcome.errors) == 2
    assert all(error.startswith("baseline-densenet_small/fold-") for error in outcome.errors)
    rows = {row[1]: row for row in _numbers(tmp_path / "study")[1:] if row[2] == "auc"}
    assert not rows["baseline-densenet_small"][3]
    text = (tmp_path / "study" / "table1.md").read_text("utf-8")
    assert "| failed |" in text
    assert "FAILED: baseline-densenet_small/fold-0" in text
    assert "FT" in (tmp_path / "study" / "table3.md").read_text("utf-8")


@pytest.mark.slow
def test_on_ray_the_numbers_are_the_same(whole: Path, dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as TestCluster

    cluster: Any = TestCluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        _run(dataset, tmp_path / "study", ray=cluster.address)
    finally:
        cluster.shutdown()
    assert _numbers(tmp_path / "study") == _numbers(whole)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_a_killed_study_goes_on_to_the_same_numbers(
    whole: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    words = ["--data", str(dataset), "-o", str(folder), "--only", "CE", "--only", "baselines", "--strategy", "ft"]
    words += ["--network", "densenet_small", *(word for setting in SETTINGS for word in ("--set", setting)), "-q"]
    words = ["osteon", "study", "ct_osteosarcoma", *words]
    running = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(folder.glob("runs/*/fold-1/state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (folder / "index.html").exists()
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    assert run_guarded(build()) == EXIT_OK
    assert _numbers(folder) == _numbers(whole)


def test_jobs_may_be_given_directly(dataset: Path, tmp_path: Path) -> None:
    runs = plan_runs(Choices(only=("C",), strategies=("ft",), values=parse_assignments(SETTINGS)))
    study = train_study(STUDY, dataset, tmp_path / "study", runs)
    assert set(study.predictions) == {"C-ft"}
