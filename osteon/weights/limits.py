"""What a model knows of its own limits: where its training images are among all images, and its prediction sets.

What is fitted (``osteon.predict.out_of_distribution``) is beside the card: numbers in the card, vectors in a
safetensors file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.metrics.conformal import ConformalThreshold
from osteon.weights.card import OutOfDistribution, PredictionSets
from osteon.weights.store import load_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.weights.card import ModelCard

__all__ = ["FeatureBank", "Limits", "limits_arrays", "limits_entries", "out_of_distribution", "read_limits"]

_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBank:
    """Features of training images, for one network: some of them, or the space that they span.

    Attributes:
        vectors: (k, d) float32, of unit length; with a ``centre`` orthogonal directions of the space.
        neighbour: the distance is that to this many-th nearest vector, 1 for the nearest; not looked at with a centre.
        unit: distance of the median validation image, that distances are given in.
        centre: (d,) float32 mean of the training features; the distance is then that from the space through it. None
            measures to neighbours.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    neighbour: int
    unit: float = 1.0
    centre: NDArray[np.float32] | None = field(default=None, repr=False)

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of pooled features (n, d) of the same network from those of the training images.

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
class Limits:
    """All that a model knows of its own limits.

    Attributes:
        known: numbers on which images are out of distribution.
        sets: thresholds of the prediction sets, classes in the order of the card.
    """

    known: OutOfDistribution
    banks: tuple[FeatureBank, ...] = field(repr=False)
    sets: ConformalThreshold

    def distance(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mean over members of the distance of each image; features are (n, d) of each.

        Returns:
            (n,) float32; 1 is the distance of the median validation image.
        """
        each = [bank.distance(rows) for bank, rows in zip(self.banks, features, strict=True)]
        return np.asarray(np.mean(each, axis=0, dtype=np.float64), dtype=np.float32)


def out_of_distribution(
    banks: Sequence[FeatureBank],
    *,
    slice_threshold: float,
    region_threshold: float,
    false_alarm_rate: float,
    training_images: int,
    validation: tuple[int, int, int],
) -> OutOfDistribution:
    """The card's entry for fitted banks, one a member; ``validation`` are images, regions and patients behind it."""
    first = banks[0]
    if first.centre is None:
        distance = f"chord to the {first.neighbour}th nearest of {len(first.vectors)} training images"
    else:
        distance = f"share of it outside the space of the first {len(first.vectors)} components of the training images"
    images, regions, patients = validation
    return OutOfDistribution(
        method=f"pooled features of each member; {distance}; mean over members; median over a region's slices",
        neighbour=first.neighbour,
        units=tuple(bank.unit for bank in banks),
        slice_threshold=slice_threshold,
        region_threshold=region_threshold,
        false_alarm_rate=false_alarm_rate,
        training_images=training_images,
        validation_images=images,
        validation_regions=regions,
        validation_patients=patients,
        kind="neighbours" if first.centre is None else "space",
    )


def limits_entries(limits: Limits) -> tuple[OutOfDistribution, PredictionSets]:
    """The numbers of it, as the card's entries."""
    sets = limits.sets
    thresholds = tuple(None if math.isinf(value) else value for value in sets.quantiles)
    same = (sets.unit, sets.class_conditional, sets.note)
    return limits.known, PredictionSets(sets.alpha, sets.score, thresholds, sets.n_units, *same)


def limits_arrays(limits: Limits) -> dict[str, NDArray[np.float16]]:
    """The vectors of it, as the tensors of the file: ``bank_0`` for the first member and on, ``centre_0`` of spaces."""
    banks = list(enumerate(limits.banks))
    vectors = {f"bank_{member}": bank.vectors.astype(np.float16) for member, bank in banks}
    centres = {f"centre_{member}": bank.centre.astype(np.float16) for member, bank in banks if bank.centre is not None}
    return vectors | centres


def read_limits(card: ModelCard) -> Limits | None:
    """What the model knows of its limits; None when its card says nothing of it.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    known, sets = card.out_of_distribution, card.prediction_sets
    if known is None or sets is None or known.file is None:
        return None
    tensors = load_arrays(card, known.file)
    banks = []
    try:
        for member, unit in enumerate(known.units):
            vectors = tensors[f"bank_{member}"].astype(np.float32)
            centre = tensors[f"centre_{member}"].astype(np.float32) if known.kind == "space" else None
            banks.append(FeatureBank(vectors, known.neighbour, unit, centre))
    except KeyError as error:
        raise WeightsError(f"{known.file.path} holds no features ({error}): fetch the model again") from error
    if any(bank.vectors.ndim != 2 or len(bank.vectors) < known.neighbour for bank in banks):
        raise WeightsError(f"{known.file.path} does not fit the card of {card.name}: fetch the model again")
    quantiles = tuple(math.inf if value is None else value for value in sets.thresholds)
    same = (sets.unit, sets.class_conditional, sets.note)
    return Limits(known, tuple(banks), ConformalThreshold(sets.error_rate, sets.score, quantiles, sets.units, *same))
