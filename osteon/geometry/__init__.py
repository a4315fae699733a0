"""Where a voxel lies: one convention, (slice, row, column) indices and LPS millimetres."""

from osteon.geometry.grid import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Box, Grid

__all__ = ["ANGLE_TOLERANCE", "POSITION_TOLERANCE_MM", "SPACING_TOLERANCE", "Box", "Grid"]
