"""Many different patients of the trunk: random metastases and look-alikes in what a scan covers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from osteon_phantoms.draws import pick
from osteon_phantoms.trunk_skeleton import bone_extents
from osteon_phantoms.trunk_spec import MIMIC_BONES, TrunkLesionSpec, TrunkMimicSpec, TrunkSpec

if TYPE_CHECKING:
    import numpy as np

    from osteon_phantoms.trunk_spec import Contrast, Coverage, LesionType, MimicKind, TrunkMetal

__all__ = ["random_lesions", "random_mimics", "random_trunk_spec"]


_BONE_SHARE: Final = {
    "vertebra": 0.46,
    "hip": 0.18,
    "rib": 0.16,
    "sacrum": 0.09,
    "femur": 0.05,
    "sternum": 0.04,
    "shoulder": 0.02,
}
"""How often each kind of bone is hit: the spine most, as in patients (thesis, table 3.2)."""

_SIZE_MM: Final = {"vertebra": 38.0, "hip": 40.0, "rib": 30.0, "sacrum": 40.0, "femur": 34.0, "sternum": 24.0,
                   "shoulder": 22.0}  # fmt: skip
"""Largest single lesion of each kind of bone."""

_WHOLE_MM: Final = {
    "vertebra": (50.0, 105.0),
    "hip": (60.0, 150.0),
    "rib": (40.0, 90.0),
    "sacrum": (60.0, 120.0),
    "femur": (50.0, 90.0),
    "sternum": (40.0, 90.0),
    "shoulder": (30.0, 70.0),
}
"""Lesions that take most of a bone: "full bone" is 490 of 1622 places of the public set (thesis, table 3.2)."""

_MIMICS: Final[dict[MimicKind, float]] = {
    "bone_island": 0.24,
    "degenerative_disc": 0.26,
    "facet_arthrosis": 0.1,
    "schmorl_node": 0.08,
    "haemangioma": 0.1,
    "wedge_fracture": 0.08,
    "rib_fracture": 0.08,
    "sacroiliac_sclerosis": 0.06,
}


def random_trunk_spec(
    generator: np.random.Generator,
    *,
    with_lesions: bool | None = None,
    coverage: Coverage | None = None,
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
    present = bool(generator.random() < 0.5) if with_lesions is None else with_lesions
    names: tuple[Coverage, ...] = ("thorax", "abdomen", "pelvis", "trunk")
    drawn = pick(generator, names, (0.28, 0.34, 0.26, 0.12))
    shown: Coverage = coverage or drawn
    age = float(round(generator.uniform(30, 85)))
    contrast: Contrast = pick(generator, ("venous", "arterial", "none"), (0.6, 0.2, 0.2))
    metals: dict[str, TrunkMetal] = {"abdomen": "spine_screws", "pelvis": "hip_prosthesis"}
    metal = metals.get(shown) if generator.random() < 0.08 else None
    spec = TrunkSpec(
        seed=int(generator.integers(1, 10**6)),
        age_years=age,
        sex="F" if generator.random() < 0.46 else "M",
        coverage=shown,
        body_scale=float(generator.uniform(0.9, 1.08)),
        body_fat=float(generator.uniform(0.45, 1.7)),
        bone_density=float(generator.uniform(0.75, 1.3)),
        contrast=contrast,
        contrast_hu=float(generator.uniform(220, 420) if contrast == "arterial" else generator.uniform(120, 220)),
        metal=metal,
        table=pick(generator, ("curved", "flat", "none"), (0.7, 0.2, 0.1)),
        scoliosis_mm=min(max(float(generator.normal(0, 4)), -15.0), 15.0),
        noise_hu=float(generator.uniform(6, 24)),
        beam_hardening=float(generator.uniform(0.2, 1.2)),
    )
    lesions = random_lesions(generator, spec) if present else ()
    taken = frozenset(lesion.bone for lesion in lesions)
    return replace(spec, lesions=lesions, mimics=random_mimics(generator, spec, spared=taken))


def random_lesions(generator: np.random.Generator, spec: TrunkSpec) -> tuple[TrunkLesionSpec, ...]:
    """Few, several, or (in a quarter) spread over most bones; mostly of one look, some taking a whole bone."""
    look: LesionType = pick(generator, ("lytic", "blastic", "mixed"), (0.42, 0.34, 0.24))
    spread = generator.random()
    diffuse = spread > 0.72
    count = int(generator.integers(1, 4) if spread < 0.36 else generator.integers(3, 9))
    if diffuse:
        count = min(round(len(_shown(spec)) * float(generator.uniform(0.35, 0.75))), 40)
    lesions: list[TrunkLesionSpec] = []
    for bone in _drawn_bones(generator, spec, count):
        same = generator.random() < 0.75
        kind: LesionType = look if same else pick(generator, ("lytic", "blastic", "mixed"), (0.34, 0.33, 0.33))
        whole = generator.random() < (0.7 if diffuse else 0.25)
        lesions.append(_random_lesion(generator, bone, kind, whole=whole))
    return tuple(lesions)


def _random_lesion(generator: np.random.Generator, bone: str, kind: LesionType, *, whole: bool) -> TrunkLesionSpec:
    structure = bone_extents()[bone][0]
    low, high = 5.0, _SIZE_MM[structure]
    size = low + (high - low) * float(generator.beta(1.6, 1.5))
    if whole and kind == "lytic":
        # what has eaten a bone leaves some of it
        size = float(generator.uniform(30.0, 50.0))
    elif whole:
        size = float(generator.uniform(*_WHOLE_MM[structure]))
    # most sit in a vertebral body, which is the last half of the way along its marrow
    body = structure == "vertebra" and generator.random() < 0.8
    position = float(generator.uniform(0.5, 0.86) if body else generator.uniform(0, 1))
    breaching = kind != "blastic" and generator.random() < 0.5
    a, b, c = (float(generator.normal(0, 2.5)) for _ in range(3))
    return TrunkLesionSpec(
        bone=bone,
        position=position,
        offset_mm=(a, b, c) if structure in {"vertebra", "hip", "sacrum"} else (0.0, 0.0, 0.0),
        size_mm=size,
        type=kind,
        breach=float(generator.uniform(0.2, 1.0)) if breaching else 0.0,
        irregularity=float(generator.uniform(0.1, 1.0)),
        elongation=float(generator.uniform(1.0, 1.6)) if structure != "rib" else float(generator.uniform(1.3, 2.2)),
        rim_hu=float(generator.uniform(350, 700)) if kind == "lytic" and generator.random() < 0.2 else 0.0,
    )


def random_mimics(
    generator: np.random.Generator, spec: TrunkSpec, *, spared: frozenset[str] = frozenset()
) -> tuple[TrunkMimicSpec, ...]:
    """Look-alikes in what the scan shows: one or more in most patients, more with age; none in the bones to spare."""
    count = int(generator.poisson(0.8 + max(spec.age_years - 40, 0) * 0.035))
    mimics: list[TrunkMimicSpec] = []
    used = set(spared)
    for _ in range(count):
        kind = pick(generator, tuple(_MIMICS), tuple(_MIMICS.values()))
        free = [name for name in _shown(spec) if name not in used and bone_extents()[name][0] in MIMIC_BONES[kind]]
        if not free:
            continue
        bone = free[int(generator.integers(len(free)))]
        used.add(bone)
        low, high = _MIMIC_SIZES[kind]
        mimics.append(
            TrunkMimicSpec(
                kind=kind,
                bone=bone,
                position=float(generator.uniform(0.1, 0.95)),
                size_mm=float(generator.uniform(low, high)),
                degree=float(generator.uniform(0.1, 1.0)),
            )
        )
    return tuple(mimics)


_MIMIC_SIZES: Final[dict[MimicKind, tuple[float, float]]] = {
    "bone_island": (4.0, 13.0),
    "degenerative_disc": (4.0, 11.0),
    "facet_arthrosis": (5.0, 12.0),
    "schmorl_node": (6.0, 13.0),
    "haemangioma": (10.0, 30.0),
    "wedge_fracture": (5.0, 10.0),
    "rib_fracture": (8.0, 24.0),
    "sacroiliac_sclerosis": (6.0, 16.0),
}


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
    kinds = [kind for kind in _BONE_SHARE if kind in by_kind]
    total = sum(_BONE_SHARE[kind] for kind in kinds)
    drawn: list[str] = []
    while len(drawn) < count:
        kind = pick(generator, tuple(kinds), tuple(_BONE_SHARE[name] / total for name in kinds))
        names = by_kind[kind]
        bone = names[int(generator.integers(len(names)))]
        if drawn.count(bone) < 1 + (kind in {"hip", "sacrum"}) or len(drawn) > len(shown) // 2:
            drawn.append(bone)
    return drawn
