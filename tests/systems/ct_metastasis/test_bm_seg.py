"""The public layout of BM-Seg in its versions, and everything that such a folder can have wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING, make_split
from osteon.data.options import silent
from osteon.data.system import MadeDataset
from osteon.errors import InputError
from osteon.io.table import read_manifest
from osteon.systems.ct_metastasis.options import DatasetOptions
from osteon.systems.ct_metastasis.picture_sets import make_dataset
from osteon.train.datasets.patients_table import read_patients
from osteon.train.pixels import load_pixels
from tests.read_back import missing_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("image", "bone mask", "lesion mask")


def picture(number: int) -> dict[str, NDArray[np.uint8]]:
    """A slice of 20 x 16 pixels with its masks; every eighth has no lesion."""
    generator = np.random.default_rng(number)
    bone = np.zeros((20, 16), np.uint8)
    bone[4:16, 3:13] = 255
    lesion = np.zeros_like(bone)
    if number % 8:
        lesion[6 : 8 + number % 4, 5:9] = 255
    return {"image": generator.integers(0, 256, bone.shape).astype(np.uint8), "bone mask": bone, "lesion mask": lesion}


def put(path: Path, values: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())
    return path


def flat(folder: Path, count: int = 8) -> Path:
    """JPEG images and masks, no word of patients."""
    for number in range(count):
        for kind, values in picture(number).items():
            put(folder / kind / f"{number}.jpg", values)
    return folder


def with_table(folder: Path, count: int = 8) -> Path:
    lines = [
        f"{number}.jpg,P{number // 2},{'FM'[number // 2 % 2]},{50 + number // 2}Y,T{number}" for number in range(count)
    ]
    (folder / "patients.csv").write_text("\n".join(["FILE,PATIENT,SEX,AGE,Site", *lines]) + "\n", encoding="utf-8")
    return folder


def made(source: Path, out: Path, **options: Any) -> MadeDataset:  # noqa: ANN401 - of DatasetOptions
    return make_dataset(source, out, DatasetOptions(**options), 1, silent)


def test_a_flat_set_with_a_table_of_patients(tmp_path: Path) -> None:
    result = made(with_table(flat(tmp_path / "BM-Seg")), tmp_path / "set")
    manifest = read_manifest(tmp_path / "set", positive="metastasis")
    assert result.built.skipped == ()
    assert missing_images(manifest) == ()
    assert manifest.patients == ("P0", "P1", "P2", "P3")
    for row in manifest.rows:
        number = int(row.extra["file"].split("/")[1].removesuffix(".jpg"))
        assert (row.image, row.patient) == (f"image/{number}.png", f"P{number // 2}")
        assert (row.sex, row.age_years) == ("FM"[number // 2 % 2], 50.0 + number // 2)
        assert row.extra["site"] == f"T{number}"
        assert row.label == ("metastasis" if number % 8 else "normal")
        wanted = picture(number)
        for path in (row.bone_mask, row.lesion_mask):
            kind = path.split("/")[0]
            assert np.array_equal(np.asarray(cv2.imread(str(manifest.folder / path), -1)), wanted[kind])
        # the picture is what the JPEG decodes to, no more lost
        jpeg = cv2.imread(str(tmp_path / "BM-Seg" / "image" / f"{number}.jpg"), -1)
        assert np.array_equal(np.asarray(cv2.imread(str(manifest.folder / row.image), -1)), np.asarray(jpeg))
        assert int(row.extra["lesion_pixels"]) == np.count_nonzero(wanted["lesion mask"])
    pixels = load_pixels(manifest, size=16, cache=None, masks={"lesion": True, "bone": True})
    assert pixels.unreadable == ()
    assert "Women: 2, mean age 51.0" in (tmp_path / "set" / "cohort.md").read_text("utf-8")
    again = made(tmp_path / "BM-Seg", tmp_path / "set")
    assert (again.built.made, again.built.manifest.sha256) == (0, manifest.sha256)


@pytest.mark.parametrize("way", ["below", "around", "wrapped"])
def test_patients_are_known_from_folders(tmp_path: Path, way: str) -> None:
    source = tmp_path / "BM-Seg with patient"
    for number in range(8):
        patient = f"pat {number // 2}"
        for kind, values in picture(number).items():
            named = {"image": "Images", "bone mask": "Bone_Mask", "lesion mask": "LESION MASKS"}[kind]
            inner = Path(named) / patient if way != "around" else Path(patient) / named
            root = source / "data" / "v2" if way == "wrapped" else source
            put(root / inner / f"{number % 2}.png", values)
    (source / "patients.csv").write_text("Patient;Sex;Age\npat 1;female;61\npat 3;;\n", encoding="utf-8")
    result = made(source, tmp_path / "set")
    assert result.built.skipped == ()
    rows = result.built.manifest.rows
    assert result.built.manifest.patients == ("pat 0", "pat 1", "pat 2", "pat 3")
    assert {(row.sex, row.age_years) for row in rows if row.patient == "pat 1"} == {("F", 61.0)}
    assert {row.sex for row in rows if row.patient != "pat 1"} == {""}
    assert missing_images(result.built.manifest) == ()
    assert all(row.image.count("/") == 2 for row in rows)
    split = make_split(result.built.manifest, folds=3)
    assert split.warnings == ()


def test_without_patients_nothing_is_made_unless_it_is_asked_for_with_a_warning(tmp_path: Path) -> None:
    source = flat(tmp_path / "BM-Seg")
    with pytest.raises(InputError, match=r"nothing identifies the patients of 8 images .*patients\.csv"):
        made(source, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    result = made(source, tmp_path / "set", own_patients=True)
    assert result.lines[1:] == (f"! {UNKNOWN_PATIENTS_WARNING}",)
    assert len(result.built.manifest.patients) == 8
    for name in ("cohort.md", "dataset.json"):
        assert "Patients are not known" in (tmp_path / "set" / name).read_text("utf-8")
    for unit in ("patient", "image"):
        split = make_split(result.built.manifest, folds=3, unit=unit)
        assert split.warnings == (UNKNOWN_PATIENTS_WARNING,)


def test_every_wrong_file_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    source = flat(tmp_path / "BM-Seg", 12)
    with_table(source, 12)
    put(source / "lesion mask" / "0.jpg", np.zeros((20, 17), np.uint8))
    put(source / "bone mask" / "1.jpg", picture(1)["bone mask"] // 255)
    put(source / "bone mask" / "2.jpg", np.full((20, 16), 128, np.uint8))
    (source / "lesion mask" / "3.jpg").unlink()
    (source / "bone mask" / "4.jpg").unlink()
    (source / "image" / "5.jpg").unlink()
    data = (source / "image" / "6.jpg").read_bytes()
    (source / "image" / "6.jpg").write_bytes(data[: len(data) // 2])
    put(source / "lesion mask" / "7.png", picture(7)["lesion mask"])
    put(source / "lesion mask" / "stray.png", picture(7)["lesion mask"])
    put(source / "image" / "12.jpg", picture(12)["image"])
    put(source / "image" / ".hidden.png", picture(12)["image"])
    (source / "image" / "Thumbs.db").write_bytes(b"x")
    (source / "lesion mask" / "8.jpg").unlink()
    put(source / "lesion mask" / "8.png", picture(1)["lesion mask"] // 255)
    result = made(source, tmp_path / "set")
    assert [row.image for row in result.built.manifest.rows] == [f"image/{n}.png" for n in (8, 9, 10, 11)]
    reasons = {item.name: item.reason for item in result.built.skipped}
    for name, said in {
        "image/0.jpg": "has 20 x 17 pixels, its image has 20 x 16",
        "image/1.jpg": "none near 255",
        "image/2.jpg": "between black and white",
        "image/3.jpg": "it has no lesion mask",
        "image/4.jpg": "it has no bone mask",
        "bone mask/5.jpg": "mask without an image",
        "lesion mask/5.jpg": "mask without an image",
        "5": "the table of patients names it",
        "image/6.jpg": "truncated",
        "image/7.jpg": "several images or masks have its name",
        "lesion mask/stray.png": "mask without an image",
        "image/12.jpg": "table of patients does not name it",
    }.items():
        assert said in reasons.pop(name)
    assert reasons == {}
    told = (tmp_path / "set" / "cohort.md").read_text("utf-8")
    assert "12 images or masks were left out." in told
    # corrected, and made again: nothing of before is in the way
    put(source / "lesion mask" / "0.jpg", picture(0)["lesion mask"])
    assert len(made(source, tmp_path / "set").built.manifest) == 5


def test_without_bone_masks(tmp_path: Path) -> None:
    source = with_table(flat(tmp_path / "BM-Seg"))
    (source / "bone mask").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"has no folder 'bone mask'.*--no-bone"):
        made(source, tmp_path / "set")
    manifest = made(source, tmp_path / "set", bone=False).built.manifest
    assert {row.bone_mask for row in manifest.rows} == {""}
    assert len(manifest) == 8


def test_other_folders_and_empty_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of: folders image, bone mask"):
        made(tmp_path, tmp_path / "set")
    with pytest.raises(InputError, match="no folder nowhere"):
        made(tmp_path / "nowhere", tmp_path / "set")
    for kind in KINDS:
        (tmp_path / "empty" / kind).mkdir(parents=True)
    with pytest.raises(InputError, match="not one image of empty can be used"):
        made(tmp_path / "empty", tmp_path / "set")


def test_grey_of_sixteen_bits_and_colour_keep_what_they_hold(tmp_path: Path) -> None:
    source = flat(tmp_path / "BM-Seg", 2)
    deep = np.arange(320, dtype=np.uint16).reshape(20, 16) * np.uint16(200)
    (source / "image" / "0.jpg").unlink()
    put(source / "image" / "0.png", deep)
    (source / "image" / "1.jpg").unlink()
    put(source / "image" / "1.png", np.dstack([picture(1)["image"]] * 3))
    manifest = made(with_table(source, 2), tmp_path / "set").built.manifest
    assert np.array_equal(np.asarray(cv2.imread(str(manifest.folder / "image" / "0.png"), -1)), deep)
    assert np.array_equal(np.asarray(cv2.imread(str(manifest.folder / "image" / "1.png"), -1)), picture(1)["image"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FILE,SEX\n1,F\n", "no column PATIENT"),
        ("FILE,PATIENT,SEX,GENDER\n1,a,F,F\n", "two columns for sex"),
        ("FILE,PATIENT\n1,\n", "row 1 lacks its patient"),
        ("FILE,PATIENT\n1.jpg,a\n1.png,b\n", "row 2 names no file, or one that another patient has"),
        ("FILE,PATIENT,SEX\n1,a,F\n2,a,M\n", "row 2 gives its patient another sex"),
        ("FILE,PATIENT,SEX\n1,a,woman\n", "row 1 has the sex 'woman'"),
        ("FILE,PATIENT,AGE\n1,a,old\n", "row 1 has the age 'old'"),
        ("FILE,PATIENT,AGE\n1,a,131\n", "row 1 has the age '131'"),
        ("FILE,PATIENT,SPLIT\n1,a,val\n", "row 1 has the split 'val'"),
        ("FILE,PATIENT\n", "has no rows"),
        ("FILE,PATIENT,Label\n1,a,normal\n", "a column 'Label', which the pictures and masks tell"),
    ],
)
def test_a_slip_in_the_table_of_patients_is_named_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_patients(path)


def test_a_table_says_more_than_folders_where_it_names_the_whole_path(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("FILE,PATIENT,SITE,SEX\nA\\1.png,X,lung,F\nA/3,X,rib,F\n2,Y,,\n", encoding="utf-8")
    table = read_patients(path)
    assert table.find("A/1", folder="A") == "X"
    assert table.find("A/2", folder="A") == "A"
    assert table.find("2") == table.find("any/2") == "Y"
    assert table.about["X"] == {"sex": "F"}
    assert (table.columns("A/1"), table.columns("A/3"), table.columns("2")) == ({"site": "lung"}, {"site": "rib"}, {})
    assert table.unseen(["A/1", "B/2", "A/3"]) == []
    assert table.unseen([]) == ["2", "A/1", "A/3"]
