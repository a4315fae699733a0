"""Split conformal prediction: sets of classes that hold the true one at a chosen rate.

The promise is about exchangeable units. Images of one patient are not, patients are: give ``patients``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.proportions import wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ConformalScore",
    "ConformalThreshold",
    "Coverage",
    "PatientUnit",
    "conformal_quantile",
    "fit_conformal",
    "measure_coverage",
    "predict_sets",
]

ConformalScore: TypeAlias = Literal["lac", "aps"]
PatientUnit: TypeAlias = Literal["draw", "worst"]

_SCORES = ("lac", "aps")
_UNITS = ("draw", "worst")


@dataclass(frozen=True, slots=True)
class ConformalThreshold:
    """What calibration found.

    Attributes:
        score: ``lac`` (1 - probability) or ``aps`` (probability mass down to the class).
        quantiles: (classes,) a class is in the set when its score is at most this; infinite: always in the set.
        n_units: (classes,) calibration units behind each quantile.
        unit: what was calibrated on: ``image``, ``draw`` or ``worst`` (of each patient).
        class_conditional: one quantile a class (Mondrian), else one for all.
        note: says where too few units forced the class into every set; empty otherwise.
    """

    alpha: float
    score: ConformalScore
    quantiles: tuple[float, ...]
    n_units: tuple[int, ...]
    unit: Literal["image", "draw", "worst"]
    class_conditional: bool
    note: str = ""


def conformal_quantile(scores: ArrayLike, *, alpha: float) -> float:
    """The ceil((n+1)(1-alpha))-th smallest score; infinite when n is too small for that rank.

    Raises:
        InputError: alpha is not inside 0..1.

    Example:
        >>> conformal_quantile([0.1, 0.2, 0.3, 0.4], alpha=0.2), conformal_quantile([0.1, 0.2], alpha=0.2)
        (0.4, inf)
    """
    if not 0 < alpha < 1:
        raise InputError(f"an error rate must be between 0 and 1, got {alpha}")
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((ordered.size + 1) * (1 - alpha) - 1e-9)  # 1e-9: 20 * 0.95 must not become 20
    return math.inf if rank > ordered.size else float(ordered[rank - 1])


def _all_scores(probability: NDArray[np.float64], score: ConformalScore) -> NDArray[np.float64]:
    """(n, classes) nonconformity of every class."""
    if score == "lac":
        return 1 - probability
    order = np.argsort(-probability, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(probability, order, axis=1), axis=1)
    scores = np.empty_like(probability)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


def _require_probability(probability: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(probability, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"probabilities must be (images, classes) with at least 2 classes, got {values.shape}")
    if not np.isfinite(values).all() or (np.abs(values.sum(axis=1) - 1) > 1e-3).any() or (values < 0).any():
        raise InputError("each row of probabilities must be finite, not below 0 and sum to 1: apply the softmax first")
    return values


def _require_labels(labels: ArrayLike, images: int, classes: int) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.shape != (images,) or found.dtype.kind not in "iub":
        raise InputError(f"labels must be {images} whole numbers, one an image; got {found.shape} of {found.dtype}")
    if images and (found.min() < 0 or found.max() >= classes):
        raise InputError(f"labels must be in 0..{classes - 1}, the columns of the probabilities")
    return found.astype(np.int64)


def fit_conformal(
    probability: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float,
    score: ConformalScore = "lac",
    class_conditional: bool = False,
    patients: ArrayLike | None = None,
    unit: PatientUnit = "draw",
    seed: int = 0,
) -> ConformalThreshold:
    """Thresholds from calibration images that the model has not been trained on.

    With ``patients`` each patient gives one score. ``draw`` takes one image of each patient at random: a random image
    of a new patient is then covered at the rate 1 - alpha, as small sets as can be (the default, since it is the
    statement an image's result makes). ``worst`` takes the largest score: then all images of a new patient are covered
    at once at that rate, with larger sets. With ``class_conditional`` the unit is a patient within a class.

    Args:
        probability: (n, classes), rows sum to 1.
        labels: (n,) true class as its column.
        alpha: error rate, for example 0.1.
        score: ``lac`` gives the smallest sets, ``aps`` evens out easy and hard images (not randomised, so it covers
            more than asked for).
        class_conditional: hold the rate within each class, not only over all.
        patients: (n,) who each image belongs to; images count as units when left out.
        unit: ``draw`` or ``worst``.
        seed: of the draw.

    Returns:
        The thresholds; a class whose units are too few (fewer than 1/alpha - 1) is in every set, and the note says so.

    Raises:
        InputError: shapes, values or alpha do not fit.
        UnknownLabelError: no such score or unit.

    References:
        Sadinle, Lei, Wasserman: Least ambiguous set-valued classifiers. JASA 2019, doi:10.1080/01621459.2017.1395341.
        Romano, Sesia, Candes: Classification with valid and adaptive coverage. NeurIPS 2020, arXiv:2006.02544.
        Dunn, Wasserman, Ramdas: Distribution-free prediction sets for two-layer hierarchical models. JASA 2023,
        doi:10.1080/01621459.2022.2060112 (one draw a group).
    """
    if score not in _SCORES:
        raise UnknownLabelError(f"no conformal score {score!r}: {nearest_names(str(score), _SCORES)}")
    if unit not in _UNITS:
        raise UnknownLabelError(f"no unit {unit!r}: {nearest_names(str(unit), _UNITS)}")
    values = _require_probability(probability)
    images, classes = values.shape
    truth = _require_labels(labels, images, classes)
    own = _all_scores(values, score)[np.arange(images), truth]
    who = np.arange(images) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
    if who.shape != (images,):
        raise InputError(f"patients must name one patient an image: {images} images, got {who.shape}")
    generator = np.random.default_rng(seed)
    groups = [truth == c for c in range(classes)] if class_conditional else [np.ones(images, dtype=bool)]
    found = [_one_per_patient(own[group], who[group], unit, generator) for group in groups]
    quantiles = [conformal_quantile(scores, alpha=alpha) for scores in found]
    repeat = 1 if class_conditional else classes
    return ConformalThreshold(
        alpha=alpha,
        score=score,
        quantiles=tuple(quantiles * repeat),
        n_units=tuple([scores.size for scores in found] * repeat),
        unit="image" if patients is None else unit,
        class_conditional=class_conditional,
        note=_note(quantiles, found, alpha, class_conditional=class_conditional),
    )


def _one_per_patient(
    scores: NDArray[np.float64], who: NDArray[np.int64], unit: PatientUnit, generator: np.random.Generator
) -> NDArray[np.float64]:
    """One score of each patient: of a random image, or the largest."""
    key = scores if unit == "worst" else generator.random(scores.size)
    order = np.lexsort((key, who))
    ordered = who[order]
    last = np.append(ordered[1:] != ordered[:-1], [True] * min(1, scores.size)).astype(bool)
    chosen: NDArray[np.float64] = scores[order][last]
    return chosen


def _note(quantiles: list[float], found: list[NDArray[np.float64]], alpha: float, *, class_conditional: bool) -> str:
    needed = math.ceil(1 / alpha - 1 - 1e-9)
    short = [number for number, quantile in enumerate(quantiles) if math.isinf(quantile)]
    if not short:
        return ""
    if not class_conditional:
        return (
            f"{found[0].size} calibration units are fewer than the {needed} that alpha {alpha:g} needs: every set "
            "holds all classes"
        )
    listed = ", ".join(f"{number} ({found[number].size})" for number in short)
    return f"fewer than the {needed} calibration units that alpha {alpha:g} needs in class {listed}: in every set"


def predict_sets(threshold: ConformalThreshold, probability: ArrayLike) -> NDArray[np.bool_]:
    """The prediction set of each image.

    Returns:
        (n, classes) True where the class is in the set. An empty set means: unlike what the model was calibrated on.

    Raises:
        InputError: another number of classes than the threshold was fitted for, or no probabilities.
    """
    values = _require_probability(probability)
    if values.shape[1] != len(threshold.quantiles):
        raise InputError(f"calibrated for {len(threshold.quantiles)} classes, got {values.shape[1]}")
    sets: NDArray[np.bool_] = _all_scores(values, threshold.score) <= np.asarray(threshold.quantiles)
    return sets


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the sets held the truth, with the 95 % Wilson interval.

    Attributes:
        covered: units whose set held the true class (all images of the patient, when patients are the unit).
        mean_size: mean number of classes in a set, over images.
    """

    covered: int
    n: int
    share: float
    low: float
    high: float
    mean_size: float
    empty: int


def measure_coverage(sets: ArrayLike, labels: ArrayLike, *, patients: ArrayLike | None = None) -> Coverage:
    """Measured coverage of sets (n, classes) with its Wilson interval; a patient is covered when all his images are.

    Raises:
        InputError: shapes do not fit, or no image.
    """
    members = np.asarray(sets, dtype=np.bool_)
    if members.ndim != 2 or not members.size:
        raise InputError(f"sets must be (images, classes) with at least one image, got {members.shape}")
    truth = _require_labels(labels, *members.shape)
    inside = members[np.arange(truth.size), truth]
    if patients is not None:
        _, who = np.unique(np.asarray(patients), return_inverse=True)
        inside = np.bincount(who, weights=~inside) == 0
    covered, n = int(inside.sum()), int(inside.size)
    found, sizes = wilson(covered, n), members.sum(axis=1)
    return Coverage(covered, n, found.value, found.low, found.high, float(sizes.mean()), int((sizes == 0).sum()))
