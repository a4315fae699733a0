"""De-identify one DICOM file: its header is walked, its pixels are copied as they are."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from osteon import __version__
from osteon.errors import InputError, ThirdParty, UnsupportedError
from osteon.io.dicom.deidentify.known import CHARACTER_SET, Known
from osteon.io.dicom.deidentify.options import KEEP_CODES, DeidentifyOptions
from osteon.io.dicom.deidentify.profile import EDITION
from osteon.io.dicom.deidentify.tree import Encoding, Item, encode, parse
from osteon.io.dicom.deidentify.values import decoded
from osteon.io.dicom.deidentify.walk import STUDY_UID, Place, Walk, person_of
from osteon.io.dicom.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    LONG_VRS,
    NATIVE,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    inflate,
    meta_end,
    read_elements,
)
from osteon.io.limits import HEADER_BYTES, VARIABLE, is_bomb, limit
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from osteon.io.dicom.deidentify.key import Key
    from osteon.io.dicom.elements import Elements

__all__ = [
    "DIRECTORY",
    "Removal",
    "Source",
    "deidentify_file",
    "meta_bytes",
    "open_source",
    "report_of",
    "target_name",
    "write_copy",
    "write_part10",
]

DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""Media Storage Directory: a DICOMDIR."""

CLASS_UID: Final = 0x00080016
INSTANCE_UID: Final = 0x00080018
SERIES_UID: Final = 0x0020000E
_META: Final = frozenset({0x00020002, 0x00020003})
_IMPLEMENTATION: Final = "2.25.148078366297364155049426337297306353637"
_PIECE_BYTES: Final = 2**20
_IDENTITY_REMOVED: Final = 0x00120062
_METHOD: Final = 0x00120063
_METHOD_CODES: Final = 0x00120064
_TIMES_MODIFIED: Final = 0x00280303
_BURNED_IN: Final = 0x00280301
_NOT_CHECKED: Final = "pixels not checked for burnt-in text"


@dataclass(frozen=True, slots=True)
class Removal:
    """What was done to a file. Nothing in it tells who the patient is.

    Attributes:
        pseudonym: of the patient.
        instance_uid: the new SOP Instance UID.
        identity_removed: whether the file says so of itself (0012,0062).
        counts: what was done ("removed", "emptied", "replaced", "cleaned" for a sequence, "kept") -> tag as
            "(GGGG,EEEE)" -> elements, at every depth.
        bytes_left_out: of what followed the pixels.
    """

    pseudonym: str
    instance_uid: str
    identity_removed: bool
    counts: dict[str, dict[str, int]] = field(repr=False)
    bytes_left_out: int = 0

    def total(self, done: str) -> int:
        """Elements of which this was done."""
        return sum(self.counts.get(done, {}).values())


@dataclass(slots=True)
class Source:
    """A DICOM file whose header is read."""

    path: Path
    data_set: Item
    syntax: str  # transfer syntax
    encoding: Encoding
    class_uid: str
    instance_uid: str
    pixels: tuple[int, int]  # first byte of the element that holds the pixels, first byte after it; both 0 for none
    inflated: bytes | None = field(repr=False)  # the whole data set of a deflated file
    size: int = 0  # bytes that ``pixels`` lie in

    def text(self, tag: int) -> str:
        """The text of a top-level element."""
        return decoded(self.data_set.raw(tag), self.data_set.raw(CHARACTER_SET))


def deidentify_file(source: Path, target: Path, key: Key, options: DeidentifyOptions | None = None) -> Removal:
    """Write a de-identified copy of a DICOM file of any kind but a DICOMDIR, whole or not at all.

    The header is done as PS3.15 annex E asks for, at every depth; encapsulated and native pixels are copied bit by
    bit and never decoded. Equal input gives an equal file.

    Args:
        source: not changed.
        target: of the copy; an earlier file is replaced. Its folder must be there.
        key: that pseudonyms, UIDs and the shift of dates follow from.
        options: what stays; by default cleaned descriptions, the patient's characteristics and shifted dates.

    Returns:
        What was done.

    Raises:
        InputError: no DICOM file, damaged so that it cannot be followed, or larger than is read.
        UnsupportedError: a DICOMDIR: ``deidentify_files`` does it, as it names other files.
        OutputError: it cannot be written.

    References:
        DICOM PS3.15 E.1 to E.3; codes of PS3.16 CID 7050.
    """
    found = open_source(source)
    if found.class_uid == DIRECTORY:
        raise UnsupportedError(f"{source.name} is a DICOMDIR: it is done with the folder that it lists")
    return write_copy(found, target, key, options or DeidentifyOptions())


def write_copy(source: Source, target: Path, key: Key, options: DeidentifyOptions) -> Removal:
    """As ``deidentify_file``, of a file that is open."""
    person = person_of(source.data_set, key)
    walk = Walk(key, options, Known(source.data_set, options.keep))
    walk.clean(source.data_set, Place(person))
    has_pixels = source.pixels != (0, 0)
    removed = options.pixels_checked or not has_pixels
    _say_what_was_done(source.data_set, options, has_pixels=has_pixels)
    instance = source.data_set.raw(INSTANCE_UID).decode("ascii", "replace").strip("\0 ")
    instance = instance or walk.uid(source.instance_uid)
    with ThirdParty(f"{source.path.name} cannot be copied"):
        write_part10(source, target, instance)
    left_out = source.size - source.pixels[1] if has_pixels else 0
    return Removal(person.pseudonym, instance, removed, report_of(walk.counts), left_out)


def report_of(counts: Counter[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """The counts of a walk as a report has them."""
    report: dict[str, dict[str, int]] = {}
    for (done, tag), number in sorted(counts.items()):
        # the number of a private element may be anything; its group is enough
        place = f"({tag >> 16:04X},{tag & 0xFFFF:04X})" if not tag >> 16 & 1 else "private"
        of_done = report.setdefault(done, {})
        of_done[place] = of_done.get(place, 0) + number
    return report


def open_source(path: Path) -> Source:
    """Read the header of a DICOM file and find its pixels.

    Raises:
        InputError: as ``deidentify_file`` says.
    """
    with ThirdParty(f"{path.name} cannot be read"):
        found = read_elements(path, wanted=_META | {CLASS_UID, INSTANCE_UID})
        if found is None:
            raise InputError(f"{path.name} is not a DICOM file")
        if found.damage is not None:
            raise InputError(f"{path.name} is damaged: {found.damage}")
        with path.open("rb") as file:
            if found.transfer_syntax == DEFLATED:
                return _open_deflated(path, file.read(limit(HEADER_BYTES) + 1), found)
            size = path.stat().st_size
            end = found.pixel_offset if found.pixel_offset >= 0 else size
            if end > limit(HEADER_BYTES):
                raise InputError(f"{path.name} has a header of {end // 2**20} MiB ({VARIABLE} allows more)")
            head = file.read(end)
            start = meta_end(head)
            encoding = _encoding(head, start, found.transfer_syntax)
            data_set, _ = parse(head, start, encoding)
            pixels = (0, 0)
            if found.pixel_offset >= 0:
                end = _pixels_end(file, found.pixel_offset, found.pixel_length, size, encoding)
                pixels = (_pixels_start(head, encoding), end)
    return _source(path, data_set, (found.transfer_syntax, encoding), found.values, pixels, (None, size))


def _open_deflated(path: Path, data: bytes, found: Elements) -> Source:
    whole, complete = inflate(data[meta_end(data) :], most=limit(HEADER_BYTES))
    if not complete or len(whole) > limit(HEADER_BYTES) or is_bomb(len(whole), len(data)):
        raise InputError(f"{path.name} is damaged, or inflates to more than is read ({VARIABLE} allows more)")
    encoding = Encoding(explicit=True, little=True)
    data_set, _ = parse(whole, 0, encoding)
    pixels = (0, 0)
    if found.pixel_offset >= 0:
        if found.pixel_length < 0 or found.pixel_offset + found.pixel_length > len(whole):
            raise InputError("it is damaged: its pixels end early, or are compressed twice")
        start = _pixels_start(whole[: found.pixel_offset], encoding)
        pixels = (start, found.pixel_offset + found.pixel_length)
    return _source(path, data_set, (DEFLATED, encoding), found.values, pixels, (whole, len(whole)))


def _pixels_start(head: bytes, encoding: Encoding) -> int:
    """First byte of the element that holds the pixels, of what precedes their value."""
    return len(head) - (12 if encoding.explicit and head[-8:-6] in LONG_VRS and head[-6:-4] == b"\0\0" else 8)


def _source(
    path: Path,
    data_set: Item,
    syntax: tuple[str, Encoding],
    values: dict[int, bytes],
    pixels: tuple[int, int],
    inflated: tuple[bytes | None, int],
) -> Source:
    def uid(*tags: int) -> str:
        said = (values.get(tag, b"").decode("ascii", "replace").strip("\0 ") for tag in tags)
        return next((text for text in said if text), "")

    class_uid, instance_uid = uid(CLASS_UID, 0x00020002), uid(INSTANCE_UID, 0x00020003)
    return Source(path, data_set, syntax[0], syntax[1], class_uid, instance_uid, pixels, *inflated)


def _encoding(data: bytes, at: int, syntax: str) -> Encoding:
    vr = data[at + 4 : at + 6]
    return Encoding(explicit=vr in SHORT_VRS or vr in LONG_VRS, little=syntax != EXPLICIT_BIG)


def _pixels_end(file: BinaryIO, at: int, length: int, size: int, encoding: Encoding) -> int:
    """First byte after the element that holds the pixels."""
    order = encoding.order
    if length >= 0:
        if at + length > size:
            raise InputError("it is truncated: its pixels end early")
        return at + length
    while True:
        file.seek(at)
        head = file.read(8)
        group, number = (int.from_bytes(head[i : i + 2], order) for i in (0, 2))
        tag, length = group << 16 | number, int.from_bytes(head[4:8], order)
        at += 8
        if len(head) == 8 and tag == SEQUENCE_END:
            return at
        if len(head) < 8 or tag != ITEM or length == UNDEFINED or at + length > size:
            raise InputError("it is truncated or damaged: its fragments of pixels cannot be followed")
        at += length


def _say_what_was_done(data_set: Item, options: DeidentifyOptions, *, has_pixels: bool) -> None:
    codes = [("113100", "Basic Application Confidentiality Profile")]
    if options.pixels_checked and has_pixels:
        codes.append(("113101", "Clean Pixel Data Option"))
        data_set.put(_BURNED_IN, "CS", b"NO")
    codes.append(("113104", "Clean Structured Content Option"))
    codes += [KEEP_CODES[name] for name in KEEP_CODES if name in options.keep]
    method = [f"osteon {__version__}", f"DICOM PS3.15 {EDITION} table E.1-1"]
    if has_pixels and not options.pixels_checked:
        method.append(_NOT_CHECKED)
    removed = options.pixels_checked or not has_pixels
    data_set.put(_IDENTITY_REMOVED, "CS", b"YES" if removed else b"NO")
    data_set.put(_METHOD, "LO", "\\".join(method).encode())
    data_set.put(_METHOD_CODES, "SQ", [_coded(*code) for code in codes])
    dates = "UNMODIFIED" if "real-dates" in options.keep else "MODIFIED" if "dates" in options.keep else "REMOVED"
    data_set.put(_TIMES_MODIFIED, "CS", dates.encode())


def _coded(value: str, meaning: str) -> Item:
    item = Item()
    item.put(0x00080100, "SH", value.encode())
    item.put(0x00080102, "SH", b"DCM")
    item.put(0x00080104, "LO", meaning.encode())
    return item


def meta_bytes(source: Source, instance: str) -> bytes:
    """Preamble and file meta information of a copy: nothing of the old one but the class and the transfer syntax."""
    encoding, syntax = source.encoding, source.syntax
    if syntax in NATIVE and syntax not in {DEFLATED, EXPLICIT_BIG}:
        syntax = EXPLICIT_LITTLE if encoding.explicit else IMPLICIT_LITTLE  # what the bytes are, whatever was said
    meta = Item()
    meta.put(0x00020001, "OB", b"\0\1")
    for tag, value in (
        (0x00020002, source.class_uid),
        (0x00020003, instance),
        (0x00020010, syntax),
        (0x00020012, _IMPLEMENTATION),
    ):
        meta.put(tag, "UI", value.encode())
    meta.put(0x00020013, "SH", f"OSTEON_{__version__}"[:16].encode())
    explicit = Encoding(explicit=True, little=True)
    body = encode(meta, explicit)
    size = Item()
    size.put(0x00020000, "UL", len(body).to_bytes(4, "little"))
    return bytes(128) + b"DICM" + encode(size, explicit) + body


def write_part10(source: Source, target: Path, instance: str) -> None:
    """Write meta information, data set and the pixels of the source."""
    body = encode(source.data_set, source.encoding)
    with ExitStack() as stack:
        work = stack.enter_context(whole_file(target))
        out = stack.enter_context(work.open("wb"))
        out.write(meta_bytes(source, instance))
        if source.inflated is not None:
            engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            packed = engine.compress(body + source.inflated[slice(*source.pixels)]) + engine.flush()
            out.write(packed + b"\0" * (len(packed) % 2))
            return
        out.write(body)
        start, end = source.pixels
        file = stack.enter_context(source.path.open("rb"))
        file.seek(start)
        while start < end:
            piece = file.read(min(_PIECE_BYTES, end - start))
            if not piece:
                raise InputError(f"{source.path.name} changed while it was read")
            out.write(piece)
            start += len(piece)


def target_name(source: Source, key: Key) -> str:
    """Folders and name of the copy, of an open file that is not cleaned yet."""
    person = person_of(source.data_set, key)
    return person.file_name(source.text(STUDY_UID), source.text(SERIES_UID), source.instance_uid)
