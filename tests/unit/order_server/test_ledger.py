"""The ledger in memory (SPEC 5): no database, every sequence of notifications."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.codes import Disposition, NotifyOutcome, OrderPaymentStatus, OrderStatus
from core.rules.errors import AlreadyExists, NotFound
from order_server.ledger import Ledger, Notified, TakenDown
from order_server.rules import Notification, OrderState, PaymentKey, changed

SUCCESS, FAILED = NotifyOutcome.SUCCESS, NotifyOutcome.FAILED
NEW = OrderState(1_000, "USD", OrderStatus.NEW, OrderPaymentStatus.UNPAID)


def _notification(
    code: str = "P-1", outcome: NotifyOutcome = SUCCESS, amount: int = 1_000, order_no: str = "O-1", **more: Any
) -> Notification:
    return Notification(PaymentKey("alipay", code), order_no, outcome, amount, "USD", **more)


def test_what_a_batch_adds_is_collected_to_be_written() -> None:
    ledger = Ledger({"O-1": NEW}, {})
    failure, success = _notification("P-1", FAILED), _notification("P-2")

    answers = [ledger.take_down(failure), ledger.take_down(success)]

    applied = Disposition.APPLIED
    assert answers == [
        Notified(applied, False, OrderStatus.NEW, OrderPaymentStatus.FAILED),
        Notified(applied, False, OrderStatus.PAID, OrderPaymentStatus.PAID),
    ]
    assert ledger.taken_down == [TakenDown(failure, applied), TakenDown(success, applied)]
    state = NEW
    for change in ledger.changes:
        state = changed(state, change)
    assert state == OrderState(1_000, "USD", OrderStatus.PAID, OrderPaymentStatus.PAID, success.key)


def test_an_error_adds_nothing() -> None:
    known = _notification("known")
    ledger = Ledger({"O-1": NEW}, {known.key: TakenDown(known, Disposition.IGNORED)})

    unknown_order = ledger.take_down(_notification(order_no="O-9"))
    other_content = ledger.take_down(_notification("known", amount=1))

    assert isinstance(unknown_order, NotFound)
    assert isinstance(other_content, AlreadyExists)
    assert "amount_minor was 1000, is now 1" in other_content.message
    assert not ledger.taken_down
    assert not ledger.changes


def test_what_is_on_record_repeats_its_disposition_with_the_present_statuses() -> None:
    known = _notification("known")
    ledger = Ledger({"O-1": NEW}, {known.key: TakenDown(known, Disposition.IGNORED)})

    answer = ledger.take_down(known)

    assert answer == Notified(Disposition.IGNORED, True, OrderStatus.NEW, OrderPaymentStatus.UNPAID)
    assert not ledger.taken_down


def test_a_key_that_came_earlier_in_the_batch_repeats() -> None:
    ledger = Ledger({"O-1": NEW}, {})
    ledger.take_down(_notification(trade_no="T-1"))

    answer = ledger.take_down(_notification(trade_no="T-2"))

    assert isinstance(answer, Notified)
    assert (answer.is_repeated, answer.differs) == (True, True)
    assert len(ledger.taken_down) == 1


def test_an_order_paid_by_a_payment_that_is_not_on_record_takes_it_down_without_a_change() -> None:
    key = PaymentKey("alipay", "P-1")
    paid = OrderState(1_000, "USD", OrderStatus.PAID, OrderPaymentStatus.PAID, key)
    ledger = Ledger({"O-1": paid}, {})

    answer = ledger.take_down(_notification("P-1"))

    assert isinstance(answer, Notified)
    assert (answer.disposition, answer.is_repeated) == (Disposition.APPLIED, False)
    assert not ledger.changes


STARTS = [
    OrderState(1_000, "USD", order_status, payment_status)
    for order_status in (OrderStatus.NEW, OrderStatus.CANCELLED)
    for payment_status in (OrderPaymentStatus.UNPAID, OrderPaymentStatus.PAYING, OrderPaymentStatus.FAILED)
]
FACTS = st.lists(
    st.tuples(st.sampled_from([SUCCESS, FAILED]), st.sampled_from([1_000, 1_000, 1_001])), min_size=1, max_size=5
)


def _end(start: OrderState, notifications: list[Notification]) -> tuple[OrderStatus, OrderPaymentStatus]:
    ledger = Ledger({"O-1": start}, {})
    for notification in notifications:
        ledger.take_down(notification)
    state = start
    for change in ledger.changes:
        state = changed(state, change)
    successes = [
        each
        for each in ledger.taken_down
        if each.disposition is Disposition.APPLIED and each.notification.outcome is SUCCESS
    ]
    fits = any(each.outcome is SUCCESS and each.amount_minor == 1_000 for each in notifications)
    assert len(successes) == (1 if fits and start.order_status is OrderStatus.NEW else 0)
    assert [each.notification.key for each in successes] == ([state.paid_by] if state.paid_by else [])
    return state.order_status, state.payment_status


@given(start=st.sampled_from(STARTS), facts=FACTS, data=st.data())
def test_any_arrival_and_duplication_ends_alike(start: OrderState, facts: list[Any], data: st.DataObject) -> None:
    notifications = [_notification(f"P-{place}", *fact) for place, fact in enumerate(facts)]
    mixed = data.draw(st.permutations(notifications * 2))

    assert _end(start, mixed) == _end(start, notifications)


@pytest.mark.parametrize("start", STARTS, ids=lambda state: f"{state.order_status.name}-{state.payment_status.name}")
def test_every_permutation_of_every_kind_of_notification_ends_alike(start: OrderState) -> None:
    kinds = [
        _notification("P-1"),
        _notification("P-2"),
        _notification("P-3", FAILED),
        _notification("P-4", FAILED, 5),
        _notification("P-5", SUCCESS, 5),
    ]

    assert len({_end(start, list(arrival)) for arrival in permutations(kinds)}) == 1
