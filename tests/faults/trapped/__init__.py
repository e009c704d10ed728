"""The three processes as they are, composed with a database that traps can be set in, and a clock that can be shifted.

Nothing of the product is replaced: `serve` takes how a database is opened, and the clock.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

from playhouse.pool import PooledDatabase

from core.clock import Clock
from core.store.database import Database
from core.store.dialect import Dialect
from core.store.dialect.engines import dialect_of
from core.store.rows import Rows
from core.store.transaction import Transaction
from tests.faults.traps import Trapped

T = TypeVar("T")

_WRITES = ("INSERT", "UPDATE", "DELETE")

DIRECTORY = "PAYLATCH_FAULTS_DIRECTORY"
"""The environment variable that names the directory of traps; each kind of process has its own below it."""

CLOCK, POISON = "clock", "poison"
"""Files beside the traps. clock: seconds to shift the machine's clock and the database's, as JSON. poison: the payment
code whose notification ends the process that takes it down."""


def directory_of(process: str) -> Path:
    """Where a kind of process looks for its traps."""
    return Path(os.environ[DIRECTORY]) / process


def trapped_opener(process: str) -> Callable[[str, Clock], Database]:
    """What opens a database in which a kind of process can be trapped."""
    directory = directory_of(process)
    return lambda url, clock: TrappedDatabase(url, clock, directory)


class TrappedDatabase(Database):
    """A database that tells its traps of every write and commit of a named transaction."""

    def __init__(self, url: str, clock: Clock, directory: Path) -> None:
        self._traps = Trapped(directory)
        self._place = _Place(self._traps)
        super().__init__(cast(Dialect, _TrappedDialect(dialect_of(url), self._place, directory / POISON)), clock)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """As ever, and known by the name of its work."""

        name = f"{work.__module__}.{work.__qualname__}"

        def named(tx: Transaction) -> T:
            self._place.enter(name)
            return work(tx)

        self._traps.reach(name, "before begin")
        return super().transact(named)


class _Place(threading.local):
    """Where the thread is: in which transaction, and after how many writes."""

    def __init__(self, trapped: Trapped) -> None:
        self._trapped = trapped
        self._transaction = ""
        self._writes = 0
        self._depth = 0

    def enter(self, transaction: str) -> None:
        self._transaction = transaction
        self._writes = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One write, however many statements it takes."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._depth == 0 and self._transaction:
            self._writes += 1
            self._trapped.reach(self._transaction, f"after write {self._writes}")

    def commit(self, commit: Callable[[], Any]) -> Any:
        if self._transaction and self._writes:
            self._trapped.reach(self._transaction, "before commit")
        result = commit()
        if self._transaction and self._writes:
            self._trapped.reach(self._transaction, "after commit")
        return result


class _TrappedDialect:
    """A dialect, all of whose writes and commits pass by the traps."""

    def __init__(self, dialect: Dialect, place: _Place, poison: Path) -> None:
        self._dialect = dialect
        self._place = place
        self._poison = poison

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        pool = self._dialect.connect(pool_size, patient=patient)
        commit, execute = pool.commit, pool.execute_sql

        def execute_sql(sql: str, *arguments: Any, **options: Any) -> Any:
            with self._place.writing() if sql.startswith(_WRITES) else nullcontext():
                return execute(sql, *arguments, **options)

        pool.commit = lambda: self._place.commit(commit)
        pool.execute_sql = execute_sql
        return pool

    def insert(self, database: PooledDatabase, table: str, rows: Rows) -> None:
        if table == "order_payment_notify":
            self._die_of_poison(rows)
        with self._place.writing():
            self._dialect.insert(database, table, rows)

    def update(self, database: PooledDatabase, table: str, rows: Rows, guards: Sequence[tuple[Any, Any]]) -> int:
        with self._place.writing():
            return self._dialect.update(database, table, rows, guards)

    def _die_of_poison(self, rows: Rows) -> None:
        if self._poison.exists() and self._poison.read_text() in _values(rows):
            os.kill(os.getpid(), signal.SIGKILL)


def _values(rows: Rows) -> set[Any]:
    return {*rows.common_values, *chain.from_iterable(rows.one_by_one())}


class ShiftedClock:
    """A clock that the test can shift while the process runs. Implements core.clock.Clock."""

    def __init__(self, clock: Clock, directory: Path) -> None:
        self._clock = clock
        self._file = directory / CLOCK

    def now(self) -> datetime:
        """The machine's time, shifted."""
        return self._clock.now() + self._shift("machine")

    def shared(self, database_time: Callable[[], datetime | None]) -> datetime:
        """The database's time, shifted by its own shift; the machine's if it has none."""
        told = database_time()
        return self.now() if told is None else told + self._shift("database")

    def monotonic(self) -> float:
        """As it is: it never steps."""
        return self._clock.monotonic()

    def _shift(self, whose: str) -> timedelta:
        try:
            return timedelta(seconds=json.loads(self._file.read_text()).get(whose, 0))
        except FileNotFoundError:
            return timedelta(0)
