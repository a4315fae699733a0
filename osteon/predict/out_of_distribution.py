"""Fitting what a model must know of its own limits: which images are out of distribution, and prediction sets.

Both are fitted on what each member did not learn from: the validation part of its fold. A member is evaluated on its
own validation patients, so the scores that set the thresholds are scores of patients that member has never seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.conformal import conformal_quantile, fit_conformal
from osteon.weights.limits import Limits, TrainingSpace, out_of_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.metrics.conformal import ConformalThreshold

__all__ = ["FALSE_ALARM_RATE", "SPACE_IMAGES", "FoldMaterial", "fit_limits", "limits_of", "training_space"]

SPACE_IMAGES = 2000
"""Most training images that one member's space is fitted on."""
FALSE_ALARM_RATE = 0.05
_DIRECTIONS, _IMAGES_A_DIRECTION = 64, 3
"""Of the space of training images; chosen with phantoms and real images (docs/concepts/what-a-model-may-say.md)."""
_LEAST_IMAGES = 6
_LEAST_VARIANCE = 1e-4  # of values whose variance is 1


@dataclass(frozen=True, slots=True, eq=False)
class FoldMaterial:
    """What one member gave for the images of its fold, prepared as they are at reading.

    Attributes:
        train_layers: (n, d) what the middle layers give for images it was trained on.
        validation_layers: (m, d) of images it was not trained on.
        patients: (m,) whose image each validation image is.
        regions: (m,) which part of that patient, as a leg or a series: the unit that gets one verdict.
        probability: (m, class) calibrated probabilities; None of maps.
        truth: (m,) the true class as its column; None of maps.
    """

    train_layers: NDArray[np.float32] = field(repr=False)
    validation_layers: NDArray[np.float32] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)
    regions: NDArray[np.str_] = field(repr=False)
    probability: NDArray[np.float32] | None = field(default=None, repr=False)
    truth: NDArray[np.int64] | None = field(default=None, repr=False)


def fit_limits(
    folds: Sequence[FoldMaterial],
    *,
    error_rate: float = 0.1,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
) -> Limits:
    """Fit distances on the folds of a model, and of classes prediction sets.

    The prediction sets hold the error rate within each class, for a random image of a new patient.

    Args:
        folds: one a member, in the order of the networks of the model.
        error_rate: of the prediction sets, 0 to 1.
        false_alarm_rate: of the verdict on a region (``limits_of``), 0 to 1.
        seed: of the choice of training images and of the draw of images.

    Raises:
        InputError: no fold, too few images, shapes that do not fit, a value that is not a number, a rate outside 0..1.

    References:
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
    for number, fold in enumerate(folds):
        _check(fold, number)
    if len({fold.probability is None for fold in folds}) > 1:
        raise InputError("some folds have probabilities and some have none: classes and maps are different models")
    generator = np.random.default_rng(seed)
    spaces = [(_unit_space(fold, generator),) for fold in folds]
    distance = np.concatenate(
        [own[0].distance(fold.validation_layers) for own, fold in zip(spaces, folds, strict=True)]
    )
    patients = np.concatenate([fold.patients.astype(str) for fold in folds])
    # a region of one fold is not that of another, even of the same patient: another network scored it
    regions = np.concatenate(
        [[f"{n}/{who}/{part}" for who, part in zip(f.patients, f.regions, strict=True)] for n, f in enumerate(folds)]
    )
    return limits_of(
        spaces,
        _sets(folds, patients, error_rate=error_rate, seed=seed),
        distance=distance,
        patients=patients,
        regions=regions,
        training_images=sum(len(fold.train_layers) for fold in folds),
        false_alarm_rate=false_alarm_rate,
    )


def limits_of(
    spaces: Sequence[Sequence[TrainingSpace]],
    sets: ConformalThreshold | None,
    *,
    distance: NDArray[np.float32],
    patients: NDArray[np.str_],
    regions: NDArray[np.str_],
    training_images: int,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> Limits:
    """Thresholds for distances, from images of people that the model was not trained on.

    The region threshold is the conformal quantile over patients of their most unusual region: of patients like those
    at most ``false_alarm_rate`` are expected to have a region out of distribution. Too few patients for that rate give
    the largest value seen, and the rate that goes with it is what the result says.

    Args:
        spaces: of each member.
        sets: prediction sets, kept as they are; None of maps.
        distance: (m,) of each image.
        patients: (m,) whose image it is.
        regions: (m,) which region, no two patients' alike.
        training_images: behind the spaces.
        false_alarm_rate: 0 to 1.

    Raises:
        InputError: a rate outside 0..1.
    """
    if not 0 < false_alarm_rate < 1:
        raise InputError(f"a rate of false alarms must be between 0 and 1, found {false_alarm_rate}")
    each_patient = _worst_by_patient(distance, regions, patients)
    rank = min(math.ceil((each_patient.size + 1) * (1 - false_alarm_rate) - 1e-9), each_patient.size)
    known = out_of_distribution(
        spaces,
        slice_threshold=conformal_quantile(distance, alpha=max(false_alarm_rate, 1 / (distance.size + 1))),
        region_threshold=float(np.sort(each_patient)[rank - 1]),
        false_alarm_rate=1 - rank / (each_patient.size + 1),
        training_images=training_images,
        validation=(distance.size, np.unique(regions).size, each_patient.size),
    )
    return Limits(known, tuple(tuple(own) for own in spaces), sets)


def _sets(
    folds: Sequence[FoldMaterial], patients: NDArray[np.str_], *, error_rate: float, seed: int
) -> ConformalThreshold | None:
    """Of the probabilities of all folds; None of maps."""
    probability = [fold.probability for fold in folds if fold.probability is not None]
    truth = [fold.truth for fold in folds if fold.truth is not None]
    if not probability:
        return None
    return fit_conformal(
        np.concatenate(probability).astype(np.float64),
        np.concatenate(truth).astype(np.int64),
        alpha=error_rate,
        class_conditional=True,
        patients=patients,
        seed=seed,
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


def training_space(layers: NDArray[np.float32]) -> TrainingSpace:
    """The space of training images of one kind, with the unit 1.

    Args:
        layers: (n, d) what the middle layers give for them, n at least 6.

    Raises:
        InputError: too few images.
    """
    if len(layers) < _LEAST_IMAGES:
        raise InputError(
            f"{len(layers)} training images were given, and at least {_LEAST_IMAGES} are needed: a model of so few "
            "images cannot know its limits (osteon models export --no-trust)"
        )
    values = np.asarray(layers, dtype=np.float64)
    centre, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    _, singular, directions = np.linalg.svd((values - centre) / scale, full_matrices=False)
    count = min(_DIRECTIONS, len(values) // _IMAGES_A_DIRECTION, values.shape[1])
    variance = singular**2 / len(values)
    beyond = values.shape[1] - count
    rest = max(float(variance[count:].sum()) / beyond if beyond else float(variance.min()), _LEAST_VARIANCE)
    along = np.maximum(variance[:count], rest)
    single = [np.asarray(each, dtype=np.float32) for each in (centre, scale, directions[:count], along)]
    return TrainingSpace(single[0], single[1], single[2], single[3], rest)


def _unit_space(fold: FoldMaterial, generator: np.random.Generator) -> TrainingSpace:
    """Of some training images, with the unit of validation."""
    chosen = np.sort(generator.permutation(len(fold.train_layers))[:SPACE_IMAGES])
    bare = training_space(fold.train_layers[chosen])
    return replace(bare, unit=max(float(np.median(bare.distance(fold.validation_layers))), 1e-6))


def _check(fold: FoldMaterial, number: int) -> None:
    dimensions = fold.train_layers.shape[1:] if fold.train_layers.ndim == 2 else ()
    count = len(fold.validation_layers)
    if not dimensions or len(fold.train_layers) < 2 or fold.validation_layers.shape != (count, *dimensions):
        raise InputError(
            f"fold {number}: layers must be (images, d) with at least 2 training images and the same d; found "
            f"{fold.train_layers.shape} and {fold.validation_layers.shape}"
        )
    if (fold.probability is None) != (fold.truth is None):
        raise InputError(f"fold {number}: probabilities and truth belong together: give both, or of maps none")
    beside = [each for each in (fold.probability, fold.truth) if each is not None]
    lengths = {len(fold.patients), len(fold.regions), *map(len, beside)}
    if not count or lengths != {count}:
        raise InputError(
            f"fold {number}: {count} validation images, but lists of {sorted(lengths)}: one each is needed"
        )
    if not all(np.isfinite(rows).all() for rows in (fold.train_layers, fold.validation_layers, *beside[:1])):
        raise InputError(f"fold {number}: a layer or probability is not a number")
