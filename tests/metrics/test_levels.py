"""From images to groups, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.metrics.classification import aggregate


def test_groups_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    groups = rng.choice([f"s{i}" for i in range(40)], 200)
    truth, score = rng.random(200) < 0.1, np.round(rng.random((2, 200)), 1)
    joined = aggregate(groups, truth, score)
    assert joined.groups.tolist() == sorted(set(groups.tolist()))
    for place, name in enumerate(joined.groups):
        own = np.flatnonzero(groups == name)
        assert joined.truth[place] == truth[own].any()
        assert (joined.sizes[place], joined.first[place]) == (own.size, own[0])
        for model in range(2):
            assert joined.score[model, place] == max(score[model, own].tolist())


def test_a_group_of_one_keeps_its_image() -> None:
    joined = aggregate([7, 3], [1, 0], [0.9, 0.2])
    assert (joined.groups.tolist(), joined.truth.tolist(), joined.score.tolist()) == ([3, 7], [False, True], [0.2, 0.9])


def test_bad_input_is_reported() -> None:
    with pytest.raises(InputError, match="one group per image"):
        aggregate([1], [1, 0], [0.5, 0.2])
