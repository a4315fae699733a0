"""From raw elements to a Frame and to patient, study and series: the one place that knows which tag means what.

Numbers that cannot be read become NaN, so that one broken tag is refused where it matters and not where it is read.
Enhanced and legacy-converted multi-frame images give one Frame per plane (PS3.3 C.7.6.16, functional groups).
"""

from __future__ import annotations

import hashlib
import math
import uuid
import warnings
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from osteon.data import Notice, Patient, Series, Study
from osteon.errors import InputError, ThirdParty
from osteon.io import limits
from osteon.io.dicom.elements import NATIVE
from osteon.io.dicom.weighting import mr_weighting
from osteon.io.inventory import Frame, ImageUids, PixelFormat

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.io.dicom.elements import Elements

__all__ = [
    "BITS_GIVEN",
    "LOSSY_NOTICE",
    "PROJECTION_MODALITIES",
    "SPLIT_KEYS",
    "WANTED",
    "age_in_years",
    "has_series_uid",
    "is_film",
    "modality_of",
    "numbers",
    "read_frame",
    "read_patient",
    "read_series",
    "read_study",
    "series_uid",
    "sop_class_of",
    "split_frames",
    "text",
    "undeclared_text",
]


MEDIA_SOP_CLASS: Final = 0x00020002
MEDIA_SOP_INSTANCE: Final = 0x00020003
CHARACTER_SET: Final = 0x00080005
IMAGE_TYPE: Final = 0x00080008
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_DATE: Final = 0x00080020
ACCESSION_NUMBER: Final = 0x00080050
MODALITY: Final = 0x00080060
INTENT: Final = 0x00080068
MANUFACTURER: Final = 0x00080070
STUDY_DESCRIPTION: Final = 0x00081030
SERIES_DESCRIPTION: Final = 0x0008103E
ACQUISITION_CONTRAST: Final = 0x00089209
PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
BIRTH_DATE: Final = 0x00100030
PATIENT_SEX: Final = 0x00100040
PATIENT_AGE: Final = 0x00101010
BODY_PART: Final = 0x00180015
SCANNING_SEQUENCE: Final = 0x00180020
SCAN_OPTIONS: Final = 0x00180022
SLICE_THICKNESS: Final = 0x00180050
REPETITION_TIME: Final = 0x00180080
ECHO_TIME: Final = 0x00180081
INVERSION_TIME: Final = 0x00180082
SPACING_BETWEEN_SLICES: Final = 0x00180088
PROTOCOL_NAME: Final = 0x00181030
KERNEL: Final = 0x00181210
IMAGER_SPACING: Final = 0x00181164
MAGNIFICATION: Final = 0x00181114
PATIENT_POSITION: Final = 0x00185100
VIEW_POSITION: Final = 0x00185101
NOMINAL_SPACING: Final = 0x00182010
STUDY_UID: Final = 0x0020000D
SERIES_UID: Final = 0x0020000E
SERIES_NUMBER: Final = 0x00200011
IMAGE_POSITION: Final = 0x00200032
IMAGE_ORIENTATION: Final = 0x00200037
FRAME_OF_REFERENCE: Final = 0x00200052
LATERALITY: Final = 0x00200060
IMAGE_LATERALITY: Final = 0x00200062
SAMPLES: Final = 0x00280002
FRAMES: Final = 0x00280008
PHOTOMETRIC: Final = 0x00280004
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
PIXEL_SPACING: Final = 0x00280030
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
SIGNED: Final = 0x00280103
PADDING: Final = 0x00280120
PADDING_LIMIT: Final = 0x00280121
CALIBRATION: Final = 0x00280A02
PIXEL_INTENSITY: Final = 0x00281040
INTENSITY_SIGN: Final = 0x00281041
WINDOW_CENTER: Final = 0x00281050
WINDOW_WIDTH: Final = 0x00281051
INTERCEPT: Final = 0x00281052
SLOPE: Final = 0x00281053
RESCALE_TYPE: Final = 0x00281054
VOI_FUNCTION: Final = 0x00281056
LOSSY: Final = 0x00282110
PRESENTATION_SHAPE: Final = 0x20500020

SPLIT_KEYS: Final[dict[int, str]] = {
    0x00200012: "acquisition number",
    0x00200100: "temporal position",
    0x00180086: "echo number",
    0x00180081: "echo time",
    0x00181060: "trigger time",
    0x00181210: "convolution kernel",
    0x00080008: "image type",
    0x00080032: "acquisition time",
}
"""Elements that may tell two images of one place apart, the most trusted first."""

WANTED: Final = frozenset(SPLIT_KEYS) | {
    value for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)
}
"""Every tag that this module reads."""

STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
PROJECTION_MODALITIES: Final = frozenset({"CR", "DX", "MG", "RF", "XA", "RG", "IO", "PX"})
RAW_CLASSES: Final = frozenset(f"{STORAGE}1.{end}" for end in ("1.1", "2.1", "3.1"))
"""DX, mammography and intra-oral, for processing."""

PROJECTION_CLASSES: Final = RAW_CLASSES | {f"{STORAGE}{end}" for end in ("1", "1.1", "1.2", "1.3", "12.1", "12.2")}
"""Those, CR, and DX, mammography and intra-oral for presentation; angiography, fluoroscopy."""

SECONDARY_CLASSES: Final = frozenset(f"{STORAGE}7{end}" for end in ("", ".1", ".2", ".3", ".4"))
NOT_PROJECTED: Final = frozenset({"CT", "MR", "PT", "NM", "US"})
NOT_NAMED: Final = frozenset({"", "OT", "HC"})
"""Modality of a secondary capture (a screenshot, a digitised film) that names no other machine."""

LOSSY_NOTICE: Final = Notice(
    "lossy-compression",
    "The images went through lossy compression: their values differ slightly from the scanner's.",
    "warning",
)

LOSSY_SYNTAXES: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"})
MAX_FRAME_PIXELS: Final = 2**26
"""8192 x 8192; the largest radiographs have half of that."""

BITS_GIVEN: Final = "its header says of the bits of a pixel:"
"""So begins what is wrong with a header and not with the file: sending it again would not help."""

EARLIEST_BIRTH: Final = 1800
LONGEST_AGE: Final = 4
LONGEST_UID: Final = 64
LONGEST_CODE: Final = 16
DAYS_IN_UNIT: Final = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
NAN: Final = math.nan
GEOMETRY_COUNTS: Final = {
    IMAGE_POSITION: ("Image Position (Patient)", 3),
    IMAGE_ORIENTATION: ("Image Orientation (Patient)", 6),
    PIXEL_SPACING: ("Pixel Spacing", 2),
}


@lru_cache(maxsize=4096)
def numbers(raw: bytes | None) -> tuple[float, ...] | None:
    r"""Decimal strings as floats; None when absent or empty, NaN for a value that is not a number.

    Example:
        >>> numbers(b"1.5\\-2 ")
        (1.5, -2.0)
    """
    if raw is None:
        return None
    stripped = raw.strip(b"\0 ")
    if not stripped:
        return None
    return tuple(_number(part) for part in stripped.split(b"\\"))


def _number(part: bytes) -> float:
    try:
        return float(part)
    except ValueError:
        return NAN


@lru_cache(maxsize=4096)
def text(raw: bytes | None, character_set: bytes | None = None) -> str:
    """Text of an element; other alphabets through the Specific Character Set of the file.

    Stripped, "" when absent. Bytes that cannot be decoded become the replacement character.
    """
    if raw is None:
        return ""
    raw = raw.strip(b"\0 ")
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    from pydicom.charset import convert_encodings, decode_bytes

    if not (character_set or b"").strip(b"\0 ") and b"\x1b" not in raw:
        return undeclared_text(raw).strip()
    names = character_set.strip(b"\0 ").decode("ascii", "replace").split("\\") if character_set else ["ISO_IR 192"]
    try:
        with warnings.catch_warnings():
            # pydicom's warning would quote nothing useful, and the replacement character shows what happened
            warnings.simplefilter("ignore")
            return str(decode_bytes(raw, convert_encodings(names), {"\x1b"})).strip()
    except (LookupError, UnicodeError):
        return raw.decode("latin-1").strip()


def undeclared_text(raw: bytes) -> str:
    """Text of a file that does not say its alphabet: UTF-8 where it can be, else Latin-1, as in most of Europe.

    Example:
        >>> undeclared_text("Gräfe".encode()), undeclared_text("Gräfe".encode("latin-1"))
        ('Gräfe', 'Gräfe')
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@lru_cache(maxsize=256)
def _image_type_of(raw: bytes | None) -> tuple[str, ...]:
    """Values of Image Type, upper case."""
    return tuple(part.strip().upper() for part in text(raw).split("\\")) if raw else ()


def read_frame(path: Path, found: Elements) -> Frame:
    """The Frame of a single-frame image, or the whole file as one when it holds several.

    ``damage`` says what is wrong with the file as far as the header shows it.
    """
    values = found.values
    get = values.get
    little = found.little_endian
    pixels = _pixel_format(
        tuple(get(tag) for tag in (ROWS, COLUMNS, SAMPLES, BITS_ALLOCATED, BITS_STORED, HIGH_BIT, SIGNED)),
        found.transfer_syntax,
        little=little,
    )
    if found.float_bits:
        pixels = replace(
            pixels, bits_allocated=found.float_bits, bits_stored=found.float_bits, signed=True, is_float=True
        )
    said = (numbers(get(FRAMES)) or (1.0,))[0]
    frames = int(said) if math.isfinite(said) and said >= 1 else 1
    slope, intercept = numbers(get(SLOPE)), numbers(get(INTERCEPT))
    return Frame(
        path=path,
        number=None,
        frames_in_file=frames,
        sop_instance_uid=text(get(SOP_INSTANCE_UID)) or text(get(MEDIA_SOP_INSTANCE)) or _made_uid(str(path)),
        pixels=pixels,
        offset=found.pixel_offset,
        length=found.pixel_length,
        position=numbers(get(IMAGE_POSITION)),
        orientation=numbers(get(IMAGE_ORIENTATION)),
        spacing=numbers(get(PIXEL_SPACING)),
        thickness=(numbers(get(SLICE_THICKNESS)) or (None,))[0],
        step=(numbers(get(SPACING_BETWEEN_SLICES)) or (None,))[0],
        rescale=_rescale(slope, intercept, text(get(MODALITY)).upper()),
        padding=_padding(get(PADDING), get(PADDING_LIMIT), signed=pixels.signed, little=little),
        image_type=_image_type_of(get(IMAGE_TYPE)),
        frame_of_reference_uid=text(get(FRAME_OF_REFERENCE)),
        split_keys=tuple(text(get(tag)) for tag in SPLIT_KEYS),
        lossy=text(get(LOSSY)) == "01" or found.transfer_syntax in LOSSY_SYNTAXES,
        damage=found.damage or _damage(found, pixels, frames) or (None if is_film(found) else _count_damage(values)),
        is_inverted=text(get(PHOTOMETRIC)).strip() == "MONOCHROME1",
        modality=modality_of(found),
        rescale_type=text(get(RESCALE_TYPE)).upper()[:LONGEST_CODE],
        uids=ImageUids(
            study=text(get(STUDY_UID)),
            series=text(get(SERIES_UID)),
            instance=text(get(SOP_INSTANCE_UID)) or text(get(MEDIA_SOP_INSTANCE)),
            sop_class=sop_class_of(found),
            frame_of_reference=text(get(FRAME_OF_REFERENCE)),
        ),
    )


def _rescale(
    slope: tuple[float, ...] | None, intercept: tuple[float, ...] | None, modality: str
) -> tuple[float, float] | None:
    """Slope and intercept; None when a file has neither. Half a scale of a CT is none: its zero is not known."""
    if (slope is None and intercept is None) or (modality == "CT" and intercept is None):
        return None
    return (slope or (1.0,))[0], (intercept or (0.0,))[0]


def _made_uid(*parts: str) -> str:
    """A UID that stands in for a missing one: the same for the same parts (PS3.5 B.2, a UUID as an integer).

    Example:
        >>> _made_uid("a") == _made_uid("a"), _made_uid("a")[:5]
        (True, '2.25.')
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def series_uid(found: Elements) -> str:
    """Series Instance UID; made from what else distinguishes series when the file has lost it; "" when nothing does."""
    get = found.values.get
    if uid := _uid(get(SERIES_UID)):
        return uid
    if found.pixel_offset < 0:
        return ""
    tags = (STUDY_UID, FRAME_OF_REFERENCE, MODALITY, SERIES_NUMBER, KERNEL, STUDY_DATE, ROWS, COLUMNS)
    return _made_uid("series", *(text(get(tag)) if tag not in {ROWS, COLUMNS} else str(get(tag)) for tag in tags))


def _study_uid(found: Elements) -> str:
    """Study Instance UID; made from patient, date and frame of reference when the file has lost it."""
    get = found.values.get
    tags = (PATIENT_ID, STUDY_DATE, ACCESSION_NUMBER, FRAME_OF_REFERENCE)
    return text(get(STUDY_UID)) or _made_uid("study", *(text(get(tag), get(CHARACTER_SET)) for tag in tags))


def has_series_uid(found: Elements) -> bool:
    """Whether the file itself names its series."""
    return bool(_uid(found.values.get(SERIES_UID)))


def _uid(raw: bytes | None) -> str:
    """A UID, well formed or not; "" where it is longer than any, as of a broken header that holds other text in it."""
    uid = text(raw)
    return uid if len(uid) <= LONGEST_UID else ""


def modality_of(found: Elements) -> str:
    """Modality, upper case, no longer than any: a broken header may hold other text in it."""
    return text(found.values.get(MODALITY)).upper()[:LONGEST_CODE]


def is_film(found: Elements) -> bool:
    """Whether an image is a radiograph: a projection, or a secondary capture of an unnamed machine."""
    modality = modality_of(found)
    if modality in PROJECTION_MODALITIES:
        return True
    kind = sop_class_of(found)
    if kind in SECONDARY_CLASSES:
        return modality in NOT_NAMED
    return kind in PROJECTION_CLASSES and modality not in NOT_PROJECTED


def sop_class_of(found: Elements) -> str:
    """SOP Class UID of an image, from its file meta information where the image has lost it; or ""."""
    return text(found.values.get(SOP_CLASS_UID)) or text(found.values.get(MEDIA_SOP_CLASS))


def read_patient(found: Elements) -> Patient:
    """Who, from one image of a series."""
    get = found.values.get
    alphabet = get(CHARACTER_SET)
    birth, study = text(get(BIRTH_DATE)), text(get(STUDY_DATE))
    return Patient(
        identifier=text(get(PATIENT_ID), alphabet),
        name=text(get(PATIENT_NAME), alphabet),
        birth_date=birth,
        sex=text(get(PATIENT_SEX)).upper()[:1],
        age_years=age_in_years(text(get(PATIENT_AGE)), birth_date=birth, study_date=study),
    )


def read_study(found: Elements) -> Study:
    """Of which visit, from one image of a series."""
    get = found.values.get
    alphabet = get(CHARACTER_SET)
    return Study(
        uid=_study_uid(found),
        date=text(get(STUDY_DATE)),
        description=text(get(STUDY_DESCRIPTION), alphabet),
        accession_number=text(get(ACCESSION_NUMBER), alphabet),
    )


def read_series(found: Elements) -> Series:
    """Which acquisition, from one of its images."""
    get = found.values.get
    alphabet = get(CHARACTER_SET)
    number = numbers(get(SERIES_NUMBER))
    return Series(
        uid=series_uid(found),
        modality=modality_of(found),
        number=int(number[0]) if number and math.isfinite(number[0]) else None,
        description=text(get(SERIES_DESCRIPTION), alphabet),
        body_part=text(get(BODY_PART)).upper(),
        laterality=text(get(LATERALITY)).upper(),
        patient_position=text(get(PATIENT_POSITION)).upper(),
        manufacturer=text(get(MANUFACTURER), alphabet),
        frame_of_reference_uid=text(get(FRAME_OF_REFERENCE)),
        sop_class_uid=sop_class_of(found),
        weighting=_weighting(found) if modality_of(found) == "MR" else "",
        kernel=text(get(KERNEL)),
    )


def _weighting(found: Elements) -> str:
    """Of an MR series; "" where its header does not say it."""
    get = found.values.get
    times = ((numbers(get(tag)) or (None,))[0] for tag in (REPETITION_TIME, ECHO_TIME, INVERSION_TIME))
    repetition_ms, echo_ms, inversion_ms = (None if one is None or math.isnan(one) else one for one in times)
    return mr_weighting(
        [text(get(tag), get(CHARACTER_SET)) for tag in (SERIES_DESCRIPTION, PROTOCOL_NAME)],
        contrast=text(get(ACQUISITION_CONTRAST)),
        sequence=text(get(SCANNING_SEQUENCE)),
        options=text(get(SCAN_OPTIONS)),
        repetition_ms=repetition_ms,
        echo_ms=echo_ms,
        inversion_ms=inversion_ms,
    )


def age_in_years(age: str, *, birth_date: str = "", study_date: str = "") -> float | None:
    """Age at the study.

    Args:
        age: DICOM age string, as "012Y" or "018M".
        birth_date: YYYYMMDD, used when ``age`` says nothing.
        study_date: YYYYMMDD.

    Returns:
        Years; None when neither can be read. "000Y" counts as not known: writers use it for an empty field, as
        anonymisers use dates of the year 1.

    Example:
        >>> age_in_years("018M")
        1.5
    """
    unit = age[-1:].upper()
    if unit in DAYS_IN_UNIT and len(age) <= LONGEST_AGE and age[:-1].isdecimal() and age.upper() != "000Y":
        return int(age[:-1]) * DAYS_IN_UNIT[unit] / DAYS_IN_UNIT["Y"]
    from datetime import datetime

    try:
        # both are calendar dates without a time zone
        born = datetime.strptime(birth_date, "%Y%m%d")  # noqa: DTZ007 - a date
        seen = datetime.strptime(study_date, "%Y%m%d")  # noqa: DTZ007 - a date
    except ValueError:
        return None
    if born.year < EARLIEST_BIRTH:
        return None
    years = (seen - born).days / DAYS_IN_UNIT["Y"]
    return years if 0 <= years <= 130 else None


def _whole(raw: bytes, *, little: bool, signed: bool = False) -> int:
    return int.from_bytes(raw[:2], "little" if little else "big", signed=signed)


@lru_cache(maxsize=256)
def _pixel_format(raw: tuple[bytes | None, ...], syntax: str, *, little: bool) -> PixelFormat:
    rows, columns, samples, allocated, stored, high, signed = (
        _whole(value, little=little) if value else None for value in raw
    )
    allocated = allocated or 0
    stored = stored or allocated
    return PixelFormat(
        rows=rows or 0,
        columns=columns or 0,
        samples=samples or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=bool(signed),
        transfer_syntax=syntax,
    )


@lru_cache(maxsize=256)
def _padding(value: bytes | None, limit: bytes | None, *, signed: bool, little: bool) -> tuple[int, int] | None:
    """Pixel Padding Value and Range Limit: two bytes each, with the sign of the pixels."""
    if not value or len(value) < 2:
        return None
    first = _whole(value, little=little, signed=signed)
    last = first if limit is None or len(limit) < 2 else _whole(limit, little=little, signed=signed)
    return min(first, last), max(first, last)


def _damage(found: Elements, pixels: PixelFormat, frames: int) -> str | None:
    """What the header and the file size already show to be wrong with the pixels."""
    if found.pixel_offset < 0:
        return None  # no image: the caller sorts it out
    measure = _length_damage if found.pixel_length >= 0 else _fragments_damage
    return _format_damage(pixels) or measure(found, pixels, frames)


def _fragments_damage(found: Elements, pixels: PixelFormat, frames: int) -> str | None:
    """Compressed frames that cannot be there, or would be more than any image has."""
    if pixels.transfer_syntax in NATIVE:
        return "it says that its pixels are not compressed, but they are"
    # each frame is in an item, whose tag and length alone have eight bytes
    there, whole = found.size - found.pixel_offset, frames * pixels.frame_bytes
    if frames > there // 8:
        return f"its header says {frames:.6g} frames, which its {there} bytes of pixels cannot hold"
    too_many = frames > limits.limit(limits.FRAMES) or whole > limits.limit(limits.UNPACKED_BYTES)
    # a mask may be almost empty, and is unpacked one frame at a time
    may_be_empty = modality_of(found) == "SEG"
    if too_many or (frames > 1 and not may_be_empty and limits.is_bomb(whole, there)):
        return (
            f"its header says {frames} frames, {whole / 2**30:.3g} GiB of pixels in {there} bytes: more than any image "
            f"has ({limits.VARIABLE} allows more)"
        )
    return None


def _count_damage(values: dict[int, bytes]) -> str | None:
    """Which tag of the geometry has another number of values than it must have."""
    for tag, (name, count) in GEOMETRY_COUNTS.items():
        found = numbers(values.get(tag))
        if found is not None and len(found) != count:
            number = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
            return f"its {name} {number} has {len(found)} value{'s' if len(found) != 1 else ''} instead of {count}"
    return None


def _format_damage(pixels: PixelFormat) -> str | None:
    if min(pixels.rows, pixels.columns) < 1:
        return "its header gives no Rows or Columns"
    if pixels.rows * pixels.columns > MAX_FRAME_PIXELS:
        return f"its header gives {pixels.rows} x {pixels.columns} pixels, which no scanner makes"
    if pixels.is_float:
        return None
    if pixels.bits_allocated not in {8, 16, 32} or not 1 <= pixels.bits_stored <= pixels.bits_allocated:
        return f"{BITS_GIVEN} {pixels.bits_stored} of {pixels.bits_allocated} bits"
    if not pixels.bits_stored - 1 <= pixels.high_bit < pixels.bits_allocated:
        return f"{BITS_GIVEN} High Bit {pixels.high_bit} for {pixels.bits_stored} stored bits"
    return None


def _length_damage(found: Elements, pixels: PixelFormat, frames: int) -> str | None:
    if found.pixel_offset + found.pixel_length > found.size:
        return "it is truncated, the pixels end before they should"
    if pixels.transfer_syntax not in NATIVE:
        return "it says that its pixels are compressed, but they are not"
    expected = pixels.frame_bytes * frames
    # one byte pads to an even length; some writers pad further, but never by a whole row
    if not expected <= found.pixel_length < expected + max(2, pixels.frame_bytes // pixels.rows):
        return (
            f"its header says {frames} x {pixels.rows} x {pixels.columns} pixels ({expected} bytes), it holds "
            f"{found.pixel_length} bytes"
        )
    return None


def split_frames(whole: Frame) -> tuple[Frame, ...]:
    """The planes of a multi-frame image, each with its own place and rescale.

    Without functional groups the planes have no position and are refused later.
    A file whose functional groups cannot be read gives the one Frame with ``damage``.
    """
    from pydicom import dcmread

    try:
        with ThirdParty("its functional groups cannot be read"), warnings.catch_warnings():
            # pydicom warns of every value that bends the standard; what matters is checked where it is used
            warnings.simplefilter("ignore")
            return _planes(whole, dcmread(whole.path, stop_before_pixels=True, force=True))
    except InputError as error:
        return (replace(whole, damage=str(error)),)


def _planes(whole: Frame, data_set: Any) -> tuple[Frame, ...]:  # noqa: ANN401 - pydicom has no types
    shared = _first(data_set, "SharedFunctionalGroupsSequence")
    groups = list(data_set.get("PerFrameFunctionalGroupsSequence") or [])
    if groups and len(groups) != whole.frames_in_file:
        return (replace(whole, damage=f"it says {whole.frames_in_file} frames and describes {len(groups)}"),)
    if not groups:
        groups = [None] * whole.frames_in_file
    return tuple(_frame(whole, number, shared, group) for number, group in enumerate(groups, start=1))


def _frame(whole: Frame, number: int, shared: Any, group: Any) -> Frame:  # noqa: ANN401 - pydicom has no types
    """One plane; what its own group does not say, the shared group or the image says."""

    def macro(name: str) -> Any:  # noqa: ANN401 - pydicom has no types
        return _first(group, name) or _first(shared, name)

    measures = macro("PixelMeasuresSequence")
    rescale = macro("PixelValueTransformationSequence")
    content = macro("FrameContentSequence")
    kind = macro("CTImageFrameTypeSequence") or macro("MRImageFrameTypeSequence")
    image_type = _texts(kind, "FrameType")
    slope, intercept = _floats(rescale, "RescaleSlope"), _floats(rescale, "RescaleIntercept")
    keys = dict(zip(SPLIT_KEYS.values(), whole.split_keys, strict=True))
    acquisition, temporal = _texts(content, "FrameAcquisitionNumber"), _texts(content, "TemporalPositionIndex")
    echo = _texts(macro("MREchoSequence"), "EffectiveEchoTime")
    keys |= {
        name: value[0]
        for name, value in (("acquisition number", acquisition), ("temporal position", temporal), ("echo time", echo))
        if value
    }
    return replace(
        whole,
        number=number,
        position=_floats(macro("PlanePositionSequence"), "ImagePositionPatient") or whole.position,
        orientation=_floats(macro("PlaneOrientationSequence"), "ImageOrientationPatient") or whole.orientation,
        spacing=_floats(measures, "PixelSpacing") or whole.spacing,
        thickness=(_floats(measures, "SliceThickness") or (whole.thickness,))[0],
        step=(_floats(measures, "SpacingBetweenSlices") or (whole.step,))[0],
        rescale=_rescale(slope, intercept, whole.modality) or whole.rescale,
        rescale_type=(_texts(rescale, "RescaleType") or (whole.rescale_type,))[0].strip().upper(),
        image_type=tuple(value.upper() for value in image_type) or whole.image_type,
        split_keys=tuple(keys.values()),
    )


def _first(group: Any, name: str) -> Any:  # noqa: ANN401 - pydicom has no types
    items = group.get(name) if group is not None else None
    return items[0] if items else None


def _floats(group: Any, name: str) -> tuple[float, ...] | None:  # noqa: ANN401 - pydicom has no types
    value = group.get(name) if group is not None else None
    if value is None or value == "":
        return None
    return tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))


def _texts(group: Any, name: str) -> tuple[str, ...]:  # noqa: ANN401 - pydicom has no types
    value = group.get(name) if group is not None else None
    if value is None or value == "":
        return ()
    return tuple(str(part) for part in ([value] if isinstance(value, (str, int, float)) else value))
