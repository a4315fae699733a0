"""One synthetic patient, written once and read once, for all end-to-end tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osteon.reading import CaseOptions, CaseResult, read_case
from osteon_phantoms.patient import phantom_spec, write_phantom

SEED = 4


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``dicom`` and ``truth``: both legs about the knee, a tumour of the left femur, 64 slices."""
    from osteon_phantoms import LesionSpec

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
    write_phantom(spec, folder)
    return folder


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
    from osteon.io.dicom.write_ct import write_ct_series
    from osteon_phantoms import make_torso_ct

    folder = tmp_path_factory.mktemp("torso") / "series"
    write_ct_series(make_torso_ct().volume, folder)
    return folder
