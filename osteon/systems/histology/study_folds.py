"""Evaluating heads honestly, and as the paper did: nested folds by patient or tile, and the one division of its tables.

In the honest protocol a fold's test tiles decide nothing: rate and epochs are chosen by folds within the training
tiles, by the same unit (patients, or tiles where a paper is repeated), then heads learn from all training tiles.

Beside them stands what is right without looking at tissue: the commonest class, the patient, the mean colour of a tile.
Where class and patient go together, as in a handful of patients, telling patients apart looks like telling tissue
apart. These rows show how far that goes on the data at hand.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.options import Progress, silent
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError
from osteon.train.heads import HeadPlan, train_heads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.train.heads import Heads
    from osteon.train.settings import HeadSettings
    from osteon.train.tile_features import TileTable


__all__ = [
    "Baseline",
    "colour_numbers",
    "commonest_class",
    "evaluate_fold",
    "evaluate_literally",
    "linear_probability",
    "outer_folds",
    "patient_by_class",
    "tile_baselines",
]


_Unit = Literal["patient", "tile"]

_HELD_OUT = 0.1
"""Share of the tiles that the paper validated on."""


@dataclass(frozen=True, slots=True)
class _FoldOutcome:
    """One fold of the honest protocol.

    Attributes:
        test: rows that were evaluated.
        logits: (repeats, test, classes).
        rate: that the fold's training tiles asked for.
        epochs: likewise.
        accuracy: (rates, epochs of the longest training) on the inner validation tiles, mean over repeats.
        note: "" or why the choice was made otherwise than planned.
    """

    test: NDArray[np.int64] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    rate: float
    epochs: int
    accuracy: NDArray[np.float64] = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class _LiteralOutcome:
    """The paper's one division by tile.

    Attributes:
        test: rows of the validation tiles, on which everything is chosen and reported.
        accuracy: (rates, repeats, epochs) of every run on them.
        best: (rate, repeat, epoch) index of the largest; the first of several.
        predicted: (test,) classes of that run.
    """

    test: NDArray[np.int64] = field(repr=False)
    accuracy: NDArray[np.float64] = field(repr=False)
    best: tuple[int, int, int]
    predicted: NDArray[np.int64] = field(repr=False)


def outer_folds(
    labels: NDArray[np.int64], groups: NDArray[np.str_], *, most: int, seed: int
) -> tuple[NDArray[np.int64], ...]:
    """Rows of each test part: groups left out one by one, or dealt into ``most`` parts where there are more of them.

    Fewer parts are dealt where no class has this many tiles.

    Raises:
        InputError: fewer than two groups.
    """
    names = np.unique(groups)
    if names.size < 2:
        raise InputError(f"folds need at least two patients (or tiles); there is {names.size}")
    if names.size <= most:
        return tuple(np.flatnonzero(groups == name) for name in names)
    from sklearn.model_selection import StratifiedGroupKFold

    parts = max(2, min(most, int(np.bincount(labels).max())))
    deal = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer tiles than parts is known and allowed
        return tuple(np.sort(test) for _, test in deal.split(np.zeros((labels.size, 1)), labels, groups))


def evaluate_fold(
    table: TileTable, test: NDArray[np.int64], settings: HeadSettings, *, unit: _Unit, progress: Progress = silent
) -> _FoldOutcome:
    """Choose within the rest of the tiles, learn from the rest, evaluate the test tiles once."""
    train = np.setdiff1d(np.arange(table.labels.size), test)
    rate, epochs, accuracy, note = _choose(table, train, settings, unit, progress)
    plan = HeadPlan(
        rates=(rate,) * settings.repeats,
        seeds=tuple(range(settings.seed, settings.seed + settings.repeats)),
        epochs=epochs,
        batch=settings.batch,
        weight_decay=settings.weight_decay,
    )
    heads = train_heads(*table.training(train), plan, classes=table.classes)
    with torch.inference_mode():
        logits = heads.logits(torch.from_numpy(table.features[test])).numpy()
    return _FoldOutcome(test, logits, rate, epochs, accuracy, note)


def evaluate_literally(table: TileTable, settings: HeadSettings) -> _LiteralOutcome:
    """The whole grid on one division by tile, 90 to 10, with nothing held back from choosing."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(table.labels.size)
    share = max(_HELD_OUT, table.classes / rows.size)
    train, test = (np.sort(part) for part in train_test_split(rows, test_size=share, random_state=settings.seed))
    seeds = range(settings.seed, settings.seed + settings.repeats)
    shape = (len(settings.rates), settings.repeats)
    predicted = np.zeros((settings.epochs[-1], *shape, test.size), dtype=np.int64)
    values = torch.from_numpy(table.features[test])

    def note(epoch: int, heads: Heads) -> None:
        predicted[epoch - 1] = heads.logits(values).argmax(dim=2).numpy().reshape(*shape, test.size)

    train_heads(*table.training(train), _grid(settings, seeds), classes=table.classes, after_epoch=note)
    accuracy = (predicted == table.labels[test]).mean(axis=3).transpose(1, 2, 0)
    rate, repeat, epoch = (int(place) for place in np.unravel_index(int(accuracy.argmax()), accuracy.shape))
    return _LiteralOutcome(test, accuracy, (rate, repeat, epoch), predicted[epoch, rate, repeat])


def _choose(
    table: TileTable, train: NDArray[np.int64], settings: HeadSettings, unit: _Unit, progress: Progress
) -> tuple[float, int, NDArray[np.float64], str]:
    """Rate and epochs with the best accuracy on inner validation tiles; of equals, the smallest loss."""
    seeds = range(settings.seed, settings.seed + min(settings.choice_repeats, settings.repeats))
    shape = (len(settings.rates), settings.epochs[-1])
    right, loss, evaluated = np.zeros(shape), np.zeros(shape), 0
    groups, note = _groups(table, unit)[train], ""
    if np.unique(groups).size < 2:
        groups = _groups(table, "tile")[train]
        note = "one patient was left to learn from: rate and epochs were chosen by tile within it"
    parts = outer_folds(table.labels[train], groups, most=settings.inner_folds, seed=settings.seed)
    folds = [(np.setdiff1d(train, train[part]), train[part]) for part in parts]
    for number, (learn, held) in enumerate(folds):
        values, truth = torch.from_numpy(table.features[held]), torch.from_numpy(table.labels[held])

        def count(epoch: int, heads: Heads, values: torch.Tensor = values, truth: torch.Tensor = truth) -> None:
            logits = heads.logits(values)
            hits = (logits.argmax(dim=2) == truth).double().mean(dim=1)
            bits = -torch.log_softmax(logits.double(), dim=2)[:, torch.arange(len(truth)), truth].mean(dim=1)
            right[:, epoch - 1] += len(truth) * hits.numpy().reshape(len(settings.rates), -1).mean(axis=1)
            loss[:, epoch - 1] += len(truth) * bits.numpy().reshape(len(settings.rates), -1).mean(axis=1)

        train_heads(*table.training(learn), _grid(settings, seeds), classes=table.classes, after_epoch=count)
        evaluated += held.size
        progress("inner folds", number + 1, len(folds))
    accuracy, cost = right / evaluated, np.nan_to_num(loss, nan=np.inf)
    epochs = range(1, settings.epochs[-1] + 1) if settings.early_stop else settings.epochs
    candidates = [
        (-accuracy[rate, epoch - 1], cost[rate, epoch - 1], rate, epoch) for rate in range(shape[0]) for epoch in epochs
    ]
    _, _, rate, epoch = min(candidates)
    return settings.rates[rate], epoch, accuracy, note


def _grid(settings: HeadSettings, seeds: range) -> HeadPlan:
    """All rates, each with all seeds: the rate is the slower axis."""
    return HeadPlan(
        rates=tuple(rate for rate in settings.rates for _ in seeds),
        seeds=tuple(seed for _ in settings.rates for seed in seeds),
        epochs=settings.epochs[-1],
        batch=settings.batch,
        weight_decay=settings.weight_decay,
    )


def _groups(table: TileTable, unit: _Unit) -> NDArray[np.str_]:
    """(n,) what must not be divided."""
    return table.patients if unit == "patient" else np.arange(len(table.labels)).astype(str)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A row that sees no tissue.

    Attributes:
        title: what it sees.
        unit: how it was divided.
        predicted: (n,) class of each tile, or patient number.
        truth: (n,) what should have been predicted.
        of: "class" or "patient".
    """

    title: str
    unit: _Unit
    predicted: NDArray[np.int64] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    of: str = "class"

    @property
    def accuracy(self) -> float:
        """Share predicted right."""
        return float((self.predicted == self.truth).mean())


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
    """All rows, in the folds of the study."""
    people = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    tiles = np.arange(labels.size).astype(str)
    groups: dict[_Unit, NDArray[np.str_]] = {"patient": patients, "tile": tiles}
    parts = {
        unit: outer_folds(labels, of_unit, most=settings.outer_folds, seed=settings.seed)
        for unit, of_unit in groups.items()
    }
    found = []
    for unit, folds in parts.items():
        found += [
            Baseline("the commonest class of the training tiles", unit, commonest_class(labels, folds), labels),
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


def commonest_class(labels: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
    """(n,) the commonest class of what each fold learns from; of equals the first."""
    predicted = np.empty_like(labels)
    for test in folds:
        predicted[test] = np.bincount(np.delete(labels, test)).argmax()
    return predicted


def _of_patient(
    labels: NDArray[np.int64], people: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    predicted = np.empty_like(labels)
    for test in folds:
        known, owner = np.delete(labels, test), np.delete(people, test)
        for row in test:
            same = known[owner == people[row]]
            predicted[row] = np.bincount(same if same.size else known).argmax()
    return predicted


def linear_probability(
    values: NDArray[np.floating], truth: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]
) -> NDArray[np.float64]:
    """Multinomial logistic regression with a plain ridge, each number scaled on the training rows.

    Args:
        values: (n, d) what is known of each tile.
        truth: (n,) class, 0 on.
        folds: rows of each test part; the rest is learnt from.

    Returns:
        (n, classes), rows sum to 1; 0 for a class that the rest of a fold does not have.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = np.zeros((truth.size, int(truth.max()) + 1))
    for test in folds:
        learn = np.setdiff1d(np.arange(truth.size), test)
        known = np.unique(truth[learn])
        if known.size < 2:
            found[test, known[0]] = 1.0
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        found[np.ix_(test, known)] = model.fit(values[learn], truth[learn]).predict_proba(values[test])
    return found


def _linear(
    values: NDArray[np.float64], truth: NDArray[np.int64], folds: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    return np.asarray(linear_probability(values, truth, folds).argmax(axis=1), dtype=np.int64)
