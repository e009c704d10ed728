"""What differs between database engines, in one place and by name: the module of each engine holds all of its ways.

Owns SQL text, session settings and what the errors of a driver mean. Never decides when a transaction begins or ends.
Names are quoted by `"` everywhere, so that `name` is the same on every engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum, auto
from typing import Any, Protocol

from peewee import Field, PeeweeException
from playhouse.pool import PooledDatabase

from core.store.rows import Rows

CONNECT_SECONDS = 5
"""How long making a connection may take."""

WAIT_SECONDS = 10
"""How long a statement may run or wait for its turn, and a thread for a free connection where they are limited."""

LOCK_SECONDS = 5
"""How long a statement waits for a row that somebody else holds."""

SILENCE_SECONDS = 5
"""How long a server may say nothing after it should have ended a statement itself; then its connection is given up."""

IDLE_SECONDS = 60
"""How long a transaction may lie still, with the rows that it holds, before the server ends it."""

PATIENT_SECONDS = 600
"""How long a migration waits for its turn."""


class Failure(Enum):
    """What a database error means for the transaction it happened in."""

    RACE = auto()  # others touched the same rows: the same work may succeed when it is run again
    UNAVAILABLE = auto()  # the database is away, full or broken
    BUG = auto()  # the statement itself is wrong


class Dialect(Protocol):
    """One engine's way of doing what the Database and the Transaction need."""

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        """A pool of connections, opened when needed and kept: one for each thread, or `pool_size` if it is not 0.

        patient: statements may take as long as they take.
        """
        ...

    def turn_to_write(self) -> AbstractContextManager[Any]:
        """This thread's turn among those of the process that write, where an engine has but one writer."""
        ...

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """Begin a transaction on the thread's connection: one that writes, or one consistent snapshot."""
        ...

    def now(self, database: PooledDatabase) -> datetime | None:
        """The database's own time, aware, in UTC; None if it has none but the machine's."""
        ...

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """`query`, holding the rows it reads until the transaction ends; without those that others hold, if told so."""
        ...

    def select(
        self, database: PooledDatabase, table: str, columns: Sequence[Field[Any]], wanted: Rows, *, lock: bool
    ) -> Iterable[Sequence[Any]]:
        """The `columns` of the rows whose key is among the `wanted` ones, each entered by an index.

        lock: held until the transaction ends, and taken in the order of the keys.
        """
        ...

    def insert(self, database: PooledDatabase, table: str, rows: Rows) -> None:
        """Insert the rows."""
        ...

    def update(self, database: PooledDatabase, table: str, rows: Rows, guards: Sequence[tuple[Field[Any], Any]]) -> int:
        """Set the columns of the rows that are named by their first column and are as guarded; how many there are."""
        ...

    def unsafe_settings(self, database: PooledDatabase) -> Mapping[str, str]:
        """The server's settings, with their values, by which it may lose a commit when its machine fails."""
        ...

    def migration_lock(self, database: PooledDatabase) -> AbstractContextManager[Any]:
        """While it is held, nobody else migrates. Unavailable or a race if the wait for it was too long."""
        ...

    def failure(self, error: Exception) -> Failure:
        """What `error` means."""
        ...


def name(field: Field[Any]) -> str:
    """A column's name in a statement."""
    return f'"{field.column_name}"'


def names(fields: Iterable[Field[Any]], of: str = "") -> str:
    """A list of columns in a statement; of: the table's name there, with its dot."""
    return ", ".join(of + name(field) for field in fields)


def matching(fields: Iterable[Field[Any]], one: str, other: str) -> str:
    """The condition that two tables of a statement agree in these columns."""
    return " AND ".join(f"{one}.{name(field)} = {other}.{name(field)}" for field in fields)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error inside peewee's."""
    return getattr(error, "orig", None) or error if isinstance(error, PeeweeException) else error
