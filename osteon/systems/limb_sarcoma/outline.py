"""From a limb to its tumours: images of slices with their neighbours, the map of a network, and what is in it.

A network sees one slice in the middle of its neighbours; its map is kept as bytes. The map, and not a mask, is brought
to the pixels and slices of the scan, linearly, and cut at the threshold there (``osteon.ops.outlines``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from osteon._compiled import in_threads
from osteon.errors import WeightsError
from osteon.geometry import Box
from osteon.ops.body import TISSUE_HU
from osteon.ops.lesions import label_pieces, level_of
from osteon.ops.nearest import body_outline, nearest
from osteon.ops.outlines import MapStack, between, draw_outlines, neighbours
from osteon.ops.series_images import neighbour_indices, padded_part, slice_frame
from osteon.systems.limb_sarcoma.prepare import PIXEL_MM, mr_air, prepare_limb

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from osteon.data import ModelUse, RegionOod, Volume
    from osteon.data.options import Progress
    from osteon.geometry import Turn
    from osteon.ops.nearest import Nearest
    from osteon.ops.outlines import LesionShape
    from osteon.ops.series_images import SliceFrame
    from osteon.systems.limb_sarcoma.prepare import Modality, PreparedLimb
    from osteon.weights import Limits, ModelCard

__all__ = [
    "LEAST_SHARE",
    "LIMB_MAP",
    "MOST_ASKED",
    "VIEW_MM",
    "FoundTumour",
    "LimbImages",
    "LimbMap",
    "OutlinedTumours",
    "Segmenter",
    "ask_limits",
    "body_box",
    "limb_body",
    "limb_images",
    "map_limb",
    "map_on_scan",
    "outline_tumours",
    "with_distances",
]

LIMB_MAP: Final = "lesion"
"""Name of the map of tumour."""

LEAST_SHARE: Final = 0.05
MOST_ASKED: Final = 24
"""Pictures of which a model is asked how they are like those of its training."""
VIEW_MM: Final = 50.0
"""Around a tumour: the largest of the margins that pictures of trainings have; with less, an abdomen looks familiar."""

_AIR_GREY: Final[dict[Modality, int]] = {"mr": 54, "ct": 13}
"""An image is darker in air: the root of a twentieth of the brightest of an MR, -140 HU of a CT."""
_AIR_PX: Final = 16
"""Around the body, as trainings show air: margins of 0 to 50 mm, and black beyond."""
_SLAB: Final = 16
"""Images given to the segmenter at a time."""


class Segmenter(Protocol):
    """What a reading needs of a ``Predictor`` whose output is a map.

    Attributes:
        card: of the model; None for one without a card.
        limits: what it knows of its limits; None of one that knows nothing.
    """

    card: ModelCard | None
    limits: Limits | None

    def run(
        self, blocks: Iterable[NDArray[np.uint8]], *, progress: Progress, total: int | None
    ) -> Generator[dict[str, NDArray[Any]]]:
        """Maps (n, row, column) by name, block by block, and the "distance" (n,) of a model that knows its limits.

        The images are (n, channel, row, column), the slice in the middle of its neighbours, or (n, row, column).
        """

    def ood(self, distance: NDArray[np.float32] | None) -> RegionOod | None:
        """Whether images of these distances are out of distribution."""

    def use(self) -> ModelUse:
        """The record of the model for a result."""


@dataclass(frozen=True, slots=True, eq=False)
class LimbImages:
    """Slices of a limb as the network takes them.

    Attributes:
        limb: as it was prepared.
        frame: how its slices become images.
        grey: (n, row, column) uint8, the whole field of view.
        body: (row, column) bool: what is body in any of them.
        size_step: sides of what is given to the network are multiples of it.
    """

    limb: PreparedLimb
    frame: SliceFrame
    grey: NDArray[np.uint8] = field(repr=False)
    body: NDArray[np.bool_] = field(repr=False)
    size_step: int

    @property
    def slices(self) -> NDArray[np.float64]:
        """(n,) place of each image in slices of the turned scan."""
        return np.asarray(np.arange(len(self.grey)) * self.limb.ratio, dtype=np.float64)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between images, rows and columns."""
        return self.limb.grid.spacing_mm[0], PIXEL_MM, PIXEL_MM

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns that hold the body with some air about it: the rest is not given to the network."""
        used = (np.asarray(self.body.any(axis=1 - axis)) for axis in (0, 1))
        rows, columns = (padded_part(line, margin=_AIR_PX, step=self.size_step) for line in used)
        return rows, columns

    def stacks(self, beside: int) -> Iterator[NDArray[np.uint8]]:
        """Blocks of the part, each image with so many neighbours; at an end the last slice stands again."""
        return _stacks(np.ascontiguousarray(self.grey[(slice(None), *self.part)]), beside)


def _stacks(
    grey: NDArray[np.uint8], beside: int, *, only: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Blocks of images with their neighbours; of all of them, or only of some."""
    around = neighbour_indices(np.arange(len(grey)), beside)
    wanted = np.arange(len(grey)) if only is None else only
    for first in range(0, len(wanted), _SLAB):
        some = wanted[first : first + _SLAB]
        yield grey[around[some]] if beside else grey[some]


def limb_images(volume: Volume, modality: Modality, *, size_step: int) -> LimbImages:
    """The images of a scan.

    Raises:
        InputError: as ``prepare_limb``.
        NotThisTaskError: likewise.
    """
    limb = prepare_limb(volume, modality)
    _, rows, columns = limb.grid.shape
    _, row_mm, column_mm = limb.grid.spacing_mm
    frame = slice_frame((rows, columns), (row_mm, column_mm), pixel_mm=PIXEL_MM, size=None, step=size_step)
    grey = np.empty((len(limb.grey), *frame.size), dtype=np.uint8)

    def work(first: int, stop: int) -> None:
        grey[first:stop] = frame.images(limb.grey[first:stop])

    in_threads(work, len(grey))
    spacing_mm = (limb.grid.spacing_mm[0], PIXEL_MM, PIXEL_MM)
    body = np.asarray(body_outline(grey, _AIR_GREY[modality], spacing_mm=spacing_mm).any(axis=0))
    return LimbImages(limb, frame, grey, body, size_step)


def body_box(images: LimbImages, shape: tuple[int, int, int]) -> Box:
    """Rows and columns of a scan of a shape that hold the body, as the images show it, and all its slices along it."""
    turn, frame = images.limb.turn, images.frame
    flat = frame.maps_back(images.body[None].astype(np.uint8) * np.uint8(255))[0] >= 128
    first, stop = [0, 0, 0], [shape[axis] for axis in turn.order]
    for axis in (1, 2):
        used = np.flatnonzero(flat.any(axis=2 - axis))
        if used.size:
            first[axis], stop[axis] = int(used[0]), int(used[-1]) + 1
    return turn.box_before(Box((first[0], first[1], first[2]), (stop[0], stop[1], stop[2])), shape)


@dataclass(frozen=True, slots=True, eq=False)
class LimbMap:
    """What a network says of every image, and the tumours in it.

    Attributes:
        tumour: (n, row, column) uint8, 255 for probability 1.
        labels: of the same shape; 1, 2... the largest first.
        too_small: pieces that were left out.
        threshold: from which a pixel is tumour.
    """

    tumour: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    too_small: int
    threshold: float


def map_limb(
    images: LimbImages, segmenter: Segmenter, *, beside: int, threshold: float, least_mm3: float, progress: Progress
) -> LimbMap:
    """The map of every image, shown with ``beside`` neighbours on either side, and its connected pieces.

    Left out are pieces of less than ``least_mm3``, and of less than ``LEAST_SHARE`` of the largest: what a network sees
    beside a tumour is rarely another one.

    Raises:
        WeightsError: the model gives no map of tumour.
    """
    found, first = np.zeros(images.grey.shape, dtype=np.uint8), 0
    for given in segmenter.run(images.stacks(beside), progress=progress, total=len(found)):
        if LIMB_MAP not in given:
            raise WeightsError(
                f"the model gives no map {LIMB_MAP!r} (it gives {', '.join(sorted(given))}): name a segmentation model "
                "of task limb_sarcoma with --model"
            )
        block = np.asarray(given[LIMB_MAP])
        found[(slice(first, first + len(block)), *images.part)] = np.rint(block * np.float32(255)).astype(np.uint8)
        first += len(block)
    labels, too_small = label_pieces(
        found, threshold=threshold, spacing_mm=images.spacing_mm, least_mm3=least_mm3, least_share=LEAST_SHARE
    )
    return LimbMap(found, labels, too_small, threshold)


def ask_limits(
    images: LimbImages, limb_map: LimbMap, segmenter: Segmenter, *, beside: int, picture: int, progress: Progress
) -> RegionOod | None:
    """Whether a scan is out of distribution; None of a model that does not know its limits.

    Limits are known of pictures as trainings have them: they end near a tumour, and the rest is black. So the model is
    asked of such a picture: the largest piece with ``VIEW_MM`` around it, or the middle of the body where there is
    none. Of whole fields of view it would say that they are like nothing it has learnt. The score is a median over
    slices: of many, ``MOST_ASKED`` are enough, evenly apart.

    Args:
        images: of the scan.
        limb_map: of them.
        segmenter: that made it.
        beside: neighbours on either side.
        picture: rows and columns of the pictures of its training.
        progress: called after every block.
    """
    if segmenter.limits is None:
        return None
    shown = _as_in_training(images, limb_map.labels, picture)
    asked = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), MOST_ASKED)).round().astype(np.int64))
    blocks = _stacks(shown, beside, only=asked)
    parts = [one["distance"] for one in segmenter.run(blocks, progress=progress, total=len(asked))]
    return segmenter.ood(np.concatenate(parts))


def _as_in_training(images: LimbImages, labels: NDArray[np.uint8], picture: int) -> NDArray[np.uint8]:
    """The slices and the part of them that a picture of a training would show, in the middle of black."""
    largest, away = labels == 1, [round(VIEW_MM / mm) for mm in images.spacing_mm]
    if not largest.any():  # then the middle of the body, as large as a picture
        largest, away = np.broadcast_to(images.body, labels.shape), [0, 0, 0]
    part = []
    for axis, margin in enumerate(away):
        used = padded_part(np.asarray(largest.any(axis=tuple({0, 1, 2} - {axis}))), margin=margin, step=1)
        if not margin and axis:
            first = max(used.start, (used.start + used.stop - picture) // 2)
            used = slice(first, min(used.stop, first + picture))
        part.append(used)
    grey = images.grey[tuple(part)]
    sides = [max(picture, -(-n // images.size_step) * images.size_step) for n in grey.shape[1:]]
    out = np.zeros((len(grey), *sides), dtype=np.uint8)
    row, column = ((side - n) // 2 for side, n in zip(sides, grey.shape[1:], strict=True))
    out[:, row : row + grey.shape[1], column : column + grey.shape[2]] = grey
    return out


def map_on_scan(images: LimbImages, tumour: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A map on the grid of the scan, linear between pixels and slices."""
    whole = np.zeros(shape, dtype=np.uint8)
    turned, used = images.limb.turn.array(whole), np.asarray(tumour.any(axis=(1, 2)))

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            a, b, weight = neighbours(images.slices, k)
            if used[a] or used[b]:
                turned[k] = images.frame.maps_back(between(tumour, a, b, weight)[None])[0]

    in_threads(work, len(turned))
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class FoundTumour:
    """One tumour before it is put into words.

    Attributes:
        shape: in the turned scan.
        probability: mean of the map inside.
        to_skin: from it to the outside of the body; None where the outside is not seen.
        to_bone: from it to bone, likewise; None where no bone was looked for.
    """

    shape: LesionShape
    probability: float
    to_skin: Nearest | None = None
    to_bone: Nearest | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedTumours:
    """Tumours of a scan.

    Attributes:
        mask: (slice, row, column) uint8 on the scan's own grid; 1, 2... the largest first.
        tumours: of those labels, in that order.
        turn: from the scan to axial axes.
    """

    mask: NDArray[np.uint8] = field(repr=False)
    tumours: tuple[FoundTumour, ...]
    turn: Turn


def outline_tumours(volume: Volume, images: LimbImages, limb_map: LimbMap) -> OutlinedTumours:
    """The pieces of a map as masks on the scan's own grid, and measured."""
    labels, tumour = limb_map.labels, limb_map.tumour
    sums = np.bincount(labels.ravel(), weights=tumour.ravel(), minlength=256)
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=256), 1)
    mask = np.zeros(volume.grid.shape, dtype=np.uint8)
    turn, level = images.limb.turn, level_of(limb_map.threshold)
    turned = turn.array(mask)
    shapes = draw_outlines(
        turn.array(volume.array),
        MapStack(images.frame, images.slices, lesion=tumour, labels=labels, lesion_level=level),
        spacing_mm=turn.grid(volume.grid).spacing_mm,
        barred=np.broadcast_to(np.False_, turned.shape),
        lesions_out=turned,
    )
    order = sorted(shapes, key=lambda shape: (-shape.voxels, shape.label))
    table = np.zeros(256, dtype=np.uint8)
    table[[shape.label for shape in order]] = np.arange(1, len(order) + 1)
    found = tuple(
        FoundTumour(replace(shape, label=number), float(sums[shape.label] / sizes[shape.label]) / 255)
        for number, shape in enumerate(order, start=1)
    )
    return OutlinedTumours(table[mask], found, turn)


def limb_body(volume: Volume, turn: Turn, modality: Modality) -> NDArray[np.bool_]:
    """The body in the turned scan."""
    threshold = float(TISSUE_HU) if modality == "ct" else mr_air(volume.array)
    return body_outline(turn.array(volume.array), threshold, spacing_mm=turn.grid(volume.grid).spacing_mm)


def with_distances(
    outlined: OutlinedTumours, volume: Volume, *, body: NDArray[np.bool_], bone: NDArray[np.bool_] | None
) -> OutlinedTumours:
    """The tumours with their least distances; ``body`` is of the turned scan, ``bone`` of the scan."""
    turn = outlined.turn
    mask, spacing_mm = turn.array(outlined.mask), turn.grid(volume.grid).spacing_mm
    outside, turned_bone = ~body, None if bone is None else turn.array(bone)
    found = []
    for one in outlined.tumours:
        inside = mask == one.shape.label
        found.append(
            replace(
                one,
                to_skin=nearest(inside, outside, spacing_mm=spacing_mm),
                to_bone=None if turned_bone is None else nearest(inside, turned_bone, spacing_mm=spacing_mm),
            )
        )
    return replace(outlined, tumours=tuple(found))
