"""What was done, by what, and what a reader must be told about it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Clock", "ModelUse", "Notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the reader.

    Attributes:
        code: short stable name, as "gantry-tilt-corrected".
        text: a full sentence, no patient text.
        level: "info" (a choice made), "warning" (read the result with care).
    """

    code: str
    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in an answer.

    Attributes:
        name: ``architecture.tag``.
        version: of its card.
        sha256: of its weights file.
        runtime: as "openvino float32".
        device: as "cpu".
        is_demo: trained on synthetic data only; every output must say so.
        statement: the card's one-line account of what it was trained on.
        members: networks whose mean is its probability.
        temperatures: of the members; empty where they are not told.
        calibration: how the temperatures were found.
        operating_point: how the threshold was chosen; "" where the card does not say.
    """

    name: str
    version: str
    sha256: str
    runtime: str
    device: str
    is_demo: bool
    statement: str
    members: int = 1
    temperatures: tuple[float, ...] = ()
    calibration: str = ""
    operating_point: str = ""


class Clock:
    """Seconds by step; a step that runs more than once adds up."""

    def __init__(self) -> None:
        """Start with no step."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of a ``with`` block to a step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
