"""How much of a tumour is not viable, how sure that is, and the grade of response that it would give.

References:
    Huvos, Rosen, Marcove, Arch. Pathol. Lab. Med. 101 (1977) 14-18 (grades of response). Rubin, Ann. Stat. 9 (1981),
    doi:10.1214/aos/1176345338 (Bayesian bootstrap). Praestgaard, Wellner, Ann. Probab. 21 (1993),
    doi:10.1214/aop/1176989011 (other weights). Hesterberg, Am. Stat. 69 (2015),
    doi:10.1080/00031305.2015.1089789 (percentiles expanded for small samples).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.slide import TILE_CLASSES, GradeProposal, Necrosis
from osteon.errors import GeometryMismatchError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRADE_CUTS", "huvos_grade", "necrosis_fraction"]

GRADE_CUTS = (("I", 0.0), ("II", 0.5), ("III", 0.9), ("IV", 1.0))
"""Grades and the least necrosis fraction of each; IV means no viable tumour at all."""
GRADE_SOURCE = (
    "Huvos AG, Rosen G, Marcove RC. Arch Pathol Lab Med 1977;101:14-18: I below 50 %, II 50 to below 90 %, III 90 to "
    "below 100 %, IV 100 % necrosis; a good response is at least 90 %"
)

BLOCK_MM = (1.0, 3.0)
"""Least and usual side of the squares that are drawn as one. Necrosis after chemotherapy comes in patches of
millimetres, and tiles overlap: neighbouring cells are one observation, not many. Tumour that would fill fewer than
eight squares of the usual side is cut into eight, but never finer than a tile. On 200 simulated maps each
(``tests/metrics/test_necrosis.py``), whose necrosis is correlated over 0.6 mm, the interval held the slide's own
fraction in all and the tumour's in 92 to 98 %; where it was correlated over 1.3 mm, in 84 %."""
_WISHED_BLOCKS = 8
LEAST_BLOCKS = 3.0
"""Fewer blocks than this (of equal area) give no interval."""
# places of the uniform number at which a block's classes are tabled: probabilities below 1 in 400 are never drawn
_DRAW_STEPS = 200
# a lognormal weight of mean 1 and variance 1
_REGION_SIGMA = math.sqrt(math.log(2))
# resamples at a time: random numbers of one chunk stay below some tens of megabytes
_CHUNK_NUMBERS = 2_000_000


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Tumour in squares within connected regions; non-viable and tumour (blocks, steps) are mm2 a draw would find."""

    region: NDArray[np.intp]
    area: NDArray[np.float64]
    non_viable: NDArray[np.float64]
    tumour: NDArray[np.float64]


def necrosis_fraction(
    probability: NDArray[np.floating],
    tissue_share: NDArray[np.floating],
    cell_mm2: float,
    left_out: NDArray[np.bool_] | None = None,
    *,
    repeats: int = 2000,
    seed: int = 1,
) -> Necrosis:
    """Share of the tumour on a slide that is not viable, with a 95 % CI.

    The fraction is an area: non-viable over (viable + non-viable), each cell being of its most probable class and
    counting with its share of tissue.

    The interval has three sources. (1) Where the slide was cut: a weighted bootstrap in two stages, of connected
    regions of tumour and of blocks of 1 to 3 mm within each. Unlike draws with replacement no region vanishes: a large
    one among twenty specks would be missing from a third of the draws. Region weights are lognormal, which come near
    0 less often than exponential ones. (2) Few blocks: the percentiles are expanded by Hesterberg's factor for their
    effective number, (sum a)^2 / sum a^2 over their areas a. (3) The classifier: in each resample a cell's class is
    drawn from its calibrated probability; else a map at 55 % would be as sure as one at 99 %. Errors are as alike
    within a block as its tissue is, so one uniform number is drawn for a block: a cell takes the class at that place
    of its own cumulative probability. The interval is widened to hold the fraction.

    It holds for the tumour that this slide stands for. It knows nothing of the rest of the specimen.

    Args:
        probability: (rows, columns, 3) in the order of ``TILE_CLASSES``, calibrated; NaN where not read.
        tissue_share: (rows, columns), share of each cell that is tissue.
        cell_mm2: area of a cell.
        left_out: (rows, columns) bool, cells that are not to be counted (flagged); None counts all.
        repeats: resamples.
        seed: of the draws.

    Returns:
        Fraction None without tumour, interval None with fewer than three effective blocks. ``area_mm2`` has the
        classes of the counted cells, "tissue" (all cells) and "left_out".

    Raises:
        GeometryMismatchError: the arrays are not of one grid.
        InputError: probabilities that are none, an area not above 0, or no repeats.
    """
    from scipy import ndimage

    _check(probability, tissue_share, cell_mm2, left_out, repeats)
    skipped = np.zeros(tissue_share.shape, dtype=np.bool_) if left_out is None else left_out
    area = np.nan_to_num(tissue_share).astype(np.float64) * cell_mm2
    read = np.isfinite(probability).all(axis=2) & ~skipped
    predicted = np.where(read, np.argmax(np.where(read[..., np.newaxis], probability, 0), axis=2), -1)
    areas = {name: float(area[predicted == index].sum()) for index, name in enumerate(TILE_CLASSES)}
    areas |= {"tissue": float(area.sum()), "left_out": float(area[skipped].sum())}
    tumour = (predicted > 0) & (area > 0)
    labels, regions = ndimage.label(tumour, structure=np.ones((3, 3), dtype=np.int8))  # corners included; 0 is none
    total = areas["non_viable"] + areas["viable"]
    fraction = areas["non_viable"] / total if total > 0 else None
    interval, method = None, "no tumour was detected"
    if fraction is not None:
        cell_mm = math.sqrt(cell_mm2)
        side = max(1, round(min(BLOCK_MM[1], max(BLOCK_MM[0], math.sqrt(total / _WISHED_BLOCKS))) / cell_mm))
        blocks = _blocks(probability, area, np.asarray(labels, dtype=np.int32), side=side)
        interval, method = _interval(blocks, fraction, side * cell_mm, repeats=repeats, seed=seed)
    return Necrosis(
        fraction=fraction,
        interval=interval,
        method=method,
        area_mm2=areas,
        regions=int(regions),
        tiles=int(np.count_nonzero(tumour)),
    )


def huvos_grade(fraction: float, interval: tuple[float, float] | None = None) -> GradeProposal:
    """The grade of response to chemotherapy that a necrosis fraction would give.

    A proposal for what was measured, one slide as a rule; grading takes the whole mapped specimen.

    Raises:
        InputError: a fraction outside 0 to 1, or an interval that does not hold it.

    Example:
        >>> proposal = huvos_grade(0.93, (0.88, 0.97))
        >>> proposal.grade, proposal.possible
        ('III', ('II', 'III'))
    """
    low, high = interval if interval is not None else (fraction, fraction)
    if not 0 <= low <= fraction <= high <= 1:
        raise InputError(
            f"necrosis of {fraction} with interval {interval} cannot be graded: both lie in 0 to 1, in order"
        )
    names = [name for name, _ in GRADE_CUTS]
    first, grade, last = (sum(value >= least for _, least in GRADE_CUTS) - 1 for value in (low, fraction, high))
    return GradeProposal(grade=names[grade], possible=tuple(names[first : last + 1]), source=GRADE_SOURCE)


def _check(
    probability: NDArray[np.floating],
    tissue_share: NDArray[np.floating],
    cell_mm2: float,
    left_out: NDArray[np.bool_] | None,
    repeats: int,
) -> None:
    shape = tissue_share.shape
    if probability.shape != (*shape, len(TILE_CLASSES)) or (left_out is not None and left_out.shape != shape):
        found = None if left_out is None else left_out.shape
        raise GeometryMismatchError(
            f"probabilities {probability.shape}, tissue {shape} and left out {found} are not of one grid of cells"
        )
    if not (math.isfinite(cell_mm2) and cell_mm2 > 0) or repeats < 1:
        raise InputError(f"cells of {cell_mm2} mm2 drawn {repeats} times cannot be: both must be above 0")
    known = probability[np.isfinite(probability).all(axis=2)]
    if known.size and (known.min() < -1e-6 or np.abs(known.sum(axis=1) - 1).max() > 1e-2):
        raise InputError("probabilities of cells must be at least 0 and add up to 1; found others: give softmax values")


def _blocks(
    probability: NDArray[np.floating], area: NDArray[np.float64], labels: NDArray[np.int32], *, side: int
) -> _Blocks:
    """Cells of a region in one square of ``side`` cells, and what each draw of the square would find."""
    rows, columns = np.nonzero(labels)
    region = labels[rows, columns].astype(np.int64) - 1
    key = np.stack([region, rows // side, columns // side], axis=1)
    squares, member = np.unique(key, axis=0, return_inverse=True)
    member = member.reshape(-1)
    weight = area[rows, columns]
    chance = probability[rows, columns].astype(np.float64)
    # places of the uniform number where non-viable begins, where viable begins
    first, second = chance[:, 0], chance[:, 0] + chance[:, 1]
    non_viable, tumour = np.empty((2, len(squares), _DRAW_STEPS))
    for step in range(_DRAW_STEPS):
        place = (step + 0.5) / _DRAW_STEPS
        is_tumour = place >= first
        tumour[:, step] = np.bincount(member, weights=weight * is_tumour, minlength=len(squares))
        is_non_viable = is_tumour & (place < second)
        non_viable[:, step] = np.bincount(member, weights=weight * is_non_viable, minlength=len(squares))
    whole = np.bincount(member, weights=weight, minlength=len(squares)).astype(np.float64)
    return _Blocks(region=squares[:, 0], area=whole, non_viable=non_viable, tumour=tumour)


def _interval(
    blocks: _Blocks, fraction: float, block_mm: float, *, repeats: int, seed: int
) -> tuple[tuple[float, float] | None, str]:
    """The 95 % CI and how it was made."""
    from scipy import stats

    effective = float(blocks.area.sum() ** 2 / (blocks.area**2).sum())
    if effective < LEAST_BLOCKS:
        few = f"tumour fills only {effective:.1f} blocks of {block_mm:.1f} mm, {LEAST_BLOCKS:g} needed"
        return None, f"no interval: {few}"
    drawn = _draws(blocks, fraction, repeats=repeats, seed=seed)
    # Hesterberg's share of resamples beyond each end: normal percentiles become those of Student's t
    tail = float(stats.norm.cdf(math.sqrt(effective / (effective - 1)) * stats.t.ppf(0.025, effective - 1)))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    method = (
        f"95 %, weighted bootstrap of regions and of blocks of {block_mm:.1f} mm within ({repeats} resamples, "
        f"{effective:.1f} effective blocks), classes drawn from the calibrated probabilities"
    )
    return (max(0.0, min(float(low), fraction)), min(1.0, max(float(high), fraction))), method


def _draws(blocks: _Blocks, fraction: float, *, repeats: int, seed: int) -> NDArray[np.float64]:
    """(repeats,) necrosis fractions of resampled tumour; ``fraction`` where a resample has no tumour."""
    rng = np.random.default_rng(seed)
    count = len(blocks.area)
    starts = np.flatnonzero(np.diff(blocks.region, prepend=-1))
    region_area = np.add.reduceat(blocks.area, starts)
    drawn = np.empty(repeats)
    index = np.arange(count)
    chunk = max(1, _CHUNK_NUMBERS // count)
    for begin in range(0, repeats, chunk):
        some = min(chunk, repeats - begin)
        step = rng.integers(_DRAW_STEPS, size=(some, count))
        weight = rng.standard_exponential((some, count))
        # within a region the weights keep its area, so that a region of one block is not varied twice
        kept = region_area / np.add.reduceat(weight * blocks.area, starts, axis=1)
        weight *= (kept * rng.lognormal(-(_REGION_SIGMA**2) / 2, _REGION_SIGMA, (some, len(starts))))[:, blocks.region]
        tumour = (weight * blocks.tumour[index, step]).sum(axis=1)
        non_viable = (weight * blocks.non_viable[index, step]).sum(axis=1)
        drawn[begin : begin + some] = np.divide(non_viable, tumour, out=np.full(some, fraction), where=tumour > 0)
    return drawn
