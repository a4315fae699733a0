"""A synthetic trunk as files: DICOM that reads back, masks on its grid, truth that points into it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from osteon.errors import OutputError
from osteon.io import open_volume
from osteon_phantoms import Phantom, TrunkLesionSpec, TrunkMimicSpec, TrunkSpec, make_trunk
from osteon_phantoms.files import WrittenPhantom, write_ct_phantom
from tests.read_back import read_mask_nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = TrunkSpec(
    seed=11,
    size=(64, 64),
    pixel_mm=6.0,
    slice_mm=8.0,
    length_mm=120.0,
    centre_share=0.3,
    lesions=(TrunkLesionSpec(bone="L3", size_mm=30), TrunkLesionSpec(bone="T2", type="blastic")),
    mimics=(TrunkMimicSpec(kind="degenerative_disc", bone="L4"),),
)


@pytest.fixture(scope="module")
def phantom() -> Phantom[TrunkSpec]:
    return make_trunk(SPEC)


@pytest.fixture(scope="module")
def written(phantom: Phantom[TrunkSpec], tmp_path_factory: pytest.TempPathFactory) -> WrittenPhantom:
    return write_ct_phantom(phantom, tmp_path_factory.mktemp("trunk") / "case")


def test_the_reader_of_osteon_gives_the_volume_back(phantom: Phantom[TrunkSpec], written: WrittenPhantom) -> None:
    volume = open_volume(written.dicom)
    assert np.array_equal(volume.array, phantom.volume.array)
    assert volume.grid.same_as(phantom.volume.grid)


def test_the_masks_come_back_on_the_same_grid(phantom: Phantom[TrunkSpec], written: WrittenPhantom) -> None:
    for mask in phantom.masks.values():
        back = read_mask_nifti(written.folder / "truth" / f"{mask.name}.nii.gz")
        ours = phantom.volume.grid.to_lps_mm(np.argwhere(mask.array == 1))
        theirs = back.grid.to_lps_mm(np.argwhere(back.array == 1))
        assert len(ours) == len(theirs) > 10
        assert np.allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=0.01)


def test_the_truth_tells_what_there_is(phantom: Phantom[TrunkSpec], written: WrittenPhantom) -> None:
    truth = json.loads((written.folder / "truth" / "truth.json").read_text("utf-8"))
    seen, outside = truth["lesions"]
    assert (seen["bone"], seen["structure"], seen["type"], seen["number"]) == ("L3", "vertebra", "lytic", 1)
    assert seen["volume_ml"] == pytest.approx(phantom.lesions[0].volume_ml, abs=0.001)
    first, last = seen["slices"]
    assert seen["sop_instance_uids"] == list(written.sop_instance_uids[first : last + 1])
    uids = {str(pydicom.dcmread(path).SOPInstanceUID) for path in written.dicom.iterdir()}
    assert set(seen["sop_instance_uids"]) <= uids
    assert (outside["volume_ml"], outside["slices"], outside["sop_instance_uids"]) == (0.0, [], [])
    (mimic,) = truth["mimics"]
    assert (mimic["kind"], mimic["bone"]) == ("degenerative_disc", "L4")
    assert "not a patient" in truth["synthetic"]


def test_every_file_is_valid_and_says_that_it_is_synthetic(
    written: WrittenPhantom, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]
) -> None:
    for path in sorted(written.dicom.iterdir())[::6]:
        errors, _ = dciodvfy(path)
        assert errors == []
        image = pydicom.dcmread(path)
        assert "SYNTHETIC" in image.ImageComments
        assert image.BodyPartExamined == "ABDOMEN"
    assert "SYNTHETIC" in (written.folder / "README.txt").read_text("utf-8")


def test_a_folder_that_holds_something_is_left_alone(phantom: Phantom[TrunkSpec], written: WrittenPhantom) -> None:
    with pytest.raises(OutputError, match="not empty"):
        write_ct_phantom(phantom, written.folder)
