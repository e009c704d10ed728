"""No hot query of the order database becomes a scan or a sort, however many orders were paid before."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from core.rules.codes import Disposition, NotifyOutcome, OrderPaymentStatus, OrderStatus
from core.store.database import Database
from core.store.paging import PageRequest, newest_time_first, oldest_first
from core.store.transaction import Transaction
from order_server import notifies, orders, payment_exceptions
from order_server.follow_ups import FollowUps
from order_server.notifies import NotifyFilter
from order_server.notify_log import NotifyLog
from order_server.order_changes import OrderChanges, is_written
from order_server.order_notify import OrderNotify
from order_server.order_rows import item_rows, order_row
from order_server.orders import OrderFilter
from order_server.payment_exceptions import ExceptionFilter
from order_server.rules import Notification, PaymentKey, StatusName
from order_server.tables import Inventory, Order, OrderItem, OrderPaymentNotify, OrderStatusLog
from order_server.take_inventory import TakeInventory
from tests.support.clock import START
from tests.support.costs import costs_of
from tests.support.databases import analyzed
from tests.support.logs import Log

ORDERS, EXCEPTIONS, SKUS = 12_000, 60, 500
PAGE = 50
MOST_READ = 2_800
"""Rows that work on a page of them may read in all its statements: far fewer than a scan reads."""

DAY = timedelta(days=1)
FIRST_PAGE, LATER_PAGE = PageRequest(PAGE), PageRequest(PAGE, after=6_000)
NEW = range(ORDERS + 1, ORDERS + PAGE + 1)


def _fill(tx: Transaction) -> None:
    """Orders in the order of their times, all paid but the last page of them."""
    found = [_order(number) for number in range(1, NEW.stop)]
    for model, made in (
        (Order, found),
        (OrderItem, [_item(number) for number in range(1, NEW.stop)]),
        (OrderPaymentNotify, [_notify(number) for number in range(1, ORDERS + 1)]),
        (OrderStatusLog, [_log(number) for number in range(1, ORDERS + 1)]),
        (Inventory, [_stock(number) for number in range(SKUS)]),
    ):
        for first in range(0, len(made), 1_000):
            tx.insert(model, made[first : first + 1_000])


def _order(number: int) -> dict[str, Any]:
    is_paid = number <= ORDERS
    return {
        "order_no": f"O-{number}",
        "amount_minor": 100,
        "currency_code": "USD",
        "order_status": OrderStatus.PAID if is_paid else OrderStatus.NEW,
        "payment_status": OrderPaymentStatus.PAID if is_paid else OrderPaymentStatus.UNPAID,
        "paid_platform_id": "alipay" if is_paid else None,
        "paid_payment_code": f"P-{number}" if is_paid else None,
        "create_time": _time(number),
        "update_time": _time(number),
    }


def _item(number: int) -> dict[str, Any]:
    return {"order_no": f"O-{number}", "line": 1, "sku": f"S-{number % SKUS}", "quantity": 1, "kind": 1}


def _notify(number: int) -> dict[str, Any]:
    is_exception = number % (ORDERS // EXCEPTIONS) == 0
    return {
        "platform_id": "alipay",
        "payment_code": f"P-{number}",
        "order_no": f"O-{number}",
        "status": NotifyOutcome.SUCCESS,
        "amount_minor": 100,
        "currency_code": "USD",
        "trade_no": "",
        "disposition": Disposition.DUPLICATE_PAYMENT if is_exception else Disposition.APPLIED,
        "create_time": _time(number),
    }


def _log(number: int) -> dict[str, Any]:
    return {
        "order_no": f"O-{number}",
        "status_name": StatusName.ORDER_STATUS,
        "from_status": 1,
        "to_status": 2,
        "operator": "payment",
        "description": "paid",
        "create_time": _time(number),
    }


def _stock(number: int) -> dict[str, Any]:
    return {"sku": f"S-{number}", "on_hand": 1_000, "updated_by": "anna", "update_time": START, "reason": "count"}


def _time(number: int) -> Any:
    return START - 55 * DAY + number * timedelta(minutes=4)


def _take_down(tx: Transaction) -> None:
    """A batch of notifications: taken down, orders moved and logged, follow-ups run."""
    notifications = [
        Notification(PaymentKey("alipay", f"P-{n}"), f"O-{n}", NotifyOutcome.SUCCESS, 100, "USD", "", None) for n in NEW
    ]
    log = Log().logger
    changes = OrderChanges(FollowUps([TakeInventory()], lambda error: pytest.fail(str(error)), log))
    answers = OrderNotify(None, changes, NotifyLog(log))._take_down(tx, notifications)  # type: ignore[arg-type]
    assert {answer.disposition for answer in answers} == {Disposition.APPLIED}  # type: ignore[union-attr]


def _notifies(page: PageRequest = FIRST_PAGE, **wanted: Any) -> Callable[[Transaction], object]:
    return lambda tx: notifies._list(tx, NotifyFilter(**wanted), page)


def _orders(page: PageRequest = FIRST_PAGE, **wanted: Any) -> Callable[[Transaction], object]:
    return lambda tx: orders._list(tx, OrderFilter(**wanted), page)


KEYS = [PaymentKey("alipay", f"P-{number}") for number in range(1, PAGE + 1)]
HOT: Mapping[str, Callable[[Transaction], object]] = MappingProxyType(
    {
        "take down a batch": _take_down,
        "an order, held": lambda tx: order_row(tx, "O-77", lock=True),
        "items of orders": lambda tx: item_rows(tx, [f"O-{number}" for number in range(1, PAGE + 1)]),
        "notifications by key": lambda tx: notifies.rows_by_key(tx, KEYS),
        "notifications by key, held": lambda tx: notifies.rows_by_key(tx, KEYS, lock=True),
        "whether a change is written": lambda tx: is_written(tx, "O-77", "c" * 32),
        "list orders": _orders(),
        "list orders, a later page": _orders(LATER_PAGE),
        "list orders created in a window": _orders(created_before=START - 30 * DAY),
        "list notifications": _notifies(),
        "list notifications, a later page": _notifies(LATER_PAGE),
        "list notifications of a window, a later page": _notifies(LATER_PAGE, created_before=START - 10 * DAY),
        "list notifications of an order": _notifies(order_no="O-77"),
        "list open payment exceptions": lambda tx: payment_exceptions._list(tx, ExceptionFilter(), FIRST_PAGE),
        "changes of an order": lambda tx: oldest_first(
            tx, OrderStatusLog, OrderStatusLog.select().where(OrderStatusLog.order_no == "O-77"), FIRST_PAGE
        ),
    }
)
SORTED = {
    # Of the skus that a batch takes from, of the few of one order, and of the exceptions that are open.
    "take down a batch": PAGE,
    "list notifications of an order": 1,
    "list open payment exceptions": EXCEPTIONS,
}


@pytest.fixture
def database(order_database: Database) -> Database:
    """Only as the store's sessions plan: left to itself, PostgreSQL rightly scans tables that are as small as these."""
    order_database.transact(_fill)
    analyzed(order_database)
    return order_database


def test_no_hot_query_scans_or_sorts(database: Database) -> None:
    found = {name: costs_of(database, work) for name, work in HOT.items()}

    assert {name: costs for name, costs in found.items() if costs.read > MOST_READ} == {}
    assert {name: costs for name, costs in found.items() if costs.sorted > SORTED.get(name, 0)} == {}
    assert {name: costs for name, costs in found.items() if costs.scanned} == {}
    assert all(costs.statements for costs in found.values())


def test_a_page_without_an_index_is_seen_for_what_it_is(database: Database) -> None:
    rare = Order.select().where(Order.order_status == OrderStatus.CANCELLED)

    assert costs_of(database, lambda tx: newest_time_first(tx, Order, rare, FIRST_PAGE)).read > MOST_READ
