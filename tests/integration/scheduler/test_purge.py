from datetime import timedelta

import pytest

from core.outbox.tables import NotifySchedule
from core.store.database import Database
from scheduler.purge import PURGE_BATCH, PurgePass
from tests.support.clock import START, TestClock
from tests.support.logs import Log
from tests.support.outbox import APPLIED, Outbox

RETENTION = timedelta(days=30)
DAY, YEAR = timedelta(days=1), timedelta(days=365)


@pytest.fixture
def outbox(payment_database: Database, clock: TestClock) -> Outbox:
    return Outbox(payment_database, clock)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def purge(outbox: Outbox, log: Log, clock: TestClock) -> PurgePass:
    return PurgePass(outbox.database, RETENTION, clock, log.logger)


def _deliver(outbox: Outbox, count: int) -> None:
    left = count
    while left > 0:
        outbox.add(min(left, outbox.policy.batch_size))
        outbox.record(outbox.claimed(), APPLIED)
        left -= outbox.policy.batch_size


def _left(outbox: Outbox) -> int:
    return outbox.database.read(lambda tx: tx.count(NotifySchedule.select()))


def test_a_walk_takes_a_batch_a_pass_says_how_far_it_went_and_begins_again(
    outbox: Outbox, purge: PurgePass, log: Log
) -> None:
    purge.run_once()
    _deliver(outbox, PURGE_BATCH + 100)
    outbox.clock.advance(RETENTION + DAY)
    _deliver(outbox, 1)

    assert [purge.run_once(), _left(outbox)] == [PURGE_BATCH, 101]
    assert [purge.run_once(), _left(outbox)] == [0, 1]
    assert [line["count"] for line in log.named("notify.purged")] == [PURGE_BATCH, 100]

    outbox.clock.advance(RETENTION + DAY)
    assert [purge.run_once(), _left(outbox)] == [0, 0]


def test_a_clock_that_jumped_purges_nothing_until_it_is_back(
    outbox: Outbox, purge: PurgePass, log: Log, clock: TestClock
) -> None:
    _deliver(outbox, 2)
    purge.run_once()
    clock.set_wall_clock(START + YEAR)

    assert [purge.run_once(), purge.run_once(), _left(outbox)] == [0, 0, 2]
    assert len(log.named("clock.jumped")) == 1

    clock.set_wall_clock(START)
    clock.advance(RETENTION + DAY)
    purge.run_once()
    assert _left(outbox) == 0


def test_a_process_started_by_a_clock_a_year_ahead_purges_nothing_even_when_rows_come_in(
    outbox: Outbox, purge: PurgePass, log: Log, clock: TestClock
) -> None:
    _deliver(outbox, 2)
    clock.set_wall_clock(START + YEAR)

    assert [purge.run_once(), _left(outbox)] == [0, 2]
    _deliver(outbox, 1)
    assert [purge.run_once(), _left(outbox)] == [0, 3]
    (alarm,) = log.named("purge.clock_not_believed")
    assert alarm["log_level"] == "error"


def test_an_idle_process_purges_what_grew_old_before_its_eyes(
    outbox: Outbox, purge: PurgePass, clock: TestClock
) -> None:
    _deliver(outbox, 2)
    purge.run_once()
    clock.advance(YEAR)

    purge.run_once()
    assert _left(outbox) == 0


def test_an_empty_table_says_nothing_of_the_clock(outbox: Outbox, purge: PurgePass, log: Log) -> None:
    assert purge.run_once() == 0
    assert log.lines == []
