"""The order side on one page: what SPEC 3, 5 and 6 say of orders and notifications. Shares no line with the product."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from paylatch.order.v1.order_enums_pb2 import (
    DISPOSITION_AMOUNT_MISMATCH,
    DISPOSITION_APPLIED,
    DISPOSITION_DUPLICATE_PAYMENT,
    DISPOSITION_IGNORED,
    DISPOSITION_ORDER_CANCELLED,
    EXCEPTION_RESOLUTION_ACCEPTED,
    FOLLOW_UP_RESOLUTION_CLOSED,
    FOLLOW_UP_RESOLUTION_RETRIED,
    ORDER_PAYMENT_STATUS_FAILED,
    ORDER_PAYMENT_STATUS_PAID,
    ORDER_PAYMENT_STATUS_PAYING,
    ORDER_PAYMENT_STATUS_UNPAID,
    ORDER_STATUS_CANCELLED,
    ORDER_STATUS_COMPLETED,
    ORDER_STATUS_NEW,
    ORDER_STATUS_PAID,
    ORDER_STATUS_PROCESSING,
    PAYMENT_OUTCOME_FAILED,
    PAYMENT_OUTCOME_SUCCESS,
)

EXCEPTIONS = (DISPOSITION_DUPLICATE_PAYMENT, DISPOSITION_ORDER_CANCELLED, DISPOSITION_AMOUNT_MISMATCH)
_MOVES = {
    "ProcessOrder": (ORDER_STATUS_PAID, ORDER_STATUS_PROCESSING),
    "CompleteOrder": (ORDER_STATUS_PROCESSING, ORDER_STATUS_COMPLETED),
    "CancelOrder": (ORDER_STATUS_NEW, ORDER_STATUS_CANCELLED),
}


class Told(NamedTuple):
    """The content of a notification; `code` is its key."""

    code: str
    order_no: str
    outcome: int
    amount: int
    currency: str


class Reply(NamedTuple):
    """The answer to a notification."""

    disposition: int
    is_repeated: bool
    order_status: int
    payment_status: int


@dataclass
class Order:
    """goods: what it takes of the one stocked sku. paid_by: the code of the payment that paid it."""

    amount: int
    currency: str
    goods: int
    vouchers: int
    order_status: int = ORDER_STATUS_NEW
    payment_status: int = ORDER_PAYMENT_STATUS_UNPAID
    paid_by: str = ""
    changes: int = 0
    issued: int = 0
    follow_up: int | None = None

    @property
    def statuses(self) -> tuple[int, int]:
        """Both statuses."""
        return self.order_status, self.payment_status


OPEN = 0
"""A follow-up without a resolution."""


@dataclass
class Notify:
    """What was taken down of a payment."""

    told: Told
    disposition: int
    resolution: int = 0


@dataclass
class OrderModel:
    """Methods answer as the RPCs do: what is answered, or the reason why not."""

    orders: dict[str, Order] = field(default_factory=dict)
    notifies: dict[str, Notify] = field(default_factory=dict)
    on_hand: int | None = None

    def notify(self, told: Told) -> Reply | str:
        """SPEC 5."""
        first = self.notifies.get(told.code)
        if first is not None:
            if first.told != told:
                return "NOTIFY_DIFFERS"
            return Reply(first.disposition, True, *self.orders[told.order_no].statuses)
        order = self.orders.get(told.order_no)
        if order is None:
            return "ORDER_NOT_FOUND"
        disposition = _disposition(order, told)
        self.notifies[told.code] = Notify(told, disposition)
        if disposition == DISPOSITION_APPLIED and told.outcome == PAYMENT_OUTCOME_SUCCESS:
            self._pay(order, told.code)
        elif disposition == DISPOSITION_APPLIED:
            order.payment_status, order.changes = ORDER_PAYMENT_STATUS_FAILED, order.changes + 1
        return Reply(disposition, False, *order.statuses)

    def move(self, act: str, order_no: str) -> tuple[int, int] | str:
        """What a person does to an order (SPEC 3)."""
        order = self.orders[order_no]
        if act == "StartPayment":
            return _start(order)
        needed, then = _MOVES[act]
        if order.order_status != needed:
            return "ILLEGAL_EVENT"
        order.order_status, order.changes = then, order.changes + 1
        return order.statuses

    def resolve(self, code: str, resolution: int) -> int | str:
        """Close a payment exception (SPEC 5)."""
        notify = self.notifies.get(code)
        if notify is None or notify.disposition not in EXCEPTIONS:
            return "PAYMENT_EXCEPTION_NOT_FOUND"
        if notify.resolution:
            return resolution if notify.resolution == resolution else "ALREADY_RESOLVED"
        if resolution == EXCEPTION_RESOLUTION_ACCEPTED:
            order = self.orders[notify.told.order_no]
            if notify.disposition != DISPOSITION_AMOUNT_MISMATCH or order.order_status != ORDER_STATUS_NEW:
                return "NOT_ACCEPTABLE"
            self._pay(order, code)
        notify.resolution = resolution
        return resolution

    def retry(self, order_no: str) -> int | str:
        """Try the shortage of an order again (SPEC 6)."""
        order = self.orders[order_no]
        if order.follow_up is None:
            return "FOLLOW_UP_NOT_FOUND"
        if order.follow_up == OPEN and self._take(order.goods):
            order.follow_up = FOLLOW_UP_RESOLUTION_RETRIED
        return order.follow_up

    def close(self, order_no: str) -> int | str:
        """Close the shortage of an order."""
        order = self.orders[order_no]
        if order.follow_up is None:
            return "FOLLOW_UP_NOT_FOUND"
        if order.follow_up == FOLLOW_UP_RESOLUTION_RETRIED:
            return "ALREADY_RESOLVED"
        order.follow_up = FOLLOW_UP_RESOLUTION_CLOSED
        return order.follow_up

    def money(self) -> Mapping[str, int]:
        """What was paid, by currency."""
        paid: Counter[str] = Counter()
        for notify in self.notifies.values():
            if notify.told.outcome == PAYMENT_OUTCOME_SUCCESS:
                paid[notify.told.currency] += notify.told.amount
        return paid

    def _pay(self, order: Order, code: str) -> None:
        order.order_status, order.payment_status = ORDER_STATUS_PAID, ORDER_PAYMENT_STATUS_PAID
        order.paid_by, order.changes, order.issued = code, order.changes + 2, order.vouchers
        if order.goods and not self._take(order.goods):
            order.follow_up = OPEN

    def _take(self, quantity: int) -> bool:
        if self.on_hand is None:
            return True
        enough = quantity <= self.on_hand
        self.on_hand -= quantity if enough else 0
        return enough


def _disposition(order: Order, told: Told) -> int:
    """SPEC 5's table, line by line."""
    unsettled = order.payment_status in {ORDER_PAYMENT_STATUS_UNPAID, ORDER_PAYMENT_STATUS_PAYING}
    cancelled = order.order_status == ORDER_STATUS_CANCELLED
    if told.outcome == PAYMENT_OUTCOME_FAILED:
        return DISPOSITION_APPLIED if unsettled and not cancelled else DISPOSITION_IGNORED
    if (told.amount, told.currency) != (order.amount, order.currency):
        return DISPOSITION_AMOUNT_MISMATCH
    if cancelled:
        return DISPOSITION_ORDER_CANCELLED
    return DISPOSITION_DUPLICATE_PAYMENT if order.paid_by else DISPOSITION_APPLIED


def _start(order: Order) -> tuple[int, int] | str:
    if order.order_status == ORDER_STATUS_CANCELLED:
        return "ORDER_NOT_NEW"
    if order.payment_status not in {ORDER_PAYMENT_STATUS_UNPAID, ORDER_PAYMENT_STATUS_FAILED}:
        return "ILLEGAL_EVENT"
    order.payment_status, order.changes = ORDER_PAYMENT_STATUS_PAYING, order.changes + 1
    return order.statuses
