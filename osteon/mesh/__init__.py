"""Surfaces: extraction, smoothing, boxes, measures and pictures of them."""

from osteon.mesh.beams import BOX_COLOUR, box_surface
from osteon.mesh.camera import VIEWS, Camera, View, fit_camera
from osteon.mesh.extract import BONE_COLOUR, extract_surface
from osteon.mesh.measure import bounds_lps_mm, enclosed_volume_mm3, is_watertight, surface_area_mm2, vertex_normals
from osteon.mesh.parts import extract_parts
from osteon.mesh.render import Rendering, render
from osteon.mesh.simplify import simplify
from osteon.mesh.smooth import TaubinOptions, smooth_taubin
from osteon.mesh.split import AFFECTED_COLOUR, split_between_slices

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
