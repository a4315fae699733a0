"""The files of one fold: where it stands, its epochs, what its network calls.

RUN/fold-K/          state.json history.csv best.safetensors last.ckpt counts.csv sweeps.json
RUN/fold-K/bone/     state.json history.csv best.safetensors last.ckpt, of a sequential pair
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from osteon.errors import InputError
from osteon.train.history import read_epochs
from osteon.train.run_folder import BEST_NAME, HISTORY_NAME, read_document, write_document
from osteon.train.segmentation.counts import SegmentCounts, read_counts, write_counts
from osteon.train.segmentation.history import SegmentEpoch
from osteon.train.segmentation.judge import ThresholdSweep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["COUNTS_NAME", "SegmentFold", "read_segment_fold", "write_judgement", "write_segment_state"]

COUNTS_NAME = "counts.csv"
_SWEEPS_NAME = "sweeps.json"
_STATE_NAME = "state.json"
_KEPT = ("fold", "state", "error", "best_epoch", "validation_f1", "images", "seconds", "identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFold:
    """One fold of a run.

    Attributes:
        fold: its number, from 0.
        folder: of its files.
        state: "done"; "failed"; "running", also when it was interrupted; "absent" when it never began.
        error: why it failed, else "".
        best_epoch: whose weights are kept, from 1; 0 before the first.
        validation_f1: of that epoch, of the lesions over all pixels; None before the first.
        images: how many by part, and how many were "unreadable".
        seconds: of all sessions that worked on it.
        history: its epochs; of a pair those of the lesion network.
        counts: of the validation and test parts by the kept weights; None before the end.
        sweeps: of the validation part, one a map.
        identity: hash of everything that decides the weights.
    """

    fold: int
    folder: Path
    state: Literal["done", "failed", "running", "absent"]
    error: str = ""
    best_epoch: int = 0
    validation_f1: float | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    history: tuple[SegmentEpoch, ...] = field(default=(), repr=False)
    counts: SegmentCounts | None = field(default=None, repr=False)
    sweeps: tuple[ThresholdSweep, ...] = field(default=(), repr=False)
    identity: str = ""

    @property
    def weights(self) -> Path:
        """File of the kept weights."""
        return self.folder / BEST_NAME


def write_segment_state(fold: SegmentFold) -> None:
    """Keep where a fold stands; epochs and counts have files of their own.

    Raises:
        OutputError: it cannot be written.
    """
    write_document(fold.folder / _STATE_NAME, {name: getattr(fold, name) for name in _KEPT})


def write_judgement(folder: Path, counts: SegmentCounts, sweeps: tuple[ThresholdSweep, ...]) -> None:
    """Keep what a fold's network calls.

    Raises:
        OutputError: it cannot be written.
    """
    write_counts(counts, folder / COUNTS_NAME)
    write_document(folder / _SWEEPS_NAME, {"sweeps": [sweep.document() for sweep in sweeps]})


def read_segment_fold(folder: Path, fold: int) -> SegmentFold:
    """A fold as its files tell it; "absent" when there are none.

    Raises:
        InputError: a file is damaged, or a fold that is done lacks its counts.
    """
    path = folder / _STATE_NAME
    if not path.exists():
        return SegmentFold(fold=fold, folder=folder, state="absent")
    document = read_document(path)
    found: dict[str, Any] = {"history": read_epochs(folder / HISTORY_NAME, SegmentEpoch.of)}
    is_judged = document.get("state") == "done" and (folder / COUNTS_NAME).exists()
    try:
        if is_judged:
            found["counts"] = read_counts(folder / COUNTS_NAME)
            kept = read_document(folder / _SWEEPS_NAME)["sweeps"]
            found["sweeps"] = tuple(ThresholdSweep.of(entry) for entry in kept)
        return SegmentFold(**{**document, "folder": folder}, **found)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder.name}/{_STATE_NAME} is of another version of osteon, or was changed") from error
