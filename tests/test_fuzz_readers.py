"""A few inputs of the fuzz: each reader ends in a result or in a clear error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from bench.fuzz_readers import READERS, main, make_input, make_seeds, mutated

if TYPE_CHECKING:
    from pathlib import Path


def test_no_input_ends_in_anything_else(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    assert main(["--inputs", str(4 * len(READERS)), "--seed", "20261130", "--json", str(file)]) == 0
    document = json.loads(file.read_text("utf-8"))
    total = document["rows"][-1]
    assert document["faults"] == []
    assert total["inputs"] == total["results"] + total["clear_errors"] == 4 * len(READERS)
    assert total["results"] > 0
    assert total["clear_errors"] > 0


def test_sound_files_are_read_and_the_seed_decides_the_change(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    make_seeds(seeds)
    for number, (kind, (folder, reader)) in enumerate(READERS.items()):
        sound = seeds / folder
        files = sorted(sound.iterdir())
        reader(sound if len(files) > 1 or folder == "multiframe" else files[0])
        made = []
        for place in ("one", "two"):
            work = tmp_path / f"{number}-{place}"
            work.mkdir()
            make_input(seeds, work, kind, np.random.default_rng([1, number]))
            made.append([path.read_bytes() for path in sorted(work.iterdir())])
        assert made[0] == made[1]


def test_most_changes_differ() -> None:
    data = bytes(range(256)) * 8
    changed = [mutated(data, np.random.default_rng(number)) for number in range(50)]
    assert len({*changed, data}) > 40
