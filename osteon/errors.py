"""Every error osteon raises on purpose.

    OsteonError
    ├── InputError               a bad file, bad geometry, a missing tag, the wrong modality
    │   ├── GeometryMismatchError    two things that must be on one grid do not
    │   └── NotThisTaskError         a valid image that the asked-for task cannot answer (a head given to a leg task)
    ├── UsageError               an option that the chosen system or command does not have, or a value it does not take
    ├── UnknownLabelError        a label, concept, model or option name that is not there
    ├── WeightsError             model files that are missing, changed, or do not reproduce their golden output
    ├── UnsupportedError         valid, but not handled (a transfer syntax without a decoder)
    ├── TrainingError            a training that cannot go on (a loss that is not a number)
    ├── OutputError              the result cannot be written (folder exists, not writable, disk full)
    └── BackendError             an optional package, device or program that is not at hand

A message says what was asked, what was found and what to do. No message carries patient text.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = [
    "BackendError",
    "GeometryMismatchError",
    "InputError",
    "NotThisTaskError",
    "OsteonError",
    "OutputError",
    "ThirdParty",
    "TrainingError",
    "UnknownLabelError",
    "UnsupportedError",
    "UsageError",
    "WeightsError",
    "nearest_names",
]


class OsteonError(Exception):
    """Base of all errors that osteon raises on purpose."""


class InputError(OsteonError):
    """The input cannot be used: unreadable, wrong modality, broken or unproven geometry."""


class GeometryMismatchError(InputError):
    """Two images that must share one grid do not."""


class NotThisTaskError(InputError):
    """The image is valid, but the task was not made for what it shows."""


class UsageError(OsteonError):
    """An option that does not exist for what was asked, or a value that it does not take."""


class UnknownLabelError(OsteonError):
    """A label, concept, model or option of that name does not exist."""


class WeightsError(OsteonError):
    """Model files are missing, were changed, or do not reproduce their golden output."""


class UnsupportedError(OsteonError):
    """The input is valid, but osteon has no code for it."""


class TrainingError(OsteonError):
    """A training that cannot go on: its loss or its weights are not numbers any more."""


class OutputError(OsteonError):
    """The result cannot be written where it was asked for."""


class BackendError(OsteonError):
    """An optional package, device or program is not available."""


class ThirdParty:
    """Whatever other people's code raises within the block becomes one error of ours.

    For a parser of files from anywhere, around the call of it alone: besides what it documents it raises
    RecursionError, ZeroDivisionError, OverflowError, MemoryError and more, all of which mean the same: the file is
    damaged. What it says is not repeated, as it may quote the file; the kind of error is, and a DICOM tag in it.

    Args:
        message: what was asked, what was found, what to do.
        kind: of the error.

    Example:
        >>> with ThirdParty("a.json is not a valid JSON text"):
        ...     [].pop()
        Traceback (most recent call last):
        osteon.errors.InputError: a.json is not a valid JSON text (IndexError)
    """

    def __init__(self, message: str, kind: type[OsteonError] = InputError) -> None:
        """Keep what is said when the block raises."""
        self._message, self._kind = message, kind

    def __enter__(self) -> Self:
        """Nothing happens on entry."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the error of ours; what osteon raises itself, and an interruption, pass."""
        # a panic of a library in Rust is not an Exception
        is_theirs = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if error is not None and is_theirs and not isinstance(error, OsteonError):
            tag = re.search(r"\([0-9A-Fa-f]{4}, ?[0-9A-Fa-f]{4}\)", str(error))
            where = f" at {tag[0]}" if tag else ""
            if isinstance(error, OSError) and error.strerror:
                where = f": {error.strerror}"
            raise self._kind(f"{self._message} ({type(error).__name__}{where})") from error


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A sentence that lists what exists, the closest names first.

    Args:
        name: what was asked for.
        known: the names that exist.

    Returns:
        ``"did you mean 'a'? known: a, b"``, or ``"known: a, b"`` when nothing is close.

    Example:
        >>> nearest_names("resnet8", ["resnet18", "densenet121"])
        "did you mean 'resnet18'? known: densenet121, resnet18"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listing = f"known: {', '.join(names)}"
    return f"did you mean '{close[0]}'? {listing}" if close else listing
