"""How far the images of each patient reach beyond the tumour: drawn once, kept in a file before anything is trained.

Public scans of sarcomas end about 5 cm from the tumour on each side, so that an ellipsoid in the middle, which never
looks at a voxel, reaches a Dice of 0.7. Margins that are drawn for each side take most of that away. What is left is
printed beside every result (``osteon.metrics.blind_masks``).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError
from osteon.train.run_folder import read_document, write_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MARGINS_NAME", "SIDES", "Margins", "cut_box", "tumour_box"]

MARGINS_NAME: Final = "margins.json"
SIDES: Final = ("feet", "head", "front", "back", "right", "left")
"""Of the patient, in the order of axes: first and last slice, row, column."""

_FORMAT: Final = 1

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Start and stop along slices, rows, columns."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Margins by patient.

    Attributes:
        largest_mm: each is drawn evenly from 0 to this.
        seed: of the draws.
        of: patient -> mm of each of ``SIDES``.
    """

    largest_mm: float
    seed: int
    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def drawn(cls, patients: Iterable[str], *, largest_mm: float, seed: int) -> Margins:
        """Margins of these patients; those of one do not depend on who else is there.

        Example:
            >>> one, two = (Margins.drawn(who, largest_mm=50, seed=1) for who in (["a"], ["b", "a"]))
            >>> one.of["a"] == two.of["a"], one.of["a"] == two.of["b"]
            (True, False)
        """
        return cls(largest_mm, seed, {who: _draw(who, largest_mm, seed) for who in sorted(set(patients))})

    @classmethod
    def read(cls, file: Path) -> Margins:
        """What ``write`` wrote.

        Raises:
            InputError: the file is not of this kind.
        """
        try:
            document = read_document(file)
            of = {
                str(who): tuple(float(sides[side]) for side in SIDES) for who, sides in document["margins_mm"].items()
            }
            found = cls(float(document["largest_mm"]), int(document["seed"]), of)
        except (KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError) as error:
            raise InputError(f"{file.name} holds no margins: it must be the {MARGINS_NAME} of a data set") from error
        if not all(0 <= mm < float("inf") for sides in found.of.values() for mm in sides):
            raise InputError(f"{file.name} holds a margin that is not 0 mm or more")
        return found

    def write(self, file: Path) -> None:
        """Write them, patients in order.

        Raises:
            OutputError: it cannot be written.
        """
        margins: dict[str, Any] = {who: dict(zip(SIDES, sides, strict=True)) for who, sides in sorted(self.of.items())}
        write_document(
            file, {"format": _FORMAT, "largest_mm": self.largest_mm, "seed": self.seed, "margins_mm": margins}
        )


def tumour_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around a mask (slice, row, column).

    Raises:
        InputError: the mask is empty.
    """
    found = []
    for axis in range(3):
        places = np.flatnonzero(mask.any(axis=tuple(each for each in range(3) if each != axis)))
        if not places.size:
            raise InputError("its mask is empty: no voxel of the scan is tumour")
        found.append((int(places[0]), int(places[-1]) + 1))
    return found[0], found[1], found[2]


def cut_box(box: Box, margins_mm: tuple[float, ...], *, spacing_mm: tuple[float, float, float], shape: Any) -> Box:  # noqa: ANN401 - three numbers
    """A box with margins, whole voxels, within a scan of this shape.

    Example:
        >>> cut_box(((2, 4), (5, 9), (0, 3)), (5, 0, 4, 100, 9, 2), spacing_mm=(5, 2, 2), shape=(9, 20, 10))
        ((1, 4), (3, 20), (0, 4))
    """
    found = []
    for axis, ((start, stop), mm, length) in enumerate(zip(box, spacing_mm, shape, strict=True)):
        before, after = (round(margins_mm[2 * axis + side] / mm) for side in (0, 1))
        found.append((max(0, start - before), min(int(length), stop + after)))
    return found[0], found[1], found[2]


def _draw(patient: str, largest_mm: float, seed: int) -> tuple[float, ...]:
    generator = np.random.default_rng([seed, zlib.crc32(patient.encode())])
    return tuple(round(float(mm), 1) for mm in generator.uniform(0, largest_mm, size=len(SIDES)))
