"""An answer of the system ct_metastasis, made by hand, for tests that draw and write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import (
    Answer,
    Finding,
    Label,
    Mask,
    Measurement,
    ModelUse,
    Notice,
    Patient,
    Region,
    Series,
    SliceScores,
    Source,
    Study,
    Surface,
    Volume,
    named,
)
from osteon.geometry import Box, Grid
from osteon.labels import concept
from osteon.mesh import extract_surface
from osteon.ops.lesions import OwnBone
from osteon.systems.ct_metastasis.text import Lesion, LesionReading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.lesions import DensityPattern

_SHAPE: Final = (40, 64, 80)
_SPACING_MM: Final = (2.5, 2.0, 2.0)
_OWN: Final = OwnBone(median_hu=160.0, spread_hu=40.0, pixels=4000, lytic_below_hu=100.0, blastic_above_hu=260.0)
_COLOURS: Final = ((214, 39, 40), (255, 127, 14), (148, 103, 189))
_DENSITY_PATTERNS: Final[tuple[DensityPattern, ...]] = ("lytic", "blastic", "not determined")
_CODES: Final = {"lytic": "lytic", "blastic": "blastic", "not determined": "density_pattern_not_determined"}
_BALLS: Final = (((12, 26, 40), 12.0, 30), ((26, 25, 38), 8.0, 700), ((38, 30, 43), 5.0, 180))
"""Centre (slice, row, column), radius in mm, HU."""


def make_case() -> tuple[Answer, Volume]:
    """The answer and the volume it is about."""
    grid = Grid.from_axes(shape=_SHAPE, spacing_mm=_SPACING_MM, origin_lps_mm=(-79.0, -63.0, -400.0))
    array, bone, lesions = _images()
    series = Series(uid="1.2.3.4", modality="CT", description="TRUNK")
    source = Source("nifti", Path("trunk.nii.gz"), Patient(), Study(uid="1.2.3"), series)
    volume = Volume(array, grid, modality="CT", unit="HU", source=source)
    told = tuple(_lesion(value, array, lesions) for value in (1, 2, 3))
    masks = (
        Mask(bone.astype(np.uint8), grid, (_label(0, "Bone", "bone"),), name="bone"),
        Mask(lesions, grid, tuple(_label(n, f"Lesion {n}", "neoplasm_secondary") for n in (1, 2, 3)), name="lesions"),
    )
    answer = Answer(
        task="ct_metastasis",
        headline="3 suspected bone metastases (1 sclerotic, 1 lytic, 1 indeterminate), largest diameter 24 mm.",
        findings=(*(_finding(one, lesions) for one in told), _bone_finding(bone, grid)),
        regions=(Region("skeleton", Box((0, 15, 29), (40, 38, 52)), np.ones(40, dtype=bool)),),
        masks=named(masks),
        surfaces=named(_surfaces(bone, lesions, grid)),
        models=(
            ModelUse(
                "hybrid_attunetpp_small.phantom", "1.0.0", "ab" * 32, "openvino float32", "cpu", True, "Phantoms."
            ),
            ModelUse("mobilenet_v2.trunk_phantom", "1.0.0", "cd" * 32, "openvino float32", "cpu", True, "Phantoms."),
        ),
        notices=(Notice("metal", "Metal is in slices 37 to 40: lesion 3 may be an artefact.", level="warning"),),
        configuration={"threshold": 0.5},
        seconds={"segment": 1.0},
        detail=LesionReading((_scores(lesions),), lesions=told, reference_bone=_OWN),
    )
    return answer, volume


def _images() -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.uint8]]:
    """HU, bone and lesions: a column of bone in a body, three balls in it."""
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(_SHAPE, _SPACING_MM, strict=True)), indexing="ij")
    array = np.full(_SHAPE, -1000, dtype=np.int16)
    array[((y - 64) / 50) ** 2 + ((x - 80) / 70) ** 2 < 1] = 40
    off_axis = np.hypot(y - 52, x - 80)
    bone = off_axis < 22
    array[bone] = np.where(off_axis[bone] > 19, 500, 160)
    lesions = np.zeros(_SHAPE, dtype=np.uint8)
    for value, (centre, radius, hu) in enumerate(_BALLS, start=1):
        a, b, c = (at * mm for at, mm in zip(centre, _SPACING_MM, strict=True))
        inside = bone & ((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < radius**2)
        array[inside], lesions[inside] = hu, value
    return array, bone, lesions


def _box(value: int, lesions: NDArray[np.uint8]) -> Box:
    places = np.argwhere(lesions == value)
    start, stop = places.min(axis=0), places.max(axis=0) + 1
    return Box((int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2])))


def _lesion(value: int, array: NDArray[np.int16], lesions: NDArray[np.uint8]) -> Lesion:
    inside = array[lesions == value].astype(np.float64)
    box = _box(value, lesions)
    diameter = 2 * _BALLS[value - 1][1]
    return Lesion(
        identifier=f"lesion-{value}",
        volume_ml=inside.size * float(np.prod(_SPACING_MM)) / 1000,
        diameter_mm=diameter,
        axial_diameter_mm=diameter - 1,
        mean_hu=float(inside.mean()),
        sd_hu=float(inside.std()),
        probability=(0.93, 0.81, 0.56)[value - 1],
        peak_probability=(0.99, 0.95, 0.6)[value - 1],
        density_pattern=_DENSITY_PATTERNS[value - 1],
        density_pattern_reason=(
            "92 % of it are below 100 HU, 0 % above 260 HU.",
            "0 % of it are below 100 HU, 95 % above 260 HU.",
            "It has the HU of the patient's reference bone.",
        )[value - 1],
        lytic_share=(0.92, 0.0, 0.05)[value - 1],
        blastic_share=(0.0, 0.95, 0.04)[value - 1],
        site=("vertebra", "not determined", "not determined")[value - 1],
        site_reason=("It is in front of a spinal canal.", *("No spinal canal, lung or pelvis proves it.",) * 2)[
            value - 1
        ],
        slices=(box.start[0], box.stop[0]),
        key_slice=_BALLS[value - 1][0][0],
        near_metal=value == 3,
        is_cut=value == 3,
    )


def _finding(one: Lesion, lesions: NDArray[np.uint8]) -> Finding:
    value = int(one.identifier.removeprefix("lesion-"))
    number = (
        Measurement(concept("volume"), one.volume_ml, concept("unit_cm3"), method=concept("volume_of_voxels")),
        Measurement(concept("largest_diameter"), one.diameter_mm, concept("unit_mm")),
        Measurement(concept("axial_diameter"), one.axial_diameter_mm, concept("unit_mm")),
        Measurement(concept("attenuation"), one.mean_hu, concept("unit_hu"), derivation=concept("mean")),
        Measurement(concept("attenuation"), one.sd_hu, concept("unit_hu"), derivation=concept("standard_deviation")),
        Measurement(concept("lytic_share"), one.lytic_share or 0.0, concept("unit_ratio")),
        Measurement(concept("blastic_share"), one.blastic_share or 0.0, concept("unit_ratio")),
    )
    return Finding(
        identifier=one.identifier,
        tracking_uid=f"2.25.{100 + value}",
        kind=concept("bone_metastasis"),
        statement=f"Lesion {value}: {one.density_pattern}, {one.site}, {one.volume_ml:.1f} ml.",
        site=concept("vertebra") if one.site == "vertebra" else None,
        probability=one.probability,
        box=_box(value, lesions),
        measurements=number,
        segment=("lesions", value),
        qualities=((concept("lesion_density_pattern"), concept(_CODES[one.density_pattern])),),
    )


def _bone_finding(bone: NDArray[np.bool_], grid: Grid) -> Finding:
    millilitres = np.count_nonzero(bone) * grid.voxel_volume_mm3 / 1000
    return Finding(
        identifier="bone",
        tracking_uid="2.25.100",
        kind=concept("bone"),
        statement=f"Bone in the field: {millilitres:.0f} ml.",
        measurements=(
            Measurement(concept("volume"), millilitres, concept("unit_cm3"), method=concept("volume_of_voxels")),
        ),
        segment=("bone", 1),
        is_abnormal=False,
    )


def _label(value: int, name: str, kind: str) -> Label:
    return Label(
        value=max(value, 1),
        name=name,
        category=concept("anatomical_structure" if kind == "bone" else "morphologically_abnormal"),
        kind=concept(kind),
        site=concept("vertebra") if value == 1 else None,
        colour=_COLOURS[value - 1] if value else (230, 220, 190),
        tracking_uid=f"2.25.{100 + value}",
    )


def _scores(lesions: NDArray[np.uint8]) -> SliceScores:
    area = np.count_nonzero(lesions, axis=(1, 2)).astype(np.float32) * 4.0
    by_segmentation = area >= 20
    probability = np.where(by_segmentation, 0.9, 0.1).astype(np.float32)
    probability[:4] = 0.7  # where the two disagree
    starts = np.flatnonzero(np.diff(np.r_[0, probability >= 0.5, 0]))
    return SliceScores(
        region="skeleton",
        slices=np.arange(40, dtype=np.int64),
        probability=probability,
        smoothed=probability,
        threshold=0.5,
        runs=tuple((int(a), int(b)) for a, b in zip(starts[::2], starts[1::2], strict=True)),
        by_segmentation=by_segmentation,
        lesion_area_mm2=area,
    )


def _surfaces(bone: NDArray[np.bool_], lesions: NDArray[np.uint8], grid: Grid) -> tuple[Surface, ...]:
    return (
        extract_surface(bone, grid, name="skeleton"),
        *(extract_surface(lesions == n, grid, name=f"lesion_{n}", colour=(*_COLOURS[n - 1], 255)) for n in (1, 2, 3)),
    )
