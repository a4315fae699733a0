"""What a tile classifier must know of its own limits, fitted on patients whose tiles each measurement left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.conformal import fit_conformal
from osteon.weights.trust import FeatureBank, Novelty, Trust

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BANK_TILES", "NEIGHBOUR", "HeldOut", "fit_tile_trust", "held_out_distances"]

BANK_TILES = 600
"""Most training tiles kept to measure novelty by."""

NEIGHBOUR = 3
"""The distance is that to this many-th nearest training tile: chosen on held-out patients, synthetic slides and other
tissue (scripts/histology_model.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Tiles with what models said of them that had not learnt from their patient.

    Attributes:
        distance: (n,) chord to the ``NEIGHBOUR``-th nearest tile of other patients.
        probability: (n, classes) calibrated.
        truth: (n,) class.
        patients: (n,) whose tile.
    """

    distance: NDArray[np.float32] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)


def held_out_distances(
    features: NDArray[np.float32], patients: NDArray[np.str_], bank: NDArray[np.float32], owners: NDArray[np.str_]
) -> NDArray[np.float32]:
    """Distance of each tile from the bank without the tiles of its own patient.

    Args:
        features: (n, d) of the tiles.
        patients: (n,) whose.
        bank: (k, d) features of training tiles.
        owners: (k,) whose.

    Returns:
        (n,) chord between directions to the ``NEIGHBOUR``-th nearest.

    Raises:
        InputError: a patient without enough tiles of others.
    """
    found = np.empty(len(features), dtype=np.float32)
    for patient in np.unique(patients):
        others = bank[owners != patient]
        if len(others) < NEIGHBOUR:
            raise InputError(f"novelty needs at least {NEIGHBOUR} tiles of other patients; there are {len(others)}")
        own = patients == patient
        found[own] = FeatureBank(_unit_length(others), NEIGHBOUR).distance(features[own])
    return found


def fit_tile_trust(
    bank: NDArray[np.float32],
    held_out: HeldOut,
    *,
    false_alarm_rate: float = 0.05,
    error_rate: float = 0.1,
    seed: int = 1,
) -> Trust:
    """Fit novelty and prediction sets.

    Args:
        bank: (k, d) features of the training tiles.
        held_out: what was measured without the tile's own patient.
        false_alarm_rate: share of held-out tiles that may be called unlike training: their quantile is the threshold of
            a tile. The threshold of a slide is the largest median of a held-out patient.
        error_rate: of the prediction sets, within each class.
        seed: of the choice of vectors and of the draw of a tile of each patient.

    Raises:
        InputError: too few tiles.
    """
    if len(bank) < NEIGHBOUR or not len(held_out.distance):
        raise InputError(f"novelty needs at least {NEIGHBOUR} training tiles and one held out")
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(len(bank))[:BANK_TILES])
    vectors = _unit_length(bank[rows]).astype(np.float16).astype(np.float32)
    unit = max(float(np.median(held_out.distance)), 1e-6)
    people = np.unique(held_out.patients)
    medians = [float(np.median(held_out.distance[held_out.patients == one])) for one in people]
    return Trust(
        novelty=Novelty(
            banks=(FeatureBank(vectors, NEIGHBOUR, unit),),
            slice_threshold=float(np.quantile(held_out.distance, 1 - false_alarm_rate)) / unit,
            region_threshold=max(medians) / unit,
            false_alarm_rate=1 / (len(people) + 1),
            training_images=len(bank),
            validation_images=len(held_out.distance),
            validation_regions=len(people),
            validation_patients=len(people),
        ),
        conformal=fit_conformal(
            held_out.probability,
            held_out.truth,
            alpha=error_rate,
            class_conditional=True,
            patients=held_out.patients,
            seed=seed,
        ),
    )


def _unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
