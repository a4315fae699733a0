"""Fixtures that every test may use."""

from __future__ import annotations

import csv
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before torch is imported: each process of pytest-xdist takes its share of the processors, for OpenMP threads beyond
# them wait for one another and take five to thirty times as long.
_PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
_SHARE = max(1, _PROCESSORS // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
if "PYTEST_XDIST_WORKER" in os.environ:  # over what the first process left in the environment
    os.environ["OMP_NUM_THREADS"] = str(_SHARE)

# Before Ray is imported, which some tests do themselves (as osteon.train.launch): its handlers at a fork, once Ray has
# been started in a process, break what is copied from it later.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import numpy as np  # noqa: E402 - its BLAS reads the variable above
import pytest  # noqa: E402 - after numpy

if TYPE_CHECKING:
    from osteon.data import Answer, Volume

Check = Callable[[Path], tuple[list[str], list[str]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process of pytest-xdist is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_configure(config: pytest.Config) -> None:
    """Compiled models of a run are its own: neither read from the user's cache nor left in it."""
    if not hasattr(config, "workerinput"):  # processes of pytest-xdist take over the environment of the first
        folder = tempfile.TemporaryDirectory(prefix="osteon-tests-")
        os.environ["OSTEON_CACHE"] = folder.name
        config.add_cleanup(folder.cleanup)


class _Stack(ctypes.Structure):
    """stack_t of sigaltstack(2) on Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


def pytest_runtest_setup() -> None:
    """Let handlers of signals run on the stack of the main thread.

    torch handles SIGCHLD once a loader had processes, and Python runs handlers on the alternate stack where one was
    set. A library that some tests start leaves one that is gone: the next child that ended was a SIGSEGV, with the
    stack pointer of the main thread in memory that was unmapped.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_Stack(None, 2, 0)), None)  # SS_DISABLE


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ANN401 - pytest-xdist ships no types for it
    """Say how a process of pytest-xdist ended that ended too soon: by which signal, or with which code."""
    if not error:
        return
    code = node.gateway._io.popen.wait()
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    print(f"\n{node.gateway.id} (process {node.gateway._io.popen.pid}) was ended {how}", flush=True)  # noqa: T201 - for the log of the run


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


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set folder (manifest.csv, images/): 12 patients of 6 grey 64 x 64 images; a small network can learn it.

    An image shows noise and a broad disc; in a "tumour" a bright ring is about the disc. Patients t* have 3 images
    of each label, patients h* healthy ones only; t5 and h5 are marked as test. Every patient has a brightness of its
    own. Do not write into the folder: copy it first.
    """
    import cv2

    folder = tmp_path_factory.mktemp("toy") / "toy"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(20261121)
    row, column = np.mgrid[:64, :64]
    lines = []
    for patient in (f"{kind}{number}" for kind in "th" for number in range(6)):
        bias = generator.uniform(-0.05, 0.05)
        for index in range(6):
            is_tumour = patient.startswith("t") and index % 2 == 0
            centre = generator.uniform(24, 40, size=2)
            radius = np.hypot(row - centre[0], column - centre[1])
            picture = 0.3 + bias + 0.2 * (radius < 12) + 0.35 * is_tumour * (np.abs(radius - 15) < 3)
            picture = np.clip(picture + generator.normal(0, 0.04, picture.shape), 0, 1)
            name = f"images/{patient}-{index}.png"
            cv2.imwrite(str(folder / name), np.rint(picture * 255).astype(np.uint8))
            lines.append(
                {
                    "image": name,
                    "patient": patient,
                    "study": f"study-{patient}",
                    "series": f"series-{patient}-{index // 3}",
                    "label": "tumour" if is_tumour else "healthy",
                    "plane": ("axial", "sagittal", "coronal")[index % 3],
                    "split": "test" if patient.endswith("5") else "train",
                    "centre": "north" if int(patient[1]) % 2 else "south",
                    "scanner": "toy",
                    "sex": "F" if patient[1] in "024" else "M",
                    "age_years": str(10 + 5 * int(patient[1])),
                    "note": "synthetic",
                }
            )
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return folder


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set folder of 10 synthetic patients: `osteon phantom cohort`, as small as it goes; 2 are marked as test.

    64 x 64 pixels, three planes, at most 6 pictures of a leg and plane. Half of the patients have a tumour in one leg.
    Made in about 10 seconds of one processor. Do not write into the folder: copy it first.
    """
    from osteon.app.cli.phantom import Cohort, build_cohort
    from osteon.systems.ct_osteosarcoma.options import LabelledOptions
    from osteon_phantoms.study import LegStudy

    folder = tmp_path_factory.mktemp("cohort") / "tiny"
    cohort = Cohort(task="ct_osteosarcoma", patients=10, options=LegStudy(preset="tiny"))
    build_cohort(cohort, folder, pictures=LabelledOptions(most=6, size=64, faint=0.0))
    return folder


@pytest.fixture(scope="session")
def metastasis_case() -> tuple[Answer, Volume]:
    """What the system ct_metastasis says, made by hand: a spine with a lytic, a blastic and a doubtful lesion.

    Lesions 1 and 2 lie in the column of bone, 3 beside metal at the edge of the images. The slice classifier agrees
    with the segmentation in 36 of 40 slices.
    """
    from tests.metastasis_answer import make_case

    return make_case()
