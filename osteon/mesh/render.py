"""Pictures of surfaces, drawn without a graphics card, a display or OpenGL.

VTK's renderer needs an OpenGL library and its pictures differ between drivers; a report must come out the same on every
machine, in a bare container too. So triangles are drawn here by a depth buffer in compiled code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.data import Surface

__all__ = ["VIEWS", "Camera", "Rendering", "View", "bounds_lps_mm", "fit_camera", "render", "vertex_normals"]

View = Literal[
    "anterior",
    "posterior",
    "left",
    "right",
    "superior",
    "inferior",
    "anterior-left",
    "anterior-right",
    "posterior-left",
    "posterior-right",
]

VIEWS: Final[dict[str, tuple[float, float]]] = {
    # degrees: how far the viewer walks from the patient's front towards the patient's left, and how far up
    "anterior": (0, 0),
    "posterior": (180, 0),
    "left": (90, 0),
    "right": (-90, 0),
    "superior": (0, 90),
    "inferior": (0, -90),
    "anterior-left": (40, 15),
    "anterior-right": (-40, 15),
    "posterior-left": (140, 15),
    "posterior-right": (-140, 15),
}

_BLOCK: Final = 2
"""Rows and columns of the raster for one pixel of the picture: four samples a pixel take the steps off the edges."""

_LIGHTS: Final = np.array([(-0.52, 0.58, 0.627, 0.90), (0.78, 0.05, 0.624, 0.25)], dtype=np.float32)
"""Main light from the upper left, a weak one from the right: direction (right, up, towards the viewer), strength."""

_CREASES_MM: Final = ((1.0, 0.6), (4.0, 0.5), (15.0, 0.45))
"""Widths at which a hollow counts as one, and how dark it may get."""

_HIDDEN_SHARE: Final = 0.3
"""How strongly an outline shows through what is in front of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A viewer infinitely far away (parallel projection): one millimetre is as long everywhere in the picture.

    Attributes:
        axes: (3, 3); rows are the LPS unit vectors that point right, up and towards the viewer.
        centre_lps_mm: (3,) what is in the middle of the picture.
        mm_per_px: side of a pixel.
        size: (width, height) in pixels.
    """

    axes: NDArray[np.float64]
    centre_lps_mm: NDArray[np.float64]
    mm_per_px: float
    size: tuple[int, int]

    def project(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) LPS millimetres to (column, row, nearness).

        Column and row are in pixels from the upper left corner of the picture (the centre of the first pixel is at
        0.5); nearness is in millimetres from the middle towards the viewer.
        """
        seen = (np.asarray(points_lps_mm, dtype=np.float64) - self.centre_lps_mm) @ self.axes.T
        width, height = self.size
        column = seen[..., 0] / self.mm_per_px + width / 2
        row = height / 2 - seen[..., 1] / self.mm_per_px
        return np.stack([column, row, seen[..., 2]], axis=-1)


def fit_camera(
    surfaces: Sequence[Surface],
    *,
    view: View = "anterior",
    size: tuple[int, int] = (1000, 1400),
    margin: float = 0.05,
    mm_per_px: float | None = None,
) -> Camera:
    """The camera that shows all surfaces from one side, as large as the picture (width, height) allows.

    Seen from the front the patient's left is on the viewer's right, as in radiographs; the head is up, in the views
    from above and below the front is. ``margin`` is the share of width and height that stays free on each side;
    ``mm_per_px`` a scale instead of the largest that fits: what does not fit is cut off.

    Raises:
        UnknownLabelError: no such view.
        InputError: no vertex to look at, or a picture without pixels.
    """
    if view not in VIEWS:
        raise UnknownLabelError(f"no view {view!r}: {nearest_names(view, VIEWS)}")
    width, height = size
    if width < 1 or height < 1 or not 0 <= margin < 0.5:
        raise InputError(f"a picture needs pixels and a margin from 0 to below 0.5, found {size} and {margin}")
    filled = [surface.vertices_lps_mm for surface in surfaces if surface.vertices_lps_mm.size]
    if not filled:
        raise InputError("there is no surface to look at")
    axes = _axes_of(view)
    seen = [vertices @ axes.T for vertices in filled]
    low = np.min([points.min(axis=0) for points in seen], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in seen], axis=0).astype(np.float64)
    free = 1 - 2 * margin
    extent = high - low
    scale = max(float(extent[0]) / (width * free), float(extent[1]) / (height * free), 1e-6)
    return Camera(axes=axes, centre_lps_mm=(low + high) / 2 @ axes, mm_per_px=mm_per_px or scale, size=(width, height))


def _axes_of(view: str) -> NDArray[np.float64]:
    """(3, 3) right, up and towards the viewer, in LPS."""
    around, above = np.radians(VIEWS[view])
    right = np.array([np.cos(around), np.sin(around), 0.0])
    level = np.array([np.sin(around), -np.cos(around), 0.0])  # towards the viewer, before climbing
    head = np.array([0.0, 0.0, 1.0])
    towards = np.cos(above) * level + np.sin(above) * head
    up = np.cross(towards, right)
    return np.stack([right, up, towards])


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A picture (height, width, 3) uint8, sRGB, and the camera that took it."""

    rgb: NDArray[np.uint8] = field(repr=False)
    camera: Camera

    @property
    def mm_per_px(self) -> float:
        """Side of a pixel in the patient."""
        return self.camera.mm_per_px


def render(
    surfaces: Sequence[Surface],
    *,
    view: View = "anterior",
    size: tuple[int, int] = (1000, 1400),
    background: tuple[int, int, int] = (0, 0, 0),
    outlines: Sequence[Surface] = (),
    mm_per_px: float | None = None,
    camera: Camera | None = None,
) -> Rendering:
    """Draw surfaces from one side of the patient, in parallel projection; as ``fit_camera``.

    Args:
        surfaces: opaque bodies, each in its colour.
        view: side; the names are in `VIEWS`.
        size: (width, height) in pixels.
        background: sRGB.
        outlines: thin bodies such as a box of beams: where a surface hides them they shine through.
        mm_per_px: a scale instead of the largest that fits.
        camera: of another picture, so that both lie on each other; ``view``, ``size`` and ``mm_per_px`` are then its.

    Raises:
        UnknownLabelError: no such view.
        InputError: nothing to draw, or a picture without pixels.

    References:
        Darkening of hollows by the blurred depth: Luft et al., doi:10.1145/1179352.1142016.
    """
    from osteon.mesh.kernels import draw_triangles, shade_blocks

    camera = camera or fit_camera([*surfaces, *outlines], view=view, size=size, mm_per_px=mm_per_px)
    rows, columns = camera.size[1] * _BLOCK, camera.size[0] * _BLOCK
    scene = _Scene.of(surfaces, camera)
    triangle, near = draw_triangles(scene.points, scene.faces, rows, columns)
    paint = (scene.material, np.concatenate([scene.palette, _to_linear(background)[None]]))
    openness = _openness(near, camera.mm_per_px)
    linear = shade_blocks(triangle, scene.points, scene.normals, scene.faces, paint, openness, _LIGHTS, _BLOCK)
    if outlines:
        drawn = _Scene.of(outlines, camera)
        line, line_near = draw_triangles(drawn.points, drawn.faces, rows, columns)
        _draw_over(linear, (line, line_near), near, drawn)
    return Rendering(rgb=_to_srgb(linear), camera=camera)


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """All surfaces as one, in the pixels of the raster: points are column, row, nearness; colours in linear light."""

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    faces: NDArray[np.int32]
    material: NDArray[np.uint16]
    palette: NDArray[np.float32]

    @classmethod
    def of(cls, surfaces: Sequence[Surface], camera: Camera) -> _Scene:
        offsets = np.cumsum([0, *(len(surface.vertices_lps_mm) for surface in surfaces)])
        points = [camera.project(surface.vertices_lps_mm) * (_BLOCK, _BLOCK, 1) for surface in surfaces]
        normals = [vertex_normals(surface) @ camera.axes.T for surface in surfaces]
        faces = [surface.faces + offset for surface, offset in zip(surfaces, offsets, strict=False)]
        counts = [len(surface.faces) for surface in surfaces]
        return cls(
            points=np.concatenate([np.zeros((0, 3)), *points]).astype(np.float32),
            normals=np.concatenate([np.zeros((0, 3)), *normals]).astype(np.float32),
            faces=np.concatenate([np.zeros((0, 3)), *faces]).astype(np.int32),
            material=np.repeat(np.arange(len(surfaces)), counts).astype(np.uint16),
            palette=np.array([_to_linear(surface.colour[:3]) for surface in surfaces], dtype=np.float32).reshape(-1, 3),
        )


def _openness(near: NDArray[np.float32], mm_per_px: float) -> NDArray[np.float32]:
    """How little every sample of the raster is behind the mean of what surrounds it in the picture, 0 to 1."""
    import cv2

    from osteon.mesh.kernels import nearest_of_blocks

    front = nearest_of_blocks(near, _BLOCK)
    seen = np.isfinite(front)
    weight = seen.astype(np.float32)
    depth = np.where(seen, front, 0).astype(np.float32)
    openness = np.ones_like(depth)
    for width_mm, darkest in _CREASES_MM:
        sigma_px = width_mm / mm_per_px
        # a coarse copy is as good for a wide blur, and the time no longer grows with the width
        shrink = max(1, int(sigma_px / 6))
        sigma = max(sigma_px / shrink, 0.3)
        small = (max(1, depth.shape[1] // shrink), max(1, depth.shape[0] // shrink))
        blurred = [
            cv2.GaussianBlur(cv2.resize(array, small, interpolation=cv2.INTER_AREA), (0, 0), sigma)
            for array in (depth, weight)
        ]
        total, count = (cv2.resize(array, depth.shape[::-1], interpolation=cv2.INTER_LINEAR) for array in blurred)
        behind_mm = total / np.maximum(count, 1e-6) - depth
        openness *= 1 - darkest * np.clip(behind_mm / width_mm, 0, 1)
    # a pixel on the outline of a near bone also holds samples of the far one: those get the darkness beside them
    beside = cv2.erode(openness, np.ones((3, 3), np.uint8))
    behind = near < _blown_up(front) - _CREASES_MM[0][0]
    return np.where(behind, _blown_up(beside), _blown_up(openness))


def _blown_up(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every pixel repeated for the samples of its block."""
    return picture.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)


def _draw_over(
    linear: NDArray[np.float32],
    lines: tuple[NDArray[np.int32], NDArray[np.float32]],
    near: NDArray[np.float32],
    drawn: _Scene,
) -> None:
    """Mix thin bodies into a picture: fully where they are in front, weakly where they are hidden."""
    height, width, _ = linear.shape
    triangle, line_near = lines
    row, column = np.nonzero(triangle >= 0)
    share = np.where(line_near[row, column] >= near[row, column], 1, _HIDDEN_SHARE) / _BLOCK**2
    pixel = (row // _BLOCK) * width + column // _BLOCK
    colour = drawn.palette[drawn.material[triangle[row, column]]]
    free = 1 - np.bincount(pixel, share, minlength=height * width).reshape(height, width)
    for channel in range(3):
        paint = np.bincount(pixel, share * colour[:, channel], minlength=height * width)
        linear[..., channel] = linear[..., channel] * free + paint.reshape(height, width)


def _to_linear(colour: Sequence[int]) -> NDArray[np.float32]:
    """8-bit sRGB to linear light, IEC 61966-2-1."""
    value = np.asarray(colour, dtype=np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_srgb(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Linear light to 8-bit sRGB, IEC 61966-2-1."""
    value = np.clip(linear, 0, 1)
    coded = np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** np.float32(1 / 2.4) - 0.055)
    return np.round(coded * 255).astype(np.uint8)


def bounds_lps_mm(surfaces: Sequence[Surface]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest LPS coordinates over all surfaces, each (3,); NaN when there is no vertex."""
    filled = [surface.vertices_lps_mm for surface in surfaces if surface.vertices_lps_mm.size]
    if not filled:
        return np.full(3, np.nan), np.full(3, np.nan)
    low = np.min([vertices.min(axis=0) for vertices in filled], axis=0)
    high = np.max([vertices.max(axis=0) for vertices in filled], axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def vertex_normals(surface: Surface) -> NDArray[np.float32]:
    """(vertices, 3) outward unit normals: the mean of the triangles around a vertex, weighted by their area.

    A vertex that no triangle uses, or whose triangles cancel, gets (0, 0, 1).
    """
    from osteon.mesh.kernels import mean_normals

    return mean_normals(surface.vertices_lps_mm, surface.faces)
