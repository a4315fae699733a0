"""Which images of a run a model's limits are fitted on: training images of each member, and what gets one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.predict.out_of_distribution import SPACE_IMAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Manifest

__all__ = ["reference_rows", "region_names", "require_references"]

_BANK_STREAM = 5
"""Keeps the choice of training images apart from other uses of the seed."""

_FEWEST_REFERENCES = 10


def require_references(number: int) -> None:
    """Refuse a number of training images that no space can be fitted on.

    Raises:
        InputError: it is out of range.
    """
    if not _FEWEST_REFERENCES <= number <= SPACE_IMAGES:
        raise InputError(f"{number} reference images were asked for; give {_FEWEST_REFERENCES} to {SPACE_IMAGES}")


def reference_rows(train: NDArray[np.int64], most: int, *, seed: int, fold: int) -> NDArray[np.int64]:
    """At most this many rows of a training part, ascending, drawn from the seed of the run and the fold."""
    drawn = np.random.default_rng(np.random.SeedSequence([seed, _BANK_STREAM, fold])).permutation(train)
    return np.sort(drawn[:most])


def region_names(manifest: Manifest, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """What gets one verdict at reading: a leg of a series, or the series where legs are not named."""
    chosen = [manifest.rows[int(row)] for row in rows]
    return np.array(["/".join((row.study, row.series, row.extra.get("leg", ""))) for row in chosen])
