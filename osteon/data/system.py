"""What a system is, and what routing may look at. An engine is handed a System; it never looks one up."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data.answer import Answer
    from osteon.data.labelled import LabelledStudy
    from osteon.data.options import ModelOptions

__all__ = ["UNASKED_FROM", "DatasetMaker", "Header", "Kind", "LabelledMaker", "MadeDataset", "Match", "System", "lazy"]

Kind = Literal["volume", "radiograph", "slide", "picture"]
"""What an image is; "picture" is a file of pixels that says nothing else (PNG, JPEG)."""

UNASKED_FROM = 0.5
"""A system that nobody named is only taken from this score on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What routing may look at: no pixels, no patient.

    Attributes:
        kind: of the image.
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
    """How well an image fits a system.

    Attributes:
        score: 0 (never) to 1; below ``UNASKED_FROM`` only for a person who names the system.
        reason: in a sentence.
    """

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class MadeDataset:
    """A data set that was made of what a person has.

    Attributes:
        built: manifest, and what was left out and why.
        lines: what a person is told before the counts.
        items: what is counted as left out; "" for what the maker says.
    """

    built: Any
    lines: tuple[str, ...] = ()
    items: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMaker:
    """How a system makes a data set of images whose truth is known, as synthetic ones.

    Attributes:
        options: frozen dataclass of its options.
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
        summary: one sentence.
        source: what the source may be, for the help.
        options: frozen dataclass of its options.
        items: what is counted as left out, as "series".
        make: (source, folder to be, options, processes, progress) to a MadeDataset; what is there already stays.
        labelled: how the same data set is made of images whose truth is known.
    """

    summary: str
    source: str
    options: type
    items: str = "series"
    make: Callable[[Path, Path, Any, int, Callable[[str, int, int], None]], MadeDataset]
    labelled: LabelledMaker


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system: everything an engine or a command needs to know of it.

    The parts that load a network, a training or a study are functions that import them when they are called.

    Attributes:
        stem: its name, and that of its folder.
        summary: one line for a listing.
        reads: what it is given: "volume", "radiograph" or "slide", the first that the image can be.
        modalities: DICOM modalities in order of preference, for the sentences that ask for an image.
        accepts: how well a header fits; nothing else routes.
        options: frozen dataclass of its options: the command line, the API and run.json are made from it.
        read: (image, options, progress) to an Answer.
        report: words and pictures of its reports, an ``osteon.report.SystemReport``.
        dataset: how a data set is made for it; None where that is not possible.
        recipes: gives the ``osteon.train.recipe.Recipe`` of each training of its models.
        study: gives the ``osteon.study.protocol.StudyProtocol`` of its paper; None where there is none.
    """

    stem: str
    summary: str
    reads: tuple[Kind, ...]
    modalities: tuple[str, ...] = ()
    accepts: Callable[[Header], Match]
    options: type[ModelOptions]
    read: Callable[[Any, Any, Callable[[str, int, int], None]], Answer]
    report: Callable[[], Any]
    dataset: DatasetMaker | None = None
    recipes: Callable[[], tuple[Any, ...]] = tuple
    study: Callable[[], Any] | None = None


def lazy(package: str, module: str, name: str) -> Callable[[], Any]:
    """What a module of a package calls so; it is imported when the result is called."""
    return lambda: getattr(import_module(f"{package}.{module}"), name)
