"""CT that shows no leg: a chest and a head, to prove that a leg task refuses them.

Plain but plausible: lungs with vessels, ribs, spine, heart and liver; skull, brain with ventricles, sinuses, jaw and
neck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Mask, Patient, Volume
from osteon.geometry import Grid
from osteon_phantoms.labels import BODY_BONE_VALUE, BODY_VALUE, truth_labels
from osteon_phantoms.leg import fictitious_patient
from osteon_phantoms.limb import Canvas, Plane, share_inside
from osteon_phantoms.scanner import add_noise, blur, hardening_error
from osteon_phantoms.solid import Ellipsoid, Points, Rod, Solid, make_loft
from osteon_phantoms.table import Table
from osteon_phantoms.texture import make_textures

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon_phantoms.texture import Textures

__all__ = ["BodyPhantom", "make_head_ct", "make_torso_ct"]


@dataclass(frozen=True, slots=True, eq=False)
class BodyPhantom:
    """A synthetic CT of something other than legs.

    Attributes:
        body_part: DICOM Body Part Examined: "CHEST" or "HEAD".
        volume: int16 HU.
        truth: bone and soft tissue on the same grid.
        patient: fictitious.
    """

    body_part: str
    volume: Volume
    truth: Mask
    patient: Patient


def make_torso_ct(
    *,
    seed: int = 1,
    shape: tuple[int, int, int] = (60, 256, 256),
    spacing_mm: tuple[float, float, float] = (5.0, 1.6, 1.6),
) -> BodyPhantom:
    """A chest and upper abdomen, supine, arms up.

    Args:
        seed: everything random follows from it.
        shape: (slice, row, column).
        spacing_mm: along the same axes.
    """
    return _make("CHEST", _draw_torso, seed=seed, shape=shape, spacing_mm=spacing_mm, back_mm=112.0)


def make_head_ct(
    *,
    seed: int = 1,
    shape: tuple[int, int, int] = (60, 256, 256),
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
) -> BodyPhantom:
    """A head and upper neck, supine.

    Args:
        seed: everything random follows from it.
        shape: (slice, row, column).
        spacing_mm: along the same axes.
    """
    return _make("HEAD", _draw_head, seed=seed, shape=shape, spacing_mm=spacing_mm, back_mm=108.0)


def _make(
    body_part: str,
    draw: Callable[[Canvas, Points, Textures, float], None],
    *,
    seed: int,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    back_mm: float,
) -> BodyPhantom:
    generator = np.random.default_rng([seed, 3])
    textures = make_textures(generator)
    origin = -(np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm)
    grid = Grid.from_axes(shape=shape, spacing_mm=spacing_mm, origin_lps_mm=(origin[2], origin[1], origin[0]))
    table = Table(shape="curved", surface_y_lps_mm=back_mm, facing=1.0, textures=textures)
    array = np.empty(shape, dtype=np.int16)
    label = np.zeros(shape, dtype=np.uint8)
    pixel_mm = max(spacing_mm[1:])
    x = (origin[2] + np.arange(shape[2]) * spacing_mm[2]).astype(np.float32)
    y = (origin[1] + np.arange(shape[1]) * spacing_mm[1]).astype(np.float32)
    for index in range(shape[0]):
        height = np.float32(origin[0] + index * spacing_mm[0])
        plane = Plane(x, y, np.full(shape[1], height, dtype=np.float32), pixel_mm)
        hu = np.full(shape[1:], -1000, dtype=np.float32)
        canvas = Canvas(hu, label[index])
        table.draw(canvas, plane)
        across, forward = np.broadcast_arrays(x[None, :], -y[:, None])
        points = Points(across, forward, np.array([[height]], dtype=np.float32))
        draw(canvas, points, textures, pixel_mm)
        hu += hardening_error(hu, pixel_mm=pixel_mm, strength=0.6)
        hu = blur(hu, sigma_px=(0.6 / spacing_mm[1], 0.6 / spacing_mm[2]))
        add_noise(hu, sigma_hu=11.0, correlation_px=0.6 / pixel_mm + 0.25, generator=generator)
        array[index] = np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)
    return BodyPhantom(
        body_part=body_part,
        volume=Volume(array=array, grid=grid, modality="CT", unit="HU"),
        truth=Mask(array=label, grid=grid, labels=truth_labels(), name="truth"),
        patient=fictitious_patient(seed=seed, sex="F", age_years=41),
    )


@dataclass(frozen=True, slots=True)
class _Brush:
    """Lays tissues over each other on one slice."""

    canvas: Canvas
    width_mm: float

    def lay(
        self, distance: NDArray[np.float32], hu: NDArray[np.floating[Any]] | float, label: int | None = None
    ) -> None:
        """Fill the inside of a shape."""
        self.canvas.hu[...] += share_inside(distance, self.width_mm) * (hu - self.canvas.hu)
        if label is not None and self.canvas.label is not None:
            self.canvas.label[distance < 0] = label

    def bone(
        self, distance: NDArray[np.float32], *, cortex_mm: float, inside_hu: NDArray[np.floating[Any]] | float
    ) -> None:
        """A bone with a cortex."""
        hollow = share_inside(distance + np.float32(cortex_mm), self.width_mm + 0.8)
        self.lay(distance, 1050 + hollow * (inside_hu - 1050), BODY_BONE_VALUE)


def _draw_torso(canvas: Canvas, points: Points, textures: Textures, pixel_mm: float) -> None:
    brush = _Brush(canvas, pixel_mm)
    cloud = textures.cloud.at(points.u, points.v, points.w)
    grain = textures.medium.at(points.u, points.v, points.w)
    skin = _CHEST.distance(points) + 1.2 * cloud
    brush.lay(skin, -100 + 6 * grain, BODY_VALUE)
    brush.lay(skin + 13 + 2 * cloud, 54 + 4 * grain, BODY_VALUE)
    cage = _CAGE.distance(points)
    for side in (-1, 1):
        lung = np.maximum(cage + 9, _MEDIASTINUM.distance(points) * np.float32(-1))
        lung = np.maximum(np.maximum(lung, np.float32(-side) * points.u + 6), _DOME.distance(points) * np.float32(-1))
        vessels = np.clip(grain + 0.6 * cloud - 1.5, 0, 1.2)
        brush.lay(lung, -855 + 25 * cloud + 640 * vessels)
    brush.lay(_HEART.distance(points) + 1.5 * cloud, 42 + 3 * grain)
    brush.lay(np.maximum(_LIVER.distance(points), cage + 8), 60 + 3 * grain)
    for tube in _GREAT_VESSELS:
        brush.lay(tube.distance(points), 44.0)
    for tube in _AIRWAYS:
        brush.lay(tube.distance(points), -980.0)
    phase = np.mod(points.w + 0.45 * points.v + 0.12 * np.abs(points.u), 27.0) - 13.5
    rib = np.sqrt(np.square(np.maximum(np.abs(cage) - 1.5, 0)) + np.square(np.maximum(np.abs(phase) - 3.5, 0))) - 3.0
    rib = np.maximum(rib, points.v - 62)
    brush.bone(rib.astype(np.float32), cortex_mm=1.3, inside_hu=140.0)
    level = np.abs(np.mod(points.w, 29.0) - 14.5)
    body = np.maximum(_SPINE.distance(points), 3.5 - level)
    brush.lay(np.maximum(_SPINE.distance(points), level - 3.5), 85.0)
    brush.bone(np.asarray(body, dtype=np.float32), cortex_mm=1.0, inside_hu=190 + 45 * grain)
    brush.bone(np.maximum(_ARCH.distance(points), 9 - level), cortex_mm=1.6, inside_hu=240.0)
    brush.lay(_CANAL.distance(points), 25.0)
    brush.bone(_STERNUM.distance(points), cortex_mm=1.2, inside_hu=110.0)


def _draw_head(canvas: Canvas, points: Points, textures: Textures, pixel_mm: float) -> None:
    brush = _Brush(canvas, pixel_mm)
    cloud = textures.cloud.at(points.u, points.v, points.w)
    grain = textures.medium.at(points.u, points.v, points.w)
    skin = _FACE.distance(points) + 0.8 * cloud
    brush.lay(skin, -60 + 8 * grain, BODY_VALUE)
    brush.lay(skin + 3 + cloud, 48 + 5 * grain, BODY_VALUE)
    skull = _SKULL.distance(points) + 0.5 * cloud
    thick = np.float32(6.5) + cloud
    shell = np.maximum(skull, -(skull + thick))
    brush.lay(skull + thick, 8.0)
    gyri = np.clip(grain * 0.8 + cloud, -1, 1.5)
    brush.lay(skull + thick + 2.5, 33 + 4 * gyri - 18 * np.clip(gyri - 1.1, 0, 1))
    for ventricle in _VENTRICLES:
        brush.lay(ventricle.distance(points) + 0.8 * cloud, 8.0)
    brush.bone(np.asarray(shell, dtype=np.float32), cortex_mm=1.9, inside_hu=420.0)
    for bone in _FACE_BONES:
        brush.bone(bone.distance(points), cortex_mm=1.8, inside_hu=260.0)
    for cave in _SINUSES:
        brush.bone(cave.distance(points) - 1.2, cortex_mm=2.0, inside_hu=300.0)
        brush.lay(cave.distance(points), -990.0)
    for eye in _EYES:
        brush.lay(eye.distance(points) - 5, -75.0)
        brush.lay(eye.distance(points), 22.0)
    brush.lay(_THROAT.distance(points), -985.0)
    level = np.abs(np.mod(points.w, 18.0) - 9.0)
    brush.bone(np.maximum(_NECK_SPINE.distance(points), 1.5 - level), cortex_mm=1.2, inside_hu=290.0)
    brush.lay(_NECK_CANAL.distance(points), 25.0)


_CHEST = make_loft(
    [(-170, 0, 0, 158, 106, 0, 3), (-60, 0, 0, 166, 112, 0, 3), (60, 0, 0, 172, 108, 0, 3), (170, 0, -5, 168, 92, 0, 3)]
)
_CAGE = make_loft(
    [(-170, 0, 0, 132, 84), (-40, 0, 2, 138, 90), (60, 0, 2, 124, 82), (130, 0, 0, 92, 62), (168, 0, -4, 60, 44)]
)
_MEDIASTINUM = Solid(
    (make_loft([(-170, 0, -10, 36, 70), (-20, 6, -4, 40, 66), (80, 0, -4, 28, 58), (170, 0, -8, 34, 50)]),)
)
_DOME = Solid((Ellipsoid((70, 0, -170), (72, 88, 118)), Ellipsoid((-70, 0, -170), (72, 88, 130))))
_HEART = Ellipsoid((22, 22, -30), (58, 46, 52))
_LIVER = Ellipsoid((-62, 8, -150), (96, 80, 90))
_GREAT_VESSELS = (
    Rod((14, -42, -170), (20, -44, 60), 11, 12),
    Rod((20, -44, 60), (-8, 18, 74), 12, 14),
    Rod((-8, 18, 74), (2, 14, 10), 15, 16),
    Rod((-24, 10, 120), (-24, 12, 0), 10, 11),
)
_AIRWAYS = (
    Rod((0, -14, 170), (0, -20, 52), 9, 9),
    Rod((0, -20, 52), (38, -20, 22), 7, 5),
    Rod((0, -20, 52), (-36, -20, 26), 7.5, 5),
)
_SPINE = make_loft([(-170, 0, -62, 20, 15), (170, 0, -66, 15, 12)])
_ARCH = Solid(
    (
        Rod((14, -78, -170), (12, -80, 170), 5, 4.5),
        Rod((-14, -78, -170), (-12, -80, 170), 5, 4.5),
        Rod((0, -92, -170), (0, -92, 170), 6, 5),
        Rod((24, -84, -170), (22, -86, 170), 5, 4),
        Rod((-24, -84, -170), (-22, -86, 170), 5, 4),
    ),
    blend_mm=10,
)
_CANAL = make_loft([(-170, 0, -80, 9, 7), (170, 0, -82, 8.5, 7)])
_STERNUM = make_loft([(-20, 0, 90, 15, 5), (60, 0, 86, 18, 6), (120, 0, 70, 26, 7)])

_SKULL = Solid((Ellipsoid((0, -2, 30), (70, 88, 74)), Ellipsoid((0, -20, 0), (60, 62, 50))), blend_mm=20)
_FACE = Solid(
    (
        Ellipsoid((0, -2, 30), (76, 94, 80)),
        Ellipsoid((0, 30, -40), (58, 62, 78)),
        make_loft([(-200, 0, -18, 68, 60), (-120, 0, -20, 58, 56), (-60, 0, -22, 58, 58)]),
        Rod((0, 92, -28), (0, 108, -40), 11, 12),
    ),
    blend_mm=18,
)
_VENTRICLES = (
    Rod((10, 28, 42), (14, -34, 40), 6, 7),
    Rod((-10, 28, 42), (-14, -34, 40), 6, 7),
    Rod((0, 6, 26), (0, -18, 22), 2.5, 2.5),
    Ellipsoid((0, -46, -8), (7, 6, 9)),
)
_FACE_BONES = (
    Rod((44, 0, -62), (36, 48, -88), 7, 7),
    Rod((36, 48, -88), (0, 76, -92), 7, 9),
    Rod((-44, 0, -62), (-36, 48, -88), 7, 7),
    Rod((-36, 48, -88), (0, 76, -92), 7, 9),
    Rod((44, 0, -62), (50, 4, -22), 6, 5),
    Rod((-44, 0, -62), (-50, 4, -22), 6, 5),
    Rod((56, 10, -20), (40, 62, -24), 4, 6),
    Rod((-56, 10, -20), (-40, 62, -24), 4, 6),
    Rod((30, 44, -62), (0, 76, -60), 8, 8),
    Rod((-30, 44, -62), (0, 76, -60), 8, 8),
    Rod((38, 66, 8), (-38, 66, 8), 5, 5),
)
_SINUSES = (
    Ellipsoid((26, 48, -38), (13, 17, 17)),
    Ellipsoid((-26, 48, -38), (13, 17, 17)),
    Ellipsoid((0, 62, -34), (9, 28, 22)),
    Ellipsoid((0, 82, 16), (17, 5, 10)),
    Ellipsoid((0, 26, -14), (12, 10, 9)),
)
_EYES = (Ellipsoid((31, 76, -10), (11.5, 11.5, 11.5)), Ellipsoid((-31, 76, -10), (11.5, 11.5, 11.5)))
_THROAT = make_loft([(-200, 0, 8, 9, 8), (-120, 0, 10, 11, 8), (-60, 0, 18, 12, 9), (-46, 0, 22, 10, 8)])
_NECK_SPINE = Solid(
    (
        make_loft([(-200, 0, -26, 14, 11), (-72, 0, -16, 14, 10)]),
        Rod((15, -42, -200), (15, -32, -72), 6, 6),
        Rod((-15, -42, -200), (-15, -32, -72), 6, 6),
        Rod((0, -62, -200), (0, -52, -80), 6, 6),
    ),
    blend_mm=10,
)
_NECK_CANAL = make_loft([(-200, 0, -44, 10, 8), (-60, 0, -34, 11, 9)])
