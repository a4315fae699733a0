"""The lesions of an answer with what draws them: finding, label, colour and surface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from osteon.report.reading_of import lesion_reading

if TYPE_CHECKING:
    from osteon.data import Answer, Finding, Lesion, Mask, Surface
    from osteon.geometry import Box

__all__ = [
    "MOST_PICTURES",
    "ListedLesion",
    "bone_surfaces",
    "colour_hex",
    "largest_lesions",
    "lesion_mask",
    "lesions_of",
]

MOST_PICTURES: Final = 12
"""Lesions that get a picture, the largest ones; the list holds all."""

_COLOURS: Final = {"lytic": (255, 128, 48), "blastic": (86, 190, 245), "mixed": (240, 130, 205)}
"""Okabe and Ito's vermilion, sky blue and purple, lightened: told apart on bone, in CT and on black."""

_SURFACE: Final = "lesion_"
"""Surfaces of lesions carry the label of the mask behind it."""

_UNDETERMINED: Final = (240, 228, 66)
"""Their yellow."""


@dataclass(frozen=True, slots=True)
class ListedLesion:
    """A lesion of the list and what draws it.

    Attributes:
        number: from 1 in the order of the answer; what a person calls it.
        lesion: its values.
        finding: its codes.
        box: around it.
        value: its label in the mask of lesions; 0 where no mask shows it.
        colour: in every picture, RGB, by its character.
        surface: in 3D, in its colour; None without.
    """

    number: int
    lesion: Lesion
    finding: Finding
    box: Box
    value: int
    colour: tuple[int, int, int]
    surface: Surface | None


def lesion_mask(answer: Answer) -> Mask | None:
    """The mask that the findings of the lesions point into, or None."""
    names = {item.finding.segment[0] for item in lesions_of(answer) if item.finding.segment is not None}
    return next((mask for mask in answer.masks.values() if mask.name in names), None)


def lesions_of(answer: Answer) -> tuple[ListedLesion, ...]:
    """Every lesion that has a finding with a box, in the order of the answer."""
    findings = {finding.identifier: finding for finding in answer.findings}
    surfaces = {surface.name: surface for surface in answer.surfaces.values() if len(surface.faces)}
    found = []
    for number, lesion in enumerate(lesion_reading(answer).lesions, start=1):
        finding = findings.get(lesion.identifier)
        if finding is None or finding.box is None:
            continue
        value = 0 if finding.segment is None else finding.segment[1]
        colour = _COLOURS.get(lesion.character, _UNDETERMINED)
        surface = surfaces.get(f"{_SURFACE}{value}")
        painted = None if surface is None else replace(surface, colour=(*colour, 255))
        found.append(ListedLesion(number, lesion, finding, finding.box, value, colour, painted))
    return tuple(found)


def largest_lesions(answer: Answer, *, most: int = MOST_PICTURES) -> tuple[ListedLesion, ...]:
    """The lesions that get a picture: the ``most`` with the largest volume, in the order of the list."""
    ranked = sorted(lesions_of(answer), key=lambda item: (-item.lesion.volume_ml, item.number))[:most]
    return tuple(sorted(ranked, key=lambda item: item.number))


def bone_surfaces(answer: Answer) -> tuple[Surface, ...]:
    """Surfaces that are neither lesions nor boxes of beams."""
    filled = (surface for surface in answer.surfaces.values() if len(surface.faces))
    return tuple(one for one in filled if "box" not in one.name and not one.name.startswith(_SURFACE))


def colour_hex(colour: tuple[int, int, int]) -> str:
    """As "#rrggbb".

    Example:
        >>> colour_hex((255, 128, 48))
        '#ff8030'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
