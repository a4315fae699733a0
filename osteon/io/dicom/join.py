"""Which series of one examination are parts of one scan: a tool gave its slices several Series Instance UIDs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import OsteonError, ThirdParty
from osteon.io.dicom import header
from osteon.io.dicom.place import distances_mm, plane_of
from osteon.io.dicom.stack import SHARED_BY_RUNS, join_runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.io.dicom.elements import Elements
    from osteon.io.inventory import Frame, SeriesEntry

__all__ = ["Part", "continuing", "paths_of"]

REACH: Final = 1.5
"""Two series continue each other when they are at most this many slice spacings apart."""

SHARED_TAGS: Final = (
    header.PATIENT_ID,
    header.PATIENT_NAME,
    header.STUDY_UID,
    header.FRAME_OF_REFERENCE,
    header.MODALITY,
    header.KERNEL,
)
OF_MR: Final = (header.SERIES_DESCRIPTION, 0x00180081, 0x00180086)
"""Description, echo time and echo number: what two MR series of one region differ in."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A series as it was found."""

    number: int  # of the series, for who asked
    entry: SeriesEntry
    elements: Elements = field(repr=False)  # of one of its images
    frames: tuple[Frame, ...] = field(repr=False)

    @property
    def signature(self) -> tuple[object, ...] | None:
        """What parts of one scan have in common; None where the series says too little to be a part."""
        get, first = self.elements.values.get, self.frames[0]
        if not first.frame_of_reference_uid or None in (first.position, first.orientation, first.spacing):
            return None
        tags = SHARED_TAGS + (OF_MR if first.modality == "MR" else ())
        return (
            *(get(tag) for tag in tags),
            first.image_type,
            (first.pixels.rows, first.pixels.columns),
            first.thickness,
            tuple(round(value, 3) + 0.0 for value in (*(first.spacing or ()), *(first.orientation or ()))),
        )


def continuing(parts: Sequence[Part]) -> list[list[Part]]:
    """Series that continue each other, in the order of their places; each list holds at least two.

    Nothing is joined where two series of about one length show the same places: which of them would be continued is
    not known. A short series inside a longer one, as of a bolus, is not part of the scan.
    """
    alike: dict[object, list[Part]] = {}
    for part in parts:
        if part.signature is not None:
            alike.setdefault(part.signature, []).append(part)
    chains = []
    for group in alike.values():
        try:
            with ThirdParty("their places cannot be followed"):
                chains += _chains(group) if len(group) > 1 else []
        except OsteonError:  # broken geometry: each series is refused by itself
            continue
    return chains


def _chains(parts: list[Part]) -> list[list[Part]]:
    plane = plane_of(parts[0].frames[0])
    along = {id(part): distances_mm(part.frames, plane) for part in parts}
    ends = {key: (float(values.min()), float(values.max())) for key, values in along.items()}
    kept: list[Part] = []
    for part in sorted(parts, key=lambda part: -len(part.frames)):
        mine = along[id(part)]
        for other in kept:
            low, high = ends[id(other)]
            if np.count_nonzero((mine >= low - 1e-2) & (mine <= high + 1e-2)) > SHARED_BY_RUNS * len(mine):
                if 2 * len(mine) > len(other.frames):
                    return []
                break
        else:
            kept.append(part)
    kept.sort(key=lambda part: ends[id(part)])
    gaps = np.diff(np.sort(np.concatenate([along[id(part)] for part in kept])))
    step_mm = float(np.median(gaps[gaps > 1e-2])) if (gaps > 1e-2).any() else 0.0
    chains = [kept[:1]]
    for before, after in pairwise(kept):
        if ends[id(after)][0] - ends[id(before)][1] <= REACH * step_mm:
            chains[-1].append(after)
        else:
            chains.append([after])
    return [chain for chain in chains if len(chain) > 1]


def paths_of(chain: Sequence[Part]) -> set[Path]:
    """Files of the joined scan: of a place that two series show, the image of the longer one."""
    _, kept = join_runs(sorted((part.frames for part in chain), key=len, reverse=True))
    return {frame.path for frame in kept}
