"""An MR series of the thigh of a patient who does not exist, with the exact mask of the lesion."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Mask, Volume
from osteon.data.phantom_mark import mark_grey
from osteon.geometry import Grid
from osteon_phantoms.femur.anatomy import Thigh, draw_thigh
from osteon_phantoms.femur.lesion import PlacedLesion, draw_lesion, place_lesion
from osteon_phantoms.femur.physics import SEQUENCES, Matter, signal
from osteon_phantoms.labels import lesion_labels
from osteon_phantoms.phantom import Finding, Phantom, fictitious_patient
from osteon_phantoms.shapes import Points
from osteon_phantoms.texture import make_textures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.femur.spec import FemurMrSpec, MrPlane
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.texture import Textures

__all__ = ["make_femur_mr"]

_DIRECTIONS: Final[dict[MrPlane, tuple[tuple[int, int, int], ...]]] = {
    "axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
"""LPS unit vectors in which slices, rows and columns grow, as they are read in hospitals."""

_FINER: Final = 2
"""Places along a pixel at which the body is looked at; what is finer is lost as in a scanner."""
_DEPTHS: Final = 3
"""Planes that a slice is the mean of."""
_BRIGHTEST: Final = 900.0
"""Grey of fat in T1."""
_HEALTHY_CENTRE_MM: Final = (0.0, 0.0, 110.0)


@dataclass(frozen=True, slots=True)
class _Scene:
    spec: FemurMrSpec
    grid: Grid
    thigh: Thigh
    lesion: PlacedLesion | None
    coil_mm: F32 = field(repr=False)


def make_femur_mr(spec: FemurMrSpec) -> Phantom[FemurMrSpec]:
    """Make an MR series.

    Args:
        spec: all choices; the same spec gives the same voxels.

    Returns:
        A float32 volume of whole numbers in any plane, and the mask "lesion": 1 inside; a voxel belongs to the lesion
        when its middle does. Oedema does not. The diameter is that of the lesion drawn in the slices, the largest
        between two of its voxels' middles in one slice, plus a pixel.

    Example:
        >>> from osteon_phantoms.femur.spec import FemurMrSpec
        >>> made = make_femur_mr(FemurMrSpec(size=(32, 32), pixel_mm=5.0))
        >>> made.volume.modality, made.lesions[0].spec.look, bool(made.masks["lesion"].array.any())
        ('MR', 'benign', True)
    """
    scene = _build(spec)
    array = np.empty(scene.grid.shape, np.float32)
    inside = np.zeros(scene.grid.shape, np.uint8)
    for index in range(spec.slices):
        array[index] = _slice(scene, index)
        inside[index] = _draw(scene, _points(scene, float(index), 1))[1]
    name = "lesion" if spec.lesion is None else f"{spec.lesion.kind}, {spec.lesion.look}"
    found = Finding(spec.lesion, 1, diameter_mm=_diameter_mm(inside, spec.pixel_mm))
    return Phantom(
        spec=spec,
        volume=Volume(array, scene.grid, "MR"),
        masks={"lesion": Mask(array=inside, grid=scene.grid, labels=lesion_labels((name,), "lesion"), name="lesion")},
        lesions=() if spec.lesion is None else (found,),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
    )


@lru_cache(maxsize=1)
def _textures() -> Textures:
    """Textures that all patients share; each looks at a place of its own."""
    return make_textures(np.random.default_rng(20260601))


def _build(spec: FemurMrSpec) -> _Scene:
    generator = np.random.default_rng([spec.seed, 71])
    thigh = Thigh(
        scale=spec.thigh_scale,
        fat_mm=spec.fat_mm,
        red_marrow=spec.red_marrow,
        turn_degrees=float(generator.normal(0, 8)),
        shift_mm=float(generator.uniform(0, 500)),
        textures=_textures(),
    )
    lesion = None if spec.lesion is None else place_lesion(spec.lesion, thigh, generator)
    x, y, z = _HEALTHY_CENTRE_MM if lesion is None else lesion.centre_mm
    axes = np.array(_DIRECTIONS[spec.plane], np.float64)
    steps = np.array([spec.slice_mm + spec.gap_mm, spec.pixel_mm, spec.pixel_mm])
    shape = (spec.slices, *spec.size)
    middle = np.array([_outward(spec) * x, y, z]) + np.asarray(spec.off_centre_mm) @ axes
    origin = middle - (steps * (np.array(shape) - 1) / 2) @ axes
    grid = Grid.from_axes(shape=shape, spacing_mm=steps.tolist(), directions=axes, origin_lps_mm=origin.tolist())
    turn = generator.uniform(0, 2 * np.pi)
    coil = np.array([110 * np.cos(turn), 110 * np.sin(turn), z + generator.uniform(-70, 70)], np.float32)
    return _Scene(spec, grid, thigh, lesion, coil)


def _outward(spec: FemurMrSpec) -> float:
    return 1.0 if spec.side == "left" else -1.0


def _points(scene: _Scene, index: float, finer: int) -> Points:
    """The places of a plane, ``finer`` along each pixel."""
    rows, columns = ((np.arange(side * finer) + 0.5) / finer - 0.5 for side in scene.spec.size)
    axes, steps = scene.grid.directions, scene.grid.spacing_mm
    start = scene.grid.to_lps_mm([index, 0, 0])
    x, y, z = (
        np.asarray(
            start[k] + (rows * steps[1] * axes[1, k])[:, None] + (columns * steps[2] * axes[2, k])[None, :], np.float32
        )
        for k in range(3)
    )
    return Points(np.float32(_outward(scene.spec)) * x, y, z)


def _draw(scene: _Scene, points: Points) -> tuple[Matter, NDArray[np.bool_]]:
    """What is at the points, and which of them lie in the lesion."""
    matter = draw_thigh(scene.thigh, points)
    if scene.lesion is None:
        return matter, np.zeros(points.u.shape, np.bool_)
    return matter, draw_lesion(scene.lesion, matter, points)


def _slice(scene: _Scene, index: int) -> F32:
    """One slice as the scanner stores it."""
    spec = scene.spec
    share = spec.slice_mm / (spec.slice_mm + spec.gap_mm)
    total = np.zeros((spec.size[0] * _FINER, spec.size[1] * _FINER), np.float32)
    for depth in range(_DEPTHS):
        points = _points(scene, index + ((depth + 0.5) / _DEPTHS - 0.5) * share, _FINER)
        total += _signal(spec, _draw(scene, points)[0]) * _coil(scene, points) / np.float32(_DEPTHS)
    image = _acquired(total, spec.size)
    # a scanner scales to the brightest ordinary tissue of the sequence
    ordinary = (Matter.of((1,), name) for name in ("fat", "muscle", "oedema", "solid tumour"))
    reference = max(float(_signal(spec, matter)[0]) for matter in ordinary)
    generator = np.random.default_rng([spec.seed, 72, index])
    noise = generator.normal(0, spec.noise * reference, (2, *spec.size))
    magnitude = np.hypot(image.real + noise[0], image.imag + noise[1])
    stored = np.rint(np.clip(magnitude * (_BRIGHTEST / reference), 0, 4095)).astype(np.uint16)
    mark_grey(stored)
    return np.asarray(stored, np.float32)


def _signal(spec: FemurMrSpec, matter: Matter) -> F32:
    return signal(matter, SEQUENCES[spec.sequence], field_tesla=spec.field_tesla, contrast_mmol=spec.contrast_mmol)


def _coil(scene: _Scene, points: Points) -> F32:
    """How well the coil sees a place, about 1 in the middle of the thigh."""
    strength = scene.spec.shading
    if strength <= 0:
        return np.ones(points.u.shape, np.float32)
    x, y, z = scene.coil_mm
    near = np.sqrt((points.u - x) ** 2 + (points.v - y) ** 2 + (points.w - z) ** 2)
    uneven = (115 / (40 + near)) ** np.float32(1.6 * strength)
    ends = np.exp(-((points.w - z) ** 2) / np.float32(2 * (150 / (0.3 + strength)) ** 2))
    return np.asarray(np.clip(uneven * (0.25 + 0.75 * ends) / 0.85, 0, 4), np.float32)


def _acquired(fine: F32, size: tuple[int, int]) -> NDArray[np.complex128]:
    """What is left of a fine picture when only the low frequencies of its pixels are measured: edges ring a little."""
    spectrum = np.fft.fftshift(np.fft.fft2(fine))
    rows, columns = fine.shape
    top, left = (rows - size[0]) // 2, (columns - size[1]) // 2
    kept = spectrum[top : top + size[0], left : left + size[1]]
    # the scanner's own filter against ringing
    window = np.hanning(size[0] + 2)[1:-1][:, None] ** 0.25 * np.hanning(size[1] + 2)[1:-1][None, :] ** 0.25
    # pixels of the fine grid lie half a fine pixel beside the middles of the coarse ones
    shift = 0.5 * (1 - 1 / _FINER)
    turns = [np.fft.fftshift(np.fft.fftfreq(side)) * shift for side in size]
    phase = np.exp(2j * np.pi * (turns[0][:, None] + turns[1][None, :]))
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(kept * window * phase)) / _FINER**2, np.complex128)


def _diameter_mm(mask: NDArray[np.uint8], pixel_mm: float) -> float:
    """The largest extent of the lesion in any slice."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial.distance import pdist

    largest = 0.0
    for plane in mask > 0:
        places = np.argwhere(plane & ~binary_erosion(plane))
        if len(places):
            apart = float(pdist(places).max()) if len(places) > 1 else 0.0
            largest = max(largest, (apart + 1) * pixel_mm)
    return largest
