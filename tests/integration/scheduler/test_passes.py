from datetime import timedelta

import pytest

from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.outbox.clock_guard import ClockGuard
from core.rules.codes import ScheduleStatus
from core.store.database import Database
from scheduler.passes import ExpiryPass, RetryPass
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.logs import Log
from tests.support.outbox import LEASE, WINDOW, Outbox, policy
from tests.support.receiver import Receiver
from tests.support.rows import OTHER_TARGET, TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus


@pytest.fixture
def outbox(payment_database: Database, clock: TestClock) -> Outbox:
    return Outbox(payment_database, clock, policy(batch_size=2))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def retry(outbox: Outbox, receiver: Receiver, log: Log, clock: TestClock) -> RetryPass:
    caller = OrderNotifyCaller(receiver, timedelta(seconds=2), timedelta(seconds=10), clock)
    delivery = Delivery(outbox.database, caller, outbox.policy, log.logger)
    return RetryPass(outbox.database, delivery, outbox.policy, clock, log.logger, "scheduler@a")


@pytest.fixture
def expiry(outbox: Outbox, log: Log, clock: TestClock) -> ExpiryPass:
    return ExpiryPass(outbox.database, ClockGuard(clock, log.logger), log.logger)


def test_a_pass_delivers_one_batch_and_counts_its_rows(outbox: Outbox, retry: RetryPass, receiver: Receiver) -> None:
    outbox.add(3)

    assert [retry.run_once(TARGET) for _ in range(3)] == [2, 1, 0]
    assert [row.notify_status for row in outbox.rows()] == [SUCCESS] * 3
    assert [codes for _, codes in receiver.called] == [["P-1", "P-2"], ["P-3"]]
    assert outbox.ledger()[0].made_by == "scheduler@a"


def test_a_pass_over_a_target_without_due_rows_does_nothing(outbox: Outbox, retry: RetryPass) -> None:
    outbox.add()

    assert retry.run_once(OTHER_TARGET) == 0
    assert outbox.row().notify_status == NOTIFYING


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_pass_whose_claim_was_unknown_delivers_once(
    outbox: Outbox, retry: RetryPass, receiver: Receiver, way: Commit
) -> None:
    outbox.add()
    with commits(outbox.database, [way]):
        assert retry.run_once(TARGET) == 1

    assert len(receiver.called) == 1
    assert (outbox.row().notify_status, outbox.row().notify_count) == (SUCCESS, 1)


def test_a_row_given_up_for_its_lapses_raises_the_alarm(outbox: Outbox, retry: RetryPass, log: Log) -> None:
    outbox.add()
    outbox.set(notify_count=9, attempt_count=9)
    outbox.claimed(holder="dead")
    outbox.clock.advance(LEASE)

    assert [retry.run_once(TARGET) for _ in range(2)] == [1, 0]
    (alarm,) = log.named("notify.given_up")
    assert alarm["reason"] == "attempts used up: lease lapsed: dead recorded no result"


def test_a_page_of_lapses_does_not_rest_the_pass_before_what_is_due_behind_it(
    outbox: Outbox, retry: RetryPass, receiver: Receiver
) -> None:
    for number in outbox.add(4):
        outbox.set(number, lapse_count=1, notify_count=1, attempt_count=1)
    for _ in range(2):
        outbox.claimed(holder="dead")
    outbox.clock.advance(LEASE)
    outbox.add()

    assert [retry.run_once(TARGET) for _ in range(4)] == [2, 2, 1, 0]
    assert [codes for _, codes in receiver.called] == [["P-5"]]


def test_an_expiry_pass_gives_up_what_is_past_its_window_and_raises_the_alarm(
    outbox: Outbox, expiry: ExpiryPass, log: Log
) -> None:
    outbox.add(3)
    assert expiry.run_once() == 0

    outbox.clock.advance(WINDOW)
    assert expiry.run_once() == 3
    assert expiry.run_once() == 0
    assert [line["payment_code"] for line in log.named("notify.given_up")] == ["P-1", "P-2", "P-3"]


def test_an_expiry_pass_gives_nothing_up_by_a_clock_that_jumped(
    outbox: Outbox, expiry: ExpiryPass, log: Log, clock: TestClock
) -> None:
    outbox.add()
    expiry.run_once()
    clock.set_wall_clock(START + timedelta(days=365))

    assert [expiry.run_once(), expiry.run_once()] == [0, 0]
    assert outbox.row().notify_status == NOTIFYING
    assert len(log.named("clock.jumped")) == 1

    clock.set_wall_clock(START)
    assert expiry.run_once() == 0
    clock.advance(WINDOW)
    assert expiry.run_once() == 1
