"""De-identify all DICOM files of a folder, a zip or a single file, and go on when one of them fails."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from osteon.data.options import silent
from osteon.errors import InputError, OsteonError, OutputError, ThirdParty
from osteon.io.dicom.deidentify.directory import write_directory
from osteon.io.dicom.deidentify.file import DIRECTORY, Removal, open_source, target_name, write_copy
from osteon.io.dicom.deidentify.key import open_key
from osteon.io.dicom.deidentify.options import DeidentifyOptions
from osteon.io.find import files_below, is_zip, unpack_zip
from osteon.io.whole_file import file_bytes, whole_file

if TYPE_CHECKING:
    from osteon.data.options import Progress
    from osteon.io.dicom.deidentify.file import Source
    from osteon.io.dicom.deidentify.key import Key

__all__ = ["DeidentifiedFiles", "deidentify_files"]

_DICOMDIR: Final = "DICOMDIR"
_COLUMNS: Final = ("pseudonym", "patient_id", "issuer")


@dataclass(slots=True)
class DeidentifiedFiles:
    """What became of the files.

    Attributes:
        files: names of the copies below the output, in the order of the sources.
        pseudonyms: of the patients.
        counts: what was done ("removed", "emptied", "replaced", "cleaned", "kept") -> elements in all files.
        unchecked: copies with pixels that nobody has checked for burnt-in text.
        left_out: (name of a source file below the source, why). The only place that may name a patient: the names are
            those of the originals.
    """

    files: list[str] = field(default_factory=list)
    pseudonyms: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    unchecked: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """As JSON has it, without names of originals."""
        done = {
            "files": len(self.files),
            "patients": len(self.pseudonyms),
            "elements": dict(sorted(self.counts.items())),
        }
        return done | {"pixels_not_checked": self.unchecked, "left_out": len(self.left_out)}


@dataclass(slots=True)
class _Run:
    root: Path
    out: Path
    key: Key
    options: DeidentifyOptions
    suffix: str
    done: DeidentifiedFiles = field(default_factory=DeidentifiedFiles)
    names: dict[str, str] = field(default_factory=dict)  # SOP Instance UID as it was -> name of the copy
    used: set[str] = field(default_factory=set)  # names of copies
    directories: list[Path] = field(default_factory=list)
    patients: dict[str, tuple[str, str]] = field(default_factory=dict)  # pseudonym -> id, issuer


def deidentify_files(
    source: Path,
    out: Path,
    key: Path,
    options: DeidentifyOptions | None = None,
    *,
    with_table: bool = False,
    progress: Progress = silent,
) -> DeidentifiedFiles:
    """Write de-identified copies of all DICOM files, named by pseudonyms: PATIENT/STUDY/SERIES/INSTANCE.

    A file that fails is listed and the others are done. Files that are not DICOM are listed and not copied. A DICOMDIR
    is done last, with the new names; names then have no suffix, as it asks for.

    Args:
        source: a folder, a zip or a file; never changed.
        out: folder for the copies, made when it is not there. The same run again writes the same files.
        key: the key file, made when neither it nor ``out`` is there. Keep it apart from the copies.
        options: what stays.
        with_table: write ``KEY.patients.csv`` beside the key: pseudonym, id and its issuer.
        progress: called as ``progress("de-identify", done, total)``.

    Raises:
        InputError: no such source, it and ``out`` lie in one another, or the key is refused (``open_key``).
        OutputError: copies cannot be written.
    """
    options = options or DeidentifyOptions()
    if not source.exists():
        raise InputError(f"{source} does not exist; give a folder, a DICOM file, or a zip")
    here, there = source.resolve(), out.resolve()
    if source.is_dir() and (there.is_relative_to(here) or here.is_relative_to(there)):
        raise InputError(f"{out.name} and {source.name} lie in one another: originals and copies must not mix")
    opened = open_key(key, out=out)
    if source.is_file() and is_zip(source):
        with unpack_zip(source, progress=progress) as folder:
            run = _all(Path(folder), out, opened, options, progress)
    else:
        run = _all(source, out, opened, options, progress)
    if with_table:
        _write_table(key.with_name(f"{key.name}.patients.csv"), run.patients)
    return run.done


def _all(root: Path, out: Path, key: Key, options: DeidentifyOptions, progress: Progress) -> _Run:
    paths, closed = files_below(root)
    has_directory = any(path.name.upper().endswith(_DICOMDIR) for path in paths)
    run = _Run(root, out, key, options, "" if has_directory else ".dcm")
    for folder in closed:
        run.done.left_out.append((_name(folder, root), "a folder that cannot be read"))
    for number, path in enumerate(paths, start=1):
        _guarded(run, path)
        progress("de-identify", number, len(paths))
    for path in run.directories:
        _guarded(run, path, is_directory=True)
    return run


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else str(path.relative_to(root))


def _guarded(run: _Run, path: Path, *, is_directory: bool = False) -> None:
    """One file; whatever is wrong with it is listed, and only an output that cannot be written ends the run."""
    try:
        with ThirdParty("it is damaged and cannot be followed"):
            source = open_source(path)
            if source.class_uid == DIRECTORY and not is_directory:
                run.directories.append(path)
            elif is_directory:
                _directory(run, source)
            else:
                _file(run, source)
    except OutputError:
        raise
    except OsteonError as error:
        run.done.left_out.append((_name(path, run.root), str(error).removeprefix(f"{path.name} ")))


def _file(run: _Run, source: Source) -> None:
    name = target_name(source, run.key) + run.suffix
    if name in run.used or source.instance_uid in run.names:
        raise InputError("it is the same instance as another file (SOP Instance UID)")
    target = run.out / name
    _make_folder(target.parent)
    patient = (source.text(0x00100020), source.text(0x00100021))
    removal = write_copy(source, target, run.key, run.options)
    run.names[source.instance_uid] = name
    run.used.add(name)
    run.patients[removal.pseudonym] = patient
    run.done.pseudonyms.add(removal.pseudonym)
    run.done.unchecked += not removal.identity_removed
    _count(run, name, removal)


def _directory(run: _Run, source: Source) -> None:
    if _DICOMDIR in run.done.files:
        raise InputError("it is a second DICOMDIR: give each folder that has one by itself")
    _make_folder(run.out)
    _count(run, _DICOMDIR, write_directory(source, run.out / _DICOMDIR, run.key, run.options, run.names))


def _count(run: _Run, name: str, removal: Removal) -> None:
    run.done.files.append(name)
    for what in removal.counts:
        run.done.counts[what] += removal.total(what)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be made ({error.strerror or type(error).__name__})") from error


def _write_table(path: Path, patients: dict[str, tuple[str, str]]) -> None:
    """Write who is who, readable by the owner only; earlier rows stay."""
    rows = dict(patients)
    if path.exists():
        earlier = csv.reader(io.StringIO(file_bytes(path).decode("utf-8", "replace"), newline=""))
        rows = {row[0]: (row[1], row[2]) for row in list(earlier)[1:] if len(row) == len(_COLUMNS)} | rows
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_COLUMNS, *((name, *who) for name, who in sorted(rows.items()))])
    with whole_file(path) as work, os.fdopen(os.open(work, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(text.getvalue().encode())
