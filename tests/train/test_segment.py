"""Segmenters are trained fold by fold, survive interruption bit for bit, are evaluated in pixels, say what stops."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from osteon.data import Manifest, Split
from osteon.errors import InputError, OutputError
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.train import engine
from osteon.train.counts import SegmentCounts
from osteon.train.export.maps import stored_network
from osteon.train.images import Batch
from osteon.train.losses import map_loss, map_weights
from osteon.train.objectives.segment import SEGMENT, SegmentLearner, kept_network
from osteon.train.pixels import Pixels
from osteon.train.run import Run, RunOptions, read_run, train_run
from osteon.train.run_folder import EpochRecord, read_counts, read_history, read_sweeps
from tests.train.quick import QUICK_SEGMENTER, segmenter
from tests.train.toy_slices import middle, toy_slices, toy_split, write_toy_dataset

Toy = tuple[Manifest, Split, Pixels]


@pytest.fixture(scope="module")
def toy() -> Toy:
    manifest, pixels = toy_slices()
    return manifest, toy_split(manifest), pixels


class _StopError(Exception):
    """An interruption."""


def stop_after(*epochs: int) -> Callable[[int, EpochRecord], None]:
    left = list(epochs)

    def tell(_: int, record: EpochRecord) -> None:
        if left and record.epoch == left[0]:
            left.pop(0)
            raise _StopError

    return tell


def train(toy: Toy, folder: Path, *, folds: tuple[int, ...] = (0,), **changes: Any) -> Run:  # noqa: ANN401 - settings of any type
    told = {name: changes.pop(name) for name in ("on_epoch", "shared") if name in changes}
    manifest, split, pixels = toy
    settings = replace(QUICK_SEGMENTER, **changes)
    return train_run(manifest, split, settings, folder, options=RunOptions(folds=folds, pixels=pixels, **told))


def without_time(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in history]


@pytest.fixture(scope="module")
def learnt(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Fold 0 trained long enough to see something."""
    return train(toy, tmp_path_factory.mktemp("learnt") / "run", epochs=12, batch=4)


def test_a_hybrid_learns_a_toy_problem_better_than_chance(learnt: Run) -> None:
    fold = learnt.folds[0]
    assert (fold.state, fold.error) == ("done", "")
    assert fold.history[-1].train_loss < fold.history[0].train_loss / 2
    table = fold.counts.of(part="test", output="lesion").counts.table.sum(axis=0)  # type: ignore[union-attr]
    hits, extra, missed, clear = table.tolist()
    chance = (hits + missed) / table.sum()  # F1 of predicting everything is below twice this
    assert 2 * hits / (2 * hits + extra + missed) > max(0.5, 3 * chance)
    assert clear > 0
    bone = fold.counts.of(part="test", output="bone").counts.table.sum(axis=0)  # type: ignore[union-attr]
    assert 2 * bone[0] / (2 * bone[0] + bone[1] + bone[2]) > 0.7


def test_the_best_epoch_is_kept_and_told(learnt: Run) -> None:
    fold = learnt.folds[0]
    values = [record.measures["lesion_f1"] for record in fold.history]
    assert fold.monitored == max(values)
    assert fold.best_epoch == values.index(max(values)) + 1
    assert not (fold.folder / "last.ckpt").exists()
    assert without_time(read_history(fold.folder / "history.csv")) == without_time(fold.history)
    assert [record.head_rate for record in fold.history] == [0.01] * 4 + [0.005] * 4 + [0.001] * 4
    # what monitored the training is what is evaluated afterwards
    validation = fold.counts.of(part="validation", output="lesion").counts.table.sum(axis=0)  # type: ignore[union-attr]
    assert 2 * validation[0] / (2 * validation[0] + validation[1] + validation[2]) == pytest.approx(fold.monitored)


def test_counts_equal_a_slow_reference(toy: Toy, learnt: Run) -> None:
    manifest, split, pixels = toy
    network = kept_network(learnt.settings, learnt.folds[0].weights)
    rows = split.rows(manifest, 0)
    counts = learnt.counts()
    for part in ("validation", "test"):
        for row in getattr(rows, part):
            with torch.inference_mode():
                maps = network(torch.from_numpy(pixels.crops(np.array([row])))[None]).sigmoid()[0]
            for name, found in zip(("lesion", "bone"), maps, strict=True):
                truth, expected = pixels.masks[name][row], [0, 0, 0, 0]
                for r in range(truth.shape[0]):
                    for c in range(truth.shape[1]):
                        predicted = float(found[r, c]) >= 0.5
                        expected[[[3, 1], [2, 0]][int(truth[r, c])][int(predicted)]] += 1
                kept = counts.of(part=part, output=name)
                index = kept.image.tolist().index(manifest.rows[int(row)].image)
                assert kept.counts.table[index].tolist() == expected
                assert kept.patient[index] == manifest.rows[int(row)].patient
    assert len(counts) == 2 * (len(rows.validation) + len(rows.test))


def test_sweeps_hold_the_counts_at_every_threshold(toy: Toy, learnt: Run) -> None:
    fold = learnt.folds[0]
    manifest, split, pixels = toy
    rows = split.rows(manifest, 0).validation
    with torch.inference_mode():
        maps = kept_network(learnt.settings, fold.weights)(torch.from_numpy(pixels.crops(rows))[:, None]).sigmoid()
    for sweep in read_sweeps(fold.folder):
        found = maps[:, ("lesion", "bone").index(sweep.output)].numpy()
        truth = pixels.masks[sweep.output][rows]
        for index in (0, 30, 49, 98):
            predicted = found >= sweep.thresholds[index]
            expected = [
                (truth & predicted).sum(),
                (~truth & predicted).sum(),
                (truth & ~predicted).sum(),
                (~truth & ~predicted).sum(),
            ]
            assert sweep.table[index].tolist() == pytest.approx(expected, abs=2)  # another batch rounds otherwise
        at_half = fold.counts.of(part="validation", output=sweep.output).counts.table.sum(axis=0)  # type: ignore[union-attr]
        assert sweep.table[49].tolist() == at_half.tolist()
        assert sweep.f1.max() == sweep.f1[round(sweep.best * 100) - 1]


def test_an_interrupted_training_ends_with_the_same_bits(toy: Toy, tmp_path: Path) -> None:
    whole = train(toy, tmp_path / "whole", augments=True, epochs=3)
    for epoch in (1, 2):
        with pytest.raises(_StopError):
            train(toy, tmp_path / "parts", augments=True, epochs=3, on_epoch=stop_after(epoch))
        assert read_run(tmp_path / "parts").folds[0].state == "running"
    again = train(toy, tmp_path / "parts", augments=True, epochs=3)
    assert again.folds[0].weights.read_bytes() == whole.folds[0].weights.read_bytes()
    assert without_time(again.folds[0].history) == without_time(whole.folds[0].history)
    assert (again.folds[0].folder / "counts.csv").read_bytes() == (whole.folds[0].folder / "counts.csv").read_bytes()


def test_a_kill_while_writing_leaves_the_epoch_before(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(toy, tmp_path / "whole")
    calls: list[Path] = []
    real = engine._write

    def dies(path: Path, data: bytes) -> None:
        calls.extend([path] if path.name == "last.ckpt" else [])
        if len(calls) == 2:
            raise _StopError  # best.safetensors of epoch 2 is written, its checkpoint is not
        real(path, data)

    monkeypatch.setattr(engine, "_write", dies)
    with pytest.raises(_StopError):
        train(toy, tmp_path / "parts")
    monkeypatch.undo()
    again = train(toy, tmp_path / "parts")
    assert again.folds[0].weights.read_bytes() == whole.folds[0].weights.read_bytes()
    assert [record.epoch for record in again.folds[0].history] == [1, 2, 3]


def test_a_done_fold_is_not_trained_again_and_the_run_reads_back(toy: Toy, learnt: Run) -> None:
    before = learnt.folds[0].weights.stat().st_mtime_ns
    again = train(toy, learnt.folder, epochs=12, batch=4)
    assert again.folds[0].weights.stat().st_mtime_ns == before
    assert [fold.state for fold in again.folds] == ["done", "absent", "absent", "absent"]
    assert not again.is_complete
    assert again.document["device"] == "cpu"
    assert again.classes == ("lesion", "bone")


def test_other_settings_or_data_are_refused(toy: Toy, learnt: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rates .* there"):
        train(toy, learnt.folder, epochs=12, batch=4, rates=(0.5,))
    manifest, split, pixels = toy
    other = toy_split(manifest, folds=3)
    with pytest.raises(InputError, match="another split"):
        train((manifest, other, pixels), learnt.folder, epochs=12, batch=4)
    # masks that were drawn anew in the same files are other data
    with pytest.raises(_StopError):
        train(toy, tmp_path / "run", on_epoch=stop_after(1))
    lesion = pixels.masks["lesion"]
    thinner = replace(pixels, masks={**pixels.masks, "lesion": lesion & (np.indices(lesion.shape)[1] % 2 == 0)})
    run = train((manifest, split, thinner), tmp_path / "run")
    assert "other settings or data" in run.failed[0].error


def test_a_loss_that_is_not_a_number_is_told_with_advice_and_the_best_epoch_stays(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = SegmentLearner.loss, []

    def breaks(self: SegmentLearner, batch: Batch) -> torch.Tensor:
        calls.append(batch)
        return real(self, batch) * (float("nan") if len(calls) > 6 else 1.0)

    monkeypatch.setattr(SegmentLearner, "loss", breaks)
    run = train(toy, tmp_path / "run")
    fold = run.failed[0]
    assert "lower the rates" in fold.error
    assert "epoch" in fold.error
    assert fold.weights.exists()
    assert fold.history
    with pytest.raises(InputError, match="train it first"):
        run.counts()


def test_one_map_networks_and_the_last_epoch(toy: Toy, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    # a network without a bone map needs none
    without_bone = replace(pixels, masks={**pixels.masks, "bone": np.zeros_like(pixels.masks["bone"])})
    run = train((manifest, split, without_bone), tmp_path / "run", architecture="unet", epochs=2, selection="last")
    fold = run.folds[0]
    assert fold.best_epoch == 2
    assert set(run.counts().output.tolist()) == {"lesion"}
    assert {tuple(record.measures) for record in fold.history} == {("lesion_f1",)}
    two = train((manifest, split, without_bone), tmp_path / "two")
    assert "no pixel of bone" in two.failed[0].error


def test_a_fold_learns_from_its_validation_part_where_that_is_asked(toy: Toy, tmp_path: Path) -> None:
    manifest, split, _ = toy
    rows = split.rows(manifest, 0)
    shown: set[int] = set()
    real = SegmentLearner.loss

    def noted(self: SegmentLearner, batch: Batch) -> torch.Tensor:
        shown.update(batch[2].tolist())
        return real(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentLearner, "loss", noted)
        run = train(toy, tmp_path / "run", epochs=1, selection="last", joins_validation=True)
    fold = run.folds[0]
    assert (fold.state, fold.error) == ("done", "")
    assert shown == {*rows.train.tolist(), *rows.validation.tolist()}
    assert fold.images["train"] == len(rows.train) + len(rows.validation)
    assert fold.images["of them validation"] == len(rows.validation)
    assert set(run.counts().part.tolist()) == {"test"}
    assert read_sweeps(fold.folder) == ()
    assert "learnt from its validation part" in run.counts().warnings[-1]
    # a run of before, whose settings say nothing of it, goes on
    kept = json.loads((tmp_path / "run" / "settings.json").read_text(encoding="utf-8"))
    del kept["settings"]["joins_validation"]
    (tmp_path / "run" / "settings.json").write_text(json.dumps(kept), encoding="utf-8")
    assert not read_run(tmp_path / "run").settings.joins_validation


def test_neighbours_and_views_are_those_of_the_manifest(tmp_path: Path) -> None:
    dataset = read_manifest(write_toy_dataset(tmp_path / "data", patients=4, each=3))
    rows = tuple(
        replace(row, series=row.patient, extra={"slice": str(index % 3), "view": "0.25 1 0 0.75"})
        for index, row in enumerate(dataset.rows)
    )
    manifest, settings = Manifest(dataset.folder, rows), segmenter(image_size=32, neighbours=1)
    pixels = SEGMENT.load(manifest, settings, None)
    assert pixels.around is not None
    assert pixels.around[:3].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    shown = pixels.shown(np.array([1]))[0]
    assert not shown[:, :8].any()
    assert not shown[:, :, 24:].any()
    assert np.array_equal(shown[:, 8:, :24], pixels.crops(np.array([0, 1, 2]))[:, 8:, :24])
    assert SEGMENT.load(manifest, segmenter(image_size=32), None).around is None


def test_a_network_learns_from_neighbours_within_drawn_views(toy: Toy, tmp_path: Path) -> None:
    manifest, split, pixels = toy
    rows = np.arange(len(manifest)).reshape(-1, 3)
    around = np.stack([rows[:, [0, 0, 1]], rows[:, [0, 1, 2]], rows[:, [1, 2, 2]]], axis=1).reshape(-1, 3)
    views = np.tile((0.1, 0.9, 0.1, 0.9), (len(manifest), 1))
    part = manifest, split, replace(pixels, around=around, views=views)
    how = {"neighbours": 1, "margin": 0.2, "augments": True, "intensity": 0.1, "scaling": 0.1}
    run = train(part, tmp_path / "run", epochs=3, **how)  # type: ignore[arg-type]
    fold = run.folds[0]
    assert (fold.state, fold.error) == ("done", "")
    assert fold.history[-1].train_loss < fold.history[0].train_loss
    shown = torch.from_numpy(part[2].shown(np.arange(2)))
    with torch.inference_mode():
        maps = kept_network(run.settings, fold.weights)(shown)
        assert maps.shape == (2, 2, 32, 32)
        assert torch.equal(stored_network(run.settings, fold)(shown), maps)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_come_last_in_memory_and_change_rounding_alone(toy: Toy, channels: int) -> None:
    _, _, pixels = toy
    settings = segmenter(architecture="unet_small", channels=channels, image_size=32)
    network = Segmenter(SEGMENTERS["unet_small"], in_channels=channels).double()
    laid: list[bool] = []
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3):
            part.register_forward_hook(lambda _, __, out: laid.append(out.stride(1) == 1))
    rows = np.arange(4)
    images = torch.from_numpy(pixels.crops(rows))[:, None].double()
    masks = torch.from_numpy(pixels.outlined(("lesion", "bone"), rows))
    SegmentLearner(network, settings, monitors="lesion").loss((images, masks, torch.from_numpy(rows))).backward()
    found = [value.grad for value in network.parameters()]
    assert laid
    assert all(laid)
    assert all(value.is_contiguous() for value in network.state_dict().values())
    network.zero_grad(set_to_none=True)
    plain = network(images.expand(-1, channels, -1, -1).contiguous())
    assert not laid[-1]
    map_loss(plain, masks[:, :1], settings, map_weights(settings, ("lesion",))).backward()
    for one, value in zip(found, network.parameters(), strict=True):
        assert one is not None
        assert value.grad is not None
        assert torch.allclose(one, value.grad, rtol=1e-6, atol=1e-9)


def test_side_heads_that_no_loss_reaches_are_not_trained(small: Toy, tmp_path: Path) -> None:
    run = train(small, tmp_path / "run", architecture="attunetpp", epochs=1, image_size=16)
    from safetensors import safe_open

    with safe_open(run.folds[0].weights, framework="np") as file:
        assert not [name for name in file.keys() if "side_heads" in name]  # noqa: SIM118 - no dictionary


def test_equal_draws_show_as_many_slices_with_a_lesion_as_without(tmp_path: Path) -> None:
    from osteon.train.images import epoch_rows

    manifest, pixels = toy_slices(each=4, normal_every=4)
    toy = manifest, toy_split(manifest), pixels
    run = train(toy, tmp_path / "run", images_per_epoch=8, draw="equal", epochs=1)
    assert run.folds[0].state == "done"
    has_lesion = np.asarray(pixels.areas("lesion") > 0).astype(np.int64)
    assert has_lesion.mean() == 0.75
    drawn = epoch_rows(np.arange(len(manifest)), has_lesion, epoch=0, seed=1, images_per_epoch=8)
    assert has_lesion[drawn].mean() == 0.5


@pytest.fixture(scope="module")
def small(toy: Toy) -> Toy:
    """The same in 16 x 16 pixels, for large networks."""
    return toy[0], toy[1], middle(toy[2])


@pytest.mark.parametrize(("mask", "on"), [("hard", "predicted"), ("soft", "true")])
def test_a_pair_trains_its_bone_network_first_and_shares_it(small: Toy, tmp_path: Path, mask: str, on: str) -> None:
    shared = tmp_path / "bone"
    changes: dict[str, Any] = {
        "epochs": 1,
        "image_size": 16,
        "pair_mask": mask,
        "pair_trains_on": on,
        "shared": shared,
    }
    first = train(small, tmp_path / "first", architecture="unet_then_attunet", **changes)
    assert first.folds[0].state == "done", first.folds[0].error
    bones = list(shared.glob("unet-0-*.safetensors"))
    assert len(bones) == 1
    written = bones[0].stat().st_mtime_ns
    second = train(small, tmp_path / "second", architecture="unet_then_unetpp", **changes)
    assert second.folds[0].state == "done", second.folds[0].error
    assert [file.stat().st_mtime_ns for file in shared.glob("unet-0-*.safetensors")] == [written]
    # the pair that is kept holds the shared bone network, and was evaluated with it
    pair = kept_network(second.settings, second.folds[0].weights)
    from safetensors.torch import load_file

    for name, value in load_file(bones[0]).items():
        assert torch.equal(pair.state_dict()[f"bone.{name}"], value)
    assert set(second.counts().output.tolist()) == {"lesion", "bone"}


def test_a_pair_goes_on_in_its_second_network(small: Toy, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"architecture": "unet_then_attunet", "epochs": 2, "image_size": 16}
    whole = train(small, tmp_path / "whole", **changes)
    with pytest.raises(_StopError):
        train(small, tmp_path / "parts", on_epoch=stop_after(2), **changes)  # the last epoch of the bone network
    with pytest.raises(_StopError):
        train(small, tmp_path / "parts", on_epoch=stop_after(1), **changes)  # the first of the lesion network
    again = train(small, tmp_path / "parts", **changes)
    assert again.folds[0].weights.read_bytes() == whole.folds[0].weights.read_bytes()


def test_a_full_disk_ends_the_run(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        del path, data
        raise OutputError("the disk is full")

    monkeypatch.setattr(engine, "_write", full)
    with pytest.raises(OutputError):
        train(toy, tmp_path / "run", folds=(0, 1))
    assert read_run(tmp_path / "run").folds[1].state == "absent"


def test_counts_come_back_from_their_file(learnt: Run, tmp_path: Path) -> None:
    counts = learnt.counts()
    shutil.copy(learnt.folds[0].folder / "counts.csv", tmp_path)
    found = read_counts(tmp_path / "counts.csv")
    assert np.array_equal(found.counts.table, counts.counts.table)
    for name in ("image", "patient", "fold", "part", "output"):
        assert np.array_equal(getattr(found, name), getattr(counts, name))
    (tmp_path / "counts.csv").write_text("image,tp\na,1\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_counts(tmp_path / "counts.csv")
    with pytest.raises(InputError, match="at least one fold"):
        SegmentCounts.joined([])


_PROGRAM = """
import json, sys
from pathlib import Path
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.train.objectives import settings_of
from osteon.train.run import RunOptions, train_run

data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), settings_of(json.loads(sys.argv[3]))
train_run(read_manifest(data), read_split(data), settings, out, options=RunOptions(folds=[0]))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("processes") / "toy")


def test_a_killed_training_goes_on_to_the_same_bits(dataset: Path, tmp_path: Path) -> None:
    settings = replace(QUICK_SEGMENTER, epochs=12, augments=True)
    words = [sys.executable, "-c", _PROGRAM, str(dataset), str(tmp_path / "killed"), json.dumps(settings.document())]
    process = subprocess.Popen(words)
    history = tmp_path / "killed" / "fold-0" / "history.csv"
    try:
        deadline = time.monotonic() + 240
        while len(read_history(history)) < 2:
            assert process.poll() is None, "the training ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    assert 2 <= len(read_history(history)) < 12
    manifest, split = read_manifest(dataset), read_split(dataset)
    options = RunOptions(folds=[0])
    whole = train_run(manifest, split, settings, tmp_path / "whole", options=options)
    again = train_run(manifest, split, settings, tmp_path / "killed", options=options)
    assert again.folds[0].weights.read_bytes() == whole.folds[0].weights.read_bytes()


@pytest.mark.slow
def test_two_processes_learn_and_judge_by_all_images(dataset: Path, tmp_path: Path) -> None:
    settings = replace(QUICK_SEGMENTER, devices=2, epochs=8)
    told: list[EpochRecord] = []
    options = RunOptions(folds=[0], cache=tmp_path / "cache", on_epoch=lambda _, record: told.append(record))
    run = train_run(read_manifest(dataset), read_split(dataset), settings, tmp_path / "run", options=options)
    fold = run.folds[0]
    assert fold.state == "done", fold.error
    assert told == list(fold.history)
    assert fold.history[-1].train_loss < fold.history[0].train_loss
    hits, extra, missed, _ = run.counts().of(part="validation", output="lesion").counts.table.sum(axis=0).tolist()
    assert 2 * hits / (2 * hits + extra + missed) == pytest.approx(fold.monitored)
