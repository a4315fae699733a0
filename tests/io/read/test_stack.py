"""Which images of a series become the volume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import generate_uid

from osteon.errors import InputError, UnsupportedError
from osteon.io import choose_series, find_images, open_volume

Make = Callable[..., Path]
UID = "1.2.3.777"


def notices(path: Path) -> dict[str, str]:
    source = open_volume(path).source
    assert source is not None
    return {notice.code: notice.text for notice in source.notices}


def test_localizers_are_left_out(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID)

    def scout(ds: Dataset, index: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    make_series(series_uid=UID, stored=body[:2], orientation=(1, 0, 0, 0, 0, -1), edit=scout, prefix="scout")
    assert open_volume(folder).grid.shape == (6, 10, 8)
    assert notices(folder)["localizers-dropped"].startswith("2 localizer images")


def test_only_localizers_is_not_a_volume(make_series: Make) -> None:
    def scout(ds: Dataset, index: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    with pytest.raises(InputError, match="only localizer"):
        open_volume(make_series(edit=scout))


def test_exact_duplicates_are_left_out(make_series: Make) -> None:
    folder = make_series()
    for path in sorted(folder.iterdir())[:3]:
        shutil.copy(path, folder / f"copy of {path.name}")
    again = pydicom.dcmread(folder / "image0004")
    again.SOPInstanceUID = generate_uid()  # sent twice under another UID: the pixels decide
    again.save_as(folder / "other uid")
    assert open_volume(folder).grid.shape == (6, 10, 8)
    assert notices(folder)["duplicates-dropped"].startswith("4 exact copies")


def test_duplicates_in_another_encoding_are_duplicates(make_series: Make) -> None:
    folder = make_series(series_uid=UID)
    make_series(series_uid=UID, syntax="1.2.840.10008.1.2.4.80", prefix="ls")
    assert notices(folder)["duplicates-dropped"].startswith("6 exact copies")


def test_different_images_at_one_place_are_refused(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID)
    make_series(series_uid=UID, stored=body + 1, prefix="other")
    with pytest.raises(InputError, match="6 positions hold two different images"):
        open_volume(folder)


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers"])
def test_acquisitions_of_one_place_are_distinguished(make_series: Make, body: NDArray[np.int16], keyword: str) -> None:
    def numbered(number: int) -> Callable[[Dataset, int], None]:
        return lambda ds, index: setattr(ds, keyword, number)

    folder = make_series(series_uid=UID, stored=body[:5], edit=numbered(10))
    make_series(series_uid=UID, stored=body[:5] + 1, edit=numbered(2), prefix="other")
    volume = open_volume(folder)
    # of two equally long ones the first, by number and not by text
    assert np.array_equal(volume.array, body[:5] + 1 - 1024)
    assert "2 acquisitions" in notices(folder)["acquisition-chosen"]


def test_interleaved_acquisitions_are_distinguished(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID, edit=lambda ds, _: setattr(ds, "AcquisitionNumber", 1))
    make_series(
        series_uid=UID,
        stored=body[:4],
        origin=(-10.0, 20.0, -299.3),
        edit=lambda ds, _: setattr(ds, "AcquisitionNumber", 2),
        prefix="other",
    )
    assert np.array_equal(open_volume(folder).array, body - 1024)


@pytest.mark.parametrize("numbered", [True, False])
def test_table_runs_that_share_a_place_are_joined(make_series: Make, body: NDArray[np.int16], numbered: bool) -> None:
    def run(number: int) -> Callable[[Dataset, int], None]:
        return lambda ds, _: setattr(ds, "AcquisitionNumber", number if numbered else 1)

    folder = make_series(series_uid=UID, edit=run(1))
    place = (-10.0, 20.0, -290.0)  # of the last slice of the first run
    make_series(series_uid=UID, stored=body[:5] + 3, origin=place, edit=run(2), prefix="other")
    volume = open_volume(folder)
    assert volume.grid.shape == (10, 10, 8)
    assert np.array_equal(volume.array[:6], body - 1024)
    assert np.array_equal(volume.array[6:], body[1:5] + 3 - 1024)
    assert ("runs-joined" if numbered else "repeated-places") in notices(folder)


def test_what_is_left_out_is_in_the_headline_above_a_tenth(make_series: Make, body: NDArray[np.int16]) -> None:
    make_series(series_uid=UID, stored=np.tile(body, (4, 1, 1)))
    folder = make_series(series_uid=UID, stored=body[:2, :4], prefix="small")
    source = open_volume(folder).source
    assert source is not None
    assert [notice.headline for notice in source.notices if notice.code == "mixed-images-dropped"] == [""]
    folder = make_series(series_uid=UID, stored=body[:1, :5], prefix="another")
    source = open_volume(folder).source
    assert source is not None
    told = [notice.headline for notice in source.notices if notice.code == "mixed-images-dropped"]
    assert told == ["3 of 27 images were not read."]


def test_a_frame_of_reference_for_each_slice_is_named(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.FrameOfReferenceUID = f"1.2.9.{index}"

    with pytest.raises(InputError, match=r"Frame of Reference UID \(0020,0052\) differs: 1\.2\.9\.\d \(1\).* 2 more"):
        open_volume(make_series(edit=edit))


def test_a_frame_of_reference_that_some_slices_lost_does_not_cost_them(
    make_series: Make, body: NDArray[np.int16]
) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.FrameOfReferenceUID = "" if index in (1, 4) else "1.2.9"

    folder = make_series(edit=edit)
    assert np.array_equal(open_volume(folder).array, body - 1024)
    assert "which 2 of 6 images do not have" in notices(folder)["no-dicom-objects"]


def test_a_hole_that_left_out_images_made_names_them(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.FrameOfReferenceUID = "1.2.8" if index == 3 else "1.2.9"

    with pytest.raises(InputError, match=r"1 slice is missing.*Frame of Reference UID .* 1\.2\.9 \(5\), 1\.2\.8 \(1\)"):
        open_volume(make_series(edit=edit))


def test_two_parts_of_one_scan_with_a_gap_are_not_distinguished(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID, edit=lambda ds, _: setattr(ds, "AcquisitionNumber", 1))
    make_series(
        series_uid=UID,
        stored=body[:3],
        origin=(-10.0, 20.0, -280.0),
        edit=lambda ds, _: setattr(ds, "AcquisitionNumber", 2),
        prefix="other",
    )
    with pytest.raises(InputError, match="4 slices are missing"):
        open_volume(folder)


def test_the_clear_majority_of_mixed_images_is_taken(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID)
    make_series(series_uid=UID, stored=body[:1, :4], prefix="small")
    make_series(series_uid=UID, stored=body[:2], orientation=(0, 1, 0, 0, 0, -1), prefix="sagittal")
    volume = open_volume(folder)
    assert volume.grid.shape == (6, 10, 8)
    assert notices(folder)["mixed-images-dropped"].startswith("3 of 9 images")


def test_mixed_images_without_a_majority_are_refused(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid=UID)
    make_series(series_uid=UID, stored=body[:, :4], prefix="small")
    with pytest.raises(InputError, match="do not belong together"):
        open_volume(folder)


def test_images_lost_identity_gets_a_stable_uid(make_series: Make) -> None:
    def anonymised(ds: Dataset, index: int) -> None:
        ds.SeriesInstanceUID = ds.StudyInstanceUID = ds.SOPInstanceUID = ""

    folder = make_series(edit=anonymised)
    with find_images(folder) as first, find_images(folder) as second:
        assert first.entries[0].series.uid.startswith("2.25.")
        assert first.entries[0].series.uid == second.entries[0].series.uid
        assert len(first.entries) == 1
    assert "uid-made" in notices(folder)


def multiframe(path: Path, stored: NDArray[np.int16], source: Path, *, syntax: str = "") -> None:
    """An Enhanced CT of the slices, their groups in shuffled order."""
    ds = pydicom.dcmread(next(source.iterdir()))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope"):
        del ds[name]
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.0], 2.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    order = [3, 0, 5, 1, 4, 2]
    for index in order:
        group, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 2.0 * index]
        values.RescaleSlope, values.RescaleIntercept = 1, -1000 - index
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [place], [values]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.NumberOfFrames = len(order)
    ds.PixelData = stored[order].tobytes()
    if syntax:
        ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_enhanced_multiframe(make_series: Make, tmp_path: Path, body: NDArray[np.int16], syntax: str) -> None:
    path = tmp_path / "enhanced"
    multiframe(path, body, make_series(), syntax=syntax)
    volume = open_volume(path)
    expected = body.astype(int) - 1000 - np.arange(6)[:, None, None]
    assert np.array_equal(volume.array, expected)
    assert volume.source is not None
    assert [item.frame for item in volume.source.slices] == [2, 4, 6, 1, 5, 3]


def test_multiframe_in_several_fragments_a_frame(make_series: Make, tmp_path: Path, body: NDArray[np.int16]) -> None:
    path = tmp_path / "enhanced"
    multiframe(path, body, make_series(), syntax="1.2.840.10008.1.2.4.80")
    expected = open_volume(path).array
    ds = pydicom.dcmread(path)
    frames = list(generate_frames(ds.PixelData, number_of_frames=6))
    ds.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=True)
    ds.save_as(tmp_path / "fragments")
    assert np.array_equal(open_volume(tmp_path / "fragments").array, expected)
    ds.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=False)
    ds.save_as(tmp_path / "no table")
    with pytest.raises(UnsupportedError, match="offset table"):
        open_volume(tmp_path / "no table")


def test_multiframe_whose_groups_do_not_fit(make_series: Make, tmp_path: Path, body: NDArray[np.int16]) -> None:
    path = tmp_path / "enhanced"
    multiframe(path, body, make_series())
    ds = pydicom.dcmread(path)
    del ds.PerFrameFunctionalGroupsSequence[-1]
    ds.save_as(path)
    with pytest.raises(InputError, match="says 6 frames and describes 5"):
        open_volume(path)


def test_multiframe_without_geometry_is_refused(make_series: Make, tmp_path: Path, body: NDArray[np.int16]) -> None:
    ds = pydicom.dcmread(next(make_series().iterdir()))
    del ds.ImagePositionPatient
    ds.NumberOfFrames, ds.PixelData = 6, body.tobytes()
    path = tmp_path / "cine"
    ds.save_as(path)
    with find_images(path) as inventory:
        assert inventory.entries[0].n_images == 6
        with pytest.raises(InputError, match="no Image Position"):
            choose_series(inventory)
