"""A strategy is followed epoch by epoch: what is trained, at which rate, and when it ends."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.train.strategies import EpochPlan, StageMachine, plan_stages
from tests.train.quick import femur, legs
from tests.train.quick import slices as of_slices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osteon.train.settings import ClassifySettings

PARTS = ("stem", "block1", "block2", "head")
ALL = ("head", "block2", "block1", "stem")


def walk(settings: ClassifySettings, aucs: Iterable[float]) -> tuple[list[EpochPlan], StageMachine]:
    """The plans of the epochs that were trained, and the machine after the last."""
    machine, plans = StageMachine(plan_stages(settings, PARTS)), []
    for auc in aucs:
        if machine.is_over:
            break
        plans.append(machine.next_epoch())
        machine.after_epoch([auc])
    return plans, machine


def cosine(epoch: int) -> float:
    return 1e-6 + (1e-5 - 1e-6) * (1 + math.cos(math.pi * epoch / 50)) / 2


def test_ft_trains_everything_on_a_cosine_and_stops_after_five_epochs_without_gain() -> None:
    plans, machine = walk(legs(), [0.5, 0.6, 0.55, 0.7, 0.7, 0.6, 0.69, 0.1, 0.7, 0.9])
    assert len(plans) == 9
    assert machine.state()["best_epoch"] == 4
    assert all(plan.free == ALL for plan in plans)
    assert [plan.backbone_rate for plan in plans] == pytest.approx([cosine(epoch) for epoch in range(9)])
    assert all(plan.head_rate == plan.backbone_rate for plan in plans)


def test_the_cosine_ends_at_its_floor_and_stays() -> None:
    rising = [epoch / 100 for epoch in range(1, 101)]
    plans, machine = walk(legs(), rising)
    assert len(plans) == 75
    assert machine.is_over
    assert plans[0].head_rate == 1e-5
    assert plans[25].head_rate == pytest.approx(5.5e-6)
    assert [plan.head_rate for plan in plans[50:]] == [1e-6] * 25
    rates = [plan.head_rate for plan in plans]
    assert rates == sorted(rates, reverse=True)


def slices(architecture: str, **values: object) -> ClassifySettings:
    return of_slices(architecture=architecture, pretrained="none", **values)


@pytest.mark.parametrize(
    ("architecture", "rates"),
    [
        ("resnext50", [0.01] * 20 + [0.005] * 20 + [0.001] * 20),
        ("vit_tiny", [0.001] * 10 + [0.01] * 10 + [0.001] * 10 + [1e-4] * 40 + [1e-5] * 10),
    ],
)
@pytest.mark.parametrize("strategy", ["ft", "scratch", "lp"])
def test_the_steps_of_the_thesis_are_gone_through_to_the_end(
    architecture: str, strategy: Literal["ft", "scratch", "lp"], rates: list[float]
) -> None:
    plans, machine = walk(slices(architecture, strategy=strategy), [0.7] + [0.6] * 100)
    assert [plan.head_rate for plan in plans] == pytest.approx(rates)
    assert machine.state()["best_epoch"] == 1
    if strategy == "lp":
        assert {(plan.free, plan.backbone_rate) for plan in plans} == {(("head",), 0.0)}
    else:
        assert all(plan.free == ALL and plan.backbone_rate == plan.head_rate for plan in plans)


def test_a_shorter_training_goes_through_the_same_steps() -> None:
    plans, _ = walk(slices("resnext50", epochs=6), [0.5] * 6)
    assert [plan.head_rate for plan in plans] == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.001, 0.001])
    plans, _ = walk(slices("vit_tiny", epochs=8, learning_rate=1e-3, final_rate=5e-6), [0.5] * 8)
    assert [plan.head_rate for plan in plans] == pytest.approx([1e-4, 1e-3, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5, 5e-6])


def test_the_head_alone_is_trained_until_it_stagnates() -> None:
    plans, machine = walk(legs(strategy="lp"), [0.7] + [0.6] * 20)
    assert len(plans) == 6
    assert all(plan.free == ("head",) for plan in plans)
    assert [plan.head_rate for plan in plans] == [1e-3] * 4 + [5e-4] * 2
    assert machine.is_over


def test_steps_follow_the_head_in_lp_ft() -> None:
    plans, _ = walk(slices("resnext50", strategy="lp-ft", epochs=12), [0.7] + [0.6] * 11)
    assert [plan.stage for plan in plans] == ["head"] * 6 + ["all"] * 6
    assert [plan.backbone_rate for plan in plans[6:]] == pytest.approx([0.01] * 4 + [0.005] * 2)


def test_scratch_never_stops_early() -> None:
    plans, machine = walk(legs(strategy="scratch", architecture="resnet18"), [0.9] + [0.1] * 30)
    assert len(plans) == 15
    assert machine.state()["best_epoch"] == 1
    assert {(plan.head_rate, plan.backbone_rate) for plan in plans} == {(1e-5, 1e-5)}


def test_lp_ft_halves_the_head_on_a_plateau_then_goes_on_as_ft() -> None:
    # gain, gain, then five epochs without: the third of them halves the rate, the fifth ends the stage
    plans, machine = walk(legs(strategy="lp-ft"), [0.5, 0.6] + [0.6] * 5 + [0.7] + [0.7] * 9)
    assert [plan.stage for plan in plans] == ["head"] * 7 + ["all"] * 6
    assert [plan.free for plan in plans] == [("head",)] * 7 + [ALL] * 6
    assert [plan.head_rate for plan in plans[:7]] == [1e-3] * 5 + [5e-4] * 2
    assert [plan.backbone_rate for plan in plans[:7]] == [0.0] * 7
    assert [plan.head_rate for plan in plans[7:]] == pytest.approx([cosine(epoch) for epoch in range(6)])
    assert [plan.backbone_rate for plan in plans[7:]] == [plan.head_rate for plan in plans[7:]]
    assert machine.state()["best_epoch"] == 8


def test_the_head_rate_has_a_floor() -> None:
    settings = legs(strategy="lp-ft", plateau_patience=1, stagnation=20, head_rate=1e-5)
    plans, _ = walk(settings, [0.5] * 8)
    assert [plan.head_rate for plan in plans] == [1e-5, 1e-5, 5e-6, 2.5e-6, 1.25e-6, 1e-6, 1e-6, 1e-6]


def test_a_plateau_must_be_three_epochs_in_a_row() -> None:
    plans, _ = walk(legs(strategy="lp-ft"), [0.5, 0.4, 0.4, 0.6, 0.4, 0.4, 0.7, 0.1])
    assert {plan.head_rate for plan in plans} == {1e-3}


def test_g_lf_frees_one_part_from_the_end_each_time_the_auc_stagnates() -> None:
    plans, machine = walk(legs(strategy="g-lf"), [0.5] + [0.4] * 5 + [0.6] + [0.4] * 30)
    free = [plan.free for plan in plans]
    assert free == [ALL[:1]] * 6 + [ALL[:2]] * 6 + [ALL[:3]] * 5 + [ALL] * 5
    assert machine.is_over
    assert machine.state()["best_epoch"] == 7
    # the head keeps its rate from stage to stage and is halved on the third epoch without gain of each
    heads = [plan.head_rate for plan in plans]
    assert heads[:6] == [1e-3] * 4 + [5e-4] * 2
    assert heads[6:12] == [5e-4] * 4 + [2.5e-4] * 2
    # the others share one cosine that begins with the first of them
    assert [plan.backbone_rate for plan in plans[:6]] == [0.0] * 6
    assert [plan.backbone_rate for plan in plans[6:]] == pytest.approx([cosine(epoch) for epoch in range(16)])


def test_the_cap_on_epochs_ends_any_stage() -> None:
    plans, machine = walk(legs(strategy="g-lf", epochs=8), [0.5] * 30)
    assert len(plans) == 8
    assert machine.is_over


@given(
    strategy=st.sampled_from(["ft", "lp-ft", "g-lf"]),
    aucs=st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.6, 0.9]), min_size=1, max_size=60),
    cut=st.integers(0, 59),
)
def test_an_interrupted_machine_goes_on_as_if_it_had_not_been(strategy: str, aucs: list[float], cut: int) -> None:
    settings = legs(strategy=strategy, stagnation=2, patience=3)
    whole, machine = walk(settings, aucs)
    first, halted = walk(settings, aucs[: min(cut, len(whole))])
    again = StageMachine(plan_stages(settings, PARTS))
    again.restore(halted.state())
    rest = []
    for auc in aucs[len(first) : len(whole)]:
        rest.append(again.next_epoch())
        again.after_epoch([auc])
    assert first + rest == whole
    assert again.state() == machine.state()


@given(aucs=st.lists(st.floats(0, 1), min_size=1, max_size=80), strategy=st.sampled_from(["ft", "lp-ft", "g-lf"]))
def test_parts_are_freed_from_the_end_and_never_frozen_again(aucs: list[float], strategy: str) -> None:
    plans, machine = walk(legs(strategy=strategy), aucs)
    for before, after in itertools.pairwise(plans):
        assert after.free[: len(before.free)] == before.free
    assert machine.state()["best_epoch"] == aucs.index(max(aucs[: len(plans)])) + 1


def test_what_is_not_an_auc_is_refused() -> None:
    machine = StageMachine(plan_stages(legs(), PARTS))
    with pytest.raises(InputError, match="nan"):
        machine.after_epoch([math.nan])
    with pytest.raises(InputError, match="no backbone"):
        plan_stages(legs(), ["head"])


def test_a_constant_rate_ends_early() -> None:
    settings = femur(architecture="googlenet", patience=6)
    plans, machine = walk(settings, [0.8, 0.9] + [0.7] * 30)
    assert len(plans) == 2 + 6
    assert machine.state()["best_epoch"] == 2
    assert {(plan.head_rate, plan.backbone_rate) for plan in plans} == {(0.01, 0.01)}
    plans, _ = walk(settings, [0.5 + 0.001 * epoch for epoch in range(100)])
    assert len(plans) == 100
