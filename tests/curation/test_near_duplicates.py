"""Groups of duplicates and patients under two ids."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.curation.near_duplicates import find_duplicates, match_patients
from osteon.errors import InputError


def _on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_groups_worked_out_by_hand() -> None:
    # 0.995 is the cosine of 5.73 degrees: 0-4-8 are a chain, 40 is alone, 90-92 are a pair, 200 and 200 are equal
    vectors = _on_circle(4, 40, 0, 90, 8, 92, 200, 200)
    patients = ["b", "b", "a", "c", "a", "c", "d", "e"]
    groups = find_duplicates(patients, vectors=vectors, hashes=["", "", "", "", "", "", "x", "x"])
    assert [g.rows for g in groups] == [(0, 2, 4), (6, 7), (3, 5)]
    assert [g.patients for g in groups] == [("a", "b"), ("d", "e"), ("c",)]
    assert [g.exact for g in groups] == [False, True, False]
    assert [g.across_patients for g in groups] == [True, True, False]


def test_equal_content_alone_and_unknown_content_is_not_equal() -> None:
    groups = find_duplicates(["a", "b", "a", "b", "c"], hashes=["x", "", "x", "", "x"])
    assert [g.rows for g in groups] == [(0, 2, 4)]
    assert groups[0].exact


def test_equal_content_joins_groups_of_alike_images() -> None:
    # row 2 has the content of row 0 and row 1 is near row 0: all three are one group, not exact
    groups = find_duplicates(["a"] * 4, vectors=_on_circle(0, 3, 0, 90), hashes=["x", "y", "x", "z"])
    assert [(g.rows, g.exact) for g in groups] == [((0, 1, 2), False)]


def test_groups_are_those_of_a_slow_search() -> None:
    random = np.random.default_rng(1)
    centres = random.standard_normal((40, 16))
    vectors = centres[random.integers(40, size=150)] + 0.06 * random.standard_normal((150, 16))
    hashes = [str(value) if value < 20 else "" for value in random.integers(60, size=150)]
    # images of one content have one vector
    first = {value: k for k, value in reversed(list(enumerate(hashes))) if value}
    same = vectors[[first.get(value, k) for k, value in enumerate(hashes)]]
    unit = same / np.linalg.norm(same, axis=1, keepdims=True)
    reached = (unit @ unit.T) >= 0.995
    while (wider := (reached.astype(int) @ reached) > 0).sum() > reached.sum():
        reached = wider
    slow = {tuple(np.flatnonzero(row).tolist()) for row in reached if row.sum() > 1}
    assert {g.rows for g in find_duplicates(["a"] * 150, vectors=same, hashes=hashes)} == slow


def _cohort() -> tuple[list[str], np.ndarray]:
    """Ten patients of eight images; the second id of p3 holds six of its images, slightly changed, and two others."""
    random = np.random.default_rng(2)
    vectors = random.standard_normal((10, 8, 64))
    again = np.concatenate([vectors[3, :6] + 0.01 * random.standard_normal((6, 64)), random.standard_normal((2, 64))])
    patients = [f"p{k}" for k in range(10) for _ in range(8)] + ["q"] * 8
    return patients, np.concatenate([vectors.reshape(80, 64), again])


def test_a_patient_under_two_ids_is_found() -> None:
    patients, vectors = _cohort()
    found = match_patients(patients, vectors=vectors)
    assert [(m.first, m.second, m.shared, m.images) for m in found] == [("p3", "q", (6, 6), (8, 8))]
    assert found[0].score == 0.75
    assert match_patients(patients, vectors=vectors, least_score=0.8) == ()
    assert match_patients(patients, vectors=vectors, least_shared=7) == ()


def test_a_short_copy_of_a_long_series_counts_by_the_short_one() -> None:
    # all three images of b are among the ten of a: shares 3 / 10 and 3 / 3
    hashes = [str(k) for k in range(10)] + ["2", "5", "7"]
    found = match_patients(["a"] * 10 + ["b"] * 3, hashes=hashes)
    assert [(m.shared, m.images, m.score) for m in found] == [((3, 3), (10, 3), 1.0)]


def test_an_image_that_everybody_has_tells_nothing() -> None:
    # eight patients share four blank slices and have two of their own: no match; a ninth equals the eighth in all
    patients = [f"p{k}" for k in range(8) for _ in range(6)]
    hashes = [f"blank{k}" if k < 4 else f"{patient}-{k}" for patient in range(8) for k in range(6)]
    assert match_patients(patients, hashes=hashes) == ()
    found = match_patients([*patients, *["p9"] * 6], hashes=[*hashes, *hashes[-6:]], least_shared=2)
    assert [(m.first, m.second, m.shared, m.images) for m in found] == [("p7", "p9", (2, 2), (2, 2))]
    random = np.random.default_rng(5)
    blank = random.standard_normal((4, 32))
    vectors = np.stack([row for _ in range(8) for row in (*blank, *random.standard_normal((2, 32)))])
    assert match_patients(patients, vectors=vectors) == ()
    assert len(match_patients(patients, vectors=vectors, most_patients=7)) == 28


def test_vectors_and_hashes_together_count_an_image_once() -> None:
    patients, vectors = _cohort()
    vectors[80:83] = vectors[24:27]
    hashes = [""] * 88
    for k in range(3):
        hashes[80 + k] = hashes[24 + k] = f"same{k}"
    found = match_patients(patients, vectors=vectors, hashes=hashes)
    assert [(m.shared, m.images) for m in found] == [((6, 6), (8, 8))]


def test_ids_stay_out_of_the_repr() -> None:
    match = match_patients(["Jane"] * 3 + ["Mary"] * 3, hashes=list("123123"))[0]
    group = find_duplicates(["Jane", "Mary"], hashes=["1", "1"])[0]
    assert "Jane" not in repr(match) + repr(group)


def test_nothing_in_gives_nothing() -> None:
    assert find_duplicates([], vectors=np.empty((0, 4)), hashes=[]) == ()
    assert match_patients([], vectors=np.empty((0, 4)), hashes=[]) == ()


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="without vectors or hashes"):
        find_duplicates(["a"])
    with pytest.raises(InputError, match="2 vectors were given for 1 patients"):
        match_patients(["a"], vectors=np.ones((2, 2)))
    with pytest.raises(InputError, match="2 hashes were given for 1 patients"):
        find_duplicates(["a"], hashes=["1", "2"])
