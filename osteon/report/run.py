"""run.json: with what, on what and how an answer was made; and how both JSON documents are checked and written."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

import osteon
from osteon.data import Slide
from osteon.errors import OutputError
from osteon.report.findings import Count, Entry, Number, Positive, Text, document_type, filled, like
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from osteon.data import Answer, Image, Patient
    from osteon.report.findings import Findings

__all__ = [
    "FileRecord",
    "Run",
    "RunEntry",
    "file_records",
    "findings_document",
    "make_run",
    "peak_rss_mb",
    "schema",
    "validate_document",
    "write_document",
]

Kind = Literal["findings", "run"]

_PACKAGES: Final = (
    "connected-components-3d", "edt", "fill-voids", "highdicom", "imagecodecs", "jinja2", "matplotlib", "nibabel",
    "numba", "numpy", "opencv-python-headless", "openslide-python", "openvino", "pydicom", "pylibjpeg", "python-gdcm",
    "reportlab", "safetensors", "scipy", "tifffile", "timm", "torch",
)  # fmt: skip
"""Packages whose version can change a number or a picture."""


Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class FileRecord(Entry, frozen=True):
    """A file that went in or came out, by its base name: a whole path tells about the machine and the patient."""

    name: Annotated[str, Meta(min_length=1, pattern=r"^[^/\\]+$")]
    sha256: Hash
    size_bytes: Count

    def __repr__(self) -> str:
        """Without the name, which may be a patient's."""
        return f"FileRecord({self.sha256[:12]}, {self.size_bytes} bytes)"


class PlatformEntry(Entry, frozen=True):
    """The machine."""

    system: str
    release: str
    machine: str
    cpu_count: Number


class ModelFileEntry(Entry, frozen=True):
    """A model that took part."""

    name: str
    version: str
    sha256: str
    runtime: str


class RunEntry(Entry, frozen=True):
    """With what, on what and how an answer was made. No path and nothing of a patient."""

    schema_version: Literal["1.1"]
    disclaimer: Literal["Decision support for research. Not a diagnosis."]
    created: Annotated[str, Meta(min_length=10)]
    task: Text
    device: Text
    command: str
    versions: dict[str, str]
    git_hash: Annotated[str, Meta(pattern="^[0-9a-f]{40,64}$")] | None
    platform: PlatformEntry
    inputs: tuple[FileRecord, ...]
    outputs: tuple[FileRecord, ...]
    models: tuple[ModelFileEntry, ...]
    configuration: dict[str, Any]
    seeds: dict[str, int]
    runtime_seconds: dict[str, float]
    runtime_seconds_total: Annotated[float, Meta(ge=0)]
    peak_rss_mb: Positive
    voxels: tuple[Number, Number, Number] | None
    slide_pixels: Annotated[tuple[Number, Number] | None, Meta(description="rows and columns of level 0")]
    warnings: tuple[str, ...]


def file_records(paths: Iterable[Path], *, patient: Patient | None = None) -> tuple[FileRecord, ...]:
    """Hash files.

    Args:
        paths: readable files.
        patient: when given, base names that hold a part of the patient's name or identifier are replaced by
            ``file-0001`` and so on; the hash still proves which file it was.

    Raises:
        OSError: a file cannot be read.
    """
    words = _patient_text(patient)
    records = []
    for number, path in enumerate(paths, start=1):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        tells = any(word in path.name.casefold() for word in words)
        name = f"file-{number:04d}{path.suffix if len(path.suffix) <= 5 else ''}" if tells else path.name
        name = name.encode("utf-8", errors="replace").decode("utf-8")  # file names need not be text
        records.append(FileRecord(name=name, sha256=digest, size_bytes=path.stat().st_size))
    return tuple(records)


def _versions() -> dict[str, str]:
    found = {"osteon": osteon.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git_hash() -> str | None:
    """Commit of the source tree this package runs from; read from .git, so git itself is not needed."""
    root = Path(osteon.__file__).resolve().parents[1]
    folder = root / ".git"
    if not (root / "pyproject.toml").is_file() or not folder.is_dir():
        return None
    head = (folder / "HEAD").read_text(encoding="ascii").strip()
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    loose = folder / reference
    if loose.is_file():
        return loose.read_text(encoding="ascii").strip()
    packed = folder / "packed-refs"
    lines = packed.read_text(encoding="ascii").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {reference}")), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known about a run before its result is written; by default it starts now.

    Attributes:
        seconds: time by step outside the system (the system's own steps are in its Answer).
        seeds: of every random generator by name; empty when nothing was random.
        versions: of osteon, Python and the packages that make numbers; no package is imported for it.
        git_hash: of the source tree, or None when installed from a package.
        command: as it was typed, without names of files and folders; "" of a program.
    """

    task: str
    device: str = "cpu"
    inputs: tuple[FileRecord, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: Mapping[str, str] = field(default_factory=_versions)
    git_hash: str | None = field(default_factory=_git_hash)
    command: str = ""


def make_run(
    answer: Answer,
    image: Image,
    *,
    run: Run,
    outputs: Sequence[FileRecord] = (),
    seconds: Mapping[str, float] | None = None,
) -> RunEntry:
    """Content of run.json; ``seconds`` is the time of the steps after the system, as writing."""
    times = {**run.seconds, **answer.seconds, **(seconds or {})}
    notices = (*(image.source.notices if image.source else ()), *answer.notices)
    return filled(
        RunEntry,
        run,
        schema_version="1.1",
        disclaimer=DISCLAIMER,
        task=answer.task,
        platform=filled(PlatformEntry, platform.uname(), cpu_count=os.cpu_count() or 1),
        outputs=tuple(outputs),
        models=like(answer.models, tuple[ModelFileEntry, ...]),
        configuration=dict(answer.configuration),
        runtime_seconds={step: round(float(time), 4) for step, time in times.items()},
        runtime_seconds_total=round(sum(float(time) for time in times.values()), 4),
        peak_rss_mb=peak_rss_mb(),
        voxels=None if isinstance(image, Slide) else image.grid.shape,
        slide_pixels=(image.levels[0].rows, image.levels[0].columns) if isinstance(image, Slide) else None,
        warnings=tuple(notice.text for notice in notices if notice.level == "warning"),
    )


def findings_document(findings: Findings, entries: Entry | None = None) -> dict[str, Any]:
    """Content of findings.json as plain values: what every system has, and a system's own fields.

    Raises:
        OutputError: it breaks its schema.
    """
    document: dict[str, Any] = {}
    for part in (findings, entries):
        document |= {} if part is None else msgspec.json.decode(msgspec.json.encode(part))  # lists, as in the file
    validate_document(document, kind="findings", entries=None if entries is None else type(entries))
    return document


def schema(kind: Kind, entries: Mapping[str, type[Entry] | None]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a document; findings.json is as one of the systems says."""
    types = [RunEntry] if kind == "run" else list(dict.fromkeys(map(document_type, entries.values())))
    found, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "anyOf": list(found), "$defs": parts}


def validate_document(document: Mapping[str, Any], *, kind: Kind, entries: type[Entry] | None = None) -> None:
    """Raise unless a document is as its types say.

    Raises:
        OutputError: it is not; the message names the first place by path, without its value.
    """
    try:
        msgspec.convert(document, RunEntry if kind == "run" else document_type(entries))
    except msgspec.ValidationError as error:
        raise OutputError(f"{kind}.json breaks its schema: {error}") from error


def write_document(path: Path, document: Mapping[str, Any] | RunEntry, *, kind: Kind) -> None:
    """Write a document as UTF-8 JSON; what run.json holds is checked here.

    Raises:
        OutputError: it breaks its schema, holds NaN, or cannot be written.
    """
    try:
        plain = msgspec.to_builtins(document)
        if kind == "run":
            validate_document(plain, kind=kind)
        text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
    except (OSError, TypeError, ValueError) as error:
        raise OutputError(f"{path.name} cannot be written: {error}") from error


def peak_rss_mb() -> float:
    """Largest memory this process has held, in MB (10^6 bytes)."""
    if sys.platform == "win32":
        import psutil

        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _patient_text(patient: Patient | None) -> tuple[str, ...]:
    """Parts of name and identifier that are long enough to tell something."""
    if patient is None:
        return ()
    words = re.split(r"[\^=\s,]+", patient.name.casefold())
    return tuple(word for word in (*words, patient.identifier.casefold()) if len(word) >= 3)
