"""A picture sheet measured in pixels: panels of images in true proportions, letters, scale bars, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.system import DEMO_MARK
from osteon.errors import OutputError
from osteon.report.blocks import Picture

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "AFFECTED",
    "BONE",
    "DARK",
    "DARK_AFFECTED",
    "DARK_INK",
    "INK",
    "LIGHT",
    "MUTED",
    "REGION",
    "Sheet",
    "chart_sheet",
    "plain_axes",
    "show_box",
    "show_image",
    "show_letters",
    "show_outline",
    "show_picture",
    "show_scale_bar",
    "show_word",
]

# Okabe and Ito's colours: distinguished with any colour vision, and in grey
AFFECTED: Final = "#e8641b"
"""Vermilion, lightened for black ground; always together with a dash, a hatch or a word."""
BONE: Final = "#56b4e9"
REGION: Final = "#c9ced3"
INK: Final = "#f4f5f6"
MUTED: Final = "#b4bac0"
DARK: Final = "#000000"
LIGHT: Final = "#ffffff"
DARK_INK: Final = "#1b1f24"
DARK_AFFECTED: Final = "#a84300"
"""Ink and vermilion for light ground."""

_DPI: Final = 100
_POINTS_A_PIXEL: Final = 72 / _DPI
_COMPRESSION: Final = 4
"""Of a PNG: twice as fast as the usual 6, and without the fourth channel as small."""
_BAR_LENGTHS_MM: Final = (2, 5, 10, 20, 50, 100, 200)


class Sheet:
    """A figure addressed in pixels from the top left corner.

    Args:
        width: pixels.
        height: pixels.
        ground: colour behind everything.

    The object interface of matplotlib is used throughout, so drawing touches no global state.
    """

    def __init__(self, width: float, height: float, *, ground: str = DARK) -> None:
        """Make an empty sheet."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = round(width), round(height)
        self.figure: Figure = Figure(figsize=(self.width / _DPI, self.height / _DPI), dpi=_DPI, facecolor=ground)
        self._canvas = FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Empty axes at a place of the sheet."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)

    def panel(self, left: float, top: float, width: float, height: float, *, extent_mm: tuple[float, float]) -> Axes:
        """Axes for an image: x to the right and y downwards in millimetres of the plane, no ticks.

        Raises:
            OutputError: width and height do not have the proportions of the extent, so a circle would be an ellipse.
        """
        across_mm, down_mm = extent_mm
        if abs((width / across_mm) / (height / down_mm) - 1) > 0.02:
            raise OutputError(f"a panel of {width:.0f} x {height:.0f} px distorts {across_mm:.0f} x {down_mm:.0f} mm")
        axes = self.axes(left, top, width, height)
        axes.set_facecolor(DARK)
        axes.set_xlim(0, across_mm)
        axes.set_ylim(down_mm, 0)
        axes.set_axis_off()
        return axes

    def text(self, left: float, top: float, text: str, *, size: float = 20, colour: str = INK, **options: Any) -> None:  # noqa: ANN401 - passed to matplotlib
        """Text whose upper left corner is at a place of the sheet; ``size`` in pixels."""
        settings: dict[str, Any] = {"va": "top", "ha": "left"} | options
        x, y = left / self.width, 1 - top / self.height
        self.figure.text(x, y, text, fontsize=size * _POINTS_A_PIXEL, color=colour, **settings)

    def head(self, title: str, *, demo: bool, light: bool = False) -> None:
        """The title, and in the upper right corner the words that every picture of a demo model carries."""
        self.text(24, 16 if light else 18, title, size=26, colour=DARK_INK if light else INK, weight="bold")
        if demo:
            self.demo_mark(colour=DARK_AFFECTED if light else AFFECTED)

    def demo_mark(self, *, colour: str = AFFECTED) -> None:
        """The words alone."""
        frame = {"boxstyle": "square,pad=0.35", "facecolor": "none", "edgecolor": colour, "linewidth": 1.6}
        self.text(self.width - 22, 20, DEMO_MARK, size=19, colour=colour, ha="right", weight="bold", bbox=frame)

    def picture(self, path: Path, title: str, caption: str) -> Picture:
        """Write it and say what it is.

        Raises:
            OutputError: it cannot be written.
        """
        self.save(path)
        return Picture(path, title, caption, self.width, self.height)

    def save(self, path: Path) -> None:
        """Write a PNG without time stamp or program version, so equal pictures are equal files.

        Raises:
            OutputError: it cannot be written.
        """
        from PIL import Image

        self._canvas.draw()  # type: ignore[no-untyped-call]
        rgb = np.asarray(self._canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        try:
            Image.fromarray(rgb).save(path, format="PNG", compress_level=_COMPRESSION)
        except OSError as error:
            raise OutputError(f"{path.name} cannot be written: {error}") from error

    @staticmethod
    def points(pixels: float) -> float:
        """Font size in points of a height in pixels."""
        return pixels * _POINTS_A_PIXEL


def chart_sheet(width: float, height: float, title: str, mark: str = "", *, size: float = 24) -> Sheet:
    """A light sheet of a page of results, with its title and words in the upper corner, as that data are synthetic."""
    sheet = Sheet(width, height, ground=LIGHT)
    sheet.text(20, 14, title, size=size, colour=DARK_INK, weight="bold")
    if mark:
        words = (18, 16) if size > 22 else (18, 15)
        sheet.text(width - 20, words[0], mark, size=words[1], colour=DARK_AFFECTED, ha="right", weight="bold")
    return sheet


def plain_axes(axes: Axes, *, without: tuple[str, ...] = ("top", "right"), grid: str = "") -> None:
    """Take the frame off some sides; with a grid of a colour behind what is drawn."""
    for side in without:
        axes.spines[side].set_visible(False)
    if grid:
        axes.grid(color=grid)
        axes.set_axisbelow(True)


def show_image(axes: Axes, image: NDArray[Any], *, low: float, high: float) -> None:
    """Fill a panel with an image; grey from ``low`` (black) to ``high`` (white)."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    # the panel already has the proportions of the plane
    place: dict[str, Any] = {"extent": (left, right, bottom, top), "aspect": "auto"}
    smooth: dict[str, Any] = {"interpolation": "antialiased", "interpolation_stage": "data"}
    axes.imshow(np.asarray(image, dtype=np.float32), cmap="gray", vmin=low, vmax=high, **place, **smooth)


def show_picture(axes: Axes, rgb: NDArray[np.uint8]) -> None:
    """Fill a panel with a colour picture."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.imshow(rgb, extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")


def show_word(axes: Axes, word: str, place_mm: tuple[float, float], *, colour: str, size: float = 18) -> None:
    """A word whose lower left corner is at a place of the panel."""
    _annotate(axes, word, place_mm, (0, 4), ("left", "bottom"), size=size, color=colour, weight="bold")


def _annotate(
    axes: Axes,
    words: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    aligned: tuple[str, str],
    *,
    size: float,
    **options: Any,  # noqa: ANN401 - passed to matplotlib
) -> None:
    """Words some points beside a place, with a shadow behind them."""
    settings: dict[str, Any] = {"ha": aligned[0], "va": aligned[1], "fontsize": Sheet.points(size)} | options
    axes.annotate(words, place, xytext=offset, textcoords="offset points", path_effects=_shadow(), **settings)


def show_letters(axes: Axes, letters: tuple[str, str, str, str], *, size: float = 20) -> None:
    """Patient directions at the left, right, top and bottom edge of a panel."""
    places: tuple[tuple[tuple[float, float], tuple[float, float], tuple[str, str]], ...] = (
        ((0.0, 0.5), (6, 0), ("left", "center")),
        ((1.0, 0.5), (-6, 0), ("right", "center")),
        ((0.5, 1.0), (0, -4), ("center", "top")),
        ((0.5, 0.0), (0, 4), ("center", "bottom")),
    )
    for letter, place in zip(letters, places, strict=True):
        _annotate(axes, letter, *place, size=size, color=INK, weight="bold", xycoords="axes fraction")


def show_scale_bar(axes: Axes, *, size: float = 18) -> None:
    """A bar of a round length in the lower right corner of a panel, with its length in words."""
    across_mm, down_mm = axes.get_xlim()[1], axes.get_ylim()[0]
    fitting = [length for length in _BAR_LENGTHS_MM if length <= 0.34 * across_mm]
    length = float(fitting[-1]) if fitting else float(_BAR_LENGTHS_MM[0])
    words = f"{length / 10:.0f} cm" if length >= 10 else f"{length:.0f} mm"
    right, base = 0.97 * across_mm, down_mm - 0.03 * max(across_mm, down_mm)
    tick = 0.009 * max(across_mm, down_mm)
    left = right - length
    ends = [left, left, right, right], [base - tick, base, base, base - tick]
    axes.plot(*ends, color=INK, linewidth=2, path_effects=_shadow())
    _annotate(axes, words, ((left + right) / 2, base), (0, 5), ("center", "bottom"), size=size, color=INK)


def show_outline(
    axes: Axes,
    inside: NDArray[np.bool_],
    steps: tuple[float, float] = (1.0, 1.0),
    *,
    colour: str = BONE,
    width: float = 1.3,
    style: str = "solid",
) -> None:
    """Line around a mask (row, column), halfway between pixels inside and outside; closed at the edge of the mask.

    ``steps`` are the size of a (row, column) in units of the panel.
    """
    if not inside.any():
        return
    padded = np.pad(inside.astype(np.float32), 1)
    y, x = ((np.arange(count) - 0.5) * step for count, step in zip(padded.shape, steps, strict=True))
    axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=width, linestyles=style)


def _shadow() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground=DARK, alpha=0.75)]


def show_box(axes: Axes, place_mm: tuple[float, float, float, float], *, affected: bool, label: str = "") -> None:
    """Mark a rectangle (left, top, right, bottom in mm of the panel) without hiding what is in it.

    Affected parts get a dashed vermilion frame with hatched strips along the left and right side; regions a thin
    dotted grey frame.
    """
    from matplotlib.patches import Rectangle

    left, top, right, bottom = place_mm
    width, height = right - left, bottom - top
    strip = min(0.022 * axes.get_xlim()[1], 0.2 * width) if affected else 0.0
    colour, thick, dashes = (AFFECTED, 2.2, (5, 2)) if affected else (REGION, 1.1, (1, 3))
    for start in (left, right - strip) if affected else ():
        axes.add_patch(Rectangle((start, top), strip, height, facecolor=colour, alpha=0.3, linewidth=0))
        axes.add_patch(Rectangle((start, top), strip, height, fill=False, hatch="////", edgecolor=colour, linewidth=0))
    frame: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": thick, "linestyle": (0, dashes)}
    axes.add_patch(Rectangle((left, top), width, height, **frame))
    if label:
        offset = (5, -5 if affected else -24)  # a region's name stays clear of the letter at the edge
        weight = "bold" if affected else "normal"
        _annotate(axes, label, (left + strip, top), offset, ("left", "top"), size=18, color=colour, weight=weight)
