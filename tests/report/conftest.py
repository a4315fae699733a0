"""A small patient with two legs, made by hand: cylinders of bone in cylinders of flesh on a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import (
    Answer,
    Finding,
    Label,
    Mask,
    Measurement,
    ModelUse,
    Notice,
    Patient,
    Region,
    Series,
    SliceReading,
    SliceScores,
    SliceSource,
    Source,
    Study,
    Surface,
    Volume,
    named,
)
from osteon.geometry import Box, Grid
from osteon.labels import concept
from osteon.mesh import box_surface
from osteon.report import Run
from osteon.report.run import FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SHAPE = (40, 64, 80)
_SPACING_MM = (5.0, 2.0, 3.0)
_RUN = (18, 26)
NAME = "Nachname^Vorname"
HOSTILE = '<script>alert("x")</script> & "legs"'


def _grid() -> Grid:
    return Grid.from_axes(shape=_SHAPE, spacing_mm=_SPACING_MM, origin_lps_mm=(-118.5, -63.0, -900.0))


def _array() -> NDArray[np.int16]:
    """Right leg at low columns (x < 0), left leg at high ones; the left bone has a bulge in the run."""
    rows, columns = np.meshgrid(np.arange(64) * 2.0, np.arange(80) * 3.0, indexing="ij")
    volume = np.full(_SHAPE, -1000, dtype=np.int16)
    for index in range(_SHAPE[0]):
        for centre in (60.0, 180.0):
            away = np.hypot(rows - 60, columns - centre)
            flesh, bone = 42 - 0.3 * index, 14 - 0.1 * index
            inside = _RUN[0] <= index < _RUN[1] and centre > 100
            volume[index][away < flesh] = 40
            volume[index][away < (bone + 8 if inside else bone)] = 900
            volume[index][away < bone - 6] = 60
        volume[index][118 // 2 + 1 :, :] = np.where(rows[60:, :] > 121, -1000, -300)
    return volume


def _scores(region: str, peak: float) -> SliceScores:
    slices = np.arange(_SHAPE[0], dtype=np.int64)
    smoothed = (peak * np.exp(-(((slices - 21.5) / 7.0) ** 6))).astype(np.float32)
    raw = np.clip(smoothed + 0.05 * np.sin(slices * 2.3), 0, 1).astype(np.float32)
    runs = (_RUN,) if peak > 0.95 else ()
    return SliceScores(region=region, slices=slices, probability=raw, smoothed=smoothed, threshold=0.95, runs=runs)


def _finding(box: Box, grid: Grid) -> Finding:
    return Finding(
        identifier="left-run-1",
        tracking_uid="2.25.111",
        kind=concept("neoplasm"),
        statement="8 slices of the left leg are predicted affected, over 40.0 mm.",
        site=concept("lower_limb_bones"),
        laterality=concept("left"),
        probability=0.987,
        box=box,
        measurements=(
            Measurement(
                concept=concept("extent_along_axis"), value=40.0, unit=concept("unit_mm"), interval=(35.0, 45.0)
            ),
            Measurement(concept=concept("slice_count"), value=8.0, unit=concept("unit_one")),
            Measurement(concept=concept("box_volume"), value=box.volume_mm3(grid), unit=concept("unit_mm3")),
            Measurement(
                concept=concept("volume"), value=123456.7, unit=concept("unit_mm3"), method=concept("volume_of_mesh")
            ),
        ),
        segment=("affected", 1),
    )


def _bone_finding() -> Finding:
    """A normal structure that was measured."""
    return Finding(
        identifier="right-bone",
        tracking_uid="2.25.7",
        kind=concept("bone"),
        statement="Bone of the right leg: 321 ml in 1 piece.",
        laterality=concept("right"),
        measurements=(
            Measurement(
                concept=concept("attenuation"), value=612.4, unit=concept("unit_hu"), derivation=concept("mean")
            ),
        ),
        segment=("bone", 1),
        is_abnormal=False,
    )


def _block(box: Box, grid: Grid, name: str) -> Surface:
    """Six faces of a box as twelve triangles."""
    corners = box.corners_lps_mm(grid).astype(np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))], dtype=np.int32)
    return Surface(vertices_lps_mm=corners, faces=faces, name=name)


def _source(slices: int) -> Source:
    return Source(
        kind="dicom",
        location=Path("somewhere"),
        patient=Patient(identifier="PID-4711", name=NAME, birth_date="19800131", sex="F", age_years=45.0),
        study=Study(uid="2.25.10", date="20260107", description="CT legs", accession_number="A1"),
        series=Series(
            uid="2.25.11", modality="CT", number=3, description=HOSTILE, body_part="LEG", patient_position="HFS",
            manufacturer="Maker", frame_of_reference_uid="2.25.12", sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        ),
        slices=tuple(SliceSource(sop_instance_uid=f"2.25.1000.{k}", path=Path(f"{k}.dcm")) for k in range(slices)),
        notices=(Notice(code="series-chosen", text="Series 3 was chosen: it has the most slices."),),
    )  # fmt: skip


@pytest.fixture(scope="session")
def volume() -> Volume:
    grid = _grid()
    return Volume(array=_array(), grid=grid, modality="CT", unit="HU", source=_source(grid.shape[0]))


@pytest.fixture(scope="session")
def answer(volume: Volume) -> Answer:
    grid = volume.grid
    present = np.ones(_SHAPE[0], dtype=np.bool_)
    right = Region(name="right leg", box=Box(start=(0, 6, 4), stop=(40, 56, 38)), present=present)
    left = Region(name="left leg", box=Box(start=(0, 6, 44), stop=(40, 56, 78)), present=present)
    box = Box(start=(_RUN[0], 6, 44), stop=(_RUN[1], 56, 78))
    bone = (volume.array > 300).astype(np.uint8)
    label = Label(
        value=1, name="Bone", category=concept("anatomical_structure"), kind=concept("bone"), tracking_uid="2.25.7"
    )
    return Answer(
        task="ct_osteosarcoma",
        headline="One affected region in the left leg; none in the right leg.",
        findings=(_finding(box, grid), _bone_finding()),
        regions=(right, left),
        masks=named((Mask(array=bone, grid=grid, labels=(label,), name="bone"),)),
        surfaces=named((
            _block(Box(start=(0, 20, 16), stop=(40, 40, 24)), grid, "bone_right_1"),
            _block(Box(start=(0, 20, 56), stop=(40, 40, 64)), grid, "bone_left_1"),
            box_surface(box.corners_lps_mm(grid), name="tumour_box_left_1"),
        )),
        models=(
            ModelUse(
                name="densenet121.demo", version="0.1", sha256="ab" * 32, runtime="openvino float32", device="cpu",
                is_demo=True, statement="Trained on synthetic phantoms only; it has never seen a patient.",
            ),
        ),
        notices=(
            Notice(code="legs", text="Two legs were followed through 40 slices."),
            Notice(code="metal", text="Metal was seen in 2 slices.", level="warning"),
        ),
        configuration={"roi": "series", "threshold": 0.95},
        seconds={"legs": 0.4, "bone": 1.2},
        detail=SliceReading((_scores("right leg", 0.4), _scores("left leg", 0.99))),
    )  # fmt: skip


@pytest.fixture(scope="session")
def run() -> Run:
    return Run(
        created="2026-01-07T12:00:00+00:00",
        task="ct_osteosarcoma",
        device="cpu",
        inputs=(FileRecord(name="1.dcm", sha256="0" * 64, size_bytes=10),),
        seconds={"read": 0.5},
        versions={"osteon": "0.1.0", "python": "3.11"},
        git_hash=None,
    )


@pytest.fixture(scope="session")
def bare(answer: Answer) -> Answer:
    """The answer of a task without classifier: one region, nothing else."""
    return replace(
        answer,
        headline="Nothing was looked for.",
        findings=(),
        regions=answer.regions[:1],
        masks={},
        surfaces={},
        models=(),
        notices=(),
        detail=SliceReading(),
    )


@pytest.fixture(scope="session")
def turned(volume: Volume) -> Callable[..., Volume]:
    """The same patient with the slices stored along another direction, so that only the affine knows."""

    def turn(directions: NDArray[np.float64]) -> Volume:
        grid = Grid.from_axes(shape=_SHAPE, spacing_mm=_SPACING_MM, directions=directions, origin_lps_mm=(10, 20, 30))
        return Volume(array=volume.array, grid=grid, modality="CT", unit="HU", source=None)

    return turn
