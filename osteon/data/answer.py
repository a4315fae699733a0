"""Everything one system says about one case, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.finding import Finding
    from osteon.data.mask import Mask
    from osteon.data.provenance import ModelUse, Notice
    from osteon.data.surface import Surface
    from osteon.geometry import Box

__all__ = ["Answer", "Region", "SliceScores"]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the image that was looked at, as one leg.

    Attributes:
        name: as "left leg".
        box: on the Volume's grid.
        present: (slices of the Volume,) bool; where the part is seen.
    """

    name: str
    box: Box
    present: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SliceScores:
    """A classifier's scores along one Region.

    Attributes:
        region: name of the Region.
        slices: (n,) int64 slice indices into the Volume, ascending.
        probability: (n,) float32, as the model gives it.
        smoothed: (n,) float32, after the filters; compared with the threshold.
        threshold: smoothed values at or above it are called positive.
        runs: half-open ranges of Volume slice indices that are positive.
    """

    region: str
    slices: NDArray[np.int64] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    smoothed: NDArray[np.float32] = field(repr=False)
    threshold: float
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything one system says about one case.

    Attributes:
        task: stem of the system.
        headline: the first sentence of the report.
        findings: in reading order; empty when nothing was found.
        regions: parts that were looked at.
        scores: at most one per region.
        masks: each becomes a DICOM Segmentation.
        surfaces: each becomes a named node of the GLB file.
        models: that took part.
        notices: choices and warnings of the system.
        configuration: the resolved options, JSON values only.
        seconds: time by step.
    """

    task: str
    headline: str
    findings: tuple[Finding, ...] = ()
    regions: tuple[Region, ...] = ()
    scores: tuple[SliceScores, ...] = ()
    masks: tuple[Mask, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    models: tuple[ModelUse, ...] = ()
    notices: tuple[Notice, ...] = ()
    configuration: Mapping[str, object] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
