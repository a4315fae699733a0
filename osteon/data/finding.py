"""What a system says about one thing in one image."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osteon.data.image import Volume
    from osteon.geometry import Box
    from osteon.labels import Concept

__all__ = ["Finding", "Measurement", "tracking_uid"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its concept, UCUM unit, coded method and derivation, and 95 % CI; None where none is."""

    concept: Concept
    value: float
    unit: Concept
    method: Concept | None = None
    derivation: Concept | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, or looked at and not found.

    Attributes:
        identifier: unique in the result and stable, as "left-run-1".
        tracking_uid: shared by SEG segment, SR group and findings.json.
        kind: coded finding, as Neoplasm.
        site: coded site, or None.
        laterality: coded side, or None.
        probability: 0 to 1, or None; read with the model's statement.
        box: block of voxels on the source Volume's grid, or None.
        segment: (mask name, label value) that shows it, or None.
        qualities: (what, which) of it that are not numbers, coded.
        is_abnormal: False for a normal structure that was measured; only abnormal findings count as something found.
    """

    identifier: str
    tracking_uid: str = field(repr=False)
    kind: Concept
    statement: str
    site: Concept | None = None
    laterality: Concept | None = None
    probability: float | None = None
    box: Box | None = None
    measurements: tuple[Measurement, ...] = ()
    segment: tuple[str, int] | None = None
    qualities: tuple[tuple[Concept, Concept], ...] = ()
    is_abnormal: bool = True


def tracking_uid(volume: Volume, identifier: str) -> str:
    """An identifier that follows one thing through SEG, SR and findings.json.

    The same series and finding give the same UID each time; without a series every reading is its own.
    """
    if volume.source is None or not volume.source.series.uid:
        return f"2.25.{uuid.uuid4().int}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'osteon/{volume.source.series.uid}/{identifier}').int}"
