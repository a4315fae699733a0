"""An MR series of the thigh of a patient who does not exist, with the exact mask of the lesion."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Label, Mask, Patient, Volume
from osteon.geometry import Grid
from osteon.labels import concept
from osteon_phantoms.femur_mr_anatomy import Points, Thigh, draw_thigh, make_thigh
from osteon_phantoms.femur_mr_lesion import PlacedLesion, draw_lesion, place_lesion
from osteon_phantoms.femur_mr_physics import SEQUENCES, Matter, signal
from osteon_phantoms.leg import fictitious_patient
from osteon_phantoms.texture import make_textures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.femur_mr_spec import FemurMrSpec, MrPlane
    from osteon_phantoms.texture import Textures

__all__ = ["FEMUR_MR_LOOK", "FemurMrPhantom", "make_femur_mr"]

FEMUR_MR_LOOK: Final = 2
"""Raised when the same spec gives other voxels than before."""

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


@dataclass(frozen=True, slots=True, eq=False)
class FemurMrPhantom:
    """A synthetic MR series and what is true about it.

    Attributes:
        spec: what was asked.
        volume: float32 whole numbers, modality "MR", any plane.
        lesion: 1 inside; a voxel belongs to the lesion when its middle does. Oedema does not.
        diameter_mm: of the lesion drawn in the slices, the largest between two of its voxels' middles in one slice,
            plus a pixel; 0 without.
        patient: fictitious.
    """

    spec: FemurMrSpec
    volume: Volume
    lesion: Mask
    diameter_mm: float
    patient: Patient

    @property
    def look(self) -> str:
        """Benign, intermediate, malignant, or "" of a healthy femur."""
        return "" if self.spec.lesion is None else self.spec.lesion.look


@dataclass(frozen=True, slots=True)
class _Scene:
    spec: FemurMrSpec
    grid: Grid
    thigh: Thigh
    lesion: PlacedLesion | None
    coil_mm: NDArray[np.float32] = field(repr=False)


def make_femur_mr(spec: FemurMrSpec) -> FemurMrPhantom:
    """Make an MR series.

    Args:
        spec: all choices; the same spec gives the same voxels.

    Example:
        >>> from osteon_phantoms.femur_mr_spec import FemurMrSpec
        >>> made = make_femur_mr(FemurMrSpec(size=(32, 32), pixel_mm=5.0))
        >>> made.volume.modality, made.look, bool(made.lesion.array.any())
        ('MR', 'benign', True)
    """
    scene = _build(spec)
    array = np.empty(scene.grid.shape, np.float32)
    mask = np.zeros(scene.grid.shape, np.uint8)
    for index in range(spec.slices):
        array[index] = _slice(scene, index)
        mask[index] = _truth(scene, index)
    label = Label(
        value=1,
        name="lesion" if spec.lesion is None else f"{spec.lesion.kind}, {spec.lesion.look}",
        category=concept("morphologically_abnormal"),
        kind=concept("lesion"),
        colour=(220, 60, 50),
    )
    return FemurMrPhantom(
        spec=spec,
        volume=Volume(array, scene.grid, "MR"),
        lesion=Mask(array=mask, grid=scene.grid, labels=(label,), name="lesion"),
        diameter_mm=_diameter_mm(mask, spec.pixel_mm),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
    )


@lru_cache(maxsize=1)
def _textures() -> Textures:
    """Textures that all patients share; each looks at a place of its own."""
    return make_textures(np.random.default_rng(20260601))


def _build(spec: FemurMrSpec) -> _Scene:
    generator = np.random.default_rng([spec.seed, 71])
    thigh = make_thigh(spec, _textures(), generator)
    lesion = None if spec.lesion is None else place_lesion(spec.lesion, thigh, generator)
    x, y, z = _HEALTHY_CENTRE_MM if lesion is None else lesion.centre_mm
    side = 1.0 if spec.side == "left" else -1.0
    axes = np.array(_DIRECTIONS[spec.plane], np.float64)
    steps = np.array([spec.slice_mm + spec.gap_mm, spec.pixel_mm, spec.pixel_mm])
    shape = (spec.slices, *spec.size)
    middle = np.array([side * x, y, z]) + np.asarray(spec.off_centre_mm) @ axes
    origin = middle - (steps * (np.array(shape) - 1) / 2) @ axes
    grid = Grid.from_axes(
        shape=shape, spacing_mm=[float(v) for v in steps], directions=axes, origin_lps_mm=[float(v) for v in origin]
    )
    turn = generator.uniform(0, 2 * np.pi)
    coil = np.array([110 * np.cos(turn), 110 * np.sin(turn), z + generator.uniform(-70, 70)], np.float32)
    return _Scene(spec, grid, thigh, lesion, coil)


def _points(scene: _Scene, index: float, finer: int) -> Points:
    """The places of a plane, ``finer`` along each pixel."""
    spec = scene.spec
    rows, columns = ((np.arange(side * finer) + 0.5) / finer - 0.5 for side in spec.size)
    axes, steps = scene.grid.directions, scene.grid.spacing_mm
    start = scene.grid.to_lps_mm([index, 0, 0])
    side = 1.0 if spec.side == "left" else -1.0
    places = [
        np.asarray(
            start[k] + (rows * steps[1] * axes[1, k])[:, None] + (columns * steps[2] * axes[2, k])[None, :], np.float32
        )
        for k in range(3)
    ]
    return Points(np.float32(side) * places[0], places[1], places[2])


def _draw(scene: _Scene, points: Points) -> tuple[Matter, NDArray[np.bool_]]:
    matter = draw_thigh(scene.thigh, points)
    if scene.lesion is None:
        return matter, np.zeros(points.x.shape, np.bool_)
    return matter, draw_lesion(scene.lesion, matter, points)


def _truth(scene: _Scene, index: int) -> NDArray[np.uint8]:
    """Which voxels' middles lie in the lesion."""
    return _draw(scene, _points(scene, float(index), 1))[1].astype(np.uint8)


def _slice(scene: _Scene, index: int) -> NDArray[np.float32]:
    """One slice as the scanner stores it."""
    spec = scene.spec
    sequence = SEQUENCES[spec.sequence]
    share = spec.slice_mm / (spec.slice_mm + spec.gap_mm)
    total = np.zeros((spec.size[0] * _FINER, spec.size[1] * _FINER), np.float32)
    for depth in range(_DEPTHS):
        points = _points(scene, index + ((depth + 0.5) / _DEPTHS - 0.5) * share, _FINER)
        matter, _ = _draw(scene, points)
        seen = signal(matter, sequence, field_tesla=spec.field_tesla, contrast_mmol=spec.contrast_mmol)
        total += seen * _coil(scene, points) / np.float32(_DEPTHS)
    image = _acquired(total, spec.size)
    generator = np.random.default_rng([spec.seed, 72, index])
    noise = generator.normal(0, spec.noise * _reference(spec), (2, *spec.size))
    magnitude = np.hypot(image.real + noise[0], image.imag + noise[1])
    return np.asarray(np.rint(np.clip(magnitude * (_BRIGHTEST / _reference(spec)), 0, 4095)), np.float32)


def _reference(spec: FemurMrSpec) -> float:
    """Signal of the brightest ordinary tissue of the sequence: what a scanner scales to."""
    brightest = [
        float(
            signal(
                Matter.of((1,), name),
                SEQUENCES[spec.sequence],
                field_tesla=spec.field_tesla,
                contrast_mmol=spec.contrast_mmol,
            )[0]
        )
        for name in ("fat", "muscle", "oedema", "solid tumour")
    ]
    return max(brightest)


def _coil(scene: _Scene, points: Points) -> NDArray[np.float32]:
    """How well the coil sees a place, about 1 in the middle of the thigh."""
    strength = scene.spec.shading
    if strength <= 0:
        return np.ones(points.x.shape, np.float32)
    x, y, z = scene.coil_mm
    near = np.sqrt((points.x - x) ** 2 + (points.y - y) ** 2 + (points.z - z) ** 2)
    uneven = (115 / (40 + near)) ** np.float32(1.6 * strength)
    ends = np.exp(-((points.z - z) ** 2) / np.float32(2 * (150 / (0.3 + strength)) ** 2))
    return np.asarray(np.clip(uneven * (0.25 + 0.75 * ends) / 0.85, 0, 4), np.float32)


def _acquired(fine: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.complex128]:
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
    from scipy.spatial.distance import pdist

    largest = 0.0
    for plane in mask:
        edge = plane.astype(bool)
        inner = edge.copy()
        inner[1:-1, 1:-1] = edge[:-2, 1:-1] & edge[2:, 1:-1] & edge[1:-1, :-2] & edge[1:-1, 2:] & edge[1:-1, 1:-1]
        inner[[0, -1]] = inner[:, [0, -1]] = False
        places = np.argwhere(edge & ~inner)
        if len(places):
            apart = float(pdist(places).max()) if len(places) > 1 else 0.0
            largest = max(largest, (apart + 1) * pixel_mm)
    return largest
