import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core.outbox import breaker, claim, expire, insert, lapse, operate, read, record
from core.outbox.insert import insert_results, insert_schedules
from core.outbox.lease import Claim
from core.outbox.tables import NotifySchedule, NotifyTarget, PaymentResult
from core.rules.codes import BreakerState, ResultStatus, ScheduleStatus
from core.rules.errors import Contended
from core.store.transaction import Transaction, TransactionEnded
from payment_server.tables import Payment
from tests.support import rows
from tests.support.clock import START
from tests.support.outbox import LEASE, MOMENT, POLICY, WINDOW, Outbox, notification, numbers, policy
from tests.support.rows import OTHER_TARGET, SETTLED, TARGET


@pytest.mark.parametrize("module", [breaker, claim, expire, insert, lapse, operate, read, record])
def test_everything_that_touches_the_outbox_needs_an_open_transaction(module: Any) -> None:
    works_on_rows = [
        function
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not function.__name__.startswith("_")
        if "Sequence[Row]" in str(inspect.signature(function)) or "tx" in inspect.signature(function).parameters
    ]

    assert works_on_rows
    for function in works_on_rows:
        assert next(iter(inspect.signature(function).parameters.values())).annotation is Transaction


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: insert_results(tx, [1]),
        lambda tx: insert_schedules(tx, [notification(1)], POLICY, None),
    ],
    ids=["results", "schedules"],
)
def test_inserting_is_refused_after_the_transaction_has_ended(outbox: Outbox, work: Callable[[Any], None]) -> None:
    escaped: list[Transaction] = []
    outbox.database.transact(escaped.append)

    with pytest.raises(TransactionEnded):
        work(escaped[0])


def test_what_is_inserted_is_gone_with_the_callers_transaction(outbox: Outbox) -> None:
    outbox.add()

    def work(tx: Transaction) -> None:
        tx.change(PaymentResult.delete())
        tx.change(NotifySchedule.delete())
        insert_results(tx, [1])
        insert_schedules(tx, [notification(1)], POLICY, outbox.lease())
        raise ValueError("the caller's own trouble")

    before = outbox.rows()
    with pytest.raises(ValueError, match="own trouble"):
        outbox.database.transact(work)
    assert outbox.rows() == before


def test_a_schedule_is_due_at_once_for_whoever_comes(outbox: Outbox) -> None:
    outbox.add()
    row = outbox.row()

    assert (row.notify_status, row.next_notify_time) == (ScheduleStatus.NOTIFYING, START)
    assert (row.notify_count, row.attempt_count, row.lapse_count) == (0, 0, 0)
    assert row.give_up_time == START + WINDOW
    assert (row.claim_token, row.claimed_by, row.claim_time) == (None, None, None)
    assert bytes(row.notify_content) == notification(1).content
    assert outbox.result().notify_status == ResultStatus.UNNOTIFIED
    assert outbox.result().disposition is None


def test_a_schedule_can_be_born_claimed_for_one_lease(outbox: Outbox) -> None:
    born = outbox.add_claimed(holder="payment-server@a")
    row = outbox.row()

    assert (row.claimed_by, row.claim_time, row.next_notify_time) == ("payment-server@a", START, START + LEASE)
    assert row.claim_token == born.rows[0].lease.token
    assert (row.notify_count, row.attempt_count) == (1, 1)
    assert (born.rows[0].attempt, born.rows[0].key) == (1, ("alipay", "P-1"))
    assert born.rows[0].content == notification(1).content


def test_what_is_born_claimed_is_nobody_elses_until_the_lease_ends(outbox: Outbox) -> None:
    outbox.add_claimed()

    outbox.clock.advance(LEASE - MOMENT)
    assert outbox.claim() is None
    outbox.clock.advance(MOMENT)
    assert numbers(outbox.claim()) == [1]


def test_many_are_claimed_by_target(outbox: Outbox) -> None:
    outbox.add(4)

    def work(tx: Transaction) -> list[tuple[str, list[int]]]:
        tx.change(NotifySchedule.delete())
        notifications = [notification(n, TARGET if n % 2 else OTHER_TARGET) for n in (1, 2, 3, 4)]
        claims = insert_schedules(tx, notifications, POLICY, outbox.lease())
        return sorted((claim.target, numbers(claim)) for claim in claims)

    assert outbox.database.transact(work) == [(TARGET, [1, 3]), (OTHER_TARGET, [2, 4])]


HINDRANCES: dict[str, dict[str, Any]] = {
    "paused": {"paused_time": START, "paused_by": "anna", "paused_reason": "a move"},
    "open": {"breaker_state": BreakerState.OPEN, "open_until": START + timedelta(seconds=5)},
    "open, its wait over": {"breaker_state": BreakerState.OPEN, "open_until": START},
    "half-open": {"breaker_state": BreakerState.HALF_OPEN, "open_until": START + timedelta(seconds=5)},
    "coming back": {"ramp_limit": 8},
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_rows_of_a_target_in_trouble_are_left_to_the_scheduler(outbox: Outbox, hindrance: str) -> None:
    outbox.set_target(**HINDRANCES[hindrance])

    assert outbox.database.transact(lambda tx: _schedule_payment_1(tx, outbox)) == []
    assert (outbox.row().claim_token, outbox.row().next_notify_time, outbox.row().notify_count) == (None, START, 0)


def test_rows_of_a_target_that_is_no_longer_allowed_are_left_alone(outbox: Outbox) -> None:
    outbox.policy = policy(targets=frozenset({OTHER_TARGET}))

    assert outbox.database.transact(lambda tx: _schedule_payment_1(tx, outbox)) == []
    assert (outbox.row().claim_token, outbox.row().next_notify_time, outbox.row().notify_count) == (None, START, 0)


def test_a_target_gets_its_row_with_its_first_schedule(outbox: Outbox) -> None:
    outbox.add()
    outbox.target_failed()
    outbox.add()

    assert outbox.database.read(lambda tx: tx.count(NotifyTarget.select())) == 1
    assert outbox.target().consecutive_failures == 1


def test_nothing_to_insert_inserts_nothing(outbox: Outbox) -> None:
    assert outbox.database.transact(lambda tx: insert_schedules(tx, [], POLICY, outbox.lease())) == []
    outbox.database.transact(lambda tx: insert_results(tx, []))

    assert outbox.rows() == []


def test_a_payment_is_scheduled_once(outbox: Outbox) -> None:
    outbox.add()

    with pytest.raises(Contended):
        outbox.database.transact(lambda tx: insert_schedules(tx, [notification(1)], POLICY, None))
    with pytest.raises(Contended):
        outbox.database.transact(lambda tx: insert_results(tx, [1]))


def _schedule_payment_1(tx: Transaction, outbox: Outbox) -> list[Claim]:
    tx.insert(Payment, [rows.payment(1, **SETTLED)])
    insert_results(tx, [1])
    return insert_schedules(tx, [notification(1)], outbox.policy, outbox.lease())
