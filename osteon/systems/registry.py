"""Which system answers which image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon.data import Answer, Slide, SlideAnswer, Volume
    from osteon.data.options import Progress, SystemOptions

__all__ = [
    "SlideSystem",
    "System",
    "choose_system",
    "readable_modalities",
    "slide_system",
    "slide_system_names",
    "system",
    "system_names",
    "system_summaries",
]


@dataclass(frozen=True, slots=True)
class System:
    """One system that `osteon read` can run.

    Attributes:
        stem: its name.
        modality: DICOM modality it reads.
        also: modalities that it takes where there is none of its own; "" is a picture, which names none.
        summary: one line for a listing.
        load: returns its ``answer`` function; imports what it needs only then.
    """

    stem: str
    modality: str
    summary: str
    load: Callable[[], Callable[[Volume, SystemOptions, Progress], Answer]]
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlideSystem:
    """One system that reads slides.

    Attributes:
        stem: its name.
        summary: one line for a listing.
        load: returns its ``answer_slide`` function; imports what it needs only then.
    """

    stem: str
    summary: str
    load: Callable[[], Callable[[Slide, SystemOptions, Progress], SlideAnswer]]


def _histology() -> Callable[[Slide, SystemOptions, Progress], SlideAnswer]:
    from osteon.systems.histology.read import answer_slide

    return answer_slide


def _ct_osteosarcoma() -> Callable[[Volume, SystemOptions, Progress], Answer]:
    from osteon.systems.ct_osteosarcoma.read import answer

    return answer


def _ct_metastasis() -> Callable[[Volume, SystemOptions, Progress], Answer]:
    from osteon.systems.ct_metastasis.read import answer

    return answer


def _mri_femur() -> Callable[[Volume, SystemOptions, Progress], Answer]:
    from osteon.systems.mri_femur.read import answer

    return answer


_SYSTEMS = {
    "ct_osteosarcoma": System(
        stem="ct_osteosarcoma",
        modality="CT",
        summary="CT of the legs: tumour probability a slice, extent, bone in 3D",
        load=_ct_osteosarcoma,
    ),
    "ct_metastasis": System(
        stem="ct_metastasis",
        modality="CT",
        summary="CT of the trunk: bone and metastases outlined, lesions listed, slices classified",
        load=_ct_metastasis,
    ),
    "mri_femur": System(
        stem="mri_femur",
        modality="MR",
        summary="MRI of the femur: a marked lesion, benign or malignant",
        load=_mri_femur,
        also=("CT", ""),
    ),
}


_SLIDE_SYSTEMS = {
    "histology": SlideSystem(
        stem="histology",
        summary="H&E slide of osteosarcoma: viable and non-viable tumour mapped, necrosis with its interval",
        load=_histology,
    ),
}


def system_names() -> tuple[str, ...]:
    """Stems of the systems that read volumes."""
    return tuple(_SYSTEMS)


def slide_system_names() -> tuple[str, ...]:
    """Stems of the systems that read slides."""
    return tuple(_SLIDE_SYSTEMS)


def system_summaries() -> dict[str, str]:
    """One line on every system, by stem."""
    volumes = {stem: each.summary for stem, each in _SYSTEMS.items()}
    return volumes | {stem: each.summary for stem, each in _SLIDE_SYSTEMS.items()}


def slide_system(stem: str) -> SlideSystem:
    """The system of that stem, of those that read slides.

    Raises:
        UnknownLabelError: there is none; the message names the closest.
    """
    if stem not in _SLIDE_SYSTEMS:
        raise UnknownLabelError(f"no task {stem!r} for slides: {nearest_names(stem, _SLIDE_SYSTEMS)}")
    return _SLIDE_SYSTEMS[stem]


def system(stem: str) -> System:
    """The system of that stem, of those that read volumes.

    Raises:
        UnknownLabelError: there is none; the message names the closest.
        InputError: it reads slides.

    Example:
        >>> system("ct_osteosarcoma").modality
        'CT'
    """
    if stem in _SLIDE_SYSTEMS:
        raise InputError(f"{stem} reads slides, not volumes: give a slide, or leave the task to the images")
    if stem not in _SYSTEMS:
        raise UnknownLabelError(f"no task {stem!r}: {nearest_names(stem, system_summaries())}")
    return _SYSTEMS[stem]


def choose_system(modality: str) -> System:
    """The system for images of a modality, where none is named.

    Of two systems for one modality it is the first of the table: for CT that of the legs, which refuses any other part
    of the body and then names the other system.

    Raises:
        InputError: no system reads it.
    """
    for candidate in _SYSTEMS.values():
        if candidate.modality == modality:
            return candidate
    readable = ", ".join(readable_modalities())
    raise InputError(f"no system reads {modality or 'images without a modality'} yet; systems exist for: {readable}")


def readable_modalities() -> tuple[str, ...]:
    """Modalities that some system reads, in the order of the systems: where none is asked for, the first is."""
    return tuple(dict.fromkeys(candidate.modality for candidate in _SYSTEMS.values()))
