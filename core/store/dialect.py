"""What differs between database engines, in one place and by name. Owns SQL text; never opens a transaction."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto
from typing import Any, Protocol

from peewee import PeeweeException
from playhouse.pool import PooledDatabase, PooledSqliteDatabase

from core.rules.errors import Unavailable

BUSY_TIMEOUT_SECONDS = 10
"""How long a statement or a pool waits for its turn before it fails."""


class Failure(Enum):
    """What a database error means for the transaction it happened in."""

    RACE = auto()  # others touched the same rows: the same work may succeed when it is run again
    UNAVAILABLE = auto()  # the database is away, full or broken
    BUG = auto()  # the statement itself is wrong


class Dialect(Protocol):
    """One engine's way of doing what the Transaction needs."""

    def connect(self, pool_size: int) -> PooledDatabase:
        """A pool of connections; opens none yet."""
        ...

    def turn_to_write(self) -> AbstractContextManager[Any]:
        """This thread's turn among those of the process that write, where an engine has but one writer."""
        ...

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """Begin a transaction on the thread's connection."""
        ...

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """`query`, holding the rows it reads until the transaction ends; without those that others hold, if told so."""
        ...

    def select_by_keys(self, table: str, columns: Sequence[str], keys: Sequence[str], count: int, *, lock: bool) -> str:
        """A SELECT of the rows whose key columns equal any of `count` keys, given as one flat list of parameters."""
        ...

    def change_many(self, database: PooledDatabase, statement: str, parameters: Sequence[Sequence[Any]]) -> int:
        """Run one INSERT or UPDATE for each list of parameters; how many rows it changed in all."""
        ...

    def migration_lock(self, database: PooledDatabase) -> AbstractContextManager[Any]:
        """While it is held, nobody else migrates; what happens inside is durable together or not at all."""
        ...

    def failure(self, error: Exception) -> Failure:
        """What `error` means."""
        ...


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error inside peewee's."""
    return getattr(error, "orig", None) or error if isinstance(error, PeeweeException) else error


class Sqlite:
    """One file in WAL mode that is synced before a commit returns; one writer at a time, taken at BEGIN."""

    _RACES = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_BUSY", "SQLITE_LOCKED")
    _UNAVAILABLE = (
        "SQLITE_FULL",
        "SQLITE_IOERR",
        "SQLITE_CANTOPEN",
        "SQLITE_READONLY",
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self._writers = threading.Lock()

    def connect(self, pool_size: int) -> PooledDatabase:
        """A pool of connections to the file."""
        return PooledSqliteDatabase(
            self.path,
            max_connections=pool_size,
            timeout=BUSY_TIMEOUT_SECONDS,
            autoconnect=False,
            check_same_thread=False,
            pragmas=[
                ("busy_timeout", BUSY_TIMEOUT_SECONDS * 1000),
                ("journal_mode", "wal"),
                ("synchronous", "full"),
                ("foreign_keys", 1),
            ],
        )

    @contextmanager
    def turn_to_write(self) -> Iterator[None]:
        """Queue inside the process: SQLite itself polls, and lets a writer starve for half a second under load."""
        if not self._writers.acquire(timeout=BUSY_TIMEOUT_SECONDS):
            raise Unavailable("the database was busy for too long", reason="DATABASE_BUSY")
        try:
            yield
        finally:
            self._writers.release()

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """Take the write lock at once: a later upgrade from reading fails whatever the busy timeout."""
        database.begin("IMMEDIATE" if write else "DEFERRED")

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """The query as it is: a writing transaction is alone."""
        return query

    def select_by_keys(self, table: str, columns: Sequence[str], keys: Sequence[str], count: int, *, lock: bool) -> str:
        """Drive the lookup from the wanted keys: `IN (VALUES …)` would scan the table."""
        wanted = ", ".join(f'"{key}"' for key in keys)
        values = ", ".join([f"({', '.join('?' * len(keys))})"] * count)
        found = ", ".join(f't."{column}"' for column in columns)
        match = " AND ".join(f't."{key}" = wanted."{key}"' for key in keys)
        source = f'wanted CROSS JOIN "{table}" AS t ON {match}'
        return f"WITH wanted({wanted}) AS (VALUES {values}) SELECT {found} FROM {source}"

    def change_many(self, database: PooledDatabase, statement: str, parameters: Sequence[Sequence[Any]]) -> int:
        """One prepared statement, run for each row inside the library: no round trips to save."""
        cursor = database.cursor()
        cursor.executemany(statement, parameters)
        return int(cursor.rowcount)

    def migration_lock(self, database: PooledDatabase) -> AbstractContextManager[Any]:
        """The write lock, in one transaction around all migrations."""
        lock: AbstractContextManager[Any] = database.atomic("IMMEDIATE")
        return lock

    def failure(self, error: Exception) -> Failure:
        """Told by SQLite's extended error name."""
        original = driver_error(error)
        name = getattr(original, "sqlite_errorname", "") if isinstance(original, sqlite3.Error) else ""
        if name.startswith(self._RACES):
            return Failure.RACE
        if name.startswith(self._UNAVAILABLE):
            return Failure.UNAVAILABLE
        return Failure.BUG
