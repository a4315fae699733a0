"""Synthetic patients with exact truth."""

from osteon_phantoms.body import BodyPhantom, make_head_ct, make_torso_ct
from osteon_phantoms.centres import CENTRES, SCANNERS, Scanner, scan_with
from osteon_phantoms.cohort import PRESETS, CohortPatient, cohort
from osteon_phantoms.leg import Acquisition, LegPhantom, LesionTruth, make_leg_ct
from osteon_phantoms.sampling import random_leg_spec
from osteon_phantoms.spec import BenignSpec, LegSpec, LesionSpec
from osteon_phantoms.trunk import TrunkLesionTruth, TrunkPhantom, make_trunk
from osteon_phantoms.trunk_skeleton import trunk_bones
from osteon_phantoms.trunk_spec import TrunkLesionSpec, TrunkMimicSpec, TrunkSpec

__all__ = [
    "CENTRES",
    "PRESETS",
    "SCANNERS",
    "Acquisition",
    "BenignSpec",
    "BodyPhantom",
    "CohortPatient",
    "LegPhantom",
    "LegSpec",
    "LesionSpec",
    "LesionTruth",
    "Scanner",
    "TrunkLesionSpec",
    "TrunkLesionTruth",
    "TrunkMimicSpec",
    "TrunkPhantom",
    "TrunkSpec",
    "cohort",
    "make_head_ct",
    "make_leg_ct",
    "make_torso_ct",
    "make_trunk",
    "random_leg_spec",
    "scan_with",
    "trunk_bones",
]
