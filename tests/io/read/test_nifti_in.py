"""NIfTI comes in: RAS to LPS, index order, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.errors import InputError
from osteon.io import find_images, load_image, open_volume


@pytest.fixture
def voxels() -> NDArray[np.int16]:
    """(i, j, k) = (5, 4, 3), with air."""
    return (np.arange(60).reshape(5, 4, 3) * 20 - 1000).astype(np.int16)


def save(path: Path, voxels: NDArray[Any], affine: NDArray[Any], **header: Any) -> Path:  # noqa: ANN401 - header fields
    image = nibabel.Nifti1Image(voxels, affine)
    for name, value in header.items():
        getattr(image.header, f"set_{name}")(*value)
    nibabel.save(image, path)
    return path


RAS = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -20], [0, 0, 3, 100], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_world_coordinates_survive_the_door(tmp_path: Path, voxels: NDArray[np.int16], suffix: str) -> None:
    volume = open_volume(save(tmp_path / f"a{suffix}", voxels, RAS))
    assert volume.array.dtype == np.int16
    assert volume.array.shape == (3, 4, 5)
    assert volume.array.flags.c_contiguous
    for i, j, k in [(0, 0, 0), (4, 3, 2), (1, 2, 0)]:
        assert volume.array[k, j, i] == voxels[i, j, k]
        ras = (RAS @ np.array([i, j, k, 1]))[:3]
        assert np.allclose(volume.grid.to_lps_mm([k, j, i]), ras * [-1, -1, 1])
    assert volume.source is not None
    assert volume.source.kind == "nifti"
    assert (volume.modality, volume.unit) == ("CT", "HU")


@pytest.mark.parametrize("flip", [1, -1])
def test_both_hands_are_kept(tmp_path: Path, voxels: NDArray[np.int16], flip: int) -> None:
    affine = RAS @ np.diag([flip, 1, 1, 1])
    grid = open_volume(save(tmp_path / "a.nii", voxels, affine)).grid
    assert (np.linalg.det(grid.directions) > 0) == (np.linalg.det(affine[:3, :3][:, ::-1]) > 0)


def test_oblique_affine(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    turn = np.eye(4)
    turn[:2, :2] = np.array([[0.8, -0.6], [0.6, 0.8]])
    grid = open_volume(save(tmp_path / "a.nii", voxels, turn @ RAS)).grid
    assert grid.spacing_mm == pytest.approx((3, 1.5, 2))
    assert np.allclose(
        grid.to_lps_mm([2, 3, 4]), (np.diag([-1, -1, 1, 1]) @ turn @ RAS @ np.array([4, 3, 2, 1]))[:3], atol=1e-4
    )


def test_scaled_values(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    whole = open_volume(save(tmp_path / "a.nii", voxels, RAS, slope_inter=(2, -10)))
    assert whole.array.dtype == np.int16
    assert whole.array.min() == nibabel.load(tmp_path / "a.nii").get_fdata().min()
    float_ = open_volume(save(tmp_path / "b.nii", (voxels + 0.25).astype(np.float32), RAS))
    assert float_.array.dtype == np.float32
    whole_floats = open_volume(save(tmp_path / "c.nii", voxels.astype(np.float64), RAS))
    assert whole_floats.array.dtype == np.int16


def test_not_a_ct_is_refused_unless_said(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    path = save(tmp_path / "mr.nii.gz", voxels + 1000, RAS)
    with pytest.raises(InputError, match="do not look like Hounsfield units"):
        open_volume(path)
    assert open_volume(path, modality="CT").unit == "HU"
    assert open_volume(path, modality="MR").unit == ""


def test_a_task_of_two_modalities_lets_the_values_decide(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    for shift, modality in ((0, "CT"), (1000, "MR")):
        with find_images(save(tmp_path / f"{modality}.nii", voxels + np.int16(shift), RAS)) as inventory:
            volume = load_image(inventory.entries[0], modality="MR", or_ct=True)
            assert volume.modality == modality
            assert load_image(inventory.entries[0], modality="MR").modality == "MR"


def test_units_and_forms(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    metres = open_volume(
        save(tmp_path / "m.nii", voxels, np.diag([0.001, 0.001, 0.001, 1]) @ RAS, xyzt_units=("meter",))
    )
    assert metres.grid.spacing_mm == pytest.approx((3, 1.5, 2))
    only_q = save(tmp_path / "q.nii", voxels, RAS, sform=(None, 0), qform=(RAS, 1))
    assert nibabel.load(only_q).get_sform(coded=True)[1] == 0
    assert np.allclose(open_volume(only_q).grid.affine, metres.grid.affine, atol=1e-4)
    neither = save(tmp_path / "n.nii", voxels, RAS)
    data = bytearray(neither.read_bytes())
    data[252:256] = bytes(4)  # qform_code and sform_code
    neither.write_bytes(data)
    with pytest.raises(InputError, match="neither an sform nor a qform"):
        open_volume(neither)


def test_bad_files_are_refused(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    shear = RAS.copy()
    shear[1, 2] = 1.0
    cases: dict[str, Path] = {
        "orthogonal": save(tmp_path / "shear.nii", voxels, shear),
        "three dimensions": save(tmp_path / "four.nii", np.stack([voxels] * 2, axis=-1), RAS),
        "NaN or infinite": save(tmp_path / "nan.nii", np.where(voxels > 0, np.nan, voxels).astype(np.float32), RAS),
        "every voxel": save(tmp_path / "flat.nii", np.full_like(voxels, -1000), RAS),
    }
    whole = save(
        tmp_path / "whole.nii.gz", np.random.default_rng(1).integers(-900, 900, (20, 20, 20)).astype(np.int16), RAS
    )
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:4000])
    (tmp_path / "junk.nii").write_bytes(b"junk" * 200)
    cases["cut.nii.gz"] = tmp_path / "cut.nii.gz"
    cases["junk.nii"] = tmp_path / "junk.nii"
    for message, path in cases.items():
        with pytest.raises(InputError, match=message):
            open_volume(path)


def test_several_nifti_files_need_a_name(tmp_path: Path, voxels: NDArray[np.int16]) -> None:
    for name in ("a.nii", "b.nii"):
        save(tmp_path / name, voxels, RAS)
    with pytest.raises(InputError, match="name one file"):
        open_volume(tmp_path)
    with find_images(tmp_path) as inventory:
        assert [entry.kind for entry in inventory.entries] == ["nifti", "nifti"]


def test_dicom_goes_before_nifti_beside_it(make_series: Any, tmp_path: Path, voxels: NDArray[np.int16]) -> None:  # noqa: ANN401
    folder = make_series()
    save(folder / "mask.nii.gz", voxels, RAS)
    volume = open_volume(folder)
    assert volume.source is not None
    assert volume.source.kind == "dicom"
