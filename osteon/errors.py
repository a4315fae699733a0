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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BackendError",
    "GeometryMismatchError",
    "InputError",
    "NotThisTaskError",
    "OsteonError",
    "OutputError",
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
