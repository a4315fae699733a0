"""The version, in a leaf: whoever needs it imports nothing else."""

from __future__ import annotations

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
