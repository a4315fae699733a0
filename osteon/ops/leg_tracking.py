"""Legs followed through a series of block maps, touching legs parted.

A slice alone cannot say which of its parts are legs: toes are many parts, two touching feet are one. So the walk starts
at the slice where two legs are most clearly side by side and goes up and down from there; what overlapped a leg in the
last slice belongs to it in this one. A part that overlaps both legs is divided along its neck: every pixel runs uphill
on the distance to the skin to the thickest place it can reach, and that place belongs to the leg it overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.ops.body import basins, grow_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.body import BodyMaps

__all__ = ["Tracks", "follow_legs"]

MIN_AREA_MM2 = 300.0
"""Smaller parts of a slice (a toe) are not a leg by themselves; they join the leg they hang on."""

PAIR_AREA_RATIO = 0.3
"""Of two legs in one slice the thinner has at least this share of the thicker; a hand beside a thigh has less."""

SOLID_BONE = 0.3
"""Share of a block that is bone, from which the block counts as bone."""

NECK_LIMIT = 0.8
"""Two legs touch along less than this share of the thinner one's diameter; the halves of a trunk touch along all of
it."""

MOST_PARTS = 60
"""Parts looked at, the largest first; the rest is dust."""

IGNORED = 255
"""Label of parts with bone that are not a leg."""

THIGH_AREA_MM2 = 12000.0
"""A leg thicker than this is a thigh, a knee or a thick calf: one round part, unlike a foot."""

ARM_AREA_MM2 = 800.0
"""The cross-section of a hand or a forearm is larger."""

NEW_AREA_MM2 = 150.0
"""A finger is thicker; a thigh that gained less than this since the last slice gained no arm."""

HIP_REACH_MM = 120.0
"""From the crotch to the top of the femoral head."""

REACH_MM = 40.0
"""Tissue this far from the opened foreground still belongs to the leg: toes, skin, the tip of a stump."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Which leg each block belongs to."""

    count: int  # 1 or 2 legs
    # (slice, block row, block column) uint8: 0 none, 1 the leg at lower columns (or the only one), 2 the other
    labels: NDArray[np.uint8] = field(repr=False)
    touching: NDArray[np.bool_] = field(repr=False)  # (slice,) where one part of the slice was divided between two legs
    # (slice,) where the halves touch over their whole thickness, as in a trunk
    merged: NDArray[np.bool_] = field(repr=False)
    # (slice,) merged, but within HIP_REACH_MM of legs that are not: the thigh bones reach up to there
    hips: NDArray[np.bool_] = field(repr=False)
    ignored_parts: int  # parts with bone that are not a leg (hands, arms)


def _in_plane_distance_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Distance of every block to the outside, slice by slice; the edge of the picture counts as outside."""
    import edt

    # slices a kilometre apart: the nearest outside is then always in the same slice
    distance = edt.edt(mask, anisotropy=(1e6, spacing_mm[1], spacing_mm[2]), black_border=False)
    reach = max(mask.shape[1] * spacing_mm[1], mask.shape[2] * spacing_mm[2])
    return np.asarray(np.minimum(distance, np.float32(reach)))


def _candidate_parts(maps: BodyMaps) -> tuple[NDArray[np.uint8], int]:
    """Parts of the body that may be legs: connected through the series and holding bone."""
    import cc3d

    labels = cc3d.connected_components(maps.body, connectivity=6)
    count = int(labels.max())
    ranks = np.zeros(count + 1, dtype=np.uint8)
    if count == 0:
        return ranks[labels], 0
    volumes = np.bincount(labels.ravel(), minlength=count + 1)
    bone = np.bincount(labels.ravel(), weights=maps.bone.ravel(), minlength=count + 1)
    volumes[0] = 0
    with_bone = [
        int(i) for i in np.argsort(-volumes, kind="stable") if volumes[i] >= 4 and bone[i] >= 0.004 * volumes[i]
    ]
    ignored = 0
    main: NDArray[np.int64] | None = None
    for rank, part in enumerate(with_bone[:MOST_PARTS], start=1):
        area = np.count_nonzero(labels == part, axis=(1, 2))
        if main is None:
            main = area
        thin = _is_thin_beside(area, main)
        ignored += thin
        ranks[part] = IGNORED if thin else rank
    return ranks[labels], ignored


def _is_thin_beside(area: NDArray[np.int64], main: NDArray[np.int64]) -> bool:
    """Whether a part is much thinner than the main part in the slices that show both."""
    both = (area > 0) & (main > 0)
    if np.count_nonzero(both) < 0.5 * np.count_nonzero(area):
        return False
    return float(np.median(area[both] / main[both])) < PAIR_AREA_RATIO / 2


class _Walk:
    """State of the walk through the slices; lives inside ``follow_legs`` only."""

    def __init__(self, maps: BodyMaps, candidates: NDArray[np.bool_]) -> None:
        from scipy import ndimage

        self.maps = maps
        structure = np.zeros((3, 3, 3), dtype=np.bool_)
        structure[1] = True
        labels, _ = ndimage.label(candidates, structure=structure)
        self.parts: NDArray[np.int32] = np.asarray(labels, dtype=np.int32)
        self.distance = _in_plane_distance_mm(candidates, maps.spacing_mm)
        depth = candidates.shape[0]
        self.labels: NDArray[np.uint8] = np.zeros(candidates.shape, dtype=np.uint8)
        self.touching = np.zeros(depth, dtype=np.bool_)
        self.merged = np.zeros(depth, dtype=np.bool_)
        self.peaks = np.empty(candidates.shape[1:], dtype=np.int32)
        self.arms = np.zeros(candidates.shape, dtype=np.bool_)
        self.anchors: list[NDArray[np.float64]] = []

    def anchor(self, labels: NDArray[np.uint8]) -> None:
        """Remember where the legs are, when both are seen."""
        if all((labels == side).any() for side in (1, 2)):
            self.anchors = [self.centre(labels == side) for side in (1, 2)]

    def numbers(self, k: int) -> NDArray[np.int64]:
        """Labels of the parts of a slice."""
        found = np.unique(self.parts[k])
        return found[found > 0].astype(np.int64)

    def two_separate(self, k: int) -> float:
        """How clearly a slice shows two legs apart: area of the thinner in mm2, 0 when it does not."""
        area_mm2 = self.maps.block_area_mm2
        flat = self.parts[k].ravel()
        numbers, sizes = np.unique(flat[flat > 0], return_counts=True)
        if numbers.size < 2:
            return 0.0
        first, second = np.argsort(-sizes, kind="stable")[:2]
        if sizes[second] < PAIR_AREA_RATIO * sizes[first] or sizes[second] * area_mm2 < 3 * MIN_AREA_MM2:
            return 0.0
        if min(self.maps.bone[k][self.parts[k] == numbers[i]].sum() for i in (first, second)) <= 0.5:
            return 0.0
        apart = self.centre(self.parts[k] == numbers[first]) - self.centre(self.parts[k] == numbers[second])
        if abs(apart[1]) * self.maps.spacing_mm[2] <= abs(apart[0]) * self.maps.spacing_mm[1]:
            return 0.0
        return float(sizes[second]) * area_mm2

    @staticmethod
    def centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Mean (row, column) of a mask."""
        return np.asarray(np.argwhere(mask).mean(axis=0))

    def halves(self, k: int) -> NDArray[np.uint8] | None:
        """The largest part of a slice divided at its neck into a left and a right half; None when it has no neck."""
        numbers = self.numbers(k)
        if numbers.size == 0:
            return None
        sizes = [np.count_nonzero(self.parts[k] == n) for n in numbers]
        mask = self.parts[k] == numbers[int(np.argmax(sizes))]
        if mask.sum() * self.maps.block_area_mm2 < 6 * MIN_AREA_MM2:
            return None
        middle = self.centre(mask)[1]
        basins(np.where(mask, self.distance[k], 0).astype(np.float32), self.peaks)
        columns = self.peaks % mask.shape[1]
        split = np.where(mask, np.where(columns < middle, 1, 2), 0).astype(np.uint8)
        sizes_of_halves = np.bincount(split.ravel(), minlength=3)[1:]
        if sizes_of_halves.min() < PAIR_AREA_RATIO * sizes_of_halves.max() or self.neck_ratio(split) > NECK_LIMIT:
            return None
        if min(self.maps.bone[k][split == side].sum() for side in (1, 2)) <= 0.5:
            return None
        return split

    def neck_ratio(self, split: NDArray[np.uint8]) -> float:
        """Length of the border between two labels, over the extent along it of the label that is shorter that way."""
        beside = np.zeros(split.shape, dtype=np.bool_)
        beside[:, 1:] |= (split[:, 1:] * split[:, :-1]) == 2
        beside[1:] |= (split[1:] * split[:-1]) == 2
        if np.count_nonzero(beside) < 2:
            return 0.0
        block_mm = np.asarray(self.maps.spacing_mm[1:])
        places = np.argwhere(beside) * block_mm
        centred = places - places.mean(axis=0)
        along = np.linalg.svd(centred, full_matrices=False)[2][0]
        extents = [float(np.ptp(np.argwhere(split == side) * block_mm @ along)) for side in (1, 2)]
        return float(np.ptp(places @ along)) / max(min(extents), 1.0)

    def step(self, k: int, before: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels of one slice from those of its neighbour."""
        here = np.zeros(before.shape, dtype=np.uint8)
        shared: list[int] = []
        for number in self.numbers(k):
            mask = self.parts[k] == number
            overlap = np.bincount(before[mask], minlength=3)[1:]
            smaller = np.minimum([np.count_nonzero(before == 1), np.count_nonzero(before == 2)], mask.sum())
            if (overlap > 0.25 * np.maximum(smaller, 1)).all():
                shared.append(int(number))
            elif overlap.any():
                here[mask] = 1 + int(np.argmax(overlap))
            else:
                here[mask] = self._nearest_side(mask, before)
        for number in shared:
            self._divide(k, self.parts[k] == number, before, here)
        self.drop_arms(k, here, before)
        return here

    def drop_arms(self, k: int, here: NDArray[np.uint8], before: NDArray[np.uint8]) -> None:
        """Take hands and arms off a thigh: small parts beside it, and bulges that were not there in the last slice.

        A foot is many parts too, but thinner than a thigh.
        """
        from scipy import ndimage

        for side in (1, 2):
            leg = here == side
            if np.count_nonzero(leg) * self.maps.block_area_mm2 < THIGH_AREA_MM2:
                continue
            if (
                before is not here
                and np.count_nonzero(leg & (before != side)) * self.maps.block_area_mm2 < NEW_AREA_MM2
            ):
                continue
            arm_blocks = ARM_AREA_MM2 / self.maps.block_area_mm2
            parts, _ = ndimage.label(leg)
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            main = parts == int(np.argmax(sizes))
            arm = leg & ~main if sizes.sum() - sizes.max() < PAIR_AREA_RATIO * sizes.max() else np.zeros_like(leg)
            basins(np.where(main, self.distance[k], 0).astype(np.float32), self.peaks)
            for peak in np.unique(self.peaks[main]):
                bulge = self.peaks == peak
                size = np.count_nonzero(bulge)
                known = np.count_nonzero(before[bulge] == side)
                if arm_blocks < size < PAIR_AREA_RATIO * np.count_nonzero(leg) and known < 0.3 * size:
                    arm |= bulge
            here[arm] = 0
            self.arms[k] |= arm

    def _nearest_side(self, mask: NDArray[np.bool_], before: NDArray[np.uint8]) -> int:
        centre = self.centre(mask)
        best, side = np.inf, 0
        for candidate in (1, 2):
            blocks = np.argwhere(before == candidate)
            if blocks.size:
                gap = float(np.sqrt(((blocks - centre) ** 2).sum(axis=1).min()))
                if gap < best:
                    best, side = gap, candidate
        return side

    def _keep_bones_whole(self, k: int, mask: NDArray[np.bool_], split: NDArray[np.uint8]) -> None:
        """Give each bone, with a block around it, to the leg that holds most of it: skin parts legs, not bone."""
        from scipy import ndimage

        bones, count = ndimage.label((self.maps.bone[k] > SOLID_BONE) & mask)
        for number, (rows, columns) in enumerate(ndimage.find_objects(bones), start=1) if count else ():
            around = (slice(max(rows.start - 1, 0), rows.stop + 1), slice(max(columns.start - 1, 0), columns.stop + 1))
            bone = bones[around] == number
            share = np.bincount(split[around][bone], minlength=3)[1:]
            if share.min() == 0:
                continue
            near = ndimage.binary_dilation(bone, structure=np.ones((3, 3), dtype=np.bool_)) & mask[around]
            split[around][near & ((bones[around] == 0) | bone)] = 1 + int(np.argmax(share))

    def _divide(self, k: int, mask: NDArray[np.bool_], before: NDArray[np.uint8], here: NDArray[np.uint8]) -> None:
        basins(np.where(mask, self.distance[k], 0).astype(np.float32), self.peaks)
        centres = [self.centre(before == side) for side in (1, 2)]
        columns = before.shape[1]
        split = np.zeros(before.shape, dtype=np.uint8)
        for peak in np.unique(self.peaks[mask]):
            basin = self.peaks == peak
            overlap = np.bincount(before[basin], minlength=3)[1:]
            if overlap[0] == overlap[1]:
                place = np.array([peak // columns, peak % columns])
                side = 1 + int(np.argmin([np.sum((place - c) ** 2) for c in centres]))
            else:
                side = 1 + int(np.argmax(overlap))
            split[basin] = side
        sizes = np.bincount(split.ravel(), minlength=3)[1:]
        self.touching[k] = True
        # what is thinner than two thighs is not a trunk: feet may touch along all of their length
        thick = sizes.sum() * self.maps.block_area_mm2 > 2 * THIGH_AREA_MM2
        lopsided = bool(sizes.min() < 0.1 * sizes.max())
        self.merged[k] = lopsided or (thick and self.neck_ratio(split) > NECK_LIMIT)
        if self.merged[k]:
            # no neck left: the plane midway between the legs where they last had one
            blocks = np.argwhere(mask)
            nearer = np.argmin([((blocks - c) ** 2).sum(axis=1) for c in self.anchors], axis=0)
            split[tuple(blocks.T)] = nearer.astype(np.uint8) + 1
        self._keep_bones_whole(k, mask, split)
        here[mask] = split[mask]


def _start(walk: _Walk, depth: int) -> tuple[int, NDArray[np.uint8]] | None:
    """The slice with two legs most clearly side by side and its labels; None when there are not enough such slices."""
    filled = [k for k in range(depth) if (walk.parts[k] > 0).any()]
    # a tenth of the series, but never on the word of one slice
    enough = min(len(filled), max(3, len(filled) // 10))
    scores = {k: walk.two_separate(k) for k in filled}
    good = [k for k in filled if scores[k] > 0]
    if len(good) >= enough > 0:
        k = max(good, key=lambda i: scores[i])
        numbers = walk.numbers(k)
        sizes = [np.count_nonzero(walk.parts[k] == n) for n in numbers]
        first, second = (numbers[i] for i in np.argsort(-np.asarray(sizes), kind="stable")[:2])
        pair = sorted((first, second), key=lambda n: float(walk.centre(walk.parts[k] == n)[1]))
        return k, np.select([walk.parts[k] == pair[0], walk.parts[k] == pair[1]], [1, 2], 0).astype(np.uint8)
    halves = {k: split for k in filled if (split := walk.halves(k)) is not None}
    if len(halves) + len(good) >= enough > 0 and halves:
        k = min(halves, key=lambda i: walk.neck_ratio(halves[i]))
        walk.touching[k] = True
        return k, halves[k]
    return None


def follow_legs(maps: BodyMaps) -> Tracks:
    """Follow one or two legs through a series without its table; without a candidate part, one leg that is nowhere."""
    window = _window(maps.body)
    cut = _cut(maps, window)
    ranks, ignored = _candidate_parts(cut)
    candidates = (ranks > 0) & (ranks != IGNORED)
    walk = _Walk(cut, candidates)
    start = _start(walk, candidates.shape[0])
    labels = np.zeros(maps.body.shape, dtype=np.uint8)
    if start is None:
        labels[window] = ranks == 1
        ignored += int(np.unique(ranks[candidates]).size > 1)
    else:
        _walk_from(walk, *start)
        labels[window] = walk.labels
    allowed = maps.tissue.copy()
    # an arm's outermost blocks are half air and not in the body: a block more keeps the leg from growing along them
    allowed[window] &= (ranks != IGNORED) & ~_widened(walk.arms)
    grow_labels(labels, allowed, max(1, round(REACH_MM / min(maps.spacing_mm))))
    return Tracks(
        count=1 if start is None else 2,
        labels=labels,
        touching=walk.touching,
        merged=walk.merged,
        hips=_near_apart(walk, start is not None, maps.spacing_mm[0]),
        ignored_parts=max(ignored, int(walk.arms.any())),
    )


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask and its neighbours in each slice and in the slices beside it."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, structure=np.ones((3, 3, 3), dtype=np.bool_)))


def _near_apart(walk: _Walk, two: bool, slice_mm: float) -> NDArray[np.bool_]:  # noqa: FBT001 - private
    """Merged slices that are close to slices with two legs apart."""
    from scipy import ndimage

    apart = ~walk.merged & np.all([(walk.labels == side).any(axis=(1, 2)) for side in (1, 2)], axis=0)
    if not two or not apart.any():
        return np.zeros(walk.merged.shape, dtype=np.bool_)
    return np.asarray(walk.merged & (ndimage.distance_transform_edt(~apart) * slice_mm <= HIP_REACH_MM))


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """All slices, and the rows and columns in which the mask is anywhere."""
    rows, columns = (
        slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        for used in (np.flatnonzero(mask.any(axis=(0, 2))), np.flatnonzero(mask.any(axis=(0, 1))))
    )
    return slice(0, mask.shape[0]), rows, columns


def _cut(maps: BodyMaps, window: tuple[slice, slice, slice]) -> BodyMaps:
    names = ("body", "tissue", "table", "bone", "metal", "mean_hu")
    return replace(maps, **{name: getattr(maps, name)[window] for name in names})


def _walk_from(walk: _Walk, first: int, seed: NDArray[np.uint8]) -> None:
    """Label every slice, from the first one up and down."""
    walk.drop_arms(first, seed, seed)
    walk.labels[first] = seed
    for order in (range(first + 1, walk.labels.shape[0]), range(first - 1, -1, -1)):
        before = seed
        walk.anchor(seed)
        for k in order:
            here = walk.step(k, before)
            walk.labels[k] = here
            if not walk.merged[k]:
                walk.anchor(here)
            # a leg that is not seen in this slice keeps its last place in memory
            gone = [side for side in (1, 2) if not (here == side).any()]
            before = np.where((here == 0) & np.isin(before, gone), before, here)
