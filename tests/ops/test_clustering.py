from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from osteon.errors import InputError
from osteon.ops.bone import exact_kmeans


def _slow(counts: list[int], k: int) -> float:
    """Inertia of the best partition, by trying every one."""
    values = np.repeat(np.arange(len(counts)), counts).astype(float)
    distinct = np.unique(values)
    best = np.inf
    for cuts in combinations(distinct[1:], k - 1):
        parts = np.split(values, np.searchsorted(values, cuts))
        best = min(best, sum(float(((p - p.mean()) ** 2).sum()) for p in parts))
    return best


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=11), st.integers(1, 4))
def test_nothing_beats_it(counts: list[int], k: int) -> None:
    counts = [1, *counts, 2, 1, 3]
    means, starts, inertia = exact_kmeans(np.array(counts), clusters=k)
    assert inertia == pytest.approx(_slow(counts, k), abs=1e-9)
    values = np.repeat(np.arange(len(counts)), counts)
    own = np.searchsorted(starts, values, side="right") - 1
    assert float(((values - means[own]) ** 2).sum()) == pytest.approx(inertia, abs=1e-9)


def test_it_equals_the_best_of_many_starts_of_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    sizes = (4000, 1500, 2500, 600, 300)
    tissues = zip((-1000, -100, 50, 250, 900), (20, 40, 30, 80, 200), sizes, strict=True)
    values = np.concatenate([generator.normal(m, s, n) for m, s, n in tissues]).round().astype(int)
    counts = np.bincount(values - values.min())
    means, starts, inertia = exact_kmeans(counts, clusters=5, low=int(values.min()))
    model = KMeans(n_clusters=5, n_init=30, random_state=0, tol=0).fit(values.reshape(-1, 1).astype(float))
    assert inertia == pytest.approx(model.inertia_, rel=1e-9)
    assert np.allclose(means, np.sort(model.cluster_centers_[:, 0]))
    brightest = model.labels_ == np.argmax(model.cluster_centers_[:, 0])
    assert np.array_equal(values >= starts[-1], brightest)


def test_a_tie_goes_to_the_brighter_cluster() -> None:
    # 0, 1, 2 with one each: {0}{1,2} and {0,1}{2} are equally good
    assert exact_kmeans(np.array([1, 1, 1]), clusters=2)[1].tolist() == [0, 1]


def test_fewer_values_than_clusters() -> None:
    means, starts, inertia = exact_kmeans(np.array([3, 0, 1]), clusters=5, low=-7)
    assert means.tolist() == [-7, -5] == starts.tolist()
    assert inertia == 0


def test_no_value_is_refused() -> None:
    with pytest.raises(InputError, match="at least one value"):
        exact_kmeans(np.zeros(4), clusters=2)
