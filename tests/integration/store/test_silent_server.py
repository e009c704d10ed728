"""A PostgreSQL that lives and says nothing: its disk hangs, or the machine it runs on was paused."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from core.clock import SystemClock
from core.rules.errors import Unavailable
from core.store.database import Database
from core.store.dialect import postgresql
from core.store.transaction import Transaction
from tests.support.databases import opened
from tests.support.servers import OwnPostgreSql

WAIT_MS = 200
SILENCE_SECONDS = 0.3

Freeze = Callable[[Transaction], None]


@pytest.fixture
def database(own_postgresql: OwnPostgreSql, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(postgresql, "SILENCE_SECONDS", SILENCE_SECONDS)
    url = f"{own_postgresql.databases.create()}?options=-c%20statement_timeout%3D{WAIT_MS}"
    with opened(url, SystemClock()) as database:
        yield database


@pytest.fixture
def freeze() -> Iterator[Freeze]:
    """Stop the server's process of a transaction."""
    frozen: list[int] = []

    def stop(tx: Transaction) -> None:
        (pid,) = tx._run(lambda pool: pool.execute_sql("SELECT pg_backend_pid()").fetchone())
        os.kill(pid, signal.SIGSTOP)
        frozen.append(pid)

    yield stop
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)


def test_a_session_that_falls_silent_is_given_up_and_the_work_is_done_in_another(
    database: Database, freeze: Freeze
) -> None:
    runs = []

    def work(tx: Transaction) -> str:
        runs.append(tx)
        if len(runs) == 1:
            freeze(tx)
        return f"served at {tx.now}"

    assert database.transact(work).startswith("served at")
    assert len(runs) == 2


def test_a_commit_that_is_never_answered_is_told_as_unknown(database: Database, freeze: Freeze) -> None:
    with pytest.raises(Unavailable) as told:
        database.transact(freeze)
    assert told.value.reason == "RESULT_UNKNOWN"


def test_a_server_that_is_silent_all_over_is_unavailable(database: Database, freeze: Freeze) -> None:
    def work(tx: Transaction) -> object:
        freeze(tx)
        return tx.now

    with pytest.raises(Unavailable) as told:
        database.read(work)
    assert told.value.reason == "DATABASE_UNAVAILABLE"
