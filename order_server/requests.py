"""From request messages to commands. Owns which fields are checked how; all that is wrong is named at once (SPEC 9)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from core.rpc import translate
from core.rules.limits import MAX_BATCH, MAX_ITEMS, Checker
from core.store.paging import PageRequest
from order_server import enums
from order_server.notifies import NotifyFilter
from order_server.order_follow_ups import FollowUpAct, FollowUpFilter, FollowUpKey
from order_server.order_rows import Item
from order_server.orders import NewOrder, OrderAct, OrderFilter
from order_server.payment_exceptions import ExceptionFilter, Resolve
from order_server.rules import Notification, PaymentKey
from order_server.stock import SetStock
from order_server.tables import MAX_ON_HAND
from paylatch.order.v1 import batch_pb2, order_pb2
from paylatch.order.v1 import order_notify_service_pb2 as notify_pb2
from paylatch.order.v1 import order_service_pb2 as pb


class _Act(Protocol):
    """What every request has by which a person moves an order along."""

    order_no: str
    operator: str
    description: str


class _FollowUpAct(Protocol):
    """What both requests have by which a person deals with a follow-up."""

    order_no: str
    name: str
    sku: str
    operator: str
    reason: str
    validate_only: bool


def read_notification(request: notify_pb2.OrderNotifyRequest) -> Notification:
    """A notification; InvalidInput names every wrong field."""
    checker = Checker()
    _read_key(checker, request)
    checker.key("order_no", request.order_no)
    checker.amount("amount_minor", request.amount_minor)
    checker.currency("currency_code", request.currency_code)
    checker.trade_no("trade_no", request.trade_no)
    outcome = enums.OUTCOME.read(checker, "outcome", request.outcome)
    settle_time = _read_optional_time(checker, "settle_time", request)
    checker.finish()
    return Notification(
        key=PaymentKey(request.platform_id, request.payment_code),
        order_no=request.order_no,
        outcome=outcome,
        amount_minor=request.amount_minor,
        currency_code=request.currency_code,
        trade_no=request.trade_no,
        settle_time=settle_time,
    )


def check_batch(requests: Sequence[Any]) -> None:
    """InvalidInput unless there are 1 to 500 of them."""
    checker = Checker()
    checker.require(1 <= len(requests) <= MAX_BATCH, "requests", f"has {len(requests)}, must have 1 to {MAX_BATCH}")
    checker.finish()


def read_payment_key(request: batch_pb2.PaymentKey) -> PaymentKey:
    """A key; InvalidInput names every wrong field."""
    checker = Checker()
    _read_key(checker, request)
    checker.finish()
    return PaymentKey(request.platform_id, request.payment_code)


def read_new_order(request: pb.CreateOrderRequest) -> NewOrder:
    """An order to create."""
    checker = Checker()
    checker.key("order_no", request.order_no)
    checker.amount("amount_minor", request.amount_minor)
    checker.currency("currency_code", request.currency_code)
    count = len(request.items)
    checker.require(count <= MAX_ITEMS, "items", f"has {count}, must have at most {MAX_ITEMS}")
    items = [_read_item(checker, f"items[{place}]", item) for place, item in enumerate(request.items[:MAX_ITEMS])]
    checker.finish()
    return NewOrder(request.order_no, request.amount_minor, request.currency_code, items)


def _read_item(checker: Checker, field: str, item: order_pb2.OrderItem) -> Item:
    checker.key(f"{field}.sku", item.sku)
    checker.quantity(f"{field}.quantity", item.quantity)
    return Item(item.sku, item.quantity, enums.ITEM_KIND.read(checker, f"{field}.kind", item.kind))


def read_order_no(request: pb.GetOrderRequest) -> str:
    """The number of an order."""
    checker = Checker()
    checker.key("order_no", request.order_no)
    checker.finish()
    return request.order_no


def read_order_act(request: _Act) -> OrderAct:
    """Something a person does to an order."""
    checker = Checker()
    checker.key("order_no", request.order_no)
    checker.operator("operator", request.operator)
    checker.text("description", request.description)
    checker.finish()
    return OrderAct(request.order_no, request.operator, request.description)


def read_order_list(request: pb.ListOrdersRequest) -> tuple[OrderFilter, translate.Page]:
    """Which orders, and which page of them."""
    checker = Checker()
    page = translate.read_page(checker, request, int)
    wanted = OrderFilter(
        order_status=enums.ORDER_STATUS.read_filter(checker, "order_status", request.order_status),
        payment_status=enums.ORDER_PAYMENT_STATUS.read_filter(checker, "payment_status", request.payment_status),
        created_after=_read_optional_time(checker, "created_after", request),
        created_before=_read_optional_time(checker, "created_before", request),
    )
    checker.finish()
    return wanted, page


def read_list_of_order(
    request: pb.ListOrderStatusLogsRequest | pb.ListVouchersRequest,
) -> tuple[str, translate.Page]:
    """Of which order, and which page."""
    checker = Checker()
    page = translate.read_page(checker, request, int)
    checker.key("order_no", request.order_no)
    checker.finish()
    return request.order_no, page


def read_exception_list(request: pb.ListPaymentExceptionsRequest) -> tuple[ExceptionFilter, translate.Page]:
    """Which payment exceptions, and which page of them."""
    checker = Checker()
    page = translate.read_page(checker, request, int)
    wanted = ExceptionFilter(
        disposition=enums.EXCEPTION.read_filter(checker, "disposition", request.disposition),
        order_no=_read_optional_key(checker, "order_no", request.order_no),
        include_resolved=request.include_resolved,
    )
    checker.finish()
    return wanted, page


def read_resolve(request: pb.ResolvePaymentExceptionRequest) -> Resolve:
    """How a person closes a payment exception."""
    checker = Checker()
    _read_key(checker, request)
    resolution = enums.EXCEPTION_RESOLUTION.read(checker, "resolution", request.resolution)
    checker.operator("operator", request.operator)
    checker.text("reason", request.reason)
    checker.finish()
    key = PaymentKey(request.platform_id, request.payment_code)
    return Resolve(key, resolution, request.operator, request.reason, request.validate_only)


def read_notify_list(request: pb.ListOrderPaymentNotifiesRequest) -> tuple[NotifyFilter, translate.Page]:
    """Which notifications, and which page of them."""
    checker = Checker()
    page = translate.read_page(checker, request, int)
    wanted = NotifyFilter(
        order_no=_read_optional_key(checker, "order_no", request.order_no),
        outcome=enums.OUTCOME.read_filter(checker, "outcome", request.outcome),
        disposition=enums.DISPOSITION.read_filter(checker, "disposition", request.disposition),
        created_after=_read_optional_time(checker, "created_after", request),
        created_before=_read_optional_time(checker, "created_before", request),
    )
    checker.finish()
    return wanted, page


def read_follow_up_list(request: pb.ListOrderFollowUpsRequest) -> tuple[FollowUpFilter, translate.Page]:
    """Which follow-ups, and which page of them."""
    checker = Checker()
    page = translate.read_page(checker, request, int)
    wanted = FollowUpFilter(
        order_no=_read_optional_key(checker, "order_no", request.order_no),
        name=_read_optional_key(checker, "name", request.name),
        include_resolved=request.include_resolved,
    )
    checker.finish()
    return wanted, page


def read_follow_up_act(request: _FollowUpAct) -> FollowUpAct:
    """How a person deals with a follow-up."""
    checker = Checker()
    checker.key("order_no", request.order_no)
    checker.key("name", request.name)
    checker.key("sku", request.sku)
    checker.operator("operator", request.operator)
    checker.text("reason", request.reason)
    checker.finish()
    key = FollowUpKey(request.order_no, request.name, request.sku)
    return FollowUpAct(key, request.operator, request.reason, request.validate_only)


def read_set_stock(request: pb.SetInventoryRequest) -> SetStock:
    """The stock of a sku to set."""
    checker = Checker()
    checker.key("sku", request.sku)
    checker.number("on_hand", request.on_hand, 0, MAX_ON_HAND)
    checker.operator("operator", request.operator)
    checker.text("reason", request.reason)
    checker.finish()
    return SetStock(request.sku, request.on_hand, request.operator, request.reason)


def read_sku(request: pb.GetInventoryRequest) -> str:
    """A sku."""
    checker = Checker()
    checker.key("sku", request.sku)
    checker.finish()
    return request.sku


def page_request(page: translate.Page) -> PageRequest:
    """The page as the use cases know it: rows are sorted by one id."""
    return PageRequest(page.size, int(page.after[0]) if page.after else None)


def next_page_token(page: translate.Page, last: int | None) -> str:
    """The token of the page after the one that ends with the row `last`; empty if there is none."""
    return "" if last is None else page.token_after((last,))


class _Keyed(Protocol):
    platform_id: str
    payment_code: str


def _read_key(checker: Checker, request: _Keyed) -> None:
    checker.key("platform_id", request.platform_id)
    checker.key("payment_code", request.payment_code)


def _read_optional_key(checker: Checker, field: str, value: str) -> str | None:
    if value:
        checker.key(field, value)
    return value or None


def _read_optional_time(checker: Checker, field: str, request: Any) -> datetime | None:
    if not request.HasField(field):
        return None
    timestamp: Timestamp = getattr(request, field)
    return translate.read_time(checker, field, timestamp)
