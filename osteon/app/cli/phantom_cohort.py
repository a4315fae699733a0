"""What every synthetic study is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WantedCohort"]


@dataclass(frozen=True, slots=True)
class WantedCohort:
    """The options that all tasks share.

    Attributes:
        out: the data set folder.
        patients: how many.
        seed: of patients and test part.
        test: share of the patients marked as test; None marks nobody.
        workers: processes.
        quiet: no progress.
    """

    out: Path
    patients: int
    seed: int
    test: float | None
    workers: int
    quiet: bool
