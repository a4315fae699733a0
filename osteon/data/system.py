"""What a system is, what routing may look at, and its words. An engine is handed a System; it never looks one up."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.data.provenance import Notice
from osteon.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.answer import Answer, RegionOod
    from osteon.data.image import Volume

__all__ = [
    "DEMO_LIMIT",
    "DEMO_MARK",
    "NO_MODEL",
    "OUTCOME_LIMIT",
    "PERSON_LIMIT",
    "UNASKED_FROM",
    "DatasetMaker",
    "Header",
    "Kind",
    "LabelledImage",
    "LabelledMaker",
    "LabelledStudy",
    "MadeDataset",
    "Match",
    "System",
    "TaskText",
    "late",
    "lazy",
    "ood_notice",
    "ood_sentence",
    "silent_notice",
]

Kind = Literal["volume", "radiograph", "slide", "picture"]
"""What an image is; "picture" is a file of pixels that says nothing else (PNG, JPEG)."""

UNASKED_FROM = 0.5
"""A system that nobody named is only taken from this score on."""

DEMO_MARK: Final = "demo model - synthetic training data"
"""Stands on every picture that shows what a demo model said."""
PERSON_LIMIT: Final = "osteon is research software, not a medical device. Every image must be read by a person."
OUTCOME_LIMIT: Final = "How a probability relates to outcomes is known only as far as the model's statement says."
DEMO_LIMIT: Final = "The demo model shows how the software works. Its output carries no information about a patient."


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What routing may look at: no pixels, no patient.

    Attributes:
        modality: DICOM modality; "" where the file names none (NIfTI, pictures).
        body_part: Body Part Examined, upper case, or "".
        view: View Position of a radiograph, or "".
        age_years: of the patient, or None.
        spacing_mm: (slice, row, column) or (row, column); None where not known.
        shape: of the pixels; () where not known.
    """

    kind: Kind
    modality: str = ""
    body_part: str = ""
    view: str = ""
    age_years: float | None = None
    spacing_mm: tuple[float, ...] | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """How well an image fits a system: 0 to 1, below ``UNASKED_FROM`` only for who names it; and why."""

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class MadeDataset:
    """A data set that was made: manifest and what was left out, lines for a person, and what is counted as left out."""

    built: Any
    lines: tuple[str, ...] = ()
    items: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMaker:
    """How a system makes a data set of images whose truth is known, as synthetic ones.

    Attributes:
        items: what is counted as left out, as "series".
        make: (study, folder to be, options, processes, progress) to a MadeDataset; what is there already stays.
    """

    options: type
    items: str = "series"
    make: Callable[[LabelledStudy, Path, Any, int, Callable[[str, int, int], None]], MadeDataset]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetMaker:
    """How a system makes a data set of what a person has.

    Attributes:
        source: what the source may be, for the help.
        items: what is counted as left out, as "series".
        make: (source, folder to be, options, processes, progress) to a MadeDataset; what is there already stays.
        labelled: how the same data set is made of images whose truth is known; None where that is not possible.
    """

    summary: str
    source: str
    options: type
    items: str = "series"
    make: Callable[[Path, Path, Any, int, Callable[[str, int, int], None]], MadeDataset]
    labelled: LabelledMaker | None = None


@dataclass(frozen=True, slots=True)
class _NoOptions:
    """Options of a system that does not read."""


def _no_reading(*_: object) -> Any:  # noqa: ANN401 - it gives nothing
    """What a system without a model does when it is asked to read.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError("this task cannot read images yet: it makes data sets, trains networks and evaluates them")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system: everything an engine or a command needs to know of it.

    The parts that load a network, a training or a study are functions that import them when they are called.

    Attributes:
        reads: what it is given: "volume", "radiograph" or "slide", the first that the image can be.
        modalities: DICOM modalities in order of preference, for the sentences that ask for an image.
        accepts: how well a header fits; nothing else routes.
        options: frozen dataclass of its options: the command line, the API and run.json are made from it.
        read: (image, options, progress) to an Answer; left out where there is no model of it yet (``is_reader``).
        report: words and pictures of its reports, an ``osteon.report.SystemReport``.
        dataset: how a data set is made for it; None where that is not possible.
        recipes: gives the ``osteon.train.settings.Recipe`` of each training of its models.
        study: gives the ``osteon.study.protocol.StudyProtocol`` of its paper; None where there is none.
        hints: what an option of a command means for it, in a few words, by command and flag ("study --only").
    """

    stem: str
    summary: str
    reads: tuple[Kind, ...]
    modalities: tuple[str, ...] = ()
    accepts: Callable[[Header], Match]
    options: type[Any] = _NoOptions
    read: Callable[[Any, Any, Callable[[str, int, int], None]], Answer] = _no_reading
    report: Callable[[], Any] = _no_reading
    dataset: DatasetMaker | None = None
    recipes: Callable[[], tuple[Any, ...]] = tuple
    study: Callable[[], Any] | None = None
    hints: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_reader(self) -> bool:
        """Whether it reads images, or only makes data sets and trains."""
        return self.read is not _no_reading


def lazy(package: str, module: str, name: str) -> Callable[[], Any]:
    """What a module of a package has by a name; the module is imported when the result is called."""
    return lambda: getattr(import_module(f"{package}.{module}"), name)


def late(package: str, module: str, name: str) -> Callable[..., Any]:
    """A function of a module of a package; it is imported when it is called."""

    def call(*given: Any) -> Any:  # noqa: ANN401 - as the function
        return lazy(package, module, name)()(*given)

    return call


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelledImage:
    """One image and what is known about it.

    Attributes:
        image: a volume, or the pixels of a picture, (row, column, 3) uint8.
        masks: by name ("lesion", "bone"), arrays of its shape, not 0 inside.
        label: of its class, or "" where the masks say it.
        study: examination, where it differs from that of the case.
        quality: of the JPEG file that a picture becomes; None for PNG.
        columns: what else is known, for the manifest.
    """

    image: Volume | NDArray[Any] = field(repr=False)
    masks: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    label: str = ""
    name: str = ""
    study: str = ""
    plane: str = ""
    quality: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelledStudy:
    """Patients (``osteon.train.datasets.SeriesCase``) whose images are made or read when they are asked for.

    Attributes:
        labels: of the patients, in the same order; "" where the images of one differ.
        seed: of what is drawn from their images.
        about: what the data set shall say about them.
    """

    cases: Sequence[Any]
    labels: Sequence[str]
    seed: int
    about: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskText:
    """Words of one system.

    Attributes:
        demo: what a demo model's report must say of itself.
        ood: what must be said where the image is out of distribution.
        limits: sentences, each with what it depends on: nothing ("always"), a model took part, a demo model did.
        marked: what the card of an abnormal finding with a box is called.
        probability: what the probability of a finding is of.
        image: heading of the details of what was read.
        demo_mark: on every page that shows what a demo model said.
        masks: what each mask shows, by its name; "{}" stands for "segment" or "label".
        files: what each other file of the result is, by its name.
        typeset: makes a sentence of the answer fit to be printed.
    """

    title: str
    demo: str
    ood: str
    limits: tuple[tuple[Literal["always", "model", "demo"], str], ...]
    marked: str = "Affected region"
    probability: str = "Probability"
    image: str = "Images"
    demo_mark: str = DEMO_MARK
    masks: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    typeset: Callable[[str], str] = str


NO_MODEL: Final = "No assessment: only a demo model is installed."
"""Begins the headline where no model may speak."""


def silent_notice(model: str) -> Notice:
    """Why a demo model was not asked."""
    text = (
        f"The demo model {model} was not run: it shows how the software works, and these are not osteon's own "
        "phantoms. What stands here was measured without it. Name a model trained on patients with --model; "
        "--demo-on-patient shows what the demo model says all the same."
    )
    return Notice("demo-model-silent", text, level="warning")


def ood_notice(what: str, distance: str, ood: RegionOod, tail: str) -> Notice:
    """What must be said of a part of the image that is outside the model's training range.

    Args:
        what: as "left leg".
        distance: which distance it is, in words.
        ood: that it has.
        tail: whether it is reported all the same; "" stands for: it is.
    """
    tail = tail or "It is reported all the same, because that was asked for; it may mean nothing."
    text = (
        f"The {what} is outside the model's training range: {distance} is {ood.score:.2f}, the limit "
        f"{ood.threshold:.2f} (1 is usual). What the model says of it carries no weight. {tail}"
    )
    return Notice("out-of-distribution", text, level="warning")


def ood_sentence(what: str, ood: RegionOod, *, report_ood: bool) -> str:
    """What a headline says of an image, called as "the scan", that is outside the training range."""
    where = f"{what} is outside the model's training range (score {ood.score:.2f}, threshold {ood.threshold:.2f})"
    return f"Caution: {where}; reported because that was asked for." if report_ood else f"No assessment: {where}."
