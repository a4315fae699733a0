"""What the values of a phantom's truth mean."""

from __future__ import annotations

from typing import Final

from osteon.data import Label
from osteon.labels import concept
from osteon_phantoms.spec import table

__all__ = [
    "ARM_BONE_VALUE", "ARM_VALUE", "BONE_VALUES", "INFECTION_VALUE", "LESION_VALUE", "METAL_VALUE", "SOFT_VALUES",
    "STRUCTURES", "TABLE_VALUE", "lesion_labels", "structure_labels", "truth_labels",
]  # fmt: skip

_TABLE: Final = table("labels")

BONE_VALUES: Final[dict[tuple[str, str], int]] = {(row[1].split(",")[0], row[4]): row[0] for row in _TABLE["legs"][:12]}
"""Whole bone, marrow included, by bone and side: femur 1 (right) and 2 (left), tibia 3, 4, and so on."""

ARM_BONE_VALUE: Final = 13
METAL_VALUE: Final = 15
LESION_VALUE: Final = 20
"""The first lesion; the next is 21. A lesion covers the bone and soft tissue that it has replaced."""

INFECTION_VALUE: Final = 30
"""The first focus of osteomyelitis; the next is 31. No tumour: a reader that calls it one is wrong."""

SOFT_VALUES: Final[dict[str, int]] = {"right": 40, "left": 41}
"""The rest of a leg: skin, fat, muscle."""

ARM_VALUE: Final = 42
TABLE_VALUE: Final = 43

STRUCTURES: Final[dict[str, int]] = {row[1]: row[0] for row in _TABLE["structures"]}
"""Values of the structures in the label map of a trunk. Hip is the hip bone; hip and sacrum make the pelvis."""

_Colour = tuple[int, int, int]
_LESION: Final[_Colour] = (220, 60, 50)
_INFECTION: Final[_Colour] = (230, 170, 40)


def _label(
    value: int, name: str, category: str, kind: str, side: str = "", site: str = "", colour: _Colour = (230, 220, 190)
) -> Label:
    """One row of the table."""
    return Label(
        value=value,
        name=name,
        category=concept(category),
        kind=concept(kind),
        site=concept(site) if site else None,
        laterality=concept(side) if side else None,
        colour=(colour[0], colour[1], colour[2]),
    )


def truth_labels(*, lesion_sides: tuple[str, ...] = (), infection_sides: tuple[str, ...] = ()) -> tuple[Label, ...]:
    """All labels of a phantom of legs whose tumours and foci of infection lie on the given sides."""
    found = [_label(*row) for row in _TABLE["legs"]]
    for first, word, kind, sides, colour in (
        (LESION_VALUE, "lesion", "neoplasm_primary", lesion_sides, _LESION),
        (INFECTION_VALUE, "osteomyelitis", "lesion", infection_sides, _INFECTION),
    ):
        for number, side in enumerate(sides):
            name = f"{word} {number + 1}, {side}"
            found.append(_label(first + number, name, "morphologically_abnormal", kind, side, colour=colour))
    return tuple(sorted(found, key=lambda label: label.value))


def structure_labels() -> tuple[Label, ...]:
    """Labels of the bones of a trunk."""
    return tuple(_label(*row) for row in _TABLE["structures"])


def lesion_labels(names: tuple[str, ...], kind: str) -> tuple[Label, ...]:
    """Labels 1, 2, ... of lesions of a kind of concept."""
    return tuple(
        _label(number, name, "morphologically_abnormal", kind, colour=_LESION)
        for number, name in enumerate(names, start=1)
    )
