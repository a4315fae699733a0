"""What the values of a phantom's truth mean."""

from __future__ import annotations

from typing import Final

from osteon.data import Label
from osteon.labels import concept

__all__ = [
    "ARM_BONE_VALUE",
    "ARM_VALUE",
    "BODY_VALUE",
    "BONE_VALUES",
    "INFECTION_VALUE",
    "LESION_VALUE",
    "METAL_VALUE",
    "SOFT_VALUES",
    "TABLE_VALUE",
    "truth_labels",
]

_BONES: Final = ("femur", "tibia", "fibula", "patella", "foot", "pelvis")
BONE_VALUES: Final[dict[tuple[str, str], int]] = {
    (bone, side): 1 + 2 * k + (side == "left") for k, bone in enumerate(_BONES) for side in ("right", "left")
}
"""Whole bone, marrow included: femur 1 (right) and 2 (left), tibia 3, 4, and so on in the order of ``_BONES``."""

ARM_BONE_VALUE: Final = 13
BODY_BONE_VALUE: Final = 14
METAL_VALUE: Final = 15
LESION_VALUE: Final = 20
"""The first lesion; the next is 21. A lesion covers the bone and soft tissue that it has replaced."""

INFECTION_VALUE: Final = 30
"""The first focus of osteomyelitis; the next is 31. No tumour: a reader that calls it one is wrong."""

SOFT_VALUES: Final[dict[str, int]] = {"right": 40, "left": 41}
"""The rest of a leg: skin, fat, muscle."""

ARM_VALUE: Final = 42
TABLE_VALUE: Final = 43
BODY_VALUE: Final = 44


def truth_labels(*, lesion_sides: tuple[str, ...] = (), infection_sides: tuple[str, ...] = ()) -> tuple[Label, ...]:
    """All labels of a phantom whose tumours and foci of infection lie on the given sides."""
    structure, object_, altered, tissue = (
        concept(name) for name in ("anatomical_structure", "physical_object", "morphologically_abnormal", "tissue")
    )
    labels = []
    for (bone, side), value in BONE_VALUES.items():
        kind = concept("bone") if bone in {"foot", "pelvis"} else concept(bone)
        site = concept("foot") if bone == "foot" else None
        labels.append(
            Label(
                value=value, name=f"{bone}, {side}", category=structure, kind=kind, site=site, laterality=concept(side)
            ),
        )
    labels.append(Label(value=ARM_BONE_VALUE, name="bones of an arm", category=structure, kind=concept("bone")))
    labels.append(Label(value=BODY_BONE_VALUE, name="bones of trunk or head", category=structure, kind=concept("bone")))
    labels.append(
        Label(value=METAL_VALUE, name="metal", category=object_, kind=concept("implant"), colour=(160, 170, 190))
    )
    labels += [
        Label(
            value=LESION_VALUE + number,
            name=f"lesion {number + 1}, {side}",
            category=altered,
            kind=concept("neoplasm_primary"),
            laterality=concept(side),
            colour=(220, 60, 50),
        )
        for number, side in enumerate(lesion_sides)
    ]
    labels += [
        Label(
            value=INFECTION_VALUE + number,
            name=f"osteomyelitis {number + 1}, {side}",
            category=altered,
            kind=concept("lesion"),
            laterality=concept(side),
            colour=(230, 170, 40),
        )
        for number, side in enumerate(infection_sides)
    ]
    labels += [
        Label(
            value=value,
            name=f"soft tissue of the leg, {side}",
            category=tissue,
            kind=concept("lower_limb"),
            laterality=concept(side),
            colour=(200, 150, 130),
        )
        for side, value in SOFT_VALUES.items()
    ]
    labels.append(
        Label(value=ARM_VALUE, name="soft tissue of an arm", category=tissue, kind=tissue, colour=(200, 150, 130))
    )
    labels.append(Label(value=TABLE_VALUE, name="table", category=object_, kind=object_, colour=(120, 120, 120)))
    labels.append(
        Label(
            value=BODY_VALUE, name="soft tissue of trunk or head", category=tissue, kind=tissue, colour=(200, 150, 130)
        )
    )
    return tuple(labels)
