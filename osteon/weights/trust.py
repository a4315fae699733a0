"""How far a model may be believed: where its training images lie among all images, and its prediction sets.

What is fitted (``osteon.predict.trust.fit_trust``) lies beside the card: numbers in the card, vectors in a
safetensors file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import WeightsError
from osteon.metrics.conformal import ConformalThreshold
from osteon.weights.files import read_verified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.weights.card import ModelCard

__all__ = ["FeatureBank", "Novelty", "Trust", "read_trust", "trust_arrays", "trust_entry"]

_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBank:
    """Features of training images, for one network: some of them, or the space that they span.

    Attributes:
        vectors: (k, d) float32, of unit length; with a ``centre`` orthogonal directions of the space.
        neighbour: the distance is that to this many-th nearest vector, 1 for the nearest; not looked at with a centre.
        unit: distance of the middle validation image, that distances are given in.
        centre: (d,) float32 mean of the training features; the distance is then that from the space through it. None
            measures to neighbours.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    neighbour: int
    unit: float = 1.0
    centre: NDArray[np.float32] | None = field(default=None, repr=False)

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of features from those of the training images.

        Args:
            features: (n, d), pooled features of the same network.

        Returns:
            (n,) chord between directions to the ``neighbour``-th nearest vector, in units of ``unit``; with a centre,
            the part of the feature that the space does not reach, as a share of the feature's length.

        References:
            Wang, Li, Feng, Zhang: ViM: out-of-distribution with virtual-logit matching. CVPR 2022, arXiv:2203.10807
            (the residual).
        """
        if self.centre is not None:
            moved = np.asarray(features, dtype=np.float32) - self.centre
            rest = np.linalg.norm(moved - (moved @ self.vectors.T) @ self.vectors, axis=1)
            length = np.maximum(np.linalg.norm(features, axis=1), np.float32(1e-12))
            return np.asarray(rest / length / np.float32(self.unit), dtype=np.float32)
        found = np.empty(len(features), dtype=np.float32)
        for start in range(0, len(features), _BLOCK):
            rows = np.asarray(features[start : start + _BLOCK], dtype=np.float32)
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
            cosine = np.partition(rows @ self.vectors.T, -self.neighbour, axis=1)[:, -self.neighbour]
            found[start : start + _BLOCK] = np.sqrt(np.maximum(2 - 2 * cosine, 0)) / np.float32(self.unit)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """Which images are unlike those that the model was trained on.

    Attributes:
        banks: one a member.
        slice_threshold: a slice above it is unlike the training images.
        region_threshold: for the median over the slices of a region.
        false_alarm_rate: expected share of patients like those of training with a region above the threshold.
        training_images: behind the banks, all members together.
        validation_images: behind the thresholds.
        validation_regions: behind the thresholds.
        validation_patients: behind the thresholds.
    """

    banks: tuple[FeatureBank, ...] = field(repr=False)
    slice_threshold: float
    region_threshold: float
    false_alarm_rate: float
    training_images: int
    validation_images: int
    validation_regions: int
    validation_patients: int

    def slice_distance(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mean over members of the distance of each slice.

        Args:
            features: (n, d) of each member.

        Returns:
            (n,) float32; 1 is the distance of the middle validation slice.
        """
        each = [bank.distance(rows) for bank, rows in zip(self.banks, features, strict=True)]
        return np.asarray(np.mean(each, axis=0, dtype=np.float64), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """All that a model knows of its own limits.

    Attributes:
        novelty: which images are unlike training.
        conformal: thresholds of the prediction sets, classes in the order of the card.
    """

    novelty: Novelty
    conformal: ConformalThreshold


def trust_entry(trust: Trust) -> dict[str, Any]:
    """The numbers of it, as the card's entry ``trust``."""
    novelty, conformal = trust.novelty, trust.conformal
    first = novelty.banks[0]
    if first.centre is None:
        distance = f"chord to the {first.neighbour}th nearest of {len(first.vectors)} training images"
    else:
        distance = f"share of it outside the space of the first {len(first.vectors)} components of the training images"
    return {
        "novelty": {
            "method": (f"pooled features of each member; {distance}; mean over members; median over a region's slices"),
            **({} if first.centre is None else {"kind": "space"}),
            "neighbour": novelty.banks[0].neighbour,
            "units": [bank.unit for bank in novelty.banks],
            "slice_threshold": novelty.slice_threshold,
            "region_threshold": novelty.region_threshold,
            "false_alarm_rate": novelty.false_alarm_rate,
            "training_images": novelty.training_images,
            "validation_images": novelty.validation_images,
            "validation_regions": novelty.validation_regions,
            "validation_patients": novelty.validation_patients,
        },
        "conformal": {
            "error_rate": conformal.alpha,
            "score": conformal.score,
            "thresholds": [None if math.isinf(value) else value for value in conformal.quantiles],
            "units": list(conformal.n_units),
            "unit": conformal.unit,
            "class_conditional": conformal.class_conditional,
            "note": conformal.note,
        },
    }


def trust_arrays(trust: Trust) -> dict[str, NDArray[np.float16]]:
    """The vectors of it, as the tensors of the file: ``bank_0`` for the first member and on, ``centre_0`` of spaces."""
    banks = list(enumerate(trust.novelty.banks))
    vectors = {f"bank_{member}": bank.vectors.astype(np.float16) for member, bank in banks}
    centres = {f"centre_{member}": bank.centre.astype(np.float16) for member, bank in banks if bank.centre is not None}
    return vectors | centres


def read_trust(card: ModelCard) -> Trust | None:
    """What the model knows of its limits; None when its card says nothing of it.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    if card.trust_file is None:
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load

    entry: Mapping[str, Any] = card.document["trust"]
    data = read_verified(card.name, card.trust_file)
    try:
        tensors = load(data)
        vectors = [tensors[f"bank_{member}"].astype(np.float32) for member in range(len(card.members))]
        is_space = entry["novelty"].get("kind") == "space"
        centres = [
            tensors[f"centre_{member}"].astype(np.float32) if is_space else None for member in range(len(vectors))
        ]
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{card.trust_file.path} holds no features ({error}): fetch the model again") from error
    novelty = dict(entry["novelty"])
    novelty.pop("method")
    novelty.pop("kind", None)
    neighbour, units = novelty.pop("neighbour"), novelty.pop("units")
    if len(units) != len(vectors) or any(rows.ndim != 2 or len(rows) < neighbour for rows in vectors):
        raise WeightsError(f"{card.trust_file.path} does not fit the card of {card.name}: fetch the model again")
    conformal = entry["conformal"]
    if len(conformal["thresholds"]) != len(card.output.classes):
        raise WeightsError(f"the prediction sets of {card.name} are not for its {len(card.output.classes)} classes")
    banks = (
        FeatureBank(rows, neighbour, unit, centre) for rows, unit, centre in zip(vectors, units, centres, strict=True)
    )
    return Trust(
        novelty=Novelty(banks=tuple(banks), **novelty),
        conformal=ConformalThreshold(
            alpha=conformal["error_rate"],
            score=conformal["score"],
            quantiles=tuple(math.inf if value is None else value for value in conformal["thresholds"]),
            n_units=tuple(conformal["units"]),
            unit=conformal["unit"],
            class_conditional=conformal["class_conditional"],
            note=conformal["note"],
        ),
    )
