"""A small model of the task mri_femur with random weights, for tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.nets import build_network
from osteon.predict.trust import FoldMaterial, fit_trust
from osteon.systems.mri_femur.read import CROP_FUNCTION
from osteon.weights import write_model

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.weights import ModelCard

SIZE = 64


def _document() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "densenet_small.femur_test",
        "version": "0.1.0",
        "task": "mri_femur",
        "architecture": "densenet_small",
        "storage": "float32",
        "input": {
            "rows": SIZE, "columns": SIZE, "channels": 1, "minimum": 0.0, "maximum": 1.0, "orientation": "as stored",
            "preprocessing": {
                "function": CROP_FUNCTION, "parameters": {"margin_px": 12, "masked": False}, "description": "a crop",
            },
        },
        "output": {
            "classes": ["benign", "malignant"], "positive": "malignant", "activation": "softmax", "temperature": 1.0,
            "temperatures": [1.0, 2.0], "calibration": "chosen by the test",
        },
        "operating_point": {
            "threshold": 0.4, "gaussian_sigma_slices": 0.0, "median_slices": 1, "source": "chosen by the test",
        },
        "golden": {"description": "noise", "tolerance": {"float32": 1e-4}},
        "training": {
            "data": "none", "is_synthetic": True, "split": "none", "split_sha256": hashlib.sha256(b"").hexdigest(),
            "script": "a test", "date": "2026-11-21", "seed": 0,
        },
        "results": [],
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "exclusions": ["everything else"],
        "is_demo": True,
        "statement": "Random weights.",
    }  # fmt: skip


def femur_card(folder: Path, *, limit: float) -> ModelCard:
    """Two networks of 64 x 64 crops; whatever is further from their noise than the limit is unlike training."""
    import torch

    from osteon.nets.anatomy import pooled_features

    members, folds = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        torch.nn.init.normal_(network.get_parameter("classifier.weight"), std=2.0)
        with torch.inference_mode():
            rows = pooled_features(network, torch.rand(24, 1, SIZE, SIZE)).numpy()
        names, truth = np.arange(12).astype(str), np.arange(12) % 2 == 0
        folds.append(FoldMaterial(rows[:12], rows[12:], names, names, np.full(12, 0.5, np.float32), truth))
        members.append(network)
    trust = fit_trust(folds, error_rate=0.2)
    trust = replace(trust, novelty=replace(trust.novelty, region_threshold=limit))
    crops = np.random.default_rng(0).random((2, SIZE, SIZE), dtype=np.float32)
    return write_model(folder, _document(), members, golden_crops=crops, trust=trust)
