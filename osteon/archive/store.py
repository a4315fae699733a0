"""The archive folder and its database: made, opened, migrated, read and written.

    DIR/archive.json        which database, which archive
    DIR/catalogue.sqlite    the tables, unless they are in PostgreSQL
    DIR/films/ab/HASH.dcm   each film as it came, under the SHA-256 of its content
    DIR/thumbnails/ab/HASH.jpg

Writers take turns: SQLite's BEGIN IMMEDIATE, or an advisory lock of PostgreSQL; so looking first and entering then is
safe within one transaction.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, QueuePool, create_engine, event, insert, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from osteon._optional import require
from osteon.archive.tables import about, metadata
from osteon.errors import InputError, OutputError, UsageError
from osteon.io.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sqlalchemy import Connection

__all__ = ["Archive", "create_archive", "open_archive"]

MARK: Final = "archive.json"
SQLITE_NAME: Final = "catalogue.sqlite"
FORMAT: Final = 1
WAIT_S: Final = 60
"""How long a writer waits for another one."""

WRITERS_LOCK: Final = 0x6F7374656F6E
"""Of PostgreSQL: "osteon" as a number."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive; a context manager.

    Attributes:
        folder: of the archive.
        engine: of its database.
    """

    folder: Path
    engine: Engine = field(repr=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look; nothing may be changed through it.

        Raises:
            InputError: the database refuses, or is gone.
        """
        with _told(InputError, "read"), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection to change things, alone among all programs: all of the block is kept, or nothing.

        Raises:
            OutputError: the database refuses, is full, or is gone.
        """
        with _told(OutputError, "written"), self.engine.connect() as plain:
            connection = plain.execution_options(osteon_writes=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS_LOCK})
                yield connection

    def film_path(self, sha256: str, suffix: str) -> Path:
        """Where a film with that content is."""
        return self.folder / "films" / sha256[:2] / f"{sha256}{suffix}"

    def thumbnail_path(self, sha256: str) -> Path:
        """Where its small picture is."""
        return self.folder / "thumbnails" / sha256[:2] / f"{sha256}.jpg"

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        """Nothing happens on entry."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def create_archive(folder: Path, *, url: str = "") -> Archive:
    """Make an empty archive.

    Args:
        folder: new or empty.
        url: of a PostgreSQL database (``postgresql://user@host/name``) that holds no archive; "" for SQLite in the
            folder. Passwords belong into PGPASSFILE or PGSERVICE, not here: the URL is written into the folder.

    Raises:
        OutputError: the folder or the database cannot be written, or is in use.
        UsageError: a URL of another kind, or with a password.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = list(folder.iterdir())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the folder {folder.name} cannot be made ({reason}): choose another place") from error
    if there:
        raise OutputError(f"the folder {folder.name} is not empty: an archive is made in a new or empty one")
    identity = uuid.uuid4().hex
    archive = Archive(folder, _engine(folder, url, read_only=False))
    try:
        with archive.writing() as connection:
            _require_empty(connection)
            _migrate(connection)
            connection.execute(insert(about).values(id=identity))
        document = {"format": FORMAT, "id": identity, "database": url or "sqlite"}
        write_whole(folder / MARK, (json.dumps(document, indent=1) + "\n").encode())
    except BaseException:
        archive.close()
        raise
    return archive


def open_archive(folder: Path) -> Archive:
    """Open an archive; tables of an earlier version are brought up to date.

    Raises:
        InputError: no archive, one of a later version, or its database cannot be read.
        OutputError: its tables are of an earlier version and cannot be written.
    """
    mark = folder / MARK
    if not mark.is_file():
        raise InputError(f"{folder.name} is not an archive: make one with `osteon archive create`")
    try:
        said: dict[str, Any] = json.loads(mark.read_text("utf-8"))
        if said["format"] != FORMAT:
            raise InputError(f"{folder.name} was made by another version of osteon: update osteon")
        identity, url = str(said["id"]), str(said["database"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder.name}: its {MARK} cannot be read; copy it back from a backup") from error
    url = "" if url == "sqlite" else url
    if not url and not (folder / SQLITE_NAME).is_file():
        raise InputError(f"{folder.name}: its {SQLITE_NAME} is gone; copy it back from a backup")
    archive = Archive(folder, _engine(folder, url, read_only=not os.access(folder, os.W_OK)))
    try:
        with archive.reading() as connection:
            is_current = _is_current(connection)
        if not is_current:
            with archive.writing() as connection:
                _migrate(connection)
        with archive.reading() as connection:
            _require_same(connection, identity)
    except BaseException:
        archive.close()
        raise
    return archive


def _engine(folder: Path, url: str, *, read_only: bool) -> Engine:
    if url:
        return _postgres(url)
    place = f"file:{quote(str((folder / SQLITE_NAME).absolute()))}"
    place += "?mode=ro&immutable=1" if read_only else "?mode=rwc"

    def connect() -> sqlite3.Connection:
        opened = sqlite3.connect(place, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        more = () if read_only else ("journal_mode = WAL", "synchronous = NORMAL")
        for pragma in ("foreign_keys = ON", "temp_store = MEMORY", "cache_size = -65536", *more):
            opened.execute(f"PRAGMA {pragma}")
        return opened

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("osteon_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: str) -> Engine:
    try:
        made = make_url(url)
    except ArgumentError as error:
        raise UsageError("--db takes a URL as postgresql://user@host/name") from error
    if made.get_backend_name() != "postgresql":
        raise UsageError("--db takes a URL as postgresql://user@host/name: SQLite is used where none is given")
    if made.password is not None:
        raise UsageError("--db must hold no password, for it is written into the folder: use PGPASSFILE or PGSERVICE")
    require("psycopg", extra="postgres", purpose="for an archive in PostgreSQL")
    return create_engine(made.set(drivername="postgresql+psycopg"), hide_parameters=True, pool_pre_ping=True)


@contextmanager
def _told(kind: type[InputError | OutputError], verb: str) -> Iterator[None]:
    """Turn what the database says into an error of ours, without the values it was about."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        # SQLite's own messages name tables and never values; those of PostgreSQL quote them
        words = str(cause) if isinstance(cause, sqlite3.Error) else type(cause).__name__
        if state := getattr(cause, "sqlstate", None):
            words += f" {state}"
        raise kind(
            f"the database of the archive cannot be {verb} ({words}): check that it runs, its disk and its "
            "permissions. What was entered before is kept; the same command goes on from there"
        ) from error


def _require_empty(connection: Connection) -> None:
    if MigrationContext.configure(connection).get_current_revision() is not None:
        raise OutputError("the database holds an archive already: name an empty one")


def _require_same(connection: Connection, identity: str) -> None:
    if connection.execute(text("SELECT id FROM about")).scalar() != identity:
        raise InputError("the database belongs to another archive folder: the two are kept and copied together")


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _is_current(connection: Connection) -> bool:
    script = ScriptDirectory.from_config(_migrations())
    found = MigrationContext.configure(connection).get_current_revision()
    known = [each.revision for each in script.walk_revisions()]
    if found is None:
        raise InputError("the database holds no archive: its tables are gone; copy it back from a backup")
    if found not in known:
        raise InputError("the archive was written by a later version of osteon: update osteon")
    return found == script.get_current_head()


def _migrate(connection: Connection) -> None:
    """Bring the tables up to date, within the transaction of the connection."""
    config = _migrations()
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, _: object) -> Any:  # noqa: ANN401 - as alembic passes them
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - as its documentation has it

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        environment.run_migrations()
