"""Images, and what is drawn on them: volumes, radiographs, masks of labels, surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.errors import GeometryMismatchError, UnknownLabelError, nearest_names
from osteon.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.provenance import Source
    from osteon.labels import Concept

__all__ = ["Label", "Mask", "Radiograph", "Surface", "Volume"]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Intensities on a Grid.

    Attributes:
        array: (slice, row, column), read-only by agreement; int16 for CT in whole HU, float32 otherwise.
        modality: DICOM modality, as "CT".
        unit: as "HU", or "" when the scale has no unit.
        source: where it came from; None for a synthetic volume.

    Raises:
        GeometryMismatchError: array and grid differ in shape.
    """

    array: NDArray[np.int16] | NDArray[np.float32] = field(repr=False)
    grid: Grid
    modality: str
    unit: str = ""
    source: Source | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.array.shape != self.grid.shape:
            raise GeometryMismatchError(
                f"the array has shape {self.array.shape}, its grid {self.grid.shape}: they must be equal"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """Pixels of one plane. Bright is dense: how the file codes brightness has been applied, once.

    Attributes:
        pixels: (row, column); int16 of stored whole numbers that fit, float32 otherwise.
        modality: DICOM modality, as "DX"; "" of a picture.
        full_scale: largest number that the file could hold; None where its numbers have a unit of their own.
        spacing_mm: between (rows, columns); None where it is not known.
        spacing_plane: where the spacing holds: "detector" (larger than in the patient), "calibrated", or "" without.
        view: View Position, as "AP", or "".
        laterality: "L", "R", "B" (both) or "".
        source: where it came from; None when it was computed.
    """

    pixels: NDArray[np.int16] | NDArray[np.float32] = field(repr=False)
    modality: str = ""
    full_scale: float | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_plane: Literal["", "detector", "calibrated"] = ""
    view: str = ""
    laterality: str = ""
    source: Source | None = field(default=None, repr=False)

    @property
    def array(self) -> NDArray[np.int16] | NDArray[np.float32]:
        """(1, row, column): for what works slice by slice."""
        return self.pixels[None]

    @property
    def grid(self) -> Grid:
        """The grid of its pixels: a radiograph has no place in the patient, so it counts pixels."""
        rows, columns = self.pixels.shape
        return Grid.of_pixels(rows, columns)

    @property
    def unit(self) -> str:
        """Radiographs have no unit."""
        return ""

    def scaled(self) -> NDArray[np.float32]:
        """(row, column) float32, 0 to 1: against the full scale, or from the smallest value to the largest.

        Where there is no full scale a constant image is all 0.
        """
        if self.full_scale is not None:
            return np.asarray(self.pixels.astype(np.float32) / np.float32(self.full_scale)).clip(0.0, 1.0)
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if low == high:
            return np.zeros(self.pixels.shape, dtype=np.float32)
        return np.asarray((self.pixels - np.float64(low)) / (high - low), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Triangles in LPS millimetres, counter-clockwise seen from outside.

    Attributes:
        vertices_lps_mm: (vertices, 3) float32.
        faces: (triangles, 3) int32 indices into the vertices.
        name: node name in a GLB file, as "bone_left_1".
        colour: display RGBA, 0 to 255.
    """

    vertices_lps_mm: NDArray[np.float32] = field(repr=False)
    faces: NDArray[np.int32] = field(repr=False)
    name: str
    colour: tuple[int, int, int, int] = (230, 220, 190, 255)


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
        labels: every value that may occur, ascending.
        name: short stem for files, as "bone".
        is_drawn: a person drew it; False where it was computed.
        algorithm: kind of what computed it (CID 7162) where that was not a model; None where it was one.

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
