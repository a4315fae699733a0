"""From maps of a segmenter to what is believed: bone without contrast and specks, lesions in it, and their sites."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.ops.lesions import (
    LesionOptions,
    find_contrast,
    grown,
    judge_character,
    label_lesions,
    level_of,
    measure_own_bone,
    upper_half_mean,
)
from osteon.ops.outlines import LesionShape, MapStack, draw_outlines
from osteon.ops.skeleton_site import Site, find_landmarks, prove_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from osteon.ops.lesions import Character, OwnBone
    from osteon.ops.series_images import SeriesImages

__all__ = ["Belief", "FoundLesion", "TrunkSearch", "believe", "measure_lesions"]

SPECK_MM3 = 300.0
"""Smaller pieces of the bone map are not shown: calcified plaques, stones, noise."""
BONE_HU = 120.0
BONE_SHARE = 0.05
"""A piece with fewer pixels above this HU is no bone."""
METAL_REACH_MM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is believed of the maps of a series.

    Attributes:
        maps: on the images, with bone and lesions left out where they are not believed.
        bone: (n, row, column) bool, without lesions' own pixels where the bone map has none.
        contrast_ml: of structures that were taken for bone or lesion and left out.
        contrast_images: (n,) bool: where they lie.
        lesions_left_out: beyond 255.
    """

    maps: MapStack
    bone: NDArray[np.bool_] = field(repr=False)
    contrast_ml: float
    contrast_images: NDArray[np.bool_] = field(repr=False)
    lesions_left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class FoundLesion:
    """One lesion before it is put into words.

    Attributes:
        shape: on the CT's own grid.
        probability: mean of the upper half.
        peak: highest.
        character: with its reason and shares.
        site: with its reason.
        near_metal: within 10 mm.
    """

    shape: LesionShape
    probability: float
    peak: float
    character: Character
    character_reason: str
    lytic_share: float | None
    blastic_share: float | None
    site: Site
    near_metal: bool


@dataclass(frozen=True, slots=True, eq=False)
class TrunkSearch:
    """Lesions of a series.

    Attributes:
        lesions: the largest first; their labels in ``mask`` are 1, 2...
        own_bone: what they were compared with.
        too_small: pieces left out because of their volume.
    """

    lesions: tuple[FoundLesion, ...]
    own_bone: OwnBone | None
    too_small: int


def believe(images: SeriesImages, maps: Mapping[str, NDArray[np.uint8]], *, options: LesionOptions) -> Belief:
    """Leave out contrast and specks, and label the lesions that lie in what is left.

    Args:
        images: of the series.
        maps: "bone" and "lesion", bytes; the arrays are changed.
        options: thresholds.
    """
    bone_map, lesion_map = maps["bone"], maps["lesion"]
    bone_level, lesion_level = level_of(options.bone_threshold), level_of(options.threshold)
    bone = bone_map >= bone_level
    contrast = find_contrast(images, bone | (lesion_map >= lesion_level))
    for one in (bone_map, lesion_map):
        one[contrast] = 0
    bone &= ~contrast
    bone = _without_specks(images, bone, lesion_map >= lesion_level)
    bone_map[~grown(bone, 1.5)] = 0
    labels, left_out = label_lesions(lesion_map, bone, spacing_mm=images.spacing_mm, options=options)
    return Belief(
        maps=MapStack(
            frame=images.frame,
            slices=images.slices,
            bone=bone_map,
            lesion=lesion_map,
            labels=labels,
            bone_level=bone_level,
            lesion_level=lesion_level,
        ),
        bone=bone,
        contrast_ml=float(np.count_nonzero(contrast)) * float(np.prod(images.spacing_mm)) / 1000,
        contrast_images=np.asarray(contrast.any(axis=(1, 2))),
        lesions_left_out=left_out,
    )


def _without_specks(images: SeriesImages, bone: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bone in pieces that are large and dense enough; a lesion counts to the piece it lies in."""
    import cc3d

    pieces, count = cc3d.connected_components(bone | lesion, connectivity=26, return_N=True)
    if count == 0:
        return bone
    sizes = np.bincount(pieces[bone], minlength=count + 1)
    dense = np.bincount(pieces[bone & (images.grey >= images.grey_of(BONE_HU))], minlength=count + 1)
    kept = (sizes * float(np.prod(images.spacing_mm)) >= SPECK_MM3) & (dense >= BONE_SHARE * sizes)
    kept[0] = False
    return np.asarray(kept[pieces] & bone)


def measure_lesions(
    array: NDArray[np.int16] | NDArray[np.float32],
    images: SeriesImages,
    belief: Belief,
    *,
    spacing_mm: tuple[float, float, float],
    bone_out: NDArray[np.uint8],
    lesions_out: NDArray[np.uint8],
    options: LesionOptions,
    to_head: bool = True,
) -> TrunkSearch:
    """Masks on the CT's own grid, and every lesion measured, characterised and placed.

    Args:
        array: (slice, row, column) HU, rows from front to back.
        images: of it.
        belief: what its maps hold.
        spacing_mm: of the array.
        bone_out: of its shape, zeros; becomes 1 in bone.
        lesions_out: of its shape, zeros; becomes 1, 2... in lesions, the largest first.
        options: of lesions.
        to_head: whether slices follow one another towards the head.
    """
    shapes = draw_outlines(array, belief.maps, spacing_mm=spacing_mm, bone_out=bone_out, lesions_out=lesions_out)
    least = options.min_volume_mm3 / float(np.prod(spacing_mm))
    kept = sorted((shape for shape in shapes if shape.voxels >= least), key=lambda s: (-s.voxels, s.label))
    _renumber(lesions_out, shapes, kept)
    if not kept:
        return TrunkSearch((), None, len(shapes))
    own = measure_own_bone(images, belief.bone, belief.maps.labels, options=options)
    landmarks = find_landmarks(images, belief.bone | (belief.maps.labels > 0), to_head=to_head)
    metal = None if images.metal is None else grown(images.metal, METAL_REACH_MM / images.pixel_mm)
    places = _places(belief.maps.labels)
    found = []
    for shape in kept:
        at = places[shape.label]
        index = tuple(at.T)
        values = belief.maps.lesion[index]
        character, reason, lytic, blastic = judge_character(images.grey[_inner(at)], own, images, options=options)
        found.append(
            FoundLesion(
                shape=shape,
                probability=upper_half_mean(values),
                peak=float(values.max(initial=0)) / 255,
                character=character,
                character_reason=reason,
                lytic_share=lytic,
                blastic_share=blastic,
                site=prove_site(images, landmarks, at),
                near_metal=metal is not None and bool(metal[index].any()),
            )
        )
    numbered = tuple(replace(one, shape=replace(one.shape, label=n)) for n, one in enumerate(found, start=1))
    return TrunkSearch(numbered, own, len(shapes) - len(kept))


def _renumber(lesions: NDArray[np.uint8], shapes: list[LesionShape], kept: list[LesionShape]) -> None:
    """Labels 1, 2... in the order of ``kept``; the others become 0."""
    table = np.zeros(256, dtype=np.uint8)
    for number, shape in enumerate(kept, start=1):
        table[shape.label] = number
    used = {k for shape in shapes for k in range(shape.start[0], shape.stop[0])}
    for k in used:
        lesions[k] = table[lesions[k]]


def _places(labels: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """(m, 3) pixels of every label."""
    everywhere = np.argwhere(labels)
    values = labels[tuple(everywhere.T)]
    order = np.argsort(values, kind="stable")
    numbers, starts = np.unique(values[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(everywhere[order], starts[1:]), strict=True))


def _inner(places: NDArray[np.int64], least: int = 12) -> tuple[NDArray[np.int64], ...]:
    """Index of the pixels whose four neighbours are lesion: the rim holds parts of what lies around.

    All of them where fewer than ``least`` would be left.
    """
    low = places.min(axis=0)
    block = np.zeros(places.max(axis=0) - low + 3, dtype=np.bool_)
    n, row, column = (places - low + 1).T
    block[n, row, column] = True
    inside = block[n, row - 1, column] & block[n, row + 1, column]
    inside &= block[n, row, column - 1] & block[n, row, column + 1]
    chosen = places[inside] if np.count_nonzero(inside) >= least else places
    return tuple(chosen.T)
