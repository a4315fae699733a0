"""A CT of the trunk of a patient who does not exist, with exact masks of bone and metastases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Mask, Volume
from osteon_phantoms.block_shapes import Block
from osteon_phantoms.ct import upright_grid
from osteon_phantoms.labels import STRUCTURES, lesion_labels, structure_labels
from osteon_phantoms.paint import Canvas, Plane, Rasterizer, ScannerTable
from osteon_phantoms.phantom import Finding, Phantom, fictitious_patient, measured
from osteon_phantoms.scanner import hardening_error, scan
from osteon_phantoms.spec import uniform
from osteon_phantoms.texture import Textures, make_textures
from osteon_phantoms.trunk.findings import Findings, draw_bones, draw_findings, place_findings
from osteon_phantoms.trunk.skeleton import Skeleton, make_skeleton
from osteon_phantoms.trunk.soft_tissue import BACK_V_MM, Organs, draw_soft_tissue, make_organs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.trunk.spec import TrunkSpec

__all__ = ["make_trunk"]

_THIN_MM: Final = 3.0
"""Slices up to this are drawn at their middle, and their neighbours are mixed in; thicker ones are the mean of three
planes."""

_BLOCK_VOXELS: Final = 2_500_000
_HARDENING_STEP_MM: Final = 9.0
"""Beam hardening of bone hardly changes over this."""


@dataclass(frozen=True, slots=True)
class _Scene:
    spec: TrunkSpec
    grid: Grid
    skeleton: Skeleton
    organs: Organs
    findings: Findings
    textures: Textures = field(repr=False)
    shift_mm: float


def make_trunk(spec: TrunkSpec, *, threads: int = 2) -> Phantom[TrunkSpec]:
    """Make a CT of the trunk.

    Args:
        spec: all choices; the same spec gives the same voxels on any number of threads.
        threads: blocks of slices drawn at a time.

    Returns:
        Volume on an upright grid and two masks: "structures" (bone by ``labels.STRUCTURES``, marrow and lesions
        included) and "lesions" (1, 2, ... a metastasis, inside the bone).

    Raises:
        InputError: a finding in a bone that is not there, or a mimic where it cannot be.

    Example:
        >>> from osteon_phantoms import TrunkSpec, make_trunk
        >>> spec = TrunkSpec(coverage="abdomen", length_mm=30, size=(64, 64), pixel_mm=6.0, slice_mm=5.0)
        >>> make_trunk(spec).volume.grid.shape
        (6, 64, 64)
    """
    scene = _build(spec)
    shape = scene.grid.shape
    hu = np.empty(shape, dtype=np.int16)
    owner, lesion = (np.zeros(shape, dtype=np.uint8) for _ in range(2))
    step = max(1, _BLOCK_VOXELS // (shape[1] * shape[2] * _samples(spec)))

    def draw(start: int) -> None:
        part = slice(start, min(start + step, shape[0]))
        hu[part], owner[part], lesion[part] = _draw_block(scene, part)

    with ThreadPoolExecutor(max_workers=max(threads, 1)) as pool:
        list(pool.map(draw, range(0, shape[0], step)))
    values = np.zeros(256, dtype=np.uint8)
    bones = scene.skeleton.bones
    values[1 : len(bones) + 1] = [STRUCTURES[bone.structure] for bone in bones]
    names = tuple(f"metastasis {k}, {asked.type}, {asked.bone}" for k, asked in enumerate(spec.lesions, start=1))
    lesions = Mask(array=lesion, grid=scene.grid, labels=lesion_labels(names, "bone_metastasis"), name="lesions")
    return Phantom(
        spec=spec,
        volume=Volume(array=hu, grid=scene.grid, modality="CT", unit="HU"),
        masks={
            "lesions": lesions,
            "structures": Mask(array=values[owner], grid=scene.grid, labels=structure_labels(), name="structures"),
        },
        lesions=measured(lesions, [(one.number, one.spec, one.bone.structure) for one in scene.findings.lesions]),
        mimics=tuple(
            Finding(one.spec, 0, one.bone.structure, centre_lps_mm=_to_lps(spec, one.centre))
            for one in scene.findings.mimics
        ),
        patient=fictitious_patient(seed=spec.seed, sex=spec.sex, age_years=spec.age_years),
    )


def _build(spec: TrunkSpec) -> _Scene:
    generator = np.random.default_rng([spec.seed, 17])
    skeleton = make_skeleton(spec)
    organs = make_organs(spec, generator)
    spacing = (spec.slice_mm, spec.pixel_mm, spec.pixel_mm)
    middle = (0.0, 0.0, sum(spec.w_range_mm) / 2 * spec.scale)
    return _Scene(
        spec=spec,
        grid=upright_grid((spec.slices, *spec.size), spacing, spec.patient_position, middle),
        skeleton=skeleton,
        organs=organs,
        findings=place_findings(spec, skeleton),
        textures=_textures(spec.seed),
        shift_mm=uniform(generator, 0, 400),
    )


@lru_cache(maxsize=1)
def _textures(seed: int) -> Textures:
    """Of one patient; kept for the next scan of the same one, as they take half a second."""
    return make_textures(np.random.default_rng([seed, 18]))


def _to_lps(spec: TrunkSpec, point: tuple[float, float, float]) -> tuple[float, float, float]:
    u, v, w = point
    return u * spec.scale, -v * spec.scale, w * spec.scale


def _samples(spec: TrunkSpec) -> int:
    return 1 if (spec.thickness_mm or spec.slice_mm) <= _THIN_MM else 3


def _draw_block(scene: _Scene, part: slice) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """HU as scanned, number of the bone, number of the lesion."""
    spec, (_, rows, columns) = scene.spec, scene.grid.shape
    samples = _samples(spec)
    raster = _rasterizer(scene, part, samples)
    draw_soft_tissue(raster, spec, scene.organs)
    draw_bones(raster, spec, scene.skeleton, scene.findings)
    draw_findings(raster, spec, scene.skeleton, scene.findings)
    if samples > 1:
        hu = raster.hu.reshape(part.stop - part.start, samples, rows, columns).mean(axis=1, dtype=np.float32)
        middle = slice(samples // 2, None, samples)
    else:
        # a slice of thickness t averages what is within t; between its middle and the next it is linear
        share = np.float32(min((spec.thickness_mm or spec.slice_mm) / spec.slice_mm, 1.5) / 8)
        hu = (1 - 2 * share) * raster.hu[1:-1] + share * (raster.hu[:-2] + raster.hu[2:])
        middle = slice(1, -1)
    return _scan(spec, hu, part.start), raster.owner[middle], raster.lesion[middle]


def _rasterizer(scene: _Scene, part: slice, samples: int) -> Rasterizer:
    """An empty block of slices with the scanner table in it."""
    spec, grid, scale = scene.spec, scene.grid, scene.spec.scale
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
    hu = np.full(block.shape, -1000, dtype=np.float32)
    if spec.table != "none":  # a table is the same at every height
        facing = 1.0 if spec.patient_position.endswith("S") else -1.0
        x, y = block.u * np.float32(scale), -block.v * np.float32(scale)
        plane = Plane(x, y, np.zeros(1, dtype=np.float32), spec.pixel_mm)
        first = np.full(block.shape[1:], -1000, dtype=np.float32)
        ScannerTable(spec.table, -BACK_V_MM * facing * scale, facing).draw(Canvas(first, None, spec.pixel_mm), plane)
        hu[...] = first
    owner, lesion = (np.zeros(block.shape, dtype=np.uint8) for _ in range(2))
    return Rasterizer(block, hu, owner, lesion, spec.pixel_mm / scale, scene.textures, scene.shift_mm)


def _scan(spec: TrunkSpec, hu: F32, start: int) -> NDArray[np.int16]:
    """What the scanner makes of each slice."""
    out = np.empty(hu.shape, dtype=np.int16)
    every = max(1, round(_HARDENING_STEP_MM / spec.slice_mm))
    error: F32 | None = None
    for index, drawn in enumerate(hu, start=start):
        plane = drawn
        has_metal = float(drawn.max()) > 2500
        if has_metal or spec.beam_hardening > 0:
            if has_metal or error is None or index % every == 0:
                error = hardening_error(drawn, pixel_mm=spec.pixel_mm, strength=spec.beam_hardening)
            plane = drawn + error
            error = None if has_metal else error
        generator = np.random.default_rng([spec.seed, 7, index])
        out[index - start] = scan(plane, spec, pixel_mm=(spec.pixel_mm, spec.pixel_mm), generator=generator)
    return out
