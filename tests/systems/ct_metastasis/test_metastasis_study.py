"""The metastasis study on toy slices: planned, carried out, interrupted, killed; always the same numbers."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from osteon.app.cli.program import build
from osteon.app.cli.terminal import EXIT_OK, run_guarded
from osteon.data.options import Progress, silent
from osteon.errors import InputError, UnknownLabelError
from osteon.io.settings_file import parse_assignments
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.study.page import write_study
from osteon.study.plan import PlannedRun, StudyFolder, member_run, read_plan
from osteon.study.protocol import Choices
from osteon.study.run import StudyJobs, StudyOutcome, open_study, run_study, train_study
from osteon.systems.ct_metastasis.recipe import SEGMENTER
from osteon.systems.ct_metastasis.study import STUDY
from osteon.systems.ct_metastasis.study_rows import LITERAL, NESTED, plan_metastasis
from tests.train.toy_slices import toy_slices, write_toy_dataset

SETTINGS = ("image_size=32", "epochs=1", "batch=4", "threads=1", "members=3")
FEW = ("unet", LITERAL, "classify_vit_tiny")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine patients with two slices with a lesion and one without, in three folds."""
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "toy", patients=9, folds=3, normal_every=3)


def _run(dataset: Path, folder: Path, *only: str, resume: bool = False, progress: Progress = silent) -> StudyOutcome:
    choices = Choices(only=only, pretrained="none", values=parse_assignments(SETTINGS))
    jobs = StudyJobs(resume=resume)
    return run_study(STUDY, dataset, folder, choices, jobs=jobs, progress=progress)


def _numbers(folder: Path) -> list[list[str]]:
    """All measured numbers of the tables, without the notes."""
    rows = []
    for file in sorted(folder.glob("*.csv")):
        with file.open(encoding="utf-8") as text:
            rows += [row for row in csv.reader(text) if not row[0].startswith("#")]
    return rows


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    outcome = _run(dataset, folder, *FEW)
    assert outcome.errors == ()
    return folder


# -------------------------------------------------------------------------------------------------------------- plan


def test_the_whole_study_is_twelve_methods_and_nine_classifiers(dataset: Path) -> None:
    planned = plan_metastasis(Choices(pretrained="none"), read_manifest(dataset))
    segmenters = {run.name: run for run in planned if run.settings.objective == "segment"}
    classifiers = {run.name: run for run in planned if run.settings.objective == "classify"}
    assert len(segmenters) == 12
    assert len(classifiers) == 9
    assert segmenters["hybrid_attunetpp"].settings.outputs == ("lesion", "bone")
    assert segmenters["attunetpp_plain"].settings.architecture == "attunetpp_plain"
    assert (segmenters[NESTED].members, segmenters[NESTED].kind) == (5, "nested")
    assert segmenters[LITERAL].source == "hybrid_attunetpp"
    pairs = [run.phase for run in segmenters.values() if run.kind == "pair"]
    assert pairs == [0, 1, 2], "the first pair trains the bone networks that the others share"
    assert segmenters[LITERAL].phase == 3
    assert {run.settings.epochs for run in segmenters.values()} == {60}
    assert {run.scheme for run in classifiers.values()} == {"holdout"}
    schedules = {name: run.settings.schedule for name, run in classifiers.items()}
    assert schedules["classify_densenet201"] == "steps"
    assert schedules["classify_deit_small"] == "warm_steps"
    assert all(run.settings.loss == "focal" and run.settings.augments for run in classifiers.values())
    document = json.loads(json.dumps({"runs": [run.document() for run in planned]}))
    assert read_plan(document, STUDY.kinds) == planned


def test_parts_are_chosen_by_name_and_settings_reach_who_knows_them(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    values = {"image_size": "96", "rates": "0.002", "seed": 4}
    options = Choices(only=("segmentation",), values=values, classifier_values={"image_size": 128}, pretrained="none")
    chosen = plan_metastasis(options, manifest)
    assert len(chosen) == 12
    assert {(run.settings.image_size, run.settings.seed) for run in chosen} == {(96, 4)}
    options = Choices(only=("classification",), values=values, classifier_values={"image_size": 128}, pretrained="none")
    assert {(run.settings.image_size, run.settings.seed) for run in plan_metastasis(options, manifest)} == {(128, 4)}
    literal = plan_metastasis(Choices(only=(LITERAL,)), manifest)
    assert [run.name for run in literal] == ["hybrid_attunetpp", LITERAL]
    with pytest.raises(UnknownLabelError, match="no part 'unett'"):
        plan_metastasis(Choices(only=("unett",)), manifest)
    with pytest.raises(UnknownLabelError, match="no setting 'epoch'"):
        plan_metastasis(Choices(values={"epoch": 3}), manifest)
    with pytest.raises(InputError, match="--only"):
        plan_metastasis(Choices(values={"architecture": "unet"}), manifest)
    with pytest.raises(InputError, match="at least 3"):
        plan_metastasis(Choices(values={"members": 2}), manifest)


def test_what_the_data_do_not_allow_is_left_out_or_refused(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    lesions = manifest.select([n for n, row in enumerate(manifest.rows) if row.label == "metastasis"])
    planned = plan_metastasis(Choices(), lesions)
    assert len(planned) == 12, "the published set has no slice without a lesion"
    with pytest.raises(InputError, match=r"classification: .* another label"):
        plan_metastasis(Choices(only=("classification",)), lesions)
    without_masks, _ = toy_slices(patients=3, normal_every=3)
    assert len(plan_metastasis(Choices(pretrained="none"), without_masks)) == 9


# ------------------------------------------------------------------------------------------------------- carried out


def test_a_study_leaves_tables_a_page_and_pictures(whole: Path, dataset: Path) -> None:
    study = open_study(STUDY, dataset, whole)
    counts = study.counts
    assert set(counts) == {"unet", "hybrid_attunetpp", LITERAL}
    assert all(len(found) == 18 for found in counts.values()), "each image with a lesion once"
    text = (whole / "table4_1.md").read_text("utf-8")
    assert "| Unet | mean of 3 folds |" in text
    assert "| AttUnet | not run |" in text
    assert "LEAKS: in the literal ensemble" in text
    assert "SYNTHETIC" in text
    assert "18 images with a lesion of 9 patients; 3 folds by patient, nested" in text
    assert "epochs 1 (thesis: 60)" in text
    slices = (whole / "table5_1.md").read_text("utf-8")
    assert "| ViT Tiny | measured |" in slices
    assert "majority class" in slices
    assert "these began with random weights" in slices
    assert "LEAKS" not in slices
    page = (whole / "index.html").read_text("utf-8")
    assert "4 of 4 planned rows are complete." in page
    assert page.count("data:image/png") == len(list((whole / "figures").glob("*.png"))) == 9
    assert "LEAKS" in page
    assert (whole / "figures" / "examples.png").exists()
    holdout = study.place.splits["holdout"]
    assert not set(holdout.folds[0].test) & {*holdout.folds[0].train, *holdout.folds[0].validation}


def test_an_interrupted_study_goes_on_to_the_same_numbers(whole: Path, dataset: Path, tmp_path: Path) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("jobs", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(dataset, tmp_path / "study", *FEW, progress=stop)
    said: list[tuple[str, int, int]] = []
    _run(dataset, tmp_path / "study", *FEW, resume=True, progress=lambda *step: said.append(step))
    assert ("jobs", 0, 9) in said, "one of ten jobs was done"
    assert ("jobs", 9, 9) in said, "phases are reported as one whole"
    assert _numbers(tmp_path / "study") == _numbers(whole)


def test_folds_of_images_are_told_in_every_table(dataset: Path, tmp_path: Path) -> None:
    from osteon.curation.splits import make_split
    from osteon.io.split_file import write_split
    from tests.train.toy_slices import write_toy_dataset as write

    leaking = write(tmp_path / "toy", patients=9, folds=3)
    split = make_split(read_manifest(leaking), folds=3, unit="image")
    write_split(split, leaking / "splits.json")
    _run(leaking, tmp_path / "study", "unet")
    for name in ("table4_1", "table4_2", "table4_3", "table4_4"):
        assert split.warnings[0] in (tmp_path / "study" / f"{name}.md").read_text("utf-8")
    assert split.warnings[0].split(":")[0] in (tmp_path / "study" / "index.html").read_text("utf-8")


def test_a_nested_ensemble_is_scored_fold_by_fold_and_shows_its_members(dataset: Path, tmp_path: Path) -> None:
    settings = SEGMENTER.settings(
        {**dict(text.split("=") for text in SETTINGS[:-1]), "architecture": "hybrid_attunetpp_small"}
    )
    planned = PlannedRun(NESTED, "table4_1", settings, label="metastasis", kind="nested", members=3)
    folder = tmp_path / "study"
    study = train_study(STUDY, dataset, folder, (planned,))
    assert study.errors == ()
    counts = study.counts[NESTED]
    assert study.runs[0].pending == []
    assert sorted(set(counts.fold.tolist())) == [0, 1, 2]
    members = member_run(NESTED, study.place, 0)
    assert members is not None
    assert len(members.folds) == 3
    (folder / "runs" / NESTED / "fold-1.json").unlink()  # killed between the counts and the note of them
    assert open_study(STUDY, dataset, folder).runs[0].pending == [1]
    again = train_study(STUDY, dataset, folder, (planned,), jobs=StudyJobs(resume=True))
    assert (again.counts[NESTED].counts.table == counts.counts.table).all()
    write_study(STUDY, again)
    assert (folder / "figures" / "members.png").exists()
    assert "| EH-AttUnet++, nested | yes | yes | yes | mean of 3 folds |" in (folder / "table4_4.md").read_text("utf-8")
    assert "The nested ensemble has 3 members a fold (thesis: 5)." in (folder / "table4_1.md").read_text("utf-8")


def test_pairs_share_their_bone_network(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(dataset)
    place = StudyFolder(manifest=manifest, splits={"folds": read_split(dataset / "splits.json")}, folder=tmp_path)
    options = Choices(
        only=("unet_then_attunet", "unet_then_unetpp"),
        values=parse_assignments(SETTINGS),
    )
    for planned in plan_metastasis(options, manifest):
        planned.train("fold-1", place, silent)
        state = planned.state(place)
        assert state.pending == [0, 2]
        assert state.outcome is None, "only when every fold is done"
    assert len(list((tmp_path / "bone-networks").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_a_killed_study_goes_on_to_the_same_numbers(
    whole: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    words = ["--data", str(dataset), "-o", str(folder), "--pretrained", "none", "-q"]
    words += [word for name in FEW for word in ("--only", name)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["osteon", "study", "ct_metastasis", *words]
    running = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(folder.glob("runs/hybrid_attunetpp/fold-1/state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (folder / "index.html").exists()
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    assert run_guarded(build()) == EXIT_OK
    assert _numbers(folder) == _numbers(whole)
