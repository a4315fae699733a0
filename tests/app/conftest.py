"""The program, run inside the test's own process, and small studies of a synthetic patient to give it."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from osteon.app.cli.program import build
from osteon.app.cli.terminal import run_guarded

NAME, IDENTIFIER = "Quux^Zelda", "MRN-47110815"
PATIENT_TEXTS = ("quux", "zelda", "47110815", "19700102")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def osteon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run ``osteon WORDS`` and give exit code, stdout and stderr."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["osteon", *map(str, words)])
        code = run_guarded(build())
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the program takes for temporary files, so that a test sees what is left in it.

    torch makes an empty folder of its own there when it is imported, so it is imported before.
    """
    import osteon._torchvision  # noqa: F401

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every path below a folder with its mode and, for files, the hash of its content; links are not followed."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        seen[str(path.relative_to(folder))] = (status.st_mode, content)
    return seen


def require_plain(text: str) -> None:
    """What a terminal shows must hold no control characters and nothing of the patient."""
    assert "Traceback" not in text
    assert "internal error" not in text
    assert all(line.isprintable() for line in text.split("\n")), repr(text)
    found = [word for word in PATIENT_TEXTS if word in text.lower()]
    assert not found, found


@pytest.fixture
def plain() -> Callable[[str], None]:
    """The check of ``require_plain``."""
    return require_plain


@pytest.fixture
def refused(osteon: Callable[..., Ran], tmp_path: Path, temporary: Path) -> Callable[..., str]:
    """``refused(study, "words", ..., options=())``: reading must fail as documented; gives the message.

    Code 1, one line on stderr that holds the words, the failure as JSON on stdout, and not a file more, less or other
    than before.
    """

    def check(study: Path, *says: str, out: Path | None = None, options: tuple[object, ...] = (), code: int = 1) -> str:
        before = tree(tmp_path)
        ran = osteon("read", study, "-o", out or tmp_path / "result", "--json", *options)
        require_plain(ran.err)
        assert ran.code == code, ran.err
        failure = json.loads(ran.out)
        assert (failure["status"], failure["exit_code"]) == ("failed", code)
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        missing = [words for words in says if not re.search(words, ran.err)]
        assert not missing, f"{missing} not in: {ran.err}"
        assert tree(tmp_path) == before
        return ran.err

    return check


@dataclass
class Study:
    """Changes to a good series; ``edit`` sees every data set, ``raw`` every written file."""

    array: NDArray[np.int16] | None = None
    patient: tuple[str, str] = (NAME, IDENTIFIER)
    edit: Callable[[pydicom.Dataset, int], None] | None = None
    raw: Callable[[bytes, int], bytes] | None = None
    seed: str = "series"
    names: list[str] | None = None
    spacing: tuple[float, float, float] = (2.0, 1.0, 1.0)


def noise(slices: int = 5, size: int = 12) -> NDArray[np.int16]:
    """Air and tissue without a form: enough for what is refused before anything is looked for in it."""
    return np.random.default_rng(slices).integers(-1000, 1000, (slices, size, size)).astype(np.int16)


def write_study(folder: Path, study: Study) -> Path:
    """Write the series of a synthetic patient, as ``study`` changes it."""
    from osteon.data import Patient, Volume
    from osteon.geometry import Grid
    from osteon.io.dicom.write_series import CtSeriesInfo, write_ct_series

    array = noise() if study.array is None else study.array
    grid = Grid.from_axes(
        shape=array.shape, spacing_mm=study.spacing, directions=np.eye(3)[::-1], origin_lps_mm=(0.0, 0.0, 0.0)
    )
    name, identifier = study.patient
    write_ct_series(
        Volume(array=array, grid=grid, modality="CT", unit="HU", source=None),
        folder,
        patient=Patient(identifier=identifier, name=name, birth_date="19700102", sex="F"),
        info=CtSeriesInfo(uid_seed=study.seed),
        file_names=study.names,
    )
    for index, path in enumerate(sorted(folder.iterdir())):
        if study.edit is not None:
            image = pydicom.dcmread(path)
            study.edit(image, index)
            image.save_as(path, enforce_file_format=True)
        if study.raw is not None:
            path.write_bytes(study.raw(path.read_bytes(), index))
    return folder


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    """``make_study("folder", **fields of Study)`` writes a series of a synthetic patient and returns its folder."""

    def make(folder: str = "study", **fields: Any) -> Path:  # noqa: ANN401 - the fields of Study
        return write_study(tmp_path / folder, Study(**fields))

    return make


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The packaged demo model."""
    from osteon.weights import find_card

    return find_card("mobilenet_v2.phantom").folder


@pytest.fixture(scope="session")
def study_of_legs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coarse synthetic pair of knees that is read to the end in seconds. A test may copy it, not change it."""
    from osteon_phantoms import make_leg_ct, phantom_spec
    from osteon_phantoms.files import write_ct_phantom

    spec = phantom_spec(
        4,
        slices=12,
        size=96,
        slice_step_mm=6.0,
        changes={"coverage": "knee", "metal": None, "gantry_tilt_degrees": 0.0},
    )
    return write_ct_phantom(make_leg_ct(spec), tmp_path_factory.mktemp("legs") / "patient").dicom
