"""The own part of an answer as the report reads it; an answer of another kind has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data import LesionReading, SliceReading

if TYPE_CHECKING:
    from osteon.data import Answer

__all__ = ["lesion_reading", "slice_reading"]


def slice_reading(answer: Answer) -> SliceReading:
    """Scores and heat maps."""
    return answer.detail if isinstance(answer.detail, SliceReading) else SliceReading()


def lesion_reading(answer: Answer) -> LesionReading:
    """Lesions and what they were compared with."""
    return answer.detail if isinstance(answer.detail, LesionReading) else LesionReading()
