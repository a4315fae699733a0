"""How far real headers may differ and still mean the same geometry."""

from __future__ import annotations

from typing import Final

__all__ = ["ANGLE_TOLERANCE", "POSITION_TOLERANCE_MM", "SPACING_TOLERANCE"]

ANGLE_TOLERANCE: Final = 1e-3
"""Largest difference between direction cosines that are called equal (0.06 degrees)."""

SPACING_TOLERANCE: Final = 1e-2
"""Largest relative difference between spacings that are called equal.

Scanners round positions to 0.1 or 0.01 mm; 1 % of a 1 mm step accepts that and still shows a missing slice.
"""

POSITION_TOLERANCE_MM: Final = 1e-2
"""Largest distance between positions that are called one position."""
