"""One probability an image, and numbers as JSON takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Predictions

__all__ = ["Pooled", "plain", "pooled"]


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Test images, each once.

    Attributes:
        image: (n,) as in the manifest, sorted.
        patient: (n,).
        series: (n,).
        truth: (n,) bool.
        probability: (n,) calibrated, mean over the folds that judged the image.
        uncalibrated: (n,) the same without temperatures.
    """

    image: NDArray[np.str_] = field(repr=False)
    patient: NDArray[np.str_] = field(repr=False)
    series: NDArray[np.str_] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    probability: NDArray[np.float64] = field(repr=False)
    uncalibrated: NDArray[np.float64] = field(repr=False)


def pooled(test: Predictions) -> Pooled:
    """The mean over folds of what was said of each image; in a nested split each image was judged by one fold.

    Args:
        test: rows of part "test".
    """
    image, first, code, count = np.unique(test.image, return_index=True, return_inverse=True, return_counts=True)
    raw = replace(test, temperature=np.ones(len(test)))
    return Pooled(
        image=image,
        patient=test.patient[first],
        series=test.series[first],
        truth=test.is_positive[first],
        probability=np.clip(np.bincount(code, weights=test.probability) / count, 0, 1),
        uncalibrated=np.clip(np.bincount(code, weights=raw.probability) / count, 0, 1),
    )


def plain(value: Any) -> Any:  # noqa: ANN401 - any tree of values
    """The same as JSON can hold it: arrays as lists, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value
