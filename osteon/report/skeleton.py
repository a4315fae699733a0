"""What every system calls the bone and the implants that ``osteon.ops.skeleton`` finds: masks, findings, surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Finding, Label, Mask, Measurement, Notice, Region
from osteon.data.finding import tracking_uid
from osteon.geometry import Box
from osteon.labels import concept
from osteon.mesh import coarse_surface

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import Surface, Volume
    from osteon.ops.skeleton import Skeleton

__all__ = [
    "BONE_MASK",
    "IMPLANT_MASK",
    "LEAST_CONTRAST_ML",
    "REGION",
    "SKELETON_FILES",
    "bone_told",
    "describe_skeleton",
    "skeleton_masks",
    "skeleton_notices",
    "skeleton_region",
    "skeleton_surfaces",
]

BONE_MASK, IMPLANT_MASK = "bone", "implant"
SKELETON_FILES: Final = {BONE_MASK: "bone", IMPLANT_MASK: "probable implant: metal and its streaks"}
REGION: Final = "skeleton"
LEAST_CONTRAST_ML: Final = 1.0
_BONE_COLOUR, _IMPLANT_COLOUR = (230, 220, 190), (112, 140, 176)


def skeleton_masks(skeleton: Skeleton, volume: Volume) -> tuple[Mask, ...]:
    """The mask of bone and, where there is metal, that of the implant."""
    found: list[tuple[str, str, NDArray[np.bool_], tuple[int, int, int], tuple[str, str]]] = [
        (BONE_MASK, "Bone", skeleton.bone, _BONE_COLOUR, ("anatomical_structure", "bone"))
    ]
    if skeleton.implant.any():
        kind = ("physical_object", "implant")
        found.append((IMPLANT_MASK, "Probable implant", skeleton.implant, _IMPLANT_COLOUR, kind))
    return tuple(
        Mask(
            array.astype(np.uint8),
            volume.grid,
            labels=(
                Label(
                    value=1,
                    name=words,
                    category=concept(category),
                    kind=concept(kind),
                    colour=colour,
                    tracking_uid=tracking_uid(volume, name),
                ),
            ),
            name=name,
            algorithm=concept("morphological_operations"),
        )
        for name, words, array, colour, (category, kind) in found
    )


def _millilitres(mask: Mask) -> float:
    return int(np.count_nonzero(mask.array)) * mask.grid.voxel_volume_mm3 / 1000


def bone_told(bone: Mask) -> str:
    """How much bone there is, as a sentence."""
    return f"Bone in the field of view: {_millilitres(bone):,.0f} ml."


def describe_skeleton(masks: Sequence[Mask], *, tail: str = "") -> Iterator[Finding]:
    """The volume of each mask of ``skeleton_masks``; ``tail`` is said of bone."""
    for mask in masks:
        label = mask.labels[0]
        volume_ml = _millilitres(mask)
        implant = f"Probable implant: {volume_ml:.1f} ml of metal and its streaks, which is neither bone nor lesion."
        yield Finding(
            identifier=mask.name,
            tracking_uid=label.tracking_uid,
            kind=label.kind,
            statement=implant if mask.name == IMPLANT_MASK else f"{bone_told(mask)}{tail}",
            measurements=(
                Measurement(concept("volume"), volume_ml, concept("unit_cm3"), method=concept("volume_of_voxels")),
            ),
            segment=(mask.name, label.value),
            is_abnormal=False,
        )


def skeleton_region(bone: Mask) -> tuple[Region, ...]:
    """The bone as one region; none where there is none."""
    present = np.asarray(bone.array.any(axis=(1, 2)))
    if not present.any():
        return ()
    flat = bone.array.max(axis=0)
    used = [np.flatnonzero(line) for line in (present, flat.any(axis=1), flat.any(axis=0))]
    first, second, third = ((int(line[0]), int(line[-1]) + 1) for line in used)
    box = Box(start=(first[0], second[0], third[0]), stop=(first[1], second[1], third[1]))
    return (Region(name=REGION, box=box, present=present),)


def skeleton_surfaces(masks: Sequence[Mask]) -> tuple[Surface, ...]:
    """The surface "skeleton" of bone, and "implant"; none of an empty mask."""
    names = {BONE_MASK: REGION}
    return tuple(
        coarse_surface(
            mask.array > 0, mask.grid, name=names.get(mask.name, mask.name), colour=(*mask.labels[0].colour, 255)
        )
        for mask in masks
        if mask.array.any()
    )


def skeleton_notices(skeleton: Skeleton, masks: Sequence[Mask]) -> Iterator[Notice]:
    """What was left out of the bone."""
    implant = next((mask for mask in masks if mask.name == IMPLANT_MASK), None)
    if implant is not None:
        slices = np.flatnonzero(implant.array.any(axis=(1, 2)))
        said = (
            f"Metal is in slices {slices[0] + 1} to {slices[-1] + 1}: {_millilitres(implant):.1f} ml of it and "
            "its streaks are a probable implant, which is neither bone nor lesion. HU near metal are wrong."
        )
        yield Notice("metal", said, level="warning")
    if skeleton.contrast_ml >= LEAST_CONTRAST_ML:
        said = (
            f"{skeleton.contrast_ml:.0f} ml as dense as bone are even inside and have no cortex, as vessels, bowel or "
            "kidneys filled with contrast agent are: they were left out of the bone. Small vessels may be left in."
        )
        yield Notice("contrast-left-out-of-bone", said)
