"""What is installed and what this machine has, found without importing anything heavy."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, cast

from osteon import __version__
from osteon.errors import UsageError
from osteon.systems.registry import SYSTEMS

__all__ = ["describe_environment", "schema_of"]

_PACKAGES = {
    "numpy": "arrays",
    "pydicom": "DICOM",
    "highdicom": "DICOM SEG and SR",
    "imagecodecs": "JPEG, JPEG-LS, JPEG 2000",
    "python-gdcm": "more DICOM codecs",
    "nibabel": "NIfTI",
    "numba": "compiled kernels",
    "openvino": "CPU runtime of the networks",
    "torch": "networks",
    "timm": "networks",
    "openslide-python": "slides",
}


def describe_environment() -> dict[str, dict[str, str]]:
    """Versions, machine and systems, as text by group and name.

    Example:
        >>> "osteon" in describe_environment()["packages"]
        True
    """
    packages = {"osteon": __version__, "python": platform.python_version()}
    for name, purpose in _PACKAGES.items():
        packages[name] = f"{_version(name)} ({purpose})"
    import psutil

    gpu = "an NVIDIA driver is there" if shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0") else "none seen"  # noqa: PTH110
    machine = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "gpu": gpu,
    }
    return {"packages": packages, "machine": machine, "systems": {stem: each.summary for stem, each in SYSTEMS.items()}}


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON schema of findings.json, as any of the systems writes it, or of run.json.

    Raises:
        UsageError: another file.
    """
    from osteon.report import schema

    if kind not in {"findings", "run"}:
        raise UsageError(f"there is no schema of {kind!r}: ask for findings or run")
    return schema(
        cast("Literal['findings', 'run']", kind), {stem: each.report().entries for stem, each in SYSTEMS.items()}
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
