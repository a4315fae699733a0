"""Synthetic patients with exact truth."""

from osteon.phantoms.leg import Acquisition, LegPhantom, LesionTruth, make_leg_ct
from osteon.phantoms.sampling import random_leg_spec
from osteon.phantoms.spec import BenignSpec, LegSpec, LesionSpec

__all__ = [
    "Acquisition",
    "BenignSpec",
    "LegPhantom",
    "LegSpec",
    "LesionSpec",
    "LesionTruth",
    "make_leg_ct",
    "random_leg_spec",
]
