"""What is right without looking at tissue: the commonest class, the patient, the mean colour of a tile.

Where class and patient go together, as in a handful of patients, telling patients apart looks like telling tissue
apart. These rows show how far that goes on the data at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.systems.histology.study_folds import outer_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.systems.histology.study_folds import Unit
    from osteon.train.settings import HeadSettings

__all__ = ["Baseline", "colour_numbers", "patient_by_class", "tile_baselines"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A row that sees no tissue.

    Attributes:
        title: what it sees.
        unit: how it was divided.
        called: (n,) class of each tile, or patient number.
        truth: (n,) what should have been called.
        of: "class" or "patient".
    """

    title: str
    unit: Unit
    called: NDArray[np.int64] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    of: str = "class"

    @property
    def accuracy(self) -> float:
        """Share called right."""
        return float((self.called == self.truth).mean())


def colour_numbers(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and spread of red, green and blue of each tile, (n, 6)."""
    values = rgb.reshape(len(rgb), -1, 3).astype(np.float64)
    return np.concatenate([values.mean(axis=1), values.std(axis=1)], axis=1)


def patient_by_class(labels: NDArray[np.int64], patients: NDArray[np.str_]) -> dict[str, list[int]]:
    """Tiles of each class by patient, in the order of ``TILE_CLASSES``."""
    return {
        str(patient): np.bincount(labels[patients == patient], minlength=len(TILE_CLASSES)).tolist()
        for patient in np.unique(patients)
    }


def tile_baselines(
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    colours: NDArray[np.float64],
    features: NDArray[np.float32] | None,
    settings: HeadSettings,
) -> tuple[Baseline, ...]:
    """All rows, in the folds of the study.

    Args:
        labels: (n,) classes.
        patients: (n,) whose tile.
        colours: of ``colour_numbers``.
        features: (n, d) pooled features of the tiles, to tell patients by; None leaves that row out.
        settings: folds and seed.
    """
    people = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    tiles = np.arange(labels.size).astype(str)
    groups: dict[Unit, NDArray[np.str_]] = {"patient": patients, "tile": tiles}
    parts = {
        unit: outer_folds(labels, of_unit, most=settings.outer_folds, seed=settings.seed)
        for unit, of_unit in groups.items()
    }
    found = []
    for unit, folds in parts.items():
        found += [
            Baseline("the commonest class of the training tiles", unit, _commonest(labels, folds), labels),
            Baseline("six numbers: mean and spread of red, green, blue", unit, _linear(colours, labels, folds), labels),
        ]
    by_tile = parts["tile"]
    found.append(
        Baseline(
            "only whose tile it is: the patient's commonest class", "tile", _of_patient(labels, people, by_tile), labels
        )
    )
    if np.unique(people).size > 1:
        found.append(
            Baseline(
                "the patient told by the six numbers", "tile", _linear(colours, people, by_tile), people, "patient"
            )
        )
        if features is not None:
            told = _linear(features.astype(np.float64), people, by_tile)
            found.append(Baseline("the patient told by the features of the base", "tile", told, people, "patient"))
    return tuple(found)


def _commonest(labels: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
    called = np.empty_like(labels)
    for test in folds:
        called[test] = np.bincount(np.delete(labels, test)).argmax()
    return called


def _of_patient(
    labels: NDArray[np.int64], people: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    called = np.empty_like(labels)
    for test in folds:
        known, owner = np.delete(labels, test), np.delete(people, test)
        for row in test:
            same = known[owner == people[row]]
            called[row] = np.bincount(same if same.size else known).argmax()
    return called


def _linear(
    values: NDArray[np.float64], truth: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    """Multinomial logistic regression with a plain ridge, each number scaled on the training tiles."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    called = np.empty_like(truth)
    for test in folds:
        learn = np.setdiff1d(np.arange(truth.size), test)
        if np.unique(truth[learn]).size < 2:
            called[test] = truth[learn][0]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        called[test] = model.fit(values[learn], truth[learn]).predict(values[test])
    return called
