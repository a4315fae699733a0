"""Many different patients with a trunk, and a study of them from several centres."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import LabelledImage
from osteon_phantoms.ct import CENTRES, SCANNERS
from osteon_phantoms.spec import chance, in_turn, one_of, pick, table, uniform
from osteon_phantoms.study import Person
from osteon_phantoms.trunk.painter import make_trunk
from osteon_phantoms.trunk.skeleton import bone_extents
from osteon_phantoms.trunk.spec import MIMIC_BONES, TrunkLesionSpec, TrunkMimicSpec, TrunkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon_phantoms.study import TrunkStudy
    from osteon_phantoms.trunk.spec import Contrast, LesionType, TrunkCoverage, TrunkMetal

__all__ = ["draw_images", "draw_person", "random_trunk_spec"]

_LESIONS: Final = table("trunk")["lesions"]
"""Of every kind of bone: how often it is hit (the spine most, as in patients: thesis, table 3.2), the largest single
lesion, and those that take most of a bone ("full bone" is 490 of 1622 places of the public set, thesis, table 3.2)."""

_MIMICS: Final = table("trunk")["mimics"]
_TYPES: Final[tuple[LesionType, ...]] = ("lytic", "blastic", "mixed")

_GRIDS: Final = table("trunk")["grids"]
"""Rows and columns, pixel and slice in mm before the scanner's own: tiny for tests, coarse to learn from, fine as a
patient's series."""

_COVERAGES: Final[tuple[TrunkCoverage, ...]] = (
    "abdomen", "pelvis", "thorax", "abdomen", "pelvis", "thorax", "trunk", "abdomen",
)  # fmt: skip
_STEPS: Final = (1.0, 1.0, 0.5, 1.65)
"""Distance of slices against that of the preset, as protocols have it: 1.5 to 5 mm for 3 mm."""

_PATIENT, _ORDER = 3, 4


def random_trunk_spec(
    generator: np.random.Generator, *, with_lesions: bool | None = None, coverage: TrunkCoverage | None = None
) -> TrunkSpec:
    """Draw one patient.

    Args:
        generator: gives every choice, and the seed of the phantom.
        with_lesions: True or False to force it; None draws it (half of the patients).
        coverage: what the scan shows; None draws it.

    Example:
        >>> import numpy as np
        >>> len(random_trunk_spec(np.random.default_rng(0), with_lesions=True).lesions) > 0
        True
    """
    present = chance(generator, 0.5) if with_lesions is None else with_lesions
    names: tuple[TrunkCoverage, ...] = ("thorax", "abdomen", "pelvis", "trunk")
    drawn = pick(generator, names, (0.28, 0.34, 0.26, 0.12))
    shown: TrunkCoverage = coverage or drawn
    age = float(round(generator.uniform(30, 85)))
    phases: tuple[Contrast, ...] = ("venous", "arterial", "none")
    contrast = pick(generator, phases, (0.6, 0.2, 0.2))
    metals: dict[str, TrunkMetal] = {"abdomen": "spine_screws", "pelvis": "hip_prosthesis"}
    metal = metals.get(shown) if chance(generator, 0.08) else None
    spec = TrunkSpec(
        seed=int(generator.integers(1, 10**6)),
        age_years=age,
        sex="F" if chance(generator, 0.46) else "M",
        coverage=shown,
        body_scale=uniform(generator, 0.9, 1.08),
        body_fat=uniform(generator, 0.45, 1.7),
        bone_density=uniform(generator, 0.75, 1.3),
        contrast=contrast,
        contrast_hu=uniform(generator, 220, 420) if contrast == "arterial" else uniform(generator, 120, 220),
        metal=metal,
        table=pick(generator, ("curved", "flat", "none"), (0.7, 0.2, 0.1)),
        scoliosis_mm=min(max(float(generator.normal(0, 4)), -15.0), 15.0),
        noise_hu=uniform(generator, 6, 24),
        beam_hardening=uniform(generator, 0.2, 1.2),
    )
    lesions = _random_lesions(generator, spec) if present else ()
    taken = {lesion.bone for lesion in lesions}
    return replace(spec, lesions=lesions, mimics=_random_mimics(generator, spec, taken))


def _random_lesions(generator: np.random.Generator, spec: TrunkSpec) -> tuple[TrunkLesionSpec, ...]:
    """Few, several, or (in a quarter) spread over most bones; mostly of one look, some taking a whole bone."""
    look = pick(generator, _TYPES, (0.42, 0.34, 0.24))
    spread = generator.random()
    diffuse = spread > 0.72
    count = int(generator.integers(1, 4) if spread < 0.36 else generator.integers(3, 9))
    if diffuse:
        count = min(round(len(_shown(spec)) * uniform(generator, 0.35, 0.75)), 40)
    lesions: list[TrunkLesionSpec] = []
    for bone in _drawn_bones(generator, spec, count):
        kind = look if chance(generator, 0.75) else pick(generator, _TYPES, (0.34, 0.33, 0.33))
        whole = chance(generator, 0.7 if diffuse else 0.25)
        lesions.append(_random_lesion(generator, bone, kind, whole=whole))
    return tuple(lesions)


def _random_lesion(generator: np.random.Generator, bone: str, kind: LesionType, *, whole: bool) -> TrunkLesionSpec:
    structure = bone_extents()[bone][0]
    size = 5.0 + (_LESIONS[structure]["most_mm"] - 5.0) * float(generator.beta(1.6, 1.5))
    if whole and kind == "lytic":
        # what has eaten a bone leaves some of it
        size = uniform(generator, 30.0, 50.0)
    elif whole:
        size = uniform(generator, *_LESIONS[structure]["whole_mm"])
    # most sit in a vertebral body, which is the last half of the way along its marrow
    body = structure == "vertebra" and chance(generator, 0.8)
    position = uniform(generator, 0.5, 0.86) if body else uniform(generator, 0, 1)
    breaching = kind != "blastic" and chance(generator, 0.5)
    a, b, c = (float(generator.normal(0, 2.5)) for _ in range(3))
    return TrunkLesionSpec(
        bone=bone,
        position=position,
        offset_mm=(a, b, c) if structure in {"vertebra", "hip", "sacrum"} else (0.0, 0.0, 0.0),
        size_mm=size,
        type=kind,
        breach=uniform(generator, 0.2, 1.0) if breaching else 0.0,
        irregularity=uniform(generator, 0.1, 1.0),
        elongation=uniform(generator, 1.0, 1.6) if structure != "rib" else uniform(generator, 1.3, 2.2),
        rim_hu=_rim(generator) if kind == "lytic" else 0.0,
    )


def _rim(generator: np.random.Generator) -> float:
    return uniform(generator, 350, 700) if chance(generator, 0.2) else 0.0


def _random_mimics(generator: np.random.Generator, spec: TrunkSpec, used: set[str]) -> tuple[TrunkMimicSpec, ...]:
    """Mimics in what the scan shows: one or more in most patients, more with age; none in the bones used so far."""
    count = int(generator.poisson(0.8 + max(spec.age_years - 40, 0) * 0.035))
    mimics: list[TrunkMimicSpec] = []
    for _ in range(count):
        kind = pick(generator, tuple(MIMIC_BONES), tuple(entry["share"] for entry in _MIMICS.values()))
        free = [name for name in _shown(spec) if name not in used and bone_extents()[name][0] in MIMIC_BONES[kind]]
        if not free:
            continue
        bone = one_of(generator, free)
        used.add(bone)
        position, size = uniform(generator, 0.1, 0.95), uniform(generator, *_MIMICS[kind]["size_mm"])
        degree = uniform(generator, 0.1, 1.0)
        mimics.append(TrunkMimicSpec(kind=kind, bone=bone, position=position, size_mm=size, degree=degree))
    return tuple(mimics)


def _shown(spec: TrunkSpec) -> list[str]:
    """Bones of which the scan shows the marrow."""
    low, high = spec.w_range_mm
    found = []
    for name, (structure, lowest, highest) in bone_extents().items():
        margin = 12.0 if structure == "vertebra" else 0.0
        seen = min(high - margin, highest) - max(low + margin, lowest)
        if seen >= 0 and seen >= 0.5 * (highest - lowest):
            found.append(name)
    return found


def _drawn_bones(generator: np.random.Generator, spec: TrunkSpec, count: int) -> list[str]:
    """Bones by how often they are hit; two lesions may share one of the large ones."""
    shown = _shown(spec)
    by_kind: dict[str, list[str]] = {}
    for name in shown:
        by_kind.setdefault(bone_extents()[name][0], []).append(name)
    kinds = [kind for kind in _LESIONS if kind in by_kind]
    total = sum(_LESIONS[kind]["share"] for kind in kinds)
    drawn: list[str] = []
    while len(drawn) < count:
        kind = pick(generator, kinds, [_LESIONS[name]["share"] / total for name in kinds])
        bone = one_of(generator, by_kind[kind])
        if drawn.count(bone) < 1 + (kind in {"hip", "sacrum"}) or len(drawn) > len(shown) // 2:
            drawn.append(bone)
    return drawn


def draw_person(number: int, seed: int, options: TrunkStudy) -> Person[TrunkSpec]:
    """One patient.

    Centres and coverages follow each other in drawn order among the patients with metastases and among the healthy
    alike, so that neither says anything about the label. A preset changes nothing but the grid.
    """
    # the healthy are spread evenly: after n patients there are n times the share of them, rounded down
    normal = int(number * options.healthy)
    label = "normal" if int((number + 1) * options.healthy) > normal else "metastasis"
    count = normal if label == "normal" else number - normal
    apart = 10 * (label == "normal")
    centre = in_turn(CENTRES, count, seeds=(seed, _ORDER, 1 + apart))
    coverage = in_turn(_COVERAGES, count, seeds=(seed, _ORDER, 2 + apart))
    step_share = in_turn(_STEPS, count, seeds=(seed, _ORDER, 3 + apart))
    generator = np.random.default_rng([seed, _PATIENT, number])
    scanner = one_of(generator, [scanner for scanner in SCANNERS if scanner.centre == centre])
    drawn = random_trunk_spec(generator, with_lesions=label == "metastasis", coverage=coverage)
    size, pixel_mm, slice_mm = _GRIDS[options.preset]
    step_mm = slice_mm * (step_share if options.preset != "tiny" else 1.0)
    spec = scanner.takes(
        replace(drawn, seed=int(generator.integers(1, 10**5)) * 10_000 + number, size=(size, size)),
        generator,
        pixel_mm=pixel_mm * scanner.pixel_share,
        slice_mm=step_mm,
        thickness_mm=step_mm * scanner.thickness_share,
        patient_position=scanner.patient_position,
    )
    return Person(
        patient_id=f"M{number + 1:04d}",
        spec=spec,
        label=label,
        centre=scanner.centre,
        scanner=scanner.name,
        columns={
            "coverage": spec.coverage,
            "slice_mm": f"{spec.slice_mm:g}",
            "lesions": str(len(spec.lesions)),
            "lesion_types": " ".join(sorted({lesion.type for lesion in spec.lesions})),
            "mimics": " ".join(sorted({mimic.kind for mimic in spec.mimics})),
        },
    )


def draw_images(person: Person[TrunkSpec], options: TrunkStudy, threads: int) -> Iterator[LabelledImage]:
    """The images of a patient, drawn when they are asked for."""
    del options
    phantom = make_trunk(person.spec, threads=threads)
    masks = {"lesion": phantom.masks["lesions"].array, "bone": phantom.masks["structures"].array}
    yield LabelledImage(image=phantom.volume, masks=masks, label=person.label)
