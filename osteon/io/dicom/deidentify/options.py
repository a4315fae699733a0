"""What a person may choose about a de-identification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from osteon.errors import UsageError, nearest_names

__all__ = ["DEFAULT_KEEP", "KEEP_CODES", "DeidentifyOptions", "keep_of"]

KEEP_CODES: Final[dict[str, tuple[str, str]]] = {
    "descriptions": ("113105", "Clean Descriptors Option"),
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "real-dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "private": ("113111", "Retain Safe Private Option"),
}
"""What may be kept, with its code and meaning in CID 7050 (DICOM PS3.16)."""

DEFAULT_KEEP: Final = frozenset({"descriptions", "patient", "dates"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifyOptions:
    """How files are de-identified.

    Attributes:
        keep: names of ``KEEP_CODES``: descriptions (known words of them), patient (sex, age, size, ...), dates (all
            shifted by one number of days a patient), real-dates, device, institution, uids, private (a list of safe
            elements). Empty for the Basic Application Level Confidentiality Profile alone.
        pixels_checked: somebody, or a program, has looked for burnt-in text and taken it out: only then an image says
            that the patient's identity is removed.
        longest_shift_days: dates go back by 1 to so many days, the same number for all files of a patient.
    """

    keep: frozenset[str] = DEFAULT_KEEP
    pixels_checked: bool = False
    longest_shift_days: int = 365

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            UsageError: an unknown name, real and shifted dates together, or a shift below a day or above 100 years.
        """
        for name in self.keep - KEEP_CODES.keys():
            raise UsageError(f"--keep {name}: {nearest_names(name, KEEP_CODES)}")
        if {"dates", "real-dates"} <= self.keep:
            raise UsageError("--keep takes dates (all shifted) or real-dates, not both")
        if not 1 <= self.longest_shift_days <= 36500:
            raise UsageError(f"dates are shifted by 1 to 36500 days, not by {self.longest_shift_days}")


def keep_of(words: str | Iterable[str]) -> frozenset[str]:
    """What to keep, from names with commas between; "none" is nothing.

    Example:
        >>> sorted(keep_of("device, dates")), keep_of("none")
        (['dates', 'device'], frozenset())
    """
    parts = words.split(",") if isinstance(words, str) else words
    return frozenset(part.strip() for part in parts if part.strip()) - {"none"}
