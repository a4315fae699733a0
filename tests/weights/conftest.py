"""A model folder with random weights, as small as the registry allows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.nets import build_network
from osteon.weights import ModelCard, round_to_half, write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def card_document() -> dict[str, Any]:
    """A valid card without its files: 64x64 crops, so that a golden case takes milliseconds."""
    return {
        "schema_version": 1,
        "name": "densenet_small.random_test",
        "version": "0.1.0",
        "task": "ct_osteosarcoma",
        "architecture": "densenet_small",
        "storage": "float16",
        "input": {
            "rows": 64,
            "columns": 64,
            "channels": 1,
            "minimum": 0.0,
            "maximum": 1.0,
            "orientation": "as it comes",
            "preprocessing": {"function": "osteon.ops.crops.leg_crops", "parameters": {}, "description": "none"},
        },
        "output": {
            "classes": ["healthy", "tumour"],
            "positive": "tumour",
            "activation": "softmax",
            "temperature": 2.0,
            "calibration": "chosen by the test",
        },
        "golden": {"description": "noise", "tolerance": {"float32": 1e-4}},
        "training": {
            "data": "none",
            "is_synthetic": True,
            "split": "none",
            "split_sha256": hashlib.sha256(b"").hexdigest(),
            "script": "tests/weights/conftest.py",
            "date": "2026-11-21",
            "seed": 0,
        },
        "results": [
            {
                "metric": "ROC AUC, slices",
                "value": 0.5,
                "interval": [0.4, 0.6],
                "interval_method": "patient bootstrap",
                "data": "noise",
                "patients": 2,
                "images": 8,
                "is_synthetic": True,
            }
        ],
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "exclusions": ["everything else"],
        "is_demo": True,
        "statement": "Random weights.",
    }


@pytest.fixture
def random_card(tmp_path: Path, card_document: dict[str, Any]) -> ModelCard:
    """The model folder, written fresh: a test may spoil it."""
    import torch

    torch.manual_seed(0)
    network = build_network("densenet_small").eval()
    round_to_half(network)
    crops = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    return write_model(tmp_path / "models", card_document, network, golden_crops=crops)
