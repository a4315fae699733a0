"""What every DICOM object written by osteon has in common: patient and study of the source, equipment, UIDs.

Writing is strict. Values that the standard defines are checked and, where the source breaks them, left empty rather
than passed on; who the patient is, is never changed.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from highdicom import ContributingEquipment
from highdicom.base import SOPClass
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.enum import SpecificCharacterSetValues
from highdicom.sr.coding import CodedConcept
from pydicom import DataElement, config, dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from osteon import __version__
from osteon.errors import InputError, ThirdParty
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.header import WANTED, read_frame, split_frames, undeclared_text
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.valuerep import PersonName

    from osteon.data import Source
    from osteon.io.inventory import Frame
    from osteon.labels import Concept

__all__ = [
    "DEVICE_UID",
    "MANUFACTURER",
    "DerivedSeries",
    "SourceHeaders",
    "SourcePlane",
    "coded",
    "complete",
    "contributing_equipment",
    "derived_uid",
    "equipment",
    "long_string",
    "new_object",
    "plain_text",
    "private_schemes",
    "read_source_headers",
    "reference_to",
    "save_object",
    "series_references",
]

MANUFACTURER: Final = "osteon"
_PRIVATE_SCHEME: Final = "99OSTEON"
UID_NAMESPACE: Final = uuid.UUID("6f2cf5b0-6c0c-5a0e-9b57-05d1a3c0f5e1")
LONG_STRING: Final = 64
PATIENT_NAME: Final = 0x00100010

DEEPEST: Final = 32
"""Sequences within sequences that are copied."""

NEEDED_TAGS: Final = [
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
]
EMPTY_WHEN_ABSENT: Final = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
]
MUST_BE_THERE: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
WELL_FORMED: Final = {
    "PatientSex": r"[MFO]",
    "PatientBirthDate": r"[12]\d{7}",  # an anonymiser's 00010101 is not a date
    "PatientBirthTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "StudyDate": r"[12]\d{7}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "PatientAge": r"\d{3}[DWMY]",
}
LOSSY_METHODS: Final = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
TEXTS: Final = frozenset({"LO", "PN", "SH", "LT", "ST", "UC", "UT"})
PLAIN: Final = str.maketrans(
    {
        "\u2013": "-",  # dashes
        "\u2014": "-",
        "\u00d7": "x",  # times
        "\u00b5": "u",  # micro, as a sign and as a letter
        "\u03bc": "u",
        "\u2265": ">=",
        "\u2264": "<=",
        "\u00b1": "+/-",
        "\u00df": "ss",
    }
)


def derived_uid(*parts: str) -> str:
    """A UID that depends on the parts alone, for objects that must come out equal when a case is read again.

    Args:
        parts: what makes the object unique, as source series UID, kind and configuration hash.

    Returns:
        A UUID-derived UID (PS3.5 B.2), at most 44 characters.

    Example:
        >>> derived_uid("1.2.3", "seg") == derived_uid("1.2.3", "seg")
        True
    """
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, chr(31).join(parts)).int}"


DEVICE_UID: Final = derived_uid("device", MANUFACTURER, __version__)
"""Device Observer UID: one for every version of osteon."""


def _new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """The series that a written object opens."""

    number: int  # Series Number, at least 1
    description: str  # Series Description; longer than 64 characters is shortened
    # Series Instance UID; new by default, ``derived_uid`` for a repeatable one
    uid: str = field(default_factory=_new_uid)
    instance_uid: str = field(default_factory=_new_uid)  # SOP Instance UID; as ``uid``
    moment: datetime = field(default_factory=lambda: datetime.now().astimezone())  # when the content was made


@dataclass(frozen=True, slots=True)
class SourcePlane:
    """One plane of the source, and where its own file says that it is."""

    header: Dataset = field(repr=False)  # of its file
    frame: int | None  # 1-based, of a multi-frame image
    position_lps_mm: tuple[float, ...] | None  # Image Position (Patient)
    orientation: tuple[float, ...] | None  # Image Orientation (Patient)

    def reference(self) -> Dataset:
        """A new item that names it (PS3.3 10.3 Image SOP Instance Reference)."""
        item = reference_to(self.header)
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


def reference_to(header: Dataset) -> Dataset:
    """A new item that names an image as a whole."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def series_references(headers: Iterable[Dataset]) -> list[Dataset]:
    """Items of a Referenced Series Sequence, one for each series of the images (PS3.3 C.12.2)."""
    found: dict[str, Dataset] = {}
    for header in headers:
        item = found.setdefault(header.SeriesInstanceUID, Dataset())
        item.SeriesInstanceUID = header.SeriesInstanceUID
        item.ReferencedInstanceSequence = [*item.get("ReferencedInstanceSequence", []), reference_to(header)]
    return list(found.values())


@dataclass(frozen=True, slots=True)
class SourceHeaders:
    """The source images without their pixels."""

    # one data set for each file, in slice order; the first holds every attribute, the others what is needed to refer to
    # them. Patient's Name is empty: highdicom logs a name that it doubts, and no log may hold one.
    images: tuple[Dataset, ...] = field(repr=False)
    patient_name: PersonName = field(repr=False)  # to be set on the finished object
    planes: tuple[SourcePlane, ...] = field(default=(), repr=False)  # in slice order; several may be of one file

    @property
    def first(self) -> Dataset:
        """The header with every attribute."""
        return self.images[0]


def read_source_headers(source: Source) -> SourceHeaders:
    """The headers of the source images, read again from their files.

    Args:
        source: of a DICOM volume; its files must still be there.

    Returns:
        Headers in which missing type 2 attributes of patient and study are empty, ill-formed dates, ages and sexes too.

    Raises:
        InputError: the source is not DICOM, a file is gone or is another image now, or an identifying UID is missing.
    """
    if source.kind != "dicom" or not source.slices:
        raise InputError(
            "asked to write a DICOM object that refers to its source images, but the input was not DICOM: "
            "write the mask as NIfTI instead"
        )
    if source.no_objects:
        raise InputError(source.no_objects)
    headers: dict[Path, Dataset] = {}
    expected = {piece.path: piece.sop_instance_uid for piece in source.slices}
    for position, (path, sop_instance_uid) in enumerate(expected.items()):
        header = _read_header(path, everything=position == 0 or len(expected) == 1)
        if str(header.get("SOPInstanceUID", "")) != sop_instance_uid:
            raise InputError(
                f"the file of slice {position} holds another image than the one that was read: "
                "the input changed while it was read; read it again"
            )
        headers[path] = header
    images = tuple(headers.values())
    name = images[0].PatientName
    images[0].PatientName = ""
    frames = {path: _frames(path) for path, header in headers.items() if header.get("NumberOfFrames")}
    planes = tuple(_plane(headers[piece.path], frames.get(piece.path), piece.frame) for piece in source.slices)
    return SourceHeaders(images=images, patient_name=name, planes=planes)


def _frames(path: Path) -> tuple[Frame, ...]:
    """The planes of a multi-frame file, in the order of the file."""
    elements = read_elements(path, wanted=WANTED)
    return () if elements is None else split_frames(read_frame(path, elements))


def _plane(header: Dataset, frames: tuple[Frame, ...] | None, number: int | None) -> SourcePlane:
    if frames is not None and number is not None and number <= len(frames):
        frame = frames[number - 1]
        return SourcePlane(header, number, frame.position, frame.orientation)
    place, turn = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    return SourcePlane(
        header,
        number,
        None if place is None else tuple(float(value) for value in place),
        None if turn is None else tuple(float(value) for value in turn),
    )


def _read_header(path: Path, *, everything: bool) -> Dataset:
    wanted = None if everything else NEEDED_TAGS
    lost = ThirdParty("the header of a source image cannot be read again: the input must stay in place")
    with lost, warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")  # of what bends the standard; what matters is checked below
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=wanted)
        # converts every raw element now, while ill-formed values are tolerated
        for tag in list(header.keys()):
            if not _is_sound(header, tag):  # left out: no object can be written with it
                del header[tag]
    for keyword in ("SOPClassUID", "SOPInstanceUID"):  # a careless de-identification leaves them in the file meta only
        if not header.get(keyword) and header.file_meta.get(f"MediaStorage{keyword}"):
            setattr(header, keyword, header.file_meta[f"MediaStorage{keyword}"].value)
    for keyword in MUST_BE_THERE:
        if header.get(keyword):
            setattr(header, keyword, str(header[keyword].value).strip("\0 "))
    missing = [keyword for keyword in MUST_BE_THERE if not header.get(keyword)]
    if missing:
        raise InputError(
            f"a DICOM object that refers to the source images needs {', '.join(missing)}, which they do not have: "
            "write NIfTI instead, or repair the series"
        )
    if everything:
        _clean(header)
        _say_compression(header, path.stat().st_size)
    return header


def _say_compression(header: Dataset, size: int) -> None:
    """Ratio and method of a lossy compression, which every object made from it must carry (PS3.3 C.7.6.1.1.5).

    The ratio is approximate by definition; that of the file stands in where the source does not say it.
    """
    method = LOSSY_METHODS.get(str(header.file_meta.get("TransferSyntaxUID", "")))
    if header.get("LossyImageCompression") != "01" or header.get("LossyImageCompressionRatio") or method is None:
        return
    pixels = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1)
    full = pixels * int(header.get("SamplesPerPixel") or 1) * int(header.get("BitsAllocated") or 8) // 8
    header.LossyImageCompressionRatio = f"{max(1.0, full / size):.3g}"
    header.LossyImageCompressionMethod = header.get("LossyImageCompressionMethod") or method


def _is_sound(header: Dataset, tag: Any, depth: int = 0) -> bool:  # noqa: ANN401 - pydicom's tag
    """Whether the value of an element, and of what is in it, is of its type."""
    try:
        with ThirdParty("its value is not of its type"):
            items = header[tag].value if header[tag].VR == "SQ" else ()
    except InputError:
        return False
    return depth < DEEPEST and all(_is_sound(item, inner, depth + 1) for item in items for inner in list(item.keys()))


def _clean(header: Dataset) -> None:
    """Leave out what the standard forbids, add what it wants present."""
    for keyword, pattern in WELL_FORMED.items():
        value = str(header.get(keyword) or "")
        if value and not (re.fullmatch(pattern, value) and _is_a_date(keyword, value)):
            header.pop(keyword)
    for keyword in EMPTY_WHEN_ABSENT:
        if keyword not in header or header[keyword].value is None:
            setattr(header, keyword, "")
    for keyword in ("PatientWeight", "PatientSize"):
        value = str(header.get(keyword) or "")
        if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value):
            header.pop(keyword, None)
    _settle_character_set(header)


def _is_a_date(keyword: str, value: str) -> bool:
    kind = DA if keyword.endswith("Date") else TM if keyword.endswith("Time") else str
    try:
        kind(value)
    except ValueError:
        return False
    return True


def _settle_character_set(header: Dataset) -> None:
    """Keep one declared character set; texts of several, of an unknown or of no declared one become UTF-8."""
    declared = header.get("SpecificCharacterSet") or ""
    known = {item.value for item in SpecificCharacterSetValues}
    if isinstance(declared, str) and declared in known and "2022" not in declared:
        return
    if not declared:
        _decode_undeclared(header)
    header.decode()
    header.pop("SpecificCharacterSet", None)
    if declared or any(not str(element.value).isascii() for element in header if element.VR in TEXTS):
        header.SpecificCharacterSet = "ISO_IR 192"


def _decode_undeclared(header: Dataset) -> None:
    """Give texts the alphabet that the report gives them; pydicom took each byte for a Latin letter."""
    for element in header.iterall():
        if element.VR not in TEXTS or str(element.value).isascii():
            continue
        values = element.value if element.VM > 1 else [element.value]
        with suppress(UnicodeEncodeError):  # not such bytes: it was decoded otherwise
            told = [undeclared_text(str(value).encode("latin-1")) for value in values]
            element.value = told if len(told) > 1 else told[0]


def plain_text(text: str) -> str:
    """The text in ASCII, which every character set of a source can hold.

    Example:
        >>> plain_text("3 × 4 mm², – über")
        '3 x 4 mm2, - uber'
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(PLAIN))
    return decomposed.encode("ascii", "ignore").decode("ascii")


def long_string(text: str) -> str:
    """The text as a value of representation LO: plain, no backslash, at most 64 characters.

    Example:
        >>> len(long_string("a" * 100))
        64
    """
    plain = plain_text(text).replace("\\", "/").strip()
    return plain if len(plain) <= LONG_STRING else plain[: LONG_STRING - 3].rstrip() + "..."


def coded(concept: Concept) -> CodedConcept:
    """A concept as highdicom wants it."""
    return CodedConcept(concept.value, concept.scheme, long_string(concept.meaning))


def private_schemes(concepts: Iterable[Concept | None]) -> list[CodingSchemeIdentificationItem] | None:
    """Who is responsible for the codes of scheme 99OSTEON; None where no concept is of that scheme."""
    if not any(concept is not None and concept.scheme == _PRIVATE_SCHEME for concept in concepts):
        return None
    return [
        CodingSchemeIdentificationItem(_PRIVATE_SCHEME, name="osteon concepts", responsible_organization=MANUFACTURER)
    ]


def equipment(series: DerivedSeries) -> dict[str, Any]:
    """Keyword arguments of highdicom for the General Series and (Enhanced) General Equipment modules."""
    return {
        "series_instance_uid": series.uid,
        "series_number": series.number,
        "series_description": long_string(series.description),
        "sop_instance_uid": series.instance_uid,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": __version__,
        "device_serial_number": f"{MANUFACTURER}-{__version__}",
    }


def contributing_equipment(series: DerivedSeries, *, purpose: str) -> list[ContributingEquipment]:
    """Osteon as the equipment that processed the source; highdicom adds the scanner and itself."""
    return [
        ContributingEquipment(
            MANUFACTURER,
            codes.DCM.ProcessingEquipment,
            manufacturer_model_name=MANUFACTURER,
            software_versions=__version__,
            device_serial_number=f"{MANUFACTURER}-{__version__}",
            contribution_datetime=series.moment.replace(tzinfo=None),
            contribution_description=long_string(purpose),
        )
    ]


def new_object(
    headers: SourceHeaders,
    series: DerivedSeries,
    *,
    sop_class_uid: str,
    modality: str,
    purpose: str,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> SOPClass:
    """An object that has patient, study, series and equipment, and nothing of its own yet."""
    first = headers.first
    dataset = SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        sop_class_uid=sop_class_uid,
        modality=modality,
        transfer_syntax_uid=transfer_syntax_uid,
        patient_id=first.PatientID,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate,
        study_time=first.StudyTime,
        referring_physician_name=first.ReferringPhysicianName,
        specific_character_set=first.get("SpecificCharacterSet"),
        **equipment(series),
    )
    dataset.copy_patient_and_study_information(first)
    dataset.ContributingEquipmentSequence = contributing_equipment(series, purpose=purpose)
    complete(dataset, series, headers)
    return dataset


def complete(dataset: Dataset, series: DerivedSeries, headers: SourceHeaders) -> None:
    """Write the patient's name, and the moment of the series as creation, series and, where there is one, content."""
    # a new element: the one that is there may be shared with the source headers, and would change them
    dataset.add(DataElement(PATIENT_NAME, "PN", headers.patient_name))
    date, time = series.moment.strftime("%Y%m%d"), series.moment.strftime("%H%M%S.%f")
    dataset.InstanceCreationDate = dataset.SeriesDate = date
    dataset.InstanceCreationTime = dataset.SeriesTime = time
    if "ContentDate" in dataset:  # not every kind of object has it
        dataset.ContentDate, dataset.ContentTime = date, time


def save_object(dataset: Dataset, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    with whole_file(path) as work:
        dataset.save_as(work, enforce_file_format=True)
