"""A data set of tiles: class, patient and slide from names, folders and tables, and every name that does not match."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from osteon.app.cli.program import build
from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.data.manifest import PATIENT_KNOWN
from osteon.data.options import silent
from osteon.errors import InputError
from osteon.io.table import read_manifest
from osteon.systems.histology.dataset import make_dataset, read_tile_name, tile_class
from osteon.systems.histology.options import DatasetOptions
from tests.read_back import missing_images

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.datasets.case_builder import BuiltDataset

NAMES = (
    "Non-Tumor___Case-3-A15-2939-11262_112.jpg",
    "Non-Viable-Tumor___Case-3-A7-18669-5101_118.jpg",
    "Viable___Case-48-P5-C14-54171-23668_115.jpg",
    "Non-Tumor___P9-B12-15791-34183_103.jpg",
)


def tile(path: Path, seed: int = 0, size: int = 32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def made(source: Path, out: Path, **options: Any) -> BuiltDataset:  # noqa: ANN401 - of DatasetOptions
    asked = DatasetOptions(**{"microns": 1.0, **options})
    built: BuiltDataset = make_dataset(source, out, asked, 1, silent).built
    return built


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Non-Tumor", "non_tumour"),
        ("non tumour", "non_tumour"),
        ("NonTumor", "non_tumour"),
        ("Non-Viable-Tumor", "non_viable"),
        ("non_viable", "non_viable"),
        ("Viable", "viable"),
        ("Viable-Tumor", "viable"),
        ("viable tumours", "viable"),
        ("tumour", ""),
        ("Normal", ""),
        ("viable: non-viable", ""),
        ("not viable at all", ""),
    ],
)
def test_words_of_classes(name: str, label: str) -> None:
    assert tile_class(name) == label


@pytest.mark.parametrize(
    ("stem", "told"),
    [
        ("Non-Tumor___Case-3-A15-2939-11262_112", ("non_tumour", "Case-3", "Case-3-A15")),
        ("Viable___Case-48-P5-C14-54171-23668_115", ("viable", "Case-48", "Case-48-P5-C14")),
        ("Non-Tumor___P9-B12-15791-34183_103", ("non_tumour", "P9", "P9-B12")),
        ("Case-3-A15-2939-11262", ("", "Case-3", "Case-3-A15")),
        ("Viable___17", ("viable", "", "")),
        ("Healthy___Case-3-A15-1-2_3", (None, "Case-3", "Case-3-A15")),
        ("17", ("", "", "")),
        ("Case-3", ("", "", "")),
    ],
)
def test_names_of_tiles(stem: str, told: tuple[str | None, str, str]) -> None:
    found = read_tile_name(stem)
    assert (found.label, found.patient, found.slide) == told


def test_tiles_named_as_the_public_set(tmp_path: Path) -> None:
    for seed, name in enumerate(NAMES):
        tile(tmp_path / "tiles" / name, seed)
    (tmp_path / "tiles" / "readme.txt").write_text("not a tile", encoding="utf-8")
    result = made(tmp_path / "tiles", tmp_path / "set")
    manifest = read_manifest(tmp_path / "set")
    assert result.skipped == ()
    assert missing_images(manifest) == ()
    found = {row.extra["file"]: (row.label, row.patient, row.study) for row in manifest.rows}
    assert found == {
        NAMES[0]: ("non_tumour", "Case-3", "Case-3-A15"),
        NAMES[1]: ("non_viable", "Case-3", "Case-3-A7"),
        NAMES[2]: ("viable", "Case-48", "Case-48-P5-C14"),
        NAMES[3]: ("non_tumour", "P9", "P9-B12"),
    }
    for row in manifest.rows:
        assert (row.extra["microns_per_pixel"], row.extra["rows"], row.extra["columns"]) == ("1", "32", "32")
        assert (manifest.folder / row.image).read_bytes() == (tmp_path / "tiles" / row.extra["file"]).read_bytes()
    page = (tmp_path / "set" / "cohort.md").read_text("utf-8")
    assert "3 of 3 patients have no tile of some class: class and patient are confounded" in page


def test_folders_of_classes_with_a_table(tmp_path: Path) -> None:
    for number, label in enumerate(("non-tumor", "Viable", "non viable tumour") * 2):
        tile(tmp_path / "tiles" / "train" / label / f"{number}.png", number)
    lines = [f"{number}.png,P{number // 3},slide-{number // 3},{0.5 + number // 3}" for number in range(6)]
    table = tmp_path / "tiles" / "patients.csv"
    table.write_text("\n".join(["FILE,PATIENT,STUDY,microns_per_pixel", *lines]) + "\n", encoding="utf-8")
    made(tmp_path / "tiles", tmp_path / "set", microns=None)
    manifest = read_manifest(tmp_path / "set")
    assert Counter((row.patient, row.study, row.label) for row in manifest.rows) == Counter(
        (f"P{patient}", f"slide-{patient}", label)
        for patient in (0, 1)
        for label in ("non_tumour", "viable", "non_viable")
    )
    assert {(row.patient, row.extra["microns_per_pixel"]) for row in manifest.rows} == {("P0", "0.5"), ("P1", "1.5")}
    lines[0] = "0.png,P0,slide-0,one"
    table.write_text("\n".join(["FILE,PATIENT,STUDY,microns_per_pixel", *lines]) + "\n", encoding="utf-8")
    result = made(tmp_path / "tiles", tmp_path / "set", microns=None)
    assert [item.reason for item in result.skipped] == [
        "its microns_per_pixel 'one' in the table is not a number: correct it"
    ]


@pytest.mark.parametrize("layout", ["{label}/{patient}/{number}.png", "{patient}/{label}/{number}.png"])
def test_folders_of_patients(tmp_path: Path, layout: str) -> None:
    for number, label in enumerate(("Non-Tumor", "Viable", "Non-Viable-Tumor") * 2):
        name = layout.format(label=label, patient=f"anna-{number // 3}", number=number)
        tile(tmp_path / "tiles" / name, number)
    made(tmp_path / "tiles", tmp_path / "set")
    manifest = read_manifest(tmp_path / "set")
    assert manifest.patients == ("anna-0", "anna-1")
    assert Counter(row.label for row in manifest.rows) == {"non_tumour": 2, "viable": 2, "non_viable": 2}


def test_names_that_do_not_match_are_left_out_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    for seed, name in enumerate(NAMES):
        tile(folder / name, seed)
    tile(folder / "Healthy___Case-3-A15-1-2_3.jpg")
    tile(folder / "tile-17.jpg")
    tile(folder / "viable" / "Non-Tumor___P9-B12-1-2_3.jpg")
    tile(folder / "Viable___P9-B12-5-6_7.jpg")
    tile(folder / "Viable___P9-B12-5-6_7.png")
    tile(folder / "Viable___unknown.jpg")
    tile(folder / "Viable___P9-B13-5-6_7.jpg").write_bytes(tile(folder / NAMES[0]).read_bytes()[:300])
    (folder / "patients.csv").write_text("FILE,PATIENT\nmissing.jpg,P1\n", encoding="utf-8")
    result = made(folder, tmp_path / "set")
    told = {item.name: item.reason for item in result.skipped}
    assert told.pop("Viable___P9-B13-5-6_7.jpg").endswith("is truncated or damaged: copy it again")
    assert {name: reason.split(":")[0] for name, reason in told.items()} == {
        "Healthy___Case-3-A15-1-2_3.jpg": "the class in its name is none of the three",
        "tile-17.jpg": "neither its name nor its folder gives the class",
        "viable/Non-Tumor___P9-B12-1-2_3.jpg": "its name and its folders tell different classes",
        "Viable___P9-B12-5-6_7.jpg": "several tiles have its name with other endings",
        "Viable___P9-B12-5-6_7.png": "several tiles have its name with other endings",
        "Viable___unknown.jpg": "the table of patients does not name it",
        "missing": "the table of patients names it, and there is no such image",
    }
    assert len(result.manifest) == 4
    assert all(name in (tmp_path / "set" / "cohort.md").read_text("utf-8") for name in told)


def test_a_set_of_which_no_name_matches(tmp_path: Path) -> None:
    tile(tmp_path / "tiles" / "IMG_0001.jpg")
    with pytest.raises(InputError, match=r"not one image of tiles can be used.*IMG_0001\.jpg.*name it Class___Case-N"):
        made(tmp_path / "tiles", tmp_path / "set")
    with pytest.raises(InputError, match="no picture is in empty: give a folder of tiles named"):
        (tmp_path / "empty").mkdir()
        made(tmp_path / "empty", tmp_path / "set")
    with pytest.raises(InputError, match="no folder missing: give the folder of the tiles"):
        made(tmp_path / "missing", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_patients_that_nothing_tells(tmp_path: Path) -> None:
    for number in range(4):
        tile(tmp_path / "tiles" / f"{('Viable', 'Non-Tumor')[number % 2]}___{number}.jpg", number)
    with pytest.raises(InputError, match="nothing identifies the patients of 4 images of tiles"):
        made(tmp_path / "tiles", tmp_path / "set")
    result = made(tmp_path / "tiles", tmp_path / "set", own_patients=True)
    assert len(result.manifest.patients) == 4
    assert {row.extra[PATIENT_KNOWN] for row in result.manifest.rows} == {"no"}
    assert UNKNOWN_PATIENTS_WARNING in (tmp_path / "set" / "cohort.md").read_text("utf-8")
    assert json.loads((tmp_path / "set" / "dataset.json").read_text("utf-8"))["warnings"] == [UNKNOWN_PATIENTS_WARNING]


def test_the_size_of_a_pixel_is_asked_for(tmp_path: Path) -> None:
    tile(tmp_path / "tiles" / NAMES[0])
    with pytest.raises(InputError, match=r"not one picture could be made of 1 patients.*pass --microns"):
        made(tmp_path / "tiles", tmp_path / "set", microns=None)
    assert made(tmp_path / "tiles", tmp_path / "set", microns=0.5).manifest.rows[0].extra["microns_per_pixel"] == "0.5"


def test_another_run_goes_on_and_other_options_begin_again(tmp_path: Path) -> None:
    for seed, name in enumerate(NAMES):
        tile(tmp_path / "tiles" / name, seed)
    assert made(tmp_path / "tiles", tmp_path / "set").made == 3
    assert made(tmp_path / "tiles", tmp_path / "set").made == 0
    (tmp_path / "tiles" / NAMES[1]).unlink()
    again = made(tmp_path / "tiles", tmp_path / "set")
    assert (again.made, len(again.manifest)) == (1, 3)
    assert sorted(path.name for path in (tmp_path / "set" / "tiles").iterdir()) == sorted(
        [NAMES[0], NAMES[2], NAMES[3]]
    )
    assert made(tmp_path / "tiles", tmp_path / "set", microns=0.5).made == 3


def test_the_command_line(tmp_path: Path) -> None:
    for seed, name in enumerate(NAMES):
        tile(tmp_path / "tiles" / name, seed)
    words = ["dataset", "histology", str(tmp_path / "tiles"), "-o", str(tmp_path / "set"), "--microns", "1.0", "-q"]
    done = CliRunner().invoke(build(), words)
    assert done.exit_code == 0, done.output
    assert "4 images of 3 patients: 2 non_tumour, 1 non_viable, 1 viable" in done.output
    tile(tmp_path / "tiles" / "other.jpg")
    done = CliRunner().invoke(build(), words)
    assert done.exit_code == 3
    assert "! other.jpg left out: neither its name nor its folder gives the class" in done.output


@pytest.mark.shared_data
def test_the_public_tiles(shared_data: Path, tmp_path: Path) -> None:
    result = made(shared_data / "osteosarcoma_he_tiles", tmp_path / "set")
    rows = result.manifest.rows
    assert (len(rows), result.skipped) == (45, ())
    assert Counter(row.label for row in rows) == {"non_tumour": 17, "non_viable": 14, "viable": 14}
    assert Counter(row.patient for row in rows) == {"Case-3": 19, "Case-48": 18, "P9": 8}
    assert {(row.extra["rows"], row.extra["columns"]) for row in rows} == {("1024", "1024")}
    assert {row.label for row in rows if row.patient == "P9"} == {"non_tumour"}
    slides = {row.study for row in rows}
    assert {"Case-3-A15", "Case-48-P5-C18", "P9-B28"} <= slides
