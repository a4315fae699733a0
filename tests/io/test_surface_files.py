"""GLB and STL: written, read back by trimesh, and read by eye."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import trimesh

from osteon.data import Surface
from osteon.errors import InputError, OutputError
from osteon.geometry import Grid
from osteon.io.surface import stl_bytes, write_glb, write_stl
from osteon.mesh import bounds_lps_mm, box_surface, extract_surface
from osteon.mesh.render import vertex_normals
from tests.surface_measures import enclosed_volume_mm3, is_watertight

if TYPE_CHECKING:
    from pathlib import Path


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


def read_back(path: Path) -> dict[str, tuple[Surface, Any]]:
    """Surfaces as another program sees them, by name, with its own object."""
    scene = trimesh.load_scene(str(path), process=False)
    found = {}
    for node in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[node]
        assert np.array_equal(transform, np.eye(4))
        mesh = scene.geometry[geometry]
        visual = mesh.visual
        colour = visual.material.main_color if visual.kind == "texture" else visual.main_color
        red, green, blue, alpha = map(int, colour)
        surface = Surface(
            vertices_lps_mm=np.asarray(mesh.vertices, np.float32),
            faces=np.asarray(mesh.faces, np.int32),
            name=str(node),
            colour=(red, green, blue, alpha),
        )
        found[surface.name] = (surface, mesh)
    return found


def glb_document(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    (size,) = struct.unpack("<I", content[12:16])
    document: dict[str, Any] = json.loads(content[20 : 20 + size])
    return document


def test_glb_brings_back_names_colours_vertices_and_triangles(surfaces: list[Surface], tmp_path: Path) -> None:
    write_glb(tmp_path / "bone.glb", surfaces)
    back = read_back(tmp_path / "bone.glb")
    assert set(back) == {surface.name for surface in surfaces}
    for surface in surfaces:
        again, mesh = back[surface.name]
        np.testing.assert_allclose(mesh.vertex_normals, vertex_normals(surface), atol=1e-6)
        assert np.array_equal(again.vertices_lps_mm, surface.vertices_lps_mm)
        assert np.array_equal(again.faces, surface.faces)
        assert again.colour == surface.colour
        assert is_watertight(again)


def test_glb_says_its_unit_and_space_and_carries_normals(surfaces: list[Surface], tmp_path: Path) -> None:
    write_glb(tmp_path / "bone.glb", surfaces)
    document = glb_document(tmp_path / "bone.glb")
    extras = document["scenes"][document["scene"]]["extras"]
    assert (extras["unit"], extras["space"]) == ("mm", "LPS")
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
    ((back, _),) = read_back(tmp_path / "bone.stl").values()
    expected = np.concatenate([surface.vertices_lps_mm[surface.faces] for surface in surfaces])
    assert np.array_equal(back.vertices_lps_mm[back.faces], expected)
    assert enclosed_volume_mm3(back) == pytest.approx(sum(map(enclosed_volume_mm3, surfaces)), rel=1e-5)


def test_stl_normals_are_those_of_the_triangles(surfaces: list[Surface]) -> None:
    triangle = np.frombuffer(stl_bytes(surfaces[:1])[84:134], dtype="<f4", count=12).reshape(4, 3)
    normal = np.cross(triangle[2] - triangle[1], triangle[3] - triangle[1])
    np.testing.assert_allclose(triangle[0], normal / np.linalg.norm(normal), atol=1e-6)


def test_what_cannot_be_written_is_refused(surfaces: list[Surface], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different names"):
        write_glb(tmp_path / "a.glb", [surfaces[0], surfaces[0]])
    for write in (write_glb, write_stl):
        with pytest.raises(InputError, match="at least one"):
            write(tmp_path / "a", [])
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path / "no such folder" / "a", surfaces)
    assert list(tmp_path.iterdir()) == []
