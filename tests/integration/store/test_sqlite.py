"""What the embedded default promises, checked by asking SQLite itself; and what its failures mean."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError, OperationalError

from core.rules.errors import Contended, Unavailable
from core.store.database import Database
from core.store.dialect import sqlite
from core.store.transaction import Transaction
from tests.support.clock import TestClock
from tests.support.databases import opened
from tests.support.parcels import Contents, Parcel, create_tables, numbers, pack, packed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parcels.db"


@pytest.fixture
def database(path: Path, clock: TestClock) -> Iterator[Database]:
    with opened(f"sqlite:///{path}", clock) as database:
        create_tables(database)
        yield database


@pytest.fixture
def impatient_database(monkeypatch: pytest.MonkeyPatch, path: Path, clock: TestClock) -> Iterator[Database]:
    """One that waits a twentieth of a second for what others hold, and has two connections."""
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.05)
    with closing(Database(sqlite.Sqlite(str(path)), clock, pool_size=2)) as database:
        create_tables(database)
        yield database


def _pragma(database: Database, name: str) -> Any:
    return database.transact(lambda _: database.pool.execute_sql(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _another_process(path: Path, *statements: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection


def test_a_new_file_that_another_writes_to_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, path: Path, clock: TestClock
) -> None:
    turn_to_wal = sqlite._turn_to_wal
    turned: list[bool] = []

    def turn(connection: sqlite3.Connection) -> bool:
        turned.append(turn_to_wal(connection))
        writer.rollback()
        return turned[-1]

    monkeypatch.setattr(sqlite, "_turn_to_wal", turn)
    with _another_process(path, "BEGIN IMMEDIATE") as writer, opened(f"sqlite:///{path}", clock) as database:
        assert _pragma(database, "journal_mode") == "wal"
    assert turned == [False, True]


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)]
)
def test_every_connection_is_durable_and_checks_its_foreign_keys(database: Database, name: str, value: object) -> None:
    assert _pragma(database, name) == value
    both_at_once = threading.Barrier(2)
    found: list[object] = []

    def look(tx: Transaction) -> None:
        both_at_once.wait(timeout=10)
        found.append(database.pool.execute_sql(f"PRAGMA {name}").fetchone()[0])

    threads = [threading.Thread(target=lambda: database.read(look)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [value, value]


def test_a_writing_transaction_has_the_write_lock_from_its_beginning(database: Database, path: Path) -> None:
    def work(tx: Transaction) -> None:
        with _another_process(path) as other, pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")

    database.transact(work)


def test_a_reading_transaction_keeps_nobody_from_writing(database: Database, path: Path) -> None:
    def work(tx: Transaction) -> None:
        tx.rows(Parcel.select())
        with _another_process(path, "BEGIN IMMEDIATE", "UPDATE parcel SET note = 'x'", "COMMIT"):
            pass

    database.read(work)


def test_what_is_committed_is_seen_by_every_other_process(database: Database, path: Path) -> None:
    pack(database, "P-1")

    with _another_process(path) as other:
        assert other.execute("SELECT number FROM parcel").fetchall() == [("P-1",)]


def test_a_lock_held_by_another_process_for_too_long_is_told_and_nothing_stays(
    impatient_database: Database, path: Path
) -> None:
    with _another_process(path, "BEGIN IMMEDIATE"), pytest.raises(Contended):
        pack(impatient_database, "P-1")
    pack(impatient_database, "P-2")

    assert numbers(impatient_database) == ["P-2"]


def test_a_writer_that_gets_no_turn_is_told(impatient_database: Database) -> None:
    def work(tx: Transaction) -> None:
        failures: list[Exception] = []
        _in_a_thread(lambda: _expect_busy(impatient_database, failures, write=True))
        assert [getattr(failure, "reason", None) for failure in failures] == ["DATABASE_BUSY"]

    impatient_database.transact(work)


def test_a_reader_that_gets_no_connection_is_told(impatient_database: Database) -> None:
    impatient_database.pool._max_connections = 1

    def work(tx: Transaction) -> None:
        failures: list[Exception] = []
        _in_a_thread(lambda: _expect_busy(impatient_database, failures, write=False))
        assert [getattr(failure, "reason", None) for failure in failures] == ["DATABASE_BUSY"]

    impatient_database.read(work)


def _expect_busy(database: Database, failures: list[Exception], *, write: bool) -> None:
    try:
        (database.transact if write else database.read)(lambda tx: tx.rows(Parcel.select()))
    except Unavailable as failure:
        failures.append(failure)


def _in_a_thread(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_full_disk_undoes_the_transaction_and_is_told_as_away(database: Database) -> None:
    def fill(tx: Transaction) -> None:
        pages = database.pool.execute_sql("PRAGMA page_count").fetchone()[0]
        database.pool.execute_sql(f"PRAGMA max_page_count = {pages + 1}")
        tx.insert(Parcel, [packed(f"P-{number}") for number in range(5_000)])

    with pytest.raises(Unavailable) as told:
        database.transact(fill)
    assert told.value.reason == "DATABASE_UNAVAILABLE"
    assert numbers(database) == []


def test_a_file_that_can_not_be_opened_is_told_as_away(tmp_path: Path, clock: TestClock) -> None:
    with opened(f"sqlite:///{tmp_path / 'missing' / 'parcels.db'}", clock) as database:
        with pytest.raises(Unavailable) as told:
            pack(database, "P-1")
        assert str(tmp_path) not in told.value.message


def test_a_file_that_is_no_database_is_told_as_away(path: Path, clock: TestClock) -> None:
    path.write_bytes(b"no database at all " * 100)

    with opened(f"sqlite:///{path}", clock) as database, pytest.raises(Unavailable):
        pack(database, "P-1")


def test_a_statement_that_is_wrong_is_a_bug_and_told_as_it_is(database: Database) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        database.transact(lambda _: database.pool.execute_sql("SELECT * FROM nowhere"))


def test_a_row_that_refers_to_nothing_is_refused(database: Database) -> None:
    def work(tx: Transaction) -> None:
        database.pool.execute_sql("CREATE TABLE stamp (parcel_id INTEGER REFERENCES parcel (id))")
        database.pool.execute_sql("INSERT INTO stamp VALUES (999)")

    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        database.transact(work)
    assert database.read(lambda tx: tx.count(Contents.select())) == 0


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "sqlite://host/path", "oracle://host/db", "parcels.db"])
def test_a_url_of_no_known_database_is_refused(url: str, clock: TestClock) -> None:
    with pytest.raises(ValueError, match="must be sqlite:///path"):
        Database.open(url, clock)


def test_a_relative_path_is_a_file_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: TestClock
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened("sqlite:///here.db", clock) as database:
        create_tables(database)

    assert (tmp_path / "here.db").exists()
