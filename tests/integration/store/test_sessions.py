"""Whatever a server, a role or a session has as its defaults, the store works the same (SPEC 8)."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.clock import SystemClock
from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.migrate import Schema, migrate, require_current
from core.store.transaction import Transaction
from tests.support.clock import TestClock
from tests.support.databases import SERVERS, Backend, opened, run_sql
from tests.support.parcels import Parcel, create_tables, pack, packed, parcels

INSTANT = datetime(2026, 3, 29, 1, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
HOSTILE = {
    "timezone": "Asia/Tokyo",
    "datestyle": "SQL, DMY",
    "search_path": "elsewhere",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "1ms",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
}


@pytest.fixture
def hostile_url(backend: Backend) -> Iterator[str]:
    """A PostgreSQL database of a role whose defaults are as unfit as a role may have them."""
    url = backend.fresh()
    role = f"hostile_{urlsplit(url).path[1:]}"
    with opened(url, SystemClock()) as database:
        run_sql(database, f"CREATE ROLE {role} SUPERUSER LOGIN")
        run_sql(database, "CREATE SCHEMA elsewhere")
        for setting, value in HOSTILE.items():
            run_sql(database, f"ALTER ROLE {role} SET {setting} = '{value}'")
    yield _as(role, url)
    backend.take_back(url)
    other = backend.fresh()
    with opened(other, SystemClock()) as database:
        run_sql(database, f"DROP ROLE {role}")
    backend.take_back(other)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_the_defaults_of_a_role_change_nothing(hostile_url: str, clock: TestClock) -> None:
    with opened(hostile_url, clock) as database:
        migrate(database, Schema.PAYMENT)
        require_current(database, Schema.PAYMENT)
        assert run_sql(database, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'payment'") == [
            ("public",)
        ]
        create_tables(database)
        database.transact(lambda tx: tx.insert(Parcel, [packed("P-1", sent_time=INSTANT, note="grüße 订单\\'")]))
        (row,) = parcels(database)
    assert row.sent_time == INSTANT
    assert row.note == "grüße 订单\\'"


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_the_time_zone_of_a_session_shifts_no_instant(database: Database) -> None:
    shift = "SET time_zone = '+09:00'" if isinstance(database.dialect, MySql) else "SET TIME ZONE 'Asia/Tokyo'"

    def work(tx: Transaction) -> tuple[Any, datetime | None]:
        database.pool.execute_sql(shift)
        tx.insert(Parcel, [packed("P-1", sent_time=INSTANT)])
        tx.change(Parcel.update(note="due").where(Parcel.sent_time <= INSTANT))
        return tx.row(Parcel.select()), database.dialect.now(database.pool)

    row, now = database.transact(work)
    assert row.sent_time == INSTANT
    assert row.note == "due"
    assert now is not None
    assert abs(now - SystemClock().now()) < timedelta(minutes=5)
    database.pool.close_idle()
    assert parcels(database)[0].sent_time == INSTANT


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_production_judges_by_the_time_of_the_database_and_each_statement_has_its_own(database: Database) -> None:
    def work(tx: Transaction) -> tuple[datetime, datetime]:
        first = database.dialect.now(database.pool)
        second = database.dialect.now(database.pool)
        assert first is not None
        assert second is not None
        return first, second

    first, second = database.transact(work)
    assert first < second
    assert first.tzinfo is UTC


class WrongClock(SystemClock):
    """A machine's clock that is an hour off."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)


def test_a_machine_whose_clock_is_an_hour_off_agrees_with_the_others_but_on_sqlite(backend: Backend) -> None:
    url = backend.fresh()
    with opened(url, WrongClock()) as wrong, opened(url, SystemClock()) as right:
        apart = wrong.read(lambda tx: tx.now) - right.read(lambda tx: tx.now)
    is_shared = isinstance(wrong.dialect, MySql | PostgreSql)
    assert abs(apart) < timedelta(minutes=5) if is_shared else apart > timedelta(minutes=55)
    backend.take_back(url)


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_a_writing_transaction_sees_what_others_have_committed_meanwhile(database: Database) -> None:
    pack(database, "P-1")

    def work(tx: Transaction) -> tuple[int, int]:
        before = tx.count(Parcel.select())
        _in_a_thread(lambda: pack(database, "P-2"))
        return before, tx.count(Parcel.select())

    assert database.transact(work) == (1, 2)


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_rows_that_another_holds_are_left_out_or_waited_for_as_asked(database: Database) -> None:
    pack(database, "P-1", "P-2", "P-3")
    query = Parcel.select().where(Parcel.number.in_(["P-1", "P-2"])).order_by(Parcel.id)
    found: list[list[str]] = []

    def look(tx: Transaction) -> None:
        rows = tx.rows(Parcel.select().order_by(Parcel.id), lock=True, skip_locked=True)
        found.append([row.number for row in rows])

    def work(tx: Transaction) -> None:
        tx.rows(query, lock=True)
        _in_a_thread(lambda: database.transact(look))

    database.transact(work)
    database.transact(look)
    assert found == [["P-3"], ["P-1", "P-2", "P-3"]]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_the_largest_numbers_are_kept_as_they_are(database: Database, number: int) -> None:
    database.transact(lambda tx: tx.insert(Parcel, [packed("P-1", weight=number)]))

    assert [row.weight for row in parcels(database)] == [number]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_them_is_refused_and_never_bent(database: Database, number: int) -> None:
    with pytest.raises(Exception, match=r"(?i)out of range|too large"):
        database.transact(lambda tx: tx.insert(Parcel, [packed("P-1", weight=number)]))
    assert parcels(database) == []


@pytest.mark.parametrize("field", ["number", "note"])
def test_a_text_with_a_nul_is_refused_alike(database: Database, field: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        database.transact(lambda tx: tx.insert(Parcel, [packed("P-1") | {field: "a\x00b"}]))
    assert parcels(database) == []


def _as(role: str, url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}@{host}").geturl()


def _in_a_thread(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_only_statements_over_keys_are_kept_prepared(database: Database) -> None:
    def work(tx: Transaction) -> list[str]:
        tx.insert(Parcel, [packed("P-1")])
        for _ in range(10):
            tx.rows(Parcel.select().where(Parcel.note == "due"))
        return [text for (text,) in database.pool.execute_sql("SELECT statement FROM pg_prepared_statements")]

    (prepared,) = database.transact(work)
    assert prepared.startswith("INSERT INTO")
