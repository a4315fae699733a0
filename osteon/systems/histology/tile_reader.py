"""Reading the tiles of a slide in threads, each pixel about once, while somebody else works on those already read."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.ops.tile_plan import tile_views, tile_window
from osteon.ops.tissue import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from osteon.data import Slide, TilePlan
    from osteon.ops.tile_plan import TileWindow

__all__ = ["TileBlock", "read_tiles"]

_MOST_PIXELS = 6 * 2**20  # of a level, read at a time by one thread: 18 MB
_MOST_TILES = 64  # 10 MB at 224 pixels
_AHEAD = 2  # blocks read or waiting, a thread


@dataclass(frozen=True, slots=True, eq=False)
class TileBlock:
    """Tiles that lie side by side.

    Attributes:
        cells: of the plan, (row, column).
        tiles: (n, pixels, pixels, 3) uint8, in the order of the cells.
        flags: by name of ``osteon.ops.tile_quality.FLAGS``, (n,) bool.
    """

    cells: tuple[tuple[int, int], ...]
    tiles: NDArray[np.uint8] = field(repr=False)
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)


def read_tiles(
    slide: Slide,
    plan: TilePlan,
    *,
    judge: Callable[[NDArray[np.uint8]], Collection[str]],
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    threads: int = 2,
) -> Generator[TileBlock]:
    """The tiles of a plan, block by block, from the top left corner on.

    The pixels of a block are read once, for neighbouring tiles overlap. While a block is used the next ones are read:
    at most two a thread, so memory does not grow with the slide.

    Args:
        slide: to be read.
        plan: of that slide.
        judge: names of the flags of a tile, of ``osteon.ops.tile_quality.FLAGS``. Called in the threads.
        change: what is done to a tile after it was judged, as a stain normalisation. Called in the threads.
        threads: that read.

    Yields:
        Blocks of at most 64 tiles.

    Raises:
        InputError: the slide is damaged.
    """
    blocks = _blocks(slide, plan)
    waiting: deque[Future[TileBlock]] = deque()
    executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="osteon-tiles")
    try:
        for cells in blocks:
            waiting.append(executor.submit(_read, slide, plan, cells, judge, change))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _read(
    slide: Slide,
    plan: TilePlan,
    cells: Sequence[tuple[int, int]],
    judge: Callable[[NDArray[np.uint8]], Collection[str]],
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None,
) -> TileBlock:
    """One block: the rectangle of all its tiles at once."""
    tiles = tile_views(slide, plan, cells)
    flags = {name: np.zeros(len(cells), dtype=np.bool_) for name in FLAGS}
    for index, shown in enumerate(tiles):
        for name in judge(shown):
            flags[name][index] = True
        if change is not None:
            tiles[index] = change(shown)
    return TileBlock(tuple(cells), tiles, flags)


def _blocks(slide: Slide, plan: TilePlan) -> Iterator[list[tuple[int, int]]]:
    """Cells that are read together: squares of cells whose pixels are few enough, without those that have no tissue."""
    if not plan.is_tissue.any():
        return
    first = np.argwhere(plan.is_tissue)[0]
    side = _cells_along(tile_window(slide, plan, (int(first[0]), int(first[1]))), plan)
    for top in range(0, plan.shape[0], side):
        for left in range(0, plan.shape[1], side):
            inside = np.argwhere(plan.is_tissue[top : top + side, left : left + side])
            if len(inside):
                yield [(top + int(row), left + int(column)) for row, column in inside]


def _cells_along(window: TileWindow, plan: TilePlan) -> int:
    """Cells along the side of a block."""
    step = plan.step_um / plan.tile_um
    most = (_MOST_PIXELS / (window.rows * window.columns)) ** 0.5  # sides of a tile along a block
    return int(np.clip((most - 1) / step + 1, 1, _MOST_TILES**0.5))
