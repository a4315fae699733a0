"""What DICOM objects refer to is what was read; where none can be made, that is said when a series is opened."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from osteon.data import Label, Mask, Volume
from osteon.errors import InputError
from osteon.io import open_volume
from osteon.io.dicom.derived import DerivedSeries, read_source_headers
from osteon.io.dicom.seg import write_segmentation
from osteon.labels import concept

Make = Callable[..., Path]


def enhanced(path: Path, slices: list[Dataset], phases: tuple[int, ...], *, per_frame: bool) -> None:
    """Frames of several phases in one file, in shuffled order; geometry in the shared or in the per-frame groups."""
    ds = copy.deepcopy(slices[0])
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    orientation, measures, values, shared = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = slices[0].PixelSpacing, 2
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    places = [(index, phase) for phase in phases for index in range(len(slices))]
    places = [places[at] for at in np.random.default_rng(3).permutation(len(places))]
    groups = []
    for index, phase in places:
        group, place, content = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = slices[index].ImagePositionPatient
        content.TemporalPositionIndex = phase
        group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
        groups.append(group)
    for group in groups if per_frame else [shared]:
        group.PlaneOrientationSequence, group.PixelMeasuresSequence = [orientation], [measures]
        group.PixelValueTransformationSequence = [values]
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], groups
    ds.NumberOfFrames = len(places)
    pixels = [slices[index].pixel_array.astype("<i2") + 7 * phase for index, phase in places]
    ds.PixelData = b"".join(frame.astype("<i2").tobytes() for frame in pixels)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[name]
    del ds.RescaleSlope, ds.RescaleIntercept
    ds.save_as(path, enforce_file_format=True)


def segmentation(volume: Volume, path: Path) -> Dataset:
    """Two labels in every slice, written and read again."""
    assert volume.source is not None
    array = np.zeros(volume.grid.shape, np.uint8)
    array[:, 2:5, 2:5], array[:, 6:8, 1:3] = 1, 2
    labels = tuple(Label(n, str(n), concept("anatomical_structure"), concept("bone")) for n in (1, 2))
    mask = Mask(array, volume.grid, labels, name="bone")
    series = DerivedSeries(9001, "test")
    write_segmentation(path, mask, source=volume.source, grid_of_source=volume.grid, algorithm=None, series=series)
    return pydicom.dcmread(path)


def plane(file: Dataset, frame: int | None) -> tuple[list[float], int | None]:
    """Position and phase of an image or of a frame of it."""
    if frame is None:
        return [float(v) for v in file.ImagePositionPatient], None
    group = file.PerFrameFunctionalGroupsSequence[frame - 1]
    phase = group.FrameContentSequence[0].TemporalPositionIndex
    return [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient], phase


def references(seg: Dataset, folder: Path) -> list[tuple[float, int | None]]:
    """How far each reference is from the frame that makes it, and which phase it names; every one must exist."""
    files = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, folder.iterdir())}
    listed = {
        item.ReferencedSOPInstanceUID
        for series in seg.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    assert listed == set(files)
    found = []
    for group in seg.PerFrameFunctionalGroupsSequence:
        own = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for item in group.DerivationImageSequence[0].SourceImageSequence:
            file = files[item.ReferencedSOPInstanceUID]
            assert item.ReferencedSOPClassUID == file.SOPClassUID
            position, phase = plane(file, item.get("ReferencedFrameNumber"))
            found.append((float(np.abs(own - position).max()), phase))
    return found


def loaded(folder: Path) -> list[Dataset]:
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(slices, key=lambda ds: float(ds.ImagePositionPatient[2]))


@pytest.mark.parametrize("per_frame", [False, True])
def test_frames_name_the_phase_that_was_read(make_series: Make, tmp_path: Path, per_frame: bool) -> None:
    (tmp_path / "in").mkdir()
    enhanced(tmp_path / "in" / "file", loaded(make_series()), (1, 2), per_frame=per_frame)
    volume = open_volume(tmp_path / "in")
    assert volume.source is not None
    (notice,) = (one for one in volume.source.notices if one.code == "acquisition-chosen")
    assert notice.headline == "6 of 12 images were not read."
    assert references(segmentation(volume, tmp_path / "seg.dcm"), tmp_path / "in") == [(0.0, 1)] * 12


def test_a_series_in_two_multi_frame_files(make_series: Make, tmp_path: Path) -> None:
    slices = loaded(make_series())
    (tmp_path / "in").mkdir()
    enhanced(tmp_path / "in" / "lower", slices[:3], (1,), per_frame=True)
    enhanced(tmp_path / "in" / "upper", slices[3:], (1,), per_frame=False)
    volume = open_volume(tmp_path / "in")
    assert volume.grid.shape == (6, 10, 8)
    assert references(segmentation(volume, tmp_path / "seg.dcm"), tmp_path / "in") == [(0.0, 1)] * 12


def test_orientations_that_differ_in_the_last_digits(make_series: Make, tmp_path: Path) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if index % 3 else ["1", "0.000001", "0", "-0.000001", "1", "0"]

    folder = make_series(edit=edit)
    seg = segmentation(open_volume(folder), tmp_path / "seg.dcm")
    assert references(seg, folder) == [(0.0, None)] * 12


def of_several(keyword: str) -> Callable[[Dataset, int], None]:
    return lambda ds, index: setattr(ds, keyword, f"1.2.3.{index % 2}")


def one_instance(ds: Dataset, index: int) -> None:
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"


def invalid(keyword: str, value: str) -> Callable[[Dataset, int], None]:
    def edit(ds: Dataset, index: int) -> None:
        with pydicom.config.disable_value_validation():
            ds.add_new(keyword, "UI", value)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (of_several("StudyInstanceUID"), r"several studies: .*\(0020,000D\) 1\.2\.3\.0 \(3\), 1\.2\.3\.1 \(3\)"),
        (one_instance, r"6 images share 1 SOP Instance UID"),
        (
            invalid("StudyInstanceUID", "anon-study.1.2"),
            r"Study Instance UID \(0020,000D\) is not a valid UID on 6 of 6",
        ),
        (invalid("SeriesInstanceUID", "1.2.826.00.1"), r"Series Instance UID \(0020,000E\) is not a valid UID"),
        (invalid("FrameOfReferenceUID", "1." * 40 + "1"), "at most 64 characters"),
        (lambda ds, _: delattr(ds, "FrameOfReferenceUID"), r"Frame of Reference UID \(0020,0052\), which the images"),
    ],
)
def test_what_no_object_can_refer_to_is_known_when_it_is_opened(
    make_series: Make, body: NDArray[Any], edit: Callable[[Dataset, int], None], message: str
) -> None:
    volume = open_volume(make_series(edit=edit))
    assert np.array_equal(volume.array, body - 1024)
    assert volume.source is not None
    assert "no-dicom-objects" in {notice.code for notice in volume.source.notices}
    with pytest.raises(InputError, match=message):
        read_source_headers(volume.source)


def test_a_lossy_source_that_does_not_say_its_ratio(make_series: Make, tmp_path: Path) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.LossyImageCompression = "01"
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.81"  # near-lossless, of which lossless is a case

    stored = np.arange(6 * 64 * 64, dtype=np.int16).reshape(6, 64, 64) // 64
    seg = segmentation(
        open_volume(make_series(stored=stored, syntax="1.2.840.10008.1.2.4.80", edit=edit)), tmp_path / "s"
    )
    assert (seg.LossyImageCompression, seg.LossyImageCompressionMethod) == ("01", "ISO_14495_1")
    assert float(seg.LossyImageCompressionRatio) >= 1


def test_a_blank_after_a_uid_does_not_matter(make_series: Make, tmp_path: Path) -> None:
    folder = make_series(edit=invalid("SeriesInstanceUID", "1.2.826.1 "))
    seg = segmentation(open_volume(folder), tmp_path / "seg.dcm")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.826.1"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_without_a_declared_alphabet_are_the_same_in_the_objects(
    make_series: Make, tmp_path: Path, encoding: str
) -> None:
    def undeclared(data: bytes, index: int) -> bytes:
        name = "Müller^Jörg ".encode(encoding)
        name += b" " * (len(name) % 2)
        start = data.index(b"\x10\x00\x10\x00PN")
        length = int.from_bytes(data[start + 6 : start + 8], "little")
        return data[: start + 6] + len(name).to_bytes(2, "little") + name + data[start + 8 + length :]

    volume = open_volume(make_series(file_edit=undeclared))
    assert volume.source is not None
    assert volume.source.patient.name == "Müller^Jörg"
    assert str(segmentation(volume, tmp_path / "seg.dcm").PatientName) == "Müller^Jörg"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_files_without_a_head_are_read_and_referred_to(
    make_series: Make, tmp_path: Path, body: NDArray[Any], syntax: str
) -> None:
    def headless(data: bytes, index: int) -> bytes:
        return data[132 + 12 + int.from_bytes(data[140:144], "little") :]

    folder = make_series(syntax=syntax, file_edit=headless)
    volume = open_volume(folder)
    assert np.array_equal(volume.array, body - 1024)
    seg = segmentation(volume, tmp_path / "seg.dcm")
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 6
