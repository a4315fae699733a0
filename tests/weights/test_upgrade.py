"""Model folders of before the format of cards changed are rewritten in place, weights untouched."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load, save

from osteon.errors import WeightsError
from osteon.weights import read_card, read_limits, verify_card
from osteon.weights.load import golden_case
from tests.cards import file_of

if TYPE_CHECKING:
    from osteon.weights import ModelCard

upgrade = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "upgrade_model.py"))["upgrade"]


def _old(card: ModelCard, folder: Path) -> Path:
    """A folder of schema_version 1 with the weights of a card."""
    folder.mkdir()
    golden = load(file_of(card, "golden").read_bytes())
    bank = np.eye(12, 16, dtype=np.float16)
    contents = {
        "weights": file_of(card, "weights").read_bytes(),
        "golden": save({"crops": golden["input.image"], "logits": golden["output.logits"][0]}),
        "trust": save({"bank_0": bank}),
    }
    files = {}
    for name, data in contents.items():
        (folder / f"{name}.safetensors").write_bytes(data)
        files[name] = {"path": f"{name}.safetensors", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    whole: dict[str, Any] = msgspec.to_builtins(card, enc_hook=str)
    kept = ("name", "version", "task", "architecture", "storage", "results", "licence", "intended_use", "exclusions")
    document = {
        "schema_version": 1,
        **{name: whole[name] for name in (*kept, "is_demo", "statement")},
        "files": files,
        "input": {
            **{name: whole["inputs"]["image"][name] for name in ("channels", "orientation", "preprocessing")},
            "rows": 64, "columns": 64, "minimum": 0.0, "maximum": 1.0,
        },
        "output": {
            "classes": ["healthy", "tumour"], "positive": "tumour", "activation": "softmax", "temperature": 2.0,
            "calibration": "chosen by the test",
        },
        "golden": {"description": "noise", "tolerance": {"float32": 1e-4}},
        "training": {**whole["training"], "settings": {"epochs": 3}},
        "trust": {
            "ood": {
                "method": "of the test", "neighbour": 10, "units": [0.5], "slice_threshold": 2.0,
                "region_threshold": 1.5, "false_alarm_rate": 0.1, "training_images": 12, "validation_images": 6,
                "validation_regions": 3, "validation_patients": 3,
            },
            "conformal": {
                "error_rate": 0.1, "score": "lac", "thresholds": [0.4, None], "units": [3, 3], "unit": "draw",
                "class_conditional": True, "note": "",
            },
        },
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "claim.md").write_text("items", encoding="utf-8")
    return folder


def test_an_old_folder_is_refused_and_then_rewritten(written_card: ModelCard, tmp_path: Path) -> None:
    folder = _old(written_card, tmp_path / written_card.name)
    with pytest.raises(WeightsError, match=r"scripts/upgrade_model\.py"):
        read_card(folder)
    upgrade(folder)
    card = read_card(folder)
    assert verify_card(card) <= 1e-4
    assert card.weights == written_card.weights
    np.testing.assert_array_equal(golden_case(card).expected, golden_case(written_card).expected)
    assert card.training.details == {"settings": {"epochs": 3}}
    assert read_limits(card) is None  # measured in another way now: the run is exported anew
    assert (folder / "claim.md").read_text() == "items"
    assert not (folder / "trust.safetensors").exists()
    with pytest.raises(SystemExit, match="no card of schema_version 1"):
        upgrade(folder)
