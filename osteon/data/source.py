"""Where an image came from: patient, study, series and the file behind every slice.

Patient text never appears in a ``repr``: it would end in a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.provenance import Notice

__all__ = ["Patient", "Series", "SliceSource", "Source", "Study"]


@dataclass(frozen=True, slots=True)
class Patient:
    """Who; empty strings and None where the file does not say.

    Attributes:
        identifier: DICOM Patient ID.
        name: DICOM person name, as written.
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
    """One acquisition or reconstruction.

    Attributes:
        uid: Series Instance UID.
        modality: DICOM modality, as "CT".
        number: Series Number or None.
        description: Series Description.
        body_part: Body Part Examined, upper case, or "".
        laterality: "L", "R" or "".
        patient_position: as "HFS", or "".
        manufacturer: of the scanner, or "".
        frame_of_reference_uid: or "".
        sop_class_uid: of its images, or "" when not DICOM.
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


@dataclass(frozen=True, slots=True)
class SliceSource:
    """The file (and frame) behind one slice of a Volume.

    Attributes:
        sop_instance_uid: of the DICOM image.
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
        location: the file or folder the user named.
        slices: one per slice of the Volume, in its slice order; empty when not DICOM.
        notices: what was chosen, corrected or left out while reading, in words.
    """

    kind: str
    location: Path = field(repr=False)
    patient: Patient
    study: Study
    series: Series
    slices: tuple[SliceSource, ...] = field(default=(), repr=False)
    notices: tuple[Notice, ...] = ()
