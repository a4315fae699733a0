"""Films to take in, and archives on SQLite and on a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from osteon.archive.store import Archive, create_archive

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1"  # CR
UIDS = "1.2.826.0.1.3680043.8.498."


def write_film(path: Path, *, number: int = 1, size: int = 24, **tags: object) -> Path:
    """Write a CR film; its pixels and UIDs follow from the number, other tags by keyword (None leaves one out)."""
    image = pydicom.Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    said = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": SOP_CLASS,
        "SOPInstanceUID": f"{UIDS}1.{number}",
        "StudyInstanceUID": f"{UIDS}2.{number}",
        "SeriesInstanceUID": f"{UIDS}3.{number}",
        "PatientID": "P1",
        "PatientName": "Quux^Zelda",
        "PatientBirthDate": "19700102",
        "PatientSex": "F",
        "StudyDate": "20100228",
        "Modality": "CR",
        "BodyPartExamined": "KNEE",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": size,
        "Columns": size + 2,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    } | tags
    for name, value in said.items():
        if value is not None:
            setattr(image, name, value)
    pixels = np.random.default_rng(number).integers(0, 4096, (size, size + 2), dtype=np.uint16)
    image.PixelData = pixels.tobytes()
    image.file_meta.MediaStorageSOPClassUID = SOP_CLASS
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


def _program(name: str) -> str | None:
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(beside[0]) if beside else None)


def _unprivileged() -> str | None:
    """Whom PostgreSQL runs as, for it refuses root; None where the tests are not root."""
    if os.geteuid() != 0:
        return None
    return next(name for name in ("postgres", "nobody") if any(each.pw_name == name for each in pwd.getpwall()))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a running PostgreSQL without a database name; it is gone after the tests."""
    initdb, control = _program("initdb"), _program("pg_ctl")
    if initdb is None or control is None:
        message = "PostgreSQL is not installed (Debian package postgresql): the archive is not tested on it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="osteon-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*words: str) -> None:
        subprocess.run(words, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120)

    data = str(folder / "data")
    try:
        call(initdb, "-D", data, "-U", "osteon", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        call(control, "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://osteon@127.0.0.1:{port}/"
        finally:
            call(control, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of the database that the parameter of a fixture names: "" for SQLite, else of a new one."""
    if request.param == "sqlite":
        yield ""
        return
    import psycopg

    server = request.getfixturevalue("postgres")
    name = f"a{os.urandom(6).hex()}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{server}{name}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL for ``create_archive``: "" for SQLite, else of a new database."""
    with new_database(request) as url:
        yield url


@pytest.fixture
def archive(database: str, tmp_path: Path) -> Iterator[Archive]:
    """An empty archive, once on each database."""
    with create_archive(tmp_path / "archive", url=database) as made:
        yield made


@pytest.fixture
def film() -> Callable[..., Path]:
    """``write_film``."""
    return write_film
