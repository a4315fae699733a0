"""Surfaces: extraction, smoothing, boxes, measures and pictures of them."""

from osteon.mesh.extract import (
    box_surface,
    coarse_surface,
    extract_parts,
    extract_surface,
    simplify,
    smooth_taubin,
    split_between_slices,
)
from osteon.mesh.render import Camera, View, bounds_lps_mm, fit_camera, render

__all__ = [
    "Camera",
    "View",
    "bounds_lps_mm",
    "box_surface",
    "coarse_surface",
    "extract_parts",
    "extract_surface",
    "fit_camera",
    "render",
    "simplify",
    "smooth_taubin",
    "split_between_slices",
]
