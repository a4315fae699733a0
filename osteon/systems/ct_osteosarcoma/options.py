"""Options of a reading of the legs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osteon.data.options import ThresholdOptions, option

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ThresholdOptions):
    """What a person may choose about a CT of the legs.

    Attributes:
        roi: "series" follows the legs through the series; "paper" is the paper's literal slice-wise recipe.
        bone: "paper" is the published chain in voxels, "paper-mm" the same in millimetres; "fine" takes a second look
            at what the chain found, so that joints stay open.
    """

    roi: Literal["series", "paper"] = option(
        "--roi", default="series", help="How legs are found: through the series, or the paper's slice-wise recipe."
    )
    bone: Literal["fine", "paper", "paper-mm"] = option(
        "--bone",
        default="fine",
        help="Bone mask: fine (joints stay open), or the paper's chain in voxels or millimetres.",
    )
