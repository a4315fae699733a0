"""How large a pixel of a slide is: from the file or from a person, never guessed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from osteon.data.provenance import Notice
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StoredScale", "choose_microns", "imagej_scale", "ome_scale", "openslide_scale", "tiff_scale"]

SMALLEST_UM: Final = 0.01
LARGEST_STORED_UM: Final = 10.0
"""A larger pixel in a file is the 72 or 300 dpi of a screen or printer, which programs write when they know nothing."""
LARGEST_ASKED_UM: Final = 1000.0
MOST_OBLONG: Final = 1.05
SAME: Final = 0.01
UM_AN_UNIT: Final = {"inch": 25400.0, "centimeter": 10000.0}
UM_OF_NAME: Final = {"nm": 1e-3, "um": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1000.0, "cm": 10000.0, "inch": 25400.0}
_OME_PIXELS: Final = re.compile(r"<(?:\w+:)?Pixels\s[^>]*>")


@dataclass(frozen=True, slots=True)
class StoredScale:
    """What a file says of the size of its pixels."""

    microns: tuple[float, float] | None = None  # (row, column) of level 0, or None where it says nothing usable
    hint: str = ""  # what it says instead, a phrase for the message; ""


@dataclass(frozen=True, slots=True)
class _KnownMicrons:
    """The size of a pixel of level 0."""

    per_pixel: tuple[float, float]  # (row, column)
    known_from: Literal["file", "person"]  # who said so
    notices: tuple[Notice, ...] = ()  # where file and person differ


def choose_microns(name: str, stored: StoredScale, asked: float | None) -> _KnownMicrons:
    """The size of a pixel, from a person if they gave it, else from the file.

    Args:
        name: of the file, for errors.
        stored: what the file says.
        asked: what the person says, microns per pixel of level 0; None for nothing.

    Raises:
        InputError: nobody knows it, the person's is not a size, or pixels of the file are not square by more than 5 %.
    """
    if asked is not None and not SMALLEST_UM <= asked <= LARGEST_ASKED_UM:
        raise InputError(
            f"{asked:g} microns per pixel were given for {name}: it must be from {SMALLEST_UM:g} to "
            f"{LARGEST_ASKED_UM:g}, about 0.25 at 40x, 0.5 at 20x, 1.0 at 10x"
        )
    found = stored.microns
    if found is not None and max(found) > MOST_OBLONG * min(found):
        raise InputError(f"pixels of {name} are not square: {found[0]:g} um high and {found[1]:g} um wide; resample it")
    if asked is not None:
        told: tuple[Notice, ...] = ()
        if found is not None and abs(asked / math.sqrt(found[0] * found[1]) - 1.0) > SAME:
            text = (
                f"The file says {found[1]:.4g} um per pixel; {asked:.4g} was given and is used. "
                "Every area and the scale of the tiles depend on it."
            )
            told = (Notice("slide-microns-differ", text, "warning"),)
        return _KnownMicrons((asked, asked), "person", told)
    if found is None:
        raise InputError(
            f"how large a pixel of {name} is, is not known: the file does not say it{stored.hint}; "
            "pass --microns, the micrometres per pixel of its largest level"
        )
    return _KnownMicrons(found, "file")


def openslide_scale(properties: Mapping[str, str]) -> StoredScale:
    """What openslide's properties say: its own microns per pixel, else the resolution of the TIFF.

    The objective is only named: a camera and a lens stand between it and the size of a pixel.
    """
    power = properties.get("openslide.objective-power", "")
    hint = f" (objective {power}x, from which it does not follow)" if power else ""
    row, column = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "yx")
    if row and column and properties.get("openslide.vendor") == "dicom":
        return StoredScale((row, column))  # Pixel Spacing of the standard, which no screen or printer writes
    if row and column:
        return _plausible((row, column), hint)
    resolution = tuple(_number(properties.get(f"tiff.{axis}Resolution")) for axis in "YX")
    return tiff_scale((resolution[0], resolution[1]), properties.get("tiff.ResolutionUnit", ""), hint=hint)


def tiff_scale(resolution: tuple[float, float], unit: str, *, hint: str = "") -> StoredScale:
    """What the resolution tags of a TIFF say.

    Args:
        resolution: pixels per unit, (row, column); 0 where there is none.
        unit: "inch" or "centimeter"; others are not a length.
        hint: added to that of the answer.

    Example:
        >>> tiff_scale((20000.0, 20000.0), "centimeter").microns
        (0.5, 0.5)
        >>> tiff_scale((72.0, 72.0), "inch").hint
        ' (72 pixels an inch are of a screen or printer)'
    """
    length = UM_AN_UNIT.get(unit, 0.0)
    if not (length and min(resolution) > 0):
        return StoredScale(hint=hint)
    found = (length / resolution[0], length / resolution[1])
    a_unit = f"{resolution[1]:.4g} pixels {'an inch' if unit == 'inch' else 'a centimetre'}"
    return _plausible(found, hint, said=a_unit)


def ome_scale(xml: str) -> StoredScale:
    """What the OME-XML of a TIFF says of its first picture.

    Example:
        >>> ome_scale('<Pixels PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5">').microns
        (0.5, 0.5)
    """
    pixels = _OME_PIXELS.search(xml)
    if pixels is None:
        return StoredScale()
    said = dict(re.findall(r'(\w+)="([^"]*)"', pixels[0]))
    found = [_number(said.get(f"PhysicalSize{axis}")) * _um(said.get(f"PhysicalSize{axis}Unit", "um")) for axis in "YX"]
    return StoredScale((found[0], found[1])) if min(found) >= SMALLEST_UM else StoredScale()


def imagej_scale(resolution: tuple[float, float], unit: str) -> StoredScale:
    """What ImageJ says: pixels a unit, (row, column), in the resolution tags, and the unit in its description.

    Example:
        >>> imagej_scale((2.0, 2.0), "micron").microns
        (0.5, 0.5)
    """
    if not (_um(unit) and min(resolution) > 0):
        return StoredScale()
    found = (_um(unit) / resolution[0], _um(unit) / resolution[1])
    return StoredScale(found) if min(found) >= SMALLEST_UM else StoredScale()


def _um(unit: str) -> float:
    """Micrometres of a unit of length; 0 of another word."""
    plain = unit.strip().replace("\\u00B5", "u").replace("\u00b5", "u").replace("\u03bc", "u").lower()
    return UM_OF_NAME.get(plain, 0.0)


def _plausible(microns: tuple[float, float], hint: str, said: str = "") -> StoredScale:
    if min(microns) >= SMALLEST_UM and max(microns) <= LARGEST_STORED_UM:
        return StoredScale(microns)
    return StoredScale(hint=f"{hint} ({said or f'{microns[1]:.4g} um'} are of a screen or printer)")


def _number(text: str | None) -> float:
    """A positive number, else 0."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
