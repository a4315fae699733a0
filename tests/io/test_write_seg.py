"""DICOM Segmentation: through bytes and back, read by us and by highdicom, checked by dciodvfy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pydicom
import pytest

from osteon.data import Label, Mask, Patient, Series, SliceSource, Source, Study
from osteon.errors import GeometryMismatchError, InputError, OutputError, UnknownLabelError
from osteon.geometry import Grid
from osteon.io.dicom.derived import DerivedSeries, derived_uid, plain_text, read_source_headers
from osteon.io.dicom.read_back import read_segmentation
from osteon.io.dicom.seg import segment_number, write_segmentation
from osteon.labels import concept

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Source]
    Check = Callable[[Path], tuple[list[str], list[str]]]

BONE = Label(
    value=1,
    name="Bone, left leg",
    category=concept("anatomical_structure"),
    kind=concept("bone"),
    site=concept("lower_limb"),
    laterality=concept("left"),
    tracking_uid=derived_uid("test", "bone"),
)
REGION = Label(
    value=2,
    name="Affected region",
    category=concept("morphologically_abnormal"),
    kind=concept("neoplasm"),
    site=concept("femur"),
    colour=(200, 30, 40),
    tracking_uid=derived_uid("test", "region"),
)
ALGORITHM = ("osteon bone", "0.1.0")
COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "FrameOfReferenceUID",
)


def blocks(grid: Grid) -> Mask:
    """Asymmetric in every axis, so that any flip or turn shows; slices 0, 1 and the last hold nothing."""
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2:7, 5:31, 3:20] = 1
    array[3, 40:45, 30] = 1
    array[5:8, 33:41, 22:47] = 2
    return Mask(array=array, grid=grid, labels=(BONE, REGION), name="bone")


def write(path: Path, mask: Mask, source: Source, grid: Grid) -> Path:
    series = DerivedSeries(number=101, description="osteon bone")
    write_segmentation(path, mask, source=source, grid_of_source=grid, algorithm=ALGORITHM, series=series)
    return path


@pytest.mark.parametrize("kind", ["axial", "descending", "oblique", "mirrored"])
def test_the_same_mask_comes_back_and_the_file_is_valid(
    kind: str,
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    grid = dicom_grids[kind]
    source = make_ct_series(tmp_path / "ct", grid)
    mask = blocks(grid)
    path = write(tmp_path / "seg.dcm", mask, source, grid)

    back = read_segmentation(path, like=grid)
    np.testing.assert_array_equal(back.array, mask.array)
    assert [replace(label, colour=(0, 0, 0)) for label in back.labels] == [
        replace(label, colour=(0, 0, 0)) for label in mask.labels
    ]
    assert np.abs(np.subtract([b.colour for b in back.labels], [m.colour for m in mask.labels])).max() <= 2
    errors, warnings = dciodvfy(path)
    assert errors == []
    assert warnings == []

    dataset = pydicom.dcmread(path)
    assert dataset.NumberOfFrames == 5 + 3
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        index = round(float(grid.to_vox([float(v) for v in position])[0]))
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.slices[index].sop_instance_uid


@pytest.mark.parametrize("kind", ["axial", "descending", "oblique", "mirrored"])
def test_highdicom_finds_every_voxel_at_the_same_place_of_the_patient(
    kind: str,
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    grid = dicom_grids[kind]
    mask = blocks(grid)
    path = write(tmp_path / "seg.dcm", mask, make_ct_series(tmp_path / "ct", grid), grid)
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    for value in (1, 2):
        theirs = np.argwhere(volume.array == value) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        ours = grid.to_lps_mm(np.argwhere(mask.array == value))
        assert len(theirs) == len(ours)
        order = [np.lexsort(np.round(points, 2).T) for points in (theirs, ours)]
        np.testing.assert_allclose(theirs[order[0]], ours[order[1]], atol=2e-3)


def test_without_a_grid_the_smallest_one_that_holds_the_frames_is_made(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    grid = dicom_grids["descending"]
    mask = blocks(grid)
    back = read_segmentation(write(tmp_path / "seg.dcm", mask, make_ct_series(tmp_path / "ct", grid), grid))
    assert back.grid.same_as(Grid(shape=(6, 64, 48), affine=flipped(grid.crop((2, 0, 0), (8, 64, 48)))))
    np.testing.assert_array_equal(back.array, mask.array[2:8][::-1])


def flipped(grid: Grid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_lps_mm([grid.shape[0] - 1, 0, 0])
    affine[:3, 0] *= -1
    return affine


def test_patient_study_and_frame_of_reference_are_those_of_the_source(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    grid = dicom_grids["axial"]
    source = make_ct_series(
        tmp_path / "ct",
        grid,
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
        StudyDescription="Übersicht",
    )
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    path = tmp_path / "seg.dcm"
    series = DerivedSeries(
        101, "Knochen, links \u2013 µm", uid=derived_uid("a"), instance_uid=derived_uid("b"), moment=moment
    )
    write_segmentation(path, blocks(grid), source=source, grid_of_source=grid, algorithm=ALGORITHM, series=series)
    dataset, image = pydicom.dcmread(path), pydicom.dcmread(source.slices[0].path)
    for keyword in COPIED:
        assert dataset[keyword].value == image[keyword].value, keyword
    assert str(dataset.PatientName) == "Müller^Jörg"
    assert dataset.SeriesInstanceUID == derived_uid("a")
    assert dataset.SOPInstanceUID == derived_uid("b")
    assert dataset.SeriesDescription == "Knochen, links - um"
    assert (dataset.ContentDate, dataset.ContentTime) == ("20260304", "050607.000000")
    assert dataset.Manufacturer == "osteon"
    assert dataset.Modality == "SEG"
    assert {s.SegmentAlgorithmType for s in dataset.SegmentSequence} == {"AUTOMATIC"}
    assert [s.TrackingUID for s in dataset.SegmentSequence] == [BONE.tracking_uid, REGION.tracking_uid]
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == image.SeriesInstanceUID
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == grid.shape[0]
    assert dciodvfy(path)[0] == []


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (None, "Müller^Jörg"),  # undeclared, as many old scanners write it
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 192", "Šimić^Ана"),
        ("ISO_IR 100", "Eve_"),  # one component: highdicom would warn, and print the name
    ],
)
def test_a_name_in_any_character_set_survives(
    character_set: object,
    name: str,
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
    caplog: pytest.LogCaptureFixture,
) -> None:
    grid = dicom_grids["axial"]
    attributes = {"PatientName": name} | ({} if character_set is None else {"SpecificCharacterSet": character_set})
    if character_set is None:
        attributes["PatientName"] = name.encode("latin-1")
    path = write(tmp_path / "seg.dcm", blocks(grid), make_ct_series(tmp_path / "ct", grid, **attributes), grid)
    assert str(pydicom.dcmread(path).PatientName) == name
    assert name.split("^", maxsplit=1)[0] not in caplog.text
    assert dciodvfy(path)[0] == []


def test_headers_serve_several_objects_and_stay_as_they_were(
    tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make
) -> None:
    grid = dicom_grids["axial"]
    source = make_ct_series(tmp_path / "ct", grid, PatientName="Eve_")
    headers = read_source_headers(source)
    before = [image.to_json() for image in headers.images]
    paths = [tmp_path / "one.dcm", tmp_path / "two.dcm"]
    for number, path in enumerate(paths, start=1):  # a warning that names the patient would be an error here
        write_segmentation(
            path,
            blocks(grid),
            source=source,
            grid_of_source=grid,
            algorithm=("test", "1"),
            series=DerivedSeries(number=number, description="test"),
            headers=headers,
        )
    assert [image.to_json() for image in headers.images] == before
    assert [str(pydicom.dcmread(path).PatientName) for path in paths] == ["Eve_", "Eve_"]


def test_broken_source_values_are_left_empty_and_the_file_is_valid(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    grid = dicom_grids["axial"]
    with pydicom.config.disable_value_validation():
        source = make_ct_series(
            tmp_path / "ct",
            grid,
            PatientSex="W",
            PatientBirthDate="1980-02-03",
            PatientAge="40",
            StudyTime="10:11",
            AccessionNumber=None,
            StudyID=None,
            ReferringPhysicianName=None,
        )
    path = write(tmp_path / "seg.dcm", blocks(grid), source, grid)
    dataset = pydicom.dcmread(path)
    assert (dataset.PatientSex, dataset.PatientBirthDate, dataset.StudyTime) == ("", "", "")
    assert "PatientAge" not in dataset
    assert dataset.PatientID == "P-1"
    assert dciodvfy(path)[0] == []


def test_uids_that_stand_in_the_file_meta_only_are_found(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    """As in the TotalSegmentator example, whose de-identification emptied the data set."""
    grid = dicom_grids["axial"]
    source = make_ct_series(tmp_path / "ct", grid)
    for piece in source.slices:
        image = pydicom.dcmread(piece.path)
        image.SOPInstanceUID = ""
        pydicom.dcmwrite(piece.path, image)
    dataset = pydicom.dcmread(write(tmp_path / "seg.dcm", blocks(grid), source, grid))
    references = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert [item.ReferencedSOPInstanceUID for item in references] == [p.sop_instance_uid for p in source.slices]


def test_positions_rounded_by_the_scanner_still_refer_to_their_images(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    grid = dicom_grids["axial"]
    source = make_ct_series(tmp_path / "ct", grid)
    for index, piece in enumerate(source.slices):
        image = pydicom.dcmread(piece.path)
        image.ImagePositionPatient[2] += 0.004 * (-1) ** index
        image.save_as(piece.path)
    dataset = pydicom.dcmread(write(tmp_path / "seg.dcm", blocks(grid), source, grid))
    assert all("DerivationImageSequence" in frame for frame in dataset.PerFrameFunctionalGroupsSequence)
    np.testing.assert_array_equal(read_segmentation(tmp_path / "seg.dcm", like=grid).array, blocks(grid).array)


def test_a_mask_on_a_grid_of_its_own_keeps_its_geometry(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    source_grid, own = dicom_grids["axial"], dicom_grids["oblique"]
    source = make_ct_series(tmp_path / "ct", source_grid)
    path = write(tmp_path / "seg.dcm", blocks(own), source, source_grid)
    np.testing.assert_array_equal(read_segmentation(path, like=own).array, blocks(own).array)
    assert dciodvfy(path)[0] == []
    with pytest.raises(GeometryMismatchError, match="grid"):
        read_segmentation(path, like=source_grid)


def test_a_tilted_source_made_orthogonal_gets_frames_of_the_orthogonal_grid(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    """The files are sheared along the rows by 15 degrees, the Volume and its mask on the corrected grid."""
    grid = dicom_grids["axial"]
    source = make_ct_series(tmp_path / "ct", grid)
    for index, piece in enumerate(source.slices):
        image = pydicom.dcmread(piece.path)
        image.ImagePositionPatient[1] = round(float(image.ImagePositionPatient[1] + 0.67 * index), 4)
        image.GantryDetectorTilt = 15
        image.save_as(piece.path)
    path = write(tmp_path / "seg.dcm", blocks(grid), source, grid)
    np.testing.assert_array_equal(read_segmentation(path, like=grid).array, blocks(grid).array)
    dataset = pydicom.dcmread(path)
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == grid.shape[0]
    first = dataset.PerFrameFunctionalGroupsSequence[0]
    assert float(first.PlanePositionSequence[0].ImagePositionPatient[1]) == pytest.approx(-80.5)
    assert first.DerivationImageSequence[0].SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert dciodvfy(path)[0] == []


def test_an_enhanced_multi_frame_source_is_referred_to_by_frame(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    grid = dicom_grids["axial"]
    single = make_ct_series(tmp_path / "ct", grid)
    datasets = [pydicom.dcmread(piece.path) for piece in single.slices]
    enhanced = highdicom.legacy.LegacyConvertedEnhancedCTImage(datasets, derived_uid("s"), 9, derived_uid("i"), 1)
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path)
    slices = tuple(SliceSource(derived_uid("i"), path, frame=number + 1) for number in range(grid.shape[0]))
    source = replace(single, slices=slices)
    written = write(tmp_path / "seg.dcm", blocks(grid), source, grid)
    np.testing.assert_array_equal(read_segmentation(written, like=grid).array, blocks(grid).array)
    places = [
        frame.PlanePositionSequence[0].ImagePositionPatient for frame in enhanced.PerFrameFunctionalGroupsSequence
    ]
    frames = pydicom.dcmread(written).PerFrameFunctionalGroupsSequence
    assert len(frames) == 8
    for frame in frames:
        number = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        assert places[int(number) - 1] == frame.PlanePositionSequence[0].ImagePositionPatient
    assert dciodvfy(written)[0] == []


@pytest.mark.shared_data
def test_a_real_series_is_referred_to_and_the_file_is_valid(shared_data: Path, tmp_path: Path, dciodvfy: Check) -> None:
    """Ten slices of the ankle series; its patient name is of a form that highdicom doubts."""
    paths = sorted((shared_data / "vhf_ankle_ct_dicom").rglob("*.dcm"))
    tags = ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient"]
    headers = {path: pydicom.dcmread(path, specific_tags=tags) for path in paths}
    chosen = sorted(headers.items(), key=lambda item: float(item[1].ImagePositionPatient[2]))[60:70]
    first = chosen[0][1]
    grid = Grid.from_axes(
        shape=(10, 512, 512),
        spacing_mm=(1.0, 1.0, 1.0),
        origin_lps_mm=[float(v) for v in first.ImagePositionPatient],
    )
    source = Source(
        kind="dicom",
        location=shared_data,
        patient=Patient(),
        study=Study(uid=first.StudyInstanceUID),
        series=Series(uid=first.SeriesInstanceUID, modality="CT"),
        slices=tuple(SliceSource(str(header.SOPInstanceUID), path) for path, header in chosen),
    )
    path = write(tmp_path / "seg.dcm", blocks(grid), source, grid)
    np.testing.assert_array_equal(read_segmentation(path, like=grid).array, blocks(grid).array)
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    assert all("DerivationImageSequence" in frame for frame in frames)
    assert dciodvfy(path)[0] == []


@pytest.mark.parametrize("columns", [48, 45])
def test_frames_whose_bits_do_not_fill_bytes_are_read_right(columns: int, tmp_path: Path, make_ct_series: Make) -> None:
    grid = Grid.from_axes(shape=(9, 43, columns), spacing_mm=(1.0, 1.0, 1.0))
    array = np.random.default_rng(5).integers(0, 3, size=grid.shape, dtype=np.uint8)
    mask = Mask(array=array, grid=grid, labels=(BONE, REGION))
    path = write(tmp_path / "seg.dcm", mask, make_ct_series(tmp_path / "ct", grid), grid)
    np.testing.assert_array_equal(read_segmentation(path, like=grid).array, array)
    frames = pydicom.dcmread(path).pixel_array
    assert int(frames.sum()) == int((array > 0).sum())


def test_label_values_with_gaps_become_consecutive_segments(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    grid = dicom_grids["axial"]
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2:4], array[5] = 7, 200
    mask = Mask(array=array, grid=grid, labels=(replace(BONE, value=7), replace(REGION, value=200)))
    assert (segment_number(mask, 7), segment_number(mask, 200)) == (1, 2)
    back = read_segmentation(write(tmp_path / "s.dcm", mask, make_ct_series(tmp_path / "ct", grid), grid), like=grid)
    assert np.array_equal(back.of(1), array == 7)
    assert np.array_equal(back.of(2), array == 200)


def test_the_algorithm_says_its_family(tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make) -> None:
    grid = dicom_grids["axial"]
    write_segmentation(
        tmp_path / "seg.dcm",
        replace(blocks(grid), algorithm=concept("cluster_analysis")),
        source=make_ct_series(tmp_path / "ct", grid),
        grid_of_source=grid,
        algorithm=ALGORITHM,
        series=DerivedSeries(number=101, description="osteon bone"),
    )
    algorithm = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion, algorithm.AlgorithmSource) == (*ALGORITHM, "osteon")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Cluster Analysis"


def test_an_empty_mask_is_one_empty_frame_a_segment(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
    dciodvfy: Check,
) -> None:
    grid = dicom_grids["axial"]
    mask = Mask(array=np.zeros(grid.shape, dtype=np.uint8), grid=grid, labels=(BONE, REGION))
    path = write(tmp_path / "s.dcm", mask, make_ct_series(tmp_path / "ct", grid), grid)
    assert pydicom.dcmread(path).NumberOfFrames == 2
    assert not read_segmentation(path, like=grid).array.any()
    assert dciodvfy(path)[0] == []


def test_what_cannot_be_written_is_refused(
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> None:
    grid = dicom_grids["axial"]
    source = make_ct_series(tmp_path / "ct", grid)
    mask = blocks(grid)
    nifti = Source("nifti", tmp_path, Patient(), Study(uid=""), Series(uid="", modality="CT"))
    with pytest.raises(InputError, match="write the mask as NIfTI"):
        write(tmp_path / "s.dcm", mask, nifti, grid)
    with pytest.raises(UnknownLabelError, match=r"holds the values \[2\]"):
        write(tmp_path / "s.dcm", Mask(array=mask.array, grid=grid, labels=(BONE,)), source, grid)
    with pytest.raises(InputError, match="no label"):
        write(tmp_path / "s.dcm", Mask(array=mask.array, grid=grid, labels=()), source, grid)
    with pytest.raises(OutputError, match="can be written"):
        write(tmp_path / "not there" / "s.dcm", mask, source, grid)
    with pytest.raises(InputError, match="FrameOfReferenceUID"):
        write(tmp_path / "s.dcm", mask, make_ct_series(tmp_path / "other", grid, FrameOfReferenceUID=""), grid)
    source.slices[3].path.write_bytes(source.slices[4].path.read_bytes())
    with pytest.raises(InputError, match="another image"):
        write(tmp_path / "s.dcm", mask, source, grid)
    source.slices[3].path.unlink()
    with pytest.raises(InputError, match="must stay in place"):
        write(tmp_path / "s.dcm", mask, source, grid)
    assert not (tmp_path / "s.dcm").exists()


def test_reading_refuses_other_objects(tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make) -> None:
    image = make_ct_series(tmp_path / "ct", dicom_grids["axial"]).slices[0].path
    with pytest.raises(InputError, match="Segmentation"):
        read_segmentation(image)
    (tmp_path / "x.dcm").write_bytes(b"not DICOM")
    with pytest.raises(InputError, match=r"x\.dcm"):
        read_segmentation(tmp_path / "x.dcm")


def test_plain_text_keeps_what_ascii_can_say() -> None:
    assert plain_text("12 ± 3 mm³ ≥ 5 — Größe") == "12 +/- 3 mm3 >= 5 - Grosse"
