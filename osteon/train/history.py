"""What happened epoch by epoch, as a table that a person and a plot can read."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, TypeVar

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance

__all__ = ["EpochRecord", "history_text", "read_epochs", "read_history"]

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        stage: of the strategy.
        head_rate: learning rate of the head.
        backbone_rate: of the other parts that were trained; 0 when there were none.
        free: parts that were trained, the head first, parted by blanks.
        train_loss: mean over the images of the epoch, while the weights moved.
        validation_loss: mean over the validation part, without class weights.
        validation_auc: of its images.
        seconds: the epoch took.
    """

    epoch: int
    stage: str
    head_rate: float
    backbone_rate: float
    free: str
    train_loss: float
    validation_loss: float
    validation_auc: float
    seconds: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A record from values by name, text or not.

        Raises:
            InputError: a value is missing or is no number.
        """
        kinds: dict[str, Any] = {"epoch": int, "stage": str, "free": str}
        try:
            return cls(**{name: kinds.get(name, float)(values[name]) for name in _COLUMNS})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("a history has a line that is no epoch: it was changed or cut off") from error


_COLUMNS = tuple(entry.name for entry in fields(EpochRecord))


def history_text(records: Sequence[DataclassInstance]) -> str:
    """Epochs of one kind, at least one, as CSV; numbers come back exactly."""
    columns = [entry.name for entry in fields(records[0])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(record, name) for name in columns] for record in records)
    return text.getvalue()


def read_history(path: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a history file; none when it is not there.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    return read_epochs(path, EpochRecord.of)


def read_epochs(path: Path, of: Callable[[Mapping[str, Any]], _Record]) -> tuple[_Record, ...]:
    """The epochs of a history file of any kind; none when it is not there.

    Args:
        path: of the file.
        of: makes a record of texts by column, and raises InputError where it cannot.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(of(row) for row in csv.DictReader(file))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__})") from error
