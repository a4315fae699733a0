"""What is loaded is what the card speaks of; anything else is refused before it is used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.weights import (
    CARD_NAME,
    check_golden,
    golden_case,
    load_network,
    read_card,
    round_to_half,
    verify_card,
    verify_files,
    write_model,
)

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.weights import ModelCard


def _edit_card(card: ModelCard, **files: dict[str, Any]) -> ModelCard:
    """Change entries of ``files`` in card.json."""
    document = json.loads((card.folder / CARD_NAME).read_text(encoding="utf-8"))
    for name, entry in files.items():
        document["files"][name].update(entry)
    (card.folder / CARD_NAME).write_text(json.dumps(document), encoding="utf-8")
    return read_card(card.folder)


def _replace(card: ModelCard, name: str, data: bytes) -> ModelCard:
    """Put other bytes in place and let the card vouch for them."""
    file = getattr(card, name)
    file.path.write_bytes(data)
    return _edit_card(card, **{name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}})


def test_half_precision_storage_gives_the_same_golden_output(random_card: ModelCard) -> None:
    import torch

    case = golden_case(random_card)
    network = load_network(random_card)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert not network.training
    with torch.inference_mode():
        logits = network(torch.from_numpy(case.crops)[:, None]).numpy()
    np.testing.assert_array_equal(logits[None], case.logits)
    assert verify_card(random_card) == 0.0
    assert random_card.weights.size_bytes < 2.2 * sum(value.numel() for value in network.state_dict().values())


def test_every_stored_value_is_the_rounded_one(tmp_path: Path, card_document: dict[str, Any]) -> None:
    import torch

    torch.manual_seed(3)
    network = build_network("densenet_small").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    round_to_half(network)
    crops = np.zeros((1, 64, 64), dtype=np.float32)
    loaded = load_network(write_model(tmp_path, card_document, network, golden_crops=crops)).state_dict()
    assert list(loaded) == list(before)
    for name, value in before.items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(loaded[name], expected), name


def test_a_value_beyond_half_precision_is_refused() -> None:
    import torch

    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 1e6)
    with pytest.raises(WeightsError, match="float32"):
        round_to_half(network)


def test_a_changed_byte_is_found(random_card: ModelCard) -> None:
    data = bytearray(random_card.weights.path.read_bytes())
    data[-1] ^= 1
    random_card.weights.path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="was changed"):
        verify_files(random_card)
    with pytest.raises(WeightsError, match="was changed"):
        load_network(random_card)


def test_a_truncated_and_a_missing_file_are_found(random_card: ModelCard) -> None:
    data = random_card.golden.path.read_bytes()
    random_card.golden.path.write_bytes(data[:-10])
    with pytest.raises(WeightsError, match="the card says"):
        golden_case(random_card)
    random_card.golden.path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        verify_files(random_card)


def test_other_weights_with_a_fitting_hash_fail_the_golden_case(random_card: ModelCard) -> None:
    import torch
    from safetensors.torch import save

    torch.manual_seed(99)
    other = build_network("densenet_small").state_dict()
    card = _replace(random_card, "weights", save({name: value.contiguous() for name, value in other.items()}))
    verify_files(card)
    with pytest.raises(WeightsError, match="golden case"):
        verify_card(card)


def test_weights_of_another_architecture_are_refused(random_card: ModelCard) -> None:
    import torch
    from safetensors.torch import save

    card = _replace(random_card, "weights", save({"conv.weight": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="do not fit densenet_small"):
        load_network(card)


def test_a_pickle_is_never_opened(random_card: ModelCard) -> None:
    import io
    import pickle

    import torch

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("the pickle was opened",)

    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    for data in (pickle.dumps(Bomb()), buffer.getvalue()):
        card = _replace(random_card, "weights", data)
        with pytest.raises(WeightsError, match="no safetensors file"):
            load_network(card)


def test_a_golden_file_without_a_case_is_refused(random_card: ModelCard) -> None:
    from safetensors.numpy import save

    card = _replace(random_card, "golden", save({"something": np.zeros(1, np.float32)}))
    with pytest.raises(WeightsError, match="holds no golden case"):
        golden_case(card)
    wrong = save({"crops": np.zeros((1, 3, 3), np.float32), "logits": np.zeros((1, 2), np.float32)})
    with pytest.raises(WeightsError, match="shapes"):
        golden_case(_replace(card, "golden", wrong))


def test_an_architecture_of_a_later_version_is_named(random_card: ModelCard) -> None:
    later = dataclasses.replace(random_card, architecture="densenet_smal")
    with pytest.raises(UnknownLabelError, match="did you mean 'densenet_small'"):
        load_network(later)


def test_golden_check_knows_tolerance_precision_and_not_a_number(random_card: ModelCard) -> None:
    truth = golden_case(random_card).probability
    assert check_golden(random_card, lambda _: truth + np.float32(5e-5)) == pytest.approx(5e-5, rel=0.01)
    with pytest.raises(WeightsError, match="differ by"):
        check_golden(random_card, lambda _: truth + np.float32(2e-4))
    with pytest.raises(WeightsError, match="differ by nan"):
        check_golden(random_card, lambda _: truth * np.float32(np.nan))
    with pytest.raises(WeightsError, match="its card allows: float32"):
        check_golden(random_card, lambda _: truth, precision="bfloat16")


def test_writing_replaces_whole_or_leaves_the_old(random_card: ModelCard, card_document: dict[str, Any]) -> None:
    parent = random_card.folder.parent
    network = load_network(random_card)
    crops = golden_case(random_card).crops
    newer = write_model(parent, {**card_document, "version": "0.2.0"}, network, golden_crops=crops)
    assert newer.version == "0.2.0"
    with pytest.raises(WeightsError, match="not a valid model card"):
        write_model(parent, {**card_document, "version": "three"}, network, golden_crops=crops)
    assert read_card(parent / random_card.name).version == "0.2.0"
    assert [entry.name for entry in parent.iterdir()] == [random_card.name]
