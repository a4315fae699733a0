"""MR slices with marked lesions become crops: as the reading cuts them, patients whole, what is neither class told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from osteon.app.cli.program import build
from osteon.data.options import silent
from osteon.data.system import MadeDataset
from osteon.errors import InputError, OsteonError
from osteon.io.image import read_image
from osteon.io.table import read_manifest
from osteon.ops.mr_region import RegionOptions, lesion_crop, lesion_in_box, lesion_of_mask, normalise
from osteon.systems.mri_femur.dataset import FemurOptions, make_dataset, parse_box, read_femur_table
from osteon.systems.mri_femur.options import DatasetOptions
from osteon.train.pixels import load_pixels

OPTIONS = FemurOptions(region=RegionOptions(margin_px=6, size=32))
COLUMNS = ("image", "patient", "label", "mask", "box", "sex", "age_years", "series", "sequence")


def make(source: Path, out: Path, **options: object) -> MadeDataset:
    asked = {"margin": 6, "size": 32, **options}
    return make_dataset(source, out, DatasetOptions(**asked), 1, silent)  # type: ignore[arg-type]  # fields of it


def slice_and_mask(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A dark slice of noise with a bright disc."""
    generator = np.random.default_rng(seed)
    row, column = np.mgrid[:80, :100]
    mask = np.hypot(row - 30 - seed, column - 50) < 9
    return np.clip(generator.normal(60, 8, mask.shape) + 90 * mask, 0, 255).astype(np.uint8), mask


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four patients: two benign slices of a, one malignant of b (a box), one intermediate of c, d without a file."""
    folder = tmp_path / "source"
    (folder / "masks").mkdir(parents=True)
    rows = []
    for number, (patient, label) in enumerate(
        (("a", "benign"), ("a", "benign"), ("b", "malignant"), ("c", "intermediate"), ("d", "malignant"))
    ):
        image, mask = slice_and_mask(number)
        name = f"{patient}-{number}.png"
        if patient != "d":
            cv2.imwrite(str(folder / name), image)
            cv2.imwrite(str(folder / "masks" / name), mask.astype(np.uint8) * 255)
        marked = {"box": "21,38,45,62"} if patient == "b" else {"mask": f"masks/{name}"}
        about = {"sex": "F", "age_years": "61", "series": f"s{number}", "sequence": "STIR"}
        rows.append({"image": name, "patient": patient, "label": label, **marked, **about})
    write_labels(folder, rows)
    return folder


def write_labels(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_crops_are_what_the_reading_cuts_out(source: Path, tmp_path: Path) -> None:
    made = make(source, tmp_path / "data")
    built = made.built
    assert [(row.patient, row.label) for row in built.manifest.rows] == [
        ("a", "benign"),
        ("a", "benign"),
        ("b", "malignant"),
    ]
    assert made.lines == ("- 1 images of intermediate lesions left out (--intermediate benign keeps them)",)
    (lost,) = [item for item in built.skipped if item.name.startswith("d/")]
    assert "cannot be read" in lost.reason
    pixels = load_pixels(read_manifest(tmp_path / "data"), size=32, cache=None, is_stretched=False)
    for number, seed in ((0, 0), (1, 1)):
        image, mask = slice_and_mask(seed)
        wanted = lesion_crop(normalise(image), lesion_of_mask(mask, options=OPTIONS.region), options=OPTIONS.region)
        assert np.abs(pixels.crops(np.array([number]))[0] - wanted).max() <= 0.5 / 255 + 1e-4
    image, _ = slice_and_mask(2)
    grey = normalise(image)
    wanted = lesion_crop(
        grey, lesion_in_box(grey, parse_box("21,38,45,62"), options=OPTIONS.region), options=OPTIONS.region
    )
    assert np.abs(pixels.crops(np.array([2]))[0] - wanted).max() <= 0.5 / 255 + 1e-4
    row = built.manifest.rows[0]
    assert (row.sex, row.age_years, row.series) == ("F", 61.0, "s0")
    assert {name: row.extra[name] for name in ("look", "margin_px", "masked", "sequence", "file")} == {
        "look": "benign",
        "margin_px": "6",
        "masked": "no",
        "sequence": "STIR",
        "file": "a-0.png",
    }


def test_intermediate_lesions_count_as_benign_where_that_is_said(source: Path, tmp_path: Path) -> None:
    made = make(source, tmp_path / "data", intermediate="benign")
    built = made.built
    (row,) = [row for row in built.manifest.rows if row.patient == "c"]
    assert (row.label, row.extra["look"]) == ("benign", "intermediate")
    assert not made.lines
    assert "1 images of intermediate lesions count as benign" in (tmp_path / "data" / "cohort.md").read_text("utf-8")


def test_what_is_done_is_kept_and_other_options_make_it_anew(source: Path, tmp_path: Path) -> None:
    first = make(source, tmp_path / "data").built
    again = make(source, tmp_path / "data").built
    assert (first.made, again.made) == (4, 0)
    assert first.manifest.sha256 == again.manifest.sha256
    other = make(source, tmp_path / "data", masked=True).built
    assert other.made == 4
    crop = read_image(tmp_path / "data" / other.manifest.rows[0].image)
    assert crop[0, 0] == 0 < crop[16, 16]


def test_a_mask_of_another_size_is_left_out_by_name(source: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(source / "masks" / "a-0.png"), np.full((10, 10), 255, np.uint8))
    built = make(source, tmp_path / "data").built
    (lost,) = [item for item in built.skipped if item.name.startswith("a/")]
    assert "10 x 10 pixels, its image has 80 x 100" in lost.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "malignent"}, "row 1 has the label 'malignent': .*malignant"),
        ({"mask": "", "box": ""}, "either a mask or a box"),
        ({"box": "1,2,3,4"}, "either a mask or a box"),
        ({"mask": "", "box": "1,2,3"}, "row 1: the box '1,2,3' is not R0,C0,R1,C1"),
        ({"mask": "", "box": "9,2,3,8"}, "row 1: the lesion box 9,2,3,8 is empty"),
        ({"patient": ""}, "row 1 lacks its patient"),
        ({"sex": "M"}, "row 2 gives its patient another sex"),
        ({"sex": "W"}, "row 1 has the sex 'W'"),
        ({"image": "a-1.png"}, "row 2 names a slice that an earlier row names"),
    ],
)
def test_a_wrong_row_is_named(source: Path, change: dict[str, str], says: str) -> None:
    with (source / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write_labels(source, [{**rows[0], **change}, *rows[1:]])
    with pytest.raises(InputError, match=says):
        read_femur_table(source / "labels.csv", source)


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(OsteonError, match="leave-out"):
        FemurOptions(intermediate="leaveout")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 16 pixels"):
        FemurOptions(region=RegionOptions(size=8))


def test_the_command_counts_what_it_leaves_out(source: Path, tmp_path: Path) -> None:
    (source / "d-4.png").write_bytes((source / "a-0.png").read_bytes())
    (source / "masks" / "d-4.png").write_bytes((source / "masks" / "a-0.png").read_bytes())
    command = ["dataset", "mri_femur", str(source), "-o", str(tmp_path / "data"), "--size", "32", "-q"]
    result = CliRunner().invoke(build(), command)
    assert result.exit_code == 0, result.output
    assert "1 images of intermediate lesions left out" in result.output
    assert "4 images of 3 patients: 2 benign, 2 malignant" in result.output
    document = json.loads((tmp_path / "data" / "dataset.json").read_text(encoding="utf-8"))
    assert document["options"]["region"]["margin_px"] == 20
    assert document["complete"]
