"""The pair search against every product written out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.pair_search import by_numpy, by_osteon, differing_pairs, make_embeddings
from osteon.curation.pairs import METHODS, Pairs, choose_basis, rounding, shorten, similar_pairs
from osteon.errors import InputError, UnknownLabelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WAYS = ("auto", "pruned", "blocked")


def _cosines(vectors: NDArray[Any]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float32).astype(np.float64)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    cosines: NDArray[np.float64] = unit @ unit.T
    return cosines


def _all_pairs(
    vectors: NDArray[Any], threshold: float, *classes: NDArray[Any] | None
) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs by brute force: those that must be found, and those so near the threshold that rounding decides."""
    cosines = _cosines(vectors)
    asked = np.triu(np.ones(cosines.shape, bool), 1)
    for values in classes:
        if values is not None:
            asked &= values[:, None] != values[None, :]
    sure = np.argwhere(asked & (cosines >= threshold + 1e-12))
    near = np.argwhere(asked & (np.abs(cosines - threshold) < 1e-12))
    return [(int(i), int(j)) for i, j in sure], {(int(i), int(j)) for i, j in near}


def _listed(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def _check(pairs: Pairs, vectors: NDArray[Any], threshold: float, *classes: NDArray[Any] | None) -> None:
    sure, near = _all_pairs(vectors, threshold, *classes)
    listed = _listed(pairs)
    assert listed == sorted(listed)
    assert len(set(listed)) == len(listed)
    assert set(sure) <= set(listed) <= set(sure) | near
    assert (pairs.cosine >= threshold).all()
    if listed:
        np.testing.assert_allclose(pairs.cosine, _cosines(vectors)[pairs.first, pairs.second], atol=1e-12)


def _isotropic(random: np.random.Generator) -> NDArray[Any]:
    vectors = random.standard_normal((700, 96))
    vectors[500:520] = vectors[:20] + 0.1 * random.standard_normal((20, 96))
    return vectors


def _clustered(random: np.random.Generator) -> NDArray[Any]:
    centres = random.standard_normal((12, 64))
    return centres[random.integers(12, size=600)] + 0.25 * random.standard_normal((600, 64))


def _low_rank(random: np.random.Generator) -> NDArray[Any]:
    return random.standard_normal((600, 5)) @ random.standard_normal((5, 80)) + 1e-3 * random.standard_normal((600, 80))


def _all_alike(random: np.random.Generator) -> NDArray[Any]:
    """As after a ReLU: a large common part, nearly all pairs high."""
    return np.abs(random.standard_normal(64)) * 3 + np.abs(random.standard_normal((300, 64)))


def _repeated(random: np.random.Generator) -> NDArray[Any]:
    vectors = random.standard_normal((200, 40))
    scale = 10.0 ** random.uniform(-15, 15, size=(400, 1))
    return vectors[random.integers(200, size=400)] * scale


SHAPES = {f.__name__: f for f in (_isotropic, _clustered, _low_rank, _all_alike, _repeated)}


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_finds_what_writing_out_every_product_finds(shape: str, method: str) -> None:
    random = np.random.default_rng(3)
    vectors = SHAPES[shape](random)
    labels = np.array(["healthy", "tumour", "unclear"])[random.integers(3, size=len(vectors))]
    patients = random.integers(9, size=len(vectors))
    for threshold in (0.95, 0.8, 0.999):
        _check(similar_pairs(vectors, threshold=threshold, method=method), vectors, threshold)
        found = similar_pairs(vectors, threshold=threshold, method=method, different=labels, across=patients)
        _check(found, vectors, threshold, labels, patients)


@pytest.mark.parametrize("method", WAYS)
def test_pairs_a_hair_beside_the_threshold_are_distinguished(method: str) -> None:
    # the pair (2k, 2k+1) has a cosine of 0.95 plus a step of 1e-7, far below what a float32 product can tell
    random = np.random.default_rng(5)
    steps = np.arange(-50, 50) * 1e-7 + 3e-8
    rows = []
    for step in steps:
        a, b = np.linalg.qr(random.standard_normal((256, 2)))[0].T
        cosine = 0.95 + step
        rows += [a, cosine * a + np.sqrt(1 - cosine**2) * b]
    vectors = np.array(rows, np.float32)
    found = similar_pairs(vectors, threshold=0.95, method=method)
    _check(found, vectors, 0.95)
    assert 30 < len(found) < 70


@pytest.mark.parametrize("method", WAYS)
def test_a_cosine_of_exactly_the_threshold_counts(method: str) -> None:
    # (3, 4) with (1, 0) has a cosine of 0.6, and (5, 12) with (0, 1) of 12 / 13
    vectors = np.array([[3, 4], [1, 0], [5, 12], [0, 1]], np.float32)
    assert (0, 1) in _listed(similar_pairs(vectors, threshold=0.6, method=method))
    assert (0, 1) not in _listed(similar_pairs(vectors, threshold=np.nextafter(0.6, 1), method=method))
    assert (2, 3) in _listed(similar_pairs(vectors, threshold=12 / 13, method=method))


@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_have_a_cosine_of_one(method: str) -> None:
    vectors = np.random.default_rng(6).standard_normal((40, 37)).astype(np.float32)
    found = similar_pairs(np.concatenate([vectors, vectors * 4]), threshold=1.0, method=method)
    assert _listed(found) == [(k, k + 40) for k in range(40)]
    assert found.cosine.tolist() == [1.0] * 40


def test_many_tiles_and_threads_give_the_same_as_one_thread() -> None:
    random = np.random.default_rng(7)
    vectors = (random.standard_normal((5000, 24)) * 0.85 ** np.arange(24)).astype(np.float32)
    labels = random.integers(2, size=5000)
    one = similar_pairs(vectors, threshold=0.99, different=labels, method="blocked", threads=1)
    for method, threads in (("blocked", 3), ("pruned", 1), ("pruned", 4), ("auto", 2)):
        other = similar_pairs(vectors, threshold=0.99, different=labels, method=method, threads=threads)
        assert _listed(other) == _listed(one)
        assert other.cosine.tobytes() == one.cosine.tobytes()
    _check(one, vectors, 0.99, labels)


def test_the_order_of_rows_does_not_matter() -> None:
    random = np.random.default_rng(8)
    vectors = _clustered(random).astype(np.float32)
    labels = random.integers(2, size=len(vectors))
    turn = random.permutation(len(vectors))
    straight = {frozenset(pair) for pair in _listed(similar_pairs(vectors, threshold=0.9, different=labels))}
    turned = _listed(similar_pairs(vectors[turn], threshold=0.9, different=labels[turn]))
    assert {frozenset((int(turn[i]), int(turn[j]))) for i, j in turned} == straight


def test_short_products_never_fall_below_the_cosine() -> None:
    random = np.random.default_rng(9)
    for vectors in (_isotropic(random), _clustered(random), _all_alike(random), _low_rank(random)):
        lengths = np.linalg.norm(vectors, axis=1)
        basis = choose_basis(vectors, lengths, np.empty((0, len(vectors)), np.int32), threshold=0.9, always=True)
        assert basis is not None
        with ThreadPoolExecutor(2) as pool:
            short = shorten(vectors, lengths, np.arange(len(vectors)), basis, pool=pool)
        assert short.shape[1] < vectors.shape[1]
        assert (short @ short.T - _cosines(vectors) > -rounding(short.shape[1])).all()


def test_many_vectors_of_a_falling_spectrum_are_pruned_and_isotropic_ones_need_more_components() -> None:
    random = np.random.default_rng(10)
    vectors = random.standard_normal((7000, 256)).astype(np.float32)
    vectors[6000:6100] = vectors[:100] + 0.05 * random.standard_normal((100, 256))
    falling = (vectors / np.sqrt(1.0 + np.arange(256))).astype(np.float32)
    flat = similar_pairs(vectors, method="pruned")
    steep = similar_pairs(falling, method="pruned")
    assert steep.components < flat.components < 256
    assert _listed(flat) == [(k, k + 6000) for k in range(100)]
    assert set(_listed(steep)) >= set(_listed(flat))
    assert _listed(steep) == _listed(similar_pairs(falling, method="blocked"))


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(0, 12), st.integers(1, 9)), elements=st.integers(-3, 3)),
    st.sampled_from([-1.0, 0.0, 0.5, 0.95, 1.0]),
    st.sampled_from(WAYS),
)
def test_small_tables(vectors: NDArray[np.float32], threshold: float, method: str) -> None:
    vectors[:, 0] += 4
    _check(similar_pairs(vectors, threshold=threshold, method=method), vectors, threshold)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_fewer_than_two_rows_have_no_pair(count: int, method: str) -> None:
    assert len(similar_pairs(np.ones((count, 4)), method=method, different=["a"] * count)) == 0


def test_a_memory_map_is_searched_where_it_lies(tmp_path: Path) -> None:
    vectors = _clustered(np.random.default_rng(11)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert _listed(similar_pairs(mapped, threshold=0.9)) == _listed(similar_pairs(vectors, threshold=0.9))


def test_progress_ends_at_its_total() -> None:
    seen: list[tuple[int, int]] = []
    similar_pairs(
        np.random.default_rng(0).standard_normal((3000, 8)),
        threshold=0.999,
        method="pruned",
        progress=lambda _, done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == list(range(1, 7))
    assert seen[-1] == (6, 6)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rows_without_a_direction_are_named(bad: float) -> None:
    vectors = np.ones((20, 3), np.float32)
    vectors[[4, 17]] = 0 if bad == 0 else vectors[[4, 17]] * bad
    with pytest.raises(InputError, match=r"2 of 20 vectors .*rows 4, 17"):
        similar_pairs(vectors)


def test_too_many_pairs_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"more than 1000 pairs .*raise the threshold"):
        similar_pairs(np.ones((100, 3)), most=1000)
    assert len(similar_pairs(np.ones((100, 3)), most=4950)) == 4950


def test_bad_questions_are_refused() -> None:
    ones = np.ones((3, 2))
    with pytest.raises(UnknownLabelError, match="did you mean 'blocked'"):
        similar_pairs(ones, method="block")
    with pytest.raises(InputError, match="from -1 to 1"):
        similar_pairs(ones, threshold=95)
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        similar_pairs(np.ones(3))
    with pytest.raises(InputError, match="2 labels were given for 3 vectors"):
        similar_pairs(ones, different=["a", "b"])
    with pytest.raises(InputError, match=r"no patient, the first of them row 1"):
        similar_pairs(ones, across=["p", None, "q"])
    with pytest.raises(InputError, match=r"no label, the first of them row 2"):
        similar_pairs(ones, different=np.array([0, 1, np.nan]))


@pytest.mark.parametrize("case", ["rectified", "labelled"])
def test_the_bench_compares_equal_pairs(case: str) -> None:
    made = make_embeddings(case, 800)
    ours = by_osteon(made)
    assert len(ours) > (0 if case == "labelled" else 7)
    assert differing_pairs(ours, by_numpy(made)) == 0
    assert differing_pairs(ours[1:], by_numpy(made)) == 1
