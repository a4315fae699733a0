"""Real series with a list of labels: DICOM in, pictures out, and every slip of the list named with its row."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from osteon.data.options import silent
from osteon.data.system import MadeDataset
from osteon.errors import InputError
from osteon.geometry import Box
from osteon.systems.ct_osteosarcoma.dataset import (
    MAKER,
    BuildOptions,
    OpenedCase,
    SliceLabels,
    TumourBoxes,
    make_dataset,
    read_labels,
)
from osteon.systems.ct_osteosarcoma.options import DatasetOptions
from osteon.train.datasets.case_builder import BuiltDataset, SeriesCase, build_cases
from osteon_phantoms import make_leg_ct, people
from osteon_phantoms.files import write_ct_phantom
from osteon_phantoms.study import LegStudy

OPTIONS = BuildOptions(size=32, most=8)
BOX = "slice_first,slice_last,row_first,row_last,column_first,column_last"


def build(series: Path, labels: Path, out: Path) -> MadeDataset:
    """With ``OPTIONS``."""
    return make_dataset(series, out, DatasetOptions(labels=labels, size=32, most=8), 1, silent)


@dataclass(frozen=True)
class Archive:
    """Two series below one folder: "ill" with a tumour in a box, "well" without."""

    folder: Path
    box: Box
    case: SeriesCase[OpenedCase]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    persons = people("ct_osteosarcoma", 10, seed=1, options=LegStudy(preset="tiny"))
    ill = next(one for one in persons if one.label == "tumour" and one.spec.amputee is None)
    well = next(one for one in persons if one.columns["kind"] == "osteomyelitis")
    phantom = make_leg_ct(ill.spec)
    write_ct_phantom(phantom, folder / "a" / "ill")
    write_ct_phantom(make_leg_ct(well.spec), folder / "well")
    # the folder that holds the files names the series
    (folder / "a" / "ill" / "dicom").rename(folder / "a" / "series ill")
    (folder / "well" / "dicom").rename(folder / "well" / "series well")
    box = phantom.lesions[0].box
    assert box is not None
    labels = TumourBoxes((box,))
    case = SeriesCase(
        name="007-1",
        patient="007",
        open=lambda: OpenedCase(phantom.volume, labels),
        fingerprint="",
    )
    return Archive(folder, box, case)


def _labels(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _row_of(box: Box) -> str:
    return ",".join(f"{first},{stop - 1}" for first, stop in zip(box.start, box.stop, strict=True))


def test_series_with_boxes_become_pictures(archive: Archive, tmp_path: Path) -> None:
    text = f"series,patient,label,centre,{BOX}\nseries ill,007,tumour,here,{_row_of(archive.box)}\n"
    path = _labels(tmp_path, f"{text}series well,008,healthy,here,,,,,,\n")
    made = build(archive.folder, path, tmp_path / "set")
    built = made.built
    # the truth of each phantom is beside as NIfTI
    assert made.lines == ("- 2 series there are not in labels.csv: not used",)
    assert built.skipped == ()
    manifest = built.manifest
    assert manifest.patients == ("007", "008")
    assert {row.centre for row in manifest.rows} == {"here"}
    assert {row.label for row in manifest.rows if row.patient == "008"} == {"healthy"}
    assert len({row.series for row in manifest.rows}) == 2
    assert all(row.series and row.study and row.sex and row.age_years for row in manifest.rows)
    # the same series from memory gives the same pictures with the same labels
    direct = build_cases([archive.case], tmp_path / "direct", MAKER, options=OPTIONS).manifest
    ours = [row for row in manifest.rows if row.patient == "007"]
    assert [(row.image, row.label) for row in ours] == [(row.image, row.label) for row in direct.rows]
    assert {row.label for row in ours} == {"tumour", "healthy"}
    for row in ours:
        assert (manifest.folder / row.image).read_bytes() == (direct.folder / row.image).read_bytes()
    written = (tmp_path / "set" / "manifest.csv").read_text("utf-8")
    assert "series ill" not in written
    again = build(archive.folder, path, tmp_path / "set").built
    assert again.made == 0


def test_labelled_slices_of_a_series_by_uid(archive: Archive, tmp_path: Path) -> None:
    uid = build_cases([archive.case], tmp_path / "direct", MAKER, options=OPTIONS).manifest.rows[0].series
    assert uid == ""
    text = "series,patient,slice,label,leg\nseries ill,7,12,tumour,left\nseries ill,7,13,healthy,right\n"
    built = build(archive.folder, _labels(tmp_path, text), tmp_path / "one").built
    rows = built.manifest.rows
    assert [(row.extra["leg"], row.extra["slice"], row.label, row.plane) for row in rows] == [
        ("right", "13", "healthy", "axial"),
        ("left", "12", "tumour", "axial"),
    ]
    by_uid = _labels(tmp_path, text.replace("series ill", rows[0].series))
    again = build(archive.folder, by_uid, tmp_path / "two").built
    assert [row.image for row in again.manifest.rows] == [row.image for row in rows]
    both = text + f"{rows[0].series},7,14,healthy,left\n"
    with pytest.raises(InputError, match="names a series in two ways"):
        build(archive.folder, _labels(tmp_path, both), tmp_path / "three")
    unknown = _labels(tmp_path, "series,patient,label\nserie wel,1,healthy\n")
    with pytest.raises(InputError, match="no series 'serie wel' there: did you mean 'series well'"):
        build(archive.folder, unknown, tmp_path / "four")
    assert not (tmp_path / "four").exists()


def test_what_was_found_can_be_opened_in_another_process(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[SeriesCase[OpenedCase]] = []

    def keep(cases: list[SeriesCase[OpenedCase]], out: Path, *_: object, **options: object) -> BuiltDataset:
        asked.extend(pickle.loads(pickle.dumps(cases)))  # noqa: S301 - what a process is given
        return build_cases([archive.case], out, MAKER, options=OPTIONS)

    monkeypatch.setattr("osteon.systems.ct_osteosarcoma.dataset.build_cases", keep)
    path = _labels(tmp_path, "series,patient,label\nseries ill,1,healthy\n")
    build(archive.folder, path, tmp_path / "set")
    assert np.array_equal(asked[0].open().volume.array, archive.case.open().volume.array)


def test_rows_of_every_kind_are_read(tmp_path: Path) -> None:
    header = f"series,patient,label,slice,leg,sex,age_years,{BOX}\n"
    text = "a,1,tumour,,,F,,0,4,1,1,2,9\na,1,,,,,12.5,5,5,0,0,0,0\nb,2,healthy,3,left,,,,,,,,\nc,3,healthy,,,,,,,,,,\n"
    boxed, sliced, healthy = read_labels(_labels(tmp_path, header + text))
    assert boxed.labels == TumourBoxes((Box((0, 1, 2), (5, 2, 10)), Box((5, 0, 0), (6, 1, 1))))
    assert boxed.about == {"patient": "1", "sex": "F", "age_years": "12.5"}
    assert sliced.labels == SliceLabels({(3, "left"): False})
    assert healthy.labels == TumourBoxes()


def test_whole_numbers_that_a_data_frame_made_floats_are_whole(tmp_path: Path) -> None:
    header = f"series,patient,label,slice,leg,sex,age_years,{BOX}\n"
    text = "a,1,tumour,,,,,0.0,4.0,1.0,1.0,2.0,9.0\nb,2,healthy,3.0,left,,,,,,,,\nc,3,healthy,nan,NA,None,,,,,,,\n"
    boxed, sliced, healthy = read_labels(_labels(tmp_path, header + text))
    assert boxed.labels == TumourBoxes((Box((0, 1, 2), (5, 2, 10)),))
    assert sliced.labels == SliceLabels({(3, "left"): False})
    assert healthy.labels == TumourBoxes()
    with pytest.raises(InputError, match=r"row 1 has the slice '3\.5'"):
        read_labels(_labels(tmp_path, header + "a,1,healthy,3.5,,,,,,,,,\n"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "has no rows"),
        (",1,healthy,,,,,,,,\n", "row 1 lacks its series or patient"),
        ("a,1,healthy,,,,,,,,\na,2,healthy,,,,,,,,\n", "row 2 gives its series another patient"),
        ("a,1,tumor,3,,,,,,,\n", "row 1 has the label 'tumor': did you mean 'tumour'"),
        ("a,1,tumour,,,,,,,,\n", "row 1 is none of: a box"),
        ("a,1,,,,0,1,0,1,0,\n", "row 1 is none of: a box"),
        ("a,1,healthy,,,0,1,0,1,0,1\n", "row 1 is none of: a box"),
        ("a,1,,,,0,1,0,1,5,4\n", "row 1 has a box whose last index is before its first"),
        ("a,1,,,,0,1,0,1,x,4\n", "row 1 has the column_first 'x'"),
        ("a,1,tumour,-3,,,,,,,\n", "row 1 has the slice '-3'"),
        ("a,1,tumour,3,both,,,,,,\n", "row 1 has the leg 'both'"),
        ("a,1,tumour,3,,,,,,,\na,1,healthy,3,,,,,,,\n", "row 2 labels a slice that an earlier row labels"),
        ("a,1,tumour,3,,,,,,,\na,1,,,,0,1,0,1,0,1\n", "row 2: a series has boxes, labelled slices, or is healthy"),
    ],
)
def test_a_slip_is_named_with_its_row(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labels(_labels(tmp_path, f"series,patient,label,slice,leg,{BOX}\n{rows}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serie,patient\na,b\n", "no column 'series': did you mean 'serie'"),
        ("series,patient,lable\na,b,c\n", "a column 'lable': did you mean 'label'"),
        ("series,patient,label,sex\na,1,healthy,female\n", "row 1 has the sex 'female'"),
        ("series,patient,label,age_years\na,1,healthy,old\n", "row 1 has the age_years 'old'"),
        ("series,patient,label,split\na,1,healthy,tset\n", "row 1 has the split 'tset'"),
    ],
)
def test_columns_that_are_wrong_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labels(_labels(tmp_path, text))
