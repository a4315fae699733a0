"""Fitting what a model must know of its own limits: which images are out of distribution, and prediction sets.

Both are fitted on what each member did not learn from: the validation part of its fold. A member is evaluated on its
own validation patients, so the scores that set the thresholds are scores of patients that member has never seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.metrics.conformal import conformal_quantile, fit_conformal
from osteon.weights.limits import FeatureBank, Limits, out_of_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "BANK_VECTORS",
    "SPACE_DIMENSIONS",
    "FoldMaterial",
    "feature_space",
    "fit_limits",
    "fit_tile_limits",
]

BANK_VECTORS = 2000
"""Most training images kept for one member."""
NEIGHBOUR = 10
"""Chosen by measurement on phantoms and real CT; see docs/design/train-and-evaluate.md."""

SPACE_DIMENSIONS = 32
"""Of the space of the training features; 16 to 128 tell about the same."""

_FALSE_ALARMS, _ERROR_RATE = 0.05, 0.1
"""Share of held-out tiles that are flagged as out of distribution; of the prediction sets, within each class."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldMaterial:
    """What one member gave for the images of its fold, prepared as they are at reading.

    Attributes:
        train_features: (n, d) pooled features of images it was trained on.
        validation_features: (m, d) of images it was not trained on.
        patients: (m,) whose image each validation image is.
        regions: (m,) which part of that patient, as a leg or a series: the unit that gets one verdict.
        probability: (m, class) calibrated probabilities.
        truth: (m,) the true class as its column.
    """

    train_features: NDArray[np.float32] = field(repr=False)
    validation_features: NDArray[np.float32] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)
    regions: NDArray[np.str_] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)


def fit_limits(
    folds: Sequence[FoldMaterial], *, error_rate: float = 0.1, false_alarm_rate: float = 0.01, seed: int = 0
) -> Limits:
    """Fit distances and prediction sets on the folds of a model.

    The region threshold is the conformal quantile over patients of their most unusual region: of patients like those
    of validation at most ``false_alarm_rate`` are expected to have a region out of distribution. Too few patients
    for that rate give the largest value seen, and the rate that goes with it is what the result says. The prediction
    sets hold the error rate within each class, for a random image of a new patient.

    Args:
        folds: one a member, in the order of the networks of the model.
        error_rate: of the prediction sets, 0 to 1.
        false_alarm_rate: of the verdict on a region, 0 to 1.
        seed: of the choice of vectors and of the draw of images.

    Raises:
        InputError: no fold, too few images, shapes that do not fit, a value that is not a number, a rate outside 0..1.

    References:
        Sun, Ming, Zhu, Li: Out-of-distribution detection with deep nearest neighbors. ICML 2022, arXiv:2204.06507.
        Vovk, Gammerman, Shafer: Algorithmic learning in a random world. Springer 2005, section 2.2.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> near = np.float32([5, 5]) + rng.random((40, 2), dtype=np.float32)
        >>> who = np.repeat(np.arange(5).astype(str), 4)
        >>> chance = np.tile(np.float32([0.8, 0.2]), (20, 1))
        >>> fold = FoldMaterial(near[:20], near[20:], who, who, chance, np.arange(20) % 2)
        >>> limits = fit_limits([fold], error_rate=0.5)
        >>> far, like = limits.distance([np.float32([[5, -5], [5.5, 5.4]])])
        >>> bool(far > limits.known.region_threshold > like)
        True
    """
    if not folds:
        raise InputError("limits were to be fitted on no fold; one a member is needed")
    if not 0 < false_alarm_rate < 1:
        raise InputError(f"a rate of false alarms must be between 0 and 1, found {false_alarm_rate}")
    for number, fold in enumerate(folds):
        _check(fold, number)
    generator = np.random.default_rng(seed)
    banks = [_bank(fold, generator) for fold in folds]
    distance = np.concatenate(
        [bank.distance(fold.validation_features) for bank, fold in zip(banks, folds, strict=True)]
    )
    patients = np.concatenate([fold.patients.astype(str) for fold in folds])
    # a region of one fold is not that of another, even of the same patient: another network scored it
    regions = np.concatenate(
        [[f"{n}/{who}/{part}" for who, part in zip(f.patients, f.regions, strict=True)] for n, f in enumerate(folds)]
    )
    each_patient = _worst_by_patient(distance, regions, patients)
    rank = min(math.ceil((each_patient.size + 1) * (1 - false_alarm_rate) - 1e-9), each_patient.size)
    slice_threshold = conformal_quantile(distance, alpha=max(false_alarm_rate, 1 / (distance.size + 1)))
    return Limits(
        out_of_distribution(
            banks,
            slice_threshold=slice_threshold,
            region_threshold=float(np.sort(each_patient)[rank - 1]),
            false_alarm_rate=1 - rank / (each_patient.size + 1),
            training_images=sum(len(fold.train_features) for fold in folds),
            validation=(distance.size, np.unique(regions).size, each_patient.size),
        ),
        tuple(banks),
        fit_conformal(
            np.concatenate([fold.probability for fold in folds]).astype(np.float64),
            np.concatenate([fold.truth for fold in folds]).astype(np.int64),
            alpha=error_rate,
            class_conditional=True,
            patients=patients,
            seed=seed,
        ),
    )


def _worst_by_patient(
    distance: NDArray[np.float32], regions: NDArray[np.str_], patients: NDArray[np.str_]
) -> NDArray[np.float64]:
    """(patients,) the largest median of a region."""
    worst: dict[str, float] = {}
    for region in np.unique(regions):
        inside = regions == region
        who = str(patients[inside][0])
        worst[who] = max(worst.get(who, 0.0), float(np.median(distance[inside])))
    return np.array(list(worst.values()), dtype=np.float64)


def _bank(fold: FoldMaterial, generator: np.random.Generator) -> FeatureBank:
    """Training features of unit length, in the half precision they are stored in."""
    count = len(fold.train_features)
    chosen = np.sort(generator.permutation(count)[:BANK_VECTORS])
    rows = np.asarray(fold.train_features[chosen], dtype=np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    vectors = rows.astype(np.float16).astype(np.float32)
    bare = FeatureBank(vectors, min(NEIGHBOUR, len(vectors)))
    middle = float(np.median(bare.distance(fold.validation_features)))
    return FeatureBank(vectors, bare.neighbour, max(middle, 1e-6))


def _check(fold: FoldMaterial, number: int) -> None:
    dimensions = fold.train_features.shape[1:] if fold.train_features.ndim == 2 else ()
    count = len(fold.validation_features)
    if not dimensions or len(fold.train_features) < 2 or fold.validation_features.shape != (count, *dimensions):
        raise InputError(
            f"fold {number}: features must be (images, d) with at least 2 training images and the same d; found "
            f"{fold.train_features.shape} and {fold.validation_features.shape}"
        )
    lengths = {len(fold.patients), len(fold.regions), len(fold.probability), len(fold.truth)}
    if not count or lengths != {count}:
        raise InputError(
            f"fold {number}: {count} validation images, but lists of {sorted(lengths)}: one each is needed"
        )
    if not all(np.isfinite(rows).all() for rows in (fold.train_features, fold.validation_features, fold.probability)):
        raise InputError(f"fold {number}: a feature or probability is not a number")


def feature_space(
    features: NDArray[np.float32], *, weights: NDArray[np.float64] | None = None, dimensions: int = SPACE_DIMENSIONS
) -> FeatureBank:
    """The space of the first components of training features; distances are shares of a feature's length.

    Of tiles, neighbours do not distinguish other tissue from a new patient's: with few patients every new one is far
    from all tiles, and skin is hardly farther. What is outside the space that the training features span
    distinguishes them better (measured on held-out patients, skin and photographs; docs/examples/histology-tiles.md).

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
    *,
    distance: NDArray[np.float32],
    probability: NDArray[np.float32],
    truth: NDArray[np.int64],
    patients: NDArray[np.str_],
    weights: NDArray[np.float64] | None = None,
    seed: int = 1,
    members: int = 1,
) -> Limits:
    """Fit limits and prediction sets on tiles, by models that had not learnt from their patient.

    The threshold of a tile is the quantile of held-out tiles; that of a slide is the largest median of a held-out
    patient: one of n + 1 patients is expected above it.

    Args:
        features: (k, d) of the training tiles.
        distance: (n,) of each held-out tile from the space of all other patients' tiles.
        probability: (n, classes) calibrated.
        truth: (n,) class.
        patients: (n,) whose tile.
        weights: (k,) as of ``feature_space``.
        seed: of the draw of a tile of each patient.
        members: of the model; all have the same base.

    Raises:
        InputError: too few tiles or patients.
    """
    people = np.unique(patients)
    if people.size < 2:
        raise InputError(
            f"OOD score needs tiles of at least two held-out patients; there is {people.size}: more folds, or a model "
            "that does not know its limits (osteon models export --no-trust)"
        )
    unit = max(float(np.median(distance)), 1e-6)
    space = feature_space(features, weights=weights)
    medians = [float(np.median(distance[patients == one])) / unit for one in people]
    banks = (FeatureBank(space.vectors, 1, unit, space.centre),) * members
    known = out_of_distribution(
        banks,
        slice_threshold=float(np.quantile(distance, 1 - _FALSE_ALARMS)) / unit,
        region_threshold=max(medians),
        false_alarm_rate=1 / (people.size + 1),
        training_images=len(features),
        validation=(len(distance), people.size, people.size),
    )
    how: dict[str, Any] = {"alpha": _ERROR_RATE, "class_conditional": True, "patients": patients, "seed": seed}
    return Limits(known, banks, fit_conformal(probability, truth, **how))
