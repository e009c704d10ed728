"""Where a transaction begins and ends, and when it is run again (SPEC 3, 4)."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

import pytest

from core.rules.errors import Contended, NotFound, Unavailable
from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.transaction import LostRace, Transaction, TransactionEnded
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.databases import run_sql
from tests.support.parcels import SEND, Parcel, ParcelStatus, pack, packed, parcels
from tests.support.parcels import numbers as numbers_in


class Runs:
    """Work that counts its runs, loses the first of them to others, and is told which are reruns."""

    def __init__(self, losses: int = 0) -> None:
        self.losses = losses
        self.reruns: list[bool] = []

    def __call__(self, tx: Transaction) -> str:
        self.reruns.append(tx.is_rerun)
        tx.insert(Parcel, [packed(f"run-{len(self.reruns)}")])
        if len(self.reruns) <= self.losses:
            raise LostRace("others were faster")
        return "done"


def _insert_once(tx: Transaction) -> int:
    """Work as it must be: reads by key, then writes what is missing."""
    if not tx.by_keys(Parcel, [Parcel.number], [["P-1"]]):
        tx.insert(Parcel, [packed("P-1")])
    return len(tx.by_keys(Parcel, [Parcel.number], [["P-1"]]))


def test_what_the_work_answers_is_durable_when_it_is_given(database: Database) -> None:
    runs = Runs()

    assert database.transact(runs) == "done"
    assert numbers_in(database) == ["run-1"]
    assert runs.reruns == [False]


@pytest.mark.parametrize("losses", [1, 2])
def test_work_that_lost_a_race_is_run_again_on_what_is_there_then(database: Database, losses: int) -> None:
    runs = Runs(losses)

    assert database.transact(runs) == "done"
    assert numbers_in(database) == [f"run-{losses + 1}"]
    assert runs.reruns == [False, *[True] * losses]


@pytest.mark.parametrize("losses", [3, 4])
def test_after_three_lost_races_the_caller_is_told_and_nothing_stays(database: Database, losses: int) -> None:
    runs = Runs(losses)

    with pytest.raises(Contended):
        database.transact(runs)
    assert len(runs.reruns) == 3
    assert numbers_in(database) == []


def test_a_status_that_another_has_changed_is_a_lost_race(database: Database) -> None:
    (parcel_id,) = pack(database, "P-1")
    database.transact(lambda tx: tx.compare_and_set(Parcel.status, SEND, [{"id": parcel_id}], key=Parcel.id))
    runs = Runs()

    def work(tx: Transaction) -> None:
        runs(tx)
        tx.compare_and_set(Parcel.status, SEND, [{"id": parcel_id}], key=Parcel.id)

    with pytest.raises(Contended):
        database.transact(work)
    assert len(runs.reruns) == 3
    assert numbers_in(database) == ["P-1"]


def test_a_key_that_another_has_taken_is_a_lost_race(database: Database) -> None:
    pack(database, "P-1")

    assert database.transact(_insert_once) == 1
    with pytest.raises(Contended):
        database.transact(lambda tx: tx.insert(Parcel, [packed("P-1")]))


@pytest.mark.parametrize("error", [ValueError("a bug"), NotFound("none", reason="NONE"), KeyboardInterrupt()])
def test_whatever_the_work_raises_undoes_it_and_reaches_the_caller_as_it_is(
    database: Database, error: BaseException
) -> None:
    def work(tx: Transaction) -> NoReturn:
        tx.insert(Parcel, [packed("P-1")])
        raise error

    with pytest.raises(type(error)) as raised:
        database.transact(work)
    assert raised.value is error
    assert raised.value.__cause__ is None
    assert numbers_in(database) == []


def test_an_error_of_the_work_does_not_make_it_run_again(database: Database) -> None:
    runs: list[bool] = []

    def work(tx: Transaction) -> NoReturn:
        runs.append(tx.is_rerun)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        database.transact(work)
    assert runs == [False]


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_commit_that_raised_is_read_again_and_the_work_is_done_once(database: Database, way: Commit) -> None:
    with commits(database, [way]):
        assert database.transact(_insert_once) == 1
    assert numbers_in(database) == ["P-1"]


def test_the_rerun_after_a_commit_that_raised_knows_that_it_is_one(database: Database) -> None:
    runs = Runs()

    with commits(database, [LOST]):
        database.transact(runs)
    assert runs.reruns == [False, True]
    assert numbers_in(database) == ["run-2"]


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_commit_whose_result_stays_unknown_is_never_reported_as_not_done(database: Database, way: Commit) -> None:
    with commits(database, [way] * 3), pytest.raises(Unavailable) as told:
        database.transact(_insert_once)

    assert told.value.reason == "RESULT_UNKNOWN"
    assert numbers_in(database) == ([] if way is LOST else ["P-1"])


def test_races_lost_after_a_commit_that_raised_do_not_make_it_not_done(database: Database) -> None:
    def work(tx: Transaction) -> None:
        if tx.is_rerun:
            raise LostRace("others were faster")
        tx.insert(Parcel, [packed("P-1")])

    with commits(database, [DURABLE]), pytest.raises(Unavailable) as told:
        database.transact(work)
    assert told.value.reason == "RESULT_UNKNOWN"
    assert numbers_in(database) == ["P-1"]


def test_the_connection_of_a_commit_that_raised_is_never_used_again(database: Database) -> None:
    used: list[object] = []

    def work(tx: Transaction) -> None:
        used.append(database.pool.connection())
        _insert_once(tx)

    with commits(database, [LOST]):
        database.transact(work)
    assert used[0] is not used[1]


def test_a_connection_that_can_not_roll_back_is_never_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[object] = []

    def fail() -> NoReturn:
        raise OSError("the connection is gone")

    def work(tx: Transaction) -> NoReturn:
        used.append(database.pool.connection())
        tx.insert(Parcel, [packed("P-1")])
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(database.pool, "rollback", fail)
        with pytest.raises(ValueError, match="a bug"):
            database.transact(work)
    assert numbers_in(database) == []
    database.transact(lambda tx: used.append(database.pool.connection()))
    assert used[0] is not used[1]


STATEMENTS: dict[str, Callable[[Transaction], object]] = {
    "rows": lambda tx: tx.rows(Parcel.select()),
    "row": lambda tx: tx.row(Parcel.select()),
    "count": lambda tx: tx.count(Parcel.select()),
    "by_keys": lambda tx: tx.by_keys(Parcel, [Parcel.number], [["P-1"]]),
    "insert": lambda tx: tx.insert(Parcel, [packed("P-1")]),
    "insert_new": lambda tx: tx.insert_new(Parcel, [packed("P-1")], key=[Parcel.number]),
    "change": lambda tx: tx.change(Parcel.delete()),
    "compare_and_set": lambda tx: tx.compare_and_set(Parcel.status, SEND, [{"id": 1}], key=Parcel.id),
    "savepoint": lambda tx: tx.savepoint().__enter__(),
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_transaction_takes_no_statement_after_its_end(database: Database, statement: str) -> None:
    escaped: list[Transaction] = []
    database.transact(escaped.append)

    with pytest.raises(TransactionEnded):
        STATEMENTS[statement](escaped[0])


def test_a_transaction_that_failed_takes_no_statement_either(database: Database) -> None:
    escaped: list[Transaction] = []

    def work(tx: Transaction) -> NoReturn:
        escaped.append(tx)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        database.transact(work)
    with pytest.raises(TransactionEnded):
        escaped[0].rows(Parcel.select())


def test_a_transaction_has_one_instant_and_the_next_has_another(database: Database, clock: TestClock) -> None:
    def work(tx: Transaction) -> None:
        assert tx.now == START
        clock.advance(timedelta(seconds=1))
        assert tx.now == START

    database.transact(work)
    assert database.read(lambda tx: tx.now) == START + timedelta(seconds=1)


def test_reading_sees_one_snapshot_whatever_is_written_meanwhile(database: Database) -> None:
    pack(database, "P-1")

    def work(tx: Transaction) -> tuple[int, int]:
        before = tx.count(Parcel.select())
        _in_a_thread(lambda: pack(database, "P-2"))
        return before, tx.count(Parcel.select())

    assert database.read(work) == (1, 1)
    assert numbers_in(database) == ["P-1", "P-2"]


def test_a_savepoint_undoes_what_was_done_inside_and_nothing_else(database: Database) -> None:
    def work(tx: Transaction) -> None:
        tx.insert(Parcel, [packed("P-1")])
        with suppress(NotFound), tx.savepoint():
            tx.insert(Parcel, [packed("P-2")])
            raise NotFound("none", reason="NONE")
        with tx.savepoint():
            tx.insert(Parcel, [packed("P-3")])

    database.transact(work)
    assert numbers_in(database) == ["P-1", "P-3"]


def test_a_savepoint_outlives_a_statement_that_failed_in_it(database: Database) -> None:
    def work(tx: Transaction) -> None:
        tx.insert(Parcel, [packed("P-1")])
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"), tx.savepoint():
            tx.insert(Parcel, [packed("P-1")])
        tx.insert(Parcel, [packed("P-2")])

    database.transact(work)
    assert numbers_in(database) == ["P-1", "P-2"]


def test_threads_that_read_then_write_the_same_row_lose_no_update(database: Database) -> None:
    pack(database, "P-1")
    database.transact(lambda tx: tx.change(Parcel.update(weight=0)))

    def add_one(tx: Transaction) -> None:
        row = tx.row(Parcel.select(), lock=True)
        assert row is not None
        tx.change(Parcel.update(weight=row.weight + 1))

    def add_ten() -> None:
        for _ in range(10):
            database.transact(add_one)

    _in_threads(8, add_ten)
    assert [row.weight for row in parcels(database)] == [80]


def test_of_many_threads_that_move_one_row_exactly_one_does(database: Database) -> None:
    (parcel_id,) = pack(database, "P-1")
    moved: list[bool] = []

    def send(tx: Transaction) -> bool:
        row = tx.row(Parcel.select(), lock=True)
        if row is None or row.status != ParcelStatus.PACKED:
            return False
        tx.compare_and_set(Parcel.status, SEND, [{"id": parcel_id}], key=Parcel.id)
        return True

    _in_threads(16, lambda: moved.append(database.transact(send)))
    assert sorted(moved) == [False] * 15 + [True]


def test_more_threads_than_connections_wait_for_their_turn(database: Database) -> None:
    database.pool._max_connections = 2

    _in_threads(12, lambda: database.transact(_insert_once))
    assert numbers_in(database) == ["P-1"]


def test_a_thread_keeps_no_connection_between_transactions(database: Database) -> None:
    database.transact(_insert_once)
    with pytest.raises(ValueError, match="a bug"):
        database.transact(_raise_a_bug)

    assert database.pool.is_closed()
    assert not database.pool._in_use


def test_closing_lets_the_transactions_that_run_end_and_leaves_no_connection(database: Database) -> None:
    runs, may_end = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        runs.set()
        assert may_end.wait(10)
        tx.insert(Parcel, [packed("P-1")])

    thread = threading.Thread(target=lambda: database.transact(work))
    thread.start()
    assert runs.wait(10)
    database.close()
    may_end.set()
    thread.join()

    assert not database.pool._connections
    assert not database.pool._in_use
    assert numbers_in(database) == ["P-1"]


def test_closing_twice_is_the_same_as_once(database: Database) -> None:
    pack(database, "P-1")
    database.close()
    database.close()

    assert not database.pool._connections


def _raise_a_bug(tx: Transaction) -> NoReturn:
    raise ValueError("a bug")


def _in_a_thread(work: Callable[[], object]) -> None:
    _in_threads(1, work)


def _in_threads(count: int, work: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_server_ends_a_transaction_that_lies_still_so_that_a_stopped_worker_gives_its_rows_up(
    database: Database,
) -> None:
    if isinstance(database.dialect, PostgreSql):
        assert run_sql(database, "SHOW idle_in_transaction_session_timeout") == [("1min",)]
    if isinstance(database.dialect, MySql):
        assert run_sql(database, "SELECT @@idle_transaction_timeout") == [(60,)]
