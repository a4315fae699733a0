"""From a run of segmenters to a model that reads: what is shipped is what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from osteon.errors import InputError, UnknownLabelError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest, write_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.segmentation import pixel_counts
from osteon.ops.series_images import with_neighbours
from osteon.predict.predictor import Predictor
from osteon.systems.ct_metastasis.recipe import SEGMENTER
from osteon.train.counts import ThresholdSweep
from osteon.train.export.card import CardText, ExportOptions
from osteon.train.export.maps import stored_network
from osteon.train.export.run import export_run
from osteon.train.objectives.segment import SEGMENT, Evaluator, kept_network
from osteon.train.run import RunData, RunOptions, open_run, train_run
from osteon.train.run_folder import read_sweeps
from osteon.weights import ModelCard, load_networks, read_card, read_limits, verify_card
from tests.train.quick import QUICK_SEGMENTER
from tests.train.toy_slices import middle, toy_slices, toy_split, write_toy_dataset

FEW = Resampling(repeats=50)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Two of four folds, trained on files."""
    folder = tmp_path_factory.mktemp("exported")
    dataset = write_toy_dataset(folder / "toy", each=2)
    settings = replace(QUICK_SEGMENTER, epochs=6)
    options = RunOptions(folds=[0, 1], cache=folder / "cache")
    train_run(read_manifest(dataset), read_split(dataset), settings, folder / "run", options=options)
    return open_run(folder / "run", dataset)


@pytest.fixture(scope="module")
def card(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    out = tmp_path_factory.mktemp("models") / "mine"
    return export_run(data, out, SEGMENTER, options=ExportOptions(resampling=FEW, device="cpu"))


def test_the_model_is_whole_and_says_what_it_is(card: ModelCard) -> None:
    assert (card.name, card.task, card.folder.name) == ("hybrid_attunetpp_small.mine", "ct_metastasis", "mine")
    assert len(card.members) == 2
    assert card.maps.names == ("lesion", "bone")
    assert card.image.channels == 1
    assert card.is_demo
    assert "synthetic" in card.statement.lower()
    assert verify_card(card) < 1e-4
    assert read_card(card.folder) == card
    assert (card.folder / "claim.md").read_text(encoding="utf-8").count("fold 0: train 8") == 1
    limits = read_limits(card)
    assert limits is not None
    assert len(limits.spaces) == 2
    assert limits.known.validation_patients == 4  # of two folds
    assert [member["fold"] for member in card.training.details["members"]] == [0, 1]


def test_results_are_those_of_the_shipped_weights(card: ModelCard, data: RunData) -> None:
    """Each member, loaded as a reader loads it, evaluated on the test part of its own fold."""
    pixels = SEGMENT.load(data.manifest, data.run.settings, None)
    networks = load_networks(card)
    for index, (name, threshold) in enumerate(card.maps.thresholds.items()):
        tables, dice = [], []
        for fold, network in enumerate(networks):
            rows = data.split.rows(data.manifest, fold).test
            with torch.inference_mode():
                maps = network(torch.from_numpy(pixels.crops(rows))[:, None]).sigmoid()[:, index].numpy()
            table = pixel_counts(pixels.masks[name][rows], maps >= np.float32(threshold)).table
            tables.append(table.sum(axis=0))
            dice += [2 * hit / (2 * hit + extra + missed) for hit, extra, missed, _ in table.tolist()]
        hits, extra, missed, clear = np.sum(tables, axis=0).tolist()
        found = {entry.metric.split(",")[0]: entry for entry in card.results if f", {name}," in entry.metric}
        assert found["F1"].value == pytest.approx(2 * hits / (2 * hits + extra + missed), abs=1e-3)
        assert found["specificity"].value == pytest.approx(clear / (clear + extra), abs=1e-3)
        assert found["mean Dice of images"].value == pytest.approx(np.mean(dice), abs=2e-3)
        assert found["F1"].interval is not None
        assert found["F1"].is_synthetic
        assert "each evaluated by a network that never saw it" in found["F1"].data


def test_thresholds_come_from_validation_alone(card: ModelCard, data: RunData) -> None:
    for index, (name, threshold) in enumerate(card.maps.thresholds.items()):
        whole = ThresholdSweep.summed([read_sweeps(fold.folder)[index] for fold in data.run.done])
        # weights rounded to half may move the best threshold by little
        assert whole.f1[round(threshold * 100) - 1] >= whole.f1.max() - 0.01, name
    assert "validation" in card.maps.maps[0].source


def test_the_model_reads_slices_as_it_was_measured(card: ModelCard, data: RunData) -> None:
    segmenter = Predictor.load(card, device="cpu", runtime="torch", precision="float32")
    assert segmenter.output == card.maps
    assert card.maps.names == ("lesion", "bone")


def test_thresholds_and_names_can_be_chosen_and_bad_ones_are_refused(data: RunData, tmp_path: Path) -> None:
    options = ExportOptions(
        folds=(1,),
        threshold=0.3,
        least_mm3=300.0,
        operating_point="half",
        golden="pattern",
        half=False,
        trust=False,
        resampling=FEW,
        device="cpu",
    )
    named = replace(options, name="hybrid_attunetpp_small.x1", words=CardText(names_patients=True))
    card = export_run(data, tmp_path / "other", SEGMENTER, options=named)
    rows = data.split.rows(data.manifest, 1)
    learnt = {data.manifest.rows[row].patient for row in (*rows.train.tolist(), *rows.validation.tolist())}
    assert card.training.patients == tuple(sorted(learnt))
    assert len(learnt) < len(data.manifest.patients)
    assert card.name == "hybrid_attunetpp_small.x1"
    assert card.maps.thresholds == {"lesion": 0.3, "bone": 0.5}
    assert [each.least_mm3 for each in card.maps.maps] == [300.0, None]
    assert len(card.members) == 1
    assert card.storage == "float32"
    assert card.out_of_distribution is None
    for changes, words in (
        ({"folds": (2,)}, "absent, not done"),
        ({"folds": (9,)}, "folds 0 to 3"),
        ({"name": "unet.x"}, "cannot be"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"least_mm3": 0.0}, "above 0"),
        ({"golden": "mine"}, "choose auto"),
    ):
        with pytest.raises(InputError, match=words):
            export_run(data, tmp_path / "bad", SEGMENTER, options=replace(options, **changes))
    with pytest.raises(UnknownLabelError):
        export_run(data, tmp_path / "bad", SEGMENTER, options=replace(options, operating_point="youden"))
    assert not (tmp_path / "bad").exists()


def test_no_threshold_comes_from_a_validation_part_that_was_learnt_from(data: RunData, tmp_path: Path) -> None:
    settings = replace(data.run.settings, epochs=1, selection="last", joins_validation=True, architecture="unet_small")
    dataset = data.manifest.folder
    train_run(data.manifest, data.split, settings, tmp_path / "run", options=RunOptions(folds=[0, 1]))
    joined = open_run(tmp_path / "run", dataset)
    options = ExportOptions(resampling=FEW, device="cpu")
    card = export_run(joined, tmp_path / "joined", SEGMENTER, options=options)
    assert card.maps.thresholds == {"lesion": 0.5}
    assert "learnt from" in card.maps.maps[0].source
    assert card.results
    members = card.training.details["members"]
    assert [member["patients"]["train"] for member in members] == [6, 6]  # of eight, two are of the test part
    assert not [name for name in members[0] if name.startswith(("validation", "thresholds"))]
    assert any("learnt from its validation part" in each for each in card.training.details["warnings"])
    known = card.out_of_distribution
    assert known is not None
    assert known.validation_patients == 4  # of the test parts, which the card says
    assert any("of images of the test parts" in each for each in card.training.details["warnings"])
    assert export_run(joined, tmp_path / "own", SEGMENTER, options=replace(options, threshold=0.3)).maps.thresholds == {
        "lesion": 0.3
    }
    with pytest.raises(InputError, match="learnt from their validation parts"):
        export_run(joined, tmp_path / "bad", SEGMENTER, options=replace(options, operating_point="f1"))


@pytest.mark.parametrize("golden", ["images", "pattern"])
def test_a_model_that_sees_neighbours_reads_as_it_was_measured(tmp_path: Path, golden: str) -> None:
    dataset = write_toy_dataset(tmp_path / "toy", each=3)
    manifest = read_manifest(dataset)
    rows = tuple(
        replace(row, series=row.patient, extra={**row.extra, "slice": str(index % 3)})
        for index, row in enumerate(manifest.rows)
    )
    manifest = write_manifest(replace(manifest, rows=rows), dataset / "manifest.csv")
    split = toy_split(manifest)
    write_split(split, dataset / "splits.json")
    settings = replace(QUICK_SEGMENTER, epochs=2, neighbours=2, architecture="unet_small")
    train_run(manifest, split, settings, tmp_path / "run", options=RunOptions(folds=[0]))
    data = open_run(tmp_path / "run", dataset)
    options = ExportOptions(resampling=FEW, device="cpu", golden=golden)
    card = export_run(data, tmp_path / "mine", SEGMENTER, options=options)
    assert (card.image.channels, card.image.neighbours) == (5, 2)
    assert verify_card(card) < 1e-4
    pixels = SEGMENT.load(data.manifest, settings, None)
    evaluate = Evaluator(load_networks(card), settings, data.manifest, pixels, "cpu")
    mine = np.arange(3)
    ((_, expected),) = evaluate.maps(mine, "test")
    stack = with_neighbours(pixels.values[mine], 2)  # the slices of a patient, as a reading has them
    for runtime in ("openvino", "torch"):
        found = Predictor.load(card, device="cpu", runtime=runtime, precision="float32").maps(stack)
        np.testing.assert_allclose(found["lesion"], expected[:, 0], atol=1e-4)
    validation = data.split.rows(data.manifest, 0).validation
    own = pixels.values[pixels.around[validation]]  # type: ignore[index] # of a training with neighbours
    parts = Predictor.load(card, device="cpu", runtime="torch", precision="float32").run(own)
    assert np.median(next(parts)["distance"]) == pytest.approx(1, rel=1e-3)  # the unit of distances


def test_other_data_are_refused(data: RunData, tmp_path: Path) -> None:
    other = write_toy_dataset(tmp_path / "toy", patients=9, each=2)
    with pytest.raises(InputError, match="trained with other patients"):
        open_run(data.run.folder, other)


@pytest.mark.parametrize("architecture", ["attunetpp", "unet_then_unetpp"])
def test_networks_of_every_kind_fit_the_registry(architecture: str, tmp_path: Path) -> None:
    manifest, pixels = toy_slices(patients=4, each=1)
    small = middle(pixels)
    settings = replace(QUICK_SEGMENTER, architecture=architecture, image_size=16, epochs=1, batch=2)
    options = RunOptions(folds=[0], pixels=small)
    run = train_run(manifest, toy_split(manifest, folds=4), settings, tmp_path / "run", options=options)
    fold = run.folds[0]
    assert fold.state == "done", fold.error
    images = torch.from_numpy(small.crops(np.arange(2)))[:, None]
    with torch.inference_mode():
        assert torch.equal(stored_network(settings, fold)(images), kept_network(settings, fold.weights)(images))
    if architecture.startswith("unet_then"):
        with pytest.raises(InputError, match="pair_mask hard only"):
            stored_network(replace(settings, pair_mask="soft"), fold)


def test_a_reference_of_another_package_learns_and_is_not_exported(tmp_path: Path) -> None:
    manifest, pixels = toy_slices(patients=4, each=1)
    settings = replace(QUICK_SEGMENTER, architecture="segresnet_small", epochs=1, batch=2)
    options = RunOptions(folds=[0], pixels=pixels)
    fold = train_run(manifest, toy_split(manifest, folds=4), settings, tmp_path / "run", options=options).folds[0]
    assert fold.state == "done", fold.error
    with pytest.raises(InputError, match="a reference for studies"):
        stored_network(settings, fold)
