"""A batch of notifications against what is on record, in memory (SPEC 5). Pure: never reads or writes a row.

Whoever holds the transaction hands in what it read, lets the notifications act in their order, and writes down what the
ledger collected.
"""

from collections.abc import Mapping
from typing import NamedTuple

from core.rules.codes import Disposition, OrderPaymentStatus, OrderStatus
from core.rules.errors import AlreadyExists, NotFound
from order_server.rules import (
    Notification,
    OrderChange,
    OrderState,
    PaymentKey,
    change_when_applied,
    changed,
    decide,
    order_not_found,
)


class TakenDown(NamedTuple):
    """A notification as it came first, and what became of it."""

    notification: Notification
    disposition: Disposition


class Notified(NamedTuple):
    """The answer to a notification. differs: it repeats another trade_no or settle_time than the first had."""

    disposition: Disposition
    is_repeated: bool
    order_status: OrderStatus
    payment_status: OrderPaymentStatus
    differs: bool = False


class Ledger:
    """What is on record of some orders and keys, and what a batch adds to it.

    orders: by order_no. known: the notifications on record, by key. taken_down, changes: what is to be written.
    """

    def __init__(self, orders: Mapping[str, OrderState], known: Mapping[PaymentKey, TakenDown]) -> None:
        self._orders = dict(orders)
        self._known = dict(known)
        self.taken_down: list[TakenDown] = []
        self.changes: list[OrderChange] = []

    def take_down(self, notification: Notification) -> Notified | AlreadyExists | NotFound:
        """Let `notification` act, and answer it. An error changes nothing."""
        first = self._known.get(notification.key)
        if first is not None:
            return self._repeat(first, notification)
        order = self._orders.get(notification.order_no)
        if order is None:
            return order_not_found(notification.order_no)
        return self._take_down_first(order, notification)

    def _take_down_first(self, order: OrderState, notification: Notification) -> Notified:
        disposition = decide(order, notification)
        if disposition is Disposition.APPLIED:
            order = self._apply(order, notification)
        taken_down = TakenDown(notification, disposition)
        self._known[notification.key] = taken_down
        self.taken_down.append(taken_down)
        return Notified(disposition, False, order.order_status, order.payment_status)

    def _apply(self, order: OrderState, notification: Notification) -> OrderState:
        change = change_when_applied(order, notification)
        if change is None:
            return order
        self.changes.append(change)
        order = self._orders[notification.order_no] = changed(order, change)
        return order

    def _repeat(self, first: TakenDown, notification: Notification) -> Notified | AlreadyExists:
        if first.notification.content != notification.content:
            return notify_differs(first.notification, notification)
        order = self._orders[notification.order_no]
        differs = first.notification != notification
        return Notified(first.disposition, True, order.order_status, order.payment_status, differs)


def notify_differs(first: Notification, notification: Notification) -> AlreadyExists:
    """The error for a key that was notified with other content; it names the differences."""
    names = ("order_no", "outcome", "amount_minor", "currency_code")
    pairs = zip(names, first.content, notification.content, strict=True)
    differences = [f"{name} was {_shown(old)}, is now {_shown(new)}" for name, old, new in pairs if old != new]
    return AlreadyExists(
        f"payment {notification.key} was notified before with other content: {'; '.join(differences)}",
        reason="NOTIFY_DIFFERS",
        metadata=notification.key.fields(),
    )


def _shown(value: object) -> str:
    return str(getattr(value, "name", value))
