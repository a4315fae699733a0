"""Integer labels on a Grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import GeometryMismatchError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid
    from osteon.labels import Concept

__all__ = ["Label", "Mask"]


@dataclass(frozen=True, slots=True)
class Label:
    """One value of a Mask and what it means.

    Attributes:
        value: 1 to 255.
        name: as a person reads it, as "Bone, left leg".
        category: coded category (CID 7150), as Anatomical Structure.
        kind: coded type, as Bone.
        site: coded anatomic region, or None.
        laterality: coded side, or None.
        colour: display RGB, 0 to 255.
        tracking_uid: the same thing in SEG, SR and findings carries the same UID.
    """

    value: int
    name: str
    category: Concept
    kind: Concept
    site: Concept | None = None
    laterality: Concept | None = None
    colour: tuple[int, int, int] = (230, 220, 190)
    tracking_uid: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Labels on a Grid; 0 is background.

    Attributes:
        array: (slice, row, column) uint8.
        grid: of the same shape.
        labels: every value that may occur, ascending.
        name: short stem for files, as "bone".
        is_drawn: a person drew it; False where it was computed.
        algorithm: kind of what computed it (CID 7162) where that was no model; None where it was one.

    Raises:
        GeometryMismatchError: array and grid differ in shape.
    """

    array: NDArray[np.uint8] = field(repr=False)
    grid: Grid
    labels: tuple[Label, ...]
    name: str = "mask"
    is_drawn: bool = False
    algorithm: Concept | None = None

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.array.shape != self.grid.shape:
            raise GeometryMismatchError(f"mask {self.name}: array {self.array.shape}, grid {self.grid.shape}")

    def label(self, value: int) -> Label:
        """The declared label of a value.

        Raises:
            UnknownLabelError: not declared.
        """
        for label in self.labels:
            if label.value == value:
                return label
        known = nearest_names(str(value), [str(label.value) for label in self.labels])
        raise UnknownLabelError(f"mask {self.name} declares no label {value}: {known}")

    def of(self, value: int) -> NDArray[np.bool_]:
        """(slice, row, column) bool: where a declared label is.

        Raises:
            UnknownLabelError: not declared.
        """
        return np.equal(self.array, self.label(value).value)
