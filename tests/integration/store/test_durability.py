"""What is confirmed is on disk (SPEC 4), whatever a role, a database or a URL says; what a server may lose is told."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import structlog

from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.dialect.sqlite import Sqlite
from core.store.durability import warn_if_not_durable
from core.store.transaction import Transaction
from tests.support.clock import TestClock
from tests.support.databases import Backend, opened, run_sql
from tests.support.parcels import Parcel, create_tables, packed


@pytest.fixture
def hasty_url(backends: Callable[[str], Backend], clock: TestClock) -> Iterator[str]:
    """A PostgreSQL database that answers a COMMIT before it is on disk, unless a session asks for more."""
    backend = backends("postgresql")
    url = backend.fresh()
    name = urlsplit(url).path.removeprefix("/")
    with opened(url, clock) as database:
        run_sql(database, f"ALTER DATABASE {name} SET synchronous_commit = off")
        create_tables(database)
    yield url
    backend.take_back(url)


def _with_options(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options={quote(options)}"


def _synchronous_commit(url: str, clock: TestClock) -> str:
    with opened(url, clock) as database:
        return str(run_sql(database, "SHOW synchronous_commit")[0][0])


def test_a_commit_is_flushed_when_it_returns_though_the_database_is_set_not_to_wait(
    hasty_url: str, clock: TestClock
) -> None:
    def write(tx: Transaction) -> str:
        tx.insert(Parcel, [packed("P-1")])
        return str(database.pool.execute_sql("SELECT pg_current_wal_insert_lsn()").fetchone()[0])

    with opened(hasty_url, clock) as database:
        for _ in range(2):  # a new connection, and one from the pool
            run_sql(database, "DELETE FROM parcel")
            written = database.transact(write)

            assert run_sql(database, f"SELECT pg_current_wal_flush_lsn() > '{written}'") == [(True,)]


def test_a_url_does_not_turn_it_off_either(hasty_url: str, clock: TestClock) -> None:
    assert _synchronous_commit(_with_options(hasty_url, "-c synchronous_commit=off"), clock) == "on"


@pytest.mark.parametrize("choice", ["local", "remote_write", "remote_apply"])
def test_what_the_operator_chose_about_standbys_stays(hasty_url: str, clock: TestClock, choice: str) -> None:
    assert _synchronous_commit(_with_options(hasty_url, f"-c synchronous_commit={choice}"), clock) == choice


def test_the_settings_by_which_a_server_may_lose_a_commit_are_found(database: Database) -> None:
    with database.connected() as pool:
        found = database.dialect.unsafe_settings(pool)

    assert found == _told_by_the_server(database)


def _told_by_the_server(database: Database) -> Mapping[str, str]:
    if isinstance(database.dialect, Sqlite):
        return {}
    if isinstance(database.dialect, PostgreSql):
        values = {name: run_sql(database, f"SHOW {name}")[0][0] for name in ("fsync", "full_page_writes")}
        return {name: value for name, value in values.items() if value == "off"}
    flush, sync, log = run_sql(
        database, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, @@GLOBAL.log_bin"
    )[0]
    values = {"innodb_flush_log_at_trx_commit": str(flush)} | ({"sync_binlog": str(sync)} if log else {})
    return {name: value for name, value in values.items() if value != "1"}


class _Answering:
    """A MySQL server with these settings."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings

    def execute_sql(self, _: str) -> list[tuple[str, str]]:
        return list(self._settings.items())


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("flush", "sync", "log", "unsafe"),
    [
        ("1", "1", "ON", {}),
        ("1", "0", "OFF", {}),
        ("1", "0", "ON", {"sync_binlog": "0"}),
        ("2", "1", "ON", {"innodb_flush_log_at_trx_commit": "2"}),
        ("0", "1000", "ON", {"innodb_flush_log_at_trx_commit": "0", "sync_binlog": "1000"}),
    ],
)
def test_mysql_must_sync_its_log_at_each_commit_and_its_binary_log_if_it_has_one(
    flush: str, sync: str, log: str, unsafe: Mapping[str, str]
) -> None:
    server: Any = _Answering(innodb_flush_log_at_trx_commit=flush, sync_binlog=sync, log_bin=log)

    assert MySql.of("mysql://h/d").unsafe_settings(server) == unsafe


@pytest.mark.any_backend
def test_each_of_them_is_a_warning_of_its_own(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    unsafe = {"innodb_flush_log_at_trx_commit": "2", "sync_binlog": "0"}
    monkeypatch.setattr(Sqlite, "unsafe_settings", lambda *_: unsafe)
    lines = structlog.testing.LogCapture()

    warn_if_not_durable(database, structlog.wrap_logger(None, processors=[lines]))

    told = [(line["log_level"], line["event"], line["setting"], line["value"]) for line in lines.entries]
    assert told == [("warning", "database.not_durable", *setting) for setting in unsafe.items()]
