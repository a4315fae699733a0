"""Surfaces as files: GLB for browsers, STL for printers and DICOM, PLY for mesh programs.

All three keep the coordinates as they are inside osteon: millimetres, patient space (LPS: +x left, +y posterior,
+z head). glTF's own unit is the metre and its own up is +y; a viewer shows the right shape, lying on its back and a
thousand times as large. The file says so in the extras of its scene ({"unit": "mm", "space": "LPS"}): a number read
from the file is a number of the report, and no reader can forget to undo a transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Surface
from osteon.errors import InputError, OutputError, UnsupportedError
from osteon.mesh.measure import vertex_normals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["read_surfaces", "stl_bytes", "write_glb", "write_ply", "write_stl"]

_STL_HEADER = b"osteon; binary STL; unit mm; space LPS (+x left, +y posterior, +z head)"
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_glb(path: Path, surfaces: Sequence[Surface], *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write surfaces as named nodes of one binary glTF 2.0 file.

    Args:
        path: file to write; replaced when it exists.
        surfaces: at least one, with different names; colour and smooth normals go with them.
        metadata: added to the extras of the scene; no patient text belongs here.

    Raises:
        InputError: no surface, an empty one, or two of one name.
        OutputError: the file cannot be written.
    """
    import trimesh

    _require_surfaces(surfaces, what="GLB")
    if len({surface.name for surface in surfaces}) < len(surfaces):
        raise InputError(f"a GLB file needs different names, found {[surface.name for surface in surfaces]}")
    scene = trimesh.Scene(metadata={"unit": "mm", "space": "LPS", "generator": "osteon", **(metadata or {})})
    for surface in surfaces:
        material = trimesh.visual.material.PBRMaterial(
            name=surface.name,
            baseColorFactor=surface.colour,
            metallicFactor=0.0,
            roughnessFactor=0.7,
            doubleSided=True,  # an affected part is cut open
            alphaMode="BLEND" if surface.colour[3] < 255 else "OPAQUE",
        )
        mesh = trimesh.Trimesh(
            vertices=surface.vertices_lps_mm,
            faces=surface.faces,
            vertex_normals=vertex_normals(surface),
            visual=trimesh.visual.TextureVisuals(material=material),
            process=False,
        )
        scene.add_geometry(mesh, node_name=surface.name, geom_name=surface.name)
    content: bytes = trimesh.exchange.gltf.export_glb(scene, include_normals=True)
    _write(path, content)


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


def write_ply(path: Path, surfaces: Sequence[Surface]) -> None:
    """Write all surfaces together as one binary PLY with normals and colours for each vertex.

    Raises:
        InputError: no surface or an empty one.
        OutputError: the file cannot be written.
    """
    _require_surfaces(surfaces, what="PLY")
    floats = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    colours = [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    vertices = np.zeros(sum(len(surface.vertices_lps_mm) for surface in surfaces), dtype=[*floats, *colours])
    faces = np.zeros(sum(len(surface.faces) for surface in surfaces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"] = 3
    vertex, face = 0, 0
    for surface in surfaces:
        rows = vertices[vertex : vertex + len(surface.vertices_lps_mm)]
        numbers = np.concatenate([surface.vertices_lps_mm, vertex_normals(surface)], axis=1)
        for column, (name, _) in enumerate(floats):
            rows[name] = numbers[:, column]
        for (name, _), value in zip(colours, surface.colour, strict=True):
            rows[name] = value
        faces["corners"][face : face + len(surface.faces)] = surface.faces + vertex
        vertex, face = vertex + len(rows), face + len(surface.faces)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment osteon; unit mm; space LPS (+x left, +y posterior, +z head)",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name, _ in floats),
        *(f"property uchar {name}" for name, _ in colours),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    _write(path, "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())


def read_surfaces(path: Path) -> list[Surface]:
    """Read a GLB, STL or PLY file whose coordinates are LPS millimetres, as osteon writes them.

    STL holds no shared vertices and no names: every triangle comes back with three vertices of its own, and the surface
    is named after the file, as one from PLY is. Surfaces of a GLB file come in the order of their names.

    Raises:
        InputError: the file is not there or cannot be read.
        UnsupportedError: another kind of file.
    """
    import trimesh

    kind = path.suffix.lower().lstrip(".")
    if kind not in {"glb", "stl", "ply"}:
        raise UnsupportedError(f"surfaces are read from .glb, .stl and .ply files, found {path.suffix!r}")
    if not path.is_file():
        raise InputError(f"no such surface file: {path.name}")
    try:
        scene = trimesh.load_scene(str(path), process=False)
        nodes = {str(node): scene.graph[node] for node in scene.graph.nodes_geometry}
        meshes = [(node, scene.geometry[nodes[node][1]], nodes[node][0]) for node in sorted(nodes)]
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as a {kind.upper()} file: {error}") from error
    return [
        Surface(
            vertices_lps_mm=trimesh.transform_points(mesh.vertices, transform).astype(np.float32),
            faces=np.asarray(mesh.faces, dtype=np.int32),
            name=node if kind == "glb" else path.stem,
            colour=_colour_of(mesh),
        )
        for node, mesh, transform in meshes
    ]


def _colour_of(mesh: Any) -> tuple[int, int, int, int]:  # noqa: ANN401 - trimesh ships no types
    visual = mesh.visual
    rgba = visual.material.main_color if visual.kind == "texture" else visual.main_color
    red, green, blue, alpha = (int(value) for value in rgba)
    return red, green, blue, alpha


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
