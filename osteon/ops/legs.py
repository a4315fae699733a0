"""The legs of a CT series: where each one is, slice by slice, and whether it is a leg at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.data import Notice, Volume
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, nearest_names
from osteon.geometry import Box
from osteon.ops.body import BodyMaps, map_body, opened_foreground, remove_table, two_largest
from osteon.ops.leg_tracking import Tracks, follow_legs
from osteon.ops.leg_verdict import SliceVerdicts, judge_slices
from osteon.ops.runs import stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Leg", "LegSearch", "Side", "find_legs", "paper_legs"]


Side = Literal["left", "right", "unknown"]

MIN_PRESENT_MM2 = 100.0
"""Less of a leg in a slice (the tip of a toe) gives no crop."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """One leg of a series."""

    side: Side  # of the patient; "unknown" for a single leg without laterality
    box: Box  # on the Volume's grid, one for the whole series
    # (slices of the Volume,) bool: where the leg is seen. False outside the box.
    present: NDArray[np.bool_] = field(repr=False)
    # (slices, 2) centroid (row, column) in voxels; NaN where absent
    centre_line_vox: NDArray[np.float64] = field(repr=False)
    area_mm2: NDArray[np.float64] = field(repr=False)  # (slices,) of the cross-section, skin included; 0 where absent
    # (slices of the box, block rows, block columns) bool: blocks of the box that belong to this leg
    territory: NDArray[np.bool_] = field(repr=False)
    block: int  # pixels along a block of the territory
    # (row, column) in the Volume of the territory's first pixel, at or before the box's corner
    block_origin: tuple[int, int]

    @property
    def name(self) -> str:
        """As a person says it: "left leg", or "leg" when the side is unknown."""
        return "leg" if self.side == "unknown" else f"{self.side} leg"

    def mask(self) -> NDArray[np.bool_]:
        """Where a voxel belongs to this leg and not to the other leg, the table or the air: bool of the box's shape.

        The border runs along blocks of about 4 mm and a block outside the skin: it parts legs, it does not trace them.
        """
        rows = (np.arange(self.box.start[1], self.box.stop[1]) - self.block_origin[0]) // self.block
        columns = (np.arange(self.box.start[2], self.box.stop[2]) - self.block_origin[1]) // self.block
        rows = np.clip(rows, 0, self.territory.shape[1] - 1)
        columns = np.clip(columns, 0, self.territory.shape[2] - 1)
        # columns first: gathering along the last axis of the small array is the cheap one
        return np.ascontiguousarray(self.territory[:, :, columns][:, rows, :])


@dataclass(frozen=True, slots=True, eq=False)
class LegSearch:
    """What a search for legs found."""

    legs: tuple[Leg, ...]  # the right leg before the left one
    notices: tuple[Notice, ...]  # choices and warnings, in words
    is_leg: bool  # the verdict; False only when forced


def find_legs(
    volume: Volume, *, mode: Literal["series", "paper"] = "series", margin_mm: float = 5.0, force: bool = False
) -> LegSearch:
    """Find the legs of a CT series.

    Args:
        volume: CT in HU, slices across the legs, patient supine, prone or on the side, any slice order.
        mode: "series" follows the legs through the volume, takes the table off and parts touching legs; "paper" is the
            published recipe, slice by slice.
        margin_mm: added to each box on all four sides of the picture plane.
        force: go on when the series does not look like legs; the search then carries a warning and ``is_leg`` is False.

    Raises:
        NotThisTaskError: nothing that may be a leg, or (unless forced) the series does not look like legs; with the
            reasons.
        InputError: negative margin.
        UnknownLabelError: no such mode.

    References:
        CT osteosarcoma spec, section 3.
    """
    if margin_mm < 0:
        raise InputError(f"the margin of a box must be 0 mm or more, found {margin_mm}")
    if mode not in ("series", "paper"):
        raise UnknownLabelError(f"no way to find legs is called {mode!r}: {nearest_names(mode, ('series', 'paper'))}")
    maps = remove_table(map_body(volume))
    tracks = follow_legs(maps)
    verdicts = judge_slices(maps, tracks)
    notices = [*_refuse_or_warn(verdicts, force=force), *_maps_notices(volume, maps, tracks, verdicts)]
    if mode == "paper":
        return _paper_search(volume, margin_mm=margin_mm, notices=notices, verdicts=verdicts)
    legs = _legs(volume, maps, tracks, verdicts, margin_mm=margin_mm, force=force)
    if not legs:
        raise NotThisTaskError(
            "asked for the legs of a CT series, found no part large enough in any slice: nothing to read"
        )
    sided, side_notices = _with_sides(volume, legs)
    return LegSearch(sided, (*notices, *side_notices), verdicts.is_leg)


def _refuse_or_warn(verdicts: SliceVerdicts, *, force: bool) -> list[Notice]:
    if verdicts.is_leg:
        return []
    filled = int(np.count_nonzero(verdicts.filled))
    if filled == 0:
        raise NotThisTaskError(
            "asked for the legs of a CT series, found no soft tissue with bone in it in any slice: "
            "choose another series (an empty, constant or wrongly scaled one cannot be read)"
        )
    told = "; ".join(f"{words} ({count} of {filled} slices)" for words, count in verdicts.reasons[:4])
    if not force:
        raise NotThisTaskError(
            f"asked for the legs of a CT series, but this does not look like legs: {told}. "
            "Choose a series of the legs, or force it (--force) if you know better"
        )
    text = f"Forced: the series does not look like legs: {told}. Results may mean nothing."
    return [Notice(code="not-a-leg-forced", text=text, level="warning")]


def _has_metal(maps: BodyMaps, tracks: Tracks) -> bool:
    """At least a quarter of a cubic centimetre of metal inside the legs."""
    block_mm3 = maps.block_area_mm2 * maps.spacing_mm[0]
    return float(maps.metal[tracks.labels > 0].sum()) * block_mm3 > 250.0


def _ranges(flags: NDArray[np.bool_]) -> str:
    return ", ".join(f"{a}" if b - a == 1 else f"{a}-{b - 1}" for a, b in stretches(flags))


def _maps_notices(volume: Volume, maps: BodyMaps, tracks: Tracks, verdicts: SliceVerdicts) -> list[Notice]:
    notices = []
    touching = tracks.touching & verdicts.leg & ~tracks.merged
    hips = tracks.hips & verdicts.leg
    if hips.any():
        text = f"Slices {_ranges(hips)} show the hips, where the legs join the trunk: they were divided in the middle."
        notices.append(Notice(code="hips-divided", text=text, level="warning"))
    if touching.any():
        text = f"The legs touch in slices {_ranges(touching)} and were parted at their neck."
        notices.append(Notice(code="touching-legs-parted", text=text))
    if maps.table.any():
        notices.append(_table_notice(volume, maps, tracks))
    if tracks.ignored_parts:
        text = f"{tracks.ignored_parts} part(s) with bone beside the legs, thin as a hand or an arm, were left out."
        notices.append(Notice(code="other-parts-ignored", text=text))
    if _has_metal(maps, tracks):
        text = "Metal lies in a leg: its streaks may hide or imitate disease, and the bone is less exact around it."
        notices.append(Notice(code="metal-seen", text=text, level="warning"))
    left_out = verdicts.filled & ~verdicts.leg
    if verdicts.is_leg and left_out.any():
        why = verdicts.reasons[0][0] if verdicts.reasons else "they differ from a leg"
        text = f"Slices {_ranges(left_out)} do not look like legs ({why}) and were left out."
        notices.append(Notice(code="slices-left-out", text=text, level="warning"))
    return notices


def _table_notice(volume: Volume, maps: BodyMaps, tracks: Tracks) -> Notice:
    """Which side of the patient the table is on, from world coordinates."""

    def middle(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        k, row, column = (a.mean() for a in np.nonzero(mask))
        centre = (maps.factor - 1) / 2
        return volume.grid.to_lps_mm([k, row * maps.factor + centre, column * maps.factor + centre])

    text = "The table was taken off."
    if (tracks.labels > 0).any():
        towards = middle(maps.table) - middle(tracks.labels > 0)
        if abs(towards[1]) > abs(towards[0]):
            supine = towards[1] > 0
            text = f"The table was taken off; it lies {'behind' if supine else 'in front of'} the legs, "
            text += "as for a patient on the back." if supine else "as for a patient lying face down."
        else:
            text = "The table was taken off; it lies beside the legs, as for a patient on the side."
    return Notice(code="table-removed", text=text)


def _legs(
    volume: Volume, maps: BodyMaps, tracks: Tracks, verdicts: SliceVerdicts, *, margin_mm: float, force: bool
) -> list[Leg]:
    """Legs in the order of their labels; a label without enough tissue gives none."""
    usable = verdicts.filled if force and not verdicts.is_leg else verdicts.leg
    legs = []
    for label in range(1, tracks.count + 1):
        blocks = tracks.labels == label
        present = (np.count_nonzero(blocks, axis=(1, 2)) * maps.block_area_mm2 >= MIN_PRESENT_MM2) & usable
        if present.any():
            seen = np.where(present[:, None, None], tracks.labels, 0).astype(np.uint8)
            legs.append(_leg(volume, maps, seen, label, margin_mm=margin_mm))
    return legs


def _leg(volume: Volume, maps: BodyMaps, labels: NDArray[np.uint8], label: int, *, margin_mm: float) -> Leg:
    blocks = labels == label
    present = np.asarray(blocks.any(axis=(1, 2)))
    f = maps.factor
    _, row_mm, column_mm = volume.grid.spacing_mm
    seen = np.flatnonzero(present)
    bounds = []
    for axis, step_mm in ((1, row_mm), (2, column_mm)):
        used = np.flatnonzero(blocks.any(axis=(0, 3 - axis)))
        count = volume.array.shape[axis]
        # the last block of a row also holds the pixels that fill no block
        stop = count if used[-1] + 1 == blocks.shape[axis] else (int(used[-1]) + 1) * f
        margin = round(margin_mm / step_mm)
        bounds.append((max(0, int(used[0]) * f - margin), min(count, stop + margin)))
    (row_a, row_b), (column_a, column_b) = bounds
    box = Box(start=(int(seen[0]), row_a, column_a), stop=(int(seen[-1]) + 1, row_b, column_b))
    corner = (row_a // f, column_a // f)
    window = (slice(box.start[0], box.stop[0]), slice(corner[0], -(-row_b // f)), slice(corner[1], -(-column_b // f)))
    counts = np.count_nonzero(blocks, axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        row = (blocks.sum(axis=2) @ np.arange(blocks.shape[1])) / counts
        column = (blocks.sum(axis=1) @ np.arange(blocks.shape[2])) / counts
    return Leg(
        side="unknown",
        box=box,
        present=present,
        centre_line_vox=np.stack([row * f + (f - 1) / 2, column * f + (f - 1) / 2], axis=1),
        area_mm2=counts * maps.block_area_mm2,
        territory=_territory(labels[window], label),
        block=f,
        block_origin=(corner[0] * f, corner[1] * f),
    )


def _territory(labels: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
    """Blocks of one leg, and the half-filled ones at its skin; those between two legs go to the first."""
    free = (labels == 0) & ~_with_margin((labels > 0) & (labels < label))
    return np.asarray((labels == label) | (_with_margin(labels == label) & free))


def _with_margin(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks and their eight neighbours in the picture plane."""
    grown = blocks.copy()
    grown[:, 1:] |= blocks[:, :-1]
    grown[:, :-1] |= blocks[:, 1:]
    wide = grown.copy()
    wide[:, :, 1:] |= grown[:, :, :-1]
    wide[:, :, :-1] |= grown[:, :, 1:]
    return wide


def _with_sides(volume: Volume, legs: list[Leg]) -> tuple[tuple[Leg, ...], list[Notice]]:
    """Name the legs; the right one first."""
    from dataclasses import replace

    def world_x(leg: Leg) -> float:
        k = np.flatnonzero(leg.present)
        points = np.column_stack([k, leg.centre_line_vox[k]])
        return float(volume.grid.to_lps_mm(points)[:, 0].mean())

    if len(legs) == 2:
        right, left = sorted(legs, key=world_x)
        return (replace(right, side="right"), replace(left, side="left")), []
    laterality = volume.source.series.laterality if volume.source is not None else ""
    named: dict[str, Side] = {"L": "left", "R": "right"}
    if laterality in named:
        return (replace(legs[0], side=named[laterality]),), []
    middle = float(volume.grid.to_lps_mm([(n - 1) / 2 for n in volume.grid.shape])[0])
    field_mm = volume.grid.shape[2] * volume.grid.spacing_mm[2]
    offset = world_x(legs[0]) - middle
    if field_mm > 300 and abs(offset) > 60:
        side: Side = "left" if offset > 0 else "right"
        text = f"One leg only; called {side} because it lies {abs(offset):.0f} mm to that side of the picture's middle."
        return (replace(legs[0], side=side),), [Notice(code="side-from-position", text=text, level="warning")]
    text = "One leg only, and the series does not say which side it is."
    return (legs[0],), [Notice(code="side-unknown", text=text, level="warning")]


def _paper_search(volume: Volume, *, margin_mm: float, notices: list[Notice], verdicts: SliceVerdicts) -> LegSearch:
    """The literal recipe, in the same words as the series mode."""
    array = volume.array
    whole = array if array.dtype == np.int16 else np.rint(array).astype(np.int16)
    found = paper_legs(np.asarray(whole, dtype=np.int16))
    _, row_mm, column_mm = volume.grid.spacing_mm
    rows, columns = round(margin_mm / row_mm), round(margin_mm / column_mm)
    legs = []
    for i, box in enumerate(found.boxes):
        if box is None:
            continue
        wide = Box(
            start=(box.start[0], max(0, box.start[1] - rows), max(0, box.start[2] - columns)),
            stop=(box.stop[0], min(array.shape[1], box.stop[1] + rows), min(array.shape[2], box.stop[2] + columns)),
        )
        legs.append(
            Leg(
                side="unknown",
                box=wide,
                present=found.area_pixels[i] > 0,
                centre_line_vox=found.centres[i],
                area_mm2=found.area_pixels[i] * row_mm * column_mm,
                territory=np.ones((wide.shape[0], 1, 1), dtype=np.bool_),
                block=max(array.shape[1:]),
                block_origin=(0, 0),
            )
        )
    sided, side_notices = _with_sides(volume, legs)
    text = (
        "The paper's recipe was used to the letter: slices without legs may show the table, touching legs count as one."
    )
    literal = Notice(code="roi-paper", text=text, level="warning")
    return LegSearch(sided, (literal, *notices, *side_notices), verdicts.is_leg)


@dataclass(frozen=True, slots=True, eq=False)
class _PaperLegs:
    """Parts that the recipe calls legs."""

    # (slice, row, column) uint8; 1 the part at lower columns, 2 the other. A slice with one part has it on the side of
    # the picture where its centroid lies.
    labels: NDArray[np.uint8] = field(repr=False)
    # of label 1 and 2 over the whole series, or None where the label does not occur
    boxes: tuple[Box | None, Box | None]
    area_pixels: NDArray[np.int64] = field(repr=False)  # (2, slice)
    centres: NDArray[np.float64] = field(repr=False)  # (2, slice, 2) float: centroid (row, column), NaN where absent


def paper_legs(array: NDArray[np.int16], *, radius: int = 10) -> _PaperLegs:
    """Run the recipe on a series.

    Args:
        array: (slice, row, column) int16 HU, in stored order.
        radius: of the opening's disk, in pixels.

    Raises:
        InputError: the array is not int16.

    References:
        CT osteosarcoma spec, section 3.
    """
    if array.dtype != np.int16:
        raise InputError(f"the paper's recipe runs on whole HU as int16, found {array.dtype}: round and convert first")
    depth, _, columns = array.shape
    labels = np.empty(array.shape, dtype=np.uint8)
    tables = np.zeros((depth, 2, 7), dtype=np.int64)

    def receive(k: int, mask: NDArray[np.bool_]) -> None:
        two_largest(mask, labels[k], tables[k])
        _order_by_column(labels[k], tables[k], columns)

    opened_foreground(array, radius=radius, limits=None, receive=receive)
    area = tables[:, :, 0].T
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = np.stack([tables[:, :, 5].T / area, tables[:, :, 6].T / area], axis=-1)
    return _PaperLegs(labels=labels, boxes=(_box(tables[:, 0]), _box(tables[:, 1])), area_pixels=area, centres=centres)


def _order_by_column(labels: NDArray[np.uint8], table: NDArray[np.int64], columns: int) -> None:
    """Turn ranks by size into sides of the picture; both arrays change in place."""
    if table[0, 0] == 0:
        return
    first = table[0, 6] / table[0, 0]
    second = table[1, 6] / table[1, 0] if table[1, 0] else (columns - 1) / 2
    if first > second:
        table[:] = table[::-1].copy()
        np.copyto(labels, np.array([0, 2, 1], dtype=np.uint8)[labels])


def _box(table: NDArray[np.int64]) -> Box | None:
    seen = np.flatnonzero(table[:, 0])
    if seen.size == 0:
        return None
    rows = table[seen]
    return Box(
        start=(int(seen[0]), int(rows[:, 1].min()), int(rows[:, 3].min())),
        stop=(int(seen[-1]) + 1, int(rows[:, 2].max()), int(rows[:, 4].max())),
    )
