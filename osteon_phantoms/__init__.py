"""Synthetic patients with exact truth: CT of legs and trunk here, MR and slides in their own packages."""

from osteon_phantoms.ct import CENTRES, SCANNERS, Scanner
from osteon_phantoms.legs.painter import make_leg_ct
from osteon_phantoms.legs.sampling import demo_spec, phantom_spec, random_leg_spec
from osteon_phantoms.legs.spec import BenignSpec, LegSpec, LesionSpec
from osteon_phantoms.phantom import Finding, Phantom
from osteon_phantoms.study import KINDS, Person, people
from osteon_phantoms.trunk.painter import make_trunk
from osteon_phantoms.trunk.sampling import random_trunk_spec
from osteon_phantoms.trunk.skeleton import trunk_bones
from osteon_phantoms.trunk.spec import TrunkLesionSpec, TrunkMimicSpec, TrunkSpec

__all__ = [
    "CENTRES", "KINDS", "SCANNERS", "BenignSpec", "Finding", "LegSpec", "LesionSpec", "Person", "Phantom",
    "Scanner", "TrunkLesionSpec", "TrunkMimicSpec", "TrunkSpec", "demo_spec", "make_leg_ct", "make_trunk", "people",
    "phantom_spec", "random_leg_spec", "random_trunk_spec", "trunk_bones",
]  # fmt: skip
