"""Options of a reading of a slide."""

from __future__ import annotations

from osteon.data.options import ModelOptions as Options

__all__ = ["Options"]
