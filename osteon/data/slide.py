"""A histology slide: pixels by level on demand, tiles on it, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.provenance import Notice

__all__ = ["TILE_CLASSES", "TILE_TEXTS", "GradeProposal", "Necrosis", "Slide", "SlideLevel", "SlideSource", "TilePlan"]

TILE_CLASSES = ("non_tumour", "non_viable", "viable")
"""Classes of a tile, in the order of every array of probabilities."""

TILE_TEXTS = {"non_tumour": "non-tumour", "non_viable": "non-viable tumour", "viable": "viable tumour"}
"""What a person reads of each class."""


@dataclass(frozen=True, slots=True)
class SlideLevel:
    """One level of a pyramid; ``downsample`` pixels of level 0 lie along one pixel of it."""

    rows: int
    columns: int
    downsample: float


@dataclass(frozen=True, slots=True)
class SlideSource:
    """Where a slide came from.

    Attributes:
        path: of the file or folder; None of a slide that is computed.
        format: "aperio", "generic-tiff", "dicom", "picture", "synthetic", ... in the words of whoever read it.
        sha256: of the file, or "" where it was not computed.
        microns_from: "file" or "person".
        is_synthetic: whether no person's tissue is shown.
    """

    path: Path | None
    format: str
    sha256: str = ""
    microns_from: Literal["file", "person"] = "file"
    notices: tuple[Notice, ...] = ()
    is_synthetic: bool = False


@runtime_checkable
class Slide(Protocol):
    """A slide that gives its pixels where they are asked for. Safe to read from several threads."""

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Level 0, the largest, first."""
        ...

    @property
    def microns_per_pixel(self) -> tuple[float, float]:
        """Of level 0, (row, column)."""
        ...

    @property
    def source(self) -> SlideSource:
        """Where it came from."""
        ...

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels of a rectangle of a level, (rows, columns, 3) uint8 RGB; white where it leaves the slide.

        Raises:
            InputError: the file is damaged there.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Squares on a slide that a classifier looks at: a grid of cells, of which those with tissue are read.

    A tile is centred on its cell, so with overlap the map has one value a cell, not a tile.

    Attributes:
        step_um: side of a cell; at most ``tile_um``. Cell (i, j) begins at (i, j) times it from the slide's corner.
        pixels: rows and columns that the network sees of a tile.
        shape: cells of the grid (rows, columns).
        is_tissue: (rows, columns) bool: whether the tile of the cell is read.
        tissue_share: (rows, columns) float32, share of the cell that is tissue.

    Raises:
        InputError: sizes that make no grid.
    """

    tile_um: float
    step_um: float
    pixels: int
    shape: tuple[int, int]
    is_tissue: NDArray[np.bool_] = field(repr=False)
    tissue_share: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what is not a grid."""
        if not (0 < self.step_um <= self.tile_um and self.pixels > 0):
            raise InputError(
                f"tiles of {self.tile_um:g} um every {self.step_um:g} um at {self.pixels} pixels make no grid: "
                "the step must be above 0 and at most the tile"
            )
        for array in (self.is_tissue, self.tissue_share):
            if array.shape != self.shape:
                raise InputError(f"a grid of {self.shape} cells was given values of shape {array.shape}")


@dataclass(frozen=True, slots=True)
class Necrosis:
    """Share of the tumour that is not viable.

    Attributes:
        fraction: non-viable / (viable + non-viable) area; None where no tumour was detected.
        interval: 95 %; None likewise, or where there is too little tumour to draw from.
        area_mm2: by class of ``TILE_CLASSES``, plus "tissue" and "left_out" (flagged cells).
        regions: connected regions of tumour on the map.
    """

    fraction: float | None
    interval: tuple[float, float] | None
    method: str
    area_mm2: Mapping[str, float]
    regions: int
    tiles: int


@dataclass(frozen=True, slots=True)
class GradeProposal:
    """A Huvos-style grade (I to IV), all that the interval of the fraction reaches, and who cut where."""

    grade: str
    possible: tuple[str, ...]
    source: str
