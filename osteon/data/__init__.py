"""Values that pass between packages: immutable, typed, without behaviour that needs a file or a network."""

from osteon.data.answer import Answer, Region, SliceScores
from osteon.data.finding import Finding, Measurement
from osteon.data.mask import Label, Mask
from osteon.data.provenance import ModelUse, Notice
from osteon.data.source import Patient, Series, SliceSource, Source, Study
from osteon.data.surface import Surface
from osteon.data.volume import Volume

__all__ = [
    "Answer",
    "Finding",
    "Label",
    "Mask",
    "Measurement",
    "ModelUse",
    "Notice",
    "Patient",
    "Region",
    "Series",
    "SliceScores",
    "SliceSource",
    "Source",
    "Study",
    "Surface",
    "Volume",
]
