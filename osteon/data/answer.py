"""Everything one system says about one case, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from osteon.errors import InputError, UnknownLabelError, UnsupportedError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.finding import Finding
    from osteon.data.image import Mask, Surface
    from osteon.data.provenance import ModelUse, Notice
    from osteon.geometry import Box

__all__ = [
    "Answer",
    "ClassProbabilities",
    "HeatMap",
    "Region",
    "RegionOod",
    "SimilarCase",
    "SliceReading",
    "SliceScores",
    "Status",
    "named",
]

_Detail = TypeVar("_Detail")
_Named = TypeVar("_Named", "Mask", "Surface")

Status = Literal["positive", "negative", "abstained", "not_assessed", "failed"]
"""What an answer comes to."""


@dataclass(frozen=True, slots=True)
class RegionOod:
    """How unlike the images that a model was trained on a Region is.

    Attributes:
        score: median over the slices of the Region of their distance from the training images; 1 is that of the middle
            validation slice.
        threshold: a Region above it is outside the model's training range.
        false_alarm_rate: expected share of patients like those of training with a Region above the threshold.
    """

    score: float
    threshold: float
    slice_threshold: float
    false_alarm_rate: float

    @property
    def is_ood(self) -> bool:
        """Whether the Region is outside the model's training range."""
        return self.score > self.threshold


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the image that was looked at, as one leg.

    Attributes:
        name: as "left leg".
        box: on the Volume's grid.
        present: (slices of the Volume,) bool; where the part is seen.
        ood: how unlike the model's training it is; None where the model does not know its limits.
    """

    name: str
    box: Box
    present: NDArray[np.bool_] = field(repr=False)
    ood: RegionOod | None = None


@dataclass(frozen=True, slots=True)
class SliceScores:
    """A classifier's scores along one Region.

    Attributes:
        slices: (n,) int64 slice indices into the Volume, ascending.
        probability: (n,) float32, as the model gives it.
        smoothed: (n,) float32, after the filters; compared with the threshold.
        threshold: smoothed values at or above it are predicted positive.
        runs: half-open ranges of Volume slice indices that are positive.
        withheld_runs: ranges that would be, but are not reported: the Region is outside the model's training
            range.
        spread: (n,) float32, standard deviation of the probability over the members of an ensemble; None of one model.
        distance: (n,) float32, from the training images; None where the model does not know its limits.
        sets: (n,) prediction set of each slice: the name of a class, "either" or "neither"; empty likewise.
        error_rate: of the prediction sets, at most; None without.
        source: "classifier" where a network scored whole slices; "segmentation" where ``probability`` is the highest of
            the lesion map in the slice.
        by_segmentation: (n,) bool, whether the lesions found cover enough of the slice to suspect it; None where
            nothing was outlined.
        lesion_area_mm2: (n,) float32, area of the lesions in the slice; likewise.
    """

    region: str
    slices: NDArray[np.int64] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    smoothed: NDArray[np.float32] = field(repr=False)
    threshold: float
    runs: tuple[tuple[int, int], ...]
    withheld_runs: tuple[tuple[int, int], ...] = ()
    spread: NDArray[np.float32] | None = field(default=None, repr=False)
    distance: NDArray[np.float32] | None = field(default=None, repr=False)
    sets: tuple[str, ...] = field(default=(), repr=False)
    error_rate: float | None = None
    source: Literal["classifier", "segmentation"] = "classifier"
    by_segmentation: NDArray[np.bool_] | None = field(default=None, repr=False)
    lesion_area_mm2: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def agreement(self) -> float | None:
        """Share of slices that classifier and segmentation predict alike; None where one of them is missing."""
        if self.source != "classifier" or self.by_segmentation is None or not len(self.slices):
            return None
        return float(((self.smoothed >= self.threshold) == self.by_segmentation).mean())


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where in one slice a classifier looked. It is not an outline of anything.

    Attributes:
        crop: (row, column) float32, 0 to 1: what the model was given.
        heat: (row, column) float32, 0 to 1, of the same shape.
        extent_mm: height and width of the crop.
        is_predicted: whether the slice is in a positive run.
        members: networks that the heat is the mean of.
    """

    region: str
    slice_index: int
    crop: NDArray[np.float32] = field(repr=False)
    heat: NDArray[np.float32] = field(repr=False)
    extent_mm: tuple[float, float]
    is_predicted: bool
    members: int = 1


@dataclass(frozen=True, slots=True)
class SliceReading:
    """The own part of an Answer that scores slices: at most one score a region, and slices worth explaining."""

    scores: tuple[SliceScores, ...] = field(default=(), repr=False)
    heat_maps: tuple[HeatMap, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ClassProbabilities:
    """What a classifier says of a case as a whole: calibrated probabilities that are together 1.

    Attributes:
        prediction_set: the classes that cannot be ruled out at ``error_rate``; None where no set was made.
        error_rate: of the set, at most; None likewise.

    Raises:
        InputError: as many probabilities as classes are needed, and a set names classes.

    Example:
        >>> ClassProbabilities(("benign", "malignant"), (0.2, 0.8)).best
        'malignant'
    """

    names: tuple[str, ...]
    probability: tuple[float, ...]
    prediction_set: tuple[str, ...] | None = None
    error_rate: float | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        unknown = sorted(set(self.prediction_set or ()) - set(self.names))
        if len(self.names) != len(self.probability) or unknown:
            raise InputError(
                f"the classes {', '.join(self.names)} were given {len(self.probability)} probabilities and the set "
                f"{self.prediction_set}: each class needs one probability, and a set holds only these classes"
            )

    @property
    def best(self) -> str:
        """The most probable class, the first among equals."""
        return self.names[max(range(len(self.names)), key=lambda place: self.probability[place])]


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """A past case that looks like this one, its label, and the cosine of both embeddings; no patient text."""

    case: str = field(repr=False)
    label: str
    similarity: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer:
    """Everything one system says about one case.

    Attributes:
        status: whether something abnormal was found; "abstained" where the model may not speak of these images,
            "not_assessed" where there was nothing to look at.
        findings: in reading order; empty when nothing was found.
        masks: by name; each becomes a DICOM Segmentation.
        contoured: names of the masks that become contours of a DICOM RT Structure Set too, one ROI a label.
        surfaces: by name; each becomes a node of the GLB file.
        classes: of the case as a whole; None of a system that does not classify.
        similar: past cases, the most similar first.
        notices: choices and warnings of the system.
        configuration: the resolved options, JSON values only.
        detail: what only this system has, in a type of its own; see ``detail_as``.
    """

    task: str
    headline: str
    status: Status = "not_assessed"
    findings: tuple[Finding, ...] = ()
    regions: tuple[Region, ...] = ()
    masks: Mapping[str, Mask] = field(default_factory=dict)
    contoured: tuple[str, ...] = ()
    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    classes: ClassProbabilities | None = None
    similar: tuple[SimilarCase, ...] = ()
    models: tuple[ModelUse, ...] = ()
    notices: tuple[Notice, ...] = ()
    configuration: Mapping[str, object] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    detail: object = None

    def __post_init__(self) -> None:
        """Refuse contours of a mask that is not there.

        Raises:
            UnknownLabelError: it is not.
        """
        for name in self.contoured:
            if name not in self.masks:
                raise UnknownLabelError(f"contours of a mask {name} were asked for: {nearest_names(name, self.masks)}")

    def detail_as(self, kind: type[_Detail]) -> _Detail:
        """The system's own part, which must be of a type.

        Raises:
            UnsupportedError: it is of another one.

        Example:
            >>> Answer("legs", "Nothing.", detail=SliceReading()).detail_as(SliceReading).scores
            ()
        """
        if not isinstance(self.detail, kind):
            raise UnsupportedError(
                f"the answer of {self.task} has {type(self.detail).__name__} as its detail, and {kind.__name__} was "
                "asked for: ask for the type of its system"
            )
        return self.detail

    @property
    def is_demo(self) -> bool:
        """Whether a model that was trained on synthetic data only took part."""
        return any(model.is_demo for model in self.models)

    def __repr__(self) -> str:
        """Short: no arrays, no identifiers, nothing of the patient."""
        parts = {"findings": len(self.findings), "masks": [*self.masks], "surfaces": len(self.surfaces)}
        return f"Answer({self.task!r}, {self.status}, {', '.join(f'{name}={value}' for name, value in parts.items())})"


def named(values: Iterable[_Named]) -> dict[str, _Named]:
    """Masks or surfaces by their name, in the order given."""
    return {value.name: value for value in values}
