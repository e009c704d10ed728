"""SQLite: one file, any number of processes of one machine, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from peewee import Field
from playhouse.pool import PooledDatabase, PooledSqliteDatabase

from core.rules.errors import Unavailable
from core.store.dialect import PATIENT_SECONDS, WAIT_SECONDS, Failure, driver_error, matching, name, names
from core.store.rows import Rows

# SQLite itself holds no text to its size.
_SCHEMA: Mapping[str, str] = {
    "STRING": 'VARCHAR({size}) CHECK (length("{column}") <= {size})',
    "PARTIAL_INDEX": "({columns}) WHERE {of} {condition}",
    "STORAGE": "",
}
_RACES = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_BUSY", "SQLITE_LOCKED")
_UNAVAILABLE = (
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
)


class Sqlite:
    """A file in WAL mode that is synced before a commit returns. The write lock is taken at BEGIN."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writers = threading.Lock()

    @classmethod
    def of(cls, url: str) -> Sqlite:
        """The file of `sqlite:///relative/path` or `sqlite:////absolute/path`."""
        parts = urlsplit(url)
        path = parts.path.removeprefix("/")
        if parts.netloc or not path:
            raise ValueError("must be sqlite:///path")
        return cls(path)

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        """A pool of connections to the file."""
        return _Pool(
            self._path,
            max_connections=pool_size,
            timeout=WAIT_SECONDS,
            autoconnect=False,
            check_same_thread=False,
            field_types=_SCHEMA,
            pragmas=[
                ("busy_timeout", int(1000 * (PATIENT_SECONDS if patient else WAIT_SECONDS))),
                ("synchronous", "full"),
                ("foreign_keys", 1),
            ],
        )

    @contextmanager
    def turn_to_write(self) -> Iterator[None]:
        """Queue inside the process: SQLite itself polls, and lets a writer starve for half a second under load."""
        if not self._writers.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("the database was busy for too long", reason="DATABASE_BUSY")
        try:
            yield
        finally:
            self._writers.release()

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """Take the write lock at once: a later upgrade from reading fails whatever the busy timeout."""
        database.begin("IMMEDIATE" if write else "DEFERRED")

    def now(self, database: PooledDatabase) -> datetime | None:
        """The file has no clock."""
        return None

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """The query as it is: a writing transaction is alone."""
        return query

    def select(
        self, database: PooledDatabase, table: str, columns: Sequence[Field[Any]], wanted: Rows, *, lock: bool
    ) -> Iterable[Sequence[Any]]:
        """Drive the lookup from the wanted keys: `IN (VALUES …)` would scan the table."""
        keys, values = wanted.own_fields, wanted.one_by_one()
        marks = ", ".join([f"({', '.join('?' * len(keys))})"] * len(values))
        statement = (
            f"WITH wanted({names(keys)}) AS (VALUES {marks}) "
            f'SELECT {names(columns, "t.")} FROM wanted CROSS JOIN "{table}" AS t ON {matching(keys, "t", "wanted")}'
        )
        found: Iterable[Sequence[Any]] = database.execute_sql(statement, [key for row in values for key in row])
        return found

    def insert(self, database: PooledDatabase, table: str, rows: Rows) -> None:
        """One prepared statement, run for each row inside the library: no round trips to save."""
        marks = ", ".join("?" * len(rows.fields))
        _run_for_each(
            database,
            f'INSERT INTO "{table}" ({names(rows.fields)}) VALUES ({marks})',
            [(*own, *rows.common_values) for own in rows.one_by_one()],
        )

    def update(self, database: PooledDatabase, table: str, rows: Rows, guards: Sequence[tuple[Field[Any], Any]]) -> int:
        """One prepared statement, as for `insert`."""
        key, *settable = rows.fields
        settings = ", ".join(f"{name(field)} = ?" for field in settable)
        conditions = " AND ".join(f"{name(field)} = ?" for field in (key, *(field for field, _ in guards)))
        fixed = [value for _, value in guards]
        return _run_for_each(
            database,
            f'UPDATE "{table}" SET {settings} WHERE {conditions}',
            [(*own[1:], *rows.common_values, own[0], *fixed) for own in rows.one_by_one()],
        )

    def unsafe_settings(self, database: PooledDatabase) -> Mapping[str, str]:
        """None: all of them are the connection's, and set by it."""
        return {}

    def migration_lock(self, database: PooledDatabase) -> AbstractContextManager[Any]:
        """The write lock, in one transaction around all migrations."""
        lock: AbstractContextManager[Any] = database.atomic("IMMEDIATE")
        return lock

    def failure(self, error: Exception) -> Failure:
        """Told by SQLite's extended error name."""
        original = driver_error(error)
        told = getattr(original, "sqlite_errorname", "") if isinstance(original, sqlite3.Error) else ""
        if told.startswith(_RACES):
            return Failure.RACE
        if told.startswith(_UNAVAILABLE):
            return Failure.UNAVAILABLE
        return Failure.BUG


class _Pool(PooledSqliteDatabase):  # type: ignore[misc]  # playhouse has no types
    """A pool whose connections have the file in WAL mode."""

    def _set_pragmas(self, connection: sqlite3.Connection) -> None:
        super()._set_pragmas(connection)
        while not _turn_to_wal(connection):
            # Here the busy timeout holds.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")


def _turn_to_wal(connection: sqlite3.Connection) -> bool:
    """Whether the file is in WAL mode now: SQLite does not wait while another writes to a file that is not yet."""
    try:
        connection.execute("PRAGMA journal_mode = wal")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_BUSY":
            raise
        return False
    return True


def _run_for_each(database: PooledDatabase, statement: str, parameters: Sequence[Sequence[Any]]) -> int:
    cursor = database.cursor()
    cursor.executemany(statement, parameters)
    return int(cursor.rowcount)
