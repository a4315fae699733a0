"""Synthetic studies: who is in them, and the images of every patient with their truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, TypeVar

from osteon.data.options import option
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.spec import Range, Share, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from osteon.data import LabelledImage

__all__ = [
    "KINDS", "FemurStudy", "LegStudy", "Person", "Preset", "SlideStudy", "StudyKind", "TrunkStudy", "images_of",
    "kind_of", "people",
]  # fmt: skip

_Spec = TypeVar("_Spec")

Preset = Literal["tiny", "coarse", "fine"]
"""How fine the scans of a study are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStudy(Spec):
    """What may be chosen about a study of legs."""

    preset: Preset = option("--preset", default="coarse", help="Grid of the scans: tiny (tests), coarse, or fine.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkStudy(Spec):
    """What may be chosen about a study of trunks."""

    preset: Preset = option("--preset", default="coarse", help="Grid of the scans: tiny (tests), coarse, or fine.")
    healthy: Share = option(
        "--healthy",
        default=0.0,
        low=0.0,
        high=1.0,
        help="Share of the patients without metastases; 0 to segment, 0.5 to classify.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurStudy(Spec):
    """What may be chosen about a study of MR."""

    size: int = option("--size", default=320, low=16, high=1024, help="Rows and columns of a picture.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStudy(Spec):
    """Which tiles a study of slides has.

    Raises:
        InputError: what gives no tiles.
    """

    size: int = option("--size", default=1024, low=16, high=1024, help="Rows and columns of a picture.")
    slides: Annotated[int, Range(1, 50)] = option("--slides", default=3, low=1, high=50, help="Slides of a patient.")
    tiles: Annotated[int, Range(1, 50)] = option(
        "--tiles", default=3, low=1, high=50, help="Tiles of a class and slide."
    )
    tile_um: Annotated[float, Range(100.0, 3000.0)] = 1024.0
    jpeg: tuple[int, int] | None = (80, 95)

    def __post_init__(self) -> None:
        """Refuse what gives no tiles."""
        Spec.__post_init__(self)
        Range(0.1, 8.0).check("the width of a pixel in um", self.tile_um / max(self.size, 1))
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            raise InputError(f"JPEG qualities are from 1 to 100, the lower first, found {self.jpeg}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Generic[_Spec]):
    """One patient of a synthetic study.

    Attributes:
        patient_id: a letter and a number from 0001 on.
        spec: what is drawn; of slides several.
        label: of the class, or "" where the images of a patient differ.
        centre: name of the hospital.
        scanner: name of the scanner.
        columns: what else is known, for the manifest.
    """

    patient_id: str
    spec: _Spec
    label: str
    centre: str
    scanner: str = "synthetic"
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKind:
    """One kind of study.

    Attributes:
        folder: package here whose ``sampling`` has ``draw_person`` (number from 0, seed, options) and ``draw_images``
            (person, options, threads).
        word: the kind in a word.
        summary: what is in it, for a person.
        look: changes when the same specification gives other pixels, so that an unfinished data set is not continued.
        options: dataclass of what may be chosen.
        has_slices: whether a patient is one slice, which can be stored as a picture.
    """

    folder: str
    word: str
    summary: str
    look: str
    options: type
    has_slices: bool = False


KINDS: Final = {
    "ct_osteosarcoma": StudyKind(
        folder="legs",
        word="Legs",
        summary="legs with osteosarcoma in every second patient",
        look="leg 1",
        options=LegStudy,
    ),
    "ct_metastasis": StudyKind(
        folder="trunk",
        word="Trunks",
        summary="trunks with bone metastases in the layout of BM-Seg",
        look="trunk 3",
        options=TrunkStudy,
    ),
    "histology": StudyKind(
        folder="slides", word="Histology", summary="tiles of slides", look="slide 2", options=SlideStudy
    ),
    "mri_femur": StudyKind(
        folder="femur",
        word="MR",
        summary="MR of lesions of the femur",
        look="femur MR 2",
        options=FemurStudy,
        has_slices=True,
    ),
}
"""What a system learns from, by its stem."""


def kind_of(stem: str) -> StudyKind:
    """The study of a system.

    Raises:
        UnknownLabelError: there is none.
    """
    if stem not in KINDS:
        raise UnknownLabelError(f"no synthetic study {stem!r}: {nearest_names(stem, KINDS)}")
    return KINDS[stem]


def people(stem: str, patients: int, *, seed: int, options: object = None) -> tuple[Person[Any], ...]:
    """Draw a study. A patient depends on seed, number and options only: a longer one begins with the shorter one.

    Args:
        stem: a key of ``KINDS``.
        patients: how many, 1 to 9999.
        seed: of everything.
        options: of the kind; None for its defaults.

    Raises:
        InputError: no such number of patients.
        UnknownLabelError: no such study.

    Example:
        >>> first, second = people("ct_osteosarcoma", 2, seed=20260331)
        >>> sorted((first.label, second.label)), first.patient_id
        (['healthy', 'tumour'], 'P0001')
    """
    kind = kind_of(stem)
    Range(1, 9999).check("the number of patients", patients)
    draw = import_module(f"osteon_phantoms.{kind.folder}.sampling").draw_person
    chosen = kind.options() if options is None else options
    return tuple(draw(number, seed, chosen) for number in range(patients))


def images_of(stem: str, person: Person[Any], options: object, threads: int = 1) -> Iterator[LabelledImage]:
    """Draw the images of a patient, one by one."""
    module = import_module(f"osteon_phantoms.{kind_of(stem).folder}.sampling")
    images: Iterator[LabelledImage] = module.draw_images(person, options, threads)
    return images
