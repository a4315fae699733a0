"""RT Structure Sets that are written: the same voxels come back, each contour names its slice, dciodvfy agrees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as PlotPath
from numpy.typing import NDArray

from osteon.data import Label, Mask, Source, Volume
from osteon.errors import InputError
from osteon.geometry import Grid
from osteon.io import open_volume, read_mask_volume
from osteon.io.dicom.derived import DerivedSeries, derived_uid
from osteon.io.dicom.rtstruct import write_structure_set
from osteon.labels import concept

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Source]
    Check = Callable[[Path], tuple[list[str], list[str]]]

TUMOUR = Label(
    value=1, name="Tumour", category=concept("morphologically_abnormal"), kind=concept("neoplasm"), colour=(200, 30, 40)
)
BONE = Label(value=2, name="Bone", category=concept("anatomical_structure"), kind=concept("bone"))
ALGORITHM = ("osteon test", "0.1.0")


def shapes(grid: Grid) -> Mask:
    """A ring with an island, pieces that touch at a corner, a single voxel, the edge of the image; a gap in slices."""
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2:5, 10:30, 8:28] = 1
    array[2:5, 14:26, 12:24] = 0
    array[3, 18:21, 17:20] = 1
    array[7, 40, 30] = 1
    array[1, 0:4, 0:3] = array[1, 4:8, 3:6] = 1
    array[8, -3:, -2:] = 2
    array[6, 33:41, 22:47] = 2
    return Mask(array=array, grid=grid, labels=(TUMOUR, BONE), name="parts")


def write(path: Path, masks: list[Mask], volume: Volume, **given_to: Any) -> pydicom.Dataset:  # noqa: ANN401 - of the writer
    assert volume.source is not None
    pairs = [(mask, None if mask.is_drawn else ALGORITHM) for mask in masks]
    series = DerivedSeries(number=9004, description="osteon contours", **given_to)
    write_structure_set(path, pairs, source=volume.source, grid_of_source=volume.grid, series=series)
    return pydicom.dcmread(path)


def back(path: Path, volume: Volume, number: int) -> NDArray[np.bool_]:
    return read_mask_volume(path, like=volume.grid, labels=(number,), source=volume.source)


def opened(make: Make, folder: Path, grid: Grid, **attributes: object) -> Volume:
    values = np.arange(grid.shape[1] * grid.shape[2], dtype=np.int16).tobytes()
    make(folder, grid, PixelData=values, **attributes)
    return open_volume(folder)


@pytest.mark.parametrize("kind", ["axial", "descending", "oblique", "mirrored"])
def test_the_same_voxels_come_back_and_the_file_is_valid(
    kind: str, tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make, dciodvfy: Check
) -> None:
    volume = opened(make_ct_series, tmp_path / "ct", dicom_grids[kind])
    mask = shapes(volume.grid)
    dataset = write(tmp_path / "rt.dcm", [mask], volume)
    for value in (1, 2):
        assert np.array_equal(back(tmp_path / "rt.dcm", volume, value), mask.of(value))
    assert dciodvfy(tmp_path / "rt.dcm") == ([], [])
    assert volume.source is not None
    for drawn in dataset.ROIContourSequence:
        for contour in drawn.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            place = volume.grid.to_vox(points)
            index = round(float(place[0, 0]))
            assert np.abs(place[:, 0] - index).max() < 1e-3
            assert np.abs(place[:, 1:] * 2 - np.rint(place[:, 1:] * 2)).max() < 1e-3  # halfway between centres
            (image,) = contour.ContourImageSequence
            assert image.ReferencedSOPInstanceUID == volume.source.slices[index].sop_instance_uid


def test_what_it_says_of_itself_and_of_its_source(
    tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make, dciodvfy: Check
) -> None:
    volume = opened(
        make_ct_series,
        tmp_path / "ct",
        dicom_grids["oblique"],
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^J",
    )
    image = pydicom.dcmread(next((tmp_path / "ct").iterdir()))
    drawn = replace(shapes(volume.grid), is_drawn=True, name="drawn")
    empty = replace(shapes(volume.grid), array=np.zeros(volume.grid.shape, np.uint8), labels=(BONE,), name="empty")
    given_to = {"uid": derived_uid("a"), "instance_uid": derived_uid("b")}
    dataset = write(tmp_path / "rt.dcm", [shapes(volume.grid), drawn, empty], volume, **given_to)
    assert dciodvfy(tmp_path / "rt.dcm") == ([], [])
    assert str(dataset.PatientName) == "Müller^J"
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate", "AccessionNumber"):
        assert dataset[keyword].value == image[keyword].value
    assert (dataset.Modality, dataset.ApprovalStatus, dataset.SeriesNumber) == ("RTSTRUCT", "UNAPPROVED", 9004)
    assert (dataset.SeriesInstanceUID, dataset.SOPInstanceUID) == (derived_uid("a"), derived_uid("b"))
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == image.StudyInstanceUID
    assert series.SeriesInstanceUID == image.SeriesInstanceUID
    assert len(series.ContourImageSequence) == volume.grid.shape[0]
    rois = dataset.StructureSetROISequence
    assert [roi.ROIName for roi in rois] == ["Tumour", "Bone", "Tumour", "Bone", "Bone"]
    assert [roi.ROIGenerationAlgorithm for roi in rois] == ["AUTOMATIC", "AUTOMATIC", "MANUAL", "MANUAL", "AUTOMATIC"]
    assert rois[0].ROIGenerationDescription == "osteon test 0.1.0"
    litres = shapes(volume.grid).of(1).sum() * volume.grid.voxel_volume_mm3 / 1000
    assert float(rois[0].ROIVolume) == pytest.approx(litres, rel=1e-5)
    contours = dataset.ROIContourSequence
    assert [list(each.ROIDisplayColor) for each in contours[:2]] == [[200, 30, 40], [230, 220, 190]]
    kinds = [{str(one.ContourGeometricType) for one in each.get("ContourSequence", [])} for each in contours]
    assert kinds == [{"CLOSED_PLANAR"}] * 4 + [set()]
    observed = dataset.RTROIObservationsSequence
    assert [item.RTROIIdentificationCodeSequence[0].CodeValue for item in observed[:2]] == ["108369006", "272673000"]
    assert {item.RTROIInterpretedType for item in observed} == {""}


def test_matplotlib_finds_the_same_voxels(tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make) -> None:
    """A reader of its own: pydicom's numbers, matplotlib's polygons, exclusive or."""
    volume = opened(make_ct_series, tmp_path / "ct", dicom_grids["oblique"])
    mask = shapes(volume.grid)
    dataset = write(tmp_path / "rt.dcm", [mask], volume)
    row, column = np.meshgrid(*(np.arange(n) for n in volume.grid.shape[1:]), indexing="ij")
    _, down, right = volume.grid.directions
    for number, value in enumerate((1, 2)):
        found = np.zeros(volume.grid.shape, np.bool_)
        for contour in dataset.ROIContourSequence[number].ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            index = round(float(volume.grid.to_vox(points[0])[0]))
            centres = volume.grid.to_lps_mm(np.stack([np.full(row.shape, index), row, column], axis=-1))
            flat = np.stack([centres @ down, centres @ right], axis=-1).reshape(-1, 2)
            ring = PlotPath(np.stack([points @ down, points @ right], axis=-1))
            found[index] ^= ring.contains_points(flat).reshape(row.shape)
        assert np.array_equal(found, mask.of(value))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**9),
    angles=st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)),
    spacing=st.tuples(st.floats(0.6, 6.0), st.floats(0.2, 3.0), st.floats(0.2, 3.0)),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    density=st.floats(0.02, 0.9),
)
def test_random_blobs_on_random_oblique_grids_come_back(
    seed: int,
    angles: tuple[float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    density: float,
    tmp_path_factory: pytest.TempPathFactory,
    make_ct_series: Make,
) -> None:
    a, b = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    axes = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)], dtype=float) @ (about_x @ about_y).T
    grid = Grid.from_axes(shape=(4, 13, 11), spacing_mm=spacing, directions=axes, origin_lps_mm=origin)
    folder = tmp_path_factory.mktemp("blobs")
    volume = opened(make_ct_series, folder / "ct", grid)
    generator = np.random.default_rng(seed)
    array = (generator.random(volume.grid.shape) < density).astype(np.uint8)
    array *= generator.integers(1, 3, array.shape, dtype=np.uint8)
    mask = Mask(array=array, grid=volume.grid, labels=(TUMOUR, BONE), name="blobs")
    write(folder / "rt.dcm", [mask], volume)
    for value in (1, 2):
        if mask.of(value).any():
            assert np.array_equal(back(folder / "rt.dcm", volume, value), mask.of(value))


def test_a_tilted_and_a_multi_frame_source_are_referred_to(
    tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make, dciodvfy: Check
) -> None:
    grid = dicom_grids["axial"]
    values = np.arange(grid.shape[1] * grid.shape[2], dtype=np.int16).tobytes()
    single = make_ct_series(tmp_path / "tilted", grid, PixelData=values)
    datasets = [pydicom.dcmread(piece.path) for piece in single.slices]
    for index, image in enumerate(datasets):
        image.ImagePositionPatient[1] = round(float(image.ImagePositionPatient[1] + 0.67 * index), 4)
        image.save_as(single.slices[index].path)
    tilted = open_volume(tmp_path / "tilted")
    mask = shapes(tilted.grid)
    write(tmp_path / "rt.dcm", [mask], tilted)
    assert np.array_equal(back(tmp_path / "rt.dcm", tilted, 1), mask.of(1))

    whole = opened(make_ct_series, tmp_path / "ct", grid)
    assert whole.source is not None
    datasets = [pydicom.dcmread(piece.path) for piece in whole.source.slices]
    (tmp_path / "multi").mkdir()
    enhanced = highdicom.legacy.LegacyConvertedEnhancedCTImage(datasets, derived_uid("s"), 9, derived_uid("i"), 1)
    enhanced.save_as(tmp_path / "multi" / "a.dcm")
    volume = open_volume(tmp_path / "multi")
    mask = shapes(volume.grid)
    dataset = write(tmp_path / "multi.dcm", [mask], volume)
    assert np.array_equal(back(tmp_path / "multi.dcm", volume, 1), mask.of(1))
    assert dciodvfy(tmp_path / "multi.dcm")[0] == []
    assert volume.source is not None
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        index = round(float(volume.grid.to_vox([float(v) for v in contour.ContourData[:3]])[0]))
        assert contour.ContourImageSequence[0].ReferencedFrameNumber == volume.source.slices[index].frame


def test_slices_that_were_interpolated_refer_to_no_image(
    tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make
) -> None:
    volume = opened(make_ct_series, tmp_path / "ct", dicom_grids["axial"])
    finer = Grid(shape=(17, *volume.grid.shape[1:]), affine=volume.grid.affine @ np.diag([0.5, 1, 1, 1]))
    array = np.zeros(finer.shape, np.uint8)
    array[3:5, 5:9, 6:11] = 1
    mask = Mask(array=array, grid=finer, labels=(TUMOUR,), name="finer")
    dataset = write(tmp_path / "rt.dcm", [mask], volume)
    named = ["ContourImageSequence" in each for each in dataset.ROIContourSequence[0].ContourSequence]
    assert named == [False, True]


def test_what_would_not_come_back_is_not_written(
    tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = opened(make_ct_series, tmp_path / "ct", dicom_grids["axial"])
    with pytest.raises(InputError, match="needs at least one ROI"):
        write(tmp_path / "rt.dcm", [replace(shapes(volume.grid), labels=())], volume)
    monkeypatch.setattr("osteon.io.dicom.rtstruct._decimal", lambda value, _: f"{value:.0f}")
    with pytest.raises(InputError, match=r"would not give the voxels of the mask parts|is on slice|are not on slices"):
        write(tmp_path / "rt.dcm", [shapes(volume.grid)], volume)
    assert not (tmp_path / "rt.dcm").exists()


@pytest.mark.shared_data
def test_a_real_tumour_is_written_and_read_again(shared_data: Path, tmp_path: Path, dciodvfy: Check) -> None:
    folder = shared_data / "sarcoma_mr_dicom" / "STS_001_thigh_T1"
    volume = open_volume(folder, modality="MR")
    theirs = folder / "RTSTRUCT_1-1.dcm"
    mass, edema = (read_mask_volume(theirs, like=volume.grid, labels=(n,), source=volume.source) for n in (1, 2))
    masks = [
        Mask(array=each.astype(np.uint8), grid=volume.grid, labels=(TUMOUR,), name=name, is_drawn=True)
        for name, each in (("mass", mass), ("edema", edema))
    ]
    write(tmp_path / "rt.dcm", masks, volume)
    assert np.array_equal(back(tmp_path / "rt.dcm", volume, 1), mass)
    assert np.array_equal(back(tmp_path / "rt.dcm", volume, 2), edema)
    assert dciodvfy(tmp_path / "rt.dcm")[0] == []
