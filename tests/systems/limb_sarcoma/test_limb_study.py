"""The study trains, scores by patient, goes on where it was, and shows what is done beside the blind masks."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.data import Manifest
from osteon.errors import InputError, UnknownLabelError
from osteon.io.image import write_png8
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest, write_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.study.page import write_study
from osteon.study.protocol import Choices
from osteon.study.run import StudyJobs, open_study, train_study
from osteon.systems.limb_sarcoma.study import NETWORKS, STUDY, limb_scores, plan_limbs
from tests.systems.limb_sarcoma.toy_limbs import PATIENTS, SIZE, Limbs

VALUES = {
    "image_size": str(SIZE),
    "crop": "0",
    "epochs": "2",
    "batch": "4",
    "threads": "1",
    "device": "cpu",
    "rates": "0.003",
}
CHOICES = Choices(only=("unet_small",), values=VALUES)


@pytest.fixture(scope="module")
def dataset(limbs: Limbs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest, pixels, split = limbs
    folder = tmp_path_factory.mktemp("limbs")
    rows = []
    for index, row in enumerate(manifest.rows):
        names = {"image": f"images/{row.image}", "lesion_mask": f"masks/{row.image}"}
        for name, plane in zip(names.values(), (pixels.values[index], pixels.masks["lesion"][index]), strict=True):
            (folder / name).parent.mkdir(exist_ok=True)
            write_png8(folder / name, plane)
        rows.append(
            replace(
                row,
                image=names["image"],
                lesion_mask=names["lesion_mask"],
                extra={**row.extra, "view": "0.25 0.875 0.125 1"},
            )
        )
    written = write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    write_split(replace(split, manifest_sha256=written.sha256), folder / "splits.json")
    return folder


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "study"
    study = train_study(STUDY, dataset, folder, plan_limbs(CHOICES, read_manifest(dataset)))
    assert study.errors == ()
    write_study(STUDY, study, resampling=Resampling(repeats=200))
    return folder


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a table of a study, whose notes stand below them."""
    return list(csv.DictReader(line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")))


def test_every_patient_is_scored_once_by_every_method(whole: Path) -> None:
    patients = table(whole / "patients-mr.csv")
    assert [row["patient"] for row in patients] == [f"p{number}" for number in range(PATIENTS)]
    medians = {(row["method"], row["measure"]): row for row in table(whole / "outlines-mr.csv")}
    for method in ("ellipsoid", "mean mask", "unet_small"):
        dice = [float(row[method]) for row in patients]
        assert float(medians[method, "dice"]["median"]) == pytest.approx(np.median(dice))
        assert int(medians[method, "dice"]["patients"]) == PATIENTS
    gains = {row["reference"]: row for row in table(whole / "gains-mr.csv")}
    wanted = np.median([float(row["unet_small"]) - float(row["ellipsoid"]) for row in patients])
    assert float(gains["ellipsoid"]["gain"]) == pytest.approx(wanted)
    assert set(gains) == {"ellipsoid", "mean mask"}


def test_the_page_says_what_is_there_and_what_is_not(whole: Path) -> None:
    page = (whole / "index.html").read_text("utf-8")
    assert f"1 of {len(NETWORKS)} planned rows are complete" in page
    shown = (whole / "outlines-mr.md").read_text("utf-8")
    assert "| U-Net, small | 6 of 6 |" in shown
    assert "| UNet++ | not run |" in shown
    assert "| blind: ellipsoid | 6 of 6 |" in shown
    assert "never look at the image" in shown
    assert "3 folds by patient, nested" in shown


def test_scores_are_kept_and_a_study_goes_on(whole: Path, dataset: Path) -> None:
    study = open_study(STUDY, dataset, whole)
    kept = whole / "runs" / "unet_small" / "fold-1" / "volumes.csv"
    text = kept.read_text("utf-8")
    kept.write_text(text.replace("unet_small", "kept_before"))
    assert {each.method for each in limb_scores(study) if each.fold == 1} >= {"kept_before"}
    (kept.parent / "volumes.json").unlink()  # killed between the scores and the note of them
    assert "kept_before" not in {each.method for each in limb_scores(study)}
    assert kept.read_text("utf-8") == text
    again = train_study(STUDY, dataset, whole, plan_limbs(CHOICES, read_manifest(dataset)), jobs=StudyJobs(resume=True))
    assert [run.pending for run in again.runs] == [[]]


def test_folds_that_are_not_done_are_not_in_the_table(dataset: Path, tmp_path: Path) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("jobs", 1):
            raise KeyboardInterrupt

    planned = plan_limbs(CHOICES, read_manifest(dataset))
    with pytest.raises(KeyboardInterrupt):
        train_study(STUDY, dataset, tmp_path / "study", planned, progress=stop)
    study = open_study(STUDY, dataset, tmp_path / "study")
    write_study(STUDY, study, resampling=Resampling(repeats=50))
    shown = (tmp_path / "study" / "outlines-mr.md").read_text("utf-8")
    assert "| U-Net, small | 2 of 6 |" in shown
    assert "2 fold(s) are not trained yet" in shown


def test_choices_that_cannot_be_are_refused(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert [run.name for run in plan_limbs(Choices(), manifest)] == [row.run for row in NETWORKS]
    ct = Manifest(manifest.folder, tuple(replace(row, extra={**row.extra, "modality": "ct"}) for row in manifest.rows))
    assert [plan_limbs(CHOICES, each)[0].settings.intensity for each in (manifest, ct)] == [0.15, 0.0]
    with pytest.raises(UnknownLabelError, match="unet_small"):
        plan_limbs(Choices(only=("unet_smal",)), manifest)
    with pytest.raises(InputError, match="choose networks with --only"):
        plan_limbs(Choices(values={"architecture": "unet"}), manifest)
