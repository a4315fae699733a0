"""The legs of a CT series: where each one is, slice by slice, and whether it is a leg at all.

What every leg has: skin with air around it, bone inside soft tissue, a cross-section that stays below 450 cm2 a leg,
and no gas, lung or large cavity inside bone. What the other regions have instead: a skull encloses more than any leg
bone, lungs and bowel hold gas, a trunk is one mass with bone at its rim or more area than a leg, and a cut-out patch
has no skin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.data import Notice, Volume
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, nearest_names
from osteon.geometry import Box
from osteon.ops.body import BodyMaps, map_body, opened_foreground, remove_table, two_largest
from osteon.ops.closing import ball_rows, close_ball, fill_holes
from osteon.ops.leg_tracking import Tracks, follow_legs
from osteon.ops.runs import stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.body import BodyMaps
    from osteon.ops.leg_tracking import Tracks

__all__ = ["Leg", "LegSearch", "Side", "SliceVerdicts", "find_legs", "paper_legs"]


Side = Literal["left", "right", "unknown"]

MIN_PRESENT_MM2 = 100.0
"""Less of a leg in a slice (the tip of a toe) gives no crop."""

MAX_LEG_AREA_CM2 = 450.0
"""Cross-section of one leg: a thigh of 75 cm circumference has 450 cm2."""

MAX_CAVITY_CM2 = 60.0
"""Largest area enclosed by bone in a leg: the femoral condyles are about 45 cm2, a small child's skull has 80."""

MAX_GAS_CM2 = 2.0
"""Gas inside one limb in a slice: none in health; trachea, bowel and lungs have more."""

MAX_POCKET_CM2 = 20.0
"""Gas enclosed by all that hangs together in a slice: two touching legs may close a pocket, a chest holds lungs."""

GAS_TEXTS = "gas is inside the body, as in airways, lungs or bowel"

MIN_OPEN_BORDER = 0.25
"""Share of the picture's border that must be air; a patch cut out of a body has none."""

MOST_SIDES_CUT = 3
LEAST_CUT_MM = 15.0
"""A leg may be cut by the edge of a narrow picture on two sides, over this length or more; a patch is cut on more."""

GAS_HU = -400
"""Blocks of mostly gas inside the body."""

OPEN_AIR_HU = -900
"""Outside air; aerated lung is denser."""

RIM_AREA_CM2 = 150.0
RIM_SPREAD = 0.75
RIM_ASPECT = 1.7
"""A round section of this area whose bone is this far out (rms radius against the section's own) is a head or a
trunk; a foot, the only leg part with bone that far out, is long and thin or small."""

MOST_JUDGED = 80
"""Slices looked at."""

MIN_SHARE = 0.5
LONG_STRETCH_MM = 200.0
PAIR_STRETCH_MM = 100.0
"""A series is of the legs when half of the slices with a body are, or when it holds an unbroken stretch this long (the
second: of two legs side by side): a scan from the crest of the hip to the knee, or of the whole body."""


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
    verdicts = _judge_slices(maps, tracks)
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
        text = "Metal is in a leg: its streaks may hide or imitate disease, and the bone is less exact around it."
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
            text = f"The table was taken off; it is {'behind' if supine else 'in front of'} the legs, "
            text += "as for a patient on the back." if supine else "as for a patient lying face down."
        else:
            text = "The table was taken off; it is beside the legs, as for a patient on the side."
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
        text = f"One leg only; called {side} because it is {abs(offset):.0f} mm to that side of the picture's middle."
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
    """Parts that the recipe takes for legs."""

    # (slice, row, column) uint8; 1 the part at lower columns, 2 the other. A slice with one part has it on the side of
    # the picture where its centroid is.
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


@dataclass(frozen=True, slots=True)
class SliceVerdicts:
    """What the slices look like."""

    # (slice,) bool: looks like one or two legs. Slices without a body are False.
    leg: NDArray[np.bool_] = field(repr=False)
    filled: NDArray[np.bool_] = field(repr=False)  # (slice,) bool: something with bone is there
    reasons: tuple[tuple[str, int], ...]  # (words, number of slices), the most frequent first: why slices were not legs
    is_leg: bool  # whether the series is of the legs


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """One leg, or one mass, in one slice, cut to its own rows and columns."""

    mask: NDArray[np.bool_]
    bone: NDArray[np.float32]
    mean_hu: NDArray[np.float32]
    sides_cut: int
    block_mm: tuple[float, float]

    @property
    def block_cm2(self) -> float:
        return self.block_mm[0] * self.block_mm[1] / 100

    @property
    def area_cm2(self) -> float:
        return float(np.count_nonzero(self.mask)) * self.block_cm2

    @property
    def bone_cm2(self) -> float:
        return float(self.bone[self.mask].sum()) * self.block_cm2

    def cavity_cm2(self) -> float:
        """Largest area that bone encloses, the bone itself not counted."""
        from scipy import ndimage

        bone = (self.bone > 0.15) & self.mask
        if np.count_nonzero(bone) * self.block_cm2 * 2 < np.sqrt(MAX_CAVITY_CM2):
            return 0.0
        # the joints of the vault and partial volume leave gaps of a block
        closed = close_ball(bone[None], ball_rows(1.5, flat=True))
        labels, count = ndimage.label(fill_holes(closed)[0] & ~closed[0])
        return float(np.bincount(labels.ravel())[1:].max()) * self.block_cm2 if count else 0.0

    def gas_cm2(self) -> float:
        """Area of gas enclosed by the section; blocks at its outline are half air and do not count."""
        from scipy import ndimage

        filled = np.pad(fill_holes(self.mask[None])[0], 1)
        inside = ndimage.binary_erosion(filled, structure=np.ones((3, 3), dtype=np.bool_))[1:-1, 1:-1]
        return float(np.count_nonzero(inside & (self.mean_hu < GAS_HU))) * self.block_cm2

    def _moments_mm2(self, weight: NDArray[np.float32]) -> NDArray[np.float64]:
        """(2, 2) covariance of the (row, column) positions in mm, weighted."""
        points = np.argwhere(self.mask) * self.block_mm
        weights = np.asarray(weight[self.mask], dtype=np.float64)
        centred = points - (points * weights[:, None]).sum(axis=0) / weights.sum()
        return np.asarray((centred * weights[:, None]).T @ centred / weights.sum())

    def rim_spread_and_aspect(self) -> tuple[float, float]:
        """How far out the bone is, against the section's own spread; length over width of the section."""
        body = self._moments_mm2(np.ones(self.mask.shape, dtype=np.float32))
        bone = self._moments_mm2(self.bone)
        thin, long = np.sqrt(np.maximum(np.linalg.eigvalsh(body), 1e-6))
        return float(np.sqrt(np.trace(bone) / max(np.trace(body), 1e-6))), float(long / thin)


def _section(maps: BodyMaps, mask: NDArray[np.bool_], k: int) -> _Section:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    least = LEAST_CUT_MM / min(maps.spacing_mm[1:])
    return _Section(
        mask=mask[window],
        bone=maps.bone[k][window],
        mean_hu=maps.mean_hu[k][window],
        sides_cut=sum(bool(np.count_nonzero(edge) >= least) for edge in edges),
        block_mm=maps.spacing_mm[1:],
    )


def _open_border(maps: BodyMaps, k: int) -> float:
    """Share of the picture's border blocks that are outside air."""
    mean = maps.mean_hu[k]
    border = np.concatenate([mean[0], mean[-1], mean[1:-1, 0], mean[1:-1, -1]])
    return float(np.mean(border < OPEN_AIR_HU))


def _objection(section: _Section) -> str | None:
    """Why a section is not a leg, in words without numbers of one slice; None when it may be one."""
    if section.area_cm2 > MAX_LEG_AREA_CM2:
        return f"the cross-section is larger than a leg's ({MAX_LEG_AREA_CM2:.0f} cm2)"
    if section.cavity_cm2() > MAX_CAVITY_CM2:
        return f"bone encloses a cavity of more than {MAX_CAVITY_CM2:.0f} cm2, as a skull does"
    if section.gas_cm2() > MAX_GAS_CM2:
        return GAS_TEXTS
    if section.area_cm2 > RIM_AREA_CM2 and section.bone_cm2 > 0:
        spread, aspect = section.rim_spread_and_aspect()
        if spread > RIM_SPREAD and aspect < RIM_ASPECT:
            return "the bone is at the rim of a thick round section, as in a head or a trunk"
    return None


def _masks(tracks: Tracks, k: int) -> list[NDArray[np.bool_]]:
    """The legs of a slice, each for itself; one mass where nothing parts them."""
    here = tracks.labels[k]
    apart = tracks.count == 2 and not tracks.merged[k]
    masks = [here == 1, here == 2] if apart else [here > 0]
    return [mask for mask in masks if mask.any()]


def _judge_slices(maps: BodyMaps, tracks: Tracks) -> SliceVerdicts:
    """Look at every slice; of a long series at evenly spaced ones, the others go by their nearest neighbour."""
    filled = np.asarray((tracks.labels > 0).any(axis=(1, 2)))
    places = np.flatnonzero(filled)
    evaluated = (
        places[np.unique(np.linspace(0, places.size - 1, min(MOST_JUDGED, places.size)).round().astype(int))]
        if places.size
        else places
    )
    good = np.zeros(evaluated.size, dtype=np.bool_)
    reasons: Counter[str] = Counter()
    for i, k in enumerate(evaluated.tolist()):
        words = _evaluate(maps, tracks, k)
        good[i] = not words
        reasons.update(words)
    leg = np.zeros(filled.size, dtype=np.bool_)
    if evaluated.size:
        nearest = np.abs(places[:, None] - evaluated[None, :]).argmin(axis=1)
        leg[places] = good[nearest]
    # the hips are neither for nor against legs; where the thighs are legs, they belong to them
    leg = _without_islands(leg & ~tracks.hips, filled & ~tracks.hips, maps.spacing_mm[0])
    paired = leg & np.all([(tracks.labels == side).any(axis=(1, 2)) for side in (1, 2)], axis=0)
    scale = places.size / max(evaluated.size, 1)
    counted = tuple((words, round(n * scale)) for words, n in reasons.most_common())
    is_leg = _is_leg(leg, filled & ~tracks.hips, paired & ~tracks.merged, maps.spacing_mm[0])
    return SliceVerdicts(leg=(leg | tracks.hips) & filled, filled=filled, reasons=counted, is_leg=is_leg)


def _whole_mass(maps: BodyMaps, tracks: Tracks, k: int) -> NDArray[np.bool_]:
    """The legs of a slice with all tissue that hangs on them: the opening tears a thin chest wall off the trunk."""
    from scipy import ndimage

    here = tracks.labels[k] > 0
    parts, _ = ndimage.label(maps.tissue[k] | here, structure=np.ones((3, 3)))
    return np.isin(parts, np.unique(parts[here]))


def _evaluate(maps: BodyMaps, tracks: Tracks, k: int) -> set[str]:
    """Everything that speaks against a leg in one slice."""
    words = set()
    if _open_border(maps, k) < MIN_OPEN_BORDER:
        words.add("no skin is seen: the picture's border is body on most of its length")
    whole = _section(maps, _whole_mass(maps, tracks, k), k)
    if whole.gas_cm2() > MAX_POCKET_CM2:
        words.add(GAS_TEXTS)
    if whole.sides_cut >= MOST_SIDES_CUT:
        words.add(f"the body is cut off at {MOST_SIDES_CUT} or more sides of the picture")
    for mask in _masks(tracks, k):
        objection = _objection(_section(maps, mask, k))
        if objection is not None:
            words.add(objection)
    return words


def _without_islands(leg: NDArray[np.bool_], filled: NDArray[np.bool_], slice_mm: float) -> NDArray[np.bool_]:
    """Verdicts smoothed over about 25 mm by majority, so that one odd slice neither makes nor ends a leg."""
    from scipy import ndimage

    places = np.flatnonzero(filled)
    length = 2 * int(12.5 / slice_mm) + 1
    smoothed = leg.copy()
    if places.size >= length > 1:
        smoothed[places] = ndimage.median_filter(leg[places].astype(np.uint8), size=length, mode="nearest") > 0
    return smoothed


def _is_leg(leg: NDArray[np.bool_], filled: NDArray[np.bool_], paired: NDArray[np.bool_], slice_mm: float) -> bool:
    if not filled.any():
        return False
    if np.count_nonzero(leg) >= MIN_SHARE * np.count_nonzero(filled):
        return True
    return any(
        max((stop - first for first, stop in stretches(flags)), default=0) * slice_mm >= enough_mm
        for flags, enough_mm in ((leg, LONG_STRETCH_MM), (paired, PAIR_STRETCH_MM))
    )
