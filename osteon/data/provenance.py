"""Where an image came from, what was done with it, by what, and what a reader must be told about it.

Patient text never appears in a ``repr``: it would end in a log.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from osteon.data.options import silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from osteon.data.options import Progress

__all__ = ["Clock", "ModelUse", "Notice", "Patient", "Series", "SliceSource", "Source", "Study"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the reader, no patient text.

    Attributes:
        code: short stable name, as "gantry-tilt-corrected".
        level: "info" (a choice made), "warning" (read the result with care).
        headline: a short sentence that the headline of an answer must carry too; "" mostly.
    """

    code: str
    text: str
    level: Literal["info", "warning"] = "info"
    headline: str = ""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in an answer.

    Attributes:
        runtime: as "openvino float32".
        is_demo: trained on synthetic data only; every output must say so.
        statement: the card's one-line account of what it was trained on.
        members: networks whose mean is its probability.
        temperatures: of the members; empty where they are not told.
        operating_point: how the threshold was chosen; "" where the card does not say.
    """

    name: str
    version: str
    sha256: str
    runtime: str
    device: str
    is_demo: bool
    statement: str
    members: int = 1
    temperatures: tuple[float, ...] = ()
    calibration: str = ""
    operating_point: str = ""


class Clock:
    """Seconds by step; a step that runs more than once adds up."""

    def __init__(self) -> None:
        """Start with no step."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, progress: Progress = silent, said: str = "") -> Iterator[None]:
        """Add the time of a ``with`` block to a step; the progress is reported of it in other words."""
        progress(said, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        progress(said, 1, 1)


@dataclass(frozen=True, slots=True)
class Patient:
    """Who; empty strings and None where the file does not say.

    Attributes:
        birth_date: YYYYMMDD or "".
        sex: "F", "M", "O" or "".
        age_years: from Patient's Age, else from birth and study date, else None.
    """

    identifier: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = ""
    age_years: float | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """One visit. Date is YYYYMMDD or ""."""

    uid: str = field(repr=False)
    date: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Series:
    """One acquisition or reconstruction, as its DICOM attributes say; "" and None where they do not.

    Attributes:
        modality: as "CT".
        laterality: "L", "R" or "".
        patient_position: as "HFS".
        sop_class_uid: of its images, or "" when not DICOM.
        weighting: of an MR, as "T1", "T2 FS", "STIR"; "" where nothing says it (``osteon.io.dicom.weighting``).
        kernel: Convolution Kernel of a CT, as "B70f".
    """

    uid: str = field(repr=False)
    modality: str
    number: int | None = None
    description: str = field(default="", repr=False)
    body_part: str = ""
    laterality: str = ""
    patient_position: str = ""
    manufacturer: str = ""
    frame_of_reference_uid: str = field(default="", repr=False)
    sop_class_uid: str = ""
    weighting: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class SliceSource:
    """The file (and frame) behind one slice of a Volume.

    Attributes:
        path: readable while the reading lasts (a zip is unpacked to a temporary folder).
        frame: 1-based frame number of a multi-frame image, else None.
    """

    sop_instance_uid: str = field(repr=False)
    path: Path = field(repr=False)
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Everything known about where a Volume came from.

    Attributes:
        kind: "dicom", "nifti" or "picture".
        slices: the images in slice order, one per slice of the Volume unless its slices were interpolated between
            them; empty when not DICOM.
        notices: what was chosen, corrected or left out while reading, in words.
        no_objects: why no DICOM object can refer to the images, in words; "" when one can.
    """

    kind: str
    location: Path = field(repr=False)
    patient: Patient
    study: Study
    series: Series
    slices: tuple[SliceSource, ...] = field(default=(), repr=False)
    notices: tuple[Notice, ...] = ()
    no_objects: str = ""
