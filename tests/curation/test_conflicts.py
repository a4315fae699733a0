"""Label conflicts: what is found, and what the paper's rule may and may not drop."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.curation.conflicts import Conflict, find_conflicts, healthy_drops
from osteon.errors import InputError

# 0 and 1 alike, 2 alike to both at a distance, 3 alone, 4 equal to 3, 5 far from all
VECTORS = np.array([[1, 0, 0], [1, 0.1, 0], [1, 0.3, 0], [0, 0, 1], [0, 0, 2], [-1, 1, 0]], np.float32)
LABELS = ["healthy", "tumour", "tumour", "healthy", "tumour", "healthy"]
PATIENTS = ["a", "a", "b", "c", "d", "d"]
IDS = [f"{k}.png" for k in range(6)]


def _found(threshold: float = 0.95) -> tuple[Conflict, ...]:
    return find_conflicts(VECTORS, LABELS, PATIENTS, IDS, threshold=threshold)


def test_conflicts_worked_out_by_hand() -> None:
    # cosines: (3, 4) 1; (0, 1) 1 / sqrt(1.01) = 0.99504; (0, 2) 1 / sqrt(1.09) = 0.95783; (1, 2) have one label
    found = _found()
    assert [(c.first, c.second) for c in found] == [(3, 4), (0, 1), (0, 2)]
    assert [c.cosine for c in found] == pytest.approx([1, 1.01**-0.5, 1.09**-0.5])
    assert [c.same_patient for c in found] == [False, True, False]
    assert found[1].images == ("0.png", "1.png")
    assert found[1].labels == ("healthy", "tumour")
    assert [(c.first, c.second) for c in _found(0.96)] == [(3, 4), (0, 1)]


def test_rows_left_out_of_the_search_are_never_named_and_the_others_keep_their_numbers() -> None:
    among = np.array([True, False, True, False, True, True])
    found = find_conflicts(VECTORS, LABELS, PATIENTS, IDS, among=among)
    assert [(c.first, c.second) for c in found] == [(0, 2)]
    assert found[0].images == ("0.png", "2.png")


def test_the_papers_rule_drops_the_healthy_image_of_each_pair_once() -> None:
    done = healthy_drops(_found(), trainable=np.ones(6, bool))
    assert [(d.row, d.because) for d in done] == [(0, 1), (3, 4)]
    assert (done[0].image, round(done[0].cosine, 4)) == ("0.png", 0.995)


@pytest.mark.parametrize("outside", [0, 1, 2, 3, 4, 5])
def test_an_image_outside_training_neither_goes_nor_makes_another_go(outside: int) -> None:
    trainable = np.ones(6, bool)
    trainable[outside] = False
    done = healthy_drops(_found(), trainable=trainable)
    for gone in done:
        assert LABELS[gone.row] == "healthy"
        assert trainable[gone.row]
        assert trainable[gone.because]
    settled = [c for c in _found() if outside not in {c.first, c.second}]
    assert {gone.row for gone in done} == {c.first if LABELS[c.first] == "healthy" else c.second for c in settled}


def test_two_kinds_of_tumour_are_left_to_a_person() -> None:
    labels = ["osteosarcoma", "chondrosarcoma", "healthy"]
    found = find_conflicts(np.eye(3)[[0, 0, 2]], labels, ["a", "b", "c"], ["0", "1", "2"])
    assert found
    assert not healthy_drops(found, trainable=np.ones(3, bool))


def test_names_of_patients_stay_out_of_the_repr() -> None:
    conflict = find_conflicts(np.ones((2, 2)), ["x", "y"], ["Jane", "Mary"], ["0", "1"])[0]
    assert "Jane" not in repr(conflict)


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="say which are trained on"):
        healthy_drops(_found(), trainable=np.ones(2, bool))
    with pytest.raises(InputError, match="5 labels were given for 6 vectors"):
        find_conflicts(VECTORS, LABELS[:5], PATIENTS, IDS)
    with pytest.raises(InputError, match=r"more than 2 pairs .*raise the threshold"):
        find_conflicts(VECTORS, LABELS, PATIENTS, IDS, most=2)
