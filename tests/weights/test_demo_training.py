"""The statistics that the demo model's card reports."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_demo_ct_osteosarcoma.py"


@pytest.fixture(scope="module")
def training() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_demo_ct_osteosarcoma", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:  # dataclasses look their module up
        patch.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


def test_auc_is_the_share_of_ordered_pairs(training: ModuleType) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(60) < 0.3
    score = generator.integers(0, 8, 60).astype(np.float32)  # many ties
    pairs = [(p > n) + 0.5 * (p == n) for p in score[truth] for n in score[~truth]]
    assert training.roc_auc(truth, score) == pytest.approx(np.mean(pairs))
    assert math.isnan(training.roc_auc(np.ones(3, bool), np.ones(3, np.float32)))


def test_wilson_interval_against_a_printed_example(training: ModuleType) -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611
    assert training.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert training.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert training.wilson(0, 0) is None


def test_bootstrap_draws_patients(training: ModuleType) -> None:
    values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    low, high = training.patient_bootstrap(lambda chosen: float(np.mean([values[i] for i in chosen])), 8, seed=0)
    spread = np.std(values) / math.sqrt(8)
    assert (low, high) == pytest.approx((3.5 - 1.96 * spread, 3.5 + 1.96 * spread), abs=0.15)
    assert training.patient_bootstrap(lambda _: 1.0, 8, seed=0) is None


def test_temperature_undoes_a_known_overconfidence(training: ModuleType) -> None:
    generator = np.random.default_rng(1)
    margin = generator.normal(0, 2, 20_000)
    truth = generator.random(20_000) < 1 / (1 + np.exp(-margin))
    logits = np.column_stack([np.zeros_like(margin), 3 * margin]).astype(np.float32)
    assert training.fit_temperature(logits, truth) == pytest.approx(3.0, rel=0.05)


def test_augmented_slices_stay_in_range_and_follow_the_seed(training: ModuleType) -> None:
    import torch

    images = torch.rand(6, 1, 32, 32)
    first, again = (training.augment(images, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == images.shape
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.equal(first, images)


def test_scores_of_the_legs_are_counted_by_hand(training: ModuleType) -> None:
    def leg(phantom: int, truth: list[int], smoothed: list[float]) -> object:
        values = np.array(smoothed, dtype=np.float32)
        return training.Scored(phantom, np.array(truth, dtype=bool), values, values)

    legs = [
        leg(1, [0, 1, 1, 0], [0.1, 0.96, 0.99, 0.1]),  # found
        leg(1, [0, 0, 0, 0], [0.1, 0.1, 0.97, 0.1]),  # healthy, called
        leg(2, [1, 1, 0, 0], [0.1, 0.2, 0.1, 0.99]),  # missed: the run lies elsewhere
        leg(2, [0, 0, 0, 0], [0.0, 0.0, 0.0, 0.94]),  # healthy, quiet
    ]
    found, quiet = training.leg_results(legs, "by hand")
    assert (found["value"], quiet["value"]) == (0.5, 0.5)
    by_metric = {row["metric"]: row for row in training.slice_results(legs, "by hand", 0)}
    assert by_metric["sensitivity, slices, smoothed >= 0.95"]["value"] == 0.5  # 2 of 4
    assert by_metric["specificity, slices, smoothed >= 0.95"]["value"] == round(10 / 12, 4)
    assert {row["patients"] for row in by_metric.values()} == {2}
