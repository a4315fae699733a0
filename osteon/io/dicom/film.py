"""The rule book by which a DICOM radiograph is read: grey values, spacing, view, side; bright is dense.

**Grey values** (``osteon.io.dicom.grey``; PS3.3 C.11): stored values, their dirty upper bits cleared; then the Modality
LUT Sequence, or slope and intercept (not of fluoroscopy and angiography whose Pixel Intensity Relationship is LIN or
LOG: theirs lead back to the intensity of the rays); then the first item of the VOI LUT Sequence, or else the first
window, by its VOI LUT Function. What shows more than 95 % of the pixels as black, or as white, is left out with a
notice, and the film shown over its full range, or its central 99.8 % where one pixel would rule that.

**Polarity.** MONOCHROME1 says that the lowest value is white *after* the VOI (C.7.6.3.1.2). Presentation LUT Shape
INVERSE says that the values have to be turned over to be P-Values (C.11.6.1), which PS3.14 shows the brighter the
larger they are; the DX module demands INVERSE of MONOCHROME1 and IDENTITY of MONOCHROME2 (C.8.11.3). Both therefore say
one thing twice: a film is turned over once where either says so, never twice. MONOCHROME1 with IDENTITY contradicts the
standard: the Photometric Interpretation is believed, which more writers get right, with a notice.

**FOR PROCESSING.** Raw counts of a detector are refused, by Presentation Intent Type or SOP Class, unless that is asked
for; then they are marked by a notice, and turned by the Pixel Intensity Relationship Sign (1: fewer X-rays are smaller
numbers, so dense is dark, and is turned over), where it is there.

**Spacing** (PS3.3 10.7.1.1 to 10.7.1.3). Pixel Spacing with a Calibration Type, or other than the spacing of the
detector, is "calibrated". Imager Pixel Spacing, or Nominal Scanned Pixel Spacing of a digitised film, is "detector":
lengths in it are those of the shadow, larger than in the patient. Where an Estimated Radiographic Magnification Factor
above 1 is there, it is divided by it, and "calibrated" with a notice. Pixel Spacing alone is "detector" with a notice:
nobody says that it was corrected. What is not two positive numbers is none, with a notice.

**Colour.** RGB, YBR and palettes are read where every pixel is grey; real colour is refused.

Pixels that Pixel Padding Value marks count for no range. Overlays are not drawn, and no film is turned to be upright:
what is stored is what is shown.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.data import Notice, Radiograph, Series, SliceSource, Source
from osteon.errors import InputError, OsteonError, ThirdParty, UnsupportedError
from osteon.io.dicom import header
from osteon.io.dicom.decode import is_decodable, stored_values
from osteon.io.dicom.grey import shown_values
from osteon.io.dicom.header import numbers, text
from osteon.io.dicom.references import reference_problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.dicom.elements import Elements
    from osteon.io.inventory import Frame

__all__ = ["is_raw", "read_film", "read_view", "require_film"]

Plane = Literal["", "detector", "calibrated"]

RAW: Final = "FOR PROCESSING"
CALIBRATIONS: Final = frozenset({"GEOMETRY", "FIDUCIAL"})
SAME_SPACING: Final = 1e-3
"""Two spacings that differ by a smaller share are one, written with different digits."""

MOST_MAGNIFICATION: Final = 10.0
LONGEST_VIEW: Final = 16
GREY_CHANNELS: Final = 2
"""By how many of 255 the channels of a grey pixel may differ, as after lossy compression."""

SIDES: Final = {"L": "L", "R": "R", "B": "B", "LEFT": "L", "RIGHT": "R", "BOTH": "B", "U": "", "": ""}
VIEWS: Final = {
    "399348003": "AP",
    "272479007": "PA",
    "399067008": "LATERAL",
    "399182000": "OBLIQUE",
    "399173006": "LL",
    "399198007": "RL",
    "399312000": "AP OBLIQUE",
    "399059000": "PA OBLIQUE",
    "399260004": "ML",
    "399352003": "LM",
    "399110001": "TANGENTIAL",
}
"""View Code Sequence (CID 4010, SNOMED CT), in the words of View Position."""

_FROM_THE_SIDE: Final = frozenset({"LATERAL", "LAT", "LL", "RL", "ML", "LM"})
AGES_DIFFER: Final = 1.5


def require_film(path: Path, found: Elements, *, raw: bool = False) -> None:
    """Refuse what cannot be shown as a radiograph, before its pixels are decoded.

    Args:
        path: of the file.
        found: its elements.
        raw: an image FOR PROCESSING is wanted all the same.

    Raises:
        InputError: FOR PROCESSING.
        UnsupportedError: a video, or another encoding without a decoder.
    """
    if not is_decodable(found.transfer_syntax):
        from pydicom.uid import UID

        raise UnsupportedError(
            f"{path.name} is encoded as {UID(found.transfer_syntax).name}, which is not read: convert it to an "
            "uncompressed image (of a video, export the frame that is meant)"
        )
    if is_raw(found) and not raw:
        raise InputError(
            f"{path.name} is {RAW}: raw counts of the detector, not the picture that is read. Send the image FOR "
            "PRESENTATION of the same exposure; load_radiograph(..., raw=True) reads it all the same, and marks it"
        )


def is_raw(found: Elements) -> bool:
    """Whether an image is FOR PROCESSING, by its intent or its SOP Class."""
    return text(found.values.get(header.INTENT)).upper() == RAW or header.sop_class_of(found) in header.RAW_CLASSES


def read_film(frame: Frame, found: Elements, *, window: int | None = None) -> Radiograph:
    """Read one radiograph by the rules of this module.

    Args:
        frame: of the file, a film by ``header.is_film``, let through by ``require_film``.
        found: the elements of its file.
        window: which of its VOI LUTs and windows, from 0; None takes the first that can be used.

    Returns:
        Pixels from 0 to 1, full scale 1; its source says what was left out or contradicts itself.

    Raises:
        InputError: damaged pixels or headers, a broken modality LUT or rescale, real colour.
        UnsupportedError: no decoder.
    """
    from pydicom import dcmread

    name = frame.path.name
    with ThirdParty(f"{name}: its header cannot be followed; send it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every value that bends the standard
        data_set = dcmread(frame.path, stop_before_pixels=True, force=True)
    notices: list[Notice] = []
    if frame.pixels.samples != 1 or text(found.values.get(header.PHOTOMETRIC)).upper().startswith("PALETTE"):
        pixels = _grey_of_colour(frame, data_set, notices)
    else:
        turned = _is_turned(found, notices)
        try:
            pixels, more = shown_values(
                stored_values(frame),
                frame,
                found.values,
                data_set,
                window=window,
                turned=turned,
                little=found.little_endian,
            )
        except OsteonError as error:
            raise error if name in str(error) else type(error)(f"{name}: {error}") from error
        notices.extend(more)
    if frame.lossy:
        notices.append(header.LOSSY_NOTICE)
    spacing_mm, plane = _spacing(found.values, notices)
    view = read_view(found, data_set, notices)
    series = _series(found, data_set, notices)
    patient = header.read_patient(found)
    _check_age(found, notices)
    image = SliceSource(frame.sop_instance_uid, frame.path, frame.number)
    return Radiograph(
        pixels,
        modality=series.modality,
        full_scale=1.0,
        spacing_mm=spacing_mm,
        spacing_plane=plane,
        view=view,
        laterality=series.laterality,
        source=Source(
            kind="dicom",
            location=frame.path,
            patient=patient,
            study=header.read_study(found),
            series=series,
            slices=(image,),
            notices=tuple(notices),
            no_objects=reference_problem((frame,)),
        ),
    )


def _is_turned(found: Elements, notices: list[Notice]) -> bool:
    """Whether the values have to be turned over for bright to be dense; see the rule book above."""
    get = found.values.get
    low_is_white = text(get(header.PHOTOMETRIC)).upper() == "MONOCHROME1"
    shape = text(get(header.PRESENTATION_SHAPE)).upper()
    if is_raw(found):
        words = f"The film is {RAW}: raw counts of the detector. Nothing here was made for such images."
        notices.append(Notice("for-processing", words, "warning"))
        order: Literal["little", "big"] = "little" if found.little_endian else "big"
        sign = int.from_bytes(get(header.INTENSITY_SIGN, b"")[:2], order, signed=True)
        if sign in {1, -1}:
            return sign == 1
    if low_is_white and shape == "IDENTITY":
        words = (
            "Presentation LUT Shape (2050,0020) is IDENTITY, though Photometric Interpretation (0028,0004) is "
            "MONOCHROME1: the latter was believed. Check that bone is bright."
        )
        notices.append(Notice("polarity-contradicts", words, "warning"))
    if shape == "INVERSE" and not low_is_white:
        words = (
            "Presentation LUT Shape (2050,0020) is INVERSE, though Photometric Interpretation (0028,0004) is not "
            "MONOCHROME1: the film was turned over. Check that bone is bright."
        )
        notices.append(Notice("polarity-contradicts", words, "warning"))
    return low_is_white or shape == "INVERSE"


def _grey_of_colour(frame: Frame, data_set: Any, notices: list[Notice]) -> NDArray[np.float32]:  # noqa: ANN401
    """(row, column), 0 to 1, of an image in colour whose every pixel is grey.

    Raises:
        InputError: damaged.
        UnsupportedError: real colour.
    """
    from pydicom.pixels import apply_color_lut, pixel_array

    name = frame.path.name
    with ThirdParty(f"{name}: its colours cannot be decoded; send it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if frame.pixels.samples == 1:
            colours = np.asarray(apply_color_lut(stored_values(frame), data_set))
            top = float(np.iinfo(colours.dtype).max)
        else:
            colours = np.asarray(pixel_array(frame.path, index=(frame.number or 1) - 1))
            top = float((1 << frame.pixels.bits_stored) - 1)
    if colours.ndim != 3 or colours.shape[2] < 3:
        raise InputError(f"{name} says that it is in colour, and decodes to {colours.shape}; export it again")
    green = colours[:, :, 1].astype(np.int32)
    furthest = max(int(np.abs(colours[:, :, n] - green).max()) for n in (0, 2))
    if furthest > GREY_CHANNELS * top / 255:
        raise UnsupportedError(f"{name} is a colour DICOM image: only grey ones are read; convert it")
    notices.append(Notice("grey-in-colour", "The film is stored in colour, and grey; windows are not applied to it."))
    return np.asarray(green / np.float32(top), dtype=np.float32)


def _spacing(found: Mapping[int, bytes], notices: list[Notice]) -> tuple[tuple[float, float] | None, Plane]:
    """Millimetres between rows and columns, and where they hold."""
    pixel = _pair(found.get(header.PIXEL_SPACING), "Pixel Spacing (0028,0030)", notices)
    detector = _pair(found.get(header.IMAGER_SPACING), "Imager Pixel Spacing (0018,1164)", notices)
    if detector is None:
        detector = _pair(found.get(header.NOMINAL_SPACING), "Nominal Scanned Pixel Spacing (0018,2010)", notices)
    is_calibrated = text(found.get(header.CALIBRATION)).upper() in CALIBRATIONS
    if pixel is not None and detector is not None:
        is_calibrated |= any(abs(a - b) > SAME_SPACING * b for a, b in zip(pixel, detector, strict=True))
    if pixel is not None and is_calibrated:
        return pixel, "calibrated"
    if detector is None and pixel is not None:
        words = (
            "The film has a Pixel Spacing, and nothing says that it was calibrated: lengths are those on the detector, "
            "larger than in the patient."
        )
        notices.append(Notice("spacing-not-calibrated", words))
    shadow = detector or pixel
    if shadow is None:
        return None, ""
    factor = (numbers(found.get(header.MAGNIFICATION)) or (1.0,))[0]
    if not 1.0 <= factor <= MOST_MAGNIFICATION:
        words = f"The Estimated Radiographic Magnification Factor (0018,1114) is {factor:g}, which cannot be: left out."
        notices.append(Notice("magnification-broken", words, "warning"))
        factor = 1.0
    if factor == 1.0:
        return shadow, "detector"
    words = (
        f"The spacing was divided by the Estimated Radiographic Magnification Factor of the file, {factor:g}: it holds "
        "at one distance from the detector only."
    )
    notices.append(Notice("spacing-magnification", words))
    return (shadow[0] / factor, shadow[1] / factor), "calibrated"


def _pair(raw: bytes | None, name: str, notices: list[Notice]) -> tuple[float, float] | None:
    """Two positive numbers; None where there are none, with a notice where there is something else."""
    values = numbers(raw)
    if values is None:
        return None
    if len(values) == 2 and all(math.isfinite(value) and value > 0 for value in values):
        return values[0], values[1]
    shown = ", ".join(f"{value:g}" for value in values[:2])
    words = f"{name} is not two positive numbers ({shown}): it was left out."
    notices.append(Notice("spacing-broken", words, "warning"))
    return None


def read_view(found: Elements, data_set: Any = None, notices: list[Notice] | None = None) -> str:  # noqa: ANN401
    """View Position, or else what the View Code Sequence says in its words; "" where neither says a view.

    Args:
        found: the elements of the file.
        data_set: of pydicom, for the sequence; None looks at View Position alone.
        notices: gets one where the two contradict each other.
    """
    said = text(found.values.get(header.VIEW_POSITION)).upper()
    said = said if len(said) <= LONGEST_VIEW else ""
    coded = _coded_view(data_set)
    families = [{"AP": "AP", "PA": "PA"}.get(one, "side" * (one in _FROM_THE_SIDE)) for one in (said, coded)]
    if all(families) and families[0] != families[1] and notices is not None:
        words = f"View Position says {said}, View Code Sequence {coded}: the former was taken."
        notices.append(Notice("view-contradicts", words, "warning"))
    return said or coded


def _coded_view(data_set: Any) -> str:  # noqa: ANN401 - pydicom has no types
    items = data_set.get("ViewCodeSequence") if data_set is not None else None
    if not items:
        return ""
    from pydicom.sr.coding import Code

    value, scheme = (str(items[0].get(key, "")).strip() for key in ("CodeValue", "CodingSchemeDesignator"))
    given = Code(value, scheme, "")  # equal to its successor in SNOMED CT where it is of SNOMED RT
    return next((view for code, view in VIEWS.items() if given == Code(code, "SCT", "")), "")


def _series(found: Elements, data_set: Any, notices: list[Notice]) -> Series:  # noqa: ANN401 - pydicom has no types
    """The series, with the side of the image and its body part as far as they are said."""
    series = header.read_series(found)
    image = _side(found.values.get(header.IMAGE_LATERALITY), "Image Laterality (0020,0062)", notices)
    whole = _side(found.values.get(header.LATERALITY), "Laterality (0020,0060)", notices)
    if image and whole and image != whole:
        words = f"Image Laterality says {image}, Laterality {whole}: the former was taken."
        notices.append(Notice("laterality-contradicts", words, "warning"))
    regions = data_set.get("AnatomicRegionSequence")
    region = str(regions[0].get("CodeMeaning", "")).strip().upper() if regions and not series.body_part else ""
    return replace(series, laterality=image or whole, body_part=series.body_part or region)


def _side(raw: bytes | None, name: str, notices: list[Notice]) -> str:
    said = text(raw).upper()
    if said not in SIDES:
        notices.append(Notice("laterality-broken", f"{name} names no side: it was left out.", "warning"))
    return SIDES.get(said, "")


def _check_age(found: Elements, notices: list[Notice]) -> None:
    """A notice where Patient's Age and the dates of birth and study say different ages."""
    get = found.values.get
    said = header.age_in_years(text(get(header.PATIENT_AGE)))
    dates = {"birth_date": text(get(header.BIRTH_DATE)), "study_date": text(get(header.STUDY_DATE))}
    counted = header.age_in_years("", **dates)
    if said is not None and counted is not None and abs(said - counted) > AGES_DIFFER:
        words = (
            f"Patient's Age says {said:.0f} years, the dates of birth and study {counted:.0f}: the former was taken."
        )
        notices.append(Notice("age-contradicts", words, "warning"))
