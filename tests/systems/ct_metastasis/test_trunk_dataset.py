"""The data set of the metastasis study: pictures and masks that are on each other, nothing made twice."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from osteon.data import Volume
from osteon.errors import InputError, OutputError
from osteon.geometry import Grid
from osteon.io.table import read_manifest
from osteon.ops.series_images import slice_frame, windowed
from osteon.systems.ct_metastasis.dataset import MAKER, OpenedTrunk, TrunkOptions
from osteon.train.datasets.case_builder import BuiltDataset, SeriesCase, build_cases
from tests.read_back import missing_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 32
OPTIONS = TrunkOptions(size=SIZE, pixel_mm=2.0, lesion_slices=None, normal_slices=None)


def build(cases: list[SeriesCase[OpenedTrunk]], out: Path, options: TrunkOptions, *, workers: int = 1) -> BuiltDataset:
    return build_cases(cases, out, MAKER, options=options, workers=workers)


def trunk(seed: int = 1, *, flip: bool = False, bone: bool = True) -> OpenedTrunk:
    """Ten slices of 2 mm: bone in the middle, a lesion in slices 3 to 6; ``flip`` stores rows and slices backwards."""
    generator = np.random.default_rng(seed)
    hu = generator.integers(-200, 200, (10, 40, 36)).astype(np.int16)
    bones = np.zeros(hu.shape, dtype=bool)
    bones[:, 10:30, 8:28] = True
    lesion = np.zeros(hu.shape, dtype=np.uint8)
    lesion[3:7, 12:18, 10:20] = 3
    hu[bones] += 300
    turned = slice(None, None, -1 if flip else 1)
    axes = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)], dtype=float)
    axes[:2] *= -1 if flip else 1
    origin = (5.0, 6.0 + 39 * 2.0 * flip, 100.0 + 9 * 4.0 * flip)
    grid = Grid.from_axes(shape=hu.shape, spacing_mm=(4.0, 2.0, 2.0), directions=axes, origin_lps_mm=origin)
    volume = Volume(hu[turned, turned], grid, "CT", "HU")
    return OpenedTrunk(volume, lesion[turned, turned], bones[turned, turned] if bone else None)


def case(name: str = "P1", **changes: object) -> SeriesCase[OpenedTrunk]:
    plain = SeriesCase(
        name=name,
        patient=name,
        open=partial(trunk),
        fingerprint="1",
        sex="F",
        age_years=50.0,
        extra={"synthetic": "yes"},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def png(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def test_pictures_and_masks_are_the_framed_slices_in_the_public_layout(tmp_path: Path) -> None:
    built = build([case()], tmp_path / "set", OPTIONS)
    manifest = read_manifest(tmp_path / "set", labels=("normal", "metastasis"), positive="metastasis")
    assert manifest == built.manifest
    assert built.skipped == ()
    assert missing_images(manifest) == ()
    opened = trunk()
    assert opened.bone is not None
    frame = slice_frame((40, 36), (2.0, 2.0), pixel_mm=2.0, size=(SIZE, SIZE))
    wanted = frame.images(windowed(opened.volume.array))
    for index, row in enumerate(manifest.rows):
        assert row.image == f"image/P1_{index:04}.png"
        assert (row.bone_mask, row.lesion_mask) == (f"bone mask/P1_{index:04}.png", f"lesion mask/P1_{index:04}.png")
        assert row.label == ("metastasis" if 3 <= index < 7 else "normal")
        assert np.array_equal(png(manifest.folder / row.image), wanted[index])
        bone, lesion = (png(manifest.folder / name) for name in (row.bone_mask, row.lesion_mask))
        # 40 x 36 voxels of 2 mm around the middle of 32 x 32 pixels of 2 mm: nothing is resized
        assert np.array_equal(bone, opened.bone[index, 4:36, 2:34] * np.uint8(255))
        assert np.array_equal(lesion, (opened.lesion[index, 4:36, 2:34] > 0) * np.uint8(255))
        assert row.extra == {
            "slice": str(index),
            "position_mm": f"{100 + 4 * index:.2f}",
            "pixel_mm": "2",
            "pixels": "1024",
            "lesion_pixels": "60" if 3 <= index < 7 else "0",
            "bone_pixels": "400",
            "synthetic": "yes",
        }
        assert (row.plane, row.sex, row.age_years) == ("axial", "F", 50.0)


def test_a_series_stored_backwards_gives_the_same_pictures(tmp_path: Path) -> None:
    one = build([case()], tmp_path / "one", OPTIONS).manifest
    two = build([case(open=partial(trunk, flip=True))], tmp_path / "two", OPTIONS).manifest
    assert one.rows == two.rows
    for row in one.rows:
        for name in (row.image, row.bone_mask, row.lesion_mask):
            assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_slices_are_drawn_by_seed_and_name(tmp_path: Path) -> None:
    def drawn(folder: str, names: str, **changes: object) -> dict[str, list[str]]:
        options = replace(OPTIONS, lesion_slices=2, normal_slices=1, **changes)  # type: ignore[arg-type]
        rows = build([case(name) for name in names], tmp_path / folder, options).manifest.rows
        assert [row.label for row in rows].count("metastasis") == 2 * len(names)
        return {name: [row.extra["slice"] for row in rows if row.patient == name] for name in names}

    first = drawn("a", "ABCDEFGH")
    assert all(slices == sorted(slices, key=int) for slices in first.values())
    assert len({tuple(slices) for slices in first.values()}) > 3
    assert drawn("b", "HB") == {name: first[name] for name in "HB"}
    assert drawn("c", "ABCDEFGH", seed=2) != first


def test_seventy_slices_with_a_lesion_are_taken_and_no_others(tmp_path: Path) -> None:
    rows = build([case()], tmp_path / "set", TrunkOptions(size=SIZE)).manifest.rows
    assert [row.extra["slice"] for row in rows] == ["3", "4", "5", "6"]
    assert TrunkOptions().lesion_slices == 70


def test_what_is_done_is_not_made_again_and_other_options_leave_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert build([case("A"), case("A_0001")], out, OPTIONS).made == 2
    assert build([case("A"), case("A_0001"), case("B")], out, OPTIONS).made == 1
    before = (out / "image" / "A_0001_0005.png").stat().st_mtime_ns
    # what was stopped in the middle: no rows, half of the pictures
    (out / "cases" / "A.json").unlink()
    (out / "image" / "A_0004.png").unlink()
    (out / "image" / ".osteon-1.part").write_bytes(b"half")
    assert build([case("A"), case("A_0001"), case("B")], out, OPTIONS).made == 1
    assert (out / "image" / "A_0001_0005.png").stat().st_mtime_ns == before
    few = replace(OPTIONS, normal_slices=0)
    manifest = build([case("A"), case("A_0001"), case("B")], out, few).manifest
    assert sorted(path.name for path in (out / "image").iterdir()) == sorted(row.image[6:] for row in manifest.rows)
    with pytest.raises(OutputError, match="holds no data set of osteon"):
        build([case()], tmp_path, OPTIONS)


def _broken() -> OpenedTrunk:
    raise InputError("it is damaged")


def _nan() -> OpenedTrunk:
    opened = trunk()
    hu = opened.volume.array.astype(np.float32)
    hu[5, 5, 5] = np.nan
    return replace(opened, volume=replace(opened.volume, array=hu))


def _cut() -> OpenedTrunk:
    opened = trunk()
    return replace(opened, lesion=opened.lesion[:-1])


def test_what_cannot_be_used_is_told_and_the_rest_is_made(tmp_path: Path) -> None:
    cases = [
        case("A"),
        case("B", open=_broken),
        case("C", open=_nan),
        case("D", open=_cut),
        case("E", open=partial(trunk, bone=False)),
    ]
    built = build(cases, tmp_path / "set", OPTIONS)
    assert built.manifest.patients == ("A",)
    reasons = {item.name: item.reason for item in built.skipped}
    assert list(reasons) == ["B", "C", "D", "E"]
    assert reasons["B"] == "it is damaged"
    assert "NaN" in reasons["C"]
    assert "lesion mask has (9, 40, 36) voxels, its CT (10, 40, 36)" in reasons["D"]
    assert "bone is not marked" in reasons["E"]
    told = (tmp_path / "set" / "cohort.md").read_text("utf-8")
    assert "4 of 5 series were left out" in told
    document = json.loads((tmp_path / "set" / "dataset.json").read_text("utf-8"))
    assert (document["complete"], len(document["skipped"])) == (True, 4)
    manifest = build(cases[4:], tmp_path / "bare", replace(OPTIONS, need_bone=False)).manifest
    assert {row.bone_mask for row in manifest.rows} == {""}
    assert "bone_mask" not in (tmp_path / "bare" / "manifest.csv").read_text("utf-8").splitlines()[0]
    with pytest.raises(InputError, match="not one picture could be made of 1 series; the first: it is damaged"):
        build([case(open=_broken)], tmp_path / "none", OPTIONS)


def test_a_lesion_that_its_picture_loses_is_neither_normal_nor_metastasis(tmp_path: Path) -> None:
    def specks() -> OpenedTrunk:
        opened = trunk()
        lesion = np.zeros_like(opened.lesion)
        lesion[2, 20, 20] = 1  # a quarter of a pixel of 4 mm
        lesion[8, 0, 0] = 1  # outside the frame
        lesion[4, 10:20, 10:20] = 1
        return replace(opened, lesion=lesion)

    options = replace(OPTIONS, size=16, pixel_mm=4.0)
    rows = build([case(open=specks)], tmp_path / "set", options).manifest.rows
    assert [row.extra["slice"] for row in rows] == ["0", "1", "3", "4", "5", "6", "7", "9"]
    assert [row.label for row in rows].index("metastasis") == 3


def test_the_cohort_table_counts_patients_ages_and_lesion_pixels(tmp_path: Path) -> None:
    cases = [case("A"), case("B", age_years=60.0), case("C", sex="M", age_years=None)]
    build(cases, tmp_path / "set", OPTIONS)
    told = (tmp_path / "set" / "cohort.md").read_text("utf-8")
    assert "Slices of a patient: 10 to 10, median 10." in told
    assert "Women: 2, mean age 55.0 years (SD 7.1)." in told
    # 60 of 1024 pixels in 4 slices of 10
    assert "Lesion: 2.34% of the pixels of 30 pictures" in told
    assert "Lesion: 5.86% of the pixels of the 12 pictures that show one." in told
    assert "Bone: 39.06% of the pixels" in told
    table = list(csv.DictReader((tmp_path / "set" / "cohort.csv").read_text("utf-8").splitlines()))
    assert (table[0]["patients"], table[0]["metastasis images"], table[0]["normal images"]) == ("3", "12", "18")


def test_processes_make_the_same(tmp_path: Path) -> None:
    cases = [case("A"), case("B", open=partial(trunk, 2))]
    one = build(cases, tmp_path / "one", OPTIONS).manifest
    two = build(cases, tmp_path / "two", OPTIONS, workers=2).manifest
    assert one.sha256 == two.sha256
    assert all((one.folder / r.image).read_bytes() == (two.folder / r.image).read_bytes() for r in one.rows)


@pytest.mark.parametrize(
    "wrong", [{"lesion_slices": 0}, {"lesion_slices": -1}, {"size": 8}, {"pixel_mm": float("nan")}, {"seed": -1}]
)
def test_options_that_make_no_picture_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        TrunkOptions(**wrong)  # type: ignore[arg-type]
