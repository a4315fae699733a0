"""The scanner table: a thin carbon shell around foam, under a mat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.labels import TABLE_VALUE

if TYPE_CHECKING:
    from osteon_phantoms.limb import Canvas, Plane
    from osteon_phantoms.texture import Textures

__all__ = ["Table"]

_MAT_MM: Final = 9.0
_HALF_WIDTH_MM: Final = 215.0
_THICK_MM: Final = 32.0
_CURVE_RADIUS_MM: Final = 640.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table under the patient.

    Attributes:
        shape: "flat" or "curved".
        surface_y_lps_mm: where the patient touches the mat.
        facing: +1 when the table lies behind the patient (supine), -1 in front (prone).
        textures: the grain of the foam.
    """

    shape: str
    surface_y_lps_mm: float
    facing: float
    textures: Textures = field(repr=False)

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw the table into a slice, in place."""
        x = plane.x_lps_mm[None, :]
        depth = np.float32(self.facing) * (plane.y_lps_mm[:, None] - np.float32(self.surface_y_lps_mm))
        if self.shape == "curved":
            depth = depth + (np.square(x) - np.float32(80.0**2)) / np.float32(2 * _CURVE_RADIUS_MM)
        beside = np.abs(x) - np.float32(_HALF_WIDTH_MM)
        body = depth - np.float32(_MAT_MM)
        below = _THICK_MM - 10 * np.square(np.clip(x / np.float32(_HALF_WIDTH_MM), -1, 1))
        shell = np.maximum(np.maximum(-body, body - below), beside)
        width = np.float32(plane.pixel_mm)
        inside = np.clip(0.5 - shell / width, 0, 1)
        hollow = np.clip(0.5 - (shell + 2.0) / width, 0, 1)
        value = 160 + hollow * (-940 - 160)
        mat = np.clip(0.5 - np.maximum(np.maximum(-depth, body), beside + 8) / width, 0, 1)
        canvas.hu[...] += mat * (-915 - canvas.hu)
        canvas.hu[...] += inside * (value - canvas.hu)
        if canvas.label is not None:
            canvas.label[(shell < 0)] = TABLE_VALUE
