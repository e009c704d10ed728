"""SQLite files under the product's own dialect, with a gate at every statement and commit.

The gate stands at the driver: whatever the product sends to SQLite passes it. A crash is modelled by what a crash
leaves: the file has what was committed, and nothing else, because an open transaction is rolled back. Between
transactions the task gives its turn away; inside one nobody else runs, as SQLite has one writer.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from playhouse.pool import PooledDatabase

from core.store.dialect.sqlite import Sqlite
from tests.simulation.faults import Boundary, Fault
from tests.simulation.turns import Crash

_ERRORS = {
    Fault.CONNECTION_REFUSED: ("SQLITE_CANTOPEN", "unable to open database file"),
    Fault.STATEMENT_FAILS: ("SQLITE_IOERR_WRITE", "disk I/O error"),
    Fault.DISK_FULL: ("SQLITE_FULL", "database or disk is full"),
    Fault.STATEMENT_LOSES_RACE: ("SQLITE_BUSY", "database is locked"),
    Fault.COMMIT_FAILS: ("SQLITE_IOERR_FSYNC", "disk I/O error"),
    Fault.COMMIT_FAILS_DURABLE: ("SQLITE_IOERR_FSYNC", "disk I/O error"),
}


class Gate(Protocol):
    """What a process meets on its way to its database."""

    def wait_for_turn(self) -> None:
        """Before a transaction: others may go on."""
        ...

    def fault_at(self, boundary: Boundary, what: str) -> Fault | None:
        """What goes wrong. Raises Crash if it is the process that does, or has done."""
        ...

    def crash(self) -> Crash:
        """The process dies: what to raise."""
        ...

    def committed(self) -> None:
        """A transaction that wrote has become durable."""
        ...


class GatedSqlite(Sqlite):
    """The product's dialect for one process on one file."""

    def __init__(self, path: Path, gate: Gate) -> None:
        super().__init__(str(path))
        self._gate = gate
        self.connections: list[_Connection] = []

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        pool = super().connect(pool_size, patient=patient)
        pool.connect_params["factory"] = self._open
        connect = pool.connect

        def in_turn(reuse_if_open: bool = False) -> Any:
            self._gate.wait_for_turn()
            if self._gate.fault_at(Boundary.CONNECT, "") is Fault.CONNECTION_REFUSED:
                raise _error(Fault.CONNECTION_REFUSED)
            return connect(reuse_if_open)

        pool.connect = in_turn
        return pool

    @contextmanager
    def turn_to_write(self) -> Iterator[None]:
        """Nobody else runs inside a transaction anyway."""
        yield

    def _open(self, *arguments: Any, **options: Any) -> "_Connection":
        connection = _Connection(self._gate, *arguments, **options)
        self.connections.append(connection)
        return connection


def _error(fault: Fault) -> sqlite3.OperationalError:
    name, text = _ERRORS[fault]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return error


class _Connection(sqlite3.Connection):
    def __init__(self, gate: Gate, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._gate = gate
        self._changes_before = 0

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(_Cursor)

    def go(self, sql: str, run: Callable[[], Any]) -> Any:
        """Let a statement through, or what happens instead."""
        word = sql[: sql.find(" ")] if " " in sql else sql
        match word:
            case "PRAGMA":
                return run()
            case "ROLLBACK" if sql == "ROLLBACK":
                return run()
            case "COMMIT":
                return self._commit(run)
            case "BEGIN":
                self._changes_before = self.total_changes
        fault = self._gate.fault_at(Boundary.STATEMENT, word)
        if fault is Fault.STATEMENT_FAILS and self.in_transaction:
            self.rollback()  # SQLite undoes everything itself after some errors
        if fault is not None:
            raise _error(fault)
        return run()

    def _commit(self, run: Callable[[], Any]) -> Any:
        wrote = self.total_changes != self._changes_before
        fault = self._gate.fault_at(Boundary.COMMIT, "writing" if wrote else "reading")
        if fault is Fault.COMMIT_FAILS:
            self.rollback()
            raise _error(fault)
        result = run()
        if wrote:
            self._gate.committed()
        if fault is Fault.COMMIT_FAILS_DURABLE:
            raise _error(fault)
        if fault is Fault.CRASH_AFTER:
            raise self._gate.crash()
        return result


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        if sql.startswith("PRAGMA synchronous"):
            sql = "PRAGMA synchronous = off"  # no power is cut here
        return self.connection.go(sql, lambda: super(_Cursor, self).execute(sql, parameters))

    def executemany(self, sql: str, parameters: Any) -> Any:
        return self.connection.go(sql, lambda: super(_Cursor, self).executemany(sql, parameters))
