"""``osteon info``: what is installed and what this machine has, found without importing anything heavy."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, cast

import typer

from osteon import __version__
from osteon.errors import UsageError
from osteon.systems.registry import READERS, SYSTEMS

__all__ = ["describe_environment", "info", "schema_of"]


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
    "sqlalchemy": "the archive of films",
}


def info(
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    schema: str = typer.Option("", "--schema", metavar="findings|run", help="Print the JSON schema of a file."),
) -> None:
    """Say what is installed, what this machine has and what osteon can read."""
    if schema:
        typer.echo(json.dumps(schema_of(schema), indent=2))
        return
    facts = describe_environment()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for group, rows in facts.items():
        typer.echo(f"{group}")
        for name, value in rows.items():
            typer.echo(f"  {name:<28} {value}")


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
        cast("Literal['findings', 'run']", kind), {stem: each.report().entries for stem, each in READERS.items()}
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
