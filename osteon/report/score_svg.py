"""The score curve inside the page: drawn as SVG, so it is sharp, follows the page's colours and needs no script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from osteon.report.trust_strip import call_stretches
from osteon.report.wording import count, direction_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import SliceScores
    from osteon.report.trust_strip import Stretch

__all__ = ["Frame", "score_svg"]

_WIDTH, _HEIGHT = 640, 250
_STRIP = 17
"""Height of a row under the curve."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 628.0, 10.0, 200.0

_SHORT = {"classifier": "classifier", "segmentation": "outlined", "they differ": "differ"}


@dataclass(frozen=True, slots=True)
class Frame:
    """Where positions lie in the drawing, in units of its view box.

    Attributes:
        low_mm: position at the left end.
        high_mm: position at the right end; above ``low_mm``.
        letters: patient directions at the two ends.
    """

    low_mm: float
    high_mm: float
    letters: tuple[str, str]

    def x(self, position_mm: float) -> float:
        """Abscissa of a position."""
        return _LEFT + (position_mm - self.low_mm) / (self.high_mm - self.low_mm) * (_RIGHT - _LEFT)


def score_svg(
    scores: SliceScores | None,
    positions_mm: NDArray[np.float64],
    frame: Frame,
    *,
    name: str,
    half_mm: float,
    called: str,
) -> Markup:
    """The curve of one region, or only its axis when it has no scores.

    Args:
        scores: along the region, or None.
        positions_mm: (slices of the volume,) along the slice axis.
        frame: shared by all regions, so that they can be compared.
        name: of the region, for those who do not see the picture.
        half_mm: half the distance between slices: a run ends at the outer faces of its slices.
        called: what a slice is called at or above the threshold.

    Returns:
        An ``svg`` element, safe to put into a page; it carries a line of class "cursor" that a script may move.
    """
    rows = [] if scores is None else call_stretches(scores, positions_mm, half_mm)
    height = _HEIGHT + _STRIP * len(rows)
    parts = _axes(frame, height)
    words = f"Positions along the {name}"
    if scores is not None:
        parts += _curves(scores, positions_mm, frame, half_mm, called=called)
        parts += _rows(rows, frame)
        words = f"Probability along the {name}; {count(len(scores.runs), 'run')} of slices called {called}"
    parts.append(f'<line class="cursor" x1="-9" x2="-9" y1="{_TOP}" y2="{height - 50}"/>')
    body = "".join(parts)
    return Markup(  # noqa: S704 - numbers and escaped words only
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(words)}" '
        f'data-low="{frame.low_mm:.4f}" data-high="{frame.high_mm:.4f}" data-left="{_LEFT}" data-right="{_RIGHT}">'
        f"{body}</svg>"
    )


def _y(value: float) -> float:
    return _BOTTOM - value * (_BOTTOM - _TOP) / 1.04


def _rows(rows: list[tuple[str, list[Stretch]]], frame: Frame) -> list[str]:
    """Strips between the curve and the positions: what is called, by whom, and where they differ."""
    parts = []
    for number, (name, stretches) in enumerate(rows):
        top = _BOTTOM + 5 + _STRIP * number
        parts.append(f'<text x="{_LEFT - 4}" y="{top + 11}" text-anchor="end">{escape(_SHORT[name])}</text>')
        for stretch in stretches:
            left, right = frame.x(stretch.low_mm), frame.x(stretch.high_mm)
            place = f'x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_STRIP - 4}"'
            parts.append(f'<rect class="{stretch.kind}" {place}/>')
    return parts


def _axes(frame: Frame, height: int) -> list[str]:
    low = height - 50.0
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_y(value):.1f}" y2="{_y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for tick in _ticks(frame.low_mm, frame.high_mm):
        words, x = f"{tick:.0f}".replace("-", "\u2212"), frame.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{low}" y2="{low + 5}"/>')
        parts.append(f'<text x="{x:.1f}" y="{low + 19}" text-anchor="middle">{words}</text>')
    start, end = (direction_words(letters) for letters in frame.letters)
    places = (
        (_LEFT, "start", start),
        ((_LEFT + _RIGHT) / 2, "middle", "position, mm in patient space"),
        (_RIGHT, "end", end),
    )
    parts += [
        f'<text x="{x}" y="{height - 8}" text-anchor="{anchor}">{escape(words)}</text>' for x, anchor, words in places
    ]
    return parts


def _curves(
    scores: SliceScores, positions_mm: NDArray[np.float64], frame: Frame, half_mm: float, *, called: str
) -> list[str]:
    parts = []
    for first, stop in scores.runs:
        ends = sorted((float(positions_mm[first]), float(positions_mm[stop - 1])))
        left, right = frame.x(ends[0] - half_mm), frame.x(ends[1] + half_mm)
        parts.append(
            f'<rect class="run" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}"/>'
        )
        parts.append(f'<path class="hatch" d="{_hatch(left, right)}"/>')
        if right - left > 6.5 * len(called):
            middle = (left + right) / 2
            parts.append(
                f'<text class="word" x="{middle:.1f}" y="{_BOTTOM - 10}" text-anchor="middle">{escape(called)}</text>'
            )
    x = [frame.x(float(positions_mm[index])) for index in scores.slices]
    same = bool((scores.probability == scores.smoothed).all())
    for kind, values in (("raw", scores.probability), *([] if same else [("smoothed", scores.smoothed)])):
        line = " ".join(f"{place:.1f},{_y(float(value)):.1f}" for place, value in zip(x, values, strict=True))
        parts.append(f'<polyline class="{kind}" points="{line}"/>')
    dots = zip(x, scores.probability, strict=True)
    parts += [f'<circle class="dot" r="1.6" cx="{place:.1f}" cy="{_y(float(value)):.1f}"/>' for place, value in dots]
    y = _y(scores.threshold)
    parts.append(f'<line class="threshold" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return parts


def _hatch(left: float, right: float) -> str:
    """Short diagonal strokes along the foot of a run: seen without colour, away from the curve."""
    foot, height = _BOTTOM, 7.0
    count_of_strokes = max(round((right - left) / 7), 1)
    step = (right - left) / count_of_strokes
    return "".join(
        f"M{left + k * step:.1f} {foot}L{left + (k + 1) * step:.1f} {foot - height}" for k in range(count_of_strokes)
    )


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers between two."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]
