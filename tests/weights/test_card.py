"""A card says what the format demands, or is refused with the place and a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from osteon.errors import WeightsError
from osteon.weights import (
    Classes,
    Embedding,
    FieldsInput,
    Golden,
    ImageInput,
    MapOutput,
    Maps,
    ModelCard,
    OperatingPoint,
    OutOfDistribution,
    read_card,
)
from osteon.weights.card import CARD_NAME, CardFile, card_bytes
from tests.cards import crops, plain_card, segmenter_card, slices

if TYPE_CHECKING:
    from pathlib import Path

FILE = CardFile("weights.safetensors", "0" * 64, 1)
LIMITS = OutOfDistribution(
    "by the test", ((1.0,),), 2.0, 1.5, 0.05, 10, 10, 4, 4, CardFile("l.safetensors", "0" * 64, 1)
)


def _whole(card: ModelCard) -> ModelCard:
    """With files that nobody looks at."""
    return msgspec.structs.replace(card, members=(FILE,), golden=msgspec.structs.replace(card.golden, file=FILE))


def _written(folder: Path, card: ModelCard) -> Path:
    (folder / CARD_NAME).write_bytes(card_bytes(card))
    return folder


@pytest.mark.parametrize(
    "card",
    [
        plain_card(),
        segmenter_card(inputs={"image": slices(neighbours=2)}),
        segmenter_card(out_of_distribution=LIMITS),
        segmenter_card((MapOutput("lesion", 0.4, "chosen by the test", 2.0, 500.0), MapOutput("bone"))),
        plain_card(output=Embedding(1280, head=1001), inputs={"image": slices()}),
        plain_card(
            inputs={"image": crops(), "fields": FieldsInput(("age_years", "sex"), "years; 0 or 1")},
            output=Classes(tuple(f"region {k}" for k in range(28))),
            operating_point=OperatingPoint(0.5, 0.0, 1, "even odds"),
        ),
    ],
)
def test_every_kind_of_card_reads_back_as_it_was_written(tmp_path: Path, card: ModelCard) -> None:
    whole = _whole(card)
    found = read_card(_written(tmp_path, whole))
    assert found == msgspec.structs.replace(whole, folder=tmp_path)
    assert read_card(tmp_path / CARD_NAME) == found
    assert json.loads(card_bytes(found)) == json.loads((tmp_path / CARD_NAME).read_text())
    assert "folder" not in json.loads(card_bytes(found))
    assert len(repr(found)) < 150


def _changed(document: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    place: Any = document
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("statement", None, "missing required field `statement`"),
        ("statment", "x", "unknown field `statment`; did you mean 'statement'"),
        ("output.treshold", 1, r"unknown field `treshold` - at `\$.output`; did you mean 'threshold'"),
        ("folder", "/", r"at `\$.folder`"),
        ("schema_version", 1, "scripts/upgrade_model.py"),
        ("members.0.path", "../weights.safetensors", r"members\[0\]\.path"),
        ("members.0.path", "weights.pt", r"members\[0\]\.path"),
        ("members", [], "lists no file of weights"),
        ("output.temperatures.0", 0, r"output\.temperatures"),
        ("output.temperatures", [1.0, 1.0], "2 temperatures for 1 members"),
        ("output.kind", "boxes", r"output\.kind"),
        ("output.names", ["healthy", "healthy"], "do not have a name each"),
        ("output.positive", "sick", "positive class 'sick'"),
        ("inputs.image.channels", 0, r"inputs\[\.\.\.\]\.channels"),
        ("inputs.image.channels", 2, "2 channels; a network of single images has 1 or 3"),
        ("inputs.image.neighbours", -1, r"inputs\[\.\.\.\]\.neighbours"),
        ("inputs.image", msgspec.to_builtins(slices(neighbours=1)), "neighbours belong to maps"),
        ("inputs", {}, "an image called 'image'"),
        ("architecture", "resnet18", "does not begin with its architecture"),
        ("results", [{"metric": "AUC"}], r"results\[0\]"),
        ("golden.tolerance", {"float32": 0.5}, r"golden\.tolerance"),
        ("golden.tolerance", {"bfloat16": 0.05}, "must name float32"),
        ("golden.mask_tolerance", {"bfloat16": 0.05}, "belongs to maps"),
    ],
)
def test_a_broken_card_is_refused_with_the_place(tmp_path: Path, path: str, value: object, words: str) -> None:
    document = json.loads(card_bytes(_whole(plain_card())))
    _changed(document, path, value)
    (tmp_path / CARD_NAME).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(WeightsError, match=words):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("output.maps.0.threshold", 1.5, r"output\.maps\[0\]\.threshold"),
        ("output.maps.0.source", "", r"output\.maps\[0\]\.source"),
        ("output.maps.1.name", "lesion", "do not have a name each"),
        ("inputs.image.neighbours", 2, "a network has 5 channels for them"),
        ("output.maps.1.name", "distance", "a map is called 'layers' or 'distance'"),
        ("golden.mask_tolerance.bfloat16", 0.5, r"golden\.mask_tolerance"),
        (
            "operating_point",
            {"threshold": 0.5, "gaussian_sigma_slices": 0, "median_slices": 1, "source": "x"},
            "belong to",
        ),
    ],
)
def test_a_broken_card_of_maps_is_refused(tmp_path: Path, path: str, value: object, words: str) -> None:
    document = json.loads(
        card_bytes(_whole(segmenter_card((MapOutput("lesion", source="the test"), MapOutput("bone")))))
    )
    _changed(document, path, value)
    (tmp_path / CARD_NAME).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(WeightsError, match=words):
        read_card(tmp_path)


def test_a_card_says_nothing_of_neighbours_where_there_are_none() -> None:
    assert b"neighbours" not in card_bytes(_whole(segmenter_card()))


@pytest.mark.parametrize("image", [crops(64), slices(), slices(neighbours=1)])
def test_the_shape_of_an_image_is_recognised(image: ImageInput) -> None:
    shape = image.shape_of(4, 64, 64)
    assert len(shape) == image.rank
    assert image.size_of(shape) == (64, 64)
    assert image.size_of((*shape, 3)) is None
    assert image.size_of((4, 5, 64, 64)) is None


def test_no_card_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_card(tmp_path / "nothing")
    (tmp_path / CARD_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="DecodeError"):
        read_card(tmp_path)


def test_a_draft_that_is_not_as_the_format_wants_it_is_not_written() -> None:
    with pytest.raises(WeightsError, match=r"golden\.tolerance"):
        card_bytes(plain_card(golden=Golden("noise", {"float32": 7.0})))


def test_probability_is_the_softmax_of_cooled_logits_of_each_member() -> None:
    logits = np.array([[0.0, 2.0], [3.0, -1.0], [-2000.0, 2000.0], [2000.0, -2000.0]], dtype=np.float32)
    output = Classes(("healthy", "tumour"), "tumour", (2.0, 1.0))
    found = output.probability(np.stack([logits, logits / 2]))
    by_hand = [1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(2.0)), 1.0, 0.0]
    np.testing.assert_allclose(found[:, :, 1], [by_hand, by_hand], rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-6)
    assert output.probability(np.zeros((2, 0, 2), np.float32)).shape == (2, 0, 2)
    with pytest.raises(WeightsError, match="none is"):
        _ = Classes(("a", "b", "c")).positive_column


def test_maps_are_the_sigmoid_of_cooled_logits() -> None:
    output = Maps((MapOutput("lesion", temperature=2.0), MapOutput("bone")))
    logits = np.full((1, 3, 2, 1, 1), 2.0, np.float32)
    found = output.probability(logits)[0, 0, :, 0, 0]
    np.testing.assert_allclose(found, [1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-2.0))], rtol=1e-6)
    assert output.thresholds == {"lesion": 0.5, "bone": 0.5}
