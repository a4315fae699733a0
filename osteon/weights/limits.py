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
from osteon.weights.card import Maps, OutOfDistribution, PredictionSets
from osteon.weights.store import load_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.weights.card import ModelCard

__all__ = ["Limits", "TrainingSpace", "limits_arrays", "limits_entries", "out_of_distribution", "read_limits"]

_ARRAYS = ("centre", "scale", "vectors", "variance")
_REST = "rest"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSpace:
    """Where training images of one kind are, for one network: the main directions of what its middle layers give.

    Attributes:
        centre: (d,) float32 mean of the layers' values.
        scale: (d,) float32 standard deviation of each.
        vectors: (k, d) float32, orthogonal directions of the scaled values.
        variance: (k,) float32 along them, at least ``rest``.
        rest: variance along every other direction.
        unit: distance of the median image that was not trained on, that distances are given in.
    """

    centre: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)
    variance: NDArray[np.float32] = field(repr=False)
    rest: float
    unit: float = 1.0

    def distance(self, layers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (n,) of what an image looks like in the layers, (n, d), in units of ``unit``.

        It is Mahalanobis's, with one variance for all directions beyond the main ones.

        References:
            Lee, Lee, Lee, Shin: A simple unified framework for detecting out-of-distribution samples and adversarial
            attacks. NeurIPS 2018, arXiv:1807.03888.
            Tipping, Bishop: Probabilistic principal component analysis. J. R. Stat. Soc. B 61 (1999) 611-622 (the
            covariance), doi:10.1111/1467-9868.00196.
        """
        values = ((np.asarray(layers, dtype=np.float32) - self.centre) / self.scale).astype(np.float64)
        along = values @ self.vectors.T.astype(np.float64)
        beyond = np.maximum((values**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variance).sum(axis=1) + beyond / self.rest
        return np.asarray(np.sqrt(squared) / self.unit, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """All that a model knows of its own limits.

    Attributes:
        known: numbers on which images are out of distribution.
        spaces: of each member, one for each kind of training image, as synthetic and real ones.
        sets: thresholds of the prediction sets, classes in the order of the card; None of maps, which have none.
    """

    known: OutOfDistribution
    spaces: tuple[tuple[TrainingSpace, ...], ...] = field(repr=False)
    sets: ConformalThreshold | None

    def distance(self, layers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mean over members of the distance of each image from the nearest space; layers are (n, d) of each member.

        Returns:
            (n,) float32; 1 is the distance of the median image that was not trained on.
        """
        pairs = zip(self.spaces, layers, strict=True)
        each = [np.min([space.distance(rows) for space in own], axis=0) for own, rows in pairs]
        return np.asarray(np.mean(each, axis=0, dtype=np.float64), dtype=np.float32)


def out_of_distribution(
    spaces: Sequence[Sequence[TrainingSpace]],
    *,
    slice_threshold: float,
    region_threshold: float,
    false_alarm_rate: float,
    training_images: int,
    validation: tuple[int, int, int],
) -> OutOfDistribution:
    """The card's entry for fitted spaces of members; ``validation`` are images, regions and patients behind it."""
    images, regions, patients = validation
    return OutOfDistribution(
        method="mean and standard deviation of every channel in the middle layers of each member; Mahalanobis distance "
        f"in the first {len(spaces[0][0].vectors)} directions of the training images and, with one variance, beyond "
        "them; from the nearest kind of training image; mean over members; median over a region's images",
        units=tuple(tuple(space.unit for space in own) for own in spaces),
        slice_threshold=slice_threshold,
        region_threshold=region_threshold,
        false_alarm_rate=false_alarm_rate,
        training_images=training_images,
        validation_images=images,
        validation_regions=regions,
        validation_patients=patients,
    )


def limits_entries(limits: Limits) -> tuple[OutOfDistribution, PredictionSets | None]:
    """The numbers of it, as the card's entries."""
    sets = limits.sets
    if sets is None:
        return limits.known, None
    thresholds = tuple(None if math.isinf(value) else value for value in sets.quantiles)
    same = (sets.unit, sets.class_conditional, sets.note)
    return limits.known, PredictionSets(sets.alpha, sets.score, thresholds, sets.n_units, *same)


def limits_arrays(limits: Limits) -> dict[str, NDArray[np.floating]]:
    """The vectors of it, as the tensors of the file: ``vectors_0_0`` of the first member's first space, and so on."""
    found: dict[str, NDArray[np.floating]] = {}
    for member, own in enumerate(limits.spaces):
        for number, space in enumerate(own):
            for name in _ARRAYS:
                found[f"{name}_{member}_{number}"] = getattr(space, name)
            found[f"{_REST}_{member}_{number}"] = np.array([space.rest], dtype=np.float32)
    return found


def read_limits(card: ModelCard) -> Limits | None:
    """What the model knows of its limits; None when its card says nothing of it.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    known, sets = card.out_of_distribution, card.prediction_sets
    if known is None or known.file is None or (sets is None and not isinstance(card.output, Maps)):
        return None
    tensors = load_arrays(card, known.file)
    try:
        spaces = tuple(
            tuple(_space(tensors, f"_{member}_{number}", unit) for number, unit in enumerate(units))
            for member, units in enumerate(known.units)
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{known.file.path} does not fit the card of {card.name} ({error}): fetch it again"
        ) from error
    if sets is None:
        return Limits(known, spaces, None)
    quantiles = tuple(math.inf if value is None else value for value in sets.thresholds)
    same = (sets.unit, sets.class_conditional, sets.note)
    return Limits(known, spaces, ConformalThreshold(sets.error_rate, sets.score, quantiles, sets.units, *same))


def _space(tensors: Mapping[str, NDArray[np.generic]], tail: str, unit: float) -> TrainingSpace:
    arrays = [np.asarray(tensors[name + tail], dtype=np.float32) for name in _ARRAYS]
    centre, scale, vectors, variance = arrays
    if centre.shape != scale.shape or vectors.shape != (*variance.shape, *centre.shape) or centre.ndim != 1:
        raise IndexError(f"shapes {[each.shape for each in arrays]}")
    return TrainingSpace(centre, scale, vectors, variance, float(tensors[_REST + tail][0]), unit)
