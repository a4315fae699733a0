"""Networks of the extra ``backbones`` in the training engine: strategies, encoders at rates of their own, export."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from osteon.curation.splits import make_split
from osteon.data import Manifest, Split
from osteon.errors import InputError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.nets import build_network
from osteon.nets.anatomy import feature_stages
from osteon.nets.segmenter import Segmenter
from osteon.predict.predictor import Predictor
from osteon.systems.ct_metastasis.recipe import SEGMENTER
from osteon.systems.ct_osteosarcoma.recipe import RECIPE as LEGS
from osteon.train.export.card import ExportOptions
from osteon.train.export.run import export_run
from osteon.train.objectives.segment import SegmentLearner, kept_network
from osteon.train.run import Run, RunOptions, open_run, read_run, train_run
from osteon.train.settings import SegmentSettings
from osteon.weights import verify_card
from osteon.weights.backbone import describe_backbone, pretrained_network, pretrained_weights
from tests.train.quick import fit, legs, segmenter
from tests.train.toy_slices import toy_slices, toy_split, write_toy_dataset

LITE = "efficientnet_lite0"
SMALL = {"image_size": 32, "batch": 4, "threads": 1, "device": "cpu"}


@pytest.mark.parametrize("strategy", ["ft", "lp-ft", "g-lf"])
def test_any_recipe_of_classifiers_takes_it_by_name_with_every_strategy(
    strategy: str, manifest: Manifest, split: Split, tmp_path: Path
) -> None:
    settings = legs(architecture=LITE, strategy=strategy, epochs=4, stagnation=1, patience=1, **SMALL)
    assert settings.pretrained == "embedded"
    result = fit(manifest, split, 0, settings, tmp_path / "f")
    assert result.state == "done"
    freed = [record.free.split() for record in result.history]
    layers = [name for name, _ in feature_stages(pretrained_network(LITE))]
    wanted = {"ft": len(layers), "lp-ft": 1, "g-lf": 1}[strategy]
    assert freed[0] == layers[::-1][:wanted]
    if strategy == "g-lf":
        assert all(len(later) - len(before) in (0, 1) for before, later in pairwise(freed))


def test_a_classifier_is_exported_with_a_graph_that_gives_what_torch_gives(toy_dataset: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(toy_dataset, tmp_path / "toy")
    manifest = read_manifest(dataset, positive="tumour")
    split = make_split(manifest, folds=2, seed=1)
    write_split(split, dataset / "splits.json")
    settings = legs(architecture=LITE, strategy="lp", epochs=1, **SMALL)
    train_run(manifest, split, settings, tmp_path / "run", options=RunOptions(folds=[0]))
    about = read_run(tmp_path / "run").document
    assert about["pretrained"]["sha256"] == describe_backbone(LITE).sha256
    data = open_run(tmp_path / "run", dataset)
    card = export_run(
        data, tmp_path / "model", LEGS, options=ExportOptions(folds=(0,), resampling=Resampling(repeats=50))
    )
    assert card.architecture == LITE
    assert card.graph is not None
    assert verify_card(card) <= 1e-4
    crops = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)
    graph, plain = (Predictor.load(card, device="cpu", runtime=each).scores(crops) for each in ("openvino", "torch"))
    np.testing.assert_allclose(graph.probability, plain.probability, atol=1e-4)


def test_settings_of_an_encoder_follow_from_the_network() -> None:
    told = segmenter(architecture=f"{LITE}_unet", **SMALL)
    assert (told.pretrained, told.rates, told.encoder_rate) == ("embedded", (1e-3, 5e-4, 1e-4), 0.1)
    assert (told.encoder, told.size_step, told.outputs) == (LITE, 32, ("lesion",))
    assert segmenter(architecture=f"{LITE}_unet", pretrained="none", **SMALL).rates == (0.01, 0.005, 0.001)
    blocks = segmenter(architecture="unet", **SMALL)
    assert (blocks.pretrained, blocks.weights_source, blocks.encoder) == ("none", None, "")
    assert {"pretrained", "encoder_rate"} <= set(told.decisive)
    assert not {"pretrained", "encoder_rate"} & set(blocks.decisive), "runs of before are gone on with"
    with pytest.raises(InputError, match="unet begins with random weights"):
        segmenter(architecture="unet", pretrained="embedded", **SMALL)
    with pytest.raises(InputError, match="needs a multiple of 32"):
        segmenter(architecture=f"{LITE}_unet", **{**SMALL, "image_size": 48})
    with pytest.raises(InputError, match="multiple of 32, at most"):
        segmenter(architecture=f"{LITE}_unet", crop=16, **SMALL)


def test_the_encoder_is_trained_at_a_part_of_the_rate_or_not_at_all() -> None:
    def learner(**values: float | str) -> SegmentLearner:
        settings: SegmentSettings = segmenter(architecture="mobilenet_v2_unet", epochs=3, **SMALL, **values)
        network = build_network("mobilenet_v2_unet", in_channels=1)
        assert isinstance(network, Segmenter)
        return SegmentLearner(network, settings, monitors="lesion")

    one = learner()
    (stage,) = one.plan.stages
    assert stage.free == ("decoders", "encoder")
    assert stage.backbone is not None
    for epoch, rate in enumerate((1e-3, 5e-4, 1e-4)):
        assert stage.head.rate(epoch=epoch, cuts=0) == rate
        assert stage.backbone.rate(epoch=epoch, cuts=0) == pytest.approx(rate / 10)
    held = [id(value) for parts in one.parts.values() for part in parts for value in part.parameters()]
    assert sorted(held) == sorted(id(value) for value in one.network.parameters())
    assert learner(encoder_rate=0.0).plan.stages[0].free == ("decoders",)
    assert learner(pretrained="none").plan.stages[0].free == ("network",)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A U-Net with two decoders on an encoder that stays as it is, trained on slices that are made up."""
    manifest, pixels = toy_slices()
    settings = segmenter(
        architecture=f"{LITE}_dual_unet", epochs=12, encoder_rate=0.0, rates=(0.01,), augments=False, **SMALL
    )
    options = RunOptions(folds=(0,), pixels=pixels)
    return train_run(
        manifest, toy_split(manifest), settings, tmp_path_factory.mktemp("frozen") / "run", options=options
    )


def test_a_frozen_encoder_is_left_alone_and_the_decoders_learn(frozen: Run) -> None:
    fold = frozen.folds[0]
    assert (fold.state, fold.error) == ("done", "")
    assert fold.history[-1].train_loss < fold.history[0].train_loss / 2
    settings = frozen.settings
    assert isinstance(settings, SegmentSettings)
    network = kept_network(settings, fold.weights)
    assert isinstance(network, Segmenter)
    assert network.trunk is not None
    kept, known = network.trunk.state_dict(), pretrained_weights(LITE).state
    assert all(torch.equal(value, known[name]) for name, value in kept.items() if "stem.0" not in name)
    assert fold.monitored is not None
    assert math.isfinite(fold.monitored)


def test_a_segmenter_on_an_encoder_is_exported_and_read_back(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "toy", each=2)
    settings = segmenter(architecture="mobilenet_v2_unet", epochs=1, **SMALL)
    options = RunOptions(folds=[0], cache=tmp_path / "cache")
    train_run(read_manifest(dataset), read_split(dataset), settings, tmp_path / "run", options=options)
    about = read_run(tmp_path / "run").document
    assert about["pretrained"]["name"] == "mobilenet_v2.imagenet"
    chosen = ExportOptions(resampling=Resampling(repeats=50), device="cpu")
    card = export_run(open_run(tmp_path / "run", dataset), tmp_path / "model", SEGMENTER, options=chosen)
    assert (card.architecture, card.image.size_step, card.maps.names) == ("mobilenet_v2_unet", 32, ("lesion",))
    assert verify_card(card) < 1e-4
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 32), dtype=np.uint8)
    loaded = (Predictor.load(card, device="cpu", runtime=each, precision="float32") for each in ("openvino", "torch"))
    graph, plain = (one.maps(images) for one in loaded)
    np.testing.assert_allclose(graph["lesion"], plain["lesion"], atol=1e-4)


def test_another_encoder_rate_is_another_training() -> None:
    one = segmenter(architecture=f"{LITE}_unet", **SMALL)
    assert one.decisive != replace(one, encoder_rate=1.0).decisive
    assert one.decisive != replace(one, pretrained="none").decisive
