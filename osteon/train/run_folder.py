"""The files of a run: what was asked, where each fold stands, what came out.

RUN/settings.json    settings, classes or maps, hashes of manifest and split
RUN/run.json         versions, machine, state of every fold
RUN/fold-K/          state.json history.csv best.safetensors last.ckpt, and predictions.parquet of a classifier,
                     counts.csv and sweeps.json of a segmenter
RUN/fold-K/bone/     the first network of a pair: state.json history.csv best.safetensors last.ckpt
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, Self

from osteon import __version__
from osteon.data import Predictions
from osteon.data.manifest import PARTS
from osteon.errors import InputError, OutputError, ThirdParty
from osteon.io.predictions_file import read_predictions, write_predictions
from osteon.io.table import csv_text
from osteon.io.whole_file import remove_leftovers, require_file, whole_file
from osteon.train.counts import SegmentCounts, ThresholdSweep

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Manifest, Split

__all__ = [
    "BEST_NAME",
    "CACHE_NAME",
    "COUNTS_NAME",
    "HISTORY_NAME",
    "LAST_NAME",
    "PREDICTIONS_NAME",
    "RUN_NAME",
    "SETTINGS_NAME",
    "SWEEPS_NAME",
    "EpochRecord",
    "FoldResult",
    "OnEpoch",
    "claim_folder",
    "describe_software",
    "digest",
    "fold_folder",
    "fold_numbers",
    "history_text",
    "make_folder",
    "other_pictures",
    "read_counts",
    "read_document",
    "read_fold",
    "read_history",
    "read_sweeps",
    "split_digest",
    "write_document",
    "write_state",
    "write_table",
    "write_text",
]

BEST_NAME = "best.safetensors"
LAST_NAME = "last.ckpt"
HISTORY_NAME = "history.csv"
PREDICTIONS_NAME = "predictions.parquet"
COUNTS_NAME = "counts.csv"
SWEEPS_NAME = "sweeps.json"
SETTINGS_NAME = "settings.json"
RUN_NAME = "run.json"
CACHE_NAME = "cache"
_STATE_NAME = "state.json"
_PACKAGES = ("torch", "lightning", "timm", "monai", "numpy", "scikit-learn")
_PLAN = {"epoch": int, "stage": str, "head_rate": float, "backbone_rate": float, "free": str}
_LOSSES = {"train_loss": float, "validation_loss": float, "seconds": float}
_MEASURE = "validation_"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        stage: of the strategy.
        head_rate: learning rate of the head, or of the whole network where it has one part.
        backbone_rate: of the other parts that were trained; 0 when there were none.
        free: parts that were trained, the head first, parted by blanks.
        train_loss: mean over the images of the epoch, while the weights moved.
        validation_loss: mean over the validation part.
        measures: of the validation part, by name; the first is the one that is monitored.
        seconds: the epoch took.
    """

    epoch: int
    stage: str
    head_rate: float
    backbone_rate: float
    free: str
    train_loss: float
    validation_loss: float
    measures: Mapping[str, float]
    seconds: float

    @property
    def monitored(self) -> float:
        """The measure that chooses the epoch."""
        return next(iter(self.measures.values()))

    def document(self) -> dict[str, Any]:
        """As plain values, the measures beside the others."""
        named = {f"{_MEASURE}{name}": value for name, value in self.measures.items()}
        plan = {name: getattr(self, name) for name in (*_PLAN, "train_loss", "validation_loss")}
        return {**plan, **named, "seconds": self.seconds}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A record from ``document``, as text or not.

        Raises:
            InputError: a value is missing or is not a number.
        """
        try:
            known = {name: kind(values[name]) for name, kind in (*_PLAN.items(), *_LOSSES.items())}
            measures = {
                name.removeprefix(_MEASURE): float(value)
                for name, value in values.items()
                if name.startswith(_MEASURE) and name not in known
            }
            return cls(**known, measures=measures)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("a history has a line that is not an epoch: it was changed or cut off") from error


OnEpoch = Callable[[int, EpochRecord], None]
"""Told (fold, record) after every epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """One fold of a run.

    Attributes:
        fold: its number, from 0.
        folder: of its files.
        state: "done"; "failed"; "running", also when it was interrupted; "absent" when it never began.
        error: why it failed, else "".
        best_epoch: whose weights are kept, from 1; 0 before the first.
        monitored: the measure of that epoch that is monitored; None before the first.
        images: how many by part, and how many were "dropped" by curation or "unreadable".
        seconds: of all sessions that worked on it.
        history: its epochs; of a pair those of the second network.
        table: what the kept weights say of the validation and test parts; None before the end.
        identity: hash of everything that decides the weights.
    """

    fold: int
    folder: Path
    state: Literal["done", "failed", "running", "absent"]
    error: str = ""
    best_epoch: int = 0
    monitored: float | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    history: tuple[EpochRecord, ...] = field(default=(), repr=False)
    table: Predictions | SegmentCounts | None = field(default=None, repr=False)
    identity: str = ""

    @property
    def weights(self) -> Path:
        """File of the best weights."""
        return self.folder / BEST_NAME

    @property
    def predictions(self) -> Predictions | None:
        """The table of a classifier; None before the end."""
        return self.table if isinstance(self.table, Predictions) else None

    @property
    def counts(self) -> SegmentCounts | None:
        """The table of a segmenter; None before the end."""
        return self.table if isinstance(self.table, SegmentCounts) else None


def fold_folder(run: Path, fold: int) -> Path:
    """Where a fold of a run is."""
    return run / f"fold-{fold}"


def fold_numbers(split: Split, wanted: Iterable[int] | None) -> list[int]:
    """The folds that were asked for, rising; None is all.

    Raises:
        InputError: none was asked for, or one that the split does not have.
    """
    count = len(split.folds)
    numbers = list(range(count)) if wanted is None else sorted(set(wanted))
    for fold in numbers:
        if not 0 <= fold < count:
            raise InputError(f"fold {fold} was asked for; the split has folds 0 to {count - 1}")
    if not numbers:
        raise InputError("no fold was asked for")
    return numbers


def claim_folder(folder: Path, document: Mapping[str, Any], *, free: Iterable[str]) -> None:
    """Write what a run is into its new folder, or make sure that its run is the same but for ``free`` settings.

    Raises:
        InputError: the folder holds a run with other settings or data.
        OutputError: it cannot be written.
    """
    path = folder / SETTINGS_NAME
    remove_leftovers(folder, deep=True)
    if not path.exists():
        make_folder(folder)
        write_document(path, document)
        return
    kept = read_document(path)
    was, now = kept.get("settings", {}), document["settings"]
    differing = [
        f"{name} {was.get(name, 'not said')!r} there, {now.get(name, 'not said')!r} now"
        for name in {**now, **was}
        if name not in free and was.get(name) != now.get(name)
    ]
    if kept.get("pictures_sha256", document.get("pictures_sha256")) != document.get("pictures_sha256"):
        raise InputError(other_pictures(folder, "its folds would learn from different ones: name another folder"))
    if kept.get("split_sha256") != document["split_sha256"]:
        differing.append("another split or other images")
    if differing:
        raise InputError(
            f"{folder.name} holds a run with other settings ({'; '.join(differing)}): name another folder, or the same "
            "settings to go on"
        )


def other_pictures(folder: Path, then: str) -> str:
    """The sentence for a run whose pictures are not those of the data set any more, and what to do."""
    return (
        f"{folder.name} was trained on other pictures than the data set holds now: the names are the same, the content "
        f"of the files is not (SHA-256); {then}, or restore the pictures"
    )


def write_state(result: FoldResult) -> None:
    """Keep where a fold stands; history and table have files of their own.

    Raises:
        OutputError: it cannot be written.
    """
    names = ("fold", "state", "error", "best_epoch", "monitored", "images", "seconds", "identity")
    table = PREDICTIONS_NAME if result.predictions is not None else COUNTS_NAME if result.counts is not None else ""
    write_document(result.folder / _STATE_NAME, {name: getattr(result, name) for name in names} | {"table": table})


def write_table(folder: Path, table: Predictions | SegmentCounts, sweeps: Sequence[ThresholdSweep] = ()) -> None:
    """Keep what the weights of a fold say.

    Raises:
        OutputError: it cannot be written.
    """
    if isinstance(table, Predictions):
        write_predictions(table, folder / PREDICTIONS_NAME)
        return
    write_text(folder / COUNTS_NAME, table.text())
    write_document(folder / SWEEPS_NAME, {"sweeps": [sweep.document() for sweep in sweeps]})


def read_fold(folder: Path, fold: int) -> FoldResult:
    """A fold as its files tell it; "absent" when there are none.

    Raises:
        InputError: a file is damaged, or a fold that is done lacks its table.
    """
    path = folder / _STATE_NAME
    if not path.exists():
        return FoldResult(fold=fold, folder=folder, state="absent")
    document = read_document(path)
    history = read_history(folder / HISTORY_NAME)
    if history and document.get("state") != "done":
        best = max(history, key=lambda record: record.monitored)
        document |= {"best_epoch": best.epoch, "monitored": best.monitored}
    name = document.pop("table", "")  # none before the end, and of the first network of a pair
    try:
        table = read_counts(folder / name) if name == COUNTS_NAME else read_predictions(folder / name) if name else None
    except InputError as error:
        raise InputError(f"{folder.name}: {error}; {_remedy(path)}") from error
    try:
        return FoldResult(**{**document, "folder": folder}, history=history, table=table)
    except TypeError as error:
        raise InputError(
            f"{folder.name}/{_STATE_NAME} is of another version of osteon, or was changed: {_remedy(path)}"
        ) from error


def read_counts(path: Path) -> SegmentCounts:
    """What a segmenter predicted, of a file that ``write_table`` wrote.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return SegmentCounts.of_rows(list(csv.DictReader(file)))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__}): train or evaluate again"
        ) from error


def read_sweeps(folder: Path) -> tuple[ThresholdSweep, ...]:
    """Pixels of the validation part of a segmenter's fold at many thresholds, a sweep for each map.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        return tuple(ThresholdSweep.of(entry) for entry in read_document(folder / SWEEPS_NAME)["sweeps"])
    except (KeyError, TypeError, ValueError) as error:
        remedy = _remedy(folder / SWEEPS_NAME)
        raise InputError(
            f"{folder.name}/{SWEEPS_NAME} is of another version of osteon, or was changed: {remedy}"
        ) from error


def history_text(records: Sequence[EpochRecord]) -> str:
    """Epochs, at least one, as CSV; numbers come back exactly."""
    rows = [record.document() for record in records]
    return csv_text(list(rows[0]), (row.values() for row in rows))


def read_history(path: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a history file; none when it is not there.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return _epochs(csv.DictReader(file))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, csv.Error, InputError) as error:
        reason = str(error) if isinstance(error, InputError) else type(error).__name__
        name = f"{path.parent.name}/{path.name}"
        raise InputError(f"{name} cannot be read ({reason}): {_remedy(path)}") from error


def _epochs(lines: csv.DictReader[str]) -> tuple[EpochRecord, ...]:
    if "epoch" not in (lines.fieldnames or ()):
        raise InputError("it has no column epoch")
    return tuple(EpochRecord.of(row) for row in lines)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all.

    Raises:
        OutputError: the system refuses.
    """
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all.

    Raises:
        OutputError: the system refuses.
    """
    with whole_file(path) as work:
        work.write_text(text, encoding="utf-8")


def _remedy(path: Path) -> str:
    """What to do about a damaged file of a run: delete the least that brings it back."""
    folder = path.parent
    if folder.name.startswith("fold-"):
        return f"delete the folder {folder.name} and train again, the other folds stay"
    if folder.parent.name.startswith("fold-"):
        return f"delete the folder {folder.parent.name}/{folder.name} and train again, the rest of the fold stays"
    return f"put the file back as it was, or delete the folder {folder.name} and start again"


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON table.

    Raises:
        InputError: the file is missing or holds something else.
    """
    name = f"{path.parent.name}/{path.name}"
    require_file(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror or type(error).__name__}): is this the folder of a run?"
        ) from error
    with ThirdParty(f"{name} is damaged: {_remedy(path)}"):
        found = json.loads(text.decode("utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{name} holds no table: {_remedy(path)}")
    return found


def make_folder(path: Path) -> None:
    """Make a folder that may be there.

    Raises:
        OutputError: the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"the folder {path.name} cannot be made ({reason}): name another folder for the run"
        ) from error


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def split_digest(manifest: Manifest, split: Split) -> str:
    """SHA-256 of who is in which part with which labels: the same for a manifest written anew with the same content."""
    rows = [[row.image, row.patient, row.label] for row in manifest.rows]
    folds = [[sorted(getattr(fold, part)) for part in PARTS] for fold in split.folds]
    return digest([split.scheme, split.unit, folds, rows])


def describe_software() -> dict[str, dict[str, str]]:
    """Versions and machine, as text."""
    versions = {"osteon": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "versions": versions,
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": str(cores)},
    }
