"""Many different patients with legs, and a study of them from several centres."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.data import LabelledImage
from osteon.errors import UnknownLabelError, nearest_names
from osteon_phantoms.ct import CENTRES, SCANNERS
from osteon_phantoms.legs.painter import make_leg_ct
from osteon_phantoms.legs.spec import COVERAGE_CENTRE_W_MM, SITES, BenignSpec, LegSpec, LesionSpec
from osteon_phantoms.spec import chance, in_turn, one_of, pick, table, uniform
from osteon_phantoms.study import Person

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from osteon_phantoms.ct import Scanner
    from osteon_phantoms.legs.spec import BoneName, LegCoverage, LegMetal, Side, SiteName
    from osteon_phantoms.study import LegStudy

__all__ = ["demo_spec", "draw_images", "draw_person", "phantom_spec", "random_leg_spec", "scan_with"]

_FIELDS: Final[tuple[LegCoverage, ...]] = ("hip", "femur", "knee", "tibia", "ankle")
_METALS: Final[tuple[LegMetal, LegMetal]] = ("nail", "prosthesis")
_GRIDS: Final = table("legs")["grids"]
"""Shape and spacing in mm, before the scanner's own: tiny for tests, coarse to learn from, fine as a patient's."""

_HEALTHY: Final = (*("osteomyelitis",) * 3, *("callus",) * 2, "bone_island", "metal", "plain")
"""What eight healthy patients in a row have, in drawn order: the mimics in most."""

_PATIENT, _ORDER = 1, 2


def random_leg_spec(generator: np.random.Generator, *, with_lesion: bool | None = None, grid: str = "small") -> LegSpec:
    """Draw one patient.

    Args:
        generator: gives every choice, and the seed of the phantom.
        with_lesion: True or False to force it; None draws it (half of the patients).
        grid: "tiny", "small" (made in about a second), "coarse", "full" or "fine".

    Returns:
        A spec that covers ages, sexes, sites, looks, noise, metal and harmless mimics. The field shows the lesion;
        without one it is where lesions of the same mixture of sites would have been.

    Raises:
        UnknownLabelError: no such grid.

    Example:
        >>> import numpy as np
        >>> random_leg_spec(np.random.default_rng(0), with_lesion=True).lesions[0].bone in {"femur", "tibia", "fibula"}
        True
    """
    if grid not in _GRIDS:
        raise UnknownLabelError(f"no grid of phantoms {grid!r}: {nearest_names(grid, _GRIDS)}")
    shape, spacing = map(tuple, _GRIDS[grid])
    present = chance(generator, 0.5) if with_lesion is None else with_lesion
    side, other = _sides(generator)
    bone, site = _site(generator, "lesions")
    has_metal = chance(generator, 0.08)
    metal = _METALS[not chance(generator, 0.5)]
    amputated = chance(generator, 0.03)
    benign = _random_benign(generator, side if amputated else other)
    return LegSpec(
        seed=int(generator.integers(1, 10**6)),
        age_years=float(round(uniform(generator, 7, 16) if chance(generator, 0.3) else uniform(generator, 16, 75))),
        sex="M" if chance(generator, 0.55) else "F",
        coverage=_nearest_field(sum(SITES[bone, site]) / 2 + uniform(generator, -30, 30)),
        shape=shape,
        spacing_mm=spacing,
        patient_position="HFP" if chance(generator, 0.04) else "HFS",
        table=pick(generator, ("curved", "flat", "none"), (0.7, 0.25, 0.05)),
        touching=chance(generator, 0.15),
        amputee=other if amputated else None,
        arms=chance(generator, 0.06),
        metal=metal if has_metal and not amputated else None,
        metal_leg=other,
        noise_hu=uniform(generator, 6, 28),
        beam_hardening=uniform(generator, 0.3, 1.5),
        motion_mm=_motion(generator),
        knee_flexion_degrees=uniform(generator, 1, 9),
        body_fat=uniform(generator, 0.5, 1.9),
        lesions=(_random_lesion(generator, side, bone, site),) if present else (),
        benign=benign,
    )


def _motion(generator: np.random.Generator) -> float:
    return uniform(generator, 1, 4) if chance(generator, 0.08) else 0.0


def _sides(generator: np.random.Generator) -> tuple[Side, Side]:
    """A side, and the other one."""
    return ("left", "right") if chance(generator, 0.5) else ("right", "left")


def _site(generator: np.random.Generator, what: str) -> tuple[BoneName, SiteName]:
    """A site, by how often it has something of a kind."""
    *places, shares = zip(*table("legs")["site_shares"][what], strict=True)
    return pick(generator, tuple(zip(*places, strict=True)), shares)


def _nearest_field(height: float) -> LegCoverage:
    """The field whose middle is nearest to a height."""
    return min(_FIELDS, key=lambda name: abs(COVERAGE_CENTRE_W_MM[name] - height))


def _random_lesion(generator: np.random.Generator, side: Side, bone: BoneName, site: SiteName) -> LesionSpec:
    size = uniform(generator, 30, 130)
    mass = uniform(generator, 0.2, 1.0) if chance(generator, 0.75) else 0.0
    return LesionSpec(
        leg=side,
        bone=bone,
        site=site,
        position=uniform(generator, 0, 1),
        size_mm=min(size, 80.0) if bone == "fibula" else size,
        matrix=pick(generator, ("lytic", "blastic", "mixed"), (0.28, 0.3, 0.42)),
        breach=uniform(generator, 0.2, 1.0),
        periosteal=pick(generator, ("none", "sunburst", "codman", "both"), (0.25, 0.25, 0.2, 0.3)),
        soft_tissue_mass=mass,
        mineralisation=uniform(generator, 0, 1),
        direction_degrees=uniform(generator, 0, 360),
    )


def _random_benign(generator: np.random.Generator, side: Side) -> tuple[BenignSpec, ...]:
    if not generator.random() <= 0.25:
        return ()
    bone, site = _site(generator, "lesions")
    if chance(generator, 0.7):
        size = uniform(generator, 5, 13)
        return (BenignSpec(leg=side, bone=bone, site=site, position=uniform(generator, 0, 1), size_mm=size),)
    size = uniform(generator, 20, 45)
    position = uniform(generator, 0, 1)
    return (BenignSpec(kind="callus", leg=side, bone=bone, site="diaphysis", position=position, size_mm=size),)


def phantom_spec(
    seed: int,
    *,
    with_lesion: bool = True,
    slices: int | None = None,
    size: int | None = None,
    slice_step_mm: float | None = None,
    changes: Mapping[str, object] | None = None,
) -> LegSpec:
    """A patient as the seed draws one, with what the caller wants otherwise.

    Args:
        seed: decides who, where and how; also the seed of the picture.
        with_lesion: with one osteosarcoma-like lesion, or healthy.
        slices: number of slices.
        size: rows and columns; the field of view stays.
        slice_step_mm: distance between slices.
        changes: fields of ``LegSpec`` to replace.

    Raises:
        InputError: a number outside its range.
    """
    spec = random_leg_spec(np.random.default_rng(seed), with_lesion=with_lesion, grid="full")
    count, rows, columns = spec.shape
    step_mm, row_mm, column_mm = spec.spacing_mm
    wanted = size or rows
    fields: dict[str, Any] = {
        **(changes or {}),
        "seed": seed,
        "shape": (slices or count, wanted, size or columns),
        "spacing_mm": (slice_step_mm or step_mm, row_mm * rows / wanted, column_mm * columns / (size or columns)),
    }
    return replace(spec, **fields)


def demo_spec(seed: int, *, coarse: bool = False) -> LegSpec:
    """The patient of the demo: an adolescent, both knees, one tumour of the distal femur; the seed decides the rest.

    Args:
        seed: decides who.
        coarse: the same field in 70 slices of 128 x 128.
    """
    (drawn,) = phantom_spec(seed).lesions
    lesion = replace(
        drawn,
        bone="femur",
        site="distal_metaphysis",
        position=0.5,
        size_mm=max(drawn.size_mm, 60.0),
        breach=max(drawn.breach, 0.5),
        soft_tissue_mass=max(drawn.soft_tissue_mass, 0.5),
    )
    spec = phantom_spec(seed, changes={
        "legs": "both", "coverage": "knee", "patient_position": "HFS", "table": "curved", "age_years": 15.0,
        "touching": False, "arms": False, "amputee": None, "metal": None, "gantry_tilt_degrees": 0.0, "benign": (),
        "lesions": (lesion,),
    })  # fmt: skip
    if not coarse:
        return spec
    shape = (70, 128, 128)
    slice_mm, row_mm, column_mm = (mm * n / few for mm, n, few in zip(spec.spacing_mm, spec.shape, shape, strict=True))
    return replace(spec, shape=shape, spacing_mm=(slice_mm, row_mm, column_mm))


def draw_person(number: int, seed: int, options: LegStudy) -> Person[LegSpec]:
    """One patient; the column ``kind`` has the main finding.

    Of two patients in a row one has a tumour; centres follow each other in drawn order among the tumours and among the
    healthy alike, so that a centre says nothing about the label. A preset changes nothing but the grid. Tumour patients
    may also have metal or mimics in the other leg.
    """
    pair = number // 2
    has_tumour = in_turn((True, False), number, seeds=(seed, _ORDER, 0))
    # each pair of patients holds one of each label, so that the pair counts the patients of either label
    kind = "osteosarcoma" if has_tumour else in_turn(_HEALTHY, pair, seeds=(seed, _ORDER, 1))
    centre = in_turn(CENTRES, pair, seeds=(seed, _ORDER, 3 if has_tumour else 2))
    generator = np.random.default_rng([seed, _PATIENT, number])
    scanner = one_of(generator, [scanner for scanner in SCANNERS if scanner.centre == centre])
    drawn = random_leg_spec(generator, with_lesion=has_tumour, grid=options.preset)
    spec = replace(drawn, seed=int(generator.integers(1, 10**5)) * 10_000 + number)
    spec = _with_tumour(spec, generator) if has_tumour else _without_tumour(spec, kind, generator)
    return Person(
        patient_id=f"P{number + 1:04d}",
        spec=scan_with(spec, scanner, generator),
        label="tumour" if has_tumour else "healthy",
        centre=scanner.centre,
        scanner=scanner.name,
        columns={"kind": kind},
    )


def scan_with(spec: LegSpec, scanner: Scanner, generator: np.random.Generator) -> LegSpec:
    """The same patient on a scanner; the field keeps its length, and noise and calibration vary a little by day.

    Args:
        spec: the patient, in the spacing of a preset.
        scanner: takes the scan.
        generator: draws the day's noise and drift.
    """
    slice_mm, row_mm, column_mm = spec.spacing_mm
    step_mm = slice_mm * scanner.step_share
    return scanner.takes(
        spec,
        generator,
        shape=(max(round(spec.shape[0] * slice_mm / step_mm), 1), *spec.shape[1:]),
        spacing_mm=(step_mm, row_mm * scanner.pixel_share, column_mm * scanner.pixel_share),
        slice_thickness_mm=step_mm * scanner.thickness_share,
        patient_position="HFP" if spec.patient_position.endswith("P") else scanner.patient_position,
    )


def _with_tumour(spec: LegSpec, generator: np.random.Generator) -> LegSpec:
    """A field about the tumour, which is one that shows; sometimes metal in the other leg."""
    (lesion,) = spec.lesions
    metal = _METALS[not chance(generator, 0.5)] if spec.amputee is None and chance(generator, 0.15) else None
    reaction: Literal["sunburst", "codman"] = "sunburst" if chance(generator, 0.5) else "codman"
    if lesion.soft_tissue_mass == 0 and lesion.periosteal == "none":
        # without mass and reaction a lytic one shows nothing that a reader could call an osteosarcoma
        lesion = replace(lesion, periosteal=reaction, breach=max(lesion.breach, 0.5))
    other: Side = "right" if lesion.leg == "left" else "left"
    return replace(spec, lesions=(lesion,), coverage=_field(lesion, generator), metal=metal, metal_leg=other)


def _without_tumour(spec: LegSpec, kind: str, generator: np.random.Generator) -> LegSpec:
    """A healthy patient with one main finding in one leg, and sometimes metal in the other."""
    side, other = _sides(generator)
    spec = replace(spec, benign=(), metal=None, metal_leg=other)
    if kind == "plain":
        rare: LegCoverage = "hip" if chance(generator, 0.5) else "feet"
        return replace(spec, coverage=rare) if chance(generator, 0.6) else spec
    spec = replace(spec, amputee=None)
    if kind == "metal":
        metal = _METALS[not chance(generator, 0.5)]
        seen: LegCoverage = "femur" if metal == "nail" and chance(generator, 0.6) else "knee"
        return replace(spec, metal=metal, metal_leg=side, coverage=seen)
    finding = _finding(kind, side, generator)
    beside = _METALS[not chance(generator, 0.5)] if chance(generator, 0.12) else None
    return replace(spec, benign=(finding,), metal=beside, coverage=_field(finding, generator))


def _finding(kind: str, side: Side, generator: np.random.Generator) -> BenignSpec:
    """What is in the leg of a healthy patient."""
    position, direction = uniform(generator, 0, 1), uniform(generator, 0, 360)
    if kind == "callus":
        bone, site = one_of(generator, [(bone, site) for bone, site in table("legs")["shafts"]])
        young = chance(generator, 0.65)
        return BenignSpec(
            kind="callus",
            leg=side,
            bone=bone,
            site=site if young else "diaphysis",
            position=position,
            size_mm=uniform(generator, 40, 110) if young else uniform(generator, 20, 55),
            gap_mm=uniform(generator, 1.5, 7) if young else 0.0,
            direction_degrees=direction,
        )
    bone, site = _site(generator, "foci")
    if kind == "bone_island":
        return BenignSpec(leg=side, bone=bone, site=site, position=position, size_mm=uniform(generator, 6, 16))
    return BenignSpec(
        kind="osteomyelitis",
        leg=side,
        bone=bone,
        site=site,
        position=position,
        size_mm=uniform(generator, 35, 80 if bone == "fibula" else 120),
        direction_degrees=direction,
        activity=uniform(generator, 0, 1),
        swelling=uniform(generator, 0.2, 1),
    )


def _field(finding: BenignSpec | LesionSpec, generator: np.random.Generator) -> LegCoverage:
    """A field that shows a finding, not always in the middle; at times the hip or the feet when they are near."""
    if finding.bone != "femur" and finding.site == "distal_metaphysis" and chance(generator, 0.3):
        return "feet"
    return _nearest_field(finding.height_w_mm + uniform(generator, -25, 25))


def draw_images(person: Person[LegSpec], options: LegStudy, threads: int) -> Iterator[LabelledImage]:
    """The images of a patient, drawn when they are asked for."""
    del options
    phantom = make_leg_ct(person.spec, threads=threads)
    tumour = np.isin(phantom.masks["truth"].array, [lesion.label for lesion in phantom.lesions])
    yield LabelledImage(image=phantom.volume, masks={"lesion": tumour}, label=person.label)
