"""Values that pass between packages: immutable, typed, without behaviour that needs a file or a network."""

from osteon.data.answer import (
    Answer,
    ClassProbabilities,
    Finding,
    HeatMap,
    Measurement,
    Region,
    RegionNovelty,
    SliceReading,
    SliceScores,
    Status,
    named,
)
from osteon.data.image import Label, Mask, Radiograph, Surface, Volume
from osteon.data.manifest import Fold, ImageRow, Manifest, Predictions, Split
from osteon.data.provenance import ModelUse, Notice, Patient, Series, SliceSource, Source, Study
from osteon.data.slide import TILE_CLASSES, TILE_WORDS, GradeProposal, Necrosis, Slide, TilePlan
from osteon.data.system import LabelledImage, LabelledStudy

Image = Volume | Radiograph | Slide
"""Whatever can be read."""

__all__ = [
    "TILE_CLASSES",
    "TILE_WORDS",
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
    "RegionNovelty",
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
