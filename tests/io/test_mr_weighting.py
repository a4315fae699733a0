"""What is read from the header of an MR about its weighting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import Volume
from osteon.geometry import Grid
from osteon.io import find_images
from osteon.io.dicom.weighting import mr_weighting
from osteon.io.dicom.write_series import MrSeriesInfo, write_mr_series

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "weighting"),
    [
        (["AXIAL SE T1 - RESEARCH"], "T1"),
        (["t1_tse_tra"], "T1"),
        (["AX T1W FSE", "THIGH"], "T1"),
        (["T1 FATSAT +C"], "T1 FS"),
        (["cor t2_tirm"], "STIR"),
        (["AX T2 FS"], "T2 FS"),
        (["SAG PD SPAIR"], "PD FS"),
        (["AX T2* GRE"], "T2*"),
        (["ADC map"], "DWI"),
        (["T1 and T2 registered"], ""),
        (["LAT1 THIGH"], ""),
        ([], ""),
    ],
)
def test_words_of_the_description(words: list[str], weighting: str) -> None:
    assert mr_weighting(words) == weighting


@pytest.mark.parametrize(
    ("sequence", "times", "weighting"),
    [
        ("SE", (500, 22, None), "T1"),
        ("SE", (2450, 6.3, None), "PD"),
        ("SE", (4000, 90, 0), "T2"),
        ("SE\\IR", (4500, 40, 150), "STIR"),
        ("IR", (9000, 100, 2500), "FLAIR"),
        ("GR", (10, 4, None), ""),
        ("SE", (None, None, None), ""),
        ("SE", (1400, 20, None), ""),
    ],
)
def test_times_decide_only_of_spin_echoes(
    sequence: str, times: tuple[float | None, float | None, float | None], weighting: str
) -> None:
    repetition, echo, inversion = times
    found = mr_weighting(["KNEE"], sequence=sequence, repetition_ms=repetition, echo_ms=echo, inversion_ms=inversion)
    assert found == weighting


def test_what_the_standard_has_a_word_for_decides() -> None:
    assert mr_weighting(["T2"], contrast="T1") == "T1"
    assert mr_weighting(["LEG"], contrast="STIR") == "STIR"
    assert mr_weighting(["T1"], contrast="MIXED", options="PFF\\FS") == "T1 FS"


@pytest.mark.parametrize(
    ("info", "weighting"),
    [
        (MrSeriesInfo(description="AX T1 SE"), "T1"),
        (MrSeriesInfo(description="LEG", repetition_ms=4000, echo_ms=90), "T2"),
        (MrSeriesInfo(description="LEG", repetition_ms=4000, echo_ms=40, inversion_ms=160), "STIR"),
        (MrSeriesInfo(description="AX T1 SE", is_fat_saturated=True), "T1 FS"),
    ],
)
def test_a_series_says_it(tmp_path: Path, info: MrSeriesInfo, weighting: str) -> None:
    grid = Grid.from_axes(shape=(3, 16, 16), spacing_mm=(4.0, 1.0, 1.0))
    array = np.random.default_rng(1).integers(0, 900, grid.shape).astype(np.int16)
    write_mr_series(Volume(array, grid, modality="MR"), tmp_path / "mr", info=info)
    with find_images(tmp_path / "mr") as inventory:
        (entry,) = inventory.entries
        assert entry.series.weighting == weighting
