"""Without the extras models and torch the program informs, lists, reads DICOM and reports; what needs one names it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.data import Volume
from osteon.geometry import Grid
from osteon.io.dicom.write_series import CtSeriesInfo, write_ct_series

# None in sys.modules makes every import of the name fail, as if the package were not installed
BLOCK = "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'timm', 'openvino')))\n"

REPORT = """
from pathlib import Path
import numpy as np
from osteon.data import Answer, Region, SliceReading
from osteon.geometry import Box
from osteon.io import find_images, choose_series, load_volume
from osteon.report import Run, write_result
from osteon.systems.registry import system
series, folder = Path(sys.argv[1]), Path(sys.argv[2])
with find_images(series) as inventory:
    volume = load_volume(choose_series(inventory))
print(volume.grid.shape, volume.unit, int(volume.array.sum()))
region = Region(name="left leg", box=Box(start=(0, 0, 0), stop=volume.grid.shape), present=np.ones(6, dtype=bool))
answer = Answer(task="ct_osteosarcoma", headline="Nothing was looked for.", regions=(region,), detail=SliceReading())
run = Run(task="ct_osteosarcoma")
write_result(folder, answer, volume, system("ct_osteosarcoma").report(), run=run)
"""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run code where torch and its kin cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", BLOCK + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def program(*words: object) -> subprocess.CompletedProcess[str]:
    return run("from osteon.app.cli import main\nmain()", *words)


def thigh() -> NDArray[np.int16]:
    """One slice: a bright rod in soft tissue in air."""
    rows, columns = np.ogrid[:48, :48]
    away = np.hypot(rows - 24, columns - 24)
    return np.where(away < 5, 900, np.where(away < 16, 40, -1000)).astype(np.int16)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six equal slices as DICOM files."""
    grid = Grid.from_axes(shape=(6, 48, 48), spacing_mm=(5.0, 3.0, 3.0), origin_lps_mm=(0.0, 0.0, 0.0))
    folder = tmp_path_factory.mktemp("series") / "dicom"
    volume = Volume(array=np.repeat(thigh()[None], 6, axis=0), grid=grid, modality="CT", unit="HU", source=None)
    write_ct_series(volume, folder, info=CtSeriesInfo(uid_seed="packaging"))
    return folder


def test_the_block_blocks() -> None:
    assert "ModuleNotFoundError" in run("import torch").stderr


def test_info_says_what_is_missing() -> None:
    told = program("info", "--json")
    assert told.returncode == 0, told.stderr
    packages = json.loads(told.stdout)["packages"]
    assert packages["pydicom"]
    assert set(packages) >= {"torch", "openvino"}


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("models", "list", "--json"), ("read", "--help")])
def test_the_program_answers(words: tuple[str, ...]) -> None:
    told = program(*words)
    assert told.returncode == 0, told.stderr
    assert told.stdout


def test_dicom_is_read_and_reported(series: Path, tmp_path: Path) -> None:
    done = run(REPORT, series, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"(6, 48, 48) HU {6 * int(thigh().sum())}"
    for name in ("report.html", "report.pdf", "findings.json", "run.json", "views/overview.png"):
        assert (tmp_path / name).stat().st_size > 500, name


def test_what_needs_a_network_says_what_to_install() -> None:
    told = program("models", "arch", "resnet18")
    assert told.returncode == 1
    assert "pip install 'osteon[torch]'" in told.stderr
    assert "Traceback" not in told.stderr
