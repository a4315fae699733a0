"""Options of a reading of the trunk."""

from __future__ import annotations

from osteon.data.options import ThresholdOptions as Options

__all__ = ["Options"]
