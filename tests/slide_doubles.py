"""Slides and tile models for tests: small, quick, with answers known by construction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import cv2
import numpy as np

from osteon.data import TILE_CLASSES
from osteon.data.slide import SlideLevel, SlideSource

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.weights import Limits, ModelCard

    Stain = Literal["none", "macenko", "reinhard"]

TILE: Final = 64
"""Rows and columns that the model of ``write_tile_card`` sees."""

COLOURS: Final = {
    "glass": (244, 244, 244),
    "non_tumour": (228, 150, 190),
    "non_viable": (225, 110, 160),
    "viable": (120, 70, 150),
}
"""What H&E gives, roughly; a fifth name "strange" is a colour that it does not."""


class PaintedSlide:
    """A Slide of squares, each of one name of ``COLOURS`` with some grain.

    Attributes:
        reads: (level, rows, columns) of every read, in order.
    """

    def __init__(
        self,
        squares: NDArray[np.str_],
        *,
        square_um: float = 512.0,
        microns: float = 8.0,
        downsamples: tuple[float, ...] = (1.0,),
        seconds: float = 0.0,
    ) -> None:
        """Paint it.

        Args:
            squares: (rows, columns) of names.
            square_um: side of a square.
            microns: of a pixel of level 0.
            downsamples: of the levels.
            seconds: that every read takes.
        """
        side = round(square_um / microns)
        table = {
            name: np.array(colour, dtype=np.float64) for name, colour in {**COLOURS, "strange": (170, 140, 60)}.items()
        }
        painted = np.array([[table[name] for name in row] for row in squares.tolist()])
        level = np.repeat(np.repeat(painted, side, axis=0), side, axis=1)
        level = level + np.random.default_rng(0).normal(0, 6, level.shape)
        first = np.clip(level, 0, 255).astype(np.uint8)
        self._pixels = [_shrunk(first, down) for down in downsamples]
        self._downsamples = downsamples
        self._microns = microns
        self._seconds = seconds
        self.reads: list[tuple[int, int, int]] = []

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        return tuple(
            SlideLevel(pixels.shape[0], pixels.shape[1], down)
            for pixels, down in zip(self._pixels, self._downsamples, strict=True)
        )

    @property
    def microns_per_pixel(self) -> tuple[float, float]:
        return self._microns, self._microns

    @property
    def source(self) -> SlideSource:
        return SlideSource(path=None, format="synthetic", is_synthetic=True)

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        time.sleep(self._seconds)
        self.reads.append((level, rows, columns))
        pixels = self._pixels[level]
        out = np.full((rows, columns, 3), 255, dtype=np.uint8)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, pixels.shape[0]), min(column + columns, pixels.shape[1])
        if bottom > top and right > left:
            out[top - row : bottom - row, left - column : right - column] = pixels[top:bottom, left:right]
        return out

    def close(self) -> None:
        """Nothing is open."""


def _shrunk(pixels: NDArray[np.uint8], down: float) -> NDArray[np.uint8]:
    size = (round(pixels.shape[1] / down), round(pixels.shape[0] / down))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def tile_card(*, temperatures: int = 1, stain: Stain = "none", **changes: Any) -> ModelCard:  # noqa: ANN401 - entries of a card
    """A valid card of a tile classifier, without its files."""
    from osteon.systems.histology.detail import Tiles, tile_input
    from osteon.weights import Classes, Golden
    from tests.cards import plain_card

    return plain_card(
        **{
            "name": "mobilenet_v2_tiles.random_test",
            "task": "histology",
            "architecture": "mobilenet_v2_tiles",
            "inputs": {"image": tile_input(Tiles(1024.0, stain, pixels=TILE))},
            "output": Classes(TILE_CLASSES, "viable", (1.5,) * temperatures, "chosen by the test"),
            "golden": Golden("noise", {"float32": 1e-3}),
            "results": (),
            **changes,
        }
    )


def write_tile_card(folder: Path, *, members: int = 1, limits: Limits | None = None, **changes: Any) -> ModelCard:  # noqa: ANN401 - entries of a card
    """A model folder with random weights; members have one base and a head each, as those of a frozen base."""
    import torch

    from osteon.nets import build_network
    from osteon.weights import round_to_half, write_model

    networks = []
    for seed in range(members):
        torch.manual_seed(0)
        network = build_network("mobilenet_v2_tiles").eval()
        torch.manual_seed(seed)
        for value in network.get_classifier().parameters():  # type: ignore[operator]  # every network of the registry
            torch.nn.init.normal_(value, std=0.2)
        round_to_half(network)
        networks.append(network)
    golden = np.random.default_rng(1).integers(0, 256, (2, TILE, TILE, 3), dtype=np.uint8)
    card = tile_card(temperatures=members, **changes)
    return write_model(folder, card, networks, golden={"image": golden}, limits=limits)
