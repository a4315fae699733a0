"""CT series with masks from NIfTI, DICOM SEG and RTSTRUCT: on the series' own grid or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.data import Label, Mask, Patient, Volume
from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import Grid
from osteon.io import find_images, open_volume, read_mask_volume
from osteon.io.dicom.derived import DerivedSeries
from osteon.io.dicom.seg import write_segmentation
from osteon.io.dicom.write_series import CtSeriesInfo, write_ct_series
from osteon.io.nifti import write_mask_nifti
from osteon.labels import concept
from osteon.systems.ct_metastasis.dataset import MaskedSeries, TrunkOptions, build_masked, open_masked, read_masks
from tests.structure_sets import on_slice, saved, square, structure_set

OPTIONS = TrunkOptions(size=32, pixel_mm=2.0, lesion_slices=None, normal_slices=None)
GRID = Grid.from_axes(shape=(8, 24, 20), spacing_mm=(4.0, 2.0, 2.0), origin_lps_mm=(3.0, -7.0, 50.0))


def label(value: int) -> Label:
    return Label(value, f"part {value}", concept("anatomical_structure"), concept("bone"))


@dataclass(frozen=True)
class Source:
    """A series as DICOM and as NIfTI, and what is marked in it."""

    folder: Path
    bone: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    volume: Volume


def _save(path: Path, array: NDArray[np.generic], grid: Grid = GRID) -> Path:
    """As other programs write NIfTI: any type, no table of labels."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("archive")
    hu = np.random.default_rng(1).integers(-1000, 300, GRID.shape).astype(np.int16)
    bone = np.zeros(GRID.shape, bool)
    bone[:, 6:20, 4:16] = True
    lesion = np.zeros(GRID.shape, bool)
    lesion[2:5, 8:14, 6:12] = True
    hu[bone] = 600
    volume = Volume(hu, GRID, "CT", "HU")
    write_ct_series(
        volume, folder / "dicom", patient=Patient(identifier="x", sex="M"), info=CtSeriesInfo(uid_seed="trunk")
    )
    _save(folder / "ct.nii.gz", hu)
    _save(folder / "bone.nii.gz", bone.astype(np.uint8))
    _save(folder / "lesion.nii.gz", lesion.astype(np.uint8) * 255)
    return Source(folder, bone, lesion, volume)


def _seg(source: Source, path: Path, *arrays: NDArray[np.bool_]) -> Path:
    """A segment for each array; they may not overlap."""
    found = open_volume(source.folder / "dicom")
    values = np.zeros(GRID.shape, np.uint8)
    for value, array in enumerate(arrays, start=1):
        values[array] = value
    mask = Mask(values, found.grid, tuple(label(value) for value in range(1, len(arrays) + 1)))
    assert found.source is not None
    write_segmentation(
        path,
        mask,
        source=found.source,
        grid_of_source=found.grid,
        algorithm=("test", "1"),
        series=DerivedSeries(uid="1.2.3", number=2, description="masks"),
    )
    return path


def _table(source: Source, text: str, name: str = "masks.csv") -> Path:
    path = source.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_nifti_and_seg_give_the_same_pictures(source: Source, tmp_path: Path) -> None:
    _seg(source, source.folder / "marks.dcm", source.lesion, source.bone & ~source.lesion)
    header = "series,patient,lesion_mask,bone_mask,lesion_labels,bone_labels,sex\n"
    table = _table(source, f"{header}ct,A,lesion.nii.gz,bone.nii.gz,,,F\ndicom,B,marks.dcm,marks.dcm,1,1 2,\n")
    made = build_masked(source.folder, table, tmp_path / "set", OPTIONS)
    built = made.built
    assert (built.skipped, made.lines) == ((), ("source   CT series with masks",))
    rows = built.manifest.rows
    assert built.manifest.patients == ("A", "B")
    assert {row.sex for row in rows if row.patient == "B"} == {"M"}
    for a, b in zip(rows[:8], rows[8:], strict=True):
        assert (a.label, a.extra["lesion_pixels"]) == (b.label, b.extra["lesion_pixels"])
        assert a.label == ("metastasis" if 2 <= int(a.extra["slice"]) < 5 else "normal")
        for name in ("image", "bone_mask", "lesion_mask"):
            one, two = (built.manifest.folder / getattr(row, name) for row in (a, b))
            assert one.read_bytes() == two.read_bytes()
    assert "trunk" not in (tmp_path / "set" / "manifest.csv").read_text("utf-8")
    again = build_masked(source.folder, table, tmp_path / "set", OPTIONS).built
    assert again.made == 0
    _save(source.folder / "lesion.nii.gz", source.lesion.astype(np.uint8))
    changed = build_masked(source.folder, table, tmp_path / "set", OPTIONS).built
    assert changed.made == 1


def test_a_healthy_series_and_one_without_bone(source: Source, tmp_path: Path) -> None:
    table = _table(source, "series,patient,label,bone_mask\nct,A,normal,bone.nii.gz\ndicom,B,normal,\n")
    built = build_masked(source.folder, table, tmp_path / "set", OPTIONS).built
    assert {row.label for row in built.manifest.rows} == {"normal"}
    assert [(item.name, "bone is not marked" in item.reason) for item in built.skipped] == [("B-1", True)]
    both = build_masked(source.folder, table, tmp_path / "all", replace(OPTIONS, need_bone=False)).built
    assert {row.patient for row in both.manifest.rows if not row.bone_mask} == {"B"}


def test_series_that_do_not_fit_their_masks_are_left_out_by_name(source: Source, tmp_path: Path) -> None:
    nan = source.volume.array.astype(np.float32)
    nan[1, 1, 1] = np.nan
    _save(source.folder / "nan.nii.gz", nan)
    _save(source.folder / "five.nii.gz", source.lesion.astype(np.uint8) * 5)
    data = (source.folder / "bone.nii.gz").read_bytes()
    (source.folder / "half.nii.gz").write_bytes(data[: len(data) // 2])
    header = "series,patient,lesion_mask,bone_mask\n"
    reasons = {}
    for series, lesion, bone in [
        ("ct", "lesion.nii.gz", "bone.nii.gz"),
        ("nan", "lesion.nii.gz", "bone.nii.gz"),
        ("dicom", "five.nii.gz", "bone.nii.gz"),
    ]:
        text = f"{header}ct,A,lesion.nii.gz,bone.nii.gz\n" * (series != "ct") or header
        table = _table(source, f"{text}{series},B,{lesion},{bone}\n")
        built = build_masked(source.folder, table, tmp_path / series, OPTIONS).built
        reasons[series] = [item.reason for item in built.skipped]
    assert reasons["ct"] == []
    assert "NaN" in reasons["nan"][0]
    assert "holds the values 0, 5: a mask holds 0 and 1" in reasons["dicom"][0]
    with pytest.raises(InputError, match="damaged or truncated"):
        build_masked(
            source.folder, _table(source, f"{header}ct,A,half.nii.gz,bone.nii.gz\n"), tmp_path / "half", OPTIONS
        )
    with pytest.raises(InputError, match=r"there is no mask gone\.nii"):
        build_masked(source.folder, _table(source, f"{header}ct,A,gone.nii,\n"), tmp_path / "gone", OPTIONS)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_mask_stored_in_another_order_is_brought_to_the_image_exactly(
    source: Source, tmp_path: Path, order: tuple[int, int, int]
) -> None:
    """Axes permuted and reversed in the file: the same voxels at the same places."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine[:, [2, 1, 0, 3]]
    data = source.lesion.astype(np.uint8).transpose(2, 1, 0)
    image = nibabel.Nifti1Image(data, affine)
    flipped = image.as_reoriented(np.array([(place, -1) for place in order]))
    nibabel.save(flipped, tmp_path / "mask.nii")
    assert np.array_equal(read_mask_volume(tmp_path / "mask.nii", like=GRID), source.lesion)


def test_masks_of_another_grid_are_refused(source: Source, tmp_path: Path) -> None:
    shifted = Grid.from_axes(shape=GRID.shape, spacing_mm=GRID.spacing_mm, origin_lps_mm=(4.0, -7.0, 50.0))
    finer = Grid.from_axes(shape=GRID.shape, spacing_mm=(4.0, 2.0, 1.9), origin_lps_mm=(3.0, -7.0, 50.0))
    for number, grid in enumerate((shifted, finer)):
        path = _save(tmp_path / f"{number}.nii", source.lesion.astype(np.uint8), grid)
        with pytest.raises(GeometryMismatchError, match=r"must be on one grid.*resample it to the CT first"):
            read_mask_volume(path, like=GRID)
    short = _save(tmp_path / "s.nii", source.lesion[:5].astype(np.uint8), GRID.crop((0, 0, 0), (5, 24, 20)))
    with pytest.raises(GeometryMismatchError, match="must be on one grid"):
        read_mask_volume(short, like=GRID)
    seg = _seg(source, tmp_path / "seg.dcm", source.lesion)
    with pytest.raises(GeometryMismatchError):
        read_mask_volume(seg, like=finer)


def test_labels_say_what_counts_and_odd_values_are_refused(source: Source, tmp_path: Path) -> None:
    many = source.bone.astype(np.uint8) * 2
    many[source.lesion] = 7
    path = _save(tmp_path / "m.nii", many)
    assert np.array_equal(read_mask_volume(path, like=GRID, labels=(7,)), source.lesion)
    assert np.array_equal(read_mask_volume(path, like=GRID, labels=(2, 7)), source.bone | source.lesion)
    assert np.array_equal(read_mask_volume(path, like=GRID, labels=()), source.bone | source.lesion)
    ours = tmp_path / "ours.nii.gz"
    write_mask_nifti(ours, Mask(source.lesion.astype(np.uint8), GRID, (label(1),)))
    assert np.array_equal(read_mask_volume(ours, like=GRID), source.lesion)
    empty = _save(tmp_path / "e.nii", np.zeros(GRID.shape, np.uint8))
    assert not read_mask_volume(empty, like=GRID).any()
    for name, values in {"half": many * np.float32(0.5), "minus": -many.astype(np.int16)}.items():
        with pytest.raises(InputError, match="not labels"):
            read_mask_volume(_save(tmp_path / f"{name}.nii", values), like=GRID, labels=(1,))
    with pytest.raises(InputError, match="NaN"):
        read_mask_volume(_save(tmp_path / "n.nii", np.where(source.lesion, np.nan, 0).astype(np.float32)), like=GRID)


def test_contours_are_masks_and_gaps_between_them_are_refused(source: Source, tmp_path: Path) -> None:
    volume = open_volume(source.folder / "dicom")
    corners = square(7.5, 5.5, 13.5, 11.5)
    for name, slices in {"whole": (2, 3, 4), "gap": (2, 4)}.items():
        drawn = [on_slice(volume.grid, index, corners, source=volume.source) for index in slices]
        saved(tmp_path / f"{name}.dcm", structure_set({"GTV": drawn, "other": drawn[:1]}, frame_of_reference=""))
    with find_images(source.folder / "dicom") as found:
        (entry,) = found.entries
        item = MaskedSeries("dicom", {}, tmp_path / "whole.dcm", None, lesion_labels=(1,))
        assert np.array_equal(open_masked(entry, item).lesion, source.lesion)
        with pytest.raises(InputError, match="no contour is drawn on slice 4"):
            open_masked(entry, replace(item, lesion=tmp_path / "gap.dcm"))
        with pytest.raises(InputError, match=r"several ROIs with contours.*1 GTV, 2 other"):
            open_masked(entry, replace(item, lesion_labels=None))


def test_segments_are_taken_by_number_and_broken_files_are_reported(source: Source, tmp_path: Path) -> None:
    path = _seg(source, tmp_path / "seg.dcm", source.lesion, source.bone & ~source.lesion)
    grid = open_volume(source.folder / "dicom").grid
    assert np.array_equal(read_mask_volume(path, like=grid, labels=(1,)), source.lesion)
    assert np.array_equal(read_mask_volume(path, like=grid), source.bone)
    with pytest.raises(InputError, match=r"has no segment 3: it has 1 part 1, 2 part 2"):
        read_mask_volume(path, like=grid, labels=(3,))
    assert np.array_equal(read_mask_volume(path, like=grid, labels=("part 1",)), source.lesion)
    data = path.read_bytes()
    for name, content in {"short.dcm": data[: len(data) - 400], "text.dcm": b"no DICOM"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_mask_volume(tmp_path / name, like=grid)
    ct = next((source.folder / "dicom").iterdir())
    with pytest.raises(InputError, match="asked for a DICOM Segmentation"):
        read_mask_volume(ct, like=grid)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,lesion_mask\na,b\n", "no column 'series'"),
        ("series,patient,lesions\na,b,c\n", "a column 'lesions': did you mean"),
        ("series,patient,lesion_mask\n", "has no rows"),
        ("series,patient,lesion_mask\nct,,l.nii\n", "row 1 lacks its series or patient"),
        ("series,patient,lesion_mask\nct,A,\n", "row 1 must have either a lesion_mask or the label normal"),
        ("series,patient,lesion_mask,label\nct,A,l.nii,normal\n", "row 1 must have either"),
        ("series,patient,lesion_mask,label\nct,A,l.nii,tumour\n", "row 1 has the label 'tumour'"),
        ("series,patient,lesion_mask,bone_mask\nct,A,l.nii,l.nii\n", "row 1 names one file for lesions and bone"),
        ("series,patient,lesion_mask,lesion_labels\nct,A,l.nii,one\n", "row 1 has the lesion_labels 'one'"),
        ("series,patient,lesion_mask,lesion_labels\nct,A,l.nii,0 1\n", "row 1 has the lesion_labels '0 1'"),
        ("series,patient,lesion_mask,sex\nct,A,l.nii,x\n", "row 1 has the sex 'x'"),
    ],
)
def test_a_slip_in_the_table_is_named_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "masks.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_masks(path)


def test_labels_are_numbers_or_all(tmp_path: Path) -> None:
    path = tmp_path / "masks.csv"
    header = "series,patient,lesion_mask,lesion_labels,bone_mask,bone_labels\n"
    path.write_text(f"{header}ct,A,l.nii,all,b.nii,3 1 3\nmr,B,l.nii,,b.nii,2\n", encoding="utf-8")
    first, second = read_masks(path)
    assert (first.lesion_labels, first.bone_labels) == ((), (1, 3))
    assert (second.lesion_labels, second.bone_labels) == (None, (2,))
    assert first.lesion == tmp_path / "l.nii"


def test_a_series_named_twice_or_not_there_is_refused(source: Source, tmp_path: Path) -> None:
    header = "series,patient,lesion_mask\n"
    for rows, said in (
        ("ct,A,l.nii\nct,B,l.nii\n", "names a series twice"),
        ("cta,A,l.nii\n", "no series 'cta' there"),
    ):
        with pytest.raises(InputError, match=said):
            build_masked(source.folder, _table(source, header + rows), tmp_path / "set", OPTIONS)
    assert not (tmp_path / "set").exists()
