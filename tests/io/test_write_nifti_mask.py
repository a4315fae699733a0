"""NIfTI masks: every voxel at the same place of the patient, as another reader (nibabel) sees it."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from osteon.data import Label, Mask
from osteon.errors import InputError, OutputError
from osteon.geometry import Grid
from osteon.io.nifti import write_mask_nifti
from osteon.labels import concept
from tests.read_back import read_mask_nifti

LABELS = (
    Label(1, "Knochen, links", concept("tissue"), concept("bone"), concept("femur"), concept("left"), (1, 2, 3), "1.2"),
    Label(200, "Läsion", concept("morphologically_abnormal"), concept("lesion")),
)


def mask_on(grid: Grid) -> Mask:
    array = np.random.default_rng(3).choice(np.array([0, 1, 200], dtype=np.uint8), size=grid.shape)
    return Mask(array=array, grid=grid, labels=LABELS, name="bone")


@pytest.mark.parametrize("kind", ["axial", "descending", "oblique", "mirrored"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_mask_comes_back_whole(kind: str, suffix: str, tmp_path: Path, dicom_grids: dict[str, Grid]) -> None:
    mask = mask_on(dicom_grids[kind])
    path = tmp_path / f"bone{suffix}"
    write_mask_nifti(path, mask)
    back = read_mask_nifti(path)
    np.testing.assert_array_equal(back.array, mask.array)
    assert back.grid.same_as(mask.grid)
    assert (back.labels, back.name) == (mask.labels, mask.name)


def test_nibabel_sees_ras_millimetres(tmp_path: Path) -> None:
    """By hand: voxel (slice 1, row 2, column 3) is at left 10 + 3*0.5, posterior 20 + 2*0.7, superior 30 + 4 mm."""
    grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(4.0, 0.7, 0.5), origin_lps_mm=(10.0, 20.0, 30.0))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[1, 2, 3] = 1
    write_mask_nifti(tmp_path / "m.nii.gz", Mask(array=array, grid=grid, labels=LABELS))
    image = nibabel.load(tmp_path / "m.nii.gz")
    voxel = np.argwhere(np.asarray(image.dataobj) == 1)[0]
    assert voxel.tolist() == [3, 2, 1]
    for affine in (image.get_sform(), image.get_qform()):
        np.testing.assert_allclose((affine @ [*voxel, 1])[:3], [-11.5, -21.4, 34.0], atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_what_is_not_a_mask_is_refused(tmp_path: Path, dicom_grids: dict[str, Grid]) -> None:
    mask = mask_on(dicom_grids["axial"])
    with pytest.raises(InputError, match=r"\.nii"):
        write_mask_nifti(tmp_path / "bone.img", mask)
    with pytest.raises(OutputError, match="can be written"):
        write_mask_nifti(tmp_path / "none" / "bone.nii", mask)
