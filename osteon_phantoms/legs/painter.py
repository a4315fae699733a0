"""A CT of the legs of a patient who does not exist, with exact truth."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Mask, Volume
from osteon.errors import InputError
from osteon_phantoms.ct import upright_grid
from osteon_phantoms.labels import LESION_VALUE, truth_labels
from osteon_phantoms.legs.anatomy import HIP_W_MM, leg_bones
from osteon_phantoms.legs.findings import place_infection, place_lesion, place_mimic
from osteon_phantoms.legs.limb import Limb
from osteon_phantoms.legs.spec import COVERAGE_CENTRE_W_MM
from osteon_phantoms.paint import Canvas, Plane, ScannerTable
from osteon_phantoms.phantom import Phantom, fictitious_patient, measured
from osteon_phantoms.scanner import hardening_error, scan
from osteon_phantoms.spec import table, uniform
from osteon_phantoms.texture import make_textures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid
    from osteon.io.dicom.write_series import SlicePlanes
    from osteon_phantoms.legs.spec import LegSpec, Side
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.texture import Textures

__all__ = ["Scene", "build_scene", "make_leg_ct"]

_THIN_MM: Final = 3.0
"""Slices up to this are drawn at their middle; thicker ones are the mean of three planes."""

_KNEE_Z_LPS_MM: Final = -640.0
_KNEE_Y_LPS_MM: Final = -5.0
_AMPUTATION_W_MM: Final = 90.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The patient's legs, hands and the table.

    Attributes:
        spec: what was asked.
        limbs: right first.
        table: or None.
        grid: upright; the middle of the field at the height that the coverage names.
        jerk: (first slice, last slice, mm) of a movement, or None.
    """

    spec: LegSpec
    limbs: tuple[Limb, ...]
    table: ScannerTable | None
    grid: Grid
    jerk: tuple[int, int, float] | None

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw one slice in place."""
        if self.table is not None:
            self.table.draw(canvas, plane)
        for limb in self.limbs:
            limb.draw(canvas, plane)
        for limb in self.limbs if self.spec.arms else ():
            limb.draw_arm(canvas, plane)


def make_leg_ct(spec: LegSpec, *, threads: int = 2) -> Phantom[LegSpec]:
    """Make a CT of the legs.

    Args:
        spec: all choices; the same spec gives the same voxels on any number of threads.
        threads: slices drawn at a time.

    Returns:
        Volume, the mask "truth" (see ``osteon_phantoms.labels``), and with a tilted gantry the slices as stored.

    Raises:
        InputError: a finding in a leg that is not in the field.

    Example:
        >>> from osteon_phantoms import LegSpec, LesionSpec
        >>> spec = LegSpec(
        ...     shape=(5, 64, 64), spacing_mm=(5.0, 6.4, 6.4), coverage="knee", lesions=(LesionSpec(position=0.0),)
        ... )
        >>> make_leg_ct(spec).volume.grid.shape
        (5, 64, 64)
    """
    scene = build_scene(spec)
    array, label = _render(scene, tilt_degrees=0.0, threads=threads, with_truth=True)
    labels = truth_labels(
        lesion_sides=tuple(lesion.leg for lesion in spec.lesions),
        infection_sides=tuple(finding.leg for finding in spec.benign if finding.kind == "osteomyelitis"),
    )
    truth = Mask(array=label, grid=scene.grid, labels=labels, name="truth")
    planes = None
    if spec.gantry_tilt_degrees:
        stored, _ = _render(scene, tilt_degrees=spec.gantry_tilt_degrees, threads=threads, with_truth=False)
        planes = _tilted_planes(stored, scene.grid, spec.gantry_tilt_degrees)
    return Phantom(
        spec=spec,
        volume=Volume(array=array, grid=scene.grid, modality="CT", unit="HU"),
        masks={"truth": truth},
        lesions=measured(truth, [(LESION_VALUE + k, lesion, lesion.bone) for k, lesion in enumerate(spec.lesions)]),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
        planes=planes,
    )


def build_scene(spec: LegSpec) -> Scene:
    """Place everything that a spec asks for.

    Raises:
        InputError: a lesion in a leg that is not in the scene.
    """
    for finding in (*spec.lesions, *spec.benign):
        if finding.leg not in spec.sides:
            raise InputError(
                f"a finding in the {finding.leg} leg was asked for, but the legs are: {', '.join(spec.sides)}"
            )
    generator = np.random.default_rng(np.random.SeedSequence([spec.seed, 1]))
    textures = make_textures(generator)
    supine = spec.patient_position.endswith("S")
    rest_v = _rest_v_mm(spec, supine=supine)
    limbs = tuple(_limb(spec, side, textures, generator, rest_v=rest_v) for side in spec.sides)
    below = None
    if spec.table != "none":
        surface_y = limbs[0].knee_lps_mm[1] - rest_v * spec.scale
        below = ScannerTable(shape=spec.table, surface_y_lps_mm=surface_y, facing=1.0 if supine else -1.0)
    middle_x = 0.0 if spec.legs == "both" else limbs[0].knee_lps_mm[0] * 0.8
    middle_z = _KNEE_Z_LPS_MM + COVERAGE_CENTRE_W_MM[spec.coverage] * spec.scale
    jerk = None
    if spec.motion_mm > 0:
        first = int(generator.integers(0, max(spec.shape[0] - 12, 1)))
        jerk = (first, first + max(spec.shape[0] // 20, 3), spec.motion_mm)
    grid = upright_grid(spec.shape, spec.spacing_mm, spec.patient_position, (middle_x, 0.0, middle_z))
    return Scene(spec, limbs, below, grid, jerk)


def _half_field(spec: LegSpec) -> float:
    return spec.shape[0] * spec.spacing_mm[0] / 2 / spec.scale


def _girth(spec: LegSpec) -> float:
    return 1.0 + 0.07 * (spec.body_fat - 1)


def _rest_v_mm(spec: LegSpec, *, supine: bool) -> float:
    """Where the table touches, in reference millimetres in front of the knee's middle.

    The lowest part of the leg in the field sinks a little into the mat; the rest hangs above it.
    """
    if not supine:
        return 72.0 * max(_girth(spec), 1.0)
    half, middle = _half_field(spec), COVERAGE_CENTRE_W_MM[spec.coverage]
    heights = np.arange(max(middle - half, -430), min(middle + half, 560) + 10, 10.0)
    at, back = zip(*table("legs")["back_v_mm"], strict=True)
    backs = np.interp(heights, at, back) * _girth(spec)
    fall = math.tan(math.radians(spec.knee_flexion_degrees)) * np.where(heights > 0, heights, -0.35 * heights)
    return float((backs - fall).min()) + 9.0


def _limb(spec: LegSpec, side: Side, textures: Textures, generator: np.random.Generator, *, rest_v: float) -> Limb:
    scale, girth = spec.scale, _girth(spec)
    apart = (84.0 if not spec.touching else 56.0) * girth * scale + uniform(generator, 0, 4)
    z0 = _KNEE_Z_LPS_MM + uniform(generator, -3, 3)
    reaches_pelvis = COVERAGE_CENTRE_W_MM[spec.coverage] + _half_field(spec) > HIP_W_MM - 80
    bones = leg_bones(with_pelvis=reaches_pelvis)
    by_name = {bone.name: bone for bone in bones}
    lesions = [
        place_lesion(lesion, by_name[lesion.bone], number, scale=scale, generator=generator)
        for number, lesion in enumerate(spec.lesions)
        if lesion.leg == side
    ]
    infected = (finding for finding in spec.benign if finding.kind == "osteomyelitis")
    infections = [
        # own generator: the same patient with and without it differs in nothing else
        place_infection(
            finding,
            by_name[finding.bone],
            number,
            scale=scale,
            generator=np.random.default_rng([spec.seed, 11, number]),
        )
        for number, finding in enumerate(infected)
        if finding.leg == side
    ]
    mimics = [
        place_mimic(finding, by_name[finding.bone], scale=scale)
        for finding in spec.benign
        if finding.leg == side and finding.kind != "osteomyelitis"
    ]
    facing = -1.0 if rest_v < 0 else 1.0
    growing = spec.has_growth_plates
    return Limb(
        side=side,
        bones=bones,
        scale=scale,
        knee_lps_mm=((1.0 if side == "left" else -1.0) * apart, _KNEE_Y_LPS_MM * -facing, z0),
        turn_radians=float(np.deg2rad(generator.uniform(6, 16))),
        lean=uniform(generator, -0.02, 0.02) - (0.09 if spec.touching else 0.0),
        slope=float(np.tan(np.deg2rad(spec.knee_flexion_degrees)) * (1 if rest_v < 0 else 0.3)),
        girth=girth,
        fat=spec.body_fat * (1.15 if spec.sex == "F" else 0.8),
        density=float(np.clip(1.05 - max(spec.age_years - 45, 0) * 0.009 - (0.12 if growing else 0), 0.5, 1.1)),
        rest_v_mm=None if spec.table == "none" else (rest_v, facing),
        textures=textures,
        shift_mm=uniform(generator, 0, 400),
        plates=growing,
        cut_w_mm=_AMPUTATION_W_MM if spec.amputee == side else None,
        stays_on_its_side=spec.touching or reaches_pelvis,
        findings=(*mimics, *infections, *lesions),
        metal=spec.metal if spec.metal_leg == side else None,
    )


def _render(
    scene: Scene, *, tilt_degrees: float, threads: int, with_truth: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    shape = scene.grid.shape
    array = np.empty(shape, dtype=np.int16)
    label = np.zeros(shape if with_truth else (1, 1, 1), dtype=np.uint8)
    seeds = np.random.SeedSequence([scene.spec.seed, 7]).spawn(shape[0])

    def draw(index: int) -> None:
        hu = _draw_slice(scene, index, tilt_degrees=tilt_degrees, truth=label[index] if with_truth else None)
        array[index] = _scan(scene.spec, hu, np.random.default_rng(seeds[index]))

    with ThreadPoolExecutor(max_workers=max(threads, 1)) as pool:
        list(pool.map(draw, range(shape[0])))
    return array, label


def _draw_slice(scene: Scene, index: int, *, tilt_degrees: float, truth: NDArray[np.uint8] | None) -> F32:
    """HU of one slice before the scanner's faults, averaged over its thickness; the truth is that of its middle."""
    step_mm, _, column_mm = scene.grid.spacing_mm
    thickness_mm = scene.spec.slice_thickness_mm or step_mm
    samples = 1 if thickness_mm <= _THIN_MM else 3
    total = np.zeros(scene.grid.shape[1:], dtype=np.float32)
    for sample in range(samples):
        offset = (sample - (samples - 1) / 2) / samples * (thickness_mm / step_mm)
        plane = _plane(scene.grid, index + offset, tilt_degrees=tilt_degrees)
        hu = np.full(scene.grid.shape[1:], -1000, dtype=np.float32)
        scene.draw(Canvas(hu, truth if sample == samples // 2 else None, plane.pixel_mm), plane)
        total += hu
    hu = np.asarray(total / np.float32(samples), dtype=np.float32)
    if scene.jerk is None or not scene.jerk[0] <= index <= scene.jerk[1]:
        return hu
    # two half-weighted copies, a jerk apart: what a leg that moved during the turn looks like
    whole = round(abs(scene.jerk[2] / column_mm))
    first, second = whole // 2, whole - whole // 2
    return np.asarray((np.roll(hu, first, axis=1) + np.roll(hu, -second, axis=1)) / 2, dtype=np.float32)


def _plane(grid: Grid, index: float, *, tilt_degrees: float) -> Plane:
    """The pixels of slice ``index``; a tilt turns the plane about the line through its middle across the patient."""
    _, rows, columns = grid.shape
    column_line = grid.to_lps_mm([(index, 0, c) for c in (0, columns - 1)])
    middle = (rows - 1) / 2
    centre = grid.to_lps_mm([index, middle, 0])
    along = (np.arange(rows) - middle) * grid.spacing_mm[1]
    line = centre[None] + along[:, None] * _tilted(grid.directions[1], tilt_degrees)[None]
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


def _tilted_planes(array: NDArray[np.int16], grid: Grid, tilt_degrees: float) -> SlicePlanes:
    from osteon.io.dicom.write_series import SlicePlanes

    slices, rows, _ = grid.shape
    column_direction = _tilted(grid.directions[1], tilt_degrees)
    middle = (rows - 1) / 2
    centres = grid.to_lps_mm([(k, middle, 0) for k in range(slices)])
    return SlicePlanes(
        array=array,
        positions_lps_mm=centres - middle * grid.spacing_mm[1] * column_direction,
        row_direction=grid.directions[2].tolist(),
        column_direction=column_direction.tolist(),
        pixel_mm=(grid.spacing_mm[1], grid.spacing_mm[2]),
        thickness_mm=grid.spacing_mm[0],
    )


def _scan(spec: LegSpec, hu: F32, generator: np.random.Generator) -> NDArray[np.int16]:
    _, row_mm, column_mm = spec.spacing_mm
    if spec.beam_hardening > 0 or float(hu.max()) > 2500:
        hu = hu + hardening_error(hu, pixel_mm=max(row_mm, column_mm), strength=spec.beam_hardening)
    return scan(hu, spec, pixel_mm=(row_mm, column_mm), generator=generator)
