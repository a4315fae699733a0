"""Synthetic patients with exact truth."""

from osteon.phantoms.body import BodyPhantom, make_head_ct, make_torso_ct
from osteon.phantoms.leg import Acquisition, LegPhantom, LesionTruth, make_leg_ct
from osteon.phantoms.sampling import random_leg_spec
from osteon.phantoms.spec import BenignSpec, LegSpec, LesionSpec

__all__ = [
    "Acquisition",
    "BenignSpec",
    "BodyPhantom",
    "LegPhantom",
    "LegSpec",
    "LesionSpec",
    "LesionTruth",
    "make_head_ct",
    "make_leg_ct",
    "make_torso_ct",
    "random_leg_spec",
]
