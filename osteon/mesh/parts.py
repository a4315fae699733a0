"""Every piece of bone as a surface of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import GeometryMismatchError
from osteon.mesh.extract import BONE_COLOUR, extract_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Surface
    from osteon.geometry import Grid

__all__ = ["extract_parts"]


def extract_parts(
    labels: NDArray[np.integer],
    grid: Grid,
    *,
    name: str,
    colour: tuple[int, int, int, int] = BONE_COLOUR,
    smallest_voxels: int = 1,
) -> list[Surface]:
    """The surface of every labelled piece, the largest first.

    Args:
        labels: (slice, row, column) integers; 0 is background, each other value one piece.
        grid: where the labels lie.
        name: of the whole, as "bone_left"; the pieces become "bone_left_1", "bone_left_2" and so on by falling number
            of voxels (at a tie the smaller label first).
        colour: RGBA of all pieces.
        smallest_voxels: pieces below this size are left out.

    Returns:
        One closed surface a piece; none when there is no piece.

    Raises:
        GeometryMismatchError: the labels and the grid differ in shape.
    """
    from scipy.ndimage import find_objects

    if labels.shape != grid.shape:
        raise GeometryMismatchError(f"surface {name}: the labels have shape {labels.shape}, their grid {grid.shape}")
    pieces = []
    for value, block in enumerate(find_objects(labels), start=1):
        if block is not None:
            size = int(np.count_nonzero(labels[block] == value))
            if size >= smallest_voxels:
                pieces.append((-size, value, block))
    surfaces = []
    for number, (_, value, block) in enumerate(sorted(pieces, key=lambda piece: piece[:2]), start=1):
        local = grid.crop([part.start for part in block], [part.stop for part in block])
        surfaces.append(extract_surface(labels[block] == value, local, name=f"{name}_{number}", colour=colour))
    return surfaces
