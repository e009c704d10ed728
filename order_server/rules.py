"""What a notification does to an order (SPEC 5). Pure: decides and names the moves, never touches a row."""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from core.rules.codes import Disposition, NotifyOutcome, OrderPaymentStatus, OrderStatus
from core.rules.errors import NotFound
from core.rules.life_cycles import ORDER, ORDER_PAYMENT, Move

PAYLATCH = "paylatch"
"""The operator of whatever a notification does."""


class PaymentKey(NamedTuple):
    """The idempotency key of a payment: the platform, and the code that is unique within it."""

    platform_id: str
    payment_code: str

    def __str__(self) -> str:
        return f"{self.platform_id}/{self.payment_code}"

    def fields(self) -> dict[str, str]:
        """The parts by name, for log lines and error details."""
        return {"platform_id": self.platform_id, "payment_code": self.payment_code}


class Notification(NamedTuple):
    """A fact about money: how the payment `key`, made for `order_no`, ended.

    amount_minor: what was paid or tried, in the minor unit of `currency_code`.
    trade_no, settle_time: the platform's own number and instant, kept for people; no part of the content.
    """

    key: PaymentKey
    order_no: str
    outcome: NotifyOutcome
    amount_minor: int
    currency_code: str
    trade_no: str = ""
    settle_time: datetime | None = None

    @property
    def content(self) -> tuple[str, NotifyOutcome, int, str]:
        """What must be the same for two notifications of one key to be the same (SPEC 5)."""
        return self.order_no, self.outcome, self.amount_minor, self.currency_code


class OrderState(NamedTuple):
    """As much of an order as decides what a notification does to it. `paid_by` is set when it is paid."""

    amount_minor: int
    currency_code: str
    order_status: OrderStatus
    payment_status: OrderPaymentStatus
    paid_by: PaymentKey | None = None


class StatusName(IntEnum):
    """`order_status_log.status_name`: which of an order's two statuses changed."""

    ORDER_STATUS = 1
    PAYMENT_STATUS = 2


class FollowUpResolution(IntEnum):
    """`order_follow_up.resolution`: how a follow-up that went wrong was closed."""

    RETRIED = 1
    CLOSED = 2


class OrderMoves(NamedTuple):
    """The moves of an order's two statuses that are written together; None leaves that status as it is."""

    order: Move | None
    payment: Move | None


class OrderChange(NamedTuple):
    """The moves of one order, by whom and why.

    paid_by: set when they make it paid. change_id: one call's own, for changes that are not idempotent by a key.
    """

    order_no: str
    moves: OrderMoves
    operator: str
    description: str
    paid_by: PaymentKey | None = None
    change_id: str | None = None


def decide(order: OrderState, notification: Notification) -> Disposition:
    """What becomes of `notification`: SPEC 5's table, the first line that fits."""
    cancelled = order.order_status is OrderStatus.CANCELLED
    if notification.outcome is NotifyOutcome.FAILED:
        can_fail = not cancelled and ORDER_PAYMENT.allows(order.payment_status, "fail")
        return Disposition.APPLIED if can_fail else Disposition.IGNORED
    if (notification.amount_minor, notification.currency_code) != (order.amount_minor, order.currency_code):
        return Disposition.AMOUNT_MISMATCH
    if cancelled:
        return Disposition.ORDER_CANCELLED
    if order.paid_by not in (None, notification.key):
        return Disposition.DUPLICATE_PAYMENT
    return Disposition.APPLIED


def change_when_applied(order: OrderState, notification: Notification) -> OrderChange | None:
    """What an APPLIED `notification` changes, or None: the order is paid by this very payment already.

    Raises:
        IllegalEvent: a life cycle has no such move, which `decide` rules out.
    """
    key, order_no = notification.key, notification.order_no
    if order.paid_by == key:
        return None
    if notification.outcome is NotifyOutcome.SUCCESS:
        return OrderChange(order_no, moves_when_paid(order), PAYLATCH, f"payment {key} succeeded", key)
    moves = OrderMoves(None, ORDER_PAYMENT.move(order.payment_status, "fail"))
    return OrderChange(order_no, moves, PAYLATCH, f"payment {key} failed")


def moves_when_paid(order: OrderState) -> OrderMoves:
    """The two moves that make an order paid.

    Raises:
        IllegalEvent: the order is not payable: cancelled, or paid already.
    """
    return OrderMoves(ORDER.move(order.order_status, "pay"), ORDER_PAYMENT.move(order.payment_status, "succeed"))


def changed(order: OrderState, change: OrderChange) -> OrderState:
    """`order` after `change`."""
    to_order, to_payment = change.moves
    return OrderState(
        order.amount_minor,
        order.currency_code,
        OrderStatus(to_order.to) if to_order else order.order_status,
        OrderPaymentStatus(to_payment.to) if to_payment else order.payment_status,
        change.paid_by or order.paid_by,
    )


def order_not_found(order_no: str) -> NotFound:
    """The error for an order that is not there, or not visible yet."""
    return NotFound(f"there is no order {order_no}", reason="ORDER_NOT_FOUND", metadata={"order_no": order_no})
