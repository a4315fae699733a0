"""A CT of the trunk of a patient who does not exist, with exact masks of bone and metastases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Label, Mask, Patient, Volume
from osteon.geometry import Grid
from osteon.labels import concept
from osteon_phantoms.leg import fictitious_patient, position_axes
from osteon_phantoms.limb import Canvas, Plane
from osteon_phantoms.scanner import add_noise, hardening_error, reconstruct
from osteon_phantoms.table import Table
from osteon_phantoms.texture import Textures, make_textures
from osteon_phantoms.trunk_brush import Brush
from osteon_phantoms.trunk_findings import Findings, MimicTruth, draw_findings, place_findings
from osteon_phantoms.trunk_flesh import BACK_V_MM, Organs, draw_flesh, make_organs
from osteon_phantoms.trunk_shapes import Block
from osteon_phantoms.trunk_skeleton import STRUCTURES, Skeleton, make_skeleton
from osteon_phantoms.trunk_tissue import draw_bones, draw_soft_joints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.trunk_spec import TrunkLesionSpec, TrunkSpec

__all__ = ["TRUNK_LOOK", "TrunkLesionTruth", "TrunkPhantom", "make_trunk"]

TRUNK_LOOK: Final = 3
"""Raised when the same spec gives other voxels than before."""

_THIN_MM: Final = 3.0
"""Slices up to this are drawn at their middle, and their neighbours are mixed in; thicker ones are the mean of three
planes."""

_BLOCK_VOXELS: Final = 2_500_000
_HARDENING_STEP_MM: Final = 9.0
"""Beam hardening of bone hardly changes over this."""


@dataclass(frozen=True, slots=True)
class TrunkLesionTruth:
    """Where a metastasis really is.

    Attributes:
        spec: what was asked.
        number: its value in the lesion map.
        structure: kind of bone, a key of ``STRUCTURES``.
        volume_ml: from voxels; 0 when the field misses it.
        diameter_mm: its largest, between voxel centres plus a voxel; 0 when the field misses it.
        centre_lps_mm: of gravity, or None.
        slices: first and one past the last slice.
    """

    spec: TrunkLesionSpec
    number: int
    structure: str
    volume_ml: float
    diameter_mm: float
    centre_lps_mm: tuple[float, float, float] | None
    slices: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TrunkPhantom:
    """A synthetic CT and everything that is true about it.

    Attributes:
        spec: what was asked.
        volume: int16 HU on an upright grid.
        structures: bone by structure (``STRUCTURES``), marrow included; lesions belong to their bone.
        lesions: 1, 2, ... a metastasis; inside the bone.
        truth: of the lesions, in the order of the spec.
        mimics: of the look-alikes, in the order of the spec.
        patient: fictitious.
    """

    spec: TrunkSpec
    volume: Volume
    structures: Mask
    lesions: Mask
    truth: tuple[TrunkLesionTruth, ...]
    mimics: tuple[MimicTruth, ...]
    patient: Patient

    @property
    def bone(self) -> Mask:
        """All bone as label 1."""
        label = Label(
            value=1, name="bone", category=concept("anatomical_structure"), kind=concept("bone"), colour=(230, 220, 190)
        )
        array = (self.structures.array > 0).astype(np.uint8)
        return Mask(array=array, grid=self.volume.grid, labels=(label,), name="bone")


@dataclass(frozen=True, slots=True)
class _Scene:
    spec: TrunkSpec
    grid: Grid
    skeleton: Skeleton
    organs: Organs
    findings: Findings
    textures: Textures = field(repr=False)
    table: Table | None
    shift_mm: float


def make_trunk(spec: TrunkSpec, *, threads: int = 2) -> TrunkPhantom:
    """Make a CT of the trunk.

    Args:
        spec: all choices; the same spec gives the same voxels on any number of threads.
        threads: blocks of slices drawn at a time.

    Raises:
        InputError: a finding in a bone that is not there, or a mimic where it cannot be.

    Example:
        >>> from osteon_phantoms import TrunkLesionSpec, TrunkSpec, make_trunk
        >>> spec = TrunkSpec(coverage="abdomen", length_mm=30, size=(64, 64), pixel_mm=6.0, slice_mm=5.0)
        >>> make_trunk(spec).volume.grid.shape
        (6, 64, 64)
    """
    scene = _build(spec)
    shape = scene.grid.shape
    hu = np.empty(shape, dtype=np.int16)
    owner = np.zeros(shape, dtype=np.uint8)
    lesion = np.zeros(shape, dtype=np.uint8)
    step = max(1, _BLOCK_VOXELS // (shape[1] * shape[2] * _samples(spec)))
    starts = list(range(0, shape[0], step))

    def draw(start: int) -> None:
        part = slice(start, min(start + step, shape[0]))
        hu[part], owner[part], lesion[part] = _draw_block(scene, part)

    with ThreadPoolExecutor(max_workers=max(threads, 1)) as pool:
        list(pool.map(draw, starts))
    return TrunkPhantom(
        spec=spec,
        volume=Volume(array=hu, grid=scene.grid, modality="CT", unit="HU"),
        structures=_structure_mask(scene, owner),
        lesions=_lesion_mask(scene, lesion),
        truth=_truths(scene, lesion),
        mimics=tuple(mimic.truth(lambda point: _to_lps(spec, point)) for mimic in scene.findings.mimics),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
    )


def _build(spec: TrunkSpec) -> _Scene:
    generator = np.random.default_rng([spec.seed, 17])
    textures = _textures(spec.seed)
    skeleton = make_skeleton(spec)
    organs = make_organs(spec, generator)
    shift = float(generator.uniform(0, 400))
    facing = 1.0 if spec.patient_position.endswith("S") else -1.0
    table = None
    if spec.table != "none":
        surface = -BACK_V_MM * facing * spec.scale
        table = Table(shape=spec.table, surface_y_lps_mm=surface, facing=facing, textures=textures)
    return _Scene(
        spec=spec,
        grid=_grid(spec),
        skeleton=skeleton,
        organs=organs,
        findings=place_findings(spec, skeleton),
        textures=textures,
        table=table,
        shift_mm=shift,
    )


@lru_cache(maxsize=1)
def _textures(seed: int) -> Textures:
    """Of one patient; kept for the next scan of the same one, as they take half a second."""
    return make_textures(np.random.default_rng([seed, 18]))


def _grid(spec: TrunkSpec) -> Grid:
    shape = (spec.slices, *spec.size)
    spacing = (spec.slice_mm, spec.pixel_mm, spec.pixel_mm)
    axes = position_axes(spec.patient_position)
    low, high = spec.w_range_mm
    middle = np.array([0.0, 0.0, (low + high) / 2 * spec.scale])
    half = (np.asarray(shape) - 1) / 2 * np.asarray(spacing)
    return Grid.from_axes(
        shape=shape, spacing_mm=spacing, directions=axes, origin_lps_mm=tuple(np.round(middle - half @ axes, 3))
    )


def _to_lps(spec: TrunkSpec, point: tuple[float, float, float]) -> tuple[float, float, float]:
    u, v, w = point
    return u * spec.scale, -v * spec.scale, w * spec.scale


def _samples(spec: TrunkSpec) -> int:
    return 1 if (spec.thickness_mm or spec.slice_mm) <= _THIN_MM else 3


def _draw_block(scene: _Scene, part: slice) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """HU as scanned, number of the bone, number of the lesion."""
    spec, grid = scene.spec, scene.grid
    samples = _samples(spec)
    brush = _brush(scene, part, samples)
    count, rows, columns = part.stop - part.start, *grid.shape[1:]
    if scene.table is not None:
        _draw_table(scene, brush)
    draw_flesh(brush, spec, scene.organs)
    draw_soft_joints(brush, spec, scene.skeleton, scene.findings.gas)
    draw_bones(brush, spec, scene.skeleton)
    draw_findings(brush, spec, scene.skeleton, scene.findings)
    if samples > 1:
        hu = brush.hu.reshape(count, samples, rows, columns).mean(axis=1, dtype=np.float32)
        middle = slice(samples // 2, None, samples)
    else:
        # a slice of thickness t averages what lies within t; between its middle and the next it is linear
        share = np.float32(min((spec.thickness_mm or spec.slice_mm) / spec.slice_mm, 1.5) / 8)
        hu = (1 - 2 * share) * brush.hu[1:-1] + share * (brush.hu[:-2] + brush.hu[2:])
        middle = slice(1, -1)
    return _scan(scene, hu, part), brush.owner[middle], brush.lesion[middle]


def _brush(scene: _Scene, part: slice, samples: int) -> Brush:
    spec, grid = scene.spec, scene.grid
    scale = spec.scale
    thickness = (spec.thickness_mm or spec.slice_mm) / spec.slice_mm
    offsets = (np.arange(samples) - (samples - 1) / 2) / samples * thickness
    halo = 1 if samples == 1 else 0
    at = (np.arange(part.start - halo, part.stop + halo)[:, None] + offsets).ravel()
    _, rows, columns = grid.shape
    along = grid.to_lps_mm(np.stack([at, 0 * at, 0 * at], axis=1))
    down = grid.to_lps_mm([(0, r, 0) for r in range(rows)])
    across = grid.to_lps_mm([(0, 0, c) for c in range(columns)])
    block = Block(
        u=(across[:, 0] / scale).astype(np.float32),
        v=(-down[:, 1] / scale).astype(np.float32),
        w=(along[:, 2] / scale).astype(np.float32),
    )
    shape = block.shape
    return Brush(
        block=block,
        hu=np.full(shape, -1000, dtype=np.float32),
        owner=np.zeros(shape, dtype=np.uint8),
        lesion=np.zeros(shape, dtype=np.uint8),
        metal=np.zeros(shape, dtype=np.bool_),
        width_mm=spec.pixel_mm / scale,
        textures=scene.textures,
        shift_mm=scene.shift_mm,
    )


def _draw_table(scene: _Scene, brush: Brush) -> None:
    """One plane, as a table is the same at every height."""
    table, spec = scene.table, scene.spec
    if table is None:
        return
    x, y = brush.block.u * np.float32(spec.scale), -brush.block.v * np.float32(spec.scale)
    plane = Plane(x, y, np.zeros(1, dtype=np.float32), spec.pixel_mm)
    canvas = np.full(brush.block.shape[1:], -1000, dtype=np.float32)
    table.draw(Canvas(canvas, None), plane)
    brush.hu[...] = canvas


def _scan(scene: _Scene, hu: NDArray[np.float32], part: slice) -> NDArray[np.int16]:
    """What the scanner makes of each slice."""
    spec = scene.spec
    out = np.empty(hu.shape, dtype=np.int16)
    every = max(1, round(_HARDENING_STEP_MM / spec.slice_mm))
    error: NDArray[np.float32] | None = None
    for k, drawn in enumerate(hu):
        index = part.start + k
        plane = drawn
        has_metal = float(drawn.max()) > 2500
        if has_metal or spec.beam_hardening > 0:
            if has_metal or error is None or index % every == 0:
                error = hardening_error(drawn, pixel_mm=spec.pixel_mm, strength=spec.beam_hardening)
            plane = drawn + error
            error = None if has_metal else error
        out[k] = _one_scan(spec, plane, np.random.default_rng([spec.seed, 7, index]))
    return out


def _one_scan(spec: TrunkSpec, plane: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int16]:
    taken = reconstruct(plane, sharpness=spec.kernel_sharpness, pixel_mm=(spec.pixel_mm, spec.pixel_mm))
    correlation_px = (0.6 - 0.3 * spec.kernel_sharpness) / spec.pixel_mm + 0.25
    add_noise(taken, sigma_hu=spec.noise_hu, correlation_px=correlation_px, generator=generator)
    if spec.hu_scale != 1 or spec.hu_offset:
        taken = (taken + 1000) * np.float32(spec.hu_scale) + np.float32(spec.hu_offset - 1000)
    return np.rint(np.clip(taken, -1024, 3071)).astype(np.int16)


def _structure_mask(scene: _Scene, owner: NDArray[np.uint8]) -> Mask:
    table = np.zeros(256, dtype=np.uint8)
    for number, bone in enumerate(scene.skeleton.bones, start=1):
        table[number] = STRUCTURES[bone.structure]
    kinds = {"vertebra": "vertebra", "rib": "rib", "hip": "pelvis", "sacrum": "sacrum", "femur": "femur"}
    labels = tuple(
        Label(
            value=value,
            name=name,
            category=concept("anatomical_structure"),
            kind=concept(kinds.get(name, "bone")),
        )
        for name, value in STRUCTURES.items()
    )
    return Mask(array=table[owner], grid=scene.grid, labels=labels, name="structures")


def _lesion_mask(scene: _Scene, lesion: NDArray[np.uint8]) -> Mask:
    labels = tuple(
        Label(
            value=number,
            name=f"metastasis {number}, {asked.type}, {asked.bone}",
            category=concept("morphologically_abnormal"),
            kind=concept("bone_metastasis"),
            colour=(220, 60, 50),
        )
        for number, asked in enumerate(scene.spec.lesions, start=1)
    )
    return Mask(array=lesion, grid=scene.grid, labels=labels, name="lesions")


def _truths(scene: _Scene, lesion: NDArray[np.uint8]) -> tuple[TrunkLesionTruth, ...]:
    from scipy import ndimage

    boxes = ndimage.find_objects(lesion, max_label=max(len(scene.spec.lesions), 1))
    truths = []
    for number, asked in enumerate(scene.spec.lesions, start=1):
        structure = scene.skeleton.bone(asked.bone).structure
        box: tuple[slice, ...] | None = boxes[number - 1]
        if box is None:
            truths.append(TrunkLesionTruth(asked, number, structure, 0.0, 0.0, None, (0, 0)))
            continue
        places = np.argwhere(lesion[box] == number) + [side.start for side in box]
        points = scene.grid.to_lps_mm(places)
        middle = points.mean(axis=0)
        centre = (float(middle[0]), float(middle[1]), float(middle[2]))
        voxel_ml = float(np.prod(scene.grid.spacing_mm)) / 1000
        truths.append(
            TrunkLesionTruth(
                spec=asked,
                number=number,
                structure=structure,
                volume_ml=len(places) * voxel_ml,
                diameter_mm=_diameter(points - middle) + min(scene.grid.spacing_mm),
                centre_lps_mm=centre,
                slices=(box[0].start, box[0].stop),
            )
        )
    return tuple(truths)


def _diameter(points: NDArray[np.float64]) -> float:
    """Largest distance between two of the points, to about half a percent: the widest of 600 directions."""
    k = np.arange(600)
    z = (k + 0.5) / 600
    turn = np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z * z)
    directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), z])
    return max(float(np.ptp(points @ part, axis=0).max()) for part in np.split(directions, 12, axis=1))
