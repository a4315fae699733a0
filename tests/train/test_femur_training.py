"""The femur task in the engine: the penalty falls on three convolutions alone, and a run becomes a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from osteon.curation.splits import make_split
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.nets import build_network
from osteon.nets.anatomy import feature_stages
from osteon.systems.mri_femur.recipe import RECIPE
from osteon.train.engine import FoldModule
from osteon.train.export.card import ExportOptions
from osteon.train.export.run import export_run
from osteon.train.objectives.classify import ClassLearner
from osteon.train.run import open_run, train_run
from osteon.weights import verify_card
from tests.train.quick import femur


def test_the_penalty_falls_on_the_last_three_convolutions_alone() -> None:
    settings = femur(architecture="alexnet_femur")
    with torch.device("meta"):
        network = build_network("alexnet_femur")
    optimiser = FoldModule(ClassLearner(network, settings, positive=1), settings).configure_optimizers()
    assert isinstance(optimiser, torch.optim.SGD)
    held = {id(value): group for group in optimiser.param_groups for value in group["params"]}
    for name, parts in feature_stages(network):
        groups = {id(held[id(value)]): held[id(value)] for part in parts for value in part.parameters()}
        (group,) = groups.values()
        assert group["weight_decay"] == (1e-4 if name in {"conv3", "conv4", "conv5"} else 0)
        assert (group["lr"], group["momentum"]) == (0.01, 0.9)
    assert len(held) == len(list(network.parameters()))


def test_other_networks_have_no_penalty() -> None:
    settings = femur(architecture="googlenet")
    with torch.device("meta"):
        network = build_network("googlenet")
    groups = FoldModule(ClassLearner(network, settings, positive=1), settings).configure_optimizers().param_groups
    assert {group["weight_decay"] for group in groups} == {0}


def test_a_step_shrinks_what_is_penalised_and_nothing_else() -> None:
    """With a gradient of 0, SGD multiplies a penalised weight by 1 - rate x penalty, and leaves the others."""
    settings = femur(architecture="alexnet_femur")
    network = build_network("alexnet_femur")
    optimiser = FoldModule(ClassLearner(network, settings, positive=1), settings).configure_optimizers()
    before = {name: value.detach()[:1].clone() for name, value in network.named_parameters()}
    for value in network.parameters():
        value.grad = torch.zeros_like(value)
    optimiser.step()
    for name, value in network.named_parameters():
        shrinks = name.startswith(("features.conv3", "features.conv4", "features.conv5"))
        wanted = before[name].double() * (1 - 0.01 * 1e-4 * shrinks)
        torch.testing.assert_close(value.detach()[:1].double(), wanted, rtol=2e-7, atol=0)


@pytest.mark.parametrize(("schedule", "longest"), [("constant", 1.0), ("cosine", 50.0)])
def test_a_long_gradient_is_cut_where_the_rate_never_falls(schedule: str, longest: float) -> None:
    settings = femur(schedule=schedule, final_rate=1e-6)
    module = FoldModule(ClassLearner(build_network("densenet_small"), settings, positive=1), settings)
    values = list(module.network.parameters())
    for value in values:
        value.grad = torch.zeros_like(value)
    values[0].grad = torch.full_like(values[0], 50 / values[0].numel() ** 0.5)
    optimiser = module.configure_optimizers()
    module.on_before_optimizer_step(optimiser)
    length = torch.linalg.vector_norm(torch.stack([value.grad.norm() for value in values if value.grad is not None]))
    assert float(length) == pytest.approx(longest, rel=1e-4)


@pytest.fixture(scope="module")
def dataset(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy images as crops of lesions, two folds by patient."""
    folder = shutil.copytree(toy_dataset, tmp_path_factory.mktemp("femur") / "toy")
    table = folder / "manifest.csv"
    words = table.read_text(encoding="utf-8").replace(",tumour", ",malignant").replace(",healthy", ",benign")
    head, *lines = words.splitlines()
    lines = [f"{head},margin_px,masked", *(f"{line},12,yes" for line in lines)]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_split(make_split(read_manifest(folder), folds=2, seed=1), folder / "splits.json")
    return folder


def test_a_run_becomes_a_model_whose_card_says_how_lesions_are_cut_out(dataset: Path, tmp_path: Path) -> None:
    settings = femur(
        architecture="densenet_small",
        image_size=32,
        batch=8,
        epochs=2,
        threads=1,
        device="cpu",
    )
    manifest = read_manifest(dataset, positive="malignant")
    run = train_run(manifest, make_split(manifest, folds=2, seed=1), settings, tmp_path / "run")
    assert [fold.state for fold in run.folds] == ["done", "done"]
    assert run.classes == ("benign", "malignant")
    assert {record.head_rate for record in run.folds[0].history} == {0.01}
    kept = json.loads((tmp_path / "run" / "settings.json").read_text(encoding="utf-8"))["settings"]
    assert (kept["optimiser"], kept["schedule"], kept["class_weights"]) == ("sgd", "constant", "balanced")
    card = export_run(
        open_run(tmp_path / "run", dataset), tmp_path / "model", RECIPE, options=ExportOptions(folds=(0,))
    )
    assert card.task == "mri_femur"
    preprocessing = card.image.preprocessing
    assert preprocessing.function == "osteon.ops.mr_region.lesion_crop"
    parameters = preprocessing.parameters
    assert (parameters["margin_px"], parameters["masked"], parameters["size"]) == (12, True, 32)
    assert "other bones than the femur" in card.exclusions[-1]
    assert verify_card(card) <= 1e-4
