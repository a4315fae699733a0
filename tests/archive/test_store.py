"""Making and opening an archive; the migrations lead to the tables."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from osteon.archive.store import Archive, create_archive, open_archive
from osteon.archive.tables import metadata
from osteon.errors import InputError, OutputError, UsageError


def test_the_migrations_make_the_tables(archive: Archive) -> None:
    with archive.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        for table in metadata.sorted_tables:
            assert table.primary_key.name == f"pk_{table.name}"


def test_an_archive_is_opened_again(archive: Archive) -> None:
    with open_archive(archive.folder) as again, again.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM about")).scalar() == 1


def test_a_folder_that_holds_something_is_left_alone(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        create_archive(archive.folder)
    with pytest.raises(InputError, match="is not an archive"):
        open_archive(tmp_path)


def test_a_database_belongs_to_one_folder(postgres: str, database: str, tmp_path: Path) -> None:
    create_archive(tmp_path / "one", url=database).close()
    if database:
        with pytest.raises(OutputError, match="holds an archive already"):
            create_archive(tmp_path / "two", url=database)
    mark = tmp_path / "one" / "archive.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"id": "another"}))
    with pytest.raises(InputError, match="belongs to another archive"):
        open_archive(tmp_path / "one")


def test_an_archive_of_a_later_version_is_not_touched(archive: Archive) -> None:
    with archive.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="later version"):
        open_archive(archive.folder)


def test_a_lost_database_is_told(tmp_path: Path) -> None:
    create_archive(tmp_path / "a").close()
    (tmp_path / "a" / "catalogue.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        open_archive(tmp_path / "a")
    (tmp_path / "a" / "catalogue.sqlite").unlink()
    with pytest.raises(InputError, match="is gone"):
        open_archive(tmp_path / "a")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///x.db", "SQLite is used where none is given"),
        ("nonsense", "takes a URL"),
        ("postgresql://a:secret@host/b", "no password"),
    ],
)
def test_urls_that_are_refused(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create_archive(tmp_path / "a", url=url)


def test_a_server_that_is_not_there_is_told_without_values(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written \(OperationalError") as caught:
        create_archive(tmp_path / "a", url="postgresql://nobody_here@127.0.0.1:1/x")
    assert "nobody_here" not in str(caught.value)


def test_a_writer_is_alone_and_a_failed_block_leaves_nothing(archive: Archive) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def change_and_stop() -> None:
        with archive.writing() as connection:
            connection.execute(text("UPDATE about SET id = 'changed'"))
            raise Stopped

    with pytest.raises(Stopped):
        change_and_stop()
    with archive.reading() as connection:
        assert connection.execute(text("SELECT id FROM about")).scalar() != "changed"


def test_an_archive_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    create_archive(folder).close()
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    before = sorted(folder.iterdir())
    with open_archive(folder) as archive:
        with archive.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM files")).scalar() == 0
        with pytest.raises(OutputError, match="readonly database"), archive.writing() as connection:
            connection.execute(text("UPDATE about SET id = 'x'"))
    assert sorted(folder.iterdir()) == before
