"""A small model of the task mri_femur with random weights, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.systems.mri_femur.read import CROP_FUNCTION
from osteon.weights import Classes, OperatingPoint, write_model
from tests.cards import crops, plain_card

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.weights import ModelCard

SIZE = 64


def femur_card(folder: Path, *, limit: float) -> ModelCard:
    """Two networks of 64 x 64 crops; whatever is further from their noise than the limit is out of distribution."""
    import torch

    from osteon.nets.deployed import DeployedClassifier

    members, folds = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        torch.nn.init.normal_(network.get_parameter("classifier.weight"), std=2.0)
        with torch.inference_mode():
            rows = DeployedClassifier([network])(torch.rand(24, SIZE, SIZE))[1][:, 0].numpy()
        names, truth = np.arange(12).astype(str), np.arange(12) % 2
        folds.append(FoldMaterial(rows[:12], rows[12:], names, names, np.full((12, 2), 0.5, np.float32), truth))
        members.append(network)
    limits = fit_limits(folds, error_rate=0.2)
    limits = replace(limits, known=msgspec.structs.replace(limits.known, region_threshold=limit))
    card = plain_card(
        name="densenet_small.femur_test",
        task="mri_femur",
        storage="float32",
        inputs={"image": crops(SIZE, CROP_FUNCTION, margin_px=12, masked=False)},
        output=Classes(("benign", "malignant"), "malignant", (1.0, 2.0), "chosen by the test"),
        operating_point=OperatingPoint(0.4, 0.0, 1, "chosen by the test"),
        results=(),
    )
    golden = np.random.default_rng(0).random((2, SIZE, SIZE), dtype=np.float32)
    return write_model(folder, card, members, golden={"image": golden}, limits=limits)
