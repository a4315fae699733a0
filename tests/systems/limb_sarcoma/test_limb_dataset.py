"""Slices of limbs on the grid of the scan, cut by margins drawn once; what does not fit is left out by name."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.data import Manifest, Patient, Volume
from osteon.data.system import MadeDataset
from osteon.errors import InputError
from osteon.geometry import Grid
from osteon.io import open_volume
from osteon.io.dicom.write_series import CtSeriesInfo, write_ct_series
from osteon.io.image import read_image, read_mask_image
from osteon.systems.limb_sarcoma.dataset import make_dataset, outlined_beside, read_outlined
from osteon.systems.limb_sarcoma.margins import MARGINS_NAME, SIDES, Margins, cut_box, tumour_box
from osteon.systems.limb_sarcoma.options import DatasetOptions
from osteon.systems.limb_sarcoma.prepare import PIXEL_MM, SLICE_MM, prepare_limb
from osteon.systems.limb_sarcoma.recipe import SEGMENTER
from osteon.train.views import known_views, neighbour_rows
from tests.structure_sets import on_slice, saved, square, structure_set

SHAPE = (24, 60, 70)
SPACING_MM = (SLICE_MM, PIXEL_MM, PIXEL_MM)
TUMOUR = (slice(8, 14), slice(25, 40), slice(20, 32))


def grid(shape: tuple[int, int, int] = SHAPE, spacing_mm: tuple[float, float, float] = SPACING_MM) -> Grid:
    return Grid.from_axes(shape=shape, spacing_mm=spacing_mm, origin_lps_mm=(3.0, -7.0, 50.0))


def leg(modality: str = "mr", *, seed: int = 1, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.int16]:
    """A cylinder of muscle in a coat of fat in air, with noise; the same in MR values or in HU."""
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    across = np.hypot(rows - shape[1] / 2, columns - shape[2] / 2) / (min(shape[1:]) / 2)
    air, fat, muscle = (0, 1000, 300) if modality == "mr" else (-1000, -100, 55)
    plane = np.where(across < 0.7, muscle, np.where(across < 0.95, fat, air))
    noise = np.random.default_rng(seed).normal(0, 6, shape)
    return np.maximum(np.rint(plane + noise), air).astype(np.int16)


def mask(where: tuple[slice, slice, slice] = TUMOUR, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    found = np.zeros(shape, dtype=np.uint8)
    found[where] = 1
    return found


def save(path: Path, array: NDArray[np.generic], where: Grid | None = None) -> Path:
    """As other programs write NIfTI."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ (where or grid()).affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return path


def pair(folder: Path, name: str, array: NDArray[np.generic], outline: NDArray[np.uint8]) -> None:
    folder.mkdir(exist_ok=True)
    save(folder / f"{name}.nii.gz", array)
    save(folder / f"{name}_mask.nii.gz", outline)


def made(source: Path, out: Path, options: DatasetOptions | None = None) -> MadeDataset:
    return make_dataset(source, out, options or DatasetOptions(), 1, lambda *_: None)


def reasons(found: MadeDataset) -> dict[str, str]:
    return {item.name: item.reason for item in found.built.skipped}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for number in (1, 2):
        pair(folder, f"P{number}_MR_T1", leg(seed=number), mask())
        pair(folder, f"P{number}_CT", leg("ct", seed=number), mask())
    (folder / "patients.csv").write_text("patient,sex,histology\nP1,F,Liposarcoma\nP2,,MFH\n")
    return folder


def test_pictures_are_the_scan_within_its_margins(source: Path, tmp_path: Path) -> None:
    found = made(source, tmp_path / "out")
    manifest, margins = found.built.manifest, Margins.read(tmp_path / "out" / MARGINS_NAME)
    assert not found.built.skipped
    assert set(manifest.patients) == {"P1", "P2"}
    grey = prepare_limb(Volume(leg(seed=1), grid(), "MR"), "mr").grey
    box = tumour_box(mask() > 0)
    cut = cut_box(box, margins.of["P1"], spacing_mm=SPACING_MM, shape=SHAPE)
    rows = [row for row in manifest.rows if row.patient == "P1"]
    assert [int(row.extra["slice"]) for row in rows] == list(range(*cut[0]))
    views = known_views(replace(manifest, rows=tuple(rows)))
    assert views is not None
    for row, view in zip(rows, views, strict=True):
        index = int(row.extra["slice"])
        top, bottom, left, right = np.rint(view * 160).astype(int)
        picture = np.rint(read_image(tmp_path / "out" / row.image)[top:bottom, left:right] * 255)
        outline = read_mask_image(tmp_path / "out" / row.lesion_mask, shape=(160, 160))
        part = index, slice(*cut[1]), slice(*cut[2])
        assert np.array_equal(picture, grey[part])
        assert np.array_equal(outline[top:bottom, left:right], mask()[part] > 0)
        assert outline.sum() == mask()[index].sum()  # nothing of the tumour is outside the view
        assert row.label == ("tumour" if outline.any() else "normal")
    assert (rows[0].sex, rows[0].extra["histology"], rows[0].extra["modality"]) == ("F", "Liposarcoma", "mr")
    assert neighbour_rows(manifest, 1).shape == (len(manifest), 3)


def test_margins_are_drawn_once_and_are_the_same_for_every_modality(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path / "mr")
    made(source, tmp_path / "ct", DatasetOptions(modality="ct"))
    one, two = ((tmp_path / name / MARGINS_NAME).read_bytes() for name in ("mr", "ct"))
    assert one == two
    drawn = json.loads(one)["margins_mm"]
    assert list(drawn["P1"]) == list(SIDES)
    assert drawn["P1"] != drawn["P2"]
    made(source, tmp_path / "other", DatasetOptions(seed=2))
    assert json.loads((tmp_path / "other" / MARGINS_NAME).read_bytes())["margins_mm"]["P1"] != drawn["P1"]
    # a file of margins is taken as it is
    again = made(source, tmp_path / "again", DatasetOptions(seed=2, margins=tmp_path / "mr" / MARGINS_NAME))
    assert (tmp_path / "again" / MARGINS_NAME).read_bytes() == one
    assert again.built.manifest.sha256 == made(source, tmp_path / "mr").built.manifest.sha256


def test_both_modalities_of_a_patient_are_in_one_data_set(source: Path, tmp_path: Path) -> None:
    both = made(source, tmp_path / "both", DatasetOptions(modality="both")).built.manifest
    alone = [made(source, tmp_path / kind, DatasetOptions(modality=kind)).built.manifest for kind in ("mr", "ct")]
    assert both.patients == alone[0].patients
    assert Counter(row.extra["modality"] for row in both.rows) == {"mr": len(alone[0]), "ct": len(alone[1])}
    kept = {(row.patient, row.extra["modality"], row.extra["slice"]): row for row in both.rows}
    for row in (row for manifest in alone for row in manifest.rows):
        same = kept[row.patient, row.extra["modality"], row.extra["slice"]]
        assert same.extra == row.extra
        assert (tmp_path / "both" / same.image).read_bytes() == (
            tmp_path / row.extra["modality"] / row.image
        ).read_bytes()
    told = both_words(both)
    assert "MR: the square root" in told
    assert "CT: -160 to 240 HU" in told


def both_words(manifest: Manifest) -> str:
    return SEGMENTER.card_input(SEGMENTER.settings(), manifest).preprocessing.description


def test_a_series_that_nothing_calls_mr_or_ct_is_refused_where_both_are_wanted(source: Path, tmp_path: Path) -> None:
    table = source / "masks.csv"
    table.write_text("series,patient,tumour_mask\nP1_CT.nii.gz,P1,P1_CT_mask.nii.gz\n")
    with pytest.raises(InputError, match="neither its file nor its name says MR or CT"):
        made(source, tmp_path / "out", DatasetOptions(modality="both", masks=table))


def test_drawn_margins_are_spread_evenly_over_their_range() -> None:
    drawn = np.array(list(Margins.drawn(map(str, range(500)), largest_mm=50, seed=3).of.values()))
    assert drawn.min() >= 0
    assert drawn.max() <= 50
    np.testing.assert_allclose(drawn.mean(axis=0), 25, atol=2)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(6)).max() < 0.15


def test_whole_stacks_are_not_cut(source: Path, tmp_path: Path) -> None:
    found = made(source, tmp_path / "out", DatasetOptions(whole=True))
    assert len(found.built.manifest) == 2 * SHAPE[0]
    assert not (tmp_path / "out" / MARGINS_NAME).exists()
    views = known_views(found.built.manifest)
    assert views is not None
    np.testing.assert_allclose(np.unique(views, axis=0) * 160, [[50, 110, 45, 115]], atol=1e-3)


def test_a_run_that_was_stopped_goes_on_and_other_margins_make_other_pictures(source: Path, tmp_path: Path) -> None:
    first = made(source, tmp_path / "out")
    assert (first.built.made, made(source, tmp_path / "out").built.made) == (2, 0)
    other = made(source, tmp_path / "out", DatasetOptions(seed=9))
    assert other.built.made == 2
    there = {path.name for path in (tmp_path / "out" / "images").iterdir()}
    assert there == {Path(row.image).name for row in other.built.manifest.rows}


def test_a_finer_scan_becomes_slices_of_one_distance_and_pixels_of_one_size(tmp_path: Path) -> None:
    shape, fine = (48, 120, 140), (SLICE_MM / 2, PIXEL_MM / 2, PIXEL_MM / 2)
    outline = np.zeros(shape, dtype=np.uint8)
    outline[16:28, 50:80, 40:64] = 1
    (tmp_path / "source").mkdir()
    save(tmp_path / "source/P1_MR.nii.gz", leg(shape=shape), grid(shape, fine))
    save(tmp_path / "source/P1_MR_mask.nii.gz", outline, grid(shape, fine))
    found = made(tmp_path / "source", tmp_path / "out").built
    pixels = sum(int(row.extra["lesion_pixels"]) for row in found.manifest.rows)
    volume_mm3 = outline.sum() * np.prod(fine)
    assert pixels * np.prod(SPACING_MM) == pytest.approx(volume_mm3, rel=0.1)
    assert {row.extra["slice_mm"] for row in found.manifest.rows} == {"3.2700"}


def test_the_brightness_of_an_mr_does_not_matter() -> None:
    values = leg()
    one, two = (prepare_limb(Volume(each, grid(), "MR"), "mr").grey for each in (values, values * np.int16(7)))
    assert np.abs(one.astype(int) - two).max() <= 1
    fat, muscle = (np.median(one[np.abs(values - value) < 40]) for value in (1000, 300))
    assert fat == pytest.approx(255 * np.sqrt(0.75), abs=4)
    assert muscle == pytest.approx(fat * np.sqrt(0.3), abs=4)


def test_a_bright_coil_and_slices_of_air_do_not_change_the_grey_of_muscle() -> None:
    values = leg()
    shaded = values.copy()
    shaded[:5] *= 3  # near the coil
    shaded[20:] = 0
    one, two = (prepare_limb(Volume(each, grid(), "MR"), "mr").grey for each in (values, shaded))
    assert np.abs(one[5:20].astype(int) - two[5:20]).max() <= 1


def test_series_that_do_not_fit_are_left_out_by_name(source: Path, tmp_path: Path) -> None:
    pair(source, "P3_MR", leg(), mask() * 0)
    save(source / "P4_MR.nii.gz", leg())
    save(source / "P4_MR_mask.nii.gz", mask(shape=(24, 60, 71)), grid((24, 60, 71)))
    save(source / "P5_MR_mask.nii.gz", mask())
    save(source / "odd_mask.nii.gz", mask())
    pair(source, "P6_MR", leg() * 0 + np.eye(60, 70, dtype=np.int16), mask())
    pair(source, "P7_MR", leg(), mask() * 2)
    found = reasons(made(source, tmp_path / "out"))
    assert set(found) == {"P3-1-mr", "P4-1-mr", "P5_MR_mask.nii.gz", "odd_mask.nii.gz", "P6-1-mr", "P7-1-mr"}
    assert "its mask is empty" in found["P3-1-mr"]
    assert "(24, 60, 71)" in found["P4-1-mr"] or "24 x 60 x 71" in found["P4-1-mr"]
    assert "no volume P5_MR.nii.gz" in found["P5_MR_mask.nii.gz"]
    assert "fewer than 2 %" in found["P6-1-mr"]
    assert "a mask holds 0 and 1" in found["P7-1-mr"]


def test_a_picture_that_is_too_small_says_which_size_fits(source: Path, tmp_path: Path) -> None:
    pair(source, "P3_MR", leg(), mask((slice(8, 14), slice(2, 58), slice(20, 32))))
    found = made(source, tmp_path / "out", DatasetOptions(size=48, margin=5))
    assert set(reasons(found)) == {"P3-1-mr"}
    assert "--size 64" in reasons(found)["P3-1-mr"]
    assert not made(source, tmp_path / "more", DatasetOptions(size=64, margin=5)).built.skipped


def test_a_ct_that_is_not_in_hu_is_left_out(source: Path, tmp_path: Path) -> None:
    grey = ((leg("ct").astype(np.float32) + 1000) / 4).clip(0, 255).astype(np.int16)
    pair(source, "P3_CT", grey, mask())
    found = reasons(made(source, tmp_path / "out", DatasetOptions(modality="ct")))
    assert set(found) == {"P3-1-ct"}
    assert "Hounsfield" in found["P3-1-ct"]


def test_bone_is_outlined_on_ct_and_not_on_mr(source: Path, tmp_path: Path) -> None:
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    radius_mm = np.hypot(rows - 45, columns - 45) * PIXEL_MM
    values = leg("ct")
    values[:, (radius_mm >= 7) & (radius_mm < 13)] = 900  # a shaft with its marrow
    values[:, radius_mm < 7] = -60
    pair(source, "P3_CT", values, mask())
    found = made(source, tmp_path / "ct", DatasetOptions(modality="ct", margin=0)).built.manifest
    outlined = [row for row in found.rows if row.patient == "P3"]
    inside = [read_mask_image(tmp_path / "ct" / row.bone_mask, shape=(160, 160)).sum() for row in outlined]
    shown = (radius_mm < 13)[TUMOUR[1:]].sum()  # what of the shaft is in a picture without margins
    assert len(inside) == 6
    assert inside == pytest.approx([shown] * 6, rel=0.15)
    bare = made(source, tmp_path / "mr").built.manifest
    assert {row.bone_mask for row in bare.rows} == {""}
    assert not (tmp_path / "mr" / "bones").exists()


def test_what_is_known_of_patients_may_lie_one_folder_above(source: Path, tmp_path: Path) -> None:
    (source / "patients.csv").rename(tmp_path / "patients.csv")
    found, _ = outlined_beside(source, "mr")
    assert [item.extra for item in found] == [{"histology": "Liposarcoma"}, {"histology": "MFH"}]


def test_two_tumours_are_one_mask_and_one_box(source: Path, tmp_path: Path) -> None:
    two = mask() | mask((slice(18, 20), slice(30, 33), slice(50, 55)))
    pair(source, "P3_MR", leg(), two)
    rows = [row for row in made(source, tmp_path / "out").built.manifest.rows if row.patient == "P3"]
    assert sum(int(row.extra["lesion_pixels"]) for row in rows) == two.sum()


def test_dicom_with_contours_is_named_in_a_table(tmp_path: Path) -> None:
    volume = Volume(leg("ct"), grid(), "CT", "HU")
    folder = tmp_path / "source" / "scan"
    write_ct_series(volume, folder, patient=Patient(identifier="x"), info=CtSeriesInfo(uid_seed="limb"))
    save(tmp_path / "tumour.nii.gz", mask())
    table = tmp_path / "masks.csv"
    table.write_text("series,patient,tumour_mask,kind\nscan,A,tumour.nii.gz,MFH\n")
    options = DatasetOptions(modality="ct", masks=table)
    found = made(tmp_path / "source", tmp_path / "out", options).built.manifest
    assert {(row.patient, row.extra["kind"]) for row in found.rows} == {("A", "MFH")}
    assert sum(int(row.extra["lesion_pixels"]) for row in found.rows) == mask().sum()
    with pytest.raises(InputError, match=r"not one picture.*MR was asked for, the series is CT"):
        made(tmp_path / "source", tmp_path / "mr", replace(options, modality="mr"))


def test_contours_of_another_series_with_gaps_or_crossings_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "source" / "scan"
    write_ct_series(Volume(leg("ct"), grid(), "CT", "HU"), folder, patient=Patient(), info=CtSeriesInfo(uid_seed="a"))
    volume = open_volume(folder)
    assert volume.source is not None
    corners = square(24.5, 19.5, 39.5, 31.5)
    bow = [corners[0], corners[2], corners[1], corners[3]]
    drawn = [on_slice(volume.grid, index, corners, source=volume.source) for index in range(8, 14)]
    crossed = [*drawn[:-1], on_slice(volume.grid, 13, bow, source=volume.source)]
    elsewhere = [on_slice(volume.grid, index, corners) for index in range(8, 14)]
    sets = {
        "whole": structure_set({"GTV": drawn}, frame_of_reference=""),
        "gap": structure_set({"GTV": [*drawn[:2], *drawn[3:]]}, frame_of_reference=""),
        "crossed": structure_set({"GTV": crossed}, frame_of_reference=""),
        "other": structure_set({"GTV": elsewhere}, series="1.2.3.4.5", frame_of_reference=""),
        "empty": structure_set({"GTV": []}, frame_of_reference=""),
    }
    told = {}
    for name, contours in sets.items():
        saved(tmp_path / f"{name}.dcm", contours)
        (tmp_path / "masks.csv").write_text(f"series,patient,tumour_mask,tumour_labels\nscan,A,{name}.dcm,GTV\n")
        try:
            options = DatasetOptions(modality="ct", masks=tmp_path / "masks.csv")
            rows = made(tmp_path / "source", tmp_path / name, options).built.manifest.rows
            told[name] = str(sum(int(row.extra["lesion_pixels"]) for row in rows))
        except InputError as error:
            told[name] = str(error)
    assert told["whole"] == str(mask().sum())
    assert "no contour is drawn on slice" in told["gap"]
    assert "cross" in told["crossed"]
    assert "series" in told["other"]
    assert "GTV" in told["empty"]
    assert not [text for name, text in told.items() if name != "whole" and text.isdecimal()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("series,patient\nscan,A\n", "row 1 lacks its tumour_mask"),
        ("series,patient,mask\nscan,A,x\n", "tumour_mask"),
        ("series,patient,tumour_mask,sex\nscan,A,x.nii,V\n", "the sex"),
    ],
)
def test_a_slip_in_the_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "masks.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_outlined(tmp_path / "masks.csv")


def test_what_cannot_be_made_is_said(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder nowhere"):
        outlined_beside(tmp_path / "nowhere", "mr")
    for path in source.glob("*MR*"):
        path.unlink()
    with pytest.raises(InputError, match=r"no MR with a mask beside it.*it has 2 of CT: --modality"):
        made(source, tmp_path / "out")
    short = Margins.drawn(["P1"], largest_mm=50, seed=1)
    short.write(tmp_path / "short.json")
    with pytest.raises(InputError, match="lacks the margins of 1 patients of 2"):
        made(source, tmp_path / "out", DatasetOptions(modality="ct", margins=tmp_path / "short.json"))
    (tmp_path / "odd.json").write_text('{"largest_mm": 50, "seed": 1, "margins_mm": {"P1": {"feet": 3}}}')
    with pytest.raises(InputError, match="holds no margins"):
        Margins.read(tmp_path / "odd.json")
    with pytest.raises(InputError, match="leave one of them out"):
        made(source, tmp_path / "out", DatasetOptions(whole=True, margins=tmp_path / "short.json"))
    with pytest.raises(InputError, match="multiple of 16"):
        made(source, tmp_path / "out", DatasetOptions(modality="ct", size=100))
