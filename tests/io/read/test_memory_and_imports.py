"""Reading costs little memory, and importing it costs little time."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteon.io import open_volume

Make = Callable[..., Path]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"])
@pytest.mark.parametrize("tilted", [False, True])
def test_peak_memory(make_series: Make, syntax: str, tilted: bool) -> None:
    stored = np.random.default_rng(5).integers(0, 2000, (96, 128, 128)).astype(np.int16)
    folder = make_series(stored=stored, syntax=syntax, step=(0, 0.3, 2.0) if tilted else (0, 0, 2.0))
    tracemalloc.start()
    try:
        volume = open_volume(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # numpy reports its arrays to tracemalloc: the volume, and slices in flight
    assert volume.array.nbytes <= peak < 2.0 * volume.array.nbytes


def test_dicom_is_read_without_pydicom(make_series: Make) -> None:
    code = (
        "import sys; from osteon.io import open_volume; open_volume(sys.argv[1]); "
        "heavy = {'pydicom', 'highdicom', 'nibabel', 'imagecodecs', 'torch', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(make_series())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads VmHWM of /proc")
def test_peak_memory_of_the_process(make_series: Make) -> None:
    stored = np.random.default_rng(5).integers(0, 2000, (128, 256, 256)).astype(np.int16)
    folder = make_series(stored=stored)
    code = (
        "import re, sys; from pathlib import Path; from osteon.io import open_volume; "
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024; "
        "before = peak(); volume = open_volume(sys.argv[1]); print((peak() - before) / volume.array.nbytes)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 2.5
