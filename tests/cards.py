"""Cards for tests: valid, of nothing, to be changed by ``msgspec.structs.replace``."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from osteon.weights import (
    Classes,
    Golden,
    ImageInput,
    MapOutput,
    Maps,
    MeasuredResult,
    ModelCard,
    Preprocessing,
    Training,
    read_card,
)
from osteon.weights.card import CARD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAINING = Training(
    data="none",
    is_synthetic=True,
    split="none",
    split_sha256=hashlib.sha256(b"").hexdigest(),
    script="tests/cards.py",
    date="2026-11-21",
    seed=0,
)


def crops(size: int = 64, function: str = "osteon.ops.crops.leg_crops", **parameters: object) -> ImageInput:
    """Square grey crops in 0..1."""
    return ImageInput(1, "as it comes", Preprocessing(function, parameters, "none"), rows=size, columns=size)


def slices(channels: int = 3, *, neighbours: int = 0, **parameters: object) -> ImageInput:
    """8-bit grey slices of any size that is a multiple of 16."""
    made = Preprocessing("osteon.ops.series_images", parameters, "slices in a window")
    channels = 2 * neighbours + 1 if neighbours else channels
    return ImageInput(channels, "axial", made, size_step=16, values="byte", neighbours=neighbours)


def plain_card(**changes: Any) -> ModelCard:  # noqa: ANN401 - entries of a card
    """A valid card without its files: 64x64 crops, so that a golden case takes milliseconds."""
    card = ModelCard(
        name="densenet_small.random_test",
        version="0.1.0",
        task="ct_osteosarcoma",
        architecture="densenet_small",
        storage="float16",
        inputs={"image": crops()},
        output=Classes(("healthy", "tumour"), "tumour", (2.0,), "chosen by the test"),
        golden=Golden("noise", {"float32": 1e-4}),
        training=TRAINING,
        results=(MeasuredResult("ROC AUC, slices", 0.5, (0.4, 0.6), "patient bootstrap", "noise", 2, 8, True),),
        licence="Apache-2.0",
        intended_use="tests",
        exclusions=("everything else",),
        is_demo=True,
        statement="Random weights.",
    )
    return msgspec.structs.replace(card, **changes)


def segmenter_card(maps: tuple[MapOutput, ...] = (MapOutput("lesion"), MapOutput("bone")), **changes: Any) -> ModelCard:  # noqa: ANN401
    """A valid card of a small segmenter that may be run in bfloat16."""
    return plain_card(
        **{
            "name": "hybrid_attunetpp_small.random_test",
            "architecture": "hybrid_attunetpp_small",
            "task": "ct_metastasis",
            "inputs": {"image": slices()},
            "output": Maps(maps),
            "golden": Golden("noise", {"float32": 3e-4}, {"bfloat16": 0.1}),
            **changes,
        }
    )


def reread(card: ModelCard, change: Callable[[dict[str, Any]], object]) -> ModelCard:
    """Change card.json and read it again."""
    file = card.folder / CARD_NAME
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")
    return read_card(card.folder)


def exchanged(card: ModelCard, path: Path, data: bytes) -> ModelCard:
    """Put other bytes into a file of a model and let the card vouch for them."""
    path.write_bytes(data)
    text = (card.folder / CARD_NAME).read_text(encoding="utf-8")
    (old,) = (file for file in card.files if file.path == path.name)
    text = text.replace(old.sha256, hashlib.sha256(data).hexdigest()).replace(
        f'"bytes": {old.bytes}\n', f'"bytes": {len(data)}\n'
    )
    (card.folder / CARD_NAME).write_text(text, encoding="utf-8")
    return read_card(card.folder)


def file_of(card: ModelCard, name: str) -> Path:
    """A file of a model."""
    return card.folder / f"{name}.safetensors"
