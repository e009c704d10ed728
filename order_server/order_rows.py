"""Orders as values: read from the rows of `order` and `order_item`. Never writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.rules.codes import ItemKind, OrderPaymentStatus, OrderStatus
from core.store.transaction import Row, Transaction
from order_server.rules import OrderState, PaymentKey, order_not_found
from order_server.tables import Order, OrderItem


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One line of an order: so many units of a sku."""

    sku: str
    quantity: int
    kind: ItemKind


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its readers see it."""

    order_no: str
    amount_minor: int
    currency_code: str
    items: Sequence[Item]
    order_status: OrderStatus
    payment_status: OrderPaymentStatus
    paid_by: PaymentKey | None
    create_time: datetime
    update_time: datetime


def order_row(tx: Transaction, order_no: str, *, lock: bool = False) -> Row:
    """The row of an order.

    Raises:
        NotFound: there is none.
    """
    rows = tx.by_keys(Order, (Order.order_no,), [(order_no,)], lock=lock)
    if not rows:
        raise order_not_found(order_no)
    return rows[0]


STATE = (
    Order.order_no,
    Order.amount_minor,
    Order.currency_code,
    Order.order_status,
    Order.payment_status,
    Order.paid_platform_id,
    Order.paid_payment_code,
)
"""The columns that an order's state is made of."""


def state_of(order: Row) -> OrderState:
    """The state of a row of `order`, which has at least the columns of STATE."""
    return OrderState(order.amount_minor, order.currency_code, order.order_status, order.payment_status, paid_by(order))


def paid_by(order: Row) -> PaymentKey | None:
    """The payment that paid the order of a row, if it is paid."""
    return PaymentKey(order.paid_platform_id, order.paid_payment_code) if order.paid_platform_id else None


def item_rows(tx: Transaction, order_nos: Sequence[str]) -> Mapping[str, Sequence[Row]]:
    """The item rows of each order that has any, by line; orders in the order of `order_nos`."""
    rows = tx.by_keys(OrderItem, (OrderItem.order_no,), [(order_no,) for order_no in order_nos])
    by_order: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: int(row.line)):
        by_order.setdefault(row.order_no, []).append(row)
    return {order_no: by_order[order_no] for order_no in order_nos if order_no in by_order}


def views(tx: Transaction, orders: Sequence[Row]) -> list[OrderView]:
    """The orders of some rows, with their items."""
    items = item_rows(tx, [order.order_no for order in orders])
    return [_view(order, items.get(order.order_no, ())) for order in orders]


def _view(order: Row, items: Sequence[Row]) -> OrderView:
    return OrderView(
        order_no=order.order_no,
        amount_minor=order.amount_minor,
        currency_code=order.currency_code,
        items=[Item(row.sku, row.quantity, row.kind) for row in items],
        order_status=order.order_status,
        payment_status=order.payment_status,
        paid_by=paid_by(order),
        create_time=order.create_time,
        update_time=order.update_time,
    )
