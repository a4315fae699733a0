"""A synthetic MR as DICOM: valid, read back voxel for voxel, with its truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.errors import InputError, OutputError
from osteon.io import open_volume
from osteon_phantoms.femur.painter import make_femur_mr
from osteon_phantoms.femur.spec import FemurMrSpec, MrLesionSpec, MrPlane
from osteon_phantoms.files import write_femur_mr
from tests.read_back import read_mask_nifti

SPEC = FemurMrSpec(seed=8, size=(40, 36), pixel_mm=4.0, slices=5, lesion=MrLesionSpec(kind="sarcoma", size_mm=35))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("femur") / "made"
    write_femur_mr(SPEC, folder, sequences=["t1", "stir", "t1_contrast"])
    return folder


def test_every_file_is_valid(written: Path, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]) -> None:
    for sequence in ("t1", "stir", "t1_contrast"):
        files = sorted((written / "dicom" / sequence).iterdir())
        assert len(files) == 5
        assert dciodvfy(files[2])[0] == []


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_series_reads_back_as_it_was_drawn(plane: MrPlane, tmp_path: Path) -> None:
    spec = replace(SPEC, plane=plane)
    write_femur_mr(spec, tmp_path / "made")
    back = open_volume(tmp_path / "made" / "dicom" / "t1", modality="MR")
    drawn = make_femur_mr(spec).volume
    assert back.modality == "MR"
    places = drawn.grid.to_lps_mm([[0, 0, 0], [4, 39, 35]])
    at = np.rint(back.grid.to_vox(places)).astype(int)
    np.testing.assert_allclose(back.grid.to_lps_mm(at), places, atol=1e-3)
    flip = at[0, 0] > at[1, 0]
    np.testing.assert_array_equal(back.array[::-1] if flip else back.array, drawn.array)


def test_the_truth_is_that_of_the_drawing(written: Path) -> None:
    drawn = make_femur_mr(SPEC)
    mask = read_mask_nifti(written / "truth" / "lesion.nii.gz")
    assert mask.array.sum() == drawn.masks["lesion"].array.sum()
    truth = json.loads((written / "truth" / "truth.json").read_text())
    assert truth["look"] == "malignant"
    top, left, bottom, right = truth["boxes_by_slice"]["2"]
    plane = drawn.masks["lesion"].array[2]
    assert plane[top:bottom, left:right].sum() == plane.sum()
    assert plane[top].any()
    assert plane[bottom - 1].any()
    assert "SYNTHETIC" in (written / "README.txt").read_text()


def test_what_cannot_be_written_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        write_femur_mr(SPEC, written)
    with pytest.raises(InputError, match="different sequences, found t1, t1"):
        write_femur_mr(SPEC, tmp_path / "a", sequences=["t1", "t1"])
