"""A segmenter's card says its maps, and its networks reproduce the golden maps or are refused."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from osteon.errors import WeightsError
from osteon.nets import build_network
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.weights import (
    CARD_NAME,
    MapContract,
    ModelCard,
    check_golden_maps,
    golden_case,
    golden_maps,
    load_networks,
    mask_difference,
    read_card,
    round_to_half,
    segmenter_entries,
    verify_card,
    write_segmenter,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

NAME = "hybrid_attunetpp_small.random_test"
MAPS = (MapContract("lesion", 0.4, "chosen by the test", temperature=2.0, least_mm3=500.0), MapContract("bone"))


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    torch.manual_seed(0)
    made = [build_network("hybrid_attunetpp_small").eval() for _ in range(2)]
    for network in made:
        round_to_half(network)
    return made


@pytest.fixture
def document(card_document: dict[str, Any]) -> dict[str, Any]:
    entries = segmenter_entries(MAPS, golden="noise", bfloat16_mask_tolerance=0.05)
    document = {**copy.deepcopy(card_document), "task": "ct_metastasis", **entries}
    return {**document, "name": NAME, "architecture": "hybrid_attunetpp_small"}


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 48), dtype=np.uint8)


@pytest.fixture
def card(tmp_path: Path, document: dict[str, Any], networks: list[nn.Module], images: NDArray[np.uint8]) -> ModelCard:
    return write_segmenter(tmp_path, document, networks, golden_images=images)


def _changed(card: ModelCard, change: Callable[[dict[str, Any]], object]) -> ModelCard:
    document = json.loads((card.folder / CARD_NAME).read_text(encoding="utf-8"))
    change(document)
    (card.folder / CARD_NAME).write_text(json.dumps(document), encoding="utf-8")
    return read_card(card.folder)


def test_the_card_reads_back_with_its_maps(card: ModelCard) -> None:
    contract = card.segmenter
    assert contract is not None
    assert contract.maps == MAPS
    assert contract.names == ("lesion", "bone")
    assert contract.thresholds == {"lesion": 0.4, "bone": 0.5}
    assert (contract.channels, contract.window_hu, contract.pixel_mm, contract.size_step) == (
        3,
        (-450.0, 1050.0),
        1.75,
        16,
    )
    assert contract.function == "osteon.ops.series_images"
    assert card.mask_tolerance == {"bfloat16": 0.05}
    assert len(card.members) == 2
    assert read_card(card.folder) == card


def test_probability_is_the_mean_of_the_members_sigmoids(card: ModelCard, networks: list[nn.Module]) -> None:
    case = golden_maps(card)
    inputs = torch.from_numpy(case.images.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        logits = [network(inputs).numpy() for network in networks]
    each = [np.stack([1 / (1 + np.exp(-one[:, 0] / 2)), 1 / (1 + np.exp(-one[:, 1]))], axis=1) for one in logits]
    np.testing.assert_array_equal(case.logits, np.stack(logits))
    np.testing.assert_allclose(case.probability, (each[0] + each[1]) / 2, atol=1e-6)
    assert verify_card(card) == 0.0
    assert len(load_networks(card)) == 2


def test_a_tampered_golden_case_is_refused(card: ModelCard) -> None:
    card.golden.path.write_bytes(card.golden.path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(WeightsError, match=r"golden\.safetensors was changed"):
        verify_card(card)


def test_golden_maps_of_other_weights_are_refused(card: ModelCard) -> None:
    from safetensors.numpy import load, save

    arrays = load(card.golden.path.read_bytes())
    data = save({**arrays, "maps": arrays["maps"] + np.float32(0.1)})
    card.golden.path.write_bytes(data)
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    other = _changed(card, lambda document: document["files"]["golden"].update(digest))
    with pytest.raises(WeightsError, match="does not reproduce its golden maps in float32: probabilities differ by"):
        verify_card(other)


def test_a_reduced_precision_is_judged_by_its_masks(card: ModelCard) -> None:
    expected = golden_maps(card).probability
    shifted = np.clip(np.where(expected >= 0.5, expected + 0.2, expected - 0.2), 0, 1).astype(np.float32)
    shifted[:, 0] = expected[:, 0]
    assert check_golden_maps(card, lambda _: shifted, precision="bfloat16") > 0.1
    with pytest.raises(WeightsError, match="probabilities differ by"):
        check_golden_maps(card, lambda _: shifted)
    with pytest.raises(WeightsError, match="1 - Dice of the masks is"):
        check_golden_maps(card, lambda _: 1 - shifted, precision="bfloat16")
    with pytest.raises(WeightsError, match="its card allows: bfloat16, float32"):
        check_golden_maps(card, lambda _: shifted, precision="float16")
    with pytest.raises(WeightsError, match="gave no maps of shape"):
        check_golden_maps(card, lambda _: expected * np.float32(np.nan), precision="bfloat16")


def test_mask_difference_is_the_worst_maps() -> None:
    expected = np.zeros((2, 2, 1, 4), np.float32)
    found = expected.copy()
    assert mask_difference(found, expected, thresholds=[0.5, 0.5]) == 0.0
    expected[0, 1, 0, :3], found[0, 1, 0, 1:] = 0.6, 0.6  # 3 and 3 pixels, 2 shared
    expected[1, 0], found[1, 0] = 0.9, 0.9
    assert mask_difference(found, expected, thresholds=[0.5, 0.5]) == pytest.approx(1 - 2 * 2 / 6)


def test_a_missing_member_is_named(card: ModelCard) -> None:
    (card.folder / "weights_2.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"needs .*weights_2\.safetensors; it cannot be read"):
        verify_card(card)


def test_a_member_of_another_architecture_is_refused(
    tmp_path: Path, document: dict[str, Any], networks: list[nn.Module], images: NDArray[np.uint8]
) -> None:
    description = SEGMENTERS["hybrid_attunetpp_small"]
    other = Segmenter(
        type(description)(block="plain", is_nested=True, outputs=("lesion", "bone"), widths=(2, 2, 2, 2, 2))
    )
    with pytest.raises(WeightsError, match=r"weights_2\.safetensors of .* do not fit hybrid_attunetpp_small") as caught:
        write_segmenter(tmp_path, document, [networks[0], other.eval()], golden_images=images)
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


def test_maps_in_another_order_than_the_networks_are_refused(
    tmp_path: Path, document: dict[str, Any], networks: list[nn.Module], images: NDArray[np.uint8]
) -> None:
    document["output"]["maps"].reverse()
    with pytest.raises(
        WeightsError, match="speaks of the maps bone, lesion; hybrid_attunetpp_small gives lesion, bone"
    ):
        write_segmenter(tmp_path, document, networks, golden_images=images)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("output.activation", "softmax", "output.activation"),
        ("output.maps.0.threshold", 1.5, "output.maps.0.threshold"),
        ("output.maps.0.source", "", "output.maps.0.source"),
        ("output.maps.1.name", "lesion", "do not have a name each"),
        ("input.window_hu", [100, 100], "has no width"),
        ("input.pixel_mm", 0, "input.pixel_mm"),
        ("input.rows", 224, "'rows' was unexpected"),
        ("golden.mask_tolerance.bfloat16", 0.5, "golden.mask_tolerance.bfloat16"),
        ("operating_point", {}, "operating_point"),
    ],
)
def test_a_broken_card_is_refused_with_the_place(card: ModelCard, path: str, value: object, words: str) -> None:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        *parents, last = path.split(".")
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[last] = value

    with pytest.raises(WeightsError, match=words):
        _changed(card, change)


def test_a_classifier_and_a_segmenter_are_not_mistaken(card: ModelCard, random_card: ModelCard) -> None:
    from osteon.predict.runtime import SliceClassifier

    with pytest.raises(WeightsError, match="asked for maps; it gives the classes healthy, tumour"):
        golden_maps(random_card)
    with pytest.raises(WeightsError, match="asked for classes; it gives the maps lesion, bone"):
        golden_case(card)
    with pytest.raises(WeightsError, match="asked for classes"):
        SliceClassifier.load(card, device="cpu")


def test_the_command_line_lists_shows_and_verifies_it(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from osteon.app.cli.models import build
    from osteon.weights import MODELS_VARIABLE

    monkeypatch.setenv(MODELS_VARIABLE, str(card.folder.parent))
    listed = CliRunner().invoke(build(), ["list"])
    for word in (NAME, "ct_metastasis", "mobilenet_v2.phantom"):
        assert word in listed.output
    shown = CliRunner().invoke(build(), ["show", NAME])
    assert "map lesion: from probability 0.4 on (chosen by the test)" in shown.output
    verified = CliRunner().invoke(build(), ["verify", NAME])
    assert verified.exit_code == 0
    assert f"{NAME}: intact; golden output reproduced to 0.0e+00" in verified.output
