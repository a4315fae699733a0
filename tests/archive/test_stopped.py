"""What a kill, a full disk, a lost database or a second program leaves behind: nothing lost, nothing twice."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import text

from osteon.archive.ingest import add_sources
from osteon.archive.search import list_files, summary
from osteon.archive.store import Archive, open_archive
from osteon.errors import OsteonError, OutputError

ROOT = Path(__file__).resolve().parents[2]
ADD = """
import sys
from pathlib import Path
from osteon.archive.ingest import add_sources
from osteon.archive.store import open_archive
{before}
with open_archive(Path(sys.argv[1])) as archive:
    add_sources(archive, [Path(sys.argv[2])], progress=lambda step, done, total: print(done, flush=True))
"""


def films(folder: Path, count: int) -> Path:
    """Small pictures, each of other pixels."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.png"), pixels)
    return folder


def adding(archive: Archive, source: Path, before: str = "") -> subprocess.Popen[str]:
    """Another program that adds, and prints a number after each file."""
    command = [sys.executable, "-c", ADD.format(before=before), str(archive.folder), str(source)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def require_whole(archive: Archive, source: Path) -> None:
    """Every file has one row and one film, each copy is whole, and there is no copy more."""
    wanted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in source.iterdir()}
    with archive.reading() as connection:
        rows = connection.execute(text("SELECT state, sha256, image_id FROM files")).all()
        images = connection.execute(text("SELECT id, sha256 FROM images")).all()
    assert {state for state, _, _ in rows} == {"stored"}
    assert {(image, sha256) for _, sha256, image in rows} == {tuple(row) for row in images}
    assert {sha256 for _, sha256, _ in rows} == wanted
    assert len(rows) == len(images) == len(wanted)
    copies = [path for path in (archive.folder / "films").rglob("*") if path.is_file()]
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in copies} == wanted
    assert len(copies) == len(wanted)
    assert {path.stem for path in (archive.folder / "thumbnails").rglob("*") if path.is_file()} == wanted


def test_what_was_killed_goes_on(archive: Archive, tmp_path: Path) -> None:
    source = films(tmp_path / "heap", 200)
    for seen in (20, 90):
        program = adding(archive, source)
        assert program.stdout is not None
        while int(program.stdout.readline()) < seen:
            pass
        time.sleep(0.003)  # in the middle of a file, most likely
        program.send_signal(signal.SIGKILL)
        program.communicate()
        assert program.returncode == -signal.SIGKILL
        counts = summary(archive)
        assert sum(counts["files"].values()) == 200
        assert 0 < counts["films"] == counts["files"]["stored"] < 200
    added = add_sources(archive, [source])
    assert 110 <= added.before < 200
    assert added.states == {"stored": 200 - added.before}
    require_whole(archive, source)


def test_two_programs_add_at_once(archive: Archive, tmp_path: Path) -> None:
    source = films(tmp_path / "heap", 60)
    programs = [adding(archive, source) for _ in range(2)]
    for program in programs:
        _, told = program.communicate(timeout=120)
        assert program.returncode == 0, told
    require_whole(archive, source)


def test_a_full_disk_is_told_and_the_rest_is_taken_in_later(archive: Archive, tmp_path: Path) -> None:
    source = films(tmp_path / "heap", 3)
    big = np.random.default_rng(1).integers(0, 256, (1100, 1100), dtype=np.uint8)
    cv2.imwrite(str(source / "001.png"), big)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    program = adding(archive, source, before=limit)
    _, told = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "OutputError: the file" in told
    assert "File too large" in told
    assert summary(archive)["files"] == {"new": 2, "stored": 1, "duplicate": 0, "damaged": 0, "refused": 0}
    assert add_sources(archive, [source]).states == {"stored": 2}
    require_whole(archive, source)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_is_told(postgres: str, archive: Archive, database: str, tmp_path: Path) -> None:
    source = films(tmp_path / "heap", 4)

    def cut(step: str, done: int, total: int) -> None:
        import psycopg

        del step, total
        if done == 2:
            with psycopg.connect(f"{postgres}postgres", autocommit=True) as connection:
                name = database.rsplit("/", 1)[1]
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    with pytest.raises(OsteonError, match="database of the archive cannot be"):
        add_sources(archive, [source], progress=cut)
    import psycopg

    with psycopg.connect(f"{postgres}postgres", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.rsplit('/', 1)[1]} ALLOW_CONNECTIONS true")
    with open_archive(archive.folder) as again:
        assert add_sources(again, [source]).states == {"stored": 2}
        require_whole(again, source)


def test_a_run_that_is_stopped_ends_between_two_files(archive: Archive, tmp_path: Path) -> None:
    source = films(tmp_path / "heap", 5)

    def stop(step: str, done: int, total: int) -> None:
        del step, total
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_sources(archive, [source], progress=stop)
    assert summary(archive)["films"] == 3
    assert len(list_files(archive, "new")) == 2
    assert add_sources(archive, [source]).states == {"stored": 2}
    require_whole(archive, source)


def test_a_folder_that_cannot_be_written_is_told(archive: Archive, film: Callable[..., Path], tmp_path: Path) -> None:
    (archive.folder / "films").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        add_sources(archive, [film(tmp_path / "1.dcm")])
    assert summary(archive)["films"] == 0
