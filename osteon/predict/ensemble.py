"""What the members of a model say together of a block of crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.metrics.conformal import predict_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.weights import OutputContract, Trust

__all__ = ["CropScores", "combine", "join", "set_names"]


@dataclass(frozen=True, slots=True, eq=False)
class CropScores:
    """What a model says of n crops.

    Attributes:
        probability: (n,) float32, of the positive class: the mean over members, each at its own temperature.
        spread: (n,) float32, standard deviation over members; None of one member.
        distance: (n,) float32, from the training images, 1 for the middle validation slice; None where the model does
            not know its limits.
        sets: (n, 2) bool, whether healthy and positive belong to the prediction set; None likewise.
    """

    probability: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] | None = field(default=None, repr=False)
    distance: NDArray[np.float32] | None = field(default=None, repr=False)
    sets: NDArray[np.bool_] | None = field(default=None, repr=False)


def combine(
    members: Sequence[tuple[NDArray[np.float32], NDArray[np.float32] | None]],
    *,
    output: OutputContract,
    trust: Trust | None = None,
) -> CropScores:
    """Put together what the members gave for the same crops.

    Args:
        members: logits (n, class) and pooled features (n, d) of each.
        output: contract with classes and temperatures.
        trust: of the model.

    Raises:
        WeightsError: there is trust, but a member gave no features.
    """
    each = np.stack([output.probability(logits, member=number) for number, (logits, _) in enumerate(members)])
    probability = each.mean(axis=0, dtype=np.float64)
    spread = each.std(axis=0, dtype=np.float64).astype(np.float32) if len(members) > 1 else None
    if trust is None:
        return CropScores(probability.astype(np.float32), spread)
    features = [rows for _, rows in members if rows is not None]
    if len(features) != len(members):
        raise WeightsError("novelty is judged by pooled features; this network gives none: build it with osteon.nets")
    columns = [1 - probability, probability]
    if output.classes.index(output.positive) == 0:
        columns.reverse()
    sets = predict_sets(trust.conformal, np.stack(columns, axis=1))
    if output.classes.index(output.positive) == 0:
        sets = sets[:, ::-1]
    return CropScores(probability.astype(np.float32), spread, trust.novelty.slice_distance(features), sets)


def join(parts: Sequence[CropScores], *, members: int, has_distance: bool) -> CropScores:
    """Blocks one after the other; empty arrays of the same kinds where there was no block."""
    empty = np.empty(0, dtype=np.float32)
    if not parts:
        return CropScores(
            empty,
            empty if members > 1 else None,
            empty if has_distance else None,
            np.empty((0, 2), dtype=np.bool_) if has_distance else None,
        )
    spread = [part.spread for part in parts if part.spread is not None]
    distance = [part.distance for part in parts if part.distance is not None]
    sets = [part.sets for part in parts if part.sets is not None]
    return CropScores(
        np.concatenate([part.probability for part in parts]),
        np.concatenate(spread) if spread else None,
        np.concatenate(distance) if distance else None,
        np.concatenate(sets) if sets else None,
    )


def set_names(sets: NDArray[np.bool_], *, negative: str, positive: str) -> tuple[str, ...]:
    """Each prediction set as a word: one class, "either" or "neither".

    Example:
        >>> set_names(np.array([[True, False], [True, True], [False, False]]), negative="healthy", positive="tumour")
        ('healthy', 'either', 'neither')
    """
    words = {(True, False): negative, (False, True): positive, (True, True): "either", (False, False): "neither"}
    return tuple(words[bool(low), bool(high)] for low, high in sets)
