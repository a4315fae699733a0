"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Check = Callable[[Path], tuple[list[str], list[str]]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public images beside the checkout; its tests fail, not skip, when it is there and a file is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def dciodvfy() -> Check:
    """A function that returns the errors and warnings of Debian's dciodvfy; skips when it is not installed."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")

    def check(path: Path) -> tuple[list[str], list[str]]:
        done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        errors = [line for line in lines if line.startswith("Error")]
        return errors, [line for line in lines if line.startswith("Warning")]

    return check
