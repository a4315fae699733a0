"""The public images: geometry, values, encodings of real scanners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from osteon.errors import InputError
from osteon.io import choose_series, find_images, open_volume

pytestmark = pytest.mark.shared_data


def test_ankle_ct(shared_data: Path) -> None:
    folder = shared_data / "vhf_ankle_ct_dicom"
    volume = open_volume(folder)
    assert volume.array.dtype == np.int16
    assert volume.grid.shape == (150, 512, 512)
    assert volume.grid.spacing_mm == pytest.approx((1, 1, 1))
    assert (int(volume.array.min()), int(volume.array.max())) == (-1024, 1744)
    assert volume.source is not None
    # compared with pydicom on three slices
    for index in (0, 77, 149):
        ds = pydicom.dcmread(volume.source.slices[index].path)
        assert ds.ImagePositionPatient[2] == index
        assert np.array_equal(volume.array[index], ds.pixel_array.astype(int) - 1024)


def test_pelvis_ct(shared_data: Path) -> None:
    volume = open_volume(shared_data / "vhf_pelvis_5slice_ct")
    assert volume.grid.shape == (5, 512, 512)
    assert volume.grid.origin_lps_mm.tolist() == [0, 0, 999]


def test_jpeg2000_torso_with_lost_identity(shared_data: Path) -> None:
    volume = open_volume(shared_data / "totalseg_ct" / "example_ct_dicom")
    assert volume.grid.shape == (20, 512, 512)
    assert volume.grid.spacing_mm == pytest.approx((2, 0.9765625, 0.9765625))
    assert volume.source is not None
    assert volume.source.series.uid.startswith("2.25.")
    ds = pydicom.dcmread(volume.source.slices[3].path)
    assert np.array_equal(volume.array[3], ds.pixel_array.astype(int) - 1024)
    assert {"uid-made", "series-chosen"} <= {notice.code for notice in volume.source.notices}


@pytest.mark.parametrize("number", range(1, 6))
def test_bone_metastases_nifti(shared_data: Path, number: int) -> None:
    volume = open_volume(shared_data / "blds_bone_mets_ct" / f"{number}.nii.gz")
    assert volume.grid.shape == (96, 96, 96)
    assert volume.grid.spacing_mm == pytest.approx((1, 1, 1))
    assert volume.array.min() < -500
    # i and j run to the left and to the back: in LPS both grow, and so does z
    assert np.allclose(volume.grid.directions, [(0, 0, 1), (0, 1, 0), (1, 0, 0)])


def test_torso_nifti_and_what_is_not_a_ct(shared_data: Path) -> None:
    folder = shared_data / "totalseg_ct"
    assert open_volume(folder / "example_ct.nii.gz").grid.shape == (112, 101, 122)
    for name in ("example_mr_sm.nii.gz", "example_seg.nii.gz"):
        with pytest.raises(InputError, match="Hounsfield"):
            open_volume(folder / name)
    assert open_volume(folder / "example_mr_sm.nii.gz", modality="MR").array.dtype == np.int16


def test_lossless_encodings_of_one_knee_are_identical(shared_data: Path) -> None:
    folder = shared_data / "nema_wg04_dicom"
    plain = open_volume(folder / "MR3_UNC.dcm", modality="MR").array
    for code in ("RLE", "JPLL", "JLSL", "J2KR"):
        assert np.array_equal(open_volume(folder / f"MR3_{code}.dcm", modality="MR").array, plain), code


def test_near_lossless_and_lossy_encodings_are_near(shared_data: Path) -> None:
    folder = shared_data / "nema_wg04_dicom"
    plain = open_volume(folder / "MR3_UNC.dcm", modality="MR").array.astype(float)
    # JLSN was written with NEAR = 4; JPLY is 12-bit JPEG, which libjpeg-turbo 3 reads
    for code, largest, mean in (("JLSN", 4, 3), ("J2KI", 300, 25), ("JPLY", 60, 5)):
        volume = open_volume(folder / f"MR3_{code}.dcm", modality="MR")
        error = np.abs(volume.array - plain)
        assert error.max() <= largest, code
        assert error.mean() <= mean, code
        assert volume.source is not None
        assert "lossy-compression" in {notice.code for notice in volume.source.notices}


@pytest.mark.parametrize("code", ["UNC", "RLE", "JPLL", "JLSL", "JLSN", "J2KR", "J2KI", "JPLY"])
@pytest.mark.parametrize(("case", "modality"), [("MR3", "MR"), ("RG3", "CR"), ("NM1", "NM")])
def test_what_is_not_a_ct_says_so(shared_data: Path, case: str, modality: str, code: str) -> None:
    with pytest.raises(InputError, match=rf"asked for a CT series, found 1 {modality} series \(1 image\)"):
        open_volume(shared_data / "nema_wg04_dicom" / f"{case}_{code}.dcm")


def test_radiograph_and_bone_scan_are_no_volume(shared_data: Path) -> None:
    folder = shared_data / "nema_wg04_dicom"
    with pytest.raises(InputError, match="projections"):
        open_volume(folder / "RG3_UNC.dcm", modality="CR")
    with pytest.raises(InputError, match="no Image Position"):
        open_volume(folder / "NM1_UNC.dcm", modality="NM")
    with find_images(folder) as inventory, pytest.raises(InputError, match="images of 3 patients"):
        choose_series(inventory, modality="MR")


def test_knee_mr_big_endian_oblique(shared_data: Path) -> None:
    folder = shared_data / "pymskt_knee_mri_dicom"
    volume = open_volume(folder, modality="MR")
    assert volume.grid.shape == (24, 256, 256)
    assert volume.grid.spacing_mm == pytest.approx((4, 0.625, 0.625), abs=1e-3)
    assert volume.unit == ""
    assert volume.source is not None
    for index in (0, 23):
        ds = pydicom.dcmread(volume.source.slices[index].path)
        assert np.array_equal(volume.array[index], ds.pixel_array)
        assert np.allclose(volume.grid.to_lps_mm([index, 0, 0]), ds.ImagePositionPatient, atol=0.01)
    with pytest.raises(InputError, match=r"found 1 MR series \(24 images\)"):
        open_volume(folder)
