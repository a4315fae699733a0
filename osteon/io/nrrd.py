"""The named door from NRRD, as 3D Slicer writes segmentations (.seg.nrrd): the header, the voxels, the grid.

References:
    https://teem.sourceforge.net/nrrd/format.html; Slicer's segmentation file format: keys ``Segment0_LabelValue`` ...,
    one axis of kind "list" for segments that overlap, and only the part of the image that holds segments.
"""

from __future__ import annotations

import bz2
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError, ThirdParty, UnsupportedError
from osteon.geometry import Grid
from osteon.io.inventory import require_memory
from osteon.io.whole_file import file_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Nrrd", "is_nrrd_name", "read_nrrd"]

MAGIC: Final = b"NRRD000"
LONGEST_HEADER: Final = 2**20
NEEDED: Final = ("type", "sizes", "encoding", "space", "space directions", "space origin")
SHOWN: Final = 20
"""Characters of the header that a message repeats."""

TYPES: Final = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TO_LPS: Final = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}


@dataclass(frozen=True, slots=True, eq=False)
class Nrrd:
    """What a file holds."""

    layers: NDArray[Any] = field(repr=False)  # (layer, slice, row, column); one layer unless segments overlap
    grid: Grid  # of a layer
    is_segmentation: bool  # whether it describes segments, as Slicer's files do


def is_nrrd_name(path: Path) -> bool:
    """Whether the name is that of an NRRD file."""
    return path.name.lower().endswith((".nrrd", ".nhdr"))


def read_nrrd(path: Path) -> Nrrd:
    """Read a file of three dimensions, or of four of which one lists the layers of a segmentation.

    Raises:
        InputError: no such file, not NRRD, truncated, or without its place in the patient.
        UnsupportedError: an encoding, type or shape that is not read.
    """
    data = file_bytes(path)
    end = data.find(b"\n\n", 0, LONGEST_HEADER)
    carriage = data.find(b"\r\n\r\n", 0, LONGEST_HEADER)
    if not data.startswith(MAGIC) or max(end, carriage) < 0:
        raise InputError(f"{path.name} is not an NRRD file, or its header is cut off: export it again")
    at = end + 2 if carriage < 0 or 0 <= end < carriage else carriage + 4
    fields = _fields(data[:at].decode("utf-8", "replace"))
    if missing := [name for name in NEEDED if name not in fields]:
        raise InputError(f"{path.name}: its header has no field {missing[0]!r}: export it again")
    with ThirdParty(f"{path.name} is damaged or truncated: export it again"):
        sizes = [int(value) for value in fields["sizes"].split()]
        axes, lists = _axes(fields, len(sizes))
        grid = _grid(fields, [sizes[axis] for axis in axes], [_vectors(fields)[axis] for axis in axes])
        voxels = _voxels(fields, data[at:], sizes, path)
    order = [*lists, *reversed(axes)]
    layers = voxels.transpose([len(sizes) - 1 - axis for axis in order])
    return Nrrd(layers if lists else layers[None], grid, any(name.startswith("segment0_") for name in fields))


def _fields(header: str) -> dict[str, str]:
    """Fields ("name: value") and keys ("name:=value") by their name in lower case."""
    found = {}
    for line in header.splitlines()[1:]:
        if line.startswith("#") or ":" not in line:
            continue
        name, value = line.split(":=", 1) if ":=" in line else line.split(":", 1)
        found[name.strip().lower()] = value.strip()
    return found


def _vectors(fields: dict[str, str]) -> list[tuple[float, ...] | None]:
    """Space Directions: a vector of each axis, None of an axis that is not one of space."""
    parts = fields["space directions"].replace(", ", ",").split()
    return [None if part == "none" else tuple(float(v) for v in part.strip("()").split(",")) for part in parts]


def _axes(fields: dict[str, str], dimension: int) -> tuple[list[int], list[int]]:
    """Axes of space, the fastest first, and the axes that list layers."""
    vectors = _vectors(fields)
    space = [axis for axis in range(dimension) if vectors[axis] is not None]
    lists = [axis for axis in range(dimension) if vectors[axis] is None]
    if len(space) != 3 or len(lists) > 1:
        raise UnsupportedError(
            f"an NRRD file of {dimension} dimensions, {len(space)} of them in space, is not read: export one volume"
        )
    return space, lists


def _grid(fields: dict[str, str], sizes: list[int], vectors: list[tuple[float, ...] | None]) -> Grid:
    space = fields["space"].lower()
    if space not in TO_LPS:
        raise UnsupportedError(f"the NRRD space {space[:SHOWN]!r} is not read: export in RAS or LPS")
    affine = np.eye(4)
    sign = np.array(TO_LPS[space], dtype=np.float64)
    for axis, vector in enumerate(vectors):
        affine[:3, 2 - axis] = sign * np.array(vector, dtype=np.float64)
    affine[:3, 3] = sign * np.array([float(value) for value in fields["space origin"].strip("()").split(",")])
    return Grid(shape=(sizes[2], sizes[1], sizes[0]), affine=affine)


def _voxels(fields: dict[str, str], data: bytes, sizes: list[int], path: Path) -> NDArray[Any]:
    """The numbers, the slowest axis first."""
    kind = next((code for code, names in TYPES.items() if fields["type"].lower() in names), None)
    if kind is None:
        raise UnsupportedError(
            f"{path.name} holds {fields['type'][:SHOWN]} voxels: export it as whole numbers of 8 or 16 bits"
        )
    if "data file" in fields or "datafile" in fields:
        raise UnsupportedError(f"{path.name} keeps its voxels in another file: export it as one .nrrd file")
    if any(fields.get(name, "0") != "0" for name in ("line skip", "byte skip", "lineskip", "byteskip")):
        raise UnsupportedError(f"{path.name} skips bytes before its voxels: export it again")
    dtype = np.dtype(f"{'>' if fields.get('endian', '').lower() == 'big' else '<'}{kind}")
    if min(sizes) < 1:
        raise InputError(f"{path.name} holds no voxels (sizes {sizes})")
    require_memory(sizes, what=path.name, voxel_bytes=dtype.itemsize)
    count = math.prod(sizes)
    encoding = fields["encoding"].lower()
    if encoding in {"ascii", "txt", "text"}:
        values = _numbers(data.split(None, count)[:count], dtype, path)
    else:
        raw = _raw(encoding, data, count * dtype.itemsize, path)
        values = np.frombuffer(raw, dtype=dtype, count=count)
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(sizes[::-1])


def _numbers(words: list[bytes], dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    read = np.array(words, dtype=np.float64)
    with np.errstate(all="ignore"):  # what does not fit is found below
        values = read.astype(dtype)
    if dtype.kind in "iu" and (values != read).any():
        raise InputError(f"{path.name} holds numbers that are not of its type: export it again")
    return values


def _raw(encoding: str, data: bytes, size: int, path: Path) -> bytes:
    """The bytes of the voxels and no more, whatever the file claims to unpack to."""
    if encoding == "raw":
        return data[:size]
    if encoding in {"gz", "gzip"}:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(data, size)
    if encoding in {"bz2", "bzip2"}:
        return bz2.BZ2Decompressor().decompress(data, size)
    raise UnsupportedError(f"{path.name} is encoded as {encoding[:SHOWN]}: export it raw or as gzip")
