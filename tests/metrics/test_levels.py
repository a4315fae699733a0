"""From images to groups, against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.levels import HOW, aggregate

PLAIN: dict[str, Callable[[list[float]], Any]] = {
    "max": max,
    "mean": np.mean,
    "top3": lambda values: np.mean(sorted(values)[-3:]),
}


@pytest.mark.parametrize("how", HOW)
def test_groups_agree_with_a_plain_loop(how: str) -> None:
    rng = np.random.default_rng(3)
    groups = rng.choice([f"s{i}" for i in range(40)], 200)
    truth, score = rng.random(200) < 0.1, np.round(rng.random((2, 200)), 1)
    joined = aggregate(groups, truth, score, how)
    assert joined.groups.tolist() == sorted(set(groups.tolist()))
    for place, name in enumerate(joined.groups):
        own = np.flatnonzero(groups == name)
        assert joined.truth[place] == truth[own].any()
        assert (joined.sizes[place], joined.first[place]) == (own.size, own[0])
        for model in range(2):
            assert joined.score[model, place] == pytest.approx(PLAIN[how](score[model, own].tolist()), abs=1e-12)


def test_a_group_of_one_keeps_its_image() -> None:
    for how in HOW:
        joined = aggregate([7, 3], [1, 0], [0.9, 0.2], how)
        assert (joined.groups.tolist(), joined.truth.tolist(), joined.score.tolist()) == (
            [3, 7],
            [False, True],
            [0.2, 0.9],
        )


def test_bad_input_is_told() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'mean'"):
        aggregate([1], [1], [0.5], "meen")
    with pytest.raises(InputError, match="one group per image"):
        aggregate([1], [1, 0], [0.5, 0.2])
