"""A card says what the schema demands, or is refused with a reason."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.errors import WeightsError
from osteon.weights import CARD_NAME, OutputContract, read_card

if TYPE_CHECKING:
    from pathlib import Path

FILE = {"path": "weights.safetensors", "sha256": "0" * 64, "bytes": 1}


@pytest.fixture
def document(card_document: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(card_document), "files": {"weights": dict(FILE), "golden": dict(FILE)}}


def _write(folder: Path, document: dict[str, Any]) -> Path:
    (folder / CARD_NAME).write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_a_valid_card_reads_back(tmp_path: Path, document: dict[str, Any]) -> None:
    card = read_card(_write(tmp_path, document))
    assert (card.name, card.version, card.architecture) == ("densenet_small.random_test", "0.1.0", "densenet_small")
    assert card.weights.path == tmp_path / "weights.safetensors"
    assert card.output == OutputContract(("healthy", "tumour"), "tumour", 2.0)
    assert card.results[0].interval == (0.4, 0.6)
    assert card.is_demo
    assert card.document == document
    assert read_card(tmp_path / CARD_NAME) == card


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("statement", None, "'statement' is a required property"),
        ("extra", 1, "'extra' was unexpected"),
        ("files.weights.path", "../weights.safetensors", "files.weights.path"),
        ("files.weights.path", "weights.pt", "files.weights.path"),
        ("output.temperature", 0, "output.temperature"),
        ("input.channels", 2, "input.channels"),
        ("output.positive", "sick", "positive class 'sick'"),
        ("architecture", "resnet18", "does not begin with its architecture"),
        ("results", [{"metric": "AUC"}], "results.0"),
        ("golden.tolerance", {"float32": 0.5}, "golden.tolerance.float32"),
    ],
)
def test_a_broken_card_is_refused_with_the_place(
    tmp_path: Path, document: dict[str, Any], path: str, value: object, words: str
) -> None:
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(WeightsError, match=words):
        read_card(_write(tmp_path, document))


def test_no_card_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_card(tmp_path / "nothing")
    (tmp_path / CARD_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="JSONDecodeError"):
        read_card(tmp_path)


def test_probability_is_the_softmax_of_cooled_logits() -> None:
    contract = OutputContract(("healthy", "tumour"), "tumour", temperature=2.0)
    logits = np.array([[0.0, 2.0], [3.0, -1.0], [-2000.0, 2000.0], [2000.0, -2000.0]], dtype=np.float32)
    by_hand = [1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(2.0)), 1.0, 0.0]
    np.testing.assert_allclose(contract.probability(logits), by_hand, rtol=1e-6)
    assert contract.probability(np.zeros((0, 2), np.float32)).shape == (0,)
    swapped = OutputContract(("tumour", "healthy"), "tumour", temperature=2.0)
    np.testing.assert_array_equal(swapped.probability(logits[:, ::-1]), contract.probability(logits))
