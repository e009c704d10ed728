"""What the order side was told about payments, read beside the orders as they are now (SPEC 9). Never writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from core.rules.codes import Disposition, NotifyOutcome
from core.rules.errors import NotFound
from core.store.database import Database
from core.store.paging import Page, PageRequest, narrowed, newest_time_first
from core.store.transaction import Row, Transaction
from order_server.order_rows import paid_by
from order_server.rules import PaymentKey
from order_server.tables import Order, OrderPaymentNotify


class NotifyView(NamedTuple):
    """A row of `order_payment_notify`, and the row of its order."""

    notify: Row
    order: Row

    @property
    def is_paying_key(self) -> bool:
        """Whether this payment is the one that paid the order."""
        return paid_by(self.order) == key_of(self.notify)


@dataclass(frozen=True, slots=True)
class NotifyFilter:
    """Which notifications; None does not filter. created_after is included, created_before is not."""

    order_no: str | None = None
    outcome: NotifyOutcome | None = None
    disposition: Disposition | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class OrderPaymentNotifies:
    """The use cases of reading notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, wanted: NotifyFilter, page: PageRequest) -> Page[NotifyView]:
        """A page of notifications, newest first."""
        return self._database.read(lambda tx: _list(tx, wanted, page))

    def batch_get(self, keys: Sequence[PaymentKey]) -> list[NotifyView | NotFound]:
        """The notification of each key, in the order of the keys."""
        return self._database.read(lambda tx: _batch_get(tx, keys))


def key_of(notify: Row) -> PaymentKey:
    """The key of a row of `order_payment_notify`."""
    return PaymentKey(notify.platform_id, notify.payment_code)


def rows_by_key(tx: Transaction, keys: Sequence[PaymentKey], *, lock: bool = False) -> list[Row]:
    """The rows of those `keys` that were notified."""
    fields = (OrderPaymentNotify.platform_id, OrderPaymentNotify.payment_code)
    return tx.by_keys(OrderPaymentNotify, fields, sorted(set(keys)), lock=lock)


def beside_orders(tx: Transaction, notifies: Sequence[Row]) -> list[NotifyView]:
    """Each row of `order_payment_notify` with the row of its order."""
    order_nos = sorted({notify.order_no for notify in notifies})
    rows = tx.by_keys(Order, (Order.order_no,), [(order_no,) for order_no in order_nos])
    orders = {row.order_no: row for row in rows}
    return [NotifyView(notify, orders[notify.order_no]) for notify in notifies]


def _list(tx: Transaction, wanted: NotifyFilter, page: PageRequest) -> Page[NotifyView]:
    query = narrowed(
        OrderPaymentNotify.select(),
        (wanted.order_no, OrderPaymentNotify.order_no == wanted.order_no),
        (wanted.outcome, OrderPaymentNotify.status == wanted.outcome),
        (wanted.disposition, OrderPaymentNotify.disposition == wanted.disposition),
        (wanted.created_after, OrderPaymentNotify.create_time >= wanted.created_after),
        (wanted.created_before, OrderPaymentNotify.create_time < wanted.created_before),
    )
    found = newest_time_first(tx, OrderPaymentNotify, query, page)
    return Page(beside_orders(tx, found.rows), found.last)


def _batch_get(tx: Transaction, keys: Sequence[PaymentKey]) -> list[NotifyView | NotFound]:
    views = {key_of(view.notify): view for view in beside_orders(tx, rows_by_key(tx, keys))}
    return [views.get(key) or _not_found(key) for key in keys]


def _not_found(key: PaymentKey) -> NotFound:
    return NotFound(f"payment {key} was never notified", reason="NOTIFY_NOT_FOUND", metadata=key.fields())
