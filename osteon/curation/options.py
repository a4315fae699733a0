"""What a person may choose of a curation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osteon.data.options import option

__all__ = ["RULES", "CurateOptions", "Rule"]

Rule = Literal["review", "drop-healthy"]
RULES: tuple[Rule, ...] = ("review", "drop-healthy")
"""``review`` hands every conflict to a person; ``drop-healthy`` is the paper's rule."""


@dataclass(frozen=True, slots=True)
class CurateOptions:
    """What a person may choose; the help of each says what it is."""

    threshold: float = option("--threshold", default=0.95, help="Least cosine of a label conflict.", low=-1, high=1)
    rule: Rule = option(
        "--rule",
        default="review",
        help="review: a person decides. drop-healthy: also list what the paper would drop from training.",
    )
    near: float = option("--near", default=0.995, help="Least cosine of near duplicates.", low=-1, high=1)
    positive: str = option("--positive", default="tumour", help="The label that drop-healthy keeps.")
    backbone: str = option(
        "--backbone", default="mobilenet_v2.imagenet", help="Network that makes the vectors: osteon models list."
    )
    cache: Path | None = option("--cache", default=None, help="Folder of vectors to go on with. Default: REPORT.cache.")
    skip_unreadable: bool = option("--skip-unreadable", default=False, help="Go on without images that cannot be read.")
    shown: int = option("--shown", default=200, help="At most this many groups a section of the page.", low=0)
