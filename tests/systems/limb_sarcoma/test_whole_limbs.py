"""Whole stacks without HU or mm get their place and their grey values from the cut scan they hold."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from osteon.errors import InputError
from osteon.geometry import Grid
from osteon.io import open_volume, read_mask_volume

SCRIPT: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[3] / "scripts" / "whole_limbs.py"))
FIRST, ROW, COLUMN, STEP = 6, 20, 30, 0.65
SHAPE = (34, 64, 80)


def scan() -> NDArray[np.float32]:
    """A whole examination (slices at 1, rows, columns) in HU: muscle with structure, fat, bone, air around."""
    random = np.random.default_rng(3)
    texture = ndimage.gaussian_filter(random.normal(size=(60, 120, 140)), (3, 3, 3))
    hu = 40 + 60 * texture / texture.std()
    rows, columns = np.mgrid[:120, :140]
    across = np.hypot((rows - 60) / 50, (columns - 70) / 60)
    hu[:, across > 0.9] = -100
    hu[:, np.hypot(rows - 50, columns - 60) < 7] = 900
    hu[:, across > 1] = -1000
    return np.asarray(hu + random.normal(0, 3, hu.shape), dtype=np.float32)


@pytest.fixture(scope="module")
def made() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The stack, stretched slice by slice, and the cut scan."""
    whole = scan()
    slices = (np.arange(38) / STEP)[:, None]
    low = slices[:, 0].astype(int)
    part = (slices[:, 0] - low)[:, None, None]
    coarse = whole[low] * (1 - part) + whole[np.minimum(low + 1, 59)] * part
    tops = np.linspace(900, 1500, len(coarse))[:, None, None]
    stack = np.clip(np.rint((coarse + 1030) / (tops + 1030) * 255), 0, 255).astype(np.uint8)
    start = round(FIRST / STEP)
    return stack, whole[start : start + SHAPE[0], ROW : ROW + SHAPE[1], COLUMN : COLUMN + SHAPE[2]]


def test_the_place_follows_from_the_slices(made: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> None:
    stack, cut = made
    place = SCRIPT["find_place"](stack, cut)
    assert (place.row, place.column) == (ROW, COLUMN)
    assert place.step == pytest.approx(STEP, abs=0.02)
    assert place.first == pytest.approx(round(FIRST / STEP) * STEP, abs=0.4)
    assert place.correlation > 0.95
    grid = Grid.from_axes(shape=SHAPE, spacing_mm=(3.27, 2.0, 2.0), origin_lps_mm=(5.0, 6.0, 7.0))
    whole = SCRIPT["whole_grid"](grid, place, stack.shape)
    assert whole.spacing_mm == pytest.approx((3.27 / place.step, 2.0, 2.0))
    # the same voxel is at the same place in both
    in_stack = [place.first + 10 * place.step, ROW + 3, COLUMN + 4]
    assert whole.to_lps_mm(in_stack) == pytest.approx(grid.to_lps_mm([10, 3, 4]))


def test_grey_values_become_hu_again(made: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> None:
    stack, cut = made
    place = SCRIPT["find_place"](stack, cut)
    values, error_hu = SCRIPT["in_hu"](stack, cut, place)
    assert error_hu < 25
    assert np.percentile(values, 5) == pytest.approx(-1000, abs=15)
    for some in (values[:4], values[15:20]):  # also where the cut scan does not reach
        assert np.median(some[some > -50]) == pytest.approx(40, abs=25)


def test_a_scan_of_somebody_else_is_not_found(made: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> None:
    stack, cut = made
    noise = np.random.default_rng(1).normal(0, 300, cut.shape).astype(np.float32)
    for other in (noise, cut[::-1], cut[np.random.default_rng(1).permutation(len(cut))]):
        with pytest.raises(InputError, match="is not found in the stack"):
            SCRIPT["find_place"](stack, other)


def test_scans_are_written_as_data_sets_are_made_of(
    made: tuple[NDArray[np.uint8], NDArray[np.float32]], tmp_path: Path
) -> None:
    stack, cut = made
    affine = np.diag([-2.0, -2.0, 3.27, 1.0])
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[10:22, 20:40, 30:50] = 1
    for ending, array in (("CT", np.rint(cut).astype(np.int16)), ("CT_mask", mask)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), tmp_path / f"P1_{ending}.nii.gz")
    (tmp_path / "out").mkdir()
    told = SCRIPT["write_whole"]("P1", stack, tmp_path, tmp_path / "out")
    volume = open_volume(tmp_path / "out" / "P1_CT.nii.gz")
    placed = read_mask_volume(tmp_path / "out" / "P1_CT_mask.nii.gz", like=volume.grid, image="CT")
    assert volume.grid.shape == stack.shape
    assert float(told.split("|")[2]) == pytest.approx(3.27 / STEP, abs=0.15)
    shares = np.prod(volume.grid.spacing_mm) / (3.27 * 2 * 2)
    assert placed.sum() * shares == pytest.approx(mask.sum(), rel=0.06)
