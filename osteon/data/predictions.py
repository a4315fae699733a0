"""What models said about the images of a data set; every statistic derives from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data.manifest import Manifest

__all__ = ["Predictions"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """One row an image, model and fold.

    Attributes:
        image: (n,) as in the manifest.
        patient: (n,).
        series: (n,) "" where not known.
        truth: (n,) int64, index into ``classes``.
        logits: (n, classes) float32, as the network gives them.
        fold: (n,) int64, whose model.
        part: (n,) "validation" or "test".
        temperature: (n,) float64 that the logits are divided by for ``probability``; 1 where nothing was calibrated.
        classes: names, in the order of the logits.
        positive: the class whose probability is evaluated.

    Raises:
        InputError: lengths that do not agree, or values that are not finite.
    """

    image: NDArray[np.str_] = field(repr=False)
    patient: NDArray[np.str_] = field(repr=False)
    series: NDArray[np.str_] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    fold: NDArray[np.int64] = field(repr=False)
    part: NDArray[np.str_] = field(repr=False)
    temperature: NDArray[np.float64] = field(repr=False)
    classes: tuple[str, ...]
    positive: str

    def __post_init__(self) -> None:
        """Refuse a table whose columns do not belong together."""
        lengths = {name: len(getattr(self, name)) for name in _COLUMNS}
        if len(set(lengths.values())) != 1:
            raise InputError(f"the columns of predictions differ in length: {lengths}")
        if self.logits.shape != (len(self.image), len(self.classes)):
            raise InputError(f"logits of shape {self.logits.shape} for {len(self.image)} images and {self.classes}")
        if self.positive not in self.classes:
            raise InputError(f"the positive class {self.positive!r} is none of {self.classes}")
        if not np.isfinite(self.logits).all():
            raise InputError("predictions hold logits that are not finite: the model diverged, train it again")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.image)

    @property
    def is_positive(self) -> NDArray[np.bool_]:
        """(n,) whether the truth is the positive class."""
        return np.asarray(self.truth == self.classes.index(self.positive))

    @property
    def probability(self) -> NDArray[np.float64]:
        """(n,) softmax of ``logits / temperature`` of the positive class."""
        from scipy.special import softmax

        share = softmax(self.logits.astype(np.float64) / self.temperature[:, None], axis=1)
        return np.asarray(share[:, self.classes.index(self.positive)])

    def where(self, keep: NDArray[np.bool_] | NDArray[np.integer]) -> Self:
        """The rows where ``keep`` (n,) is true, or the rows of these indices in their order."""
        columns = {name: getattr(self, name)[keep] for name in _COLUMNS}
        return type(self)(**columns, classes=self.classes, positive=self.positive)

    def of(self, *, part: str, fold: int | None = None) -> Self:
        """The rows of one part, and of one fold when it is given."""
        keep = self.part == part
        return self.where(keep if fold is None else keep & (self.fold == fold))

    @classmethod
    def of_rows(
        cls,
        manifest: Manifest,
        rows: NDArray[np.integer],
        logits: NDArray[np.float32],
        *,
        classes: Sequence[str],
        positive: str,
        fold: int,
        part: str,
        temperature: float = 1.0,
    ) -> Self:
        """What one model said of rows of a manifest.

        Raises:
            ValueError: a label that is not a class.
        """
        chosen = [manifest.rows[int(row)] for row in rows]
        names = list(classes)
        return cls(
            image=np.array([row.image for row in chosen]),
            patient=np.array([row.patient for row in chosen]),
            series=np.array([row.series for row in chosen]),
            truth=np.array([names.index(row.label) for row in chosen], dtype=np.int64),
            logits=logits,
            fold=np.full(len(chosen), fold, dtype=np.int64),
            part=np.full(len(chosen), part),
            temperature=np.full(len(chosen), temperature),
            classes=tuple(classes),
            positive=positive,
        )

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """Tables of the same classes under one another.

        Raises:
            InputError: no table, or tables of different classes.
        """
        if not tables or any(table.classes != tables[0].classes for table in tables):
            raise InputError("predictions of different classes, or none, cannot be joined")
        columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in _COLUMNS}
        return cls(**columns, classes=tables[0].classes, positive=tables[0].positive)


_COLUMNS = tuple(entry.name for entry in fields(Predictions) if entry.name not in {"classes", "positive"})
