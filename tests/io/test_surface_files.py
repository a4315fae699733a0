"""GLB, STL and PLY: written, read back, and read by eye."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.errors import InputError, OutputError, UnsupportedError
from osteon.geometry import Grid
from osteon.io.surface import read_surfaces, stl_bytes, write_glb, write_ply, write_stl
from osteon.mesh import bounds_lps_mm, box_surface, enclosed_volume_mm3, extract_surface, is_watertight, vertex_normals

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Surface


@pytest.fixture(scope="module")
def surfaces() -> list[Surface]:
    mask = np.zeros((9, 10, 11), dtype=bool)
    mask[2:7, 3:6, 2:9] = True
    grid = Grid.from_axes(shape=mask.shape, spacing_mm=(3, 1, 1), origin_lps_mm=(-87.5, 31.25, -1203))
    corners = np.array([(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)]) * 12.0 + grid.origin_lps_mm
    return [
        extract_surface(mask, grid, name="bone_left_1"),
        extract_surface(mask, grid, name="affected", colour=(200, 60, 50, 128)),
        box_surface(corners, name="tumour_box_1"),
    ]


def glb_document(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    (size,) = struct.unpack("<I", content[12:16])
    document: dict[str, Any] = json.loads(content[20 : 20 + size])
    return document


def test_glb_brings_back_names_colours_vertices_and_triangles(surfaces: list[Surface], tmp_path: Path) -> None:
    write_glb(tmp_path / "bone.glb", surfaces)
    back = {surface.name: surface for surface in read_surfaces(tmp_path / "bone.glb")}
    assert list(back) == sorted(surface.name for surface in surfaces)
    for surface in surfaces:
        again = back[surface.name]
        assert np.array_equal(again.vertices_lps_mm, surface.vertices_lps_mm)
        assert np.array_equal(again.faces, surface.faces)
        assert again.colour == surface.colour
        assert is_watertight(again)


def test_glb_says_its_unit_and_space_and_carries_normals(surfaces: list[Surface], tmp_path: Path) -> None:
    write_glb(tmp_path / "bone.glb", surfaces, metadata={"version": "0.1.0"})
    document = glb_document(tmp_path / "bone.glb")
    extras = document["scenes"][document["scene"]]["extras"]
    assert (extras["unit"], extras["space"], extras["version"]) == ("mm", "LPS", "0.1.0")
    assert {node["name"] for node in document["nodes"]} >= {surface.name for surface in surfaces}
    assert not any("matrix" in node or "scale" in node for node in document["nodes"])
    materials = {material["name"]: material for material in document["materials"]}
    assert materials["affected"]["alphaMode"] == "BLEND"
    assert materials["affected"]["pbrMetallicRoughness"]["baseColorFactor"][3] == pytest.approx(128 / 255)
    for mesh in document["meshes"]:
        attributes = mesh["primitives"][0]["attributes"]
        assert {"POSITION", "NORMAL"} <= set(attributes)
        position = document["accessors"][attributes["POSITION"]]
        (surface,) = (s for s in surfaces if s.name == mesh["name"])
        np.testing.assert_allclose((position["min"], position["max"]), bounds_lps_mm([surface]))


def test_stl_is_binary_names_its_unit_and_holds_every_triangle(surfaces: list[Surface], tmp_path: Path) -> None:
    write_stl(tmp_path / "bone.stl", surfaces)
    content = (tmp_path / "bone.stl").read_bytes()
    assert content == stl_bytes(surfaces)
    count = sum(len(surface.faces) for surface in surfaces)
    assert len(content) == 84 + 50 * count
    assert struct.unpack("<I", content[80:84]) == (count,)
    assert b"mm" in content[:80]
    assert b"LPS" in content[:80]
    assert not content.startswith(b"solid")  # readers would take it for text
    (back,) = read_surfaces(tmp_path / "bone.stl")
    expected = np.concatenate([surface.vertices_lps_mm[surface.faces] for surface in surfaces])
    assert np.array_equal(back.vertices_lps_mm[back.faces], expected)
    assert back.name == "bone"
    assert enclosed_volume_mm3(back) == pytest.approx(sum(map(enclosed_volume_mm3, surfaces)), rel=1e-5)


def test_stl_normals_are_those_of_the_triangles(surfaces: list[Surface]) -> None:
    triangle = np.frombuffer(stl_bytes(surfaces[:1])[84:134], dtype="<f4", count=12).reshape(4, 3)
    normal = np.cross(triangle[2] - triangle[1], triangle[3] - triangle[1])
    np.testing.assert_allclose(triangle[0], normal / np.linalg.norm(normal), atol=1e-6)


def test_ply_keeps_shared_vertices_and_normals(surfaces: list[Surface], tmp_path: Path) -> None:
    write_ply(tmp_path / "bone.ply", surfaces)
    (back,) = read_surfaces(tmp_path / "bone.ply")
    assert np.array_equal(back.vertices_lps_mm, np.concatenate([surface.vertices_lps_mm for surface in surfaces]))
    assert is_watertight(back)
    assert back.faces.max() == len(back.vertices_lps_mm) - 1
    content = (tmp_path / "bone.ply").read_bytes()
    row = np.dtype([("points", "<f4", 3), ("normals", "<f4", 3), ("colour", "u1", 4)])
    rows = np.frombuffer(
        content, dtype=row, count=len(back.vertices_lps_mm), offset=content.index(b"end_header\n") + 11
    )
    assert np.array_equal(rows["normals"], np.concatenate([vertex_normals(surface) for surface in surfaces]))
    assert (rows["colour"][0].tolist(), rows["colour"][-1].tolist()) == ([*surfaces[0].colour], [*surfaces[-1].colour])


def test_what_cannot_be_written_is_refused(surfaces: list[Surface], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different names"):
        write_glb(tmp_path / "a.glb", [surfaces[0], surfaces[0]])
    for write in (write_glb, write_stl, write_ply):
        with pytest.raises(InputError, match="at least one"):
            write(tmp_path / "a", [])
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path / "no such folder" / "a", surfaces)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"\.obj"):
        read_surfaces(tmp_path / "bone.obj")
    with pytest.raises(InputError, match="no such"):
        read_surfaces(tmp_path / "bone.glb")
    for kind in ("glb", "ply"):
        broken = tmp_path / f"broken.{kind}"
        broken.write_bytes(b"nothing of that kind")
        with pytest.raises(InputError, match="cannot be read"):
            read_surfaces(broken)
