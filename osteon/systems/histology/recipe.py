"""How tiles of slides are classified: not by the training engine yet."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["RECIPES"]

RECIPES: Final[tuple[Any, ...]] = ()
"""All recipes of the system."""
