"""Whether values are Hounsfield units and show a trunk: what is, what is not, and what the words name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.data import Volume
from osteon.errors import NotThisTaskError
from osteon.geometry import Grid
from osteon.io import open as open_image
from osteon.ops.hu_check import hu_faults, require_checks, trunk_faults

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (20, 100, 120)
Change = Callable[["NDArray[np.float32]"], "NDArray[Any]"]


def body(*, radius_mm: float = 160.0) -> Volume:
    """An ellipse of fat around muscle with a round bone of 25 mm in air; 4 mm pixels."""
    grid = Grid.from_axes(shape=SHAPE, spacing_mm=(5.0, 4.0, 4.0))
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    far = 4 * np.hypot((y - 50) * 1.3, x - 60)
    plane = np.where(far < radius_mm, np.where(far < radius_mm - 25, 45.0, -100.0), -1000.0)
    plane[4 * np.hypot(y - 70, x - 60) < 25] = 500
    noise = np.random.default_rng(1).normal(0, 12, SHAPE)
    return Volume(np.rint(plane + noise).astype(np.int16), grid, "CT", unit="HU")


def first_slices_plus(array: NDArray[np.float32]) -> NDArray[Any]:
    array[3:6] += 1024
    return array


FAULTY: dict[str, tuple[Change, str]] = {
    "no intercept": (lambda hu: hu + 1024, "nothing has the values of air"),
    "an intercept twice": (lambda hu: hu - 1024, "air is at about -11"),
    "half the slope": (lambda hu: hu / 2, "air is at about -"),
    "tenths": (lambda hu: hu * 10, "air is at about -12"),
    "an MRI": (lambda hu: np.abs(hu) / 2, "nothing has the values of air"),
    "a picture of 8 bits": (lambda hu: np.clip((hu + 160) / 400, 0, 1) * 255, "nothing has the values of air"),
    "a window": (lambda hu: np.clip(hu, -160, 240), "cut off at -160"),
    "cut at the top": (lambda hu: np.clip(hu, -1024, 60), "cut off at 60"),
    "some slices without rescaling": (first_slices_plus, "3 of 20 slices have another scale"),
    "nothing": (lambda hu: hu * 0, "every voxel is 0"),
    "padding alone": (lambda hu: hu * 0 - 2000, "every voxel is below"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_what_are_no_hounsfield_units(name: str) -> None:
    change, words = FAULTY[name]
    found = hu_faults(change(body().array.astype(np.float32)))
    assert len(found) == 1
    assert words in found[0]


def test_a_body_is_in_hounsfield_units() -> None:
    volume = body()
    assert hu_faults(volume.array) == []
    assert hu_faults(volume.array[:, 22:78, 55:65]) == []  # no air in it
    padded = volume.array.copy()
    padded[:, :10] = -2048
    assert hu_faults(padded) == []
    metal = volume.array.copy()
    metal[5:9, 50:55, 60:65] = 3071
    assert hu_faults(metal) == []


def test_a_trunk_is_not_a_limb_a_head_or_a_patch() -> None:
    trunk = body()
    assert trunk_faults(trunk) == []
    patch = Volume(trunk.array[:, :24, :24], Grid.from_axes(shape=(20, 24, 24), spacing_mm=(5.0, 4.0, 4.0)), "CT")
    assert trunk_faults(patch) == ["the images are 96 mm wide: a part of the trunk, cut out"]
    (thin,) = trunk_faults(body(radius_mm=50.0))
    assert thin.startswith("the body fills ")
    legs = trunk.array.copy()
    legs[:] = -1000
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for side in (30, 90):
        legs[:, 4 * np.hypot(y - 50, x - side) < 80] = 50
    assert trunk_faults(Volume(legs, trunk.grid, "CT")) == [
        "two parts of like size, as two legs, are seen in 20 of 20 slices"
    ]
    head = trunk.array.copy()
    far = 4 * np.hypot(y - 50, x - 60)
    head[:] = np.where(far < 95, np.where(far < 80, np.where(far < 72, 35, 900), 40), -1000)
    assert trunk_faults(Volume(head, trunk.grid, "CT"))[0] == "a skull is seen in 20 of 20 slices"


def test_a_failed_check_stops_or_is_named() -> None:
    assert require_checks([], wanted="a CT", force=False) == []
    with pytest.raises(NotThisTaskError, match=r"asked for a CT, but air is at 24; more\. Give such images.*--force"):
        require_checks(["air is at 24", "more"], wanted="a CT", force=False)
    (notice,) = require_checks(["air is at 24"], wanted="a CT", force=True)
    assert (notice.level, "air is at 24" in notice.text) == ("warning", True)


@pytest.mark.shared_data
def test_patients_pass(shared_data: Path) -> None:
    for name in (
        "vhf_ankle_ct_dicom",
        "totalseg_ct/example_ct.nii.gz",
        *(f"blds_bone_mets_ct/{k}.nii.gz" for k in range(1, 6)),
    ):
        volume = open_image(shared_data / name)
        assert isinstance(volume, Volume)
        assert hu_faults(volume.array) == [], name
        assert (trunk_faults(volume) == []) == name.startswith("totalseg"), name
