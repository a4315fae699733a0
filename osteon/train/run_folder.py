"""The files of a run: what was asked, where each fold stands, what came out.

RUN/settings.json    settings, classes, hashes of manifest and split
RUN/run.json         versions, machine, state of every fold
RUN/fold-K/          state.json history.csv best.safetensors last.ckpt predictions.parquet
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from osteon import __version__
from osteon.data.split import PARTS
from osteon.errors import InputError, OutputError
from osteon.io.predictions_file import read_predictions
from osteon.io.whole_file import whole_file
from osteon.train.history import EpochRecord, read_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from osteon.data import Manifest, Predictions, Split

__all__ = [
    "BEST_NAME",
    "CACHE_NAME",
    "HISTORY_NAME",
    "LAST_NAME",
    "PREDICTIONS_NAME",
    "RUN_NAME",
    "SETTINGS_NAME",
    "FoldResult",
    "claim_folder",
    "describe_software",
    "digest",
    "fold_folder",
    "fold_numbers",
    "make_folder",
    "read_document",
    "read_fold",
    "split_digest",
    "write_document",
    "write_state",
    "write_text",
]

BEST_NAME = "best.safetensors"
LAST_NAME = "last.ckpt"
HISTORY_NAME = "history.csv"
PREDICTIONS_NAME = "predictions.parquet"
SETTINGS_NAME = "settings.json"
RUN_NAME = "run.json"
CACHE_NAME = "cache"
_STATE_NAME = "state.json"
_PACKAGES = ("torch", "lightning", "timm", "monai", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """One fold of a run.

    Attributes:
        fold: its number, from 0.
        folder: of its files.
        state: "done"; "failed"; "running", also when it was interrupted; "absent" when it never began.
        error: why it failed, else "".
        best_epoch: whose weights are kept, from 1; 0 before the first.
        validation_auc: of that epoch; None before the first.
        temperature: fitted on the validation part, 1 where none is best; None before the end.
        images: how many by part, and how many were "dropped" by curation or "unreadable".
        seconds: of all sessions that worked on it.
        history: its epochs.
        predictions: of the validation and test parts by the best weights; None before the end.
        identity: hash of everything that decides the weights.
    """

    fold: int
    folder: Path
    state: Literal["done", "failed", "running", "absent"]
    error: str = ""
    best_epoch: int = 0
    validation_auc: float | None = None
    temperature: float | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    history: tuple[EpochRecord, ...] = field(default=(), repr=False)
    predictions: Predictions | None = field(default=None, repr=False)
    identity: str = ""

    @property
    def weights(self) -> Path:
        """File of the best weights."""
        return self.folder / BEST_NAME


def fold_folder(run: Path, fold: int) -> Path:
    """Where a fold of a run lies."""
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
    """Write what a run is into its new folder, or make sure that the folder's run is the same.

    Args:
        folder: of the run.
        document: "settings" by name, "split_sha256", and what else is kept.
        free: settings that may differ.

    Raises:
        InputError: the folder holds a run with other settings or data.
        OutputError: it cannot be written.
    """
    path = folder / SETTINGS_NAME
    if not path.exists():
        make_folder(folder)
        write_document(path, document)
        return
    kept = read_document(path)
    was, now = kept.get("settings", {}), document["settings"]
    differing = [
        f"{name} {was.get(name, 'as usual')!r} there, {now.get(name, 'as usual')!r} now"
        for name in {**now, **was}  # a setting that is as the first runs had it may be left out of either
        if name not in free and was.get(name) != now.get(name)
    ]
    if kept.get("split_sha256") != document["split_sha256"]:
        differing.append("another split or other images")
    if differing:
        raise InputError(
            f"{folder.name} holds a run with other settings ({'; '.join(differing)}): name another folder, or the same "
            "settings to go on"
        )


def write_state(result: FoldResult) -> None:
    """Keep where a fold stands; history and predictions have files of their own.

    Raises:
        OutputError: it cannot be written.
    """
    names = ("fold", "state", "error", "best_epoch", "validation_auc", "temperature", "images", "seconds", "identity")
    write_document(result.folder / _STATE_NAME, {name: getattr(result, name) for name in names})


def read_fold(folder: Path, fold: int) -> FoldResult:
    """A fold as its files tell it; "absent" when there are none.

    Raises:
        InputError: a file is damaged, or a fold that is done lacks its predictions.
    """
    path = folder / _STATE_NAME
    if not path.exists():
        return FoldResult(fold=fold, folder=folder, state="absent")
    document = read_document(path)
    history = read_history(folder / HISTORY_NAME)
    if history and document.get("state") != "done":
        best = max(history, key=lambda record: record.validation_auc)
        document |= {"best_epoch": best.epoch, "validation_auc": best.validation_auc}
    predictions = read_predictions(folder / PREDICTIONS_NAME) if document.get("state") == "done" else None
    try:
        return FoldResult(**{**document, "folder": folder}, history=history, predictions=predictions)
    except TypeError as error:
        raise InputError(f"{folder.name}/{_STATE_NAME} is of another version of osteon, or was changed") from error


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


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON table.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__}): is this the folder of a run?"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path.parent.name}/{path.name} holds no table: is this the folder of a run?")
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
            f"the folder {path.name} cannot be made ({reason}): name another place for the run"
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
