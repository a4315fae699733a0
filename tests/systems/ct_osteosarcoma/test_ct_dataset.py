"""The data set of the CT study: pictures as reading sees them, labels that are true, and nothing made twice."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.app.cli.phantom import Cohort, build_cohort
from osteon.data import ImageRow, Manifest, Volume
from osteon.errors import GeometryMismatchError, InputError, NotThisTaskError, OutputError, UnknownLabelError
from osteon.geometry import Box
from osteon.io.image import read_image
from osteon.io.table import read_manifest
from osteon.ops.crops import leg_crops
from osteon.ops.legs import Leg, find_legs
from osteon.systems.ct_osteosarcoma.dataset import (
    MAKER,
    BuildOptions,
    OpenedCase,
    SliceLabels,
    TruthMask,
    TumourBoxes,
    leg_pictures,
)
from osteon.systems.ct_osteosarcoma.options import LabelledOptions
from osteon.train.datasets.case_builder import BuiltDataset, SeriesCase, build_cases
from osteon.train.datasets.cohort_table import cohort_lines, write_cohort
from osteon_phantoms import people
from osteon_phantoms.study import LegStudy, images_of
from tests.read_back import missing_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINY = people("ct_osteosarcoma", 10, seed=1, options=LegStudy(preset="tiny"))
COHORT = Cohort(task="ct_osteosarcoma", patients=10, options=LegStudy(preset="tiny"))
PICTURES = LabelledOptions(most=6, size=64, faint=0.0)
"""Those of ``tiny_cohort``."""


@dataclass(frozen=True)
class Found:
    """A synthetic patient with a tumour, opened, with its legs."""

    volume: Volume
    legs: tuple[Leg, ...]
    tumour: NDArray[np.bool_]


@pytest.fixture(scope="module")
def patient() -> Found:
    person = next(one for one in TINY if one.label == "tumour" and one.spec.amputee is None)
    (drawn,) = images_of("ct_osteosarcoma", person, LegStudy())
    assert isinstance(drawn.image, Volume)
    return Found(drawn.image, find_legs(drawn.image).legs, drawn.masks["lesion"])


def test_axial_pictures_are_what_reading_sees(patient: Found) -> None:
    for leg in patient.legs:
        options = BuildOptions(planes=("axial",), size=64)
        made = list(leg_pictures(patient.volume, leg, TumourBoxes(), options=options))
        wanted = leg_crops(patient.volume.array, leg.box, leg.present, size=64, keep=leg.mask())
        assert [picture.index for picture in made] == np.flatnonzero(leg.present).tolist()
        assert np.array_equal(np.stack([picture.pixels for picture in made]), wanted)


def test_labels_are_those_of_the_truth_voxel_by_voxel(patient: Found) -> None:
    """Against a slow count in the volume, for every plane and slice."""
    spacing = patient.volume.grid.spacing_mm
    seen = set()
    for leg in patient.legs:
        mine = np.zeros(patient.tumour.shape, dtype=bool)
        mine[leg.box.slices] = leg.mask()
        mine &= patient.tumour & leg.present[:, None, None]
        options = BuildOptions(size=32)
        for picture in leg_pictures(patient.volume, leg, TruthMask(patient.tumour), options=options):
            axis = {"axial": 0, "coronal": 1, "sagittal": 2}[picture.plane]
            area = np.count_nonzero(mine.take(picture.index, axis)) * np.prod(np.delete(spacing, axis))
            assert picture.tumour_mm2 == pytest.approx(area)
            assert picture.label == ("tumour" if area else "healthy")
            seen.add((picture.plane, picture.label))
    assert len(seen) == 6


def test_a_box_around_the_tumour_labels_the_same_pictures(patient: Found) -> None:
    leg = max(patient.legs, key=lambda one: np.count_nonzero(patient.tumour[one.box.slices] & one.mask()))
    inside = np.zeros(patient.tumour.shape, dtype=bool)
    inside[leg.box.slices] = leg.mask()
    voxels = np.argwhere(patient.tumour & inside & leg.present[:, None, None])
    low, high = voxels.min(axis=0).tolist(), (voxels.max(axis=0) + 1).tolist()
    box = Box(start=(low[0], low[1], low[2]), stop=(high[0], high[1], high[2]))
    options = BuildOptions(size=32)
    by_mask = list(leg_pictures(patient.volume, leg, TruthMask(patient.tumour), options=options))
    by_box = list(leg_pictures(patient.volume, leg, TumourBoxes((box,)), options=options))
    assert [(p.plane, p.index) for p in by_mask] == [(p.plane, p.index) for p in by_box]
    assert {p.tumour_mm2 for p in by_box} == {None}
    for masked, boxed in zip(by_mask, by_box, strict=True):
        axis = {"axial": 0, "coronal": 1, "sagittal": 2}[masked.plane]
        assert boxed.label == ("tumour" if low[axis] <= boxed.index < high[axis] else "healthy")
        assert masked.label == "healthy" or boxed.label == "tumour"


def test_faint_ones_go_and_the_rest_is_thinned_evenly(patient: Found) -> None:
    leg = max(patient.legs, key=lambda one: np.count_nonzero(patient.tumour[one.box.slices] & one.mask()))
    truth = TruthMask(patient.tumour)

    def made(**changes: float) -> list[tuple[str, int, float]]:
        options = replace(BuildOptions(size=16), **changes)  # type: ignore[arg-type]
        pictures = leg_pictures(patient.volume, leg, truth, options=options)
        return [(picture.plane, picture.index, picture.tumour_mm2 or 0.0) for picture in pictures]

    everything = made()
    clear = made(faint_mm2=300.0)
    assert clear == [one for one in everything if not 0 < one[2] < 300]
    assert len(clear) < len(everything)
    for plane in ("axial", "sagittal", "coronal"):
        whole = [one for one in everything if one[0] == plane]
        assert [one for one in made(every=3) if one[0] == plane] == whole[::3]
        some = [one for one in made(most=5) if one[0] == plane]
        assert len(some) == 5
        assert (some[0], some[-1]) == (whole[0], whole[-1])
    assert made(most=10_000) == everything
    assert made(most=1)


def test_labelled_slices_are_used_and_no_others(patient: Found) -> None:
    right, left = patient.legs
    index = int(np.flatnonzero(left.present)[2])
    labels = SliceLabels(
        {(index, "left"): True, (index + 1, "left"): False, (index, "right"): False, (999, "left"): True}
    )
    made = [list(leg_pictures(patient.volume, leg, labels, options=BuildOptions(size=16))) for leg in (right, left)]
    assert [(p.plane, p.index, p.label) for p in made[0]] == [("axial", index, "healthy")]
    assert [(p.index, p.label) for p in made[1]] == [(index, "tumour"), (index + 1, "healthy")]
    unsided = SliceLabels({(index, ""): True})
    assert not list(leg_pictures(patient.volume, left, unsided, options=BuildOptions(size=16)))
    assert len(list(leg_pictures(patient.volume, left, unsided, options=BuildOptions(size=16), only=True))) == 1


def test_a_truth_of_another_shape_is_refused(patient: Found) -> None:
    truth = TruthMask(patient.tumour[1:])
    with pytest.raises(GeometryMismatchError, match="the truth has shape"):
        list(leg_pictures(patient.volume, patient.legs[0], truth, options=BuildOptions()))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"planes": ("axail",)}, UnknownLabelError),
        ({"planes": ()}, InputError),
        ({"every": 0}, InputError),
        ({"most": 0}, InputError),
        ({"size": 8}, InputError),
        ({"faint_mm2": float("nan")}, InputError),
    ],
)
def test_options_without_a_picture_are_refused(changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        BuildOptions(**changes)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------- the builder


def test_the_tiny_cohort_is_whole(tiny_cohort: Path) -> None:
    manifest = read_manifest(tiny_cohort, positive="tumour", labels=("healthy", "tumour"))
    assert manifest.patients == tuple(f"P{number:04}" for number in range(1, 11))
    assert missing_images(manifest) == ()
    on_disk = {str(path.relative_to(tiny_cohort)) for path in (tiny_cohort / "images").rglob("*.png")}
    assert on_disk == set(manifest.column("image").tolist())
    assert set(manifest.column("synthetic").tolist()) == {"yes"}
    assert {row.patient for row in manifest.rows if row.label == "tumour"} == {
        one.patient_id for one in TINY if one.label == "tumour"
    }
    test = {row.patient for row in manifest.rows if row.split == "test"}
    assert len(test) == 2
    assert {one.label for one in TINY if one.patient_id in test} == {"tumour", "healthy"}
    for row in manifest.rows[::29]:
        picture = read_image(tiny_cohort / row.image)
        assert picture.shape == (64, 64)
        assert (picture.min(), picture.max()) == (0.0, 1.0)
    by_id = {one.patient_id: one for one in TINY}
    for row in manifest.rows:
        person = by_id[row.patient]
        assert (row.centre, row.scanner, row.sex, row.age_years, row.extra["kind"]) == (
            person.centre,
            person.scanner,
            person.spec.sex,
            person.spec.age_years,
            person.columns["kind"],
        )
        assert (row.label == "tumour") == (float(row.extra["tumour_mm2"]) > 0)


def test_what_is_there_is_kept_and_what_was_stopped_goes_on(tiny_cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_cohort, folder)
    before = (folder / "manifest.csv").read_bytes()
    again = partial(build_cohort, COHORT, folder, pictures=PICTURES)
    assert again().built.made == 0
    assert (folder / "manifest.csv").read_bytes() == before
    shutil.rmtree(folder / "images" / "P0003")
    (folder / "images" / ".osteon-1.part").mkdir()
    (folder / "manifest.csv").unlink()

    def stop(_step: str, _done: int, total: int) -> None:
        if total:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        again(progress=stop)
    assert json.loads((folder / "dataset.json").read_text("utf-8"))["complete"] is False
    assert again().built.made == 1
    assert (folder / "manifest.csv").read_bytes() == before
    assert not list((folder / "images").glob(".osteon*"))
    assert json.loads((folder / "dataset.json").read_text("utf-8"))["complete"] is True


@pytest.mark.slow
def test_processes_make_what_one_makes(tiny_cohort: Path, tmp_path: Path) -> None:
    build_cohort(replace(COHORT, patients=2, test=None), tmp_path / "two", pictures=PICTURES, workers=2)
    alone = {row.image: row for row in read_manifest(tiny_cohort).rows}
    for row in read_manifest(tmp_path / "two").rows:
        assert replace(row, split="") == replace(alone[row.image], split="")
        assert (tmp_path / "two" / row.image).read_bytes() == (tiny_cohort / row.image).read_bytes()


def build_dataset(
    cases: list[SeriesCase[OpenedCase]], out: Path, *, options: BuildOptions | None = None
) -> BuiltDataset:
    return build_cases(cases, out, MAKER, options=options or BuildOptions())


def _head() -> OpenedCase:
    raise NotThisTaskError("this does not look like legs: a head")


def _case(name: str, volume: Volume, labels: TruthMask | TumourBoxes | SliceLabels) -> SeriesCase[OpenedCase]:
    return SeriesCase(name=name, patient=name, open=lambda: OpenedCase(volume, labels), fingerprint=name)


def test_a_series_that_cannot_be_used_is_listed(patient: Found, tmp_path: Path) -> None:
    corner = Box(start=(0, 0, 0), stop=(1, 1, 1))
    cases = [
        _case("a/ü b", patient.volume, TumourBoxes()),
        SeriesCase(name="head", patient="head", open=_head, fingerprint=""),
        _case("outside", patient.volume, TumourBoxes((corner,))),
        _case("unsided", patient.volume, SliceLabels({(3, ""): True})),
        _case("none", patient.volume, SliceLabels({(10_000, "left"): True})),
    ]
    options = BuildOptions(planes=("axial",), most=2, size=32)
    built = build_dataset(cases, tmp_path / "set", options=options)
    assert [(item.name, item.reason.split(":")[0]) for item in built.skipped] == [
        ("head", "this does not look like legs"),
        ("outside", "a tumour box is outside the legs"),
        ("unsided", "its labelled slices show two legs"),
        ("none", "no picture could be labelled"),
    ]
    assert built.manifest.patients == ("a/ü b",)
    assert missing_images(built.manifest) == ()
    assert "4 of 5 series were left out" in (tmp_path / "set" / "cohort.md").read_text("utf-8")
    with pytest.raises(InputError, match="not one picture could be made of 1 series; the first: this does not"):
        build_dataset(cases[1:2], tmp_path / "other")
    with pytest.raises(InputError, match="series of different names"):
        build_dataset([cases[0], cases[0]], tmp_path / "other")
    with pytest.raises(InputError, match="series of different names"):
        build_dataset([], tmp_path / "other")


def test_another_folder_is_never_written_into(patient: Found, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    cases = [_case("a", patient.volume, TumourBoxes())]
    with pytest.raises(OutputError, match="not empty and holds no data set"):
        build_dataset(cases, tmp_path)
    with pytest.raises(OutputError, match="a file of that name"):
        build_dataset(cases, tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_a_full_disk_stopped_is_made_again(
    patient: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(path: Path, _picture: NDArray[np.float32]) -> None:
        written.append(path)
        if len(written) > 3:
            raise OutputError("disk full")

    monkeypatch.setattr("osteon.systems.ct_osteosarcoma.dataset.write_png16", full)
    with pytest.raises(OutputError, match="disk full"):
        build_dataset([_case("a", patient.volume, TumourBoxes())], tmp_path / "set")
    assert list((tmp_path / "set" / "cases").iterdir()) == []
    monkeypatch.undo()
    assert build_dataset([_case("a", patient.volume, TumourBoxes())], tmp_path / "set").made == 1


# ------------------------------------------------------------------------------------------------------------ the table


def _people() -> Manifest:
    people = [("A", "F", 9.0, "north", "tumour"), ("B", "M", 15.0, "north", "healthy"), ("C", "", None, "", "healthy")]
    rows = [
        ImageRow(image=f"{who}{i}.png", patient=who, label="healthy" if i else label, sex=sex, age_years=age, centre=at)
        for who, sex, age, at, label in people
        for i in range(2)
    ]
    return Manifest(Path("set"), tuple(rows))


def test_the_cohort_table_counts_patients_and_images(tmp_path: Path) -> None:
    """Worked out by hand."""
    lines = {(by, group): counts for by, group, *counts in cohort_lines(_people())}
    assert lines["all", "everybody"] == ["3", "6", "3", "1", "5", "1"]
    assert lines["centre", "north"] == ["2", "4", "2", "1", "3", "1"]
    assert {group for by, group in lines if by == "age (years)"} == {"0-9", "10-17", "unknown"}
    write_cohort(_people(), tmp_path, notes=["1 series was left out."])
    table = list(csv.DictReader((tmp_path / "cohort.csv").read_text("utf-8").splitlines()))
    assert table[0]["tumour images"] == "1"
    assert (table[0]["patients with tumour images"], table[0]["patients with healthy images"]) == ("1", "3")
    page = (tmp_path / "cohort.md").read_text("utf-8")
    assert "| sex | F | 1 | 2 | 1 | 1 | 1 | 1 |" in page
    assert "1 series was left out." in page
