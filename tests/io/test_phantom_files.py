"""A synthetic patient as files: valid DICOM that reads back to the same numbers, and truth that points into it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pydicom
import pytest

from osteon.errors import InputError, OutputError
from osteon.io import open_volume
from osteon.io.dicom.write_series import CtSeriesInfo, planes_of, seeded_uid, write_ct_series
from osteon_phantoms import LegSpec, LesionSpec, Phantom, TrunkSpec, make_leg_ct, make_trunk
from osteon_phantoms.files import WrittenPhantom, write_ct_phantom
from tests.read_back import read_mask_nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Legs = Phantom[LegSpec]
SPEC = LegSpec(seed=7, shape=(10, 48, 64), spacing_mm=(12.0, 7.0, 6.5), lesions=(LesionSpec(leg="left"),))


@pytest.fixture(scope="module")
def phantom() -> Legs:
    return make_leg_ct(SPEC)


@pytest.fixture(scope="module")
def written(phantom: Legs, tmp_path_factory: pytest.TempPathFactory) -> WrittenPhantom:
    return write_ct_phantom(phantom, tmp_path_factory.mktemp("phantom") / "case")


def images(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def test_pydicom_reads_back_the_same_hounsfield_numbers_and_places(phantom: Legs, written: WrittenPhantom) -> None:
    read = images(written.dicom)
    stack = np.stack([image.pixel_array * image.RescaleSlope + image.RescaleIntercept for image in read])
    assert np.array_equal(stack, phantom.volume.array)
    grid = phantom.volume.grid
    for k, image in enumerate(read):
        assert np.allclose(image.ImagePositionPatient, grid.to_lps_mm([k, 0, 0]), atol=1e-6)
        assert image.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert image.PixelSpacing == [7.0, 6.5]
        assert str(image.SOPInstanceUID) == written.sop_instance_uids[k]


def test_the_reader_of_osteon_gives_the_volume_back(phantom: Legs, written: WrittenPhantom) -> None:
    volume = open_volume(written.dicom)
    assert np.array_equal(volume.array, phantom.volume.array)
    assert volume.grid.same_as(phantom.volume.grid)


def test_every_file_says_that_it_is_synthetic(written: WrittenPhantom) -> None:
    for image in images(written.dicom):
        assert "SYNTHETIC" in image.SeriesDescription
        assert "SYNTHETIC" in image.ImageComments
        assert image.PatientName == "PHANTOM^SEED 0007"
        assert image.PatientID == "OSTEON-PHANTOM-0007"
    assert "SYNTHETIC" in (written.folder / "README.txt").read_text(encoding="utf-8")


def test_the_files_are_valid(written: WrittenPhantom, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]) -> None:
    for path in sorted(written.dicom.iterdir())[::4]:
        errors, _ = dciodvfy(path)
        assert errors == []


def test_a_tilted_and_a_prone_series_are_valid(
    tmp_path: Path, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]
) -> None:
    cases: tuple[tuple[Literal["HFP", "HFS"], float], ...] = (("HFP", 0.0), ("HFS", 15.0))
    for position, tilt in cases:
        spec = replace(SPEC, shape=(2, 48, 64), patient_position=position, gantry_tilt_degrees=tilt, lesions=())
        done = write_ct_phantom(make_leg_ct(spec), tmp_path / position)
        errors, _ = dciodvfy(next(done.dicom.iterdir()))
        assert errors == []


def test_uids_follow_from_the_spec(phantom: Legs, written: WrittenPhantom, tmp_path: Path) -> None:
    again = write_ct_phantom(phantom, tmp_path / "again")
    assert again.sop_instance_uids == written.sop_instance_uids
    other = write_ct_phantom(make_leg_ct(replace(SPEC, seed=8)), tmp_path / "other")
    assert not set(other.sop_instance_uids) & set(written.sop_instance_uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in written.sop_instance_uids)
    assert seeded_uid("a", "b") != seeded_uid("a/b", "")


def test_the_truth_names_the_slices_and_the_box_of_the_lesion(phantom: Legs, written: WrittenPhantom) -> None:
    document = json.loads((written.folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    (entry,) = document["lesions"]
    (lesion,) = phantom.lesions
    assert entry["bone"] == "femur"
    assert entry["leg"] == "left"
    assert entry["volume_ml"] == pytest.approx(lesion.volume_ml, abs=1e-3)
    first, last = entry["slices"]
    assert entry["sop_instance_uids"] == list(written.sop_instance_uids[first : last + 1])
    where = phantom.masks["truth"].grid.to_lps_mm(np.argwhere(phantom.masks["truth"].of(lesion.label)))
    assert (where >= np.array(entry["box_lps_mm"]["low"])).all()
    assert (where <= np.array(entry["box_lps_mm"]["high"])).all()
    mask = read_mask_nifti(written.folder / "truth" / "truth.nii.gz")
    assert mask.grid.same_as(phantom.masks["truth"].grid)
    assert np.array_equal(mask.array, phantom.masks["truth"].array)


def test_shuffled_names_say_nothing_about_the_order(phantom: Legs, tmp_path: Path) -> None:
    done = write_ct_phantom(phantom, tmp_path / "shuffled", shuffled_names=True)
    heights = [float(image.ImagePositionPatient[2]) for image in images(done.dicom)]
    assert heights != sorted(heights)
    assert np.array_equal(open_volume(done.dicom).array, phantom.volume.array)


def test_a_tilted_gantry_steps_along_the_table_and_leans_its_planes(tmp_path: Path) -> None:
    spec = replace(
        SPEC, shape=(9, 48, 48), spacing_mm=(12.0, 7.0, 7.0), gantry_tilt_degrees=18.0, noise_hu=0.0, beam_hardening=0.0
    )
    phantom = make_leg_ct(spec)
    stored = phantom.planes
    assert stored is not None
    steps = np.diff(stored.positions_lps_mm, axis=0)
    assert np.allclose(steps, [0, 0, 12.0], atol=1e-9)
    normal = np.cross(stored.row_direction, stored.column_direction)
    assert np.rad2deg(np.arccos(normal @ [0, 0, 1])) == pytest.approx(18.0)
    # every tilted pixel shows what the upright volume shows at that place, where that is on an upright slice
    rows, columns = np.arange(48), np.arange(48)
    for k in (3, 5):
        along = stored.positions_lps_mm[k] + rows[:, None] * 7.0 * np.asarray(stored.column_direction)
        upright = phantom.volume.grid.to_vox(along)
        for r in rows:
            z, y, _ = upright[r]
            on_grid = abs(z - round(z)) < 0.02 and abs(y - round(y)) < 0.06 and 0 <= round(z) < 9 and 0 <= round(y) < 48
            if on_grid:
                expected = phantom.volume.array[round(z), round(y), columns].astype(int)
                assert np.median(np.abs(stored.array[k, r] - expected)) < 30
    done = write_ct_phantom(phantom, tmp_path / "tilted")
    image = images(done.dicom)[0]
    assert image.GantryDetectorTilt == 18.0
    assert np.allclose(image.ImagePositionPatient, stored.positions_lps_mm[0], atol=1e-6)


def test_a_folder_that_holds_something_is_refused(phantom: Legs, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty"):
        write_ct_phantom(phantom, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_series_is_not_written_over_another(phantom: Legs, tmp_path: Path) -> None:
    write_ct_series(phantom.volume, tmp_path)
    with pytest.raises(OutputError, match="is there"):
        write_ct_series(phantom.volume, tmp_path)


def test_what_is_not_a_ct_is_refused(phantom: Legs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int16"):
        planes_of(replace(phantom.volume, modality="MR"))
    with pytest.raises(InputError, match="file names"):
        write_ct_series(phantom.volume, tmp_path, file_names=["a"] * 10)


def test_any_ct_volume_can_be_written(tmp_path: Path) -> None:
    chest = make_trunk(TrunkSpec(coverage="thorax", size=(32, 32), pixel_mm=12.0, slice_mm=20.0, length_mm=80.0))
    info = CtSeriesInfo(uid_seed="chest", body_part="CHEST", laterality="U", series_description="SYNTHETIC chest")
    write_ct_series(chest.volume, tmp_path, patient=chest.patient, info=info)
    assert np.array_equal(open_volume(tmp_path).array, chest.volume.array)
    assert images(tmp_path)[0].BodyPartExamined == "CHEST"
