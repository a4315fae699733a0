"""The study trains, scores by patient, goes on where it was, and shows what is done beside the blind masks."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteon.data import Manifest
from osteon.errors import InputError, UnknownLabelError
from osteon.io.image import write_png8
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest, write_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.study.page import write_study
from osteon.study.plan import Study
from osteon.study.protocol import Choices
from osteon.study.run import StudyJobs, open_study, train_study
from osteon.systems.limb_sarcoma.study import STUDY, limb_scores
from osteon.systems.limb_sarcoma.study_rows import NETWORKS, plan_limbs
from osteon.systems.limb_sarcoma.study_tables import outline_table, pair_table
from osteon.train.settings import CONFIGURATIONS
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
PAIR = ("attunetpp_small", "hybrid_attunetpp_small")
CHOICES = Choices(only=("unet_small", *PAIR), values=VALUES)
SMALL = [row.run for row in NETWORKS if not row.is_full]
FEW = Resampling(repeats=100)


def written(limbs: Limbs, folder: Path, *, rename: str = "") -> Manifest:
    """The toy scans as a data set of CT with files; of strangers where a name for them is given."""
    manifest, pixels, _ = limbs
    rows = []
    for index, toy in enumerate(manifest.rows):
        row, names = toy, {part: f"{part}/{toy.image}" for part in ("images", "masks", "bones")}
        planes = (pixels.values[index], pixels.masks["lesion"][index], pixels.values[index] < 75)
        for name, plane in zip(names.values(), planes, strict=True):
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            write_png8(folder / name, plane)
        number = int(row.patient.removeprefix("p"))
        extra = {
            **row.extra,
            "view": "0.25 0.875 0.125 1",
            "modality": "ct",
            "pixels": str(SIZE * SIZE),
            "position": f"{(int(row.extra['slice']) - 9.5) / 6:.4f}",
            "histology": "Liposarcoma" if number % 2 else "",
        }
        who = f"{rename}{row.patient}"
        row = replace(row, image=names["images"], lesion_mask=names["masks"], bone_mask=names["bones"])
        rows.append(replace(row, patient=who, extra=extra))
    return write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")


@pytest.fixture(scope="module")
def dataset(limbs: Limbs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limbs")
    manifest = written(limbs, folder)
    write_split(replace(limbs[2], manifest_sha256=manifest.sha256), folder / "splits.json")
    return folder


@pytest.fixture(scope="module")
def study(dataset: Path, limbs: Limbs, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study") / "study"
    done = train_study(STUDY, dataset, folder, plan_limbs(CHOICES, read_manifest(dataset)))
    assert done.errors == ()
    other = written(limbs, tmp_path_factory.mktemp("other") / "strangers", rename="new-")
    done = replace(done, also=(other,))
    write_study(STUDY, done, resampling=FEW)
    return done


@pytest.fixture
def whole(study: Study) -> Path:
    return study.place.folder


def near(value: object) -> Any:  # noqa: ANN401 - as pytest.approx
    """As far as the six digits of a table."""
    return pytest.approx(value, rel=1e-4, abs=1e-5)


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a table of a study, whose notes stand below them."""
    return list(csv.DictReader(line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")))


def test_every_patient_is_scored_once_by_every_method(whole: Path) -> None:
    patients = table(whole / "patients.csv")
    assert [row["patient"] for row in patients] == [f"p{number}" for number in range(PATIENTS)]
    medians = {(row["method"], row["measure"]): row for row in table(whole / "outlines.csv")}
    for method in ("ellipsoid", "mean mask", "unet_small", *PAIR):
        dice = [float(row[method]) for row in patients]
        assert float(medians[method, "dice"]["median"]) == near(np.median(dice))
        assert int(medians[method, "dice"]["patients"]) == PATIENTS
    gains = {(row["method"], row["reference"]): row for row in table(whole / "gains.csv")}
    wanted = np.median([float(row["unet_small"]) - float(row["ellipsoid"]) for row in patients])
    assert float(gains["unet_small", "ellipsoid"]["gain"]) == near(wanted)
    others = ("ellipsoid", "mean mask")
    assert set(gains) == {*itertools.product(("unet_small", *PAIR), others), *((name, "unet_small") for name in PAIR)}


def test_the_page_says_what_is_there_and_what_is_not(whole: Path) -> None:
    page = (whole / "index.html").read_text("utf-8")
    assert "3 of 3 planned rows are complete" in page
    for name in ("patients", "learning", "pair-attunetpp_small", "volumes"):
        assert (whole / "figures" / f"{name}.png").is_file()
    shown = (whole / "outlines.md").read_text("utf-8")
    assert "| U-Net, small | 6 of 6 |" in shown
    assert "| UNet++, small | not run |" in shown
    assert "| UNet++ |" not in shown  # of full width, and nobody asked for it
    assert "| blind: ellipsoid | 6 of 6 |" in shown
    assert "never look at the image" in shown
    assert "3 folds by patient, nested" in shown


def test_the_second_decoder_is_compared_by_patient(whole: Path) -> None:
    patients = table(whole / "patients.csv")
    (row,) = table(whole / "pair.csv")
    wanted = np.median([float(one[PAIR[1]]) - float(one[PAIR[0]]) for one in patients])
    assert float(row["difference"]) == near(wanted)
    assert (row["one"], row["two"], row["epochs"]) == (*PAIR, "2")
    said = (whole / "pair.md").read_text("utf-8")
    decided = not float(row["low"]) <= 0 <= float(row["high"])
    assert ("not decided (p" in said) != decided
    assert "the question is not decided" in said  # what such an interval means


def test_the_second_decoder_helps_only_where_all_patients_say_so(study: Study) -> None:
    runs = {run.plan.name: run for run in study.runs}
    scores = [each for each in limb_scores(study) if each.method in ("ellipsoid", *PAIR)]

    def answer(gain: float, patients: int) -> str:
        """What is said where two decoders gain as much in so many patients."""
        changed = []
        for each in scores:
            if each.method == PAIR[1] and int(each.patient.removeprefix("p")) >= patients:
                continue
            dice = 0.5 + gain * (each.method == PAIR[1]) + 0.01 * int(each.patient.removeprefix("p"))
            changed.append(replace(each, agreement=replace(each.agreement, dice=dice)))
        return str(pair_table(changed, runs, (), FEW).rows[0][-1])

    assert answer(0.1, PATIENTS).startswith("yes (p ")
    assert answer(-0.1, PATIENTS).startswith("no, it takes away (p ")
    assert answer(0.0, PATIENTS).startswith("not decided (p ")
    assert answer(0.1, 2).startswith("not decided yet: 2 of 6 patients (p ")


def test_pixels_volumes_and_groups_are_those_of_the_kept_scores(study: Study) -> None:
    folder = study.place.folder
    kept = [row for fold in range(3) for row in table(folder / f"runs/unet_small/fold-{fold}/volumes.csv")]
    hits, extra = (sum(int(row[name]) for row in kept) for name in ("hits", "extra"))
    pixels = {(row["method"], row["measure"]): row for row in table(folder / "pixels.csv")}
    assert float(pixels["unet_small", "precision"]["value"]) == near(hits / (hits + extra))
    volumes = {(row["method"], row["quantity"]): float(row["value"]) for row in table(folder / "volumes.csv")}
    differences = [float(row["predicted_ml"]) - float(row["true_ml"]) for row in kept]
    assert volumes["unet_small", "ml_bias"] == near(np.mean(differences))
    spread = 1.96 * np.std(differences, ddof=1)
    assert volumes["unet_small", "ml_low"] == near(np.mean(differences) - spread)
    ratios = [np.log(float(row["predicted_ml"]) / float(row["true_ml"])) for row in kept if float(row["predicted_ml"])]
    assert volumes["unet_small", "ratio_bias"] == near(np.exp(np.mean(ratios)))
    groups = [row for row in table(folder / "subgroups.csv") if row["method"] == "unet_small"]
    assert [(row["column"], row["group"].partition(",")[0], row["patients"]) for row in groups] == [
        *(("size", name, "2") for name in ("small", "medium", "large")),
        ("histology", "Liposarcoma", "3"),
        ("histology", "unknown", "3"),
    ]
    odd = [row for row in kept if row["patient"] in {"p1", "p3", "p5"}]
    assert float(groups[3]["dice"]) == near(np.median([float(row["dice"]) for row in odd]))


def test_a_further_data_set_is_asked_of_the_networks_that_do_not_know_its_patients(study: Study) -> None:
    found = limb_scores(study, on=study.also[0])
    assert {each.patient for each in found} == {f"new-p{number}" for number in range(PATIENTS)}
    for method in ("unet_small", "ellipsoid"):  # strangers to all folds
        assert sorted(each.fold for each in found if each.method == method) == sorted([0, 1, 2] * PATIENTS)
    shown = (study.place.folder / "also1.md").read_text("utf-8")
    assert "Scans of strangers" in shown
    assert "| U-Net, small | 6 of 6 |" in shown


def test_a_further_data_set_of_another_kind_is_refused(study: Study) -> None:
    rows = study.also[0].rows
    mr = tuple(replace(row, extra={**row.extra, "modality": "mr"}) for row in rows)
    sizes = tuple(replace(row, extra={**row.extra, "pixels": str(index)}) for index, row in enumerate(rows))
    for other, said in ((mr, "the study is of CT, .* holds MR"), (sizes, "images of several sizes")):
        with pytest.raises(InputError, match=said):
            limb_scores(study, on=Manifest(study.also[0].folder, other))


def test_distances_without_an_end_are_said_to_have_none(study: Study) -> None:
    scores = [each for each in limb_scores(study) if each.method in ("ellipsoid", "mean mask")]
    far = [
        replace(each, agreement=replace(each.agreement, hd95_mm=np.inf))
        if each.patient in {"p0", "p1", "p2"} and each.method == "mean mask"
        else each
        for each in scores
    ]
    cells = {row[0]: row[4] for row in outline_table(far, {}, (), FEW).rows}
    assert cells["blind: mean mask"].startswith("not bounded (")
    lost = [replace(each, agreement=replace(each.agreement, hd95_mm=np.inf)) for each in scores]
    assert {row[4] for row in outline_table(lost, {}, (), FEW).rows} == {"not bounded"}
    assert "not bounded" not in cells["blind: ellipsoid"]
    alone = outline_table([each for each in scores if each.patient == "p0"], {}, (), FEW).rows[0][4]
    assert alone.endswith("(no interval)")


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
    assert [run.pending for run in again.runs] == [[], [], []]


def test_a_network_on_a_part_of_the_patients_stands_below_the_blind_masks_of_these(
    dataset: Path, tmp_path: Path
) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("jobs", 4):
            raise KeyboardInterrupt

    planned = plan_limbs(replace(CHOICES, only=("unet_small", "segresnet_small")), read_manifest(dataset))
    with pytest.raises(KeyboardInterrupt):
        train_study(STUDY, dataset, tmp_path / "study", planned, progress=stop)
    study = open_study(STUDY, dataset, tmp_path / "study")
    write_study(STUDY, study, resampling=FEW)
    shown = (tmp_path / "study" / "outlines.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in shown.splitlines() if line.startswith("| ")]
    assert rows[2:8] == [
        ["blind: ellipsoid", "6 of 6"],
        ["blind: mean mask", "6 of 6"],
        ["U-Net, small", "6 of 6"],
        ["blind: ellipsoid", "2 of 6"],
        ["blind: mean mask", "2 of 6"],
        ["SegResNet (MONAI), small", "2 of 6"],
    ]
    assert "2 fold(s) are not trained yet" in shown
    floors = [row for row in table(tmp_path / "study" / "outlines.csv") if row["method"] == "ellipsoid"]
    dice = {row["patients"]: float(row["median"]) for row in floors if row["measure"] == "dice"}
    of_patients = {row["patient"]: float(row["ellipsoid"]) for row in table(tmp_path / "study" / "patients.csv")}
    tested = study.place.splits["folds"].folds[0].test
    assert dice == {
        "6": near(np.median(list(of_patients.values()))),
        "2": near(np.median([of_patients[who] for who in tested])),
    }


def test_pairs_that_were_trained_differently_are_not_compared(dataset: Path, study: Study) -> None:
    longer = replace(study.runs[1].plan, settings=replace(study.runs[1].plan.settings, epochs=5))
    runs = (study.runs[0], replace(study.runs[1], plan=longer), study.runs[2])
    page = STUDY.results(replace(study, runs=runs, also=()), FEW)
    (pair,) = page.sections[1].tables
    assert pair.rows[0][-1] == "not compared: epochs 5 and 2"
    assert not pair.records


def test_choices_that_cannot_be_are_refused(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert [run.name for run in plan_limbs(Choices(), manifest)] == SMALL
    mr = Manifest(
        manifest.folder,
        tuple(replace(row, bone_mask="", extra={**row.extra, "modality": "mr"}) for row in manifest.rows),
    )
    assert [run.name for run in plan_limbs(Choices(), mr)] == [name for name in SMALL if name != PAIR[1]]
    both = Manifest(manifest.folder, (*manifest.rows[:20], *mr.rows[20:]))
    assert PAIR[1] not in [run.name for run in plan_limbs(Choices(), both)]
    full = [run.name for run in plan_limbs(Choices(only=("full",)), manifest)]
    assert all(SEGMENTERS[name].widths[0] == 32 for name in full)
    assert [plan_limbs(CHOICES, each)[0].settings.intensity for each in (manifest,)] == [0.0]
    assert plan_limbs(replace(CHOICES, only=("unet_small",)), mr)[0].settings.intensity == 0.15
    with pytest.raises(InputError, match="MR has no bone mask"):
        plan_limbs(CHOICES, mr)
    with pytest.raises(UnknownLabelError, match="unet_small"):
        plan_limbs(Choices(only=("unet_smal",)), manifest)
    with pytest.raises(UnknownLabelError, match="no setting 'epoch'"):
        plan_limbs(Choices(values={"epoch": 1}), manifest)
    for values in ("values", "classifier_values"):
        with pytest.raises(InputError, match="choose networks with --only"):
            plan_limbs(Choices(**{values: {"architecture": "unet"}}), manifest)  # type: ignore[arg-type]


def test_slices_are_six_configurations_and_three_strategies(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    values = {"epochs": 3, "crop": 32}
    choices = Choices(only=("slices",), architecture="mobilenet_v2", values=values, classifier_values={"batch": 4})
    planned = plan_limbs(choices, manifest)
    assert [run.name for run in planned] == [
        f"slices-{one}-{strategy}" for one in CONFIGURATIONS for strategy in ("ft", "lp-ft", "g-lf")
    ]
    first = planned[0].settings
    assert (first.objective, first.epochs, first.batch, first.image_size) == ("classify", 3, 4, 128)
    few = plan_limbs(replace(choices, only=("slices-CAE-ft", "unet_small"), strategies=("ft",)), manifest)
    assert [run.name for run in few] == ["unet_small", "slices-CAE-ft"]


def test_the_slice_study_stands_beside_position_alone(dataset: Path, tmp_path: Path) -> None:
    quick = {"image_size": 32, "epochs": 1, "batch": 8, "threads": 1, "device": "cpu", "pretrained": "none"}
    choices = Choices(only=("slices-C-ft", "slices-CAE-ft"), values=quick)
    done = train_study(STUDY, dataset, tmp_path / "study", plan_limbs(choices, read_manifest(dataset)))
    assert done.errors == ()
    write_study(STUDY, done, resampling=FEW)
    folder = tmp_path / "study"
    found = {(row["run"], row["measure"]): row for row in table(folder / "slices.csv")}
    # tumour is in the four slices of the middle: position tells all
    assert float(found["position", "auc"]["mean"]) == 1.0
    assert float(found["majority", "auc"]["mean"]) == 0.5
    over = {row["run"]: float(row["difference"]) for row in table(folder / "slices_gains.csv")}
    assert over == {name: near(float(found[name, "auc"]["mean"]) - 1.0) for name in ("slices-C-ft", "slices-CAE-ft")}
    shown = (folder / "slices.md").read_text("utf-8")
    assert "position in the crop alone" in shown
    assert "Reduced: image_size 32 (the paper's protocol: 128); batch 8" in shown
    assert "published" not in shown
    assert (folder / "figures" / "learning-slices.png").is_file()
    assert not (folder / "outlines.csv").exists()
