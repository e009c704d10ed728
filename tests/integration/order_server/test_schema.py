"""The order database refuses nonsense by itself (SPEC 2), whatever the code above it does."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.rules.errors import Contended
from core.store.database import Database
from order_server.tables import (
    Inventory,
    Order,
    OrderFollowUp,
    OrderItem,
    OrderPaymentNotify,
    OrderStatusLog,
    Voucher,
)
from tests.support.databases import REFUSED

TIME = datetime(2026, 3, 1, tzinfo=UTC)

ORDER: dict[str, Any] = {
    "order_no": "O-1",
    "amount_minor": 1_000,
    "currency_code": "USD",
    "order_status": 1,
    "payment_status": 0,
    "paid_platform_id": None,
    "paid_payment_code": None,
    "create_time": TIME,
    "update_time": TIME,
}
PAID = {"order_status": 2, "payment_status": 2, "paid_platform_id": "alipay", "paid_payment_code": "P-1"}
NOTIFY: dict[str, Any] = {
    "platform_id": "alipay",
    "payment_code": "P-1",
    "order_no": "O-1",
    "status": 1,
    "amount_minor": 1_000,
    "currency_code": "USD",
    "trade_no": "",
    "settle_time": None,
    "disposition": 4,
    "create_time": TIME,
    "resolution": None,
    "resolved_by": None,
    "resolved_time": None,
    "resolved_reason": None,
}
RESOLVED = {"resolution": 1, "resolved_by": "alice", "resolved_time": TIME, "resolved_reason": "given back"}
FOLLOW_UP: dict[str, Any] = {
    "order_no": "O-1",
    "name": "take_inventory",
    "sku": "book",
    "wanted": 2,
    "done": 0,
    "error": "short",
    "create_time": TIME,
    "update_time": TIME,
    "resolution": None,
    "resolved_by": None,
    "resolved_time": None,
    "resolved_reason": None,
}
ITEM: dict[str, Any] = {"order_no": "O-1", "line": 1, "sku": "book", "quantity": 1, "kind": 1}
LOG: dict[str, Any] = {
    "order_no": "O-1",
    "status_name": 1,
    "from_status": 1,
    "to_status": 2,
    "operator": "alice",
    "description": "why",
    "change_id": None,
    "create_time": TIME,
}
STOCK: dict[str, Any] = {"sku": "book", "on_hand": 0, "updated_by": "alice", "update_time": TIME, "reason": "why"}
VOUCHER: dict[str, Any] = {"code": "c", "order_no": "O-1", "sku": "gift", "create_time": TIME}

SENSE = [
    (Order, ORDER),
    (Order, ORDER | PAID),
    (Order, ORDER | PAID | {"order_status": 4}),
    (Order, ORDER | {"order_status": 5, "payment_status": 3}),
    (OrderItem, ITEM),
    (OrderPaymentNotify, NOTIFY),
    (OrderPaymentNotify, NOTIFY | RESOLVED),
    (OrderPaymentNotify, NOTIFY | RESOLVED | {"resolution": 2}),
    (OrderStatusLog, LOG),
    (OrderFollowUp, FOLLOW_UP),
    (OrderFollowUp, FOLLOW_UP | RESOLVED | {"done": 2}),
    (OrderFollowUp, FOLLOW_UP | RESOLVED | {"resolution": 2}),
    (Inventory, STOCK),
    (Voucher, VOUCHER),
]
NONSENSE = [
    (Order, ORDER, {"order_no": ""}),
    (Order, ORDER, {"order_no": "o" * 65}),
    (Order, ORDER, {"amount_minor": 0}),
    (Order, ORDER, {"amount_minor": 10**15 + 1}),
    (Order, ORDER, {"order_status": 6}),
    (Order, ORDER, {"payment_status": 4}),
    (Order, ORDER, {"order_status": 2}),
    (Order, ORDER, {"payment_status": 2}),
    (Order, ORDER, PAID | {"order_status": 1}),
    (Order, ORDER, PAID | {"order_status": 5}),
    (Order, ORDER, PAID | {"paid_payment_code": None}),
    (Order, ORDER, {"paid_platform_id": "alipay", "paid_payment_code": "P-1"}),
    (OrderItem, ITEM, {"line": 101}),
    (OrderItem, ITEM, {"quantity": 0}),
    (OrderItem, ITEM, {"quantity": 1_001}),
    (OrderItem, ITEM, {"kind": 3}),
    (OrderPaymentNotify, NOTIFY, {"status": 2}),
    (OrderPaymentNotify, NOTIFY, {"disposition": 6}),
    (OrderPaymentNotify, NOTIFY, {"trade_no": "t" * 129}),
    (OrderPaymentNotify, NOTIFY, RESOLVED | {"disposition": 1}),
    (OrderPaymentNotify, NOTIFY, RESOLVED | {"resolution": 2, "disposition": 2}),
    (OrderPaymentNotify, NOTIFY, RESOLVED | {"resolved_by": None}),
    (OrderPaymentNotify, NOTIFY, RESOLVED | {"resolved_reason": None}),
    (OrderPaymentNotify, NOTIFY, RESOLVED | {"resolved_time": None}),
    (OrderStatusLog, LOG, {"status_name": 3}),
    (OrderFollowUp, FOLLOW_UP, {"wanted": 0}),
    (OrderFollowUp, FOLLOW_UP, {"done": 3}),
    (OrderFollowUp, FOLLOW_UP, {"done": -1}),
    (OrderFollowUp, FOLLOW_UP, RESOLVED),
    (OrderFollowUp, FOLLOW_UP, {"resolution": 2}),
    (Inventory, STOCK, {"on_hand": -1}),
    (Inventory, STOCK, {"on_hand": 10**12 + 1}),
]
KEYS = [
    (Order, ORDER, "order_no"),
    (OrderItem, ITEM, "line"),
    (OrderPaymentNotify, NOTIFY, "payment_code"),
    (OrderFollowUp, FOLLOW_UP, "sku"),
    (Inventory, STOCK, "sku"),
    (Voucher, VOUCHER, "code"),
]


def _numbered(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0].__name__}-{number}") for number, case in enumerate(cases)]


def _insert(database: Database, model: Any, *rows: dict[str, Any]) -> None:
    database.transact(lambda tx: tx.insert(model, rows))


@pytest.mark.parametrize(("model", "row"), _numbered(SENSE))
def test_sense_can_be_stored(order_database: Database, model: Any, row: dict[str, Any]) -> None:
    _insert(order_database, model, row)


@pytest.mark.parametrize(("model", "row", "wrong"), _numbered(NONSENSE))
def test_nonsense_can_not_be_stored(
    order_database: Database, model: Any, row: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match=REFUSED):
        _insert(order_database, model, row | wrong)


@pytest.mark.parametrize(("model", "row", "key"), _numbered(KEYS))
def test_a_key_is_stored_once_and_compared_byte_by_byte(
    order_database: Database, model: Any, row: dict[str, Any], key: str
) -> None:
    upper = row | {key: row[key].upper() if isinstance(row[key], str) else 2}
    lower = row | {key: row[key].lower() if isinstance(row[key], str) else 3}
    _insert(order_database, model, upper, lower)

    with pytest.raises(Contended):
        _insert(order_database, model, lower)
