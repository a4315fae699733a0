"""Fitting the limits of a shipped model: only its limits change, and phantoms of its kind are within them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench import out_of_distribution as bench
from osteon.data import Volume
from osteon.geometry import Grid
from osteon.weights import find_card, read_card, read_limits, verify_card
from osteon_phantoms import people
from osteon_phantoms.study import FemurStudy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stem", bench.TASKS)
def test_varied_patients_can_be_drawn(stem: str) -> None:
    task, generator = bench.TASKS[stem], np.random.default_rng(1)
    for person in people(stem, 5, seed=3, options=task.options):
        specs = person.spec if stem == "histology" else (person.spec,)
        for spec in specs:
            assert task.vary(spec, generator) != spec


def test_fitting_changes_the_limits_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(bench.TASKS["mri_femur"], options=FemurStudy(size=96), counts=(12, 20, 3), vary=lambda spec, _: spec)
    monkeypatch.setitem(bench.TASKS, "mri_femur", task)
    bench.fit("mri_femur", tmp_path, tiles=None)
    before, after = find_card(task.model), read_card(tmp_path / task.model)
    assert verify_card(after) < 1e-3
    assert [one.sha256 for one in after.members] == [one.sha256 for one in before.members]
    assert (after.prediction_sets, after.results) == (before.prediction_sets, before.results)
    assert (after.operating_point, after.statement) == (before.operating_point, before.statement)
    assert (after.folder / "claim.md").read_bytes() == (before.folder / "claim.md").read_bytes()
    known = after.out_of_distribution
    assert known is not None
    assert known.false_alarm_rate == pytest.approx(1 / 21)
    assert known.validation_patients == 20
    old, new = read_limits(before), read_limits(after)
    assert old is not None
    assert new is not None
    assert new.spaces[0][0].vectors.shape[0] == 4  # a direction for three of twelve images
    assert new.known.region_threshold != old.known.region_threshold


def test_a_segmenter_that_knew_nothing_of_its_limits_gets_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(
        bench.TASKS["mri_femur"],
        model="hybrid_attunetpp_small.phantom",
        options=FemurStudy(size=96),
        counts=(8, 6, 3),
        vary=lambda spec, _: spec,
    )

    def shown(_: str, person: bench.Person, recorder: bench.Recorder) -> None:
        grey = np.asarray(person.image.array, dtype=np.float32)
        recorder.maps(np.rint(255 * grey / grey.max()).astype(np.uint8)[:, :96, :96])

    monkeypatch.setitem(bench.TASKS, "mri_femur", task)
    monkeypatch.setattr(bench, "show", shown)
    bench.fit("mri_femur", tmp_path, tiles=None)
    before, after = find_card(task.model), read_card(tmp_path / task.model)
    assert read_limits(before) is None
    assert verify_card(after) < 1e-3
    assert [one.sha256 for one in after.members] == [one.sha256 for one in before.members]
    assert after.prediction_sets is None
    assert after.out_of_distribution is not None
    assert after.out_of_distribution.validation_patients == 6


def test_a_phantom_is_within_and_a_chessboard_is_not() -> None:
    person = next(bench.phantoms("mri_femur", 1, seed=4, varied=False))
    assert bench.is_flagged("mri_femur", person.image, person.said) is False
    board = np.kron(np.indices((12, 12)).sum(axis=0) % 2, np.ones((16, 16))).astype(np.float32)[None]
    chess = Volume(board, Grid.from_axes(shape=board.shape, spacing_mm=(4, 1, 1)), modality="MR")
    assert bench.is_flagged("mri_femur", chess, {"box": (60, 60, 120, 120), "slice_number": 1}) is True
