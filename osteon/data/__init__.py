"""Values that pass between packages: immutable, typed, without behaviour that needs a file or a network."""

from osteon.data.answer import (
    Answer,
    ClassProbabilities,
    HeatMap,
    Region,
    RegionOod,
    SliceReading,
    SliceScores,
    Status,
    named,
)
from osteon.data.finding import Finding, Measurement
from osteon.data.image import Label, Mask, Radiograph, Surface, Volume
from osteon.data.manifest import Fold, ImageRow, Manifest, Split
from osteon.data.predictions import Predictions
from osteon.data.provenance import ModelUse, Notice, Patient, Series, SliceSource, Source, Study
from osteon.data.slide import TILE_CLASSES, TILE_TEXTS, GradeProposal, Necrosis, Slide, TilePlan
from osteon.data.system import LabelledImage, LabelledStudy

Image = Volume | Radiograph | Slide
"""Whatever can be read."""

__all__ = [
    "TILE_CLASSES",
    "TILE_TEXTS",
    "Answer",
    "ClassProbabilities",
    "Finding",
    "Fold",
    "GradeProposal",
    "HeatMap",
    "Image",
    "ImageRow",
    "Label",
    "LabelledImage",
    "LabelledStudy",
    "Manifest",
    "Mask",
    "Measurement",
    "ModelUse",
    "Necrosis",
    "Notice",
    "Patient",
    "Predictions",
    "Radiograph",
    "Region",
    "RegionOod",
    "Series",
    "SliceReading",
    "SliceScores",
    "SliceSource",
    "Slide",
    "Source",
    "Split",
    "Status",
    "Study",
    "Surface",
    "TilePlan",
    "Volume",
    "named",
]
