"""A database: opening it, and running transactions on it. Owns begin, commit, rollback and running again.

Never makes a remote call, and never reports a commit that raised as "not done" (SPEC 4).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from playhouse.pool import MaxConnectionsExceeded, PooledDatabase

from core.clock import Clock
from core.rules.errors import Contended, PaylatchError, Unavailable
from core.store.dialect import WAIT_SECONDS, Dialect, Failure
from core.store.dialect.engines import dialect_of
from core.store.transaction import LostRace, Transaction

T = TypeVar("T")

OpenDatabase = Callable[[str, Clock], "Database"]
"""Gives the database that a URL names. A process is composed with `Database.open`; a test may hand in its own."""

MAX_TRIES = 3
"""How often a transaction is run before its caller is told (SPEC 3)."""


class CommitUnknown(Exception):
    """COMMIT raised: it may be durable or not. Only reading again by key can tell."""


class Interrupted(Exception):
    """The database failed before COMMIT: nothing of the transaction stays."""


class Database:
    """One database with its connection pool. Safe to use from any number of threads.

    Each thread has a connection only while it is inside `transact` or `read`. So a process never has more connections
    than threads that work on the database, and none of them waits for one, unless a `pool_size` is less.
    """

    def __init__(self, dialect: Dialect, clock: Clock, *, pool_size: int = 0, patient: bool = False) -> None:
        self.dialect = dialect
        self._clock = clock
        self.pool = dialect.connect(pool_size, patient=patient)
        self._connecting = threading.RLock()
        self._is_closed = False

    @classmethod
    def open(cls, url: str, clock: Clock) -> "Database":
        """The database that `url` names; no connection is made yet.

        Raises:
            ValueError: the URL names no engine that is known here, or lacks something.
        """
        return cls(dialect_of(url), clock)

    def patient(self) -> "Database":
        """The same database by a connection of its own, on which a statement may take as long as it takes."""
        return Database(self.dialect, self._clock, pool_size=1, patient=True)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one writing transaction and commit it.

        `work` must be idempotent: it reads by key, then writes what is missing. When another transaction was faster, or
        when COMMIT raised (its result is unknown), it is run again on what is really there, at most three times in all.

        Raises:
            Contended: others were faster every time; nothing was changed.
            Unavailable: the database is away, or the commit's result stayed unknown.
        """
        return self._run(work, write=True)

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one consistent snapshot. It must not write.

        Raises:
            Unavailable: the database is away.
        """
        return self._run(work, write=False)

    @contextmanager
    def connected(self) -> Iterator[PooledDatabase]:
        """The pool, with a connection for this thread and no transaction: for migrations.

        Raises:
            Unavailable: the database is away, or others held it for too long.
        """
        try:
            with self._connection():
                yield self.pool
        except Exception as error:
            # A race is what an engine makes of a lock that it did not get in time.
            match self._meaning(error):
                case LostRace():
                    raise Unavailable("the database was busy for too long", reason="DATABASE_BUSY") from error
                case Interrupted():
                    raise _unavailable() from error
            raise

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and how many wait for use."""
        return len(self.pool._in_use), len(self.pool._connections)  # noqa: SLF001  # peewee tells it no other way

    def close(self) -> None:
        """Close every connection that is idle, now; and those in use when their transactions end.

        SQLite ends the whole process when a connection is closed below a statement that runs on it.
        """
        self._is_closed = True
        self.pool.close_idle()

    def _run(self, work: Callable[[Transaction], T], *, write: bool) -> T:
        failures: list[Exception] = []
        while len(failures) < MAX_TRIES:
            try:
                return self._attempt(work, write=write, is_rerun=bool(failures))
            except (LostRace, CommitUnknown, Interrupted) as error:
                failures.append(error)
            except Unavailable as error:
                failures.append(error)
                break
        raise _told(failures) from failures[-1].__cause__

    def _attempt(self, work: Callable[[Transaction], T], *, write: bool, is_rerun: bool) -> T:
        with self._turn(write=write), self._connection():
            result = self._work(work, write=write, is_rerun=is_rerun)
            self._commit()
            return result

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """A connection for this thread, given back to the pool in the end unless it was dropped."""
        try:
            with self._turn_to_connect():
                self.pool.connect()
        except MaxConnectionsExceeded as error:
            raise Unavailable("no database connection became free in time", reason="DATABASE_BUSY") from error
        except Exception as error:
            if self.dialect.failure(error) is Failure.BUG:
                raise
            raise _unavailable() from error
        try:
            yield
        finally:
            self.pool.close()
            if self._is_closed:
                self.pool.close_idle()

    @contextmanager
    def _turn_to_connect(self) -> Iterator[None]:
        """The pool makes one connection at a time: behind a server that never answers, nobody queues without end."""
        if not self._connecting.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("no database connection could be made in time", reason="DATABASE_UNAVAILABLE")
        try:
            yield
        finally:
            self._connecting.release()

    def _turn(self, *, write: bool) -> AbstractContextManager[Any]:
        return self.dialect.turn_to_write() if write else nullcontext()

    def _work(self, work: Callable[[Transaction], T], *, write: bool, is_rerun: bool) -> T:
        transaction = Transaction(self.pool, self.dialect, self._clock, is_rerun=is_rerun)
        try:
            self.dialect.begin(self.pool, write=write)
            result = work(transaction)
            transaction.require_whole()
            return result
        except BaseException as error:
            self._rollback()
            meaning = self._meaning(error)
            if meaning is error:
                raise
            raise meaning from error
        finally:
            transaction.end()

    def _commit(self) -> None:
        try:
            self.pool.commit()
        except Exception as error:
            self.pool.manual_close()
            raise CommitUnknown from error

    def _rollback(self) -> None:
        try:
            self.pool.rollback()
        except Exception:  # noqa: BLE001 - whatever the driver raises, the work's own error is the one to tell
            # A connection that cannot roll back is of no use to the next one; closing it undoes the work.
            self.pool.manual_close()

    def _meaning(self, error: BaseException) -> BaseException:
        """What an error of the work means: a race, an outage, or just itself."""
        if not isinstance(error, Exception) or isinstance(error, PaylatchError | LostRace):
            return error
        match self.dialect.failure(error):
            case Failure.RACE:
                return LostRace(str(error))
            case Failure.UNAVAILABLE:
                # The idle connections have gone the same way, if it was the server.
                self.pool.close_idle()
                return Interrupted(str(error))
            case Failure.BUG:
                return error


def _told(failures: Sequence[Exception]) -> Exception:
    """What the caller is told when the last try has failed."""
    # One commit that may be durable is enough: "nothing was changed" could be untrue.
    if any(isinstance(failure, CommitUnknown) for failure in failures):
        return Unavailable(
            "the database did not confirm the commit; make the same call again to learn its result",
            reason="RESULT_UNKNOWN",
        )
    match failures[-1]:
        case LostRace():
            return Contended()
        case Interrupted():
            return _unavailable()
        case failure:
            return failure


def _unavailable() -> Unavailable:
    return Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")
