"""Smallest hostile inputs: damaged, lying, or made to eat memory and time. `CASES` holds a maker for each.

A maker writes below the folder it gets and gives what is to be done with which path ("find", "read", "mask", ...).
Taken over from ``../shared/cases/hostile``. The series of `ct` show nobody.
"""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

Made = tuple[str, Path]
Maker = Callable[[Path], Made]

BOMB_MIB = 400
"""Less than in ../shared/cases, as it takes time to make them."""

LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT"}


def el(tag: int, vr: bytes, value: bytes, *, undefined: bool = False) -> bytes:
    """An element, explicit VR little endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if len(value) % 2:
        value += b"\0" if vr in {b"UI", b"OB"} else b" "
    if vr in LONG:
        return head + struct.pack("<HI", 0, 0xFFFFFFFF if undefined else len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def ct(
    number: int = 0,
    *,
    n: int = 16,
    syntax: bytes = b"1.2.840.10008.1.2.1",
    more: dict[int, tuple[bytes, bytes]] | None = None,
    pixels: bytes | None = None,
) -> bytes:
    """One CT slice; ``more`` replaces or adds elements {tag: (vr, value)}; ``pixels`` is the whole pixel element."""
    sop = b"1.2.3.4.%d" % (number + 1)
    d = {
        0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.2"),
        0x00080018: (b"UI", sop),
        0x00080060: (b"CS", b"CT"),
        0x00100010: (b"PN", b"ZZPATIENT^Anna"),
        0x00100020: (b"LO", b"ZZIDENT77"),
        0x0020000D: (b"UI", b"1.2.3.1"),
        0x0020000E: (b"UI", b"1.2.3.2"),
        0x00200011: (b"IS", b"1"),
        0x00200032: (b"DS", b"0\\0\\%d" % (number * 2)),
        0x00200037: (b"DS", b"1\\0\\0\\0\\1\\0"),
        0x00200052: (b"UI", b"1.2.3.3"),
        0x00280002: (b"US", b"\1\0"),
        0x00280004: (b"CS", b"MONOCHROME2"),
        0x00280010: (b"US", struct.pack("<H", n)),
        0x00280011: (b"US", struct.pack("<H", n)),
        0x00280030: (b"DS", b"1\\1"),
        0x00280100: (b"US", b"\x10\0"),
        0x00280101: (b"US", b"\x10\0"),
        0x00280102: (b"US", b"\x0f\0"),
        0x00280103: (b"US", b"\1\0"),
        0x00281052: (b"DS", b"0"),
        0x00281053: (b"DS", b"1"),
        **(more or {}),
    }
    body = b"".join(el(t, *d[t]) for t in sorted(d))
    body += el(0x7FE00010, b"OW", struct.pack(f"<{n * n}h", *range(n * n))) if pixels is None else pixels
    meta = (
        el(0x00020002, b"UI", b"1.2.840.10008.5.1.4.1.1.2") + el(0x00020003, b"UI", sop) + el(0x00020010, b"UI", syntax)
    )
    return bytes(128) + b"DICM" + el(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + body


def item(value: bytes) -> bytes:
    """An item of a sequence."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


def fragments(*parts: bytes) -> bytes:
    """Encapsulated pixel data without an offset table."""
    return el(
        0x7FE00010, b"OB", item(b"") + b"".join(item(p) for p in parts) + b"\xfe\xff\xdd\xe0\0\0\0\0", undefined=True
    )


def nested(depth: int) -> bytes:
    """Sequences of undefined length, one in the other."""
    v = b""
    for _ in range(depth):
        v = el(
            0x00089215,
            b"SQ",
            b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + v + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0",
            undefined=True,
        )
    return v


def nifti(
    path: Path,
    shape: tuple[int, ...] = (16, 16, 8),
    kind: tuple[int, int] = (16, 32),
    *,
    edit: Callable[[bytearray], object] | None = None,
    values: bytes | None = None,
) -> Path:
    """NIfTI-1 with a unit sform; ``edit`` changes the 352 bytes of the header."""
    import numpy as np

    h = bytearray(352)
    struct.pack_into("<i", h, 0, 348)
    struct.pack_into("<8h", h, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", h, 70, *kind)
    struct.pack_into("<8f", h, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", h, 108, 352)
    struct.pack_into("<2f", h, 112, 1, 0)
    h[123] = 2
    struct.pack_into("<2h", h, 252, 0, 1)
    h[344:348] = b"n+1\0"
    for r in range(3):
        struct.pack_into("<4f", h, 280 + 16 * r, *[float(r == c) for c in range(4)])
    if edit:
        edit(h)
    if values is None:
        values = (np.arange(int(np.prod(shape))) % 2000 - 1000).astype(np.float32).tobytes()
    data = bytes(h) + values
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def tiff(path: Path, tags: dict[int, tuple[int, int, int] | None], data: bytes = bytes(3 * 64 * 64)) -> Path:
    """A TIFF of one strip or tile; ``tags`` replaces entries {tag: (type, count, value)}, None leaves one out."""
    given: dict[int, tuple[int, int, int] | None] = {
        256: (3, 1, 64),
        257: (3, 1, 64),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 512),
        277: (3, 1, 1),
        278: (3, 1, 64),
        279: (4, 1, 64 * 64),
        **tags,
    }
    e = {k: v for k, v in given.items() if v is not None}
    out = (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(e))
        + b"".join(struct.pack("<HHII", t, *e[t]) for t in sorted(e))
        + bytes(4)
    )
    path.write_bytes(out.ljust(512, b"\0") + data)
    return path


CASES: dict[str, Maker] = {}


def case(fn: Maker) -> Maker:
    CASES[fn.__name__] = fn
    return fn


def series(d: Path, change: Callable[[int], bytes], *, slices: int = 5) -> Made:
    """A series whose slices ``change`` makes."""
    for i in range(slices):
        (d / f"ct_{i}.dcm").write_bytes(change(i))
    return ("read", d)


@case
def frames_200_million(d: Path) -> Made:
    """Encapsulated, Number of Frames 200,000,000, 1 KB: a Frame object is made for each before a byte is decoded."""
    (d / "a.dcm").write_bytes(
        ct(syntax=b"1.2.840.10008.1.2.5", more={0x00280008: (b"IS", b"200000000")}, pixels=fragments(bytes(64)))
    )
    return ("find", d)


@case
def frames_1e308(d: Path) -> Made:
    (d / "a.dcm").write_bytes(
        ct(syntax=b"1.2.840.10008.1.2.5", more={0x00280008: (b"IS", b"1e308")}, pixels=fragments(bytes(64)))
    )
    return ("find", d)


@case
def age_of_400_digits(d: Path) -> Made:
    return series(d, lambda i: ct(i, more={0x00101010: (b"AS", b"9" * 399 + b"Y")}))


@case
def age_of_5000_digits(d: Path) -> Made:
    return series(d, lambda i: ct(i, more={0x00101010: (b"AS", b"9" * 4999 + b"Y")}))


@case
def native_syntax_over_fragments(d: Path) -> Made:
    """A compressed picture of a data set whose transfer syntax was overwritten with Explicit VR Little Endian."""
    (d / "a.dcm").write_bytes(ct(pixels=fragments(bytes(64))))
    return ("image", d / "a.dcm")


@case
def deep_sequence_in_multi_frame(d: Path) -> Made:
    v = item(nested(1500))
    px = el(0x7FE00010, b"OW", bytes(2 * 2 * 256))
    (d / "a.dcm").write_bytes(ct(more={0x00280008: (b"IS", b"2"), 0x52009229: (b"SQ", v)}, pixels=px)[:])
    return ("find", d)


@case
def deflate_bomb(d: Path) -> Made:
    """Little that inflates to much, for each file, while the folder is only being looked through."""
    plain = ct(syntax=b"1.2.840.10008.1.2.1.99")
    at = plain.index(b"\x08\0\x16\0UI", 132)
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    o = [c.compress(plain[at:])] + [c.compress(bytes(2**20)) for _ in range(BOMB_MIB)] + [c.flush()]
    for i in range(2):
        (d / f"{i}.dcm").write_bytes(plain[:at] + b"".join(o))
    return ("find", d)


@case
def nifti_broken_gzip_in_a_dicom_folder(d: Path) -> Made:
    """One .nii.gz with a broken deflate stream beside a good series: the whole folder cannot be read."""
    series(d, ct)
    good = gzip.compress(bytes(1000))
    (d / "notes.nii.gz").write_bytes(good[:10] + b"\xff" * 40)
    return ("find", d)


@case
def nifti_unknown_unit(d: Path) -> Made:
    return ("read", nifti(d / "a.nii", edit=lambda h: h.__setitem__(123, 5)))


@case
def nifti_offset_infinite(d: Path) -> Made:
    return ("read", nifti(d / "a.nii", edit=lambda h: struct.pack_into("<f", h, 108, float("inf"))))


@case
def nifti_values_beyond_float32(d: Path) -> Made:
    """Slope 3e38 over float64 voxels: finite in the check, infinite in the volume that is handed on. Silent."""
    import numpy as np

    v = np.linspace(-1000, 1e39, 16 * 16 * 8).astype("<f8").tobytes()
    return ("volume", nifti(d / "a.nii", kind=(64, 64), values=v))


@case
def nifti_negative_dimension_as_image(d: Path) -> Made:
    return ("image", nifti(d / "a.nii", edit=lambda h: struct.pack_into("<h", h, 42, -5)))


@case
def tiff_strip_of_no_rows(d: Path) -> Made:
    return ("slide", tiff(d / "a.tif", {278: (3, 1, 0)}))


@case
def tiff_tile_of_no_width(d: Path) -> Made:
    return (
        "slide",
        tiff(
            d / "a.tif",
            {273: None, 278: None, 279: None, 322: (3, 1, 0), 323: (3, 1, 64), 324: (4, 1, 512), 325: (4, 1, 4096)},
        ),
    )


@case
def tiff_two_widths(d: Path) -> Made:
    return ("slide", tiff(d / "a.tif", {256: (3, 2, 64 | 64 << 16)}))


@case
def tiff_bits_of_two(d: Path) -> Made:
    return ("slide", tiff(d / "a.tif", {258: (3, 2, 8 | 16 << 16)}))


@case
def tiff_directories_in_a_circle(d: Path) -> Made:
    """The second directory names the first as the next one: tifffile follows for ever while it looks for pyramids."""
    path = tiff(d / "a.tif", {})
    b = bytearray(path.read_bytes())
    n = struct.unpack_from("<H", b, 8)[0]
    second = len(b)
    b += b[8 : 8 + 2 + 12 * n] + struct.pack("<I", 8)
    struct.pack_into("<I", b, 8 + 2 + 12 * n, second)
    struct.pack_into("<H", b, second + 2 + 8, 32)  # half as wide: another size, as of a pyramid
    path.write_bytes(bytes(b))
    return ("slide", path)


@case
def mixed_study_uids(d: Path) -> Made:
    """Study Instance UID differs from file to file (careless de-identification)."""
    return ("headers", series(d, lambda i: ct(i, more={0x0020000D: (b"UI", b"1.2.3.1.%d" % (i + 1))}))[1])


@case
def private_sop_class(d: Path) -> Made:
    """A maker's own SOP Class UID on CT slices: KeyError in highdicom after the reading."""
    return ("headers", series(d, lambda i: ct(i, more={0x00080016: (b"UI", b"1.3.12.2.1107.5.9.1")}))[1])


@case
def tiff_resolution_unit_list(d: Path) -> Made:
    return ("slide", tiff(d / "a.tif", {296: (3, 2, 3 | 3 << 16)}))


@case
def zip_member_without_a_name(d: Path) -> Made:
    with zipfile.ZipFile(d / "a.zip", "w") as z:
        z.writestr("x", ct())
    b = (d / "a.zip").read_bytes()
    at = b.index(b"PK\1\2")
    b = b[: at + 28] + b"\0\0" + b[at + 30 : at + 46] + b[at + 47 :]  # the name in the directory has no letters
    end = b.index(b"PK\5\6")
    (d / "a.zip").write_bytes(b[: end + 12] + struct.pack("<I", end - at) + b[end + 16 :])
    return ("find", d / "a.zip")


@case
def zip_lzma_damaged(d: Path) -> Made:
    with zipfile.ZipFile(d / "a.zip", "w", zipfile.ZIP_LZMA) as z:
        z.writestr("x", ct())
    b = bytearray((d / "a.zip").read_bytes())
    b[45:60] = b"\xff" * 15
    (d / "a.zip").write_bytes(bytes(b))
    return ("find", d / "a.zip")


@case
def zip_name_not_utf8(d: Path) -> Made:
    with zipfile.ZipFile(d / "a.zip", "w") as z:
        z.writestr("\u00e4\u00e4", ct())
    (d / "a.zip").write_bytes((d / "a.zip").read_bytes().replace("\u00e4\u00e4".encode(), b"\xff\xfe\xff\xfe"))
    return ("find", d / "a.zip")


@case
def split_nested_100000(d: Path) -> Made:
    (d / "splits.json").write_bytes(b"[" * 100_000)
    return ("split", d / "splits.json")


@case
def card_nested_100000(d: Path) -> Made:
    (d / "card.json").write_bytes(b"[" * 100_000)
    return ("card", d)


@case
def card_whole_number_of_6000_digits(d: Path) -> Made:
    (d / "card.json").write_bytes(b'{"a": ' + b"9" * 6000 + b"}")
    return ("card", d)


@case
def settings_yaml_nested(d: Path) -> Made:
    (d / "s.yaml").write_bytes(b"a: " + b"[" * 5000)
    return ("settings", d / "s.yaml")


@case
def settings_yaml_no_date(d: Path) -> Made:
    (d / "s.yaml").write_bytes(b"a: 2026-99-99")
    return ("settings", d / "s.yaml")


@case
def settings_toml_nested(d: Path) -> Made:
    (d / "s.toml").write_bytes(b"a = " + b"[" * 5000)
    return ("settings", d / "s.toml")


@case
def settings_toml_whole_number_of_5000_digits(d: Path) -> Made:
    (d / "s.toml").write_bytes(b"batch = " + b"9" * 5000)
    return ("settings", d / "s.toml")


@case
def mask_seg_of_wrong_length(d: Path) -> Made:
    """A file given as --mask whose SOP Class UID is typed UL with 2 bytes: pydicom's BytesLengthException."""
    (d / "seg.dcm").write_bytes(ct(more={0x00080016: (b"UL", b"12")}))
    return ("mask", d / "seg.dcm")


@case
def png_bomb(d: Path) -> Made:
    """A PNG that says 32000 x 32000 x RGBA x 16 bits: 8 GiB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 32000, 32000, 16, 6, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(2**20)))
    (d / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    return ("slide", d / "a.png")


@case
def mask_seg_deflate_bomb(d: Path) -> Made:
    """A mask that inflates to much."""
    plain = ct(syntax=b"1.2.840.10008.1.2.1.99", more={0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.66.4")})
    at = plain.index(b"\x08\0\x16\0UI", 132)
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    (d / "seg.dcm").write_bytes(
        plain[:at] + c.compress(plain[at:]) + b"".join(c.compress(bytes(2**20)) for _ in range(BOMB_MIB)) + c.flush()
    )
    return ("mask", d / "seg.dcm")


@case
def positions_of_two_lengths(d: Path) -> Made:
    """Image Position has three numbers in four files and two in one; Image Orientation is good."""
    return series(d, lambda i: ct(i, more={0x00200032: (b"DS", b"0\\0")} if i == 2 else {}))


@case
def pixel_spacing_1e_30(d: Path) -> Made:
    """Found, loaded; then numba's TypingError in the system: an internal error."""
    return ("answer", series(d, lambda i: ct(i, n=64, more={0x00280030: (b"DS", b"1e-30\\1e-30")}))[1])


@case
def written_number_of_wrong_length(d: Path) -> Made:
    """An FD of 4 bytes in the first file (scanners do that): the whole reading is done, then writing seg.dcm fails."""
    return ("headers", series(d, lambda i: ct(i, more={0x00189306: (b"FD", b"\0\0\x80?")}))[1])


@case
def written_whole_number_inf(d: Path) -> Made:
    return ("headers", series(d, lambda i: ct(i, more={0x00181150: (b"IS", b"inf")}))[1])


@case
def written_deep_sequence(d: Path) -> Made:
    return ("headers", series(d, lambda i: ct(i, more={0x00081140: (b"SQ", item(nested(1500)))}))[1])
