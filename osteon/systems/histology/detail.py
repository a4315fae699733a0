"""What only an answer on a slide has: the map of its cells and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import GradeProposal, Necrosis, RegionNovelty, TilePlan

__all__ = ["SlideMap", "SlideReading"]


@dataclass(frozen=True, slots=True)
class SlideMap:
    """What a classifier says of every cell.

    Attributes:
        plan: the cells.
        probability: (rows, columns, 3) float32 in the order of ``TILE_CLASSES``, calibrated; NaN where not read.
        novelty: (rows, columns) float32, distance from the training tiles; NaN where not read; None where the model
            does not know its limits.
        novelty_threshold: a tile above it is unlike the training tiles.
        flags: by name ("blur", "pen", "fold", "unlike"), (rows, columns) bool.
    """

    plan: TilePlan
    probability: NDArray[np.float32] = field(repr=False)
    novelty: NDArray[np.float32] | None = field(default=None, repr=False)
    novelty_threshold: float | None = None
    flags: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class SlideReading:
    """What was computed of one slide.

    Attributes:
        map: of the cells.
        necrosis: share of the tumour that is not viable; without a fraction where nothing is claimed.
        grade: None where there is no fraction, or the slide is unlike anything the model was trained on.
        tiles: that were read.
        left_out: tiles that count in no area; a tile may have several flags.
        flagged: tiles by flag.
        novelty: how unlike the model's training the slide is; None where the model does not know its limits.
        is_unlike: whether no class is claimed for that reason.
        is_reported: whether the slide is unlike, but a person asked to have it reported all the same.
        certain: cells (row, column) of the gallery, the most certain of each class first.
        uncertain: cells of the least certain, first the least.
    """

    map: SlideMap = field(repr=False)
    necrosis: Necrosis
    grade: GradeProposal | None = None
    tiles: int = 0
    left_out: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)
    novelty: RegionNovelty | None = None
    is_unlike: bool = False
    is_reported: bool = False
    certain: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    uncertain: tuple[tuple[int, int], ...] = field(default=(), repr=False)
