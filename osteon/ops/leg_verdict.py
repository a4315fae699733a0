"""Is this a leg? Measured slice by slice, with the reasons in numbers.

What every leg has: skin with air around it, bone inside soft tissue, a cross-section that stays below 450 cm2 a leg,
and no gas, lung or large cavity inside bone. What the other regions have instead: a skull encloses more than any leg
bone, lungs and bowel hold gas, a trunk is one mass with bone at its rim or more area than a leg, and a cut-out patch
has no skin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.ops.closing import ball_rows, close_ball, fill_holes
from osteon.ops.runs import stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.body import BodyMaps
    from osteon.ops.leg_tracking import Tracks

__all__ = ["SliceVerdicts", "judge_slices"]

MAX_LEG_AREA_CM2 = 450.0
"""Cross-section of one leg: a thigh of 75 cm circumference has 450 cm2."""

MAX_CAVITY_CM2 = 60.0
"""Largest area enclosed by bone in a leg: the femoral condyles are about 45 cm2, a small child's skull has 80."""

MAX_GAS_CM2 = 2.0
"""Gas inside one limb in a slice: none in health; trachea, bowel and lungs have more."""

MAX_POCKET_CM2 = 20.0
"""Gas enclosed by all that hangs together in a slice: two touching legs may close a pocket, a chest holds lungs."""

GAS_WORDS = "gas lies inside the body, as in airways, lungs or bowel"

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
"""A round section of this area whose bone lies this far out (rms radius against the section's own) is a head or a
trunk; a foot, the only leg part with bone that far out, is long and thin or small."""

MOST_JUDGED = 80
"""Slices looked at."""

MIN_SHARE = 0.5
LONG_STRETCH_MM = 200.0
PAIR_STRETCH_MM = 100.0
"""A series is of the legs when half of the slices with a body are, or when it holds an unbroken stretch this long (the
second: of two legs side by side): a scan from the crest of the hip to the knee, or of the whole body."""


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
        """How far out the bone lies, against the section's own spread; length over width of the section."""
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
        return GAS_WORDS
    if section.area_cm2 > RIM_AREA_CM2 and section.bone_cm2 > 0:
        spread, aspect = section.rim_spread_and_aspect()
        if spread > RIM_SPREAD and aspect < RIM_ASPECT:
            return "the bone lies at the rim of a thick round section, as in a head or a trunk"
    return None


def _masks(tracks: Tracks, k: int) -> list[NDArray[np.bool_]]:
    """The legs of a slice, each for itself; one mass where nothing parts them."""
    here = tracks.labels[k]
    apart = tracks.count == 2 and not tracks.merged[k]
    masks = [here == 1, here == 2] if apart else [here > 0]
    return [mask for mask in masks if mask.any()]


def judge_slices(maps: BodyMaps, tracks: Tracks) -> SliceVerdicts:
    """Judge every slice; in a long series evenly spaced ones, and the others by their nearest judged neighbour."""
    filled = np.asarray((tracks.labels > 0).any(axis=(1, 2)))
    places = np.flatnonzero(filled)
    judged = (
        places[np.unique(np.linspace(0, places.size - 1, min(MOST_JUDGED, places.size)).round().astype(int))]
        if places.size
        else places
    )
    good = np.zeros(judged.size, dtype=np.bool_)
    reasons: Counter[str] = Counter()
    for i, k in enumerate(judged.tolist()):
        words = _judge(maps, tracks, k)
        good[i] = not words
        reasons.update(words)
    leg = np.zeros(filled.size, dtype=np.bool_)
    if judged.size:
        nearest = np.abs(places[:, None] - judged[None, :]).argmin(axis=1)
        leg[places] = good[nearest]
    # the hips are neither for nor against legs; where the thighs are legs, they belong to them
    leg = _without_islands(leg & ~tracks.hips, filled & ~tracks.hips, maps.spacing_mm[0])
    paired = leg & np.all([(tracks.labels == side).any(axis=(1, 2)) for side in (1, 2)], axis=0)
    scale = places.size / max(judged.size, 1)
    counted = tuple((words, round(n * scale)) for words, n in reasons.most_common())
    is_leg = _is_leg(leg, filled & ~tracks.hips, paired & ~tracks.merged, maps.spacing_mm[0])
    return SliceVerdicts(leg=(leg | tracks.hips) & filled, filled=filled, reasons=counted, is_leg=is_leg)


def _whole_mass(maps: BodyMaps, tracks: Tracks, k: int) -> NDArray[np.bool_]:
    """The legs of a slice with all tissue that hangs on them: the opening tears a thin chest wall off the trunk."""
    from scipy import ndimage

    here = tracks.labels[k] > 0
    parts, _ = ndimage.label(maps.tissue[k] | here, structure=np.ones((3, 3)))
    return np.isin(parts, np.unique(parts[here]))


def _judge(maps: BodyMaps, tracks: Tracks, k: int) -> set[str]:
    """Everything that speaks against a leg in one slice."""
    words = set()
    if _open_border(maps, k) < MIN_OPEN_BORDER:
        words.add("no skin is seen: the picture's border is body on most of its length")
    whole = _section(maps, _whole_mass(maps, tracks, k), k)
    if whole.gas_cm2() > MAX_POCKET_CM2:
        words.add(GAS_WORDS)
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
