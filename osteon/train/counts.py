"""What segmenters got right and wrong, pixel by pixel, image by image: every number of a table derives from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from osteon.errors import InputError
from osteon.io.table import csv_text, plain_cell
from osteon.metrics.segmentation import MASK_MEASURES, PixelCounts, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.metrics.bootstrap import BootstrapInterval, Resampling

__all__ = ["SWEPT", "SegmentCounts", "ThresholdSweep", "evaluate_counts", "measures_by_fold"]

SWEPT = (np.arange(1, 100) / 100).astype(np.float32)
"""Thresholds at which the validation part is counted."""

_KEYS = ("image", "patient", "fold", "part", "output")
_NUMBERS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True, eq=False)
class SegmentCounts:
    """One row an image, map and fold.

    Attributes:
        image: (n,) as in the manifest.
        patient: (n,).
        fold: (n,) int64, whose network.
        part: (n,) "validation" or "test".
        output: (n,) name of the map, "lesion" or "bone".
        counts: of the n rows.
        warnings: sentences that every table made from these rows must print.

    Raises:
        InputError: lengths that do not agree.
    """

    image: NDArray[np.str_] = field(repr=False)
    patient: NDArray[np.str_] = field(repr=False)
    fold: NDArray[np.int64] = field(repr=False)
    part: NDArray[np.str_] = field(repr=False)
    output: NDArray[np.str_] = field(repr=False)
    counts: PixelCounts = field(repr=False)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a table whose columns do not belong together."""
        lengths = {name: len(getattr(self, name)) for name in _KEYS} | {"counts": len(self.counts.table)}
        if len(set(lengths.values())) != 1:
            raise InputError(f"the columns of counts differ in length: {lengths}")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.image)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Rows by mask or by index, in their order."""
        return replace(
            self,
            **{name: getattr(self, name)[chosen] for name in _KEYS},
            counts=_pixel_counts(self.counts.table[chosen]),
        )

    def of(self, *, part: str | None = None, output: str | None = None, fold: int | None = None) -> Self:
        """Rows of a part, a map and a fold; None takes all."""
        chosen = np.ones(len(self), dtype=bool)
        for name, wanted in (("part", part), ("output", output), ("fold", fold)):
            if wanted is not None:
                chosen &= getattr(self, name) == wanted
        return self.where(chosen)

    def warned(self, warnings: Sequence[str]) -> Self:
        """The same rows with more sentences, none twice."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    @classmethod
    def joined(cls, tables: Sequence[SegmentCounts]) -> Self:
        """Tables one below the other.

        Raises:
            InputError: no table.
        """
        if not tables:
            raise InputError("no counts were given to join: evaluate at least one fold")
        return cls(
            **{name: np.concatenate([getattr(table, name) for table in tables]) for name in _KEYS},
            counts=_pixel_counts(np.concatenate([table.counts.table for table in tables])),
            warnings=tuple(dict.fromkeys(warning for table in tables for warning in table.warnings)),
        )

    def text(self) -> str:
        """The rows as CSV; warnings are not kept there."""
        keys = zip(*(getattr(self, name).tolist() for name in _KEYS), strict=True)
        rows = ([*key, *numbers] for key, numbers in zip(keys, self.counts.table.tolist(), strict=True))
        return csv_text([*_KEYS, *_NUMBERS], rows)

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, str]]) -> Self:
        """What ``text`` gave, row by row.

        Raises:
            KeyError, TypeError or ValueError: it holds something else.
        """
        table = np.array([[int(row[name]) for name in _NUMBERS] for row in rows], dtype=np.int64).reshape(-1, 4)
        image, patient, fold, part, output = (np.array([plain_cell(row[name]) for row in rows]) for name in _KEYS)
        return cls(image, patient, fold.astype(np.int64), part, output, _pixel_counts(table))


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdSweep:
    """Pixels of the validation part by truth and prediction, at many thresholds.

    Attributes:
        output: name of the map.
        thresholds: (t,) float32, rising.
        table: (t, 4) int64: true positive, false positive, false negative, true negative.
    """

    output: str
    thresholds: NDArray[np.float32] = field(repr=False)
    table: NDArray[np.int64] = field(repr=False)

    @property
    def f1(self) -> NDArray[np.float64]:
        """(t,) pooled F1; 0 where nothing is there and nothing predicted."""
        hits, extra, missed, _ = self.table.astype(np.float64).T
        whole = 2 * hits + extra + missed
        return np.asarray(np.divide(2 * hits, whole, out=np.zeros_like(whole), where=whole > 0))

    @property
    def best(self) -> float:
        """The threshold of the largest F1; of equals the one nearest to 0.5."""
        f1 = self.f1
        equal = np.flatnonzero(f1 == f1.max())
        return round(float(self.thresholds[equal[np.argmin(np.abs(self.thresholds[equal] - 0.5))]]), 4)

    @classmethod
    def summed(cls, sweeps: Sequence[ThresholdSweep]) -> Self:
        """Sweeps of one map over several folds.

        Raises:
            InputError: none, or of different maps.
        """
        if len({sweep.output for sweep in sweeps}) != 1:
            raise InputError("sweeps of one map are needed, and at least one")
        return cls(sweeps[0].output, sweeps[0].thresholds, np.sum([sweep.table for sweep in sweeps], axis=0))

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "output": self.output,
            "thresholds": [round(float(value), 4) for value in self.thresholds],
            "table": self.table.tolist(),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What ``document`` gave."""
        thresholds, table = (np.array(document[name]) for name in ("thresholds", "table"))
        return cls(str(document["output"]), thresholds.astype(np.float32), table.astype(np.int64))


def evaluate_counts(
    counts: SegmentCounts, *, output: str = "lesion", resampling: Resampling | None = None
) -> dict[str, BootstrapInterval]:
    """Measures of the test parts over all folds together, with percentile intervals over patients.

    Where every image is tested once, as in a nested split, its fold's network did it; where one test part is evaluated
    by the networks of all folds, each image counts once a network.

    Returns:
        By name, in the order of ``MASK_MEASURES``.

    Raises:
        InputError: no row of this map in the test part.
    """
    chosen = _chosen(counts, output)
    return pooled(chosen.counts, chosen.patient, measures=MASK_MEASURES, resampling=resampling)


def measures_by_fold(counts: SegmentCounts, *, output: str = "lesion") -> dict[int, dict[str, float]]:
    """The measures of each fold on its test part; the paper's tables are means of these.

    Raises:
        InputError: no row of this map in the test part.
    """
    from osteon.metrics.bootstrap import Resampling

    chosen = _chosen(counts, output)
    found = {}
    for fold in np.unique(chosen.fold).tolist():
        one = chosen.of(fold=fold)
        values = pooled(one.counts, one.patient, measures=MASK_MEASURES, resampling=Resampling(repeats=1))
        found[int(fold)] = {name: interval.value for name, interval in values.items()}
    return found


def _chosen(counts: SegmentCounts, output: str) -> SegmentCounts:
    chosen = counts.of(part="test", output=output)
    if len(chosen) == 0:
        raise InputError(f"these counts have no row of the map {output!r} in the test part: nothing can be evaluated")
    return chosen


def _pixel_counts(table: NDArray[np.int64]) -> PixelCounts:
    """Rows (n, 4) in the order of the attributes."""
    return PixelCounts(**{entry.name: table[:, index] for index, entry in enumerate(fields(PixelCounts))})
