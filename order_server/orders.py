"""Orders: creating them, moving them along by a person's hand, reading them (SPEC 3, 4). A call is one transaction."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.logs import Logger
from core.rules.codes import OrderPaymentStatus, OrderStatus
from core.rules.errors import AlreadyExists, NotAllowed, Precondition
from core.rules.life_cycles import ORDER, ORDER_PAYMENT
from core.store.database import Database
from core.store.paging import Page, PageRequest, narrowed, newest_time_first, oldest_first
from core.store.transaction import Row, Transaction
from order_server.order_changes import OrderChanges, is_written
from order_server.order_rows import Item, OrderView, order_row, views
from order_server.rules import OrderChange, OrderMoves
from order_server.tables import Order, OrderItem, OrderStatusLog, Voucher


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to create. amount_minor: in the minor unit of `currency_code`."""

    order_no: str
    amount_minor: int
    currency_code: str
    items: Sequence[Item] = ()


@dataclass(frozen=True, slots=True)
class OrderAct:
    """Something a person does to an order: who and why, for the status log."""

    order_no: str
    operator: str
    description: str


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders; None does not filter. created_after is included, created_before is not."""

    order_status: OrderStatus | None = None
    payment_status: OrderPaymentStatus | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class Orders:
    """The use cases on orders."""

    def __init__(self, database: Database, changes: OrderChanges, log: Logger) -> None:
        self._database = database
        self._changes = changes
        self._log = log

    def create(self, new: NewOrder) -> OrderView:
        """The order, created now or before. Idempotent by its number.

        Raises:
            AlreadyExists: the number is taken by an order with another amount, currency or items.
        """
        order = self._database.transact(lambda tx: _create(tx, new))
        self._log.debug("order.created", order_no=order.order_no)
        return order

    def start_payment(self, act: OrderAct) -> OrderView:
        """Note that a payment was started. NotFound, or NotAllowed if it is under way, made, or the order not NEW."""
        return self._change(act, _start)

    def process(self, act: OrderAct) -> OrderView:
        """Take a paid order into work. NotFound, or IllegalEvent if it is in another status."""
        return self._change(act, lambda order: OrderMoves(ORDER.move(order.order_status, "process"), None))

    def complete(self, act: OrderAct) -> OrderView:
        """Finish an order in work. NotFound, or IllegalEvent if it is in another status."""
        return self._change(act, lambda order: OrderMoves(ORDER.move(order.order_status, "complete"), None))

    def cancel(self, act: OrderAct) -> OrderView:
        """Cancel a new order. NotFound, or IllegalEvent if it is in another status."""
        return self._change(act, lambda order: OrderMoves(ORDER.move(order.order_status, "cancel"), None))

    def get(self, order_no: str) -> OrderView:
        """The order, or NotFound."""
        return self._database.read(lambda tx: _view(tx, order_no))

    def find(self, wanted: OrderFilter, page: PageRequest) -> Page[OrderView]:
        """A page of orders, newest first."""
        return self._database.read(lambda tx: _list(tx, wanted, page))

    def status_logs(self, order_no: str, page: PageRequest) -> Page[Row]:
        """A page of the changes of an order's statuses, oldest first; or NotFound."""
        return self._database.read(lambda tx: _rows_of_order(tx, OrderStatusLog, order_no, page))

    def vouchers(self, order_no: str, page: PageRequest) -> Page[Row]:
        """A page of the vouchers issued for an order, oldest first; or NotFound."""
        return self._database.read(lambda tx: _rows_of_order(tx, Voucher, order_no, page))

    def _change(self, act: OrderAct, moves: Callable[[Row], OrderMoves]) -> OrderView:
        change_id = secrets.token_hex(16)

        def work(tx: Transaction) -> OrderView:
            order = order_row(tx, act.order_no, lock=True)
            # A commit that raised may be durable, and the same event again would be illegal.
            if not (tx.is_rerun and is_written(tx, act.order_no, change_id)):
                change = OrderChange(act.order_no, moves(order), act.operator, act.description, change_id=change_id)
                self._changes.write(tx, [change])
            return _view(tx, act.order_no)

        order = self._database.transact(work)
        self._log.info(
            "order.changed",
            order_no=order.order_no,
            order_status=order.order_status.name,
            payment_status=order.payment_status.name,
            operator=act.operator,
        )
        return order


def _start(order: Row) -> OrderMoves:
    """The start of a payment, which also needs a NEW order (SPEC 3). A paid one is refused by the life cycle."""
    if order.order_status is OrderStatus.CANCELLED:
        raise _order_not_new(order)
    return OrderMoves(None, ORDER_PAYMENT.move(order.payment_status, "start"))


def _order_not_new(order: Row) -> NotAllowed:
    legal_events = ORDER.legal_events(order.order_status)
    message = (
        f"order {order.order_no} is {order.order_status.name}: a payment can only be started while it is NEW, "
        f"legal events of the order are: {', '.join(legal_events) or 'none'}"
    )
    return NotAllowed(
        message,
        reason="ORDER_NOT_NEW",
        violations=[Precondition("LIFE_CYCLE", ORDER.name, message)],
        metadata={
            "current_status": order.order_status.name,
            "event": "start",
            "legal_events": ",".join(legal_events),
        },
    )


def _create(tx: Transaction, new: NewOrder) -> OrderView:
    existing = tx.by_keys(Order, (Order.order_no,), [(new.order_no,)], lock=True)
    if not existing:
        tx.insert(Order, [_order_columns(tx, new)])
        tx.insert(OrderItem, [_item_columns(new, line, item) for line, item in enumerate(new.items, start=1)])
    view = _view(tx, new.order_no)
    if existing:
        _require_same(view, new)
    return view


def _require_same(view: OrderView, new: NewOrder) -> None:
    differences = [
        f"{name} is {old}, not {wanted}"
        for name, old, wanted in (
            ("amount_minor", view.amount_minor, new.amount_minor),
            ("currency_code", view.currency_code, new.currency_code),
        )
        if old != wanted
    ]
    # The order of the lines says nothing: a caller may well build them from a map.
    if sorted(view.items) != sorted(new.items):
        differences.append("the items are others")
    if differences:
        raise AlreadyExists(
            f"order {new.order_no} exists with other content: {'; '.join(differences)}",
            reason="ORDER_DIFFERS",
            metadata={"order_no": new.order_no},
        )


def _view(tx: Transaction, order_no: str) -> OrderView:
    return views(tx, [order_row(tx, order_no)])[0]


def _list(tx: Transaction, wanted: OrderFilter, page: PageRequest) -> Page[OrderView]:
    query = narrowed(
        Order.select(),
        (wanted.order_status, Order.order_status == wanted.order_status),
        (wanted.payment_status, Order.payment_status == wanted.payment_status),
        (wanted.created_after, Order.create_time >= wanted.created_after),
        (wanted.created_before, Order.create_time < wanted.created_before),
    )
    found = newest_time_first(tx, Order, query, page)
    return Page(views(tx, found.rows), found.last)


def _rows_of_order(tx: Transaction, model: Any, order_no: str, page: PageRequest) -> Page[Row]:
    order_row(tx, order_no)
    return oldest_first(tx, model, model.select().where(model.order_no == order_no), page)


def _order_columns(tx: Transaction, new: NewOrder) -> Mapping[str, Any]:
    return {
        "order_no": new.order_no,
        "amount_minor": new.amount_minor,
        "currency_code": new.currency_code,
        "order_status": OrderStatus.NEW,
        "payment_status": OrderPaymentStatus.UNPAID,
        "create_time": tx.now,
        "update_time": tx.now,
    }


def _item_columns(new: NewOrder, line: int, item: Item) -> Mapping[str, Any]:
    return {
        "order_no": new.order_no,
        "line": line,
        "sku": item.sku,
        "quantity": item.quantity,
        "kind": item.kind,
    }
