"""A synthetic image and everything that is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from osteon.data import Mask, Patient, Volume
from osteon.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.io.dicom.write_series import SlicePlanes

__all__ = ["Finding", "Phantom", "fictitious_patient", "measured"]

_Spec = TypeVar("_Spec")


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a lesion or a mimic really is.

    Attributes:
        spec: what was asked.
        label: its value in the mask; 0 of a mimic, which has none.
        structure: kind of bone, where the mask of structures names it.
        volume_ml: from voxels; 0 when the field misses it.
        diameter_mm: its largest; 0 when the field misses it or nobody measured it.
        centre_lps_mm: of gravity, or None.
        box: smallest box of voxels that holds it, or None when the field misses it.
    """

    spec: Any
    label: int
    structure: str = ""
    volume_ml: float = 0.0
    diameter_mm: float = 0.0
    centre_lps_mm: tuple[float, float, float] | None = None
    box: Box | None = None

    @property
    def slices(self) -> range:
        """The affected slices of the volume."""
        return range(self.box.start[0], self.box.stop[0]) if self.box is not None else range(0)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom(Generic[_Spec]):
    """A synthetic volume and its truth.

    Attributes:
        spec: what was asked.
        volume: as it would be read.
        masks: exact, on the same grid, by name.
        lesions: in the order of the specification.
        mimics: likewise.
        patient: fictitious.
        planes: the slices as a scanner would store them, where that is not the volume (a tilted gantry).
    """

    spec: _Spec
    volume: Volume
    masks: Mapping[str, Mask]
    lesions: tuple[Finding, ...]
    patient: Patient
    mimics: tuple[Finding, ...] = ()
    planes: SlicePlanes | None = None


def fictitious_patient(*, seed: int, sex: str, age_years: float) -> Patient:
    """A patient who says in every field that nobody is meant."""
    born = 2024 - round(age_years)
    return Patient(
        identifier=f"OSTEON-PHANTOM-{seed:04d}",
        name=f"PHANTOM^SEED {seed:04d}",
        birth_date=f"{born:04d}0101",
        sex=sex,
        age_years=float(age_years),
    )


def measured(mask: Mask, wanted: Sequence[tuple[int, Any, str]]) -> tuple[Finding, ...]:
    """Box, volume, largest diameter (between voxel centres, plus a voxel) and centre of labels.

    Args:
        mask: has the labels.
        wanted: label, what was asked, kind of bone or "".
    """
    from scipy import ndimage

    boxes = ndimage.find_objects(mask.array, max_label=max((label for label, *_ in wanted), default=1))
    return tuple(_finding(mask, boxes[label - 1], label, spec, structure) for label, spec, structure in wanted)


def _finding(mask: Mask, window: tuple[slice, ...] | None, label: int, spec: object, structure: str) -> Finding:
    if window is None:
        return Finding(spec, label, structure)
    places = np.argwhere(mask.array[window] == label) + [side.start for side in window]
    points = mask.grid.to_lps_mm(places)
    middle = points.mean(axis=0)
    (a, b), (c, d), (e, f) = ((side.start, side.stop) for side in window)
    return Finding(
        spec=spec,
        label=label,
        structure=structure,
        volume_ml=len(places) * (mask.grid.voxel_volume_mm3 / 1000),
        diameter_mm=_diameter(points - middle) + min(mask.grid.spacing_mm),
        centre_lps_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        box=Box((a, c, e), (b, d, f)),
    )


def _diameter(points: NDArray[np.float64]) -> float:
    """Largest distance between two of the points, to about half a percent: the largest of 600 directions."""
    k = np.arange(600)
    z = (k + 0.5) / 600
    turn = np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z * z)
    directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), z])
    return max(float(np.ptp(points @ part, axis=0).max()) for part in np.split(directions, 12, axis=1))
