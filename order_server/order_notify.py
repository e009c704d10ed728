"""The idempotent receiver: takes notifications down and lets them act on their orders (SPEC 5).

Owns the one transaction of a batch. Never decides what becomes of a notification: `rules` and `ledger` do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from core.rules.errors import Contended, Unavailable
from core.store.database import Database
from core.store.transaction import Transaction
from order_server.ledger import Ledger, Notified, TakenDown
from order_server.notifies import key_of, rows_by_key
from order_server.notify_log import NotifyLog
from order_server.order_changes import OrderChanges
from order_server.order_rows import STATE, state_of
from order_server.rules import Notification, OrderState, PaymentKey
from order_server.tables import Order, OrderPaymentNotify

Answer = Notified | Exception
"""What became of one notification. An exception that is no PaylatchError is a crash: whoever answers it logs it."""


class OrderNotify:
    """Takes down batches of notifications; a single one is a batch of one."""

    def __init__(self, database: Database, changes: OrderChanges, log: NotifyLog) -> None:
        self._database = database
        self._changes = changes
        self._log = log

    def notify(self, notifications: Sequence[Notification]) -> list[Answer]:
        """One answer for each notification, in their order; each is durable when this returns.

        They share one transaction, in which they act in their order. If it fails, they are run again one by one, so
        that a notification that can not be served never fails its neighbours.

        Raises:
            Contended: others changed the same orders on every try.
            Unavailable: the database is away, or the result is unknown. The same batch again decides it.
        """
        if not notifications:
            return []
        answers = self._together(notifications)
        self._log.answers(notifications, answers)
        return answers

    def _together(self, notifications: Sequence[Notification]) -> list[Answer]:
        try:
            return self._database.transact(lambda tx: self._take_down(tx, notifications))
        except (Contended, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one of them raises must not fail the others
            if len(notifications) == 1:
                return [error]
            self._log.split(len(notifications), error)
            return [self._alone(notification) for notification in notifications]

    def _alone(self, notification: Notification) -> Answer:
        try:
            return self._database.transact(lambda tx: self._take_down(tx, [notification]))[0]
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it is this item's answer
            return error

    def _take_down(self, tx: Transaction, notifications: Sequence[Notification]) -> list[Answer]:
        # Orders first: whoever else has one of them ends before what is on record of the keys is read.
        orders = _held_orders(tx, notifications)
        ledger = Ledger(orders, _on_record(tx, notifications))
        answers: list[Answer] = [ledger.take_down(notification) for notification in notifications]
        tx.insert(OrderPaymentNotify, [_row(tx, taken_down) for taken_down in ledger.taken_down])
        self._changes.write(tx, ledger.changes)
        return answers


def _held_orders(tx: Transaction, notifications: Sequence[Notification]) -> Mapping[str, OrderState]:
    order_nos = sorted({notification.order_no for notification in notifications})
    rows = tx.by_keys(Order, (Order.order_no,), [(order_no,) for order_no in order_nos], columns=STATE, lock=True)
    return {row.order_no: state_of(row) for row in rows}


def _on_record(tx: Transaction, notifications: Sequence[Notification]) -> Mapping[PaymentKey, TakenDown]:
    rows = rows_by_key(tx, [notification.key for notification in notifications])
    return {taken_down.notification.key: taken_down for taken_down in map(_taken_down, rows)}


def _taken_down(row: Any) -> TakenDown:
    notification = Notification(
        key=key_of(row),
        order_no=row.order_no,
        outcome=row.status,
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        trade_no=row.trade_no,
        settle_time=row.settle_time,
    )
    return TakenDown(notification, row.disposition)


def _row(tx: Transaction, taken_down: TakenDown) -> Mapping[str, Any]:
    notification = taken_down.notification
    return {
        "platform_id": notification.key.platform_id,
        "payment_code": notification.key.payment_code,
        "order_no": notification.order_no,
        "status": notification.outcome,
        "amount_minor": notification.amount_minor,
        "currency_code": notification.currency_code,
        "trade_no": notification.trade_no,
        "settle_time": notification.settle_time,
        "disposition": taken_down.disposition,
        "create_time": tx.now,
    }
