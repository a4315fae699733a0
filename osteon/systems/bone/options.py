"""Options of a reading of bone."""

from __future__ import annotations

from dataclasses import dataclass

from osteon.data.options import force_option

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may choose about the bone of a CT.

    Attributes:
        force: read what does not look like a CT in Hounsfield units.
    """

    force: bool = force_option()
