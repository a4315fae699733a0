"""Segmenters trained by two processes, and by one that is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.train.history import read_epochs
from osteon.train.segmentation.history import SegmentEpoch
from osteon.train.segmentation.run import SegmentOptions, train_segmenters
from osteon.train.segmentation.settings import SegmentSettings
from tests.train.segmentation.toy_slices import QUICK_SEGMENTER, write_toy_dataset

_PROGRAM = """
import json, sys
from pathlib import Path
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.train.segmentation.run import SegmentOptions, train_segmenters
from osteon.train.segmentation.settings import SegmentSettings

data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), SegmentSettings.of(json.loads(sys.argv[3]))
train_segmenters(read_manifest(data), read_split(data), settings, out, options=SegmentOptions(folds=[0]))
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
        while len(read_epochs(history, SegmentEpoch.of)) < 2:
            assert process.poll() is None, "the training ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    assert 2 <= len(read_epochs(history, SegmentEpoch.of)) < 12
    manifest, split = read_manifest(dataset), read_split(dataset)
    options = SegmentOptions(folds=[0])
    whole = train_segmenters(manifest, split, settings, tmp_path / "whole", options=options)
    again = train_segmenters(manifest, split, settings, tmp_path / "killed", options=options)
    assert again.folds[0].weights.read_bytes() == whole.folds[0].weights.read_bytes()


@pytest.mark.slow
def test_two_processes_learn_and_judge_by_all_images(dataset: Path, tmp_path: Path) -> None:
    settings: SegmentSettings = replace(QUICK_SEGMENTER, devices=2, epochs=8)
    told: list[SegmentEpoch] = []
    options = SegmentOptions(folds=[0], cache=tmp_path / "cache", on_epoch=lambda _, record: told.append(record))
    run = train_segmenters(read_manifest(dataset), read_split(dataset), settings, tmp_path / "run", options=options)
    fold = run.folds[0]
    assert fold.state == "done", fold.error
    assert told == list(fold.history)
    assert fold.history[-1].train_loss < fold.history[0].train_loss
    hits, extra, missed, _ = run.counts().of(part="validation", output="lesion").counts.table.sum(axis=0).tolist()
    assert 2 * hits / (2 * hits + extra + missed) == pytest.approx(fold.validation_f1)
