"""From a series to what is found in it: maps of a segmenter, bone without contrast and specks, lesions, surfaces.

A segmenter is given images in slabs, cropped to the body; its maps are kept as bytes. What is not shown to the network
cannot hold bone: slices without any voxel of 100 HU, and what is beyond the body's box (air, where the images are
black). A crop ends in the same black that pads an image, so the network sees no new edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from osteon.errors import WeightsError
from osteon.mesh import extract_surface, simplify, smooth_taubin
from osteon.ops.lesions import (
    LesionOptions,
    find_contrast,
    find_density_pattern,
    grown,
    label_lesions,
    level_of,
    measure_reference_bone,
    upper_half_mean,
)
from osteon.ops.outlines import LesionShape, MapStack, draw_outlines
from osteon.ops.series_images import BONE_WINDOW_HU, PIXEL_MM, neighbour_indices, padded_part
from osteon.ops.skeleton_site import Site, find_landmarks, prove_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from osteon.data import ModelUse, Surface
    from osteon.data.options import Progress
    from osteon.geometry import Grid
    from osteon.ops.lesions import DensityPattern, OwnBone
    from osteon.ops.series_images import SeriesImages
    from osteon.weights import ModelCard

__all__ = [
    "LEAST_BONE_HU",
    "CleanMaps",
    "FoundLesion",
    "ImageOptions",
    "Segmenter",
    "TrunkSearch",
    "body_box",
    "clean_maps",
    "colour_of",
    "lesion_surfaces",
    "map_series",
    "measure_lesions",
]


SPECK_MM3 = 300.0
"""Smaller pieces of the bone map are not shown: calcified plaques, stones, noise."""
BONE_HU = 120.0
BONE_SHARE = 0.05
"""A piece with fewer pixels above this HU is not bone."""
METAL_REACH_MM = 10.0
METAL_SHARE = 0.2
"""A piece of the lesion map with so much of it in an implant is the implant."""


LEAST_BONE_HU = 100.0
"""A slice without a single voxel this dense shows no bone."""
SLAB = 32
"""Images given to the segmenter at a time."""
MARGIN_PX = 16
"""As much black as the training images have around a body."""

LESION_TRIANGLES = 20_000

LESION_COLOURS: Final = (
    (214, 39, 40),
    (255, 127, 14),
    (148, 103, 189),
    (44, 160, 44),
    (31, 119, 180),
    (227, 119, 194),
    (23, 190, 207),
    (188, 189, 34),
)


@dataclass(frozen=True, slots=True, eq=False)
class CleanMaps:
    """The maps of a series without what is not plausible.

    Attributes:
        maps: on the images, with bone and lesions left out where they are not plausible.
        bone: (n, row, column) bool: the bone that was found without the network, and what the network adds to it, as
            where a lesion destroyed it; without lesions' own pixels where neither has any.
        contrast_ml: of structures that the network took for bone or lesion and that were left out.
        contrast_images: (n,) bool: where they are.
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
        density_pattern: with its reason and shares.
        site: with its reason.
        near_metal: within 10 mm.
    """

    shape: LesionShape
    probability: float
    peak: float
    density_pattern: DensityPattern
    density_pattern_reason: str
    lytic_share: float | None
    blastic_share: float | None
    site: Site
    near_metal: bool


@dataclass(frozen=True, slots=True, eq=False)
class TrunkSearch:
    """Lesions of a series.

    Attributes:
        lesions: the largest first; their labels in ``mask`` are 1, 2...
        reference_bone: what they were compared with.
        too_small: pieces left out because of their volume.
    """

    lesions: tuple[FoundLesion, ...]
    reference_bone: OwnBone | None
    too_small: int


def clean_maps(
    images: SeriesImages,
    maps: Mapping[str, NDArray[np.uint8]],
    own: NDArray[np.bool_],
    implant: NDArray[np.bool_],
    *,
    options: LesionOptions,
) -> CleanMaps:
    """Leave out contrast, metal and specks, and label the lesions in what is left; the lesion map is changed.

    ``own`` and ``implant`` are what was found without the network, on the images.
    """
    bone_map, lesion_map = maps["bone"], maps["lesion"]
    bone_level, lesion_level = level_of(options.bone_threshold), level_of(options.threshold)
    bone = bone_map >= bone_level
    contrast = find_contrast(images, bone | (lesion_map >= lesion_level))
    lesion_map[contrast | implant | _about_metal(lesion_map >= lesion_level, implant)] = 0
    bone &= ~(contrast | implant)
    bone = own | _without_specks(images, bone, lesion_map >= lesion_level)
    labels, left_out = label_lesions(lesion_map, bone, spacing_mm=images.spacing_mm, options=options)
    return CleanMaps(
        maps=MapStack(
            frame=images.frame, slices=images.slices, lesion=lesion_map, labels=labels, lesion_level=lesion_level
        ),
        bone=bone,
        contrast_ml=float(np.count_nonzero(contrast)) * float(np.prod(images.spacing_mm)) / 1000,
        contrast_images=np.asarray(contrast.any(axis=(1, 2))),
        lesions_left_out=left_out,
    )


def _about_metal(lesion: NDArray[np.bool_], implant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pieces of the lesion map that lie in an implant to a good part: what is beside the metal is its shine."""
    import cc3d

    if not implant.any():
        return np.zeros_like(lesion)
    pieces, count = cc3d.connected_components(lesion, connectivity=26, return_N=True)
    inside = np.bincount(pieces[lesion & implant], minlength=count + 1)
    barred = inside >= METAL_SHARE * np.bincount(pieces[lesion], minlength=count + 1)
    barred[0] = False
    return np.asarray(barred[pieces])


def _without_specks(images: SeriesImages, bone: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bone in pieces that are large and dense enough; a lesion counts to the piece it is in."""
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
    clean: CleanMaps,
    *,
    spacing_mm: tuple[float, float, float],
    implant: NDArray[np.bool_],
    lesions_out: NDArray[np.uint8],
    options: LesionOptions,
    to_head: bool = True,
) -> TrunkSearch:
    """The mask of the lesions on the CT's own grid, and every lesion measured, characterised and placed.

    The array has its rows from front to back. ``implant`` is bool of its shape, where no lesion is; ``lesions_out`` are
    zeros of its shape and become 1, 2... in lesions, the largest first. ``to_head``: slices follow one another towards
    the head.
    """
    shapes = draw_outlines(array, clean.maps, spacing_mm=spacing_mm, barred=implant, lesions_out=lesions_out)
    least = options.min_volume_mm3 / float(np.prod(spacing_mm))
    kept = sorted((shape for shape in shapes if shape.voxels >= least), key=lambda s: (-s.voxels, s.label))
    _renumber(lesions_out, shapes, kept)
    if not kept:
        return TrunkSearch((), None, len(shapes))
    own = measure_reference_bone(images, clean.bone, clean.maps.labels, options=options)
    landmarks = find_landmarks(images, clean.bone | (clean.maps.labels > 0), to_head=to_head)
    metal = None if images.metal is None else grown(images.metal, METAL_REACH_MM / images.pixel_mm)
    places = _places(clean.maps.labels)
    found = []
    for shape in kept:
        at = places[shape.label]
        index = tuple(at.T)
        values = clean.maps.lesion[index]
        density_pattern, reason, lytic, blastic = find_density_pattern(
            images.grey[_inner(at)], own, images, options=options
        )
        found.append(
            FoundLesion(
                shape=shape,
                probability=upper_half_mean(values),
                peak=float(values.max(initial=0)) / 255,
                density_pattern=density_pattern,
                density_pattern_reason=reason,
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
    """Index of the pixels whose four neighbours are lesion: the rim holds parts of what is around.

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


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How a segmenter's images are made of slices: the parameters of the preprocessing in its card.

    Attributes:
        window_hu: lowest and highest HU of the window, grey 0 and 255.
        pixel_mm: side of a pixel.

    Raises:
        ValueError: the window has no width, or a pixel no size.
    """

    window_hu: tuple[float, float] = BONE_WINDOW_HU
    pixel_mm: float = PIXEL_MM

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.window_hu[0] >= self.window_hu[1] or not self.pixel_mm > 0:
            raise ValueError(f"the window {self.window_hu} HU has no width, or a pixel of {self.pixel_mm} mm no size")


class Segmenter(Protocol):
    """What a reading needs of a ``Predictor`` whose output is maps.

    Attributes:
        card: of the model; None for one without a card.
    """

    card: ModelCard | None

    def maps(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[np.float32]]:
        """Maps (n, row, column) by name, of images as the card says; sides are multiples of 16."""

    def use(self) -> ModelUse:
        """The record of the model for a result."""


def map_series(
    images: SeriesImages, segmenter: Segmenter, *, size_step: int = 16, progress: Progress
) -> dict[str, NDArray[np.uint8]]:
    """Maps "bone" and "lesion" of every image of a series, 255 for probability 1.

    Raises:
        WeightsError: the model gives no map of bone or of lesions.
    """
    shown = np.flatnonzero(images.highest_hu >= LEAST_BONE_HU)
    maps = {name: np.zeros(images.grey.shape, dtype=np.uint8) for name in ("bone", "lesion")}
    rows, columns = body_box(images, shown, size_step)
    neighbours = segmenter.card.image.neighbours if segmenter.card else 0
    around = neighbour_indices(np.arange(len(images.grey)), neighbours)
    step = "bone and lesions"
    progress(step, 0, int(shown.size))
    for first in range(0, shown.size, SLAB):
        slab = shown[first : first + SLAB]
        given = np.ascontiguousarray(images.grey[around[slab] if neighbours else slab, ..., rows, columns])
        found = segmenter.maps(given)
        for name, whole in maps.items():
            if name not in found:
                raise WeightsError(
                    f"the model gives no map {name!r} (it gives {', '.join(sorted(found))}): name a segmentation model "
                    "of task ct_metastasis with --model"
                )
            whole[slab, rows, columns] = np.asarray(found[name] * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        progress(step, int(min(first + SLAB, shown.size)), int(shown.size))
    return maps


def body_box(images: SeriesImages, shown: NDArray[np.int64], size_step: int) -> tuple[slice, slice]:
    """Rows and columns that hold all of the body in all images, with a margin, in multiples of the step."""
    highest = images.grey[shown].max(axis=0) if shown.size else np.zeros(images.frame.size, dtype=np.uint8)
    body = highest > images.grey_of(-250.0)
    rows, columns = (
        padded_part(np.asarray(body.any(axis=1 - axis)), margin=MARGIN_PX, step=size_step) for axis in (0, 1)
    )
    return rows, columns


def lesion_surfaces(
    lesions_mask: NDArray[np.uint8], lesions: tuple[FoundLesion, ...], *, grid: Grid, progress: Progress
) -> tuple[Surface, ...]:
    """Surfaces "lesion_1", "lesion_2"... in that order."""
    step = "surfaces"
    surfaces = []
    for number, one in enumerate(lesions, start=1):
        progress(step, number - 1, len(lesions))
        shape = one.shape
        block = tuple(slice(a, b) for a, b in zip(shape.start, shape.stop, strict=True))
        surface = extract_surface(
            lesions_mask[block] == shape.label,
            grid.crop(shape.start, shape.stop),
            name=f"lesion_{shape.label}",
            colour=(*colour_of(shape.label), 255),
        )
        surfaces.append(simplify(smooth_taubin(surface), target_triangles=LESION_TRIANGLES))
    return tuple(surfaces)


def colour_of(number: int) -> tuple[int, int, int]:
    """Display colour of lesion 1, 2...; they come again after eight."""
    return LESION_COLOURS[(number - 1) % len(LESION_COLOURS)]
