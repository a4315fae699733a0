"""Decision curves: what acting on a model is worth at each threshold of probability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.calibration import probability_sample
from osteon.metrics.temperature import image_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["DecisionCurve", "decision_curve"]


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit over thresholds, in true positives an image.

    Attributes:
        thresholds: (k,) probabilities at which one would act.
        model: (k,) net benefit of acting on the model.
        treat_all: (k,) of acting on every image.
        prevalence: weighted share of positives.
    """

    thresholds: NDArray[np.float64] = field(repr=False)
    model: NDArray[np.float64] = field(repr=False)
    treat_all: NDArray[np.float64] = field(repr=False)
    prevalence: float

    @property
    def treat_none(self) -> NDArray[np.float64]:
        """(k,) of acting on no image: 0."""
        return np.zeros_like(self.thresholds)

    def standardised(self) -> NDArray[np.float64]:
        """(k,) net benefit of the model over the largest possible one, the prevalence; NaN without a positive."""
        if self.prevalence == 0:
            return np.full_like(self.model, np.nan)
        return self.model / self.prevalence


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
