"""Surfaces: extraction, smoothing, boxes, measures and pictures of them."""

from osteon.mesh.extract import BONE_COLOUR, extract_parts, extract_surface
from osteon.mesh.mark import AFFECTED_COLOUR, BOX_COLOUR, box_surface, split_between_slices
from osteon.mesh.measure import bounds_lps_mm, enclosed_volume_mm3, is_watertight, surface_area_mm2, vertex_normals
from osteon.mesh.render import VIEWS, Camera, Rendering, View, fit_camera, render
from osteon.mesh.smooth import TaubinOptions, simplify, smooth_taubin

__all__ = [
    "AFFECTED_COLOUR",
    "BONE_COLOUR",
    "BOX_COLOUR",
    "VIEWS",
    "Camera",
    "Rendering",
    "TaubinOptions",
    "View",
    "bounds_lps_mm",
    "box_surface",
    "enclosed_volume_mm3",
    "extract_parts",
    "extract_surface",
    "fit_camera",
    "is_watertight",
    "render",
    "simplify",
    "smooth_taubin",
    "split_between_slices",
    "surface_area_mm2",
    "vertex_normals",
]
