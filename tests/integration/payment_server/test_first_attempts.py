"""The first attempt's queue: bounded, a thread for each target, and nothing in it that the outbox does not hold."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from core.logs import make_logger
from core.outbox.lease import Claim
from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from core.rules.errors import Unavailable
from core.store.database import Database
from tests.support.clock import TestClock
from tests.support.commits import LOST, commits
from tests.support.outbox import LEASE, numbers, policy
from tests.support.payments import Payments, payments_on
from tests.support.rows import OTHER_TARGET, TARGET
from tests.support.waiting import wait_until

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
BOUND = 10.0
AT_ONCE = timedelta(milliseconds=50)


class Gate:
    """Holds a call until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(BOUND)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def payments(payment_database: Database, clock: TestClock) -> Iterator[Payments]:
    with payments_on(payment_database, clock, capacity=5) as payments:
        yield payments


@pytest.fixture
def gate(payments: Payments) -> Iterator[Gate]:
    """Every call to the usual target is held at it."""
    gate = Gate()
    payments.receiver.before = gate
    yield gate
    gate.open()


def _statuses(payments: Payments) -> list[ScheduleStatus]:
    return [row.notify_status for row in payments.rows()]


def _called(payments: Payments, target: str = TARGET) -> list[str]:
    return [code for _, codes in payments.receivers.at(target).called for code in codes]


def test_what_was_claimed_with_the_report_is_sent_after_it(payments: Payments) -> None:
    payments.settle(1, 2, 3)
    payments.finish_first_attempts()

    assert _statuses(payments) == [SUCCESS] * 3
    assert sorted(_called(payments)) == ["P-1", "P-2", "P-3"]


def test_what_waits_is_sent_in_batches(payments: Payments, gate: Gate) -> None:
    payments.settle(1)
    assert gate.reached.wait(BOUND)
    payments.settle(2)
    payments.settle(3)
    gate.open()
    payments.finish_first_attempts()

    assert [codes for _, codes in payments.receiver.called] == [["P-1"], ["P-2", "P-3"]]


def test_a_batch_is_never_larger_than_allowed(payment_database: Database, clock: TestClock) -> None:
    with payments_on(payment_database, clock) as payments:
        payments.first_attempts._batch_size = 2
        payments.settle(1, 2, 3, 4, 5)
        payments.finish_first_attempts()

        assert [len(codes) for _, codes in payments.receiver.called] == [2, 2, 1]


def test_what_there_is_no_room_for_is_due_at_once_for_the_scheduler(payments: Payments, gate: Gate) -> None:
    payments.settle(1, 2, 3, 4)
    payments.settle(5, 6)

    assert [row.claimed_by for row in payments.rows()] == [*["payment-server@a"] * 4, None, None]
    assert numbers(payments.claim()) == [5, 6]


def test_a_report_of_more_than_there_is_ever_room_for_is_settled_too(payments: Payments) -> None:
    payments.settle(1, 2, 3, 4, 5, 6)

    assert _statuses(payments) == [NOTIFYING] * 6
    assert numbers(payments.claim()) == [1, 2, 3, 4, 5, 6]


def test_room_is_free_again_when_its_rows_were_sent(payments: Payments) -> None:
    for first in (1, 6, 11):
        payments.settle(*range(first, first + 5))
        wait_until(lambda: payments.first_attempts._free == 5)

    payments.finish_first_attempts()
    assert _statuses(payments) == [SUCCESS] * 15


def test_room_that_was_not_filled_is_free_again(payments: Payments) -> None:
    payments.create(1)
    payments.report(7, 8, 9)
    payments.report(1)
    payments.report(1)
    payments.finish_first_attempts()

    assert payments.first_attempts._free == 5


def test_room_is_free_again_when_the_transaction_fails(payments: Payments) -> None:
    payments.create(1)
    with commits(payments.database, [LOST] * 3):
        payments.report(1)

    with payments.first_attempts.room_for(5) as room:
        assert room.lease is not None
    with payments.first_attempts.room_for(6) as room:
        assert room.lease is None


def test_a_target_that_does_not_answer_delays_no_other(payments: Payments, gate: Gate) -> None:
    payments.settle(1)
    assert gate.reached.wait(BOUND)
    payments.create(2, notify_url=OTHER_TARGET)
    payments.report(2)
    answered = threading.Event()
    payments.receivers.at(OTHER_TARGET).before = answered.set

    assert answered.wait(BOUND)
    assert _called(payments) == []


def test_a_delivery_that_crashes_is_logged_and_the_next_rows_are_served(payments: Payments) -> None:
    def crash() -> None:
        payments.receiver.before = lambda: None
        raise RuntimeError("a bug in the call")

    payments.receiver.before = crash
    payments.settle(1)
    wait_until(lambda: payments.first_attempts._free == 5)
    payments.settle(2)
    payments.finish_first_attempts()

    assert _statuses(payments) == [NOTIFYING, SUCCESS]
    assert [line["count"] for line in payments.log.named("first_attempt.crashed")] == [1]
    assert payments.first_attempts._free == 5
    payments.clock.advance(LEASE)
    assert numbers(payments.claim()) == [1]


@pytest.mark.any_backend
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_delivery_that_crashes_tells_no_secret(
    payments: Payments, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        raise RuntimeError("no way to postgresql://app:canary-4711@db/payment")

    payments.first_attempts._log = make_logger("payment-server", form)
    payments.receiver.before = crash
    payments.settle(1)
    payments.finish_first_attempts()

    told = capsys.readouterr().err
    assert "first_attempt.crashed" in told
    assert "no way to postgresql://***@db/payment" in told
    assert "canary" not in told


def test_a_delivery_that_a_lost_database_keeps_from_being_recorded_is_told_in_one_line(payments: Payments) -> None:
    def go_away() -> None:
        raise Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")

    payments.receiver.before = go_away
    payments.settle(1)
    payments.finish_first_attempts()

    (line,) = payments.log.named("first_attempt.not_recorded")
    assert (line["log_level"], line["count"], line["reason"]) == ("warning", 1, "DATABASE_UNAVAILABLE")
    assert payments.log.events("error") == []
    payments.clock.advance(LEASE)
    assert numbers(payments.claim()) == [1]


def test_a_target_that_is_not_ready_gives_back_and_the_scheduler_has_it(payments: Payments) -> None:
    payments.receiver.ready = False
    payments.settle(1)
    payments.finish_first_attempts()

    assert (payments.row().notify_count, payments.row().claim_token) == (0, None)
    assert payments.target().consecutive_failures == 1
    assert numbers(payments.claim()) == [1]


def test_a_target_off_the_allow_list_is_not_called_and_the_payment_stays_a_success(
    payment_database: Database, clock: TestClock
) -> None:
    with payments_on(payment_database, clock, policy=policy(targets=frozenset({OTHER_TARGET}))) as payments:
        payments.settle(1)
        payments.finish_first_attempts()

        assert _called(payments) == []
        assert (payments.triples(), payments.row().claim_token) == ((1, 1, 1), None)


def test_a_row_that_waited_too_long_is_given_back_and_not_called(payments: Payments, gate: Gate) -> None:
    payments.settle(1)
    assert gate.reached.wait(BOUND)
    payments.settle(2)
    payments.clock.advance(LEASE - timedelta(seconds=10))
    gate.open()
    payments.finish_first_attempts()

    assert _called(payments) == ["P-1"]
    assert (payments.row(2).claim_token, payments.row(2).notify_count) == (None, 0)


class TestStopping:
    def test_sends_what_is_queued_before_it_ends(self, payments: Payments) -> None:
        payments.settle(1, 2, 3, 4, 5)
        payments.finish_first_attempts()

        assert _statuses(payments) == [SUCCESS] * 5
        assert not any(thread.is_alive() for thread in payments.senders._threads.values())

    def test_takes_no_more(self, payments: Payments) -> None:
        payments.finish_first_attempts()
        payments.settle(1)

        assert (payments.row().claim_token, _called(payments)) == (None, [])

    def test_gives_back_what_it_could_not_begin_within_its_bound(self, payments: Payments, gate: Gate) -> None:
        payments.settle(1)
        assert gate.reached.wait(BOUND)
        payments.settle(2)
        payments.settle(3)
        payments.first_attempts.stop(AT_ONCE)

        assert [row.claimed_by for row in payments.rows()] == ["payment-server@a", None, None]
        assert numbers(payments.claim()) == [2, 3]

    def test_leaves_a_call_under_way_to_its_end_or_to_its_lease(self, payments: Payments, gate: Gate) -> None:
        payments.settle(1)
        assert gate.reached.wait(BOUND)
        payments.first_attempts.stop(AT_ONCE)
        assert payments.claim() is None

        gate.open()
        payments.finish_first_attempts()
        assert _statuses(payments) == [SUCCESS]

    def test_twice_is_the_same_as_once(self, payments: Payments) -> None:
        payments.settle(1)
        payments.finish_first_attempts()
        payments.finish_first_attempts()

        assert _statuses(payments) == [SUCCESS]

    def test_without_ever_having_sent_is_possible(self, payments: Payments) -> None:
        payments.finish_first_attempts()


def test_what_is_queued_is_in_the_outbox_under_a_lease(payments: Payments, gate: Gate) -> None:
    payments.settle(1, 2)
    assert gate.reached.wait(BOUND)

    rows = payments.database.read(lambda tx: tx.rows(NotifySchedule.select()))
    assert {row.claimed_by for row in rows} == {"payment-server@a"}
    payments.clock.advance(LEASE)
    claims: list[Claim | None] = [payments.claim(), payments.claim()]
    assert sorted(numbers(claim) for claim in claims) == [[1], [2]]
