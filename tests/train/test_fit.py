"""A fold is trained as its strategy says, survives interruption bit for bit, and says what stops it."""

from __future__ import annotations

import errno
import io
import json
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
from osteon.errors import BackendError, InputError, OutputError, TrainingError, WeightsError
from osteon.io.predictions_file import read_predictions
from osteon.metrics.classification import roc_auc
from osteon.nets import build_network
from osteon.predict.predictor import Predictor, grey_crops
from osteon.train.engine import FoldModule, load_weights
from osteon.train.images import Batch
from osteon.train.objectives.classify import CLASSIFY, ClassLearner
from osteon.train.run import RunOptions, train_run
from osteon.train.run_folder import EpochRecord, read_fold, read_history
from osteon.train.settings import ClassifySettings
from tests.train.quick import QUICK, fit


def without_time(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in history]


class _StopError(Exception):
    """An interruption."""


def stop_after(epoch: int) -> Callable[[int, EpochRecord], None]:
    def tell(_: int, record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise _StopError

    return tell


def test_a_fold_learns_and_keeps_its_best_epoch(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    settings = replace(QUICK, epochs=4)
    result = fit(manifest, split, 0, settings, tmp_path / "f", progress=lambda *step: told.append(step))
    aucs = [record.monitored for record in result.history]
    assert result.state == "done"
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert result.monitored == max(aucs) > 0.8
    assert result.best_epoch == aucs.index(max(aucs)) + 1
    assert ("fold 0: epochs", 4, 4) in told
    assert not (tmp_path / "f" / "last.ckpt").exists()

    predictions = read_predictions(tmp_path / "f" / "predictions.parquet")
    assert predictions.classes == ("healthy", "tumour")
    validation = predictions.of(part="validation", fold=0)
    rows = split.rows(manifest, 0)
    assert validation.image.tolist() == [manifest.rows[row].image for row in rows.validation]
    assert predictions.of(part="test").image.tolist() == [manifest.rows[row].image for row in rows.test]
    assert len(set(predictions.temperature.tolist())) == 1
    # what is evaluated afterwards by the deployed runtime is what monitored the training
    assert roc_auc(validation.is_positive, validation.probability) == pytest.approx(result.monitored, abs=0.02)


def test_predictions_are_those_of_the_kept_weights(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    result = fit(manifest, split, 0, QUICK, tmp_path / "f")
    network = build_network("densenet_small")
    load_weights(network, result.weights)
    predictor = Predictor.from_networks(network, name="kept", inputs=grey_crops(32), runtime="torch")
    rows = split.rows(manifest, 0).test
    crops = CLASSIFY.load(manifest, QUICK, None).crops(rows)
    assert result.predictions is not None
    found = predictor.scores(crops).logits[:, 0]
    np.testing.assert_allclose(found, result.predictions.of(part="test").logits, atol=1e-5)


def test_a_fold_that_is_done_is_read(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    first = fit(manifest, split, 0, QUICK, tmp_path / "f")
    written = (tmp_path / "f" / "best.safetensors").stat().st_mtime_ns
    again = fit(manifest, split, 0, replace(QUICK, device="auto", workers=1), tmp_path / "f")
    assert (tmp_path / "f" / "best.safetensors").stat().st_mtime_ns == written
    assert again.history == first.history
    with pytest.raises(InputError, match="other settings or data"):
        fit(manifest, split, 0, replace(QUICK, seed=2), tmp_path / "f")
    with pytest.raises(InputError, match="other settings or data"):
        fit(manifest, split, 0, QUICK, tmp_path / "f", drop=split.rows(manifest, 0).train[:1])


@pytest.mark.parametrize(
    "settings",
    [
        replace(QUICK, epochs=4, configuration="FAE", images_per_epoch=16, class_weights="balanced"),
        replace(QUICK, strategy="g-lf", epochs=5, stagnation=1, learning_rate=1e-4),
    ],
    ids=["scratch", "g-lf"],
)
@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_fold_ends_bit_equal(
    manifest: Manifest, split: Split, tmp_path: Path, settings: ClassifySettings, epoch: int
) -> None:
    whole = fit(manifest, split, 1, settings, tmp_path / "whole")
    with pytest.raises(_StopError):
        fit(manifest, split, 1, settings, tmp_path / "parts", on_epoch=stop_after(epoch))
    assert read_fold(tmp_path / "parts", 1).state == "running"
    assert len(read_history(tmp_path / "parts" / "history.csv")) == epoch
    torch.manual_seed(99)  # another process has another generator
    resumed = fit(manifest, split, 1, settings, tmp_path / "parts")
    assert without_time(resumed.history) == without_time(whole.history)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert resumed.predictions is not None
    assert whole.predictions is not None
    assert resumed.predictions.logits.tobytes() == whole.predictions.logits.tobytes()
    assert resumed.predictions.temperature.tolist() == whole.predictions.temperature.tolist()


def test_an_interruption_within_an_epoch_costs_that_epoch_only(
    manifest: Manifest, split: Split, tmp_path: Path
) -> None:
    whole = fit(manifest, split, 0, QUICK, tmp_path / "whole")
    seen = []

    def interrupt(step: str, done: int, total: int) -> None:
        seen.append((step, done))
        if step == "fold 0: images" and done == 2 and ("fold 0: epochs", 1) in seen:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(manifest, split, 0, QUICK, tmp_path / "parts", progress=interrupt)
    resumed = fit(manifest, split, 0, QUICK, tmp_path / "parts")
    assert without_time(resumed.history) == without_time(whole.history)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()


def test_an_interruption_after_the_last_epoch_trains_no_more(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    with pytest.raises(_StopError):
        fit(manifest, split, 0, QUICK, tmp_path / "f", on_epoch=stop_after(3))
    assert len(fit(manifest, split, 0, QUICK, tmp_path / "f").history) == 3


def test_early_stopping_is_remembered_over_an_interruption(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(QUICK, strategy="ft", epochs=9, patience=1)
    monkeypatch.setattr("osteon.metrics.classification.roc_auc", lambda *_: 0.5)
    with pytest.raises(_StopError):
        fit(manifest, split, 0, settings, tmp_path / "f", on_epoch=stop_after(2))
    result = fit(manifest, split, 0, settings, tmp_path / "f")
    assert [record.epoch for record in result.history] == [1, 2]
    assert result.best_epoch == 1


def test_the_network_follows_the_strategy(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients, modes, groups and moments of the real network over a g-lf with a scripted AUC."""
    script = iter([0.5, 0.4, 0.6, 0.4, 0.4])
    monkeypatch.setattr("osteon.metrics.classification.roc_auc", lambda *_: next(script))
    seen: list[dict[str, Any]] = []
    step = FoldModule.training_step

    def noting(self: FoldModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        if batch_idx == 0:
            optimiser = self._optimiser()
            head = self.learner.parts["classifier"][0].get_parameter("weight")
            seen.append(
                {
                    "free": {
                        n
                        for n, parts in self.learner.parts.items()
                        if all(p.requires_grad for q in parts for p in q.parameters())
                    },
                    "training": {
                        n
                        for n, parts in self.learner.parts.items()
                        if all(q.training for p in parts for q in p.modules())
                    },
                    "groups": {group["part"]: group["lr"] for group in optimiser.param_groups},
                    "head_steps": int(optimiser.state[head]["step"]) if head in optimiser.state else 0,
                }
            )
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FoldModule, "training_step", noting)
    settings = replace(QUICK, strategy="g-lf", epochs=5, stagnation=1)
    fit(manifest, split, 0, settings, tmp_path / "f")
    steps = -(-len(split.rows(manifest, 0).train) // settings.batch)
    stages = [
        {"classifier"},
        {"classifier"},
        {"classifier", "denseblock4"},
        {"classifier", "denseblock4"},
        {"classifier", "denseblock4", "transition3"},
    ]
    assert [entry["free"] for entry in seen] == stages
    assert [entry["training"] for entry in seen] == stages
    assert [set(entry["groups"]) for entry in seen] == stages
    assert [entry["head_steps"] for entry in seen] == [steps * epoch for epoch in range(5)]
    assert seen[2]["groups"] == {"classifier": 1e-3, "denseblock4": 1e-3}
    assert seen[4]["groups"]["denseblock4"] == seen[4]["groups"]["transition3"] < 1e-3


def test_frozen_parts_do_not_move(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    """Neither weights nor running statistics."""
    settings = replace(QUICK, strategy="lp-ft", epochs=2, stagnation=9)
    states = []
    for epochs in (1, 2):
        result = fit(manifest, split, 0, replace(settings, epochs=epochs), tmp_path / str(epochs))
        network = build_network("densenet_small")
        load_weights(network, result.weights)
        states.append(network.state_dict())
    fresh = [name for name in states[0] if not name.startswith("classifier")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in fresh)
    assert int(states[0]["features.norm0.num_batches_tracked"]) == 0


def test_seeds_decide(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    results = [
        fit(manifest, split, 0, replace(QUICK, epochs=1, seed=seed), tmp_path / f"{number}")
        for number, seed in enumerate((1, 1, 2))
    ]
    weights = [result.weights.read_bytes() for result in results]
    assert weights[0] == weights[1] != weights[2]
    assert torch.equal(before, torch.get_rng_state())  # a training leaves the caller's generator alone
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_is_not_a_number_names_epoch_rate_and_advice(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = ClassLearner.loss, []

    def poisoned(self: ClassLearner, batch: Batch) -> torch.Tensor:
        calls.append(batch)
        return step(self, batch) * (float("nan") if len(calls) > steps else 1.0)

    steps = -(-len(split.rows(manifest, 0).train) // QUICK.batch)
    monkeypatch.setattr(ClassLearner, "loss", poisoned)
    with pytest.raises(TrainingError, match=r"epoch 2, step 1 is nan at learning rate 0\.001 .*lower learning_rate"):
        fit(manifest, split, 0, QUICK, tmp_path / "f")
    found = read_fold(tmp_path / "f", 0)
    assert found.state == "failed"
    assert "epoch 2" in found.error
    assert (found.best_epoch, len(found.history)) == (1, 1)
    monkeypatch.undo()
    assert fit(manifest, split, 0, QUICK, tmp_path / "f").state == "done"


def test_weights_that_left_the_range_are_reported(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    settings = replace(QUICK, learning_rate=1e30)
    with pytest.raises(TrainingError, match="lower learning_rate"):
        fit(manifest, split, 0, settings, tmp_path / "f")


def test_a_full_disk_leaves_the_checkpoint_before(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(manifest, split, 0, QUICK, tmp_path / "whole")
    folder = tmp_path / "f"
    with pytest.raises(_StopError):
        fit(manifest, split, 0, QUICK, folder, on_epoch=stop_after(1))
    kept = {name: (folder / name).read_bytes() for name in ("last.ckpt", "best.safetensors", "history.csv")}
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if len(data) > 10_000:
            write(self, data[:10_000])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        fit(manifest, split, 0, QUICK, folder)
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert not list(folder.glob(".osteon-*"))
    assert read_fold(folder, 0).state == "failed"
    monkeypatch.undo()
    resumed = fit(manifest, split, 0, QUICK, folder)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()


@pytest.mark.parametrize(
    ("raised", "is_memory"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (RuntimeError("You set `--ntasks=2` in your SLURM bash script"), False),
    ],
)
def test_torch_that_gives_up_is_a_failed_fold_and_less_memory_is_a_hint_for_memory_alone(
    manifest: Manifest,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    is_memory: bool,
) -> None:
    def give_up(*_: object) -> None:
        raise raised

    monkeypatch.setattr(ClassLearner, "loss", give_up)
    with pytest.raises(TrainingError, match="OSTEON_DEBUG=1") as told:
        fit(manifest, split, 0, QUICK, tmp_path / "f")
    assert ("smaller batch" in str(told.value)) == is_memory
    assert read_fold(tmp_path / "f", 0).state == "failed"


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NAME": "t"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"},
        {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "x"},
        {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
    ],
)
def test_variables_of_a_cluster_change_nothing_for_one_process(
    manifest: Manifest,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = replace(QUICK, epochs=1)
    found = fit(manifest, split, 0, settings, tmp_path / "there")
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    plain = fit(manifest, split, 0, settings, tmp_path / "plain")
    assert found.weights.read_bytes() == plain.weights.read_bytes()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_the_training(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cuda:0 was asked for"):
        fit(manifest, split, 0, replace(QUICK, device="cuda"), tmp_path / "f")
    with pytest.raises(BackendError, match="needs a GPU"):
        fit(manifest, split, 0, replace(QUICK, precision="16-mixed"), tmp_path / "g")


def test_bfloat16_learns_too_and_keeps_float32_weights(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    result = fit(manifest, split, 0, replace(QUICK, precision="bf16-mixed"), tmp_path / "f")
    assert result.history[-1].train_loss < result.history[0].train_loss
    network = build_network("densenet_small")
    load_weights(network, result.weights)
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_loader_processes_change_nothing(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    settings = replace(QUICK, configuration="CA", epochs=1)
    alone = fit(manifest, split, 0, settings, tmp_path / "alone")
    helped = fit(manifest, split, 0, replace(settings, workers=1), tmp_path / "helped")
    assert alone.weights.read_bytes() == helped.weights.read_bytes()


def test_dropped_rows_leave_the_training_part_only(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    rows = split.rows(manifest, 0)
    drop = np.concatenate([rows.train[:4], rows.validation[:3], rows.test[:2]])
    result = fit(manifest, split, 0, replace(QUICK, epochs=1), tmp_path / "f", drop=drop)
    assert result.images["train"] == len(rows.train) - 4
    assert result.images["dropped"] == 4
    assert (result.images["validation"], result.images["test"]) == (len(rows.validation), len(rows.test))


def test_a_class_that_is_missing_in_a_part_is_named(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    rows = split.rows(manifest, 0).train
    tumours = rows[manifest.truth("tumour")[rows]]
    with pytest.raises(InputError, match="no image labelled tumour in its train part"):
        fit(manifest, split, 0, QUICK, tmp_path / "f", drop=tumours)
    with pytest.raises(InputError, match="folds 0 to 1"):
        fit(manifest, split, 2, QUICK, tmp_path / "f")


def test_damaged_weights_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"\x08")
    with pytest.raises(WeightsError, match="train the fold again"):
        load_weights(build_network("densenet_small"), path)


_KILLED = """
import json
import sys
from pathlib import Path
from osteon.curation.splits import make_split
from osteon.io.table import read_manifest
from osteon.train.run import RunOptions, train_run
from osteon.train.settings import ClassifySettings
m = read_manifest(Path(sys.argv[1]), positive="tumour")
settings = ClassifySettings.of(json.loads(sys.argv[3]))
train_run(m, make_split(m, folds=2, seed=1), settings, Path(sys.argv[2]), options=RunOptions(folds=[0]))
"""


@pytest.mark.slow
def test_a_killed_fold_goes_on_bit_equal(toy_dataset: Path, manifest: Manifest, split: Split, tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=15)
    history = tmp_path / "killed" / "fold-0" / "history.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(toy_dataset), str(tmp_path / "killed"), json.dumps(settings.document())],
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        deadline = time.monotonic() + 200
        while len(read_history(history)) < 2:
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert read_fold(history.parent, 0).state == "running"
    assert 2 <= len(read_history(history)) < 15
    whole, resumed = (
        train_run(manifest, split, settings, tmp_path / name, options=RunOptions(folds=[0])).folds[0]
        for name in ("whole", "killed")
    )
    assert without_time(resumed.history) == without_time(whole.history)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()


def test_the_checkpoint_holds_plain_values_only(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    """It can be read without running code from it."""
    with pytest.raises(_StopError):
        fit(manifest, split, 0, QUICK, tmp_path / "f", on_epoch=stop_after(1))
    data = io.BytesIO((tmp_path / "f" / "last.ckpt").read_bytes())
    assert len(torch.load(data, weights_only=True)["osteon"]["history"]) == 1


def test_a_perfect_validation_part_makes_no_model_surer(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image right: the likelihood grows without end as the temperature falls, and says nothing."""
    rows = split.rows(manifest, 0)
    truth = manifest.truth("tumour")

    def perfect(*_: object, **__: object) -> dict[str, np.ndarray]:
        return {
            part: np.where(truth[found][:, None], [[-1.0, 1.0]], [[1.0, -1.0]]).astype(np.float32)
            for part, found in (("validation", rows.validation), ("test", rows.test))
        }

    monkeypatch.setattr("osteon.train.objectives.classify._logits", perfect)
    result = fit(manifest, split, 0, replace(QUICK, epochs=1), tmp_path / "f")
    assert result.predictions is not None
    assert set(result.predictions.temperature.tolist()) == {1.0}


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_checkpoint_of_which_a_bit_flipped_is_not_resumed_from(
    place: float, manifest: Manifest, split: Split, tmp_path: Path
) -> None:
    with pytest.raises(_StopError):
        fit(manifest, split, 0, QUICK, tmp_path / "f", on_epoch=stop_after(1))
    file = tmp_path / "f" / "last.ckpt"
    data = bytearray(file.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(TrainingError, match=r"f/last.ckpt is damaged.*delete that file"):
        fit(manifest, split, 0, QUICK, tmp_path / "f")
    file.unlink()
    assert fit(manifest, split, 0, QUICK, tmp_path / "f").state == "done"
