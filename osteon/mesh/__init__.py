"""Surfaces: extraction, smoothing, boxes, measures and pictures of them."""

from osteon.mesh.beams import BOX_COLOUR, box_surface
from osteon.mesh.extract import BONE_COLOUR, extract_surface
from osteon.mesh.measure import bounds_lps_mm, enclosed_volume_mm3, is_watertight, surface_area_mm2, vertex_normals
from osteon.mesh.smooth import TaubinOptions, smooth_taubin

__all__ = [
    "BONE_COLOUR",
    "BOX_COLOUR",
    "TaubinOptions",
    "bounds_lps_mm",
    "box_surface",
    "enclosed_volume_mm3",
    "extract_surface",
    "is_watertight",
    "smooth_taubin",
    "surface_area_mm2",
    "vertex_normals",
]
