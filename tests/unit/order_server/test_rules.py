"""SPEC 5's table, crossed completely: every order status × outcome × amount and currency × who paid."""

from itertools import product

import pytest

from core.rules.codes import Disposition, NotifyOutcome, OrderPaymentStatus, OrderStatus
from core.rules.errors import IllegalEvent
from core.rules.life_cycles import ORDER, ORDER_PAYMENT
from order_server.rules import (
    Notification,
    OrderState,
    PaymentKey,
    change_when_applied,
    changed,
    decide,
    moves_when_paid,
)

KEY = PaymentKey("alipay", "P-1")
OTHER_PLATFORM = PaymentKey("wechatpay", "P-1")
OTHER_CODE = PaymentKey("alipay", "P-2")
AMOUNT, CURRENCY = 1_000, "USD"

APPLIED, IGNORED = Disposition.APPLIED, Disposition.IGNORED
CANCELLED, DUPLICATE = Disposition.ORDER_CANCELLED, Disposition.DUPLICATE_PAYMENT

UNPAID, PAYING, PAID, FAILED = OrderPaymentStatus

# status: a failure, a fitting success when nobody paid, … when this key paid, … when another did
TABLE = {
    (OrderStatus.NEW, UNPAID): (APPLIED, APPLIED, None, None),
    (OrderStatus.NEW, PAYING): (APPLIED, APPLIED, None, None),
    (OrderStatus.NEW, FAILED): (IGNORED, APPLIED, None, None),
    (OrderStatus.PAID, PAID): (IGNORED, None, APPLIED, DUPLICATE),
    (OrderStatus.PROCESSING, PAID): (IGNORED, None, APPLIED, DUPLICATE),
    (OrderStatus.COMPLETED, PAID): (IGNORED, None, APPLIED, DUPLICATE),
    (OrderStatus.CANCELLED, UNPAID): (IGNORED, CANCELLED, None, None),
    (OrderStatus.CANCELLED, PAYING): (IGNORED, CANCELLED, None, None),
    (OrderStatus.CANCELLED, FAILED): (IGNORED, CANCELLED, None, None),
}
FITTING = (AMOUNT, CURRENCY)
PAID_WITH = [FITTING, (AMOUNT + 1, CURRENCY), (AMOUNT - 1, CURRENCY), (AMOUNT, "EUR"), (AMOUNT + 1, "EUR")]


def _payers(payment_status: OrderPaymentStatus) -> list[PaymentKey | None]:
    return [KEY, OTHER_PLATFORM, OTHER_CODE] if payment_status is PAID else [None]


CASES = [
    (order_status, payment_status, outcome, paid_with, paid_by)
    for (order_status, payment_status), outcome, paid_with in product(TABLE, NotifyOutcome, PAID_WITH)
    for paid_by in _payers(payment_status)
]


def _order(order_status: OrderStatus, payment_status: OrderPaymentStatus, paid_by: PaymentKey | None) -> OrderState:
    return OrderState(AMOUNT, CURRENCY, order_status, payment_status, paid_by)


def _notification(outcome: NotifyOutcome, paid_with: tuple[int, str] = FITTING) -> Notification:
    return Notification(KEY, "O-1", outcome, *paid_with)


def _expected(
    order_status: OrderStatus,
    payment_status: OrderPaymentStatus,
    outcome: NotifyOutcome,
    paid_with: tuple[int, str],
    paid_by: PaymentKey | None,
) -> Disposition | None:
    failure, by_nobody, by_this, by_other = TABLE[order_status, payment_status]
    if outcome is NotifyOutcome.FAILED:
        return failure
    if paid_with != FITTING:
        return Disposition.AMOUNT_MISMATCH
    return {None: by_nobody, KEY: by_this}.get(paid_by, by_other)


@pytest.mark.parametrize(("order_status", "payment_status", "outcome", "paid_with", "paid_by"), CASES)
def test_every_state_and_every_notification_meet_in_the_line_of_the_table(
    order_status: OrderStatus,
    payment_status: OrderPaymentStatus,
    outcome: NotifyOutcome,
    paid_with: tuple[int, str],
    paid_by: PaymentKey | None,
) -> None:
    order = _order(order_status, payment_status, paid_by)
    expected = _expected(order_status, payment_status, outcome, paid_with, paid_by)

    assert decide(order, _notification(outcome, paid_with)) is expected


@pytest.mark.parametrize(("order_status", "payment_status", "outcome", "paid_with", "paid_by"), CASES)
def test_what_is_applied_leads_to_failed_or_to_paid_by_this_key(
    order_status: OrderStatus,
    payment_status: OrderPaymentStatus,
    outcome: NotifyOutcome,
    paid_with: tuple[int, str],
    paid_by: PaymentKey | None,
) -> None:
    order, notification = _order(order_status, payment_status, paid_by), _notification(outcome, paid_with)
    if decide(order, notification) is not APPLIED:
        return

    change = change_when_applied(order, notification)

    if paid_by == KEY:
        assert change is None
        return
    assert change is not None
    after = changed(order, change)
    if outcome is NotifyOutcome.FAILED:
        assert after == _order(order_status, FAILED, None)
    else:
        assert after == _order(OrderStatus.PAID, PAID, KEY)


def test_a_change_says_what_moves_by_whom_and_why() -> None:
    change = change_when_applied(_order(OrderStatus.NEW, PAYING, None), _notification(NotifyOutcome.SUCCESS))

    assert change is not None
    assert change.moves.order == ORDER.move(OrderStatus.NEW, "pay")
    assert change.moves.payment == ORDER_PAYMENT.move(PAYING, "succeed")
    assert (change.order_no, change.operator) == ("O-1", "paylatch")
    assert change.description == "payment alipay/P-1 succeeded"


@pytest.mark.parametrize(("order_status", "payment_status"), TABLE)
def test_an_order_that_is_not_new_can_not_be_made_paid(
    order_status: OrderStatus, payment_status: OrderPaymentStatus
) -> None:
    order = _order(order_status, payment_status, KEY if payment_status is PAID else None)
    if order_status is OrderStatus.NEW:
        assert moves_when_paid(order).order is not None
    else:
        with pytest.raises(IllegalEvent):
            moves_when_paid(order)


def test_the_content_of_a_notification_leaves_out_what_only_people_look_at() -> None:
    first = Notification(KEY, "O-1", NotifyOutcome.SUCCESS, AMOUNT, CURRENCY, trade_no="T-1")
    second = Notification(KEY, "O-1", NotifyOutcome.SUCCESS, AMOUNT, CURRENCY, trade_no="T-2")

    assert first.content == second.content


def test_a_key_reads_as_platform_and_code() -> None:
    assert str(KEY) == "alipay/P-1"
