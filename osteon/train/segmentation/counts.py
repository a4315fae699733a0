"""What segmenters called right and wrong, pixel by pixel, image by image: every number of a table derives from it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from osteon.errors import InputError
from osteon.metrics.segmentation import PixelCounts
from osteon.train.run_folder import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SegmentCounts", "read_counts", "write_counts"]

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
            raise InputError("no counts were given to join: judge at least one fold")
        return cls(
            **{name: np.concatenate([getattr(table, name) for table in tables]) for name in _KEYS},
            counts=_pixel_counts(np.concatenate([table.counts.table for table in tables])),
            warnings=tuple(dict.fromkeys(warning for table in tables for warning in table.warnings)),
        )


def write_counts(counts: SegmentCounts, path: Path) -> None:
    """Write the rows as CSV, whole or not at all; warnings are not kept there.

    Raises:
        OutputError: the system refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_KEYS, *_NUMBERS])
    keys = zip(*(getattr(counts, name).tolist() for name in _KEYS), strict=True)
    writer.writerows([*key, *numbers] for key, numbers in zip(keys, counts.counts.table.tolist(), strict=True))
    write_text(path, text.getvalue())


def read_counts(path: Path) -> SegmentCounts:
    """Read what ``write_counts`` wrote.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = np.array([[int(row[name]) for name in _NUMBERS] for row in rows], dtype=np.int64).reshape(-1, 4)
        image, patient, fold, part, output = (np.array([row[name] for row in rows]) for name in _KEYS)
        return SegmentCounts(image, patient, fold.astype(np.int64), part, output, _pixel_counts(table))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__}): train or judge again"
        ) from error


def _pixel_counts(table: NDArray[np.int64]) -> PixelCounts:
    """Rows (n, 4) in the order of the attributes."""
    return PixelCounts(**{entry.name: table[:, index] for index, entry in enumerate(fields(PixelCounts))})
