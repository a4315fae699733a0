"""What one fold is trained on: rows by part, classes, and the hash that says when two jobs are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Predictions
from osteon.data.split import PARTS, FoldRows
from osteon.errors import InputError
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.pixels import Pixels
    from osteon.train.settings import TrainSettings

__all__ = ["NOT_DECISIVE", "FoldJob", "classes_of", "plan_fold"]

NOT_DECISIVE = frozenset({"device", "workers", "threads"})
"""Settings with which an interrupted run may go on though they differ: they change speed, and rounding at most."""


@dataclass(frozen=True, slots=True)
class FoldJob:
    """A fold, ready to be trained in this process or in another.

    Attributes:
        manifest: of the data set.
        fold: number, from 0.
        rows: by part, without what was dropped or cannot be read.
        labels: (images of the manifest,) index of the class.
        classes: names; the positive one last.
        settings: of the training.
        folder: of the fold's files.
        cache: of the decoded images, or None.
        images: how many by part, "dropped" and "unreadable".
        identity: hash of everything that decides the weights.
    """

    manifest: Manifest = field(repr=False)
    fold: int
    rows: FoldRows
    labels: NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...]
    settings: TrainSettings
    folder: Path
    cache: Path | None
    images: dict[str, int]
    identity: str

    @property
    def positive(self) -> int:
        """Index of the positive class."""
        return self.classes.index(self.settings.positive)

    def predictions(self, logits: dict[str, NDArray[np.float32]], temperature: float) -> Predictions:
        """Logits (images of the part, class) of the validation and test parts as a table."""
        tables = []
        for part, values in logits.items():
            rows = getattr(self.rows, part)
            chosen = [self.manifest.rows[int(row)] for row in rows]
            tables.append(
                Predictions(
                    image=np.array([row.image for row in chosen]),
                    patient=np.array([row.patient for row in chosen]),
                    series=np.array([row.series for row in chosen]),
                    truth=self.labels[rows],
                    logits=values,
                    fold=np.full(len(rows), self.fold, dtype=np.int64),
                    part=np.full(len(rows), part),
                    temperature=np.full(len(rows), temperature),
                    classes=self.classes,
                    positive=self.settings.positive,
                )
            )
        return Predictions.joined(tables)


def classes_of(manifest: Manifest, positive: str) -> tuple[str, ...]:
    """Labels in the order of the logits: sorted, the positive one last.

    Raises:
        UnknownLabelError: no image has the positive label.
        InputError: no image has another one.
    """
    manifest.truth(positive)
    others = tuple(label for label in manifest.labels if label != positive)
    if not others:
        raise InputError(f"every image is labelled {positive!r}: images of another label are needed to learn from")
    return (*others, positive)


def plan_fold(
    manifest: Manifest,
    split: Split,
    fold: int,
    settings: TrainSettings,
    folder: Path,
    *,
    pixels: Pixels,
    drop: NDArray[np.int64],
    cache: Path | None,
) -> FoldJob:
    """Decide which rows a fold learns from, chooses by and is judged by.

    Args:
        manifest: of the data set.
        split: folds of it.
        fold: number, from 0.
        settings: of the training.
        folder: for the fold's files.
        pixels: of the manifest; rows that could not be read are left out.
        drop: rows that curation leaves out; they are dropped from the training part only.
        cache: of the decoded images.

    Raises:
        InputError: no such fold, or a class is missing in a part that needs it.
    """
    if not 0 <= fold < len(split.folds):
        raise InputError(f"fold {fold} was asked for; the split has folds 0 to {len(split.folds) - 1}")
    classes = classes_of(manifest, settings.positive)
    whole = split.rows(manifest, fold)
    kept = {part: pixels.usable(getattr(whole, part)) for part in PARTS}
    unreadable = sum(len(getattr(whole, part)) - len(kept[part]) for part in PARTS)
    learnt = kept["train"][~np.isin(kept["train"], drop)]
    dropped = len(kept["train"]) - len(learnt)
    rows = FoldRows(train=learnt, validation=kept["validation"], test=kept["test"])
    labels = np.array([classes.index(row.label) for row in manifest.rows], dtype=np.int64)
    _check_classes(rows, labels, classes, fold, settings)
    names = {part: [manifest.rows[int(row)].image for row in getattr(rows, part)] for part in PARTS}
    decisive = {name: value for name, value in settings.document().items() if name not in NOT_DECISIVE}
    counts = {part: len(getattr(rows, part)) for part in PARTS} | {"dropped": dropped, "unreadable": unreadable}
    identity = digest([decisive, fold, classes, names, labels[rows.train].tolist(), labels[rows.validation].tolist()])
    return FoldJob(manifest, fold, rows, labels, classes, settings, folder, cache, counts, identity)


def _check_classes(
    rows: FoldRows, labels: NDArray[np.int64], classes: tuple[str, ...], fold: int, settings: TrainSettings
) -> None:
    for part, wanted in (("train", range(len(classes))), ("validation", (len(classes) - 1,))):
        found = set(labels[getattr(rows, part)].tolist())
        missing = [classes[index] for index in wanted if index not in found]
        if missing or len(found) < 2:
            raise InputError(
                f"fold {fold} has no image labelled {', '.join(missing) or 'otherwise'} in its {part} part: split "
                "stratified by label, with fewer folds or more patients"
            )
    if len(rows.test) == 0:
        raise InputError(f"fold {fold} has no readable image in its test part: there is nothing to judge by")
    if len(rows.validation) < settings.devices:
        raise InputError(f"fold {fold} has fewer validation images than devices ({settings.devices}): use fewer")
