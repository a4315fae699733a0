from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench import ct_pipeline
from bench.ct_series import make_series, phantom_legs
from bench.measuring import Row, Timed, timed, write_rows

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"step", "against", "seconds", "ratio", "peak_mb", "target_ratio", "equal"}


def test_a_row_tells_ratio_and_target(tmp_path: Path) -> None:
    ours, theirs = Timed(None, 0.5, 100.0), Timed(None, 4.0, 300.0)
    row = Row.of("step", "other", ours, theirs, target=8, differing=0)
    assert (row.ratio, row.reached, row.equal) == (8.0, True, True)
    assert not Row.of("step", "other", ours, theirs, target=9).reached
    assert Row.of("step", "other", ours, theirs, differing=3).equal is False
    write_rows([row], tmp_path / "new" / "rows.json")
    (read,) = json.loads((tmp_path / "new" / "rows.json").read_text())
    assert set(read) >= KEYS


def test_timing_gives_the_median_and_sees_memory() -> None:
    made = timed(lambda: np.ones(40_000_000, dtype=np.uint8).sum(), runs=3)
    assert made.result == 40_000_000
    assert made.seconds > 0
    assert made.peak_mb > 40


@pytest.mark.slow
def test_every_side_does_the_same_job_on_a_small_series(tmp_path: Path) -> None:
    make_series(phantom_legs((24, 96, 96)), tmp_path / "series")
    jobs = {name: side(tmp_path / "series") for name, side in ct_pipeline.SIDES.items()}
    assert all(len(job.crops) == len(job.surfaces) == 2 for job in jobs.values())
    for plain, other in zip(jobs["plain"].crops, jobs["plain+cv2"].crops, strict=True):
        assert np.array_equal(plain, other)
    volume, rows = ct_pipeline.bench_reading(tmp_path / "series", 1)
    boxes, more = ct_pipeline.bench_legs(volume, 1)
    mask, grid, bone = ct_pipeline.bench_bone(volume, boxes, 1)
    rows += more + bone + ct_pipeline.bench_surface(mask, grid, 1)
    evaluated = [row for row in rows if row.target_ratio is not None and row.equal is not None]
    assert len(evaluated) == 4
    assert all(row.equal for row in evaluated)
