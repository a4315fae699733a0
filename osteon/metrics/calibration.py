"""Whether a probability means what it says: reliability curve, ECE, Brier score, recalibration line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.proportions import wilson
from osteon.metrics.validation import checked_score, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Binning",
    "BrierDecomposition",
    "DecisionCurve",
    "Recalibration",
    "ReliabilityCurve",
    "TemperatureFit",
    "apply_temperature",
    "brier_decomposition",
    "decision_curve",
    "expected_calibration_error",
    "fit_temperature",
    "image_weights",
    "probability_sample",
    "recalibration",
    "reliability_curve",
    "share_offsets",
]

Binning: TypeAlias = Literal["equal_mass", "equal_width"]

_BINNINGS = ("equal_mass", "equal_width")
_NEWTON_STEPS = 100
_NEWTON_TOLERANCE = 1e-12

_LARGEST_LOG_TEMPERATURE = math.log(100.0)


def probability_sample(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth (n,) bool and probability (n,) float64 of the positive class, checked.

    Raises:
        InputError: lengths differ, nothing was given, a value is not finite, or is outside 0..1.
    """
    labels = checked_truth(truth)
    values = checked_score(probability, labels.size)
    if values.ndim != 1 or values.min() < 0 or values.max() > 1:
        raise InputError(
            f"one probability in [0, 1] per image is needed; shape {values.shape}, {values.min():g} to "
            f"{values.max():g}: apply the sigmoid or softmax first"
        )
    return labels, values


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Predicted against observed, bin by bin; empty bins are left out.

    Attributes:
        mean_predicted: (bins,) mean probability.
        observed: (bins,) share of positives.
        low: (bins,) lower end of the Wilson interval of ``observed``; images count as independent.
    """

    binning: Binning
    mean_predicted: NDArray[np.float64] = field(repr=False)
    observed: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)


def _bin_of_each(probability: NDArray[np.float64], bins: int, binning: Binning) -> NDArray[np.int64]:
    """Bin of each value, counted over bins that hold something; an edge is of the lower one, equal values share one."""
    if bins < 1:
        raise InputError(f"at least one bin is needed, asked for {bins}")
    if binning not in _BINNINGS:
        raise UnknownLabelError(f"no binning {binning!r}: {nearest_names(str(binning), _BINNINGS)}")
    steps = np.linspace(0.0, 1.0, bins + 1)
    edges = steps if binning == "equal_width" else np.quantile(probability, steps)
    _, number = np.unique(np.searchsorted(edges[1:-1], probability), return_inverse=True)
    return number.astype(np.int64)


def reliability_curve(
    truth: ArrayLike, probability: ArrayLike, *, bins: int = 10, binning: Binning = "equal_mass"
) -> ReliabilityCurve:
    """Mean predicted probability and observed share of positives in each bin, with its 95 % Wilson interval.

    Args:
        truth: (n,) 0 or 1.
        probability: (n,) of the positive class, 0..1.
        bins: how many; fewer come back when some are empty.
        binning: ``equal_mass`` cuts at quantiles (every bin as sure as the next), ``equal_width`` at fixed steps.

    Raises:
        InputError: the sample cannot be used (see ``probability_sample``), or no bins.
        UnknownLabelError: no such binning.

    Example:
        >>> reliability_curve([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9], bins=2).mean_predicted.tolist()
        [0.2, 0.8]
    """
    labels, values = probability_sample(truth, probability)
    number = _bin_of_each(values, bins, binning)
    count = np.bincount(number)
    hits = np.bincount(number, weights=labels)
    intervals = [wilson(int(k), int(n)) for k, n in zip(hits, count, strict=True)]
    low, high = np.array([(interval.low, interval.high) for interval in intervals]).T
    return ReliabilityCurve(binning, np.bincount(number, weights=values) / count, hits / count, count, low, high)


def expected_calibration_error(
    truth: ArrayLike, probability: ArrayLike, *, bins: int = 10, binning: Binning = "equal_mass"
) -> float:
    """ECE: mean distance of observed share and mean probability over the bins, weighted by their images.

    It depends on the bins and is biased upwards in small samples; give the number of bins with it. For several classes
    pass whether the top class was right as ``truth`` and its probability.

    References:
        Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning. AAAI 2015.
    """
    curve = reliability_curve(truth, probability, bins=bins, binning=binning)
    return float(np.average(np.abs(curve.observed - curve.mean_predicted), weights=curve.count))


@dataclass(frozen=True, slots=True)
class BrierDecomposition:
    """Parts of the Brier score.

    ``score = reliability - resolution + uncertainty + within_bin_variance - within_bin_covariance`` holds exactly.
    Murphy's three terms alone are exact only for the binned forecast (every probability replaced by its bin's mean).

    Attributes:
        score: Brier score of the forecast as it is.
        reliability: squared distance of mean probability and observed share; 0 is calibrated.
        resolution: how far the observed shares of the bins are from the overall share; higher is better.
        uncertainty: share x (1 - share) of positives, not the model's doing.
        within_bin_variance: spread of the probabilities inside bins.
        within_bin_covariance: twice the covariance of probability and truth inside bins.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float


def brier_decomposition(
    truth: ArrayLike, probability: ArrayLike, *, bins: int = 10, binning: Binning = "equal_mass"
) -> BrierDecomposition:
    """Murphy's decomposition of the Brier score with the two within-bin terms that make the sum exact.

    References:
        Murphy: A new vector partition of the probability score. J Appl Meteorol 1973, 12:595-600.
        Stephenson, Coelho, Jolliffe: Two extra components in the Brier score decomposition. Weather and Forecasting
        2008, doi:10.1175/2007WAF2006116.1.
    """
    labels, values = probability_sample(truth, probability)
    number = _bin_of_each(values, bins, binning)
    count = np.bincount(number)
    mean = np.bincount(number, weights=values) / count
    observed = np.bincount(number, weights=labels) / count
    share = float(labels.mean())
    off_mean, off_observed = values - mean[number], labels - observed[number]
    return BrierDecomposition(
        score=float(np.mean((values - labels) ** 2)),
        reliability=float(np.average((mean - observed) ** 2, weights=count)),
        resolution=float(np.average((observed - share) ** 2, weights=count)),
        uncertainty=share * (1 - share),
        within_bin_variance=float(np.mean(off_mean**2)),
        within_bin_covariance=float(2 * np.mean(off_mean * off_observed)),
    )


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The line from predicted to observed log odds; a calibrated model has slope 1, both intercepts 0.

    Attributes:
        slope: below 1 is overconfident; None when one threshold parts the classes (then no finite slope is best).
        intercept: goes with ``slope``; None when the slope is.
        intercept_in_the_large: with the slope held at 1: above 0 the model says too little; None with one class only.
        clip: probabilities were held in ``clip..1-clip``.
    """

    slope: float | None
    intercept: float | None
    intercept_in_the_large: float | None
    mean_predicted: float
    observed: float
    clip: float


def recalibration(truth: ArrayLike, probability: ArrayLike, *, clip: float = 1e-6) -> Recalibration:
    """Calibration slope, intercept and calibration-in-the-large by unpenalised logistic regression.

    The truth is regressed on the log odds of the probability: once with free slope and intercept, once with the log
    odds as offset and the intercept alone. Images of one patient are not independent draws: take intervals from a
    patient bootstrap of this function. 0 and 1 have no finite log odds; probabilities are held in ``clip..1-clip``.

    Raises:
        InputError: the sample cannot be used, or clip is not inside 0..0.5.

    References:
        Van Calster et al.: Calibration: the Achilles heel of predictive analytics. BMC Medicine 2019,
        doi:10.1186/s12916-019-1466-7.
    """
    if not 0 < clip < 0.5:
        raise InputError(f"clip must be between 0 and 0.5, got {clip}")
    labels, values = probability_sample(truth, probability)
    held = np.clip(values, clip, 1 - clip)
    log_odds = np.log(held) - np.log1p(-held)
    ones = np.ones((labels.size, 1))
    large = slope = intercept = None
    if labels.any() and not labels.all():
        large = float(_newton(ones, labels, offset=log_odds)[0])
        positive, negative = log_odds[labels], log_odds[~labels]
        # in one dimension the maximum is finite exactly when no threshold, ties included, parts the classes
        if negative.max() > positive.min() and positive.max() > negative.min():
            fitted = _newton(np.column_stack([ones, log_odds]), labels, offset=np.zeros(labels.size))
            intercept, slope = float(fitted[0]), float(fitted[1])
    return Recalibration(slope, intercept, large, float(values.mean()), float(labels.mean()), clip)


def _newton(
    design: NDArray[np.float64], truth: NDArray[np.bool_], *, offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Maximum likelihood of a logistic regression: Newton steps, halved while the likelihood does not grow."""
    from scipy.special import expit

    def loss(beta: NDArray[np.float64]) -> float:
        eta = design @ beta + offset
        return float(np.logaddexp(0.0, np.where(truth, -eta, eta)).sum())

    beta = np.zeros(design.shape[1])
    current = loss(beta)
    for _ in range(_NEWTON_STEPS):
        mean = expit(design @ beta + offset)
        gradient = design.T @ (truth - mean)
        # a saturated fit has curvature 0: the small ridge bends the step, not the solution
        curvature = (design * (mean * (1 - mean))[:, None]).T @ design + 1e-12 * np.eye(beta.size)
        step = np.linalg.solve(curvature, gradient)
        while loss(beta + step) > current + 1e-12 * abs(current) and np.abs(step).max() > _NEWTON_TOLERANCE:
            step = step / 2
        beta = beta + step
        current = loss(beta)
        if np.abs(step).max() < _NEWTON_TOLERANCE * max(1.0, float(np.abs(beta).max())):
            break
    return beta


# ------------------------------------------------------------------------------------------------------ decision curves


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit over thresholds (k,), in true positives an image, of acting on the model and on every image.

    Attributes:
        thresholds: probabilities at which one would act.
        prevalence: weighted share of positives.
    """

    thresholds: NDArray[np.float64] = field(repr=False)
    model: NDArray[np.float64] = field(repr=False)
    treat_all: NDArray[np.float64] = field(repr=False)
    prevalence: float


def decision_curve(
    truth: ArrayLike, probability: ArrayLike, *, thresholds: ArrayLike | None = None, weights: ArrayLike | None = None
) -> DecisionCurve:
    """Net benefit ``TP/n - FP/n * t/(1-t)`` of the model and of acting on all, at each threshold t.

    An image is acted on when ``probability >= t``.

    Args:
        truth: (n,) 0 or 1.
        probability: (n,) calibrated, 0..1.
        thresholds: (k,) inside 0..1, 1 excluded; 0.01 to 0.99 when left out.
        weights: (n,) not below 0: how often an image is drawn in a bootstrap, or 1 / images of its patient.

    Raises:
        InputError: the sample, the thresholds or the weights cannot be used.

    References:
        Vickers, Elkin: Decision curve analysis. Med Decis Making 2006, doi:10.1177/0272989X06295361.
        Kerr et al.: Assessing the clinical impact of risk prediction models with decision curves. J Clin Oncol 2016,
        doi:10.1200/JCO.2015.65.5654 (standardised net benefit).

    Example:
        >>> curve = decision_curve([1, 0, 1, 0], [0.9, 0.6, 0.4, 0.1], thresholds=[0.5])
        >>> curve.model.tolist(), curve.treat_all.tolist()
        ([0.0], [0.0])
    """
    labels, values = probability_sample(truth, probability)
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if at.ndim != 1 or not at.size or not (np.isfinite(at).all() and at.min() >= 0 and at.max() < 1):
        raise InputError("thresholds must be a list of probabilities, 0 or more and below 1")
    parts = image_weights(weights, labels.size)
    order = np.argsort(values, kind="stable")
    # weight at or above the k-th lowest probability; 0 behind the highest
    positive = np.append(np.cumsum((parts * labels)[order][::-1])[::-1], 0.0)
    negative = np.append(np.cumsum((parts * ~labels)[order][::-1])[::-1], 0.0)
    first = np.searchsorted(values[order], at, side="left")
    odds = at / (1 - at)
    prevalence = float(parts[labels].sum())
    return DecisionCurve(at, positive[first] - negative[first] * odds, prevalence - (1 - prevalence) * odds, prevalence)


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A fitted temperature.

    Attributes:
        temperature: logits are divided by it; above 1 the model was too sure.
        at_bound: no finite temperature is best (every image right: 0.01; no better than guessing: 100).
    """

    temperature: float
    at_bound: bool

    @property
    def usable(self) -> float:
        """The temperature, and 1 where no finite one is best: it makes the model neither surer nor less sure."""
        return 1.0 if self.at_bound else self.temperature


def image_weights(weights: ArrayLike | None, images: int) -> NDArray[np.float64]:
    """Weights (images,) that sum to 1; all alike when none are given.

    Raises:
        InputError: not one an image, one below 0 or not finite, or all 0.
    """
    parts = np.ones(images) if weights is None else np.asarray(weights, dtype=np.float64)
    if parts.shape != (images,) or not np.isfinite(parts).all() or parts.min() < 0 or parts.sum() <= 0:
        raise InputError("weights must be one number an image, none below 0 and not all 0")
    normalised: NDArray[np.float64] = parts / parts.sum()
    return normalised


def apply_temperature(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) of logits divided by the temperature; rows sum to 1.

    Raises:
        InputError: the temperature is not above 0.
    """
    from scipy.special import softmax

    if not temperature > 0:
        raise InputError(f"a temperature must be above 0, got {temperature}")
    probability: NDArray[np.float64] = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1)
    return probability


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> TemperatureFit:
    """The temperature with the smallest negative log likelihood; fit it on validation images only.

    The loss is convex in 1/T, so its derivative has one root at most; the root is bracketed in log T between 0.01 and
    100 and found by Brent's method. Logits are (n, classes), before any softmax; labels (n,) columns; weights (n,).

    Raises:
        InputError: shapes, labels or weights do not fit.

    References:
        Guo et al.: On calibration of modern neural networks. ICML 2017, arXiv:1706.04599.
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    values, classes = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] < 2 or classes.shape != values.shape[:1]:
        raise InputError(
            f"logits must be (images, classes) with at least 1 image and 2 classes, and labels (images,); got "
            f"{values.shape} and {classes.shape}"
        )
    if not np.isfinite(values).all():
        raise InputError("logits hold values that are not finite numbers: the network diverged, or an image is broken")
    if classes.dtype.kind not in "iub" or classes.min() < 0 or classes.max() >= values.shape[1]:
        raise InputError(f"labels must be whole numbers 0 to {values.shape[1] - 1}, the columns of the logits")
    parts = image_weights(weights, classes.size)
    true = values[np.arange(classes.size), classes.astype(np.int64)]

    def slope(log_temperature: float) -> float:
        """Derivative of the loss by 1/T: expected minus true logit."""
        expected = (softmax(values * math.exp(-log_temperature), axis=1) * values).sum(axis=1)
        return float((parts * (expected - true)).sum())

    low, high = -_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE
    at_bound = True
    if np.ptp(values, axis=1).max() == 0:
        best = 0.0  # all logits of an image alike: every temperature says the same
    elif slope(low) <= 0:
        best = low  # even the surest is not sure enough
    elif slope(high) >= 0:
        best = high
    else:
        best, at_bound = float(brentq(slope, low, high, xtol=1e-12, rtol=1e-14)), False
    return TemperatureFit(math.exp(best), at_bound)


# --------------------------------------------------------------------------------------------------------- class shares


def share_offsets(true: ArrayLike, trained: ArrayLike) -> NDArray[np.float64]:
    """What to add to logits so that their softmax is the posterior under the true shares (Bayes' rule).

    Args:
        true: (classes,) how often each class occurs, positive; counts or shares.
        trained: (classes,) how often, or with what weight, each was seen in training; positive.

    Returns:
        (classes,) natural logarithms; all 0 where the shares agree.

    Raises:
        InputError: lengths differ, or a share is not positive.

    References:
        Saerens, Latinne, Decaestecker 2002, doi:10.1162/089976602753284446.
    """
    shares = [np.asarray(part, dtype=np.float64) for part in (true, trained)]
    if shares[0].shape != shares[1].shape or shares[0].ndim != 1 or any((part <= 0).any() for part in shares):
        raise InputError(f"shares must be two lists of positive numbers, one a class; got {true!r} and {trained!r}")
    offsets: NDArray[np.float64] = np.log(shares[0] / shares[0].sum()) - np.log(shares[1] / shares[1].sum())
    return offsets
