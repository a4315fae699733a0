"""The systems by stem: the only place that lists them. Engines are handed a System and never import this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.data.system import UNASKED_FROM
from osteon.errors import InputError, UnknownLabelError, UnsupportedError, nearest_names
from osteon.systems.bone.system import SYSTEM as BONE
from osteon.systems.ct_metastasis.system import SYSTEM as CT_METASTASIS
from osteon.systems.ct_osteosarcoma.system import SYSTEM as CT_OSTEOSARCOMA
from osteon.systems.histology.system import SYSTEM as HISTOLOGY
from osteon.systems.limb_sarcoma.system import SYSTEM as LIMB_SARCOMA
from osteon.systems.mri_femur.system import SYSTEM as MRI_FEMUR

if TYPE_CHECKING:
    from osteon.data.system import Header, System
    from osteon.study.protocol import StudyProtocol
    from osteon.train.settings import Recipe, Settings

__all__ = ["READERS", "SYSTEMS", "best_system", "reader", "recipe", "study_protocol", "system"]

SYSTEMS: Final[dict[str, System]] = {
    "ct_osteosarcoma": CT_OSTEOSARCOMA,
    "ct_metastasis": CT_METASTASIS,
    "mri_femur": MRI_FEMUR,
    "histology": HISTOLOGY,
    "bone": BONE,
    "limb_sarcoma": LIMB_SARCOMA,
}
"""In the order in which they are listed; of two that fit an image equally well the first is taken."""

READERS: Final = {stem: each for stem, each in SYSTEMS.items() if each.is_reader}
"""Those that read images."""


def system(stem: str) -> System:
    """The system of that stem.

    Raises:
        UnknownLabelError: there is none; the message names the closest.

    Example:
        >>> system("ct_osteosarcoma").modalities
        ('CT',)
    """
    if stem not in SYSTEMS:
        raise UnknownLabelError(f"no task {stem!r}: {nearest_names(stem, SYSTEMS)}")
    return SYSTEMS[stem]


def reader(stem: str) -> System:
    """The system of that stem, to read an image with.

    Raises:
        UnknownLabelError: there is none.
        UnsupportedError: it does not read yet.
    """
    found = system(stem)
    if not found.is_reader:
        raise UnsupportedError(
            f"the task {stem} cannot read images yet: it makes data sets, trains networks and evaluates them. Tasks "
            f"that read: {', '.join(READERS)}"
        )
    return found


def best_system(header: Header) -> System:
    """The system that fits a header best, where none is named.

    Raises:
        InputError: none fits well enough.
    """
    best = max(READERS.values(), key=lambda each: each.accepts(header).score)
    if best.accepts(header).score >= UNASKED_FROM:
        return best
    readable = ", ".join(dict.fromkeys(name for each in READERS.values() for name in each.modalities[:1]))
    raise InputError(
        f"no system reads {header.modality or 'images without a modality'} yet; systems exist for: {readable}"
    )


def study_protocol(stem: str) -> StudyProtocol:
    """The study of the paper behind the system of that stem; it is imported only now.

    Raises:
        UnknownLabelError: there is no such system, or it has no study.
    """
    known = {name: each.study for name, each in SYSTEMS.items() if each.study}
    if stem not in known:
        raise UnknownLabelError(f"no study {stem!r}: {nearest_names(stem, known)}")
    protocol: StudyProtocol = known[stem]()
    return protocol


def recipe(task: str) -> Recipe[Settings]:
    """How a task is trained; it is imported only now.

    Raises:
        UnknownLabelError: there is no such task to train.
    """
    known: dict[str, Recipe[Settings]] = {recipe.task: recipe for each in SYSTEMS.values() for recipe in each.recipes()}
    if task not in known:
        raise UnknownLabelError(f"no task {task!r} to train: {nearest_names(task, known)}")
    return known[task]
