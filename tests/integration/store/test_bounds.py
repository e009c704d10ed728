"""No wait for a database is endless: not for a row, a statement, a connection, nor for a server that never answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from core.rules.errors import Contended, Unavailable
from core.store import database as database_module
from core.store.database import Database
from core.store.dialect import mysql, postgresql, sqlite
from core.store.dialect.mysql import MySql
from core.store.dialect.sqlite import Sqlite
from core.store.transaction import Transaction
from tests.support.clock import TestClock
from tests.support.databases import SERVERS, opened, run_sql
from tests.support.parcels import Parcel, create_tables, pack, parcels

MANY = 70
"""Threads that work at once; more than any pool is by default."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, fresh_url: str, clock: TestClock) -> Iterator[Database]:
    """A database that waits a second for a row, and two for a statement."""
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.2)
    for engine in (postgresql, mysql):
        monkeypatch.setattr(engine, "WAIT_SECONDS", 2)
        monkeypatch.setattr(engine, "LOCK_SECONDS", 1)
    with opened(fresh_url, clock) as database:
        create_tables(database)
        yield database


def test_a_row_that_another_holds_for_too_long_is_told_as_contended(impatient: Database) -> None:
    pack(impatient, "P-1")
    change = Parcel.update(weight=1)

    with _holding_every_row(impatient), opened_again(impatient) as other, pytest.raises(Contended):
        other.transact(lambda tx: tx.change(change))
    assert [row.weight for row in parcels(impatient)] == [None]

    impatient.transact(lambda tx: tx.change(change))
    assert [row.weight for row in parcels(impatient)] == [1]


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_a_statement_that_runs_for_too_long_is_ended_and_told_as_away(impatient: Database) -> None:
    with pytest.raises(Unavailable) as told:
        run_sql(impatient, _sleep(impatient, 30))
    assert told.value.reason == "DATABASE_UNAVAILABLE"
    pack(impatient, "P-1")


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_a_statement_of_a_migration_takes_as_long_as_it_takes(impatient: Database) -> None:
    with closing(impatient.patient()) as patient:
        run_sql(patient, _sleep(patient, 3))


@pytest.mark.any_backend
def test_a_thread_that_works_never_waits_for_a_connection(database: Database) -> None:
    all_at_once = threading.Barrier(MANY)

    _in_threads(MANY, lambda: database.read(lambda _: all_at_once.wait(timeout=10)))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_takes_a_connection_and_never_answers_is_told_as_away(
    scheme: str, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bounds = {"postgresql": "connect_timeout=2", "mysql": "connect_timeout=2&read_timeout=1"}[scheme]
        url = f"{scheme}://ann@127.0.0.1:{silent.getsockname()[1]}/orders?{bounds}"
        with opened(url, clock) as database, pytest.raises(Unavailable) as told:
            database.read(lambda _: None)
    assert told.value.reason == "DATABASE_UNAVAILABLE"


def test_behind_a_server_that_never_answers_no_thread_queues_without_end(
    clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WAIT_SECONDS", 0.5)
    told: list[str] = []

    def read() -> None:
        with pytest.raises(Unavailable) as refused:
            database.read(lambda _: None)
        told.append(refused.value.message)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ann@127.0.0.1:{silent.getsockname()[1]}/orders?connect_timeout=2"
        with opened(url, clock) as database:
            _in_threads(5, read)
    assert sorted(told) == [
        *["no database connection could be made in time"] * 4,
        "the database is not available",
    ]


@contextmanager
def opened_again(database: Database) -> Iterator[Database]:
    """The same database, as another process has it."""
    with closing(Database(database.dialect, TestClock())) as other:
        if isinstance(other.dialect, Sqlite):
            # Its queue of writers is inside one process.
            other.dialect = Sqlite(database.dialect._path)  # type: ignore[attr-defined]
        yield other


@contextmanager
def _holding_every_row(database: Database) -> Iterator[None]:
    """Another transaction holds all parcels, as long as the `with` lasts."""
    holds, may_end = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.rows(Parcel.select(), lock=True)
        holds.set()
        assert may_end.wait(30)

    thread = threading.Thread(target=lambda: database.transact(work))
    thread.start()
    try:
        assert holds.wait(10)
        yield
    finally:
        may_end.set()
        thread.join()


def _sleep(database: Database, seconds: int) -> str:
    return f"SELECT {'SLEEP' if isinstance(database.dialect, MySql) else 'pg_sleep'}({seconds})"


def _in_threads(count: int, work: Callable[[], Any]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
