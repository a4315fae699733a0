"""From the stored values of a radiograph to what is shown of it: the grey scale pipeline of PS3.3 C.11, 0 to 1.

Every step is worked out once for each value that a pixel can have, and looked up for the pixels: a film of 40 million
pixels takes no more memory than its stored and its shown values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Notice
from osteon.errors import InputError, OsteonError, ThirdParty
from osteon.io.dicom.header import (
    PIXEL_INTENSITY,
    VOI_FUNCTION,
    WINDOW_CENTER,
    WINDOW_WIDTH,
    numbers,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from osteon.io.inventory import Frame

    Values: TypeAlias = NDArray[np.float64]

__all__ = ["Lookup", "read_lookup", "shown_values", "window_values"]

LARGEST_LOOKUP: Final = 65536
"""Entries of a LUT whose descriptor says 0."""

FUNCTIONS: Final = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

MOST_AT_ONE_END: Final = 0.95
"""Of the pixels: a window that shows more of them as black, or as white, is not one for this image."""

_UNSEEN: Final = 1 / 512
"""From an end: less than a step of eight bits."""

_CENTRAL: Final = (0.001, 0.999)
_TABLE_BITS: Final = 16
_ROWS_AT_ONCE: Final = 256
_UNUSED_BITS: Final = 2
"""From so many on that no entry of a LUT uses, its descriptor is wrong (12 bits said to be 16)."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A table of PS3.3 C.11.1.1 or C.11.2.1.1.

    Attributes:
        first: the value that the first entry belongs to; smaller ones have its result, larger ones that of the last.
        entries: uint16.
        top: the largest value that an entry can have.
        is_odd: whether the number of bits that the file says cannot be.
    """

    first: int
    entries: NDArray[np.uint16] = field(repr=False)
    top: int
    is_odd: bool = False

    def __call__(self, values: Values) -> Values:
        """The entries of some values."""
        place = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1).astype(np.int64)
        return np.asarray(self.entries[place], dtype=np.float64)


def read_lookup(item: Any, *, has_negative: bool, little: bool = True) -> Lookup:  # noqa: ANN401 - pydicom has no types
    """The table in an item of a Modality or VOI LUT Sequence.

    A descriptor of 0 entries means 65536. Entries of 8 bits come packed, two a word, or one a word.

    Args:
        item: of pydicom.
        has_negative: whether what is looked up can be negative: then the first value mapped is signed, also where
            the file stores it as unsigned.
        little: byte order of the file.

    Raises:
        InputError: no table, or one with fewer entries than it says.
    """
    with ThirdParty("its LUT cannot be read"):
        count, first, bits = (int(value) for value in item["LUTDescriptor"].value)
        data = item["LUTData"].value
    count = count & 0xFFFF or LARGEST_LOOKUP
    if first >= 0x8000 and has_negative:
        first -= 0x10000
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2" if little else ">u2")
    else:
        with ThirdParty("its LUT cannot be read"):
            words = np.asarray([data] if isinstance(data, int) else list(data), dtype=np.int64) & 0xFFFF
    packed = bits <= 8 and words.size < count <= 2 * words.size
    entries: NDArray[Any] = words.astype("<u2").view(np.uint8) if packed else words
    if entries.size < count:
        raise InputError(f"its LUT says {count} entries and has {entries.size}")
    table = np.asarray(entries[:count], dtype=np.uint16)
    used = max(1, int(table.max()).bit_length())
    is_odd = not 1 <= bits <= 16 or used > bits or used <= bits - _UNUSED_BITS
    return Lookup(first, table, (1 << (used if is_odd else bits)) - 1, is_odd)


def window_values(values: Values, *, center: float, width: float, function: str = "LINEAR") -> Values:
    """What a window shows, 0 to 1.

    Args:
        values: after the modality LUT or the rescale.
        center: Window Center.
        width: Window Width; at least 1 for LINEAR, more than 0 else.
        function: VOI LUT Function.

    References:
        PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    Example:
        >>> window_values(np.array([0.0, 2047.5, 4095.0]), center=2048, width=4096).tolist()
        [0.0, 0.5, 1.0]
        >>> window_values(np.array([0.0, 2048.0, 4096.0]), center=2048, width=4096, function="LINEAR_EXACT").tolist()
        [0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-4 * (values - center) / width)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def shown_values(
    stored: NDArray[Any],
    frame: Frame,
    found: Mapping[int, bytes],
    data_set: Any,  # noqa: ANN401 - pydicom has no types
    *,
    window: int | None = None,
    turned: bool = False,
    little: bool = True,
) -> tuple[NDArray[np.float32], tuple[Notice, ...]]:
    """What is to be shown of a radiograph.

    Args:
        stored: (row, column), as ``stored_values`` gives them.
        frame: its rescale and padding.
        found: the elements of its file.
        data_set: of pydicom, for its LUTs.
        window: which of the VOI LUTs and then windows of the file, from 0; None takes the first that can be used.
        turned: whether the lowest value is white.
        little: byte order of the file.

    Returns:
        (row, column), 0 to 1; and what was left out.

    Raises:
        InputError: a broken rescale or modality LUT, or no window of that number.
    """
    domain, index = _domain(stored, bits=frame.pixels.bits_stored)
    counts = np.zeros(domain.size, dtype=np.int64)
    for start in range(0, index.shape[0], _ROWS_AT_ONCE):
        counts += np.bincount(index[start : start + _ROWS_AT_ONCE].ravel(), minlength=domain.size)
    there = counts > 0
    if frame.padding is not None:
        inside = there & ((domain < frame.padding[0]) | (domain > frame.padding[1]))
        there = inside if inside.any() else there
    values = _modality_values(domain, frame, found, data_set, little=little)
    if not np.isfinite(values).all():
        raise InputError("its Rescale Slope or Intercept is broken, the values are not finite")
    real, counted = values[there], counts[there]
    ways, notices = _ways(found, data_set, has_negative=bool(real.min() < 0), window=window, little=little)
    shown, more = _shown(values, real, counted, ways)
    table = (1 - shown if turned else shown).astype(np.float32)
    result = np.empty(index.shape, dtype=np.float32)
    for start in range(0, index.shape[0], _ROWS_AT_ONCE):
        result[start : start + _ROWS_AT_ONCE] = table[index[start : start + _ROWS_AT_ONCE]]
    return result, (*notices, *more)


def _domain(stored: NDArray[Any], *, bits: int) -> tuple[Values, NDArray[Any]]:
    """Every value that a pixel can have, and which of them each has."""
    if stored.dtype.kind in "iu" and bits <= _TABLE_BITS:
        size = 8 if stored.dtype.itemsize == 1 else _TABLE_BITS
        kind = np.dtype(f"{stored.dtype.kind}{size // 8}")
        unsigned = np.dtype(f"u{size // 8}")
        domain = np.arange(1 << size, dtype=unsigned).view(kind)
        return domain.astype(np.float64), stored.astype(kind, copy=False).view(unsigned)
    if not np.isfinite(stored).all():
        raise InputError("its pixels are not finite")
    values, index = np.unique(stored, return_inverse=True)
    return values.astype(np.float64), index.reshape(stored.shape)


def _modality_values(
    stored: Values,
    frame: Frame,
    found: Mapping[int, bytes],
    data_set: Any,  # noqa: ANN401 - pydicom has no types
    *,
    little: bool,
) -> Values:
    """After the Modality LUT Sequence, or else slope and intercept (PS3.3 C.11.1).

    Of fluoroscopy and angiography whose pixels are LIN or LOG they lead back to the intensity of the X-rays, and are
    not for showing (PS3.3 C.8.7.1.1.2).
    """
    if frame.modality in {"XA", "RF"} and text(found.get(PIXEL_INTENSITY)).upper() in {"LIN", "LOG"}:
        return stored
    items = data_set.get("ModalityLUTSequence")
    if items:
        return read_lookup(items[0], has_negative=frame.pixels.signed, little=little)(stored)
    slope, intercept = frame.rescale or (1.0, 0.0)
    if slope == 0:
        raise InputError("its Rescale Slope (0028,1053) is 0: every pixel would be the same; export it again")
    return stored * slope + intercept


def _ways(
    found: Mapping[int, bytes],
    data_set: Any,  # noqa: ANN401 - pydicom has no types
    *,
    has_negative: bool,
    window: int | None,
    little: bool,
) -> tuple[list[Callable[[Values], Values]], list[Notice]]:
    """How the file wants to be shown, the first that can be used or the one that was asked for; and what is broken."""
    said: list[Callable[[Values], Values] | str] = []
    notices: list[Notice] = []
    for item in data_set.get("VOILUTSequence") or ():
        try:
            said.append(_of_lookup(read_lookup(item, has_negative=has_negative, little=little), notices))
        except OsteonError as error:
            said.append(f"VOI LUT ({error})")
    said.extend(_windows(found, notices))
    usable = [way for way in said if not isinstance(way, str)]
    if window is not None:
        if not 0 <= window < len(said):
            raise InputError(f"window {window} was asked for, it has {len(said)} windows and VOI LUTs, counted from 0")
        chosen = said[window]
        if isinstance(chosen, str):
            raise InputError(f"window {window} was asked for, and it is broken: {chosen}; choose another one")
        return [chosen], notices
    broken = [way for way in said if isinstance(way, str)]
    if broken:
        words = f"The file holds a window that cannot be used and was left out: {broken[0]}."
        notices.append(Notice("window-broken", words, "warning"))
    return usable[:1], notices


def _of_lookup(lookup: Lookup, notices: list[Notice]) -> Callable[[Values], Values]:
    if lookup.is_odd:
        words = (
            "The VOI LUT uses other bits than its descriptor says; its largest value was taken to be "
            f"{lookup.top}, by the bits that are used."
        )
        notices.append(Notice("lut-bits", words))
    return lambda values: lookup(values) / lookup.top


def _windows(found: Mapping[int, bytes], notices: list[Notice]) -> list[Callable[[Values], Values] | str]:
    centers, widths = numbers(found.get(WINDOW_CENTER)) or (), numbers(found.get(WINDOW_WIDTH)) or ()
    function = text(found.get(VOI_FUNCTION)).upper() or FUNCTIONS[0]
    if function not in FUNCTIONS and widths:
        words = "The VOI LUT Function (0028,1056) of the file is not one of the standard; LINEAR was taken."
        notices.append(Notice("voi-function-unknown", words, "warning"))
        function = FUNCTIONS[0]
    if len(centers) != len(widths):
        notices.append(
            Notice("window-broken", "Window Center and Width differ in number; pairs were taken.", "warning")
        )
    ways: list[Callable[[Values], Values] | str] = []
    for center, width in zip(centers, widths, strict=False):
        least = 1.0 if function == FUNCTIONS[0] else np.nextafter(0.0, 1.0)
        if not (np.isfinite(center) and np.isfinite(width) and width >= least):
            ways.append(f"Window Center {center:g}, Window Width {width:g}")
        else:
            ways.append(_of_window(center, width, function))
    return ways


def _of_window(center: float, width: float, function: str) -> Callable[[Values], Values]:
    return lambda values: window_values(values, center=center, width=width, function=function)


def _shown(
    values: Values, real: Values, counts: NDArray[np.int64], ways: Sequence[Callable[[Values], Values]]
) -> tuple[Values, list[Notice]]:
    """The values as the file wants them shown, or over their range where that shows nothing.

    Args:
        values: every one that can be.
        real: those of pixels, without padding.
        counts: of pixels that have them.
        ways: of the file; empty where it has none.
    """
    low, high = float(real.min()), float(real.max())
    if low == high:
        words = f"Every pixel of the film has the value {low:g}: it shows nothing."
        return np.zeros_like(values), [Notice("film-of-one-value", words, "warning")]
    order = np.argsort(real)
    share = np.cumsum(counts[order]) / counts.sum()
    central = [float(real[order[min(int(np.searchsorted(share, part)), real.size - 1)]]) for part in _CENTRAL]
    ranges = [(low, high)] + ([(central[0], central[1])] if central[0] < central[1] else [])
    tried = [*ways, *(_of_window((a + b) / 2, b - a, "LINEAR_EXACT") for a, b in ranges)]
    shares = [_share_at_one_end(way(real), counts) for way in tried]
    chosen = next((n for n, one in enumerate(shares) if one <= MOST_AT_ONE_END), int(np.argmin(shares)))
    notices = []
    how = "its full range" if chosen < len(ways) + 1 else "its central 99.8 %"
    if ways and chosen:
        words = (
            f"The window or VOI LUT of the file shows {100 * shares[0]:.0f} % of the pixels as black, or as white: it "
            f"was left out, and the film is shown over {how}."
        )
        notices.append(Notice("voi-left-out", words, "warning"))
    elif not ways:
        notices.append(Notice("voi-missing", f"The file says no window: the film is shown over {how}."))
    return tried[chosen](values), notices


def _share_at_one_end(shown: Values, counts: NDArray[np.int64]) -> float:
    ends = (counts[shown <= _UNSEEN].sum(), counts[shown >= 1 - _UNSEEN].sum())
    return float(max(ends) / counts.sum())
