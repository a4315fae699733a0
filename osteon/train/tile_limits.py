"""What a tile classifier must know of its own limits, fitted on patients whose tiles each measurement left out.

Neighbours do not tell other tissue from a new patient's: with few patients every new one is far from all tiles, and
skin is hardly farther. What lies outside the space that the training features span tells them apart better (measured
on held-out patients, skin and photographs; docs/examples/histology-tiles.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.conformal import fit_conformal
from osteon.weights.limits import FeatureBank, Limits, out_of_distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SPACE_DIMENSIONS", "HeldOut", "feature_space", "fit_tile_limits"]

SPACE_DIMENSIONS = 32
"""Of the space of the training features; 16 to 128 tell about the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Tiles with what was said of them by models that had not learnt from their patient.

    Attributes:
        distance: (n,) from the space of all other patients' tiles.
        probability: (n, classes) calibrated.
        truth: (n,) class.
        patients: (n,) whose tile.
    """

    distance: NDArray[np.float32] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)


def feature_space(
    features: NDArray[np.float32],
    *,
    weights: NDArray[np.float64] | None = None,
    dimensions: int = SPACE_DIMENSIONS,
) -> FeatureBank:
    """The space of the first components of training features; distances are shares of a feature's length.

    Args:
        features: (n, d), n above ``dimensions``.
        weights: (n,) of the tiles, as real and synthetic ones may count alike; None for all the same.
        dimensions: of the space.

    Raises:
        InputError: too few features.
    """
    if len(features) <= dimensions:
        raise InputError(
            f"a space of {dimensions} dimensions was asked for; {len(features)} training tiles span less: a model of "
            "so few tiles cannot know its limits (osteon models export --no-trust)"
        )
    shares = np.ones(len(features)) if weights is None else weights
    centre = np.average(features.astype(np.float64), axis=0, weights=shares)
    _, _, components = np.linalg.svd((features - centre) * np.sqrt(shares)[:, None], full_matrices=False)
    vectors = np.asarray(components[:dimensions], dtype=np.float16).astype(np.float32)
    return FeatureBank(vectors, 1, 1.0, np.asarray(centre, dtype=np.float16).astype(np.float32))


def fit_tile_limits(
    features: NDArray[np.float32],
    held_out: HeldOut,
    *,
    weights: NDArray[np.float64] | None = None,
    false_alarm_rate: float = 0.05,
    error_rate: float = 0.1,
    seed: int = 1,
    members: int = 1,
) -> Limits:
    """Fit novelty and prediction sets.

    The threshold of a tile is the quantile of held-out tiles; that of a slide is the largest median of a held-out
    patient: one of n + 1 patients is expected above it.

    Args:
        features: (k, d) of the training tiles.
        held_out: what was measured without the tile's own patient.
        weights: (k,) as of ``feature_space``.
        false_alarm_rate: share of held-out tiles that are called unlike training.
        error_rate: of the prediction sets, within each class.
        seed: of the draw of a tile of each patient.
        members: of the model; all have the same base.

    Raises:
        InputError: too few tiles or patients.
    """
    people = np.unique(held_out.patients)
    if people.size < 2:
        raise InputError(
            f"novelty needs tiles of at least two held-out patients; there is {people.size}: more folds, or a model "
            "that does not know its limits (osteon models export --no-trust)"
        )
    unit = max(float(np.median(held_out.distance)), 1e-6)
    space = feature_space(features, weights=weights)
    medians = [float(np.median(held_out.distance[held_out.patients == one])) / unit for one in people]
    banks = (FeatureBank(space.vectors, 1, unit, space.centre),) * members
    return Limits(
        out_of_distribution(
            banks,
            slice_threshold=float(np.quantile(held_out.distance, 1 - false_alarm_rate)) / unit,
            region_threshold=max(medians),
            false_alarm_rate=1 / (people.size + 1),
            training_images=len(features),
            validation=(len(held_out.distance), people.size, people.size),
        ),
        banks,
        fit_conformal(
            held_out.probability,
            held_out.truth,
            alpha=error_rate,
            class_conditional=True,
            patients=held_out.patients,
            seed=seed,
        ),
    )
