"""Surfaces as files: GLB for browsers, STL for printers and DICOM.

Both keep the coordinates as they are inside osteon: millimetres, patient space (LPS: +x left, +y posterior,
+z head). glTF's own unit is the metre and its own up is +y; a viewer shows the right shape, lying on its back and a
thousand times as large. The file says so in the extras of its scene ({"unit": "mm", "space": "LPS"}): a number read
from the file is a number of the report, and no reader can forget to undo a transform.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError, OutputError
from osteon.mesh.render import vertex_normals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data import Surface

__all__ = ["stl_bytes", "write_glb", "write_stl"]

_STL_HEADER = b"osteon; binary STL; unit mm; space LPS (+x left, +y posterior, +z head)"
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_TARGETS = (34962, 34962, 34963)
"""What glTF calls an array of positions, of normals and of vertex numbers."""


def write_glb(path: Path, surfaces: Sequence[Surface]) -> None:
    """Write surfaces as named nodes of one binary glTF 2.0 file.

    Args:
        path: file to write; replaced when it exists.
        surfaces: at least one, with different names; colour and smooth normals go with them.

    Raises:
        InputError: no surface, an empty one, or two of one name.
        OutputError: the file cannot be written.
    """
    _require_surfaces(surfaces, what="GLB")
    if len({surface.name for surface in surfaces}) < len(surfaces):
        raise InputError(f"a GLB file needs different names, found {[surface.name for surface in surfaces]}")
    arrays = [a for s in surfaces for a in (s.vertices_lps_mm, vertex_normals(s), s.faces.astype(np.uint32))]
    starts = np.cumsum([0, *(array.nbytes for array in arrays)]).tolist()
    document = {
        "asset": {"version": "2.0", "generator": "osteon"},
        "scene": 0,
        "scenes": [
            {"nodes": list(range(len(surfaces))), "extras": {"unit": "mm", "space": "LPS", "generator": "osteon"}}
        ],
        "nodes": [{"name": surface.name, "mesh": number} for number, surface in enumerate(surfaces)],
        "meshes": [_gltf_mesh(surface, number) for number, surface in enumerate(surfaces)],
        "materials": [_gltf_material(surface) for surface in surfaces],
        "accessors": [accessor for number, surface in enumerate(surfaces) for accessor in _accessors(surface, number)],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": array.nbytes, "target": _TARGETS[n % 3]}
            for n, (start, array) in enumerate(zip(starts, arrays, strict=False))
        ],
        "buffers": [{"byteLength": starts[-1]}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = [len(text).to_bytes(4, "little"), b"JSON", text, starts[-1].to_bytes(4, "little"), b"BIN\0"]
    chunks += [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays]
    length = 12 + sum(map(len, chunks))
    _write(path, b"".join((b"glTF", (2).to_bytes(4, "little"), length.to_bytes(4, "little"), *chunks)))


def _gltf_mesh(surface: Surface, number: int) -> dict[str, Any]:
    """A mesh of one primitive, whose accessors are three a surface: positions, normals, triangles."""
    attributes = {"POSITION": 3 * number, "NORMAL": 3 * number + 1}
    return {
        "name": surface.name,
        "primitives": [{"attributes": attributes, "indices": 3 * number + 2, "material": number, "mode": 4}],
    }


def _gltf_material(surface: Surface) -> dict[str, Any]:
    return {
        "name": surface.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [value / 255 for value in surface.colour],
            "metallicFactor": 0.0,
            "roughnessFactor": 0.7,
        },
        "doubleSided": True,  # an affected part is cut open
        "alphaMode": "BLEND" if surface.colour[3] < 255 else "OPAQUE",
    }


def _accessors(surface: Surface, number: int) -> list[dict[str, Any]]:
    """How the three arrays of a surface are to be read; the extent of the positions is demanded."""
    points = surface.vertices_lps_mm
    extent = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
    floats = {"componentType": 5126, "type": "VEC3", "count": len(points)}
    return [
        {"bufferView": 3 * number, **floats, **extent},
        {"bufferView": 3 * number + 1, **floats},
        {"bufferView": 3 * number + 2, "componentType": 5125, "type": "SCALAR", "count": surface.faces.size},
    ]


def stl_bytes(surfaces: Sequence[Surface]) -> bytes:
    """Binary STL of all surfaces together; the header names unit and space. Names and colours are lost.

    Raises:
        InputError: no surface or an empty one.
    """
    _require_surfaces(surfaces, what="STL")
    triangles = np.zeros(sum(len(surface.faces) for surface in surfaces), dtype=_STL_TRIANGLE)
    done = 0
    for surface in surfaces:
        part = triangles[done : done + len(surface.faces)]
        corners = surface.vertices_lps_mm[surface.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        part["normal"] = normals / np.where(lengths > 0, lengths, 1)
        part["corners"] = corners
        done += len(surface.faces)
    return b"".join((_STL_HEADER.ljust(80), len(triangles).to_bytes(4, "little"), triangles.tobytes()))


def write_stl(path: Path, surfaces: Sequence[Surface]) -> None:
    """Write `stl_bytes` to a file.

    Raises:
        InputError: no surface or an empty one.
        OutputError: the file cannot be written.
    """
    _write(path, stl_bytes(surfaces))


def _require_surfaces(surfaces: Sequence[Surface], *, what: str) -> None:
    if not surfaces:
        raise InputError(f"a {what} file needs at least one surface, found none")
    for surface in surfaces:
        if surface.faces.size == 0:
            raise InputError(f"surface {surface.name} holds no triangle and cannot be written as {what}")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"the surface file {path} cannot be written: {error.strerror or error}") from error
