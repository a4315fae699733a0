"""Many different patients: random specs for training and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from osteon.errors import UnknownLabelError, nearest_names
from osteon_phantoms.draws import pick
from osteon_phantoms.spec import COVERAGE_CENTRE_W_MM, SITES, BenignSpec, LegSpec, LesionSpec

if TYPE_CHECKING:
    import numpy as np

    from osteon_phantoms.spec import BoneName, Side, SiteName


__all__ = ["SIZES", "random_leg_spec"]

SIZES: Final[dict[str, tuple[tuple[int, int, int], tuple[float, float, float]]]] = {
    "small": ((100, 256, 256), (3.0, 1.6, 1.6)),
    "full": ((280, 512, 512), (1.5, 0.8, 0.8)),
}
"""Shape and spacing by name; small is made in about a second."""

_SITE_SHARE: Final[dict[tuple[BoneName, SiteName], float]] = {
    ("femur", "distal_metaphysis"): 0.42,
    ("tibia", "proximal_metaphysis"): 0.2,
    ("femur", "proximal_metaphysis"): 0.08,
    ("femur", "diaphysis"): 0.1,
    ("tibia", "diaphysis"): 0.06,
    ("tibia", "distal_metaphysis"): 0.05,
    ("fibula", "proximal_metaphysis"): 0.05,
    ("fibula", "diaphysis"): 0.02,
    ("fibula", "distal_metaphysis"): 0.02,
}
"""How often each site is hit: about the knee in most, as in patients."""


def random_leg_spec(
    generator: np.random.Generator,
    *,
    with_lesion: bool | None = None,
    size: Literal["small", "full"] = "small",
) -> LegSpec:
    """Draw one patient.

    Args:
        generator: gives every choice, and the seed of the phantom.
        with_lesion: True or False to force it; None draws it (half of the patients).
        size: a key of ``SIZES``.

    Returns:
        A spec that covers ages, sexes, sites, looks, noise, metal and harmless look-alikes. The field shows the lesion;
        without one it lies where lesions of the same mixture of sites would have been.

    Raises:
        UnknownLabelError: no such size.

    Example:
        >>> import numpy as np
        >>> random_leg_spec(np.random.default_rng(0), with_lesion=True).lesions[0].bone in {"femur", "tibia", "fibula"}
        True
    """
    if size not in SIZES:
        raise UnknownLabelError(f"no phantom size {size!r}: {nearest_names(size, SIZES)}")
    shape, spacing = SIZES[size]
    present = bool(generator.random() < 0.5) if with_lesion is None else with_lesion
    side: Side = "left" if generator.random() < 0.5 else "right"
    other: Side = "right" if side == "left" else "left"
    bone, site = _draw_site(generator)
    has_metal = generator.random() < 0.08
    metal: Literal["nail", "prosthesis"] = "nail" if generator.random() < 0.5 else "prosthesis"
    amputated = generator.random() < 0.03
    benign = _random_benign(generator, other if amputated is False else side)
    return LegSpec(
        seed=int(generator.integers(1, 10**6)),
        age_years=float(round(generator.uniform(7, 16) if generator.random() < 0.3 else generator.uniform(16, 75))),
        sex="M" if generator.random() < 0.55 else "F",
        coverage=_coverage(bone, site, generator),
        shape=shape,
        spacing_mm=spacing,
        patient_position="HFP" if generator.random() < 0.04 else "HFS",
        table=pick(generator, ("curved", "flat", "none"), (0.7, 0.25, 0.05)),
        touching=bool(generator.random() < 0.15),
        amputee=other if amputated else None,
        arms=bool(generator.random() < 0.06),
        metal=metal if has_metal and not amputated else None,
        metal_leg=other,
        noise_hu=float(generator.uniform(6, 28)),
        beam_hardening=float(generator.uniform(0.3, 1.5)),
        motion_mm=float(generator.uniform(1, 4)) if generator.random() < 0.08 else 0.0,
        knee_flexion_degrees=float(generator.uniform(1, 9)),
        body_fat=float(generator.uniform(0.5, 1.9)),
        lesions=(_random_lesion(generator, side, bone, site),) if present else (),
        benign=benign,
    )


def _draw_site(generator: np.random.Generator) -> tuple[BoneName, SiteName]:
    sites = list(_SITE_SHARE)
    return sites[int(generator.choice(len(sites), p=list(_SITE_SHARE.values())))]


def _coverage(
    bone: BoneName, site: SiteName, generator: np.random.Generator
) -> Literal["hip", "femur", "knee", "tibia", "ankle"]:
    """A field that shows a site, not always the nearest one."""
    wanted = sum(SITES[bone, site]) / 2 + float(generator.uniform(-30, 30))
    fields: tuple[Literal["hip", "femur", "knee", "tibia", "ankle"], ...] = ("hip", "femur", "knee", "tibia", "ankle")
    return min(fields, key=lambda name: abs(COVERAGE_CENTRE_W_MM[name] - wanted))


def _random_lesion(generator: np.random.Generator, side: Side, bone: BoneName, site: SiteName) -> LesionSpec:
    size = float(generator.uniform(30, 130))
    if bone == "fibula":
        size = min(size, 80.0)
    mass = float(generator.uniform(0.2, 1.0)) if generator.random() < 0.75 else 0.0
    return LesionSpec(
        leg=side,
        bone=bone,
        site=site,
        position=float(generator.uniform(0, 1)),
        size_mm=size,
        matrix=pick(generator, ("lytic", "blastic", "mixed"), (0.28, 0.3, 0.42)),
        breach=float(generator.uniform(0.2, 1.0)),
        periosteal=pick(generator, ("none", "sunburst", "codman", "both"), (0.25, 0.25, 0.2, 0.3)),
        soft_tissue_mass=mass,
        mineralisation=float(generator.uniform(0, 1)),
        direction_degrees=float(generator.uniform(0, 360)),
    )


def _random_benign(generator: np.random.Generator, side: Side) -> tuple[BenignSpec, ...]:
    if generator.random() > 0.25:
        return ()
    bone, site = _draw_site(generator)
    kind: Literal["bone_island", "callus"] = "bone_island" if generator.random() < 0.7 else "callus"
    if kind == "callus":
        site = "diaphysis"
    size = float(generator.uniform(5, 13) if kind == "bone_island" else generator.uniform(20, 45))
    return (
        BenignSpec(kind=kind, leg=side, bone=bone, site=site, position=float(generator.uniform(0, 1)), size_mm=size),
    )
