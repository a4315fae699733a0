"""A CT of the legs of a patient who does not exist, with exact truth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Mask, Patient, Volume
from osteon.geometry import Box, Grid
from osteon_phantoms.labels import LESION_VALUE, truth_labels
from osteon_phantoms.limb import Canvas, Plane
from osteon_phantoms.scanner import add_noise, hardening_error, reconstruct
from osteon_phantoms.scene import Scene, build_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.spec import LegSpec, LesionSpec

__all__ = ["Acquisition", "LegPhantom", "LesionTruth", "fictitious_patient", "make_leg_ct", "position_axes"]

_THIN_MM: Final = 3.0
"""Slices up to this are drawn at their middle; thicker ones are the mean of three planes."""


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """The slices as a scanner would store them, which with a tilted gantry is no orthogonal grid.

    Attributes:
        array: (slice, row, column) int16 HU.
        positions_lps_mm: (slice, 3) centre of each slice's first pixel.
        row_direction: LPS unit vector in which the column index grows (the first half of Image Orientation).
        column_direction: LPS unit vector in which the row index grows.
        pixel_mm: between rows, between columns.
        step_mm: table feed between slices.
        tilt_degrees: Gantry/Detector Tilt.
    """

    array: NDArray[np.int16] = field(repr=False)
    positions_lps_mm: NDArray[np.float64] = field(repr=False)
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    pixel_mm: tuple[float, float]
    step_mm: float
    tilt_degrees: float = 0.0


@dataclass(frozen=True, slots=True)
class LesionTruth:
    """Where a lesion really is.

    Attributes:
        spec: what was asked.
        label: its value in the truth.
        box: smallest box of voxels that holds it, or None when the field misses it.
        volume_ml: from voxels.
    """

    spec: LesionSpec
    label: int
    box: Box | None
    volume_ml: float

    @property
    def slices(self) -> range:
        """The affected slices of the volume."""
        return range(self.box.start[0], self.box.stop[0]) if self.box is not None else range(0)


@dataclass(frozen=True, slots=True, eq=False)
class LegPhantom:
    """A synthetic CT and everything that is true about it.

    Attributes:
        spec: what was asked.
        volume: int16 HU on an upright grid.
        truth: labels on the same grid; see ``osteon_phantoms.labels``.
        lesions: in the order of ``spec.lesions``.
        patient: fictitious.
        acquisition: the slices as stored; the volume's own unless the gantry is tilted.
    """

    spec: LegSpec
    volume: Volume
    truth: Mask
    lesions: tuple[LesionTruth, ...]
    patient: Patient
    acquisition: Acquisition

    def affected_slices(self, side: str) -> frozenset[int]:
        """Indices of the slices in which a lesion of one leg is."""
        return frozenset(i for lesion in self.lesions if lesion.spec.leg == side for i in lesion.slices)


def make_leg_ct(spec: LegSpec, *, threads: int = 2) -> LegPhantom:
    """Make a CT of the legs.

    Args:
        spec: all choices; the same spec gives the same voxels on any number of threads.
        threads: slices drawn at a time.

    Returns:
        Volume, truth, and the slices as a scanner would store them.

    Example:
        >>> from osteon_phantoms import LegSpec, LesionSpec
        >>> spec = LegSpec(
        ...     shape=(5, 64, 64), spacing_mm=(5.0, 6.4, 6.4), coverage="knee", lesions=(LesionSpec(position=0.0),)
        ... )
        >>> make_leg_ct(spec).volume.grid.shape
        (5, 64, 64)
    """
    scene = build_scene(spec)
    grid = leg_grid(spec, scene)
    array, label = _render(scene, grid, tilt_degrees=0.0, threads=threads, with_truth=True)
    truth = Mask(
        array=label,
        grid=grid,
        labels=truth_labels(
            lesion_sides=tuple(lesion.leg for lesion in spec.lesions),
            infection_sides=tuple(finding.leg for finding in spec.benign if finding.kind == "osteomyelitis"),
        ),
        name="truth",
    )
    stored = array
    if spec.gantry_tilt_degrees:
        stored, _ = _render(scene, grid, tilt_degrees=spec.gantry_tilt_degrees, threads=threads, with_truth=False)
    return LegPhantom(
        spec=spec,
        volume=Volume(array=array, grid=grid, modality="CT", unit="HU"),
        truth=truth,
        lesions=tuple(_measure(truth, lesion, LESION_VALUE + k) for k, lesion in enumerate(spec.lesions)),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
        acquisition=_acquisition(stored, grid, tilt_degrees=spec.gantry_tilt_degrees),
    )


def position_axes(patient_position: str) -> NDArray[np.float64]:
    """(3, 3) LPS directions of (slice, row, column) for a DICOM Patient Position; slices along DICOM's normal."""
    column, row = {
        "HFS": ((1, 0, 0), (0, 1, 0)),
        "HFP": ((-1, 0, 0), (0, -1, 0)),
        "FFS": ((-1, 0, 0), (0, 1, 0)),
        "FFP": ((1, 0, 0), (0, -1, 0)),
    }[patient_position]
    return np.array([np.cross(column, row), row, column], dtype=np.float64)


def leg_grid(spec: LegSpec, scene: Scene) -> Grid:
    """The upright grid of a spec: the middle of the field at the height that the coverage names."""
    axes = position_axes(spec.patient_position)
    centre = (np.asarray(spec.shape) - 1) / 2 * np.asarray(spec.spacing_mm)
    middle = np.array([scene.middle_x_lps_mm, 0.0, scene.middle_z_lps_mm])
    return Grid.from_axes(
        shape=spec.shape,
        spacing_mm=spec.spacing_mm,
        directions=axes,
        origin_lps_mm=tuple(np.round(middle - centre @ axes, 3)),
    )


def fictitious_patient(*, seed: int, sex: str, age_years: float) -> Patient:
    """A patient who says in every field that nobody is meant."""
    born = 2024 - round(age_years)
    return Patient(
        identifier=f"OSTEON-PHANTOM-{seed:04d}",
        name=f"PHANTOM^SEED {seed:04d}",
        birth_date=f"{born:04d}0101",
        sex=sex,
        age_years=float(age_years),
    )


def _render(
    scene: Scene,
    grid: Grid,
    *,
    tilt_degrees: float,
    threads: int,
    with_truth: bool,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    array = np.empty(grid.shape, dtype=np.int16)
    label = np.zeros(grid.shape if with_truth else (1, 1, 1), dtype=np.uint8)
    seeds = np.random.SeedSequence([scene.spec.seed, 7]).spawn(grid.shape[0])

    def draw(index: int) -> None:
        truth = label[index] if with_truth else None
        hu = _draw_slice(scene, grid, index, tilt_degrees=tilt_degrees, truth=truth)
        array[index] = _scan(scene.spec, hu, np.random.default_rng(seeds[index]))

    with ThreadPoolExecutor(max_workers=max(threads, 1)) as pool:
        list(pool.map(draw, range(grid.shape[0])))
    return array, label


def _draw_slice(
    scene: Scene,
    grid: Grid,
    index: int,
    *,
    tilt_degrees: float,
    truth: NDArray[np.uint8] | None,
) -> NDArray[np.float32]:
    """HU of one slice before the scanner's faults, averaged over its thickness; the truth is that of its middle."""
    step_mm = grid.spacing_mm[0]
    thickness_mm = scene.spec.slice_thickness_mm or step_mm
    samples = 1 if thickness_mm <= _THIN_MM else 3
    total = np.zeros(grid.shape[1:], dtype=np.float32)
    for sample in range(samples):
        offset = (sample - (samples - 1) / 2) / samples * (thickness_mm / step_mm)
        plane = _plane(grid, index + offset, tilt_degrees=tilt_degrees)
        hu = np.full(grid.shape[1:], -1000, dtype=np.float32)
        middle = sample == samples // 2
        scene.draw(Canvas(hu, truth if middle else None), plane)
        total += hu
    hu = np.asarray(total / np.float32(samples), dtype=np.float32)
    jerk_px = scene.jerk_mm(index) / grid.spacing_mm[2]
    return _double(hu, jerk_px) if jerk_px else hu


def _plane(grid: Grid, index: float, *, tilt_degrees: float) -> Plane:
    """The pixels of slice ``index``; a tilt turns the plane about the line through its middle across the patient."""
    _, rows, columns = grid.shape
    column_line = grid.to_lps_mm([(index, 0, c) for c in (0, columns - 1)])
    middle = (rows - 1) / 2
    centre = grid.to_lps_mm([index, middle, 0])
    along = (np.arange(rows) - middle) * grid.spacing_mm[1]
    direction = _tilted(grid.directions[1], tilt_degrees)
    line = centre[None] + along[:, None] * direction[None]
    return Plane(
        x_lps_mm=np.linspace(column_line[0, 0], column_line[1, 0], columns, dtype=np.float32),
        y_lps_mm=line[:, 1].astype(np.float32),
        z_lps_mm=line[:, 2].astype(np.float32),
        pixel_mm=max(grid.spacing_mm[1:]),
    )


def _tilted(row_axis: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """The direction in which rows follow each other after the gantry leans."""
    turn = np.deg2rad(degrees)
    return np.asarray(row_axis * np.cos(turn) + np.array([0.0, 0.0, 1.0]) * np.sin(turn))


def _acquisition(array: NDArray[np.int16], grid: Grid, *, tilt_degrees: float) -> Acquisition:
    slices, rows, _ = grid.shape
    column_direction = _tilted(grid.directions[1], tilt_degrees)
    middle = (rows - 1) / 2
    centres = grid.to_lps_mm([(k, middle, 0) for k in range(slices)])
    first = centres - middle * grid.spacing_mm[1] * column_direction
    x, y, z = (float(v) for v in grid.directions[2])
    a, b, c = (float(v) for v in column_direction)
    return Acquisition(
        array=array,
        positions_lps_mm=first,
        row_direction=(x, y, z),
        column_direction=(a, b, c),
        pixel_mm=(grid.spacing_mm[1], grid.spacing_mm[2]),
        step_mm=grid.spacing_mm[0],
        tilt_degrees=tilt_degrees,
    )


def _double(hu: NDArray[np.float32], shift_px: float) -> NDArray[np.float32]:
    """Two half-weighted copies, a jerk apart: what a leg that moved during the turn looks like."""
    whole = round(abs(shift_px))
    first, second = whole // 2, whole - whole // 2
    return np.asarray((np.roll(hu, first, axis=1) + np.roll(hu, -second, axis=1)) / 2, dtype=np.float32)


def _scan(spec: LegSpec, hu: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int16]:
    _, row_mm, column_mm = spec.spacing_mm
    if spec.beam_hardening > 0 or float(hu.max()) > 2500:
        hu = hu + hardening_error(hu, pixel_mm=max(row_mm, column_mm), strength=spec.beam_hardening)
    hu = reconstruct(hu, sharpness=spec.kernel_sharpness, pixel_mm=(row_mm, column_mm))
    correlation_px = (0.6 - 0.3 * spec.kernel_sharpness) / column_mm + 0.25
    add_noise(hu, sigma_hu=spec.noise_hu, correlation_px=correlation_px, generator=generator)
    if spec.hu_scale != 1 or spec.hu_offset:
        hu = (hu + 1000) * np.float32(spec.hu_scale) + np.float32(spec.hu_offset - 1000)
    return np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)


def _measure(truth: Mask, spec: LesionSpec, value: int) -> LesionTruth:
    found = truth.of(value)
    spans = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero(found.any(axis=others))
        if not len(hits):
            return LesionTruth(spec=spec, label=value, box=None, volume_ml=0.0)
        spans.append((int(hits[0]), int(hits[-1]) + 1))
    (a, b), (c, d), (e, f) = spans
    volume_ml = float(np.count_nonzero(found)) * truth.grid.voxel_volume_mm3 / 1000
    return LesionTruth(spec=spec, label=value, box=Box((a, c, e), (b, d, f)), volume_ml=volume_ml)
