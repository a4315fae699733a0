"""The classifiers of the thesis learn: each a few slices by heart, and one a data set from end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from osteon.curation.splits import make_split
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.nets import build_network, is_transformer, least_image_size
from osteon.systems.ct_metastasis.recipe import SLICES
from osteon.train.export.card import ExportOptions
from osteon.train.export.run import export_run
from osteon.train.losses import class_loss
from osteon.train.run import open_run, train_run
from osteon.weights import verify_card
from tests.train.quick import slices

NETWORKS = (
    "densenet201",
    "efficientnet_b0",
    "inception_v3",
    "resnext50",
    "vit_tiny",  # DeiT, and the small ones, are the same class
    "vit_tiny_resnext50",
)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_four_slices_by_heart(name: str) -> None:
    settings = slices(architecture=name, pretrained="none")
    size = max(32, least_image_size(name))
    torch.manual_seed(4)
    network = build_network(name)
    images = torch.rand(4, 1, size, size) * 0.2
    labels = torch.tensor([0, 1, 0, 1])
    images[labels == 1, :, : size // 2, : size // 2] += 0.7
    # from random weights a transformer stands still at rates of 1e-4 and more
    rate, steps = (2e-5, 16) if is_transformer(name) else (1e-3, 8)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    found = []
    for _ in range(steps):
        optimiser.zero_grad()
        value = class_loss(network(images), labels, settings)
        value.backward()
        optimiser.step()
        found.append(float(value.detach()))
    assert min(found[-3:]) < found[0] / 2
    assert all(bool(torch.isfinite(value).all()) for value in network.parameters())


@pytest.fixture(scope="module")
def dataset(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy images as slices with and without a metastasis, one hold-out by patient."""
    folder = shutil.copytree(toy_dataset, tmp_path_factory.mktemp("slices") / "toy")
    table = folder / "manifest.csv"
    words = table.read_text(encoding="utf-8").replace(",tumour", ",metastasis").replace(",healthy", ",normal")
    table.write_text(words, encoding="utf-8")
    write_split(make_split(read_manifest(folder), folds=2, seed=1), folder / "splits.json")
    return folder


def test_a_transformer_is_trained_exported_and_read_back(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(dataset, positive="metastasis")
    split = make_split(manifest, folds=2, seed=1)
    settings = slices(
        architecture="vit_tiny",
        pretrained="none",
        image_size=32,
        epochs=2,
        learning_rate=1e-4,
        threads=1,
        device="cpu",
    )
    run = train_run(manifest, split, settings, tmp_path / "run")
    assert [fold.state for fold in run.folds] == ["done", "done"]
    assert run.classes == ("normal", "metastasis")
    assert [record.head_rate for record in run.folds[0].history] == pytest.approx([1e-5, 1e-6])
    assert json.loads((tmp_path / "run" / "settings.json").read_text(encoding="utf-8"))["settings"]["schedule"]
    card = export_run(
        open_run(tmp_path / "run", dataset), tmp_path / "model", SLICES, options=ExportOptions(folds=(0,))
    )
    assert (card.task, card.architecture) == ("ct_metastasis_slices", "vit_tiny")
    assert card.image.preprocessing.function == "osteon.ops.series_images.slice_frame"
    assert verify_card(card) <= 1e-4
    assert np.isfinite(run.predictions().logits).all()
