"""One synthetic patient, written once and read once, for all end-to-end tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osteon.reading import CaseOptions, CaseResult, read_case
from osteon_phantoms import LesionSpec, TrunkSpec, make_leg_ct, make_trunk, phantom_spec
from osteon_phantoms.files import write_ct_phantom

SEED = 4


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``dicom`` and ``truth``: both legs about the knee, a tumour of the left femur, 64 slices."""
    folder = tmp_path_factory.mktemp("synthetic") / "patient"
    spec = phantom_spec(
        SEED,
        slices=64,
        size=224,
        slice_step_mm=4.0,
        changes={
            "coverage": "knee",
            "metal": None,
            "benign": (),
            "gantry_tilt_degrees": 0.0,
            "age_years": 30.0,
            "lesions": (LesionSpec(leg="left", size_mm=80.0, soft_tissue_mass=0.9, breach=0.9),),
        },
    )
    return write_ct_phantom(make_leg_ct(spec), folder).folder


@pytest.fixture(scope="session")
def lesion_series(patient: Path) -> Path:
    return patient / "dicom"


@pytest.fixture(scope="session")
def truth(patient: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((patient / "truth" / "truth.json").read_text("utf-8"))
    return document


@pytest.fixture(scope="session")
def lesion_case(lesion_series: Path, tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    """The result of reading the patient with the packaged model."""
    return read_case(lesion_series, tmp_path_factory.mktemp("results") / "result", options=CaseOptions())


@pytest.fixture(scope="session")
def torso_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = TrunkSpec(coverage="thorax", size=(256, 256), pixel_mm=1.6, slice_mm=5.0)
    return write_ct_phantom(make_trunk(spec), tmp_path_factory.mktemp("torso") / "patient").dicom
