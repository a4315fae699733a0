"""The choice among series: the rule, the reasons, the refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteon.errors import InputError
from osteon.io import choose_series, find_images, open_volume
from osteon.io.choose import kernel_is_sharp
from osteon.io.image import write_png8
from osteon.reading.case import CaseOptions, read

Make = Callable[..., Path]


def derived(ds: Dataset, index: int) -> None:
    ds.ImageType = ["DERIVED", "SECONDARY", "MPR"]


def kernel(name: str) -> Callable[[Dataset, int], None]:
    return lambda ds, index: setattr(ds, "ConvolutionKernel", name)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({}, {"edit": derived}, "original, not derived"),
        ({}, {"orientation": (0, 1, 0, 0, 0, -1), "step": (2, 0, 0)}, "axial"),
        ({}, {"short": True}, "more slices"),
        ({"step": (0, 0, 1)}, {"step": (0, 0, 3)}, "thinner slices"),
        ({"edit": kernel("B30s")}, {"edit": kernel("B70s")}, "soft-tissue kernel"),
        ({"series_number": 3}, {"series_number": 4}, "lower series number"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_rule(
    make_series: Make,
    body: NDArray[np.int16],
    better: dict[str, object],
    worse: dict[str, object],
    reason: str,
    swapped: bool,
) -> None:
    uids = ("1.2.9", "1.2.8") if swapped else ("1.2.8", "1.2.9")
    worse = dict(worse)
    stored = body[:4] if worse.pop("short", False) else body
    make_series(series_uid=uids[0], **better)
    folder = make_series(series_uid=uids[1], prefix="worse", stored=stored, **worse)
    with find_images(folder) as inventory:
        chosen = choose_series(inventory)
        assert chosen.series.uid == uids[0]
        assert f"Chosen over 1 other readable series: {reason}." in chosen.reasons
        assert chosen.notices[0].code == "series-chosen"
        assert reason in chosen.notices[0].text
        assert choose_series(inventory, series_uid=uids[1]).series.uid == uids[1]


def test_unreadable_series_are_named_with_their_problem(make_series: Make, body: NDArray[np.int16]) -> None:
    def scout(ds: Dataset, index: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    folder = make_series()
    make_series(series_uid="1.2.77", prefix="scout", edit=scout)
    with find_images(folder) as inventory:
        reasons = choose_series(inventory).reasons
        assert "Not series 1.2.77: it holds only localizer images, which are not a volume." in reasons
        with pytest.raises(InputError, match="only localizer"):
            choose_series(inventory, series_uid="1.2.77")


@pytest.mark.parametrize(
    ("modality", "found"), [("MR", r"1 MR series \(6 images\)"), ("DX", r"1 DX series \(6 images\)")]
)
def test_another_modality_is_refused(make_series: Make, modality: str, found: str) -> None:
    folder = make_series(modality=modality)
    with find_images(folder) as inventory:
        with pytest.raises(InputError, match=f"asked for a CT series, found {found}"):
            choose_series(inventory)
        if modality == "DX":
            with pytest.raises(InputError, match="radiographs"):
                choose_series(inventory, modality="DX")
        else:
            assert choose_series(inventory, modality="MR").problem is None


def test_two_patients_are_refused_unless_the_series_is_named(make_series: Make) -> None:
    folder = make_series(series_uid="1.2.1", patient_name="Smith^Anna")
    make_series(series_uid="1.2.2", patient_id="P2", patient_name="Jones^Bert", prefix="b")
    with find_images(folder) as inventory:
        with pytest.raises(InputError, match=r"images of 2 patients.*--series") as caught:
            choose_series(inventory)
        text = str(caught.value)
        assert "1.2.1" in text
        assert "1.2.2" in text
        for secret in ("Smith", "Anna", "Jones", "P2"):
            assert secret not in text
        assert choose_series(inventory, series_uid="1.2.2").patient.identifier == "P2"


def test_two_patients_under_one_uid_never_become_one_volume(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(series_uid="1.2.1", patient_id="P1")
    make_series(series_uid="1.2.1", patient_id="P2", stored=body[:2], origin=(-10, 20, -288), prefix="b")
    with find_images(folder) as inventory:
        for uid in (None, "1.2.1"):
            with pytest.raises(InputError, match="images of 2 patients"):
                choose_series(inventory, series_uid=uid)


def test_one_patient_written_in_two_ways_is_one(make_series: Make) -> None:
    folder = make_series(patient_name="Smith^Anna")
    make_series(patient_name="SMITH^ANNA^^", prefix="b")
    with find_images(folder) as inventory:
        assert choose_series(inventory).problem is None


def test_unknown_uid_lists_what_is_there(make_series: Make) -> None:
    folder = make_series(series_uid="1.2.1")
    with (
        find_images(folder) as inventory,
        pytest.raises(InputError, match=r"1\.2\.404 is not here; found CT, 6 images.*1\.2\.1"),
    ):
        choose_series(inventory, series_uid="1.2.404")


@pytest.mark.parametrize(
    ("name", "sharp"),
    [
        ("B70s", True), ("B30f", False), ("Br40d", False), ("Br64", True), ("Hr60", True), ("FC30", True),
        ("FC08", False), ("FC51", True), ("BONE", True), ("BONEPLUS", True), ("STANDARD", False), ("SOFT", False),
        ("YA", True), ("", None), ("something", None),
    ],
)  # fmt: skip
def test_kernels_of_the_makers(name: str, sharp: bool | None) -> None:
    assert kernel_is_sharp(name) is sharp


def series_of(folder: Path) -> list[tuple[str, int]]:
    with find_images(folder) as inventory:
        return [(entry.series.uid, entry.n_images) for entry in inventory.entries]


def test_a_series_uid_for_each_slice_is_one_scan(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(edit=lambda ds, index: setattr(ds, "SeriesInstanceUID", f"1.2.7.{index + 1}"), thickness=None)
    assert series_of(folder) == [("1.2.7.1", 6)]
    volume = open_volume(folder)
    assert np.array_equal(volume.array, body - 1024)
    assert volume.source is not None
    (notice,) = (one for one in volume.source.notices if one.code == "series-joined")
    assert "6 series continue each other" in notice.text


@pytest.mark.parametrize("overlap", [0, 1])
def test_one_scan_cut_into_two_series(make_series: Make, body: NDArray[np.int16], overlap: int) -> None:
    make_series(series_uid="1.2.7.1", series_number=3)
    place = (-10.0, 20.0, -288.0 - 2 * overlap)
    folder = make_series(series_uid="1.2.7.2", series_number=4, stored=body[:5] + 1, origin=place, prefix="upper")
    volume = open_volume(folder)
    assert np.array_equal(volume.array[:6], body - 1024)
    assert np.array_equal(volume.array[6:], body[overlap:5] + 1 - 1024)
    with find_images(folder) as inventory:
        assert choose_series(inventory, series_uid="1.2.7.2").grid.shape[0] == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "other",
    [
        {"frame_of_reference": "1.2.3.5"},
        {"patient_name": "Test^Two", "patient_id": "P1"},
        {"spacing": (1.5, 1.1)},
        {"edit": lambda ds, _: setattr(ds, "ConvolutionKernel", "B70s")},
        {"origin": (-10.0, 20.0, -300.0)},  # another phase of the same places
        {"origin": (-10.0, 20.0, -250.0)},  # far away
    ],
)
def test_other_series_are_not_joined(make_series: Make, body: NDArray[np.int16], other: dict[str, Any]) -> None:
    make_series(series_uid="1.2.7.1")
    given = {"origin": (-10.0, 20.0, -288.0), "stored": body + 1} | other
    folder = make_series(series_uid="1.2.7.2", prefix="upper", **given)
    assert sorted(series_of(folder)) == [("1.2.7.1", 6), ("1.2.7.2", 6)]


def test_a_like_series_elsewhere_is_in_the_headline(make_series: Make, body: NDArray[np.int16]) -> None:
    make_series(series_uid="1.2.7.1")
    folder = make_series(series_uid="1.2.7.2", stored=body[:4], origin=(-10.0, 20.0, -250.0), prefix="upper")
    source = open_volume(folder).source
    assert source is not None
    (notice,) = (one for one in source.notices if one.code == "slices-elsewhere")
    assert "1.2.7.2" in notice.text
    assert notice.headline == "4 of 10 slices of like series were not read."


def test_an_empty_patient_id_on_some_images_is_named(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.PatientID = "" if index < 2 else "P1"

    with pytest.raises(InputError, match=r"Patient ID \(0010,0020\) is empty on 2 of 6 images, within one Series"):
        open_volume(make_series(edit=edit))


def test_a_task_that_refuses_says_which_series_it_was_and_which_others_there_are(
    make_series: Make, body: NDArray[np.int16]
) -> None:
    make_series(series_uid="1.2.7.1")
    folder = make_series(series_uid="1.2.7.2", stored=body[:4] + 1, prefix="other")
    with pytest.raises(InputError, match=r"Series 1\.2\.7\.1 was taken \(6 images\); others, .* series 1\.2\.7\.2$"):
        read(folder, options=CaseOptions(task="ct_osteosarcoma"))


@pytest.mark.parametrize("in_folder", [True, False])
def test_a_picture_is_told_which_tasks_read_it(tmp_path: Path, in_folder: bool) -> None:
    path = tmp_path / "picture.png"
    write_png8(path, np.arange(64, dtype=np.uint8).reshape(8, 8))
    with pytest.raises(InputError, match=r"A picture is read when it is named itself, .*: mri_femur, histology"):
        read(tmp_path if in_folder else path, options=CaseOptions())


def test_a_radiograph_is_told_which_tasks_read_it(make_series: Make) -> None:
    with pytest.raises(InputError, match="DX is a radiograph: "):
        read(make_series(modality="DX"), options=CaseOptions())
