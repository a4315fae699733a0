"""Identifiers that follow one thing through SEG, SR and findings.json."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osteon.data import Volume

__all__ = ["tracking_uid"]


def tracking_uid(volume: Volume, identifier: str) -> str:
    """The same series and finding give the same UID each time; without a series every reading is its own."""
    if volume.source is None or not volume.source.series.uid:
        return f"2.25.{uuid.uuid4().int}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'osteon/{volume.source.series.uid}/{identifier}').int}"
