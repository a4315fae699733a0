"""Words that options accept."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Bone", "Device", "Roi"]


class Device(StrEnum):
    """Where a network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Roi(StrEnum):
    """How legs are found."""

    SERIES = "series"
    PAPER = "paper"


class Bone(StrEnum):
    """How bone is parted from the rest."""

    FINE = "fine"
    PAPER = "paper"
    PAPER_MM = "paper-mm"
