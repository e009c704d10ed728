"""Bad input of every kind (SPEC 2, 9): all wrong fields are named at once, and nothing is changed."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from core.rules.limits import MAX_AMOUNT_MINOR
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_notify_service_pb2 as notify_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import ACT, DECISION, VOUCHER, OrderSide, item, notification, refused

pytestmark = pytest.mark.any_backend

BAD_KEYS = ["", "k" * 65, "a b", " a", "a\x00b", "a\tb", "订单", "é", "a\u2028", "\x7f"]
BAD_AMOUNTS = [0, -1, MAX_AMOUNT_MINOR + 1, 2**63 - 1, -(2**63)]
BAD_CURRENCIES = ["", "ABC", "usd", "US", "USDX", "U\x00D", "元"]
BAD_WORDS = ["", " ", "x" * 513, "a\x00b", "a\nb"]


def _wrong(call: Any, request: Any) -> Any:
    refusal = refused(call, request)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    return refusal.fields


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("field", ["platform_id", "payment_code", "order_no"])
def test_a_key_must_be_1_to_64_printable_ascii_without_blanks(side: OrderSide, field: str, key: str) -> None:
    request = notification()
    setattr(request, field, key)

    assert _wrong(side.notifies.OrderNotify, request) == [field]
    assert not side.sql("SELECT * FROM order_payment_notify")


@pytest.mark.parametrize("key", ["k", "k" * 64, "!~#$%&'()*+,-./:;<=>?@[]^_`{|}", '";DROP/**/TABLE/**/voucher;--'])
def test_any_printable_ascii_is_a_key(side: OrderSide, key: str) -> None:
    side.create(key, item(key, 1, VOUCHER))

    assert side.notify(key, key, platform_id=key).disposition == enums.DISPOSITION_APPLIED
    assert side.vouchers(key)[0].sku == key


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_an_amount_must_be_1_to_10_to_the_15(side: OrderSide, amount: int) -> None:
    order = pb.CreateOrderRequest(order_no="O-1", amount_minor=amount, currency_code="USD")

    assert _wrong(side.orders.CreateOrder, order) == ["amount_minor"]
    assert _wrong(side.notifies.OrderNotify, notification(amount=amount)) == ["amount_minor"]


@pytest.mark.parametrize("amount", [1, MAX_AMOUNT_MINOR])
def test_the_smallest_and_the_largest_amount_can_be_paid(side: OrderSide, amount: int) -> None:
    side.create("O-1", amount=amount)

    assert side.notify(amount=amount).disposition == enums.DISPOSITION_APPLIED
    assert side.order().amount_minor == amount


@pytest.mark.parametrize("currency", BAD_CURRENCIES)
def test_a_currency_must_be_of_iso_4217(side: OrderSide, currency: str) -> None:
    order = pb.CreateOrderRequest(order_no="O-1", amount_minor=1, currency_code=currency)

    assert _wrong(side.orders.CreateOrder, order) == ["currency_code"]
    assert _wrong(side.notifies.OrderNotify, notification(currency=currency)) == ["currency_code"]


@pytest.mark.parametrize("trade_no", ["T" * 129, "a\x00b", "\x1b[31m"])
def test_a_trade_no_must_be_up_to_128_characters_without_control_characters(side: OrderSide, trade_no: str) -> None:
    assert _wrong(side.notifies.OrderNotify, notification(trade_no=trade_no)) == ["trade_no"]


@pytest.mark.parametrize("trade_no", ["", "T" * 128, "交易 42"])
def test_a_trade_no_may_be_empty_long_and_of_any_script(side: OrderSide, trade_no: str) -> None:
    side.create()

    assert side.notify(trade_no=trade_no).disposition == enums.DISPOSITION_APPLIED


@pytest.mark.parametrize(("seconds", "nanos"), [(-1, 0), (0, -1), (0, 10**9), (253_402_300_800, 0)])
def test_a_settle_time_must_be_a_time(side: OrderSide, seconds: int, nanos: int) -> None:
    time = Timestamp(seconds=seconds, nanos=nanos)

    assert _wrong(side.notifies.OrderNotify, notification(settle_time=time)) == ["settle_time"]


@pytest.mark.parametrize("outcome", [0, 2, 99])
def test_an_outcome_must_be_known(side: OrderSide, outcome: int) -> None:
    assert _wrong(side.notifies.OrderNotify, notification(outcome=outcome)) == ["outcome"]


def test_all_wrong_fields_of_a_notification_are_named_at_once(side: OrderSide) -> None:
    request = notify_pb2.OrderNotifyRequest(trade_no="\x00", settle_time=Timestamp(seconds=-1))

    assert sorted(_wrong(side.notifies.OrderNotify, request)) == [
        "amount_minor",
        "currency_code",
        "order_no",
        "outcome",
        "payment_code",
        "platform_id",
        "settle_time",
        "trade_no",
    ]


def test_all_wrong_fields_of_an_order_are_named_at_once_with_their_place(side: OrderSide) -> None:
    items = [item("a", 1), item("", 0), item("b c", 1_001), item("d", 1, 0), item("e", -1, 7)]

    assert _wrong(side.orders.CreateOrder, pb.CreateOrderRequest(items=items)) == [
        "order_no",
        "amount_minor",
        "currency_code",
        "items[1].sku",
        "items[1].quantity",
        "items[2].sku",
        "items[2].quantity",
        "items[3].kind",
        "items[4].quantity",
        "items[4].kind",
    ]


def test_an_order_has_at_most_100_items(side: OrderSide) -> None:
    items = [item(f"sku-{number}", 1_000) for number in range(101)]
    request = pb.CreateOrderRequest(order_no="O-1", amount_minor=1, currency_code="USD", items=items)

    assert _wrong(side.orders.CreateOrder, request) == ["items"]
    assert len(side.create("O-1", *items[:100], amount=1).items) == 100


ACTS = ["StartPayment", "ProcessOrder", "CompleteOrder", "CancelOrder"]


@pytest.mark.parametrize("name", ACTS)
def test_who_moves_an_order_says_which_who_and_why(side: OrderSide, name: str) -> None:
    request = getattr(pb, f"{name}Request")

    assert _wrong(getattr(side.orders, name), request()) == ["order_no", "operator", "description"]


@pytest.mark.parametrize("words", BAD_WORDS)
def test_reasons_and_descriptions_are_1_to_512_characters(side: OrderSide, words: str) -> None:
    side.create()
    cancel = pb.CancelOrderRequest(order_no="O-1", **(ACT | {"description": words}))
    stock = pb.SetInventoryRequest(sku="a", on_hand=1, **(DECISION | {"reason": words}))

    assert _wrong(side.orders.CancelOrder, cancel) == ["description"]
    assert _wrong(side.orders.SetInventory, stock) == ["reason"]
    assert side.order().order_status == enums.ORDER_STATUS_NEW


@pytest.mark.parametrize("operator", ["", " ", "o" * 65, "a\x00"])
def test_an_operator_is_1_to_64_characters(side: OrderSide, operator: str) -> None:
    request = pb.CancelOrderRequest(order_no="O-1", **(ACT | {"operator": operator}))

    assert _wrong(side.orders.CancelOrder, request) == ["operator"]


@pytest.mark.parametrize("on_hand", [-1, 10**12 + 1, 2**63 - 1])
def test_stock_is_0_to_10_to_the_12(side: OrderSide, on_hand: int) -> None:
    request = pb.SetInventoryRequest(sku="a", on_hand=on_hand, **DECISION)

    assert _wrong(side.orders.SetInventory, request) == ["on_hand"]


@pytest.mark.parametrize(
    ("name", "request_type", "fields"),
    [
        ("CreateOrder", pb.CreateOrderRequest, ["order_no", "amount_minor", "currency_code"]),
        ("GetOrder", pb.GetOrderRequest, ["order_no"]),
        ("ListOrderStatusLogs", pb.ListOrderStatusLogsRequest, ["order_no"]),
        ("ListVouchers", pb.ListVouchersRequest, ["order_no"]),
        (
            "ResolvePaymentException",
            pb.ResolvePaymentExceptionRequest,
            ["platform_id", "payment_code", "resolution", "operator", "reason"],
        ),
        ("RetryOrderFollowUp", pb.RetryOrderFollowUpRequest, ["order_no", "name", "sku", "operator", "reason"]),
        ("ResolveOrderFollowUp", pb.ResolveOrderFollowUpRequest, ["order_no", "name", "sku", "operator", "reason"]),
        ("SetInventory", pb.SetInventoryRequest, ["sku", "operator", "reason"]),
        ("GetInventory", pb.GetInventoryRequest, ["sku"]),
        ("BatchGetOrderPaymentNotifies", pb.BatchGetOrderPaymentNotifiesRequest, ["requests"]),
    ],
)
def test_an_empty_request_is_told_all_it_lacks(side: OrderSide, name: str, request_type: Any, fields: Any) -> None:
    assert _wrong(getattr(side.orders, name), request_type()) == fields


LISTS: dict[str, Any] = {
    "ListOrders": pb.ListOrdersRequest(),
    "ListOrderStatusLogs": pb.ListOrderStatusLogsRequest(order_no="O-1"),
    "ListPaymentExceptions": pb.ListPaymentExceptionsRequest(),
    "ListOrderPaymentNotifies": pb.ListOrderPaymentNotifiesRequest(),
    "ListOrderFollowUps": pb.ListOrderFollowUpsRequest(),
    "ListVouchers": pb.ListVouchersRequest(order_no="O-1"),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [-1, 1_001, 2**31 - 1])
def test_a_page_is_at_most_1000_rows_of_its_own_list(side: OrderSide, name: str, size: int) -> None:
    request = type(LISTS[name])()
    request.CopyFrom(LISTS[name])
    request.page_size, request.page_token = size, "forged"

    assert set(_wrong(getattr(side.orders, name), request)) == {"page_size", "page_token"}


def test_filters_must_be_known_values_keys_and_times(side: OrderSide) -> None:
    orders: Any = {"order_status": 99, "payment_status": -1, "created_after": Timestamp(nanos=-1)}
    notifies: Any = {"order_no": "a b", "outcome": 2, "disposition": 6, "created_before": Timestamp(seconds=-1)}

    assert _wrong(side.orders.ListOrders, pb.ListOrdersRequest(**orders)) == sorted(orders, key=list(orders).index)
    assert _wrong(side.orders.ListOrderPaymentNotifies, pb.ListOrderPaymentNotifiesRequest(**notifies)) == list(
        notifies
    )
    assert _wrong(side.orders.ListOrderFollowUps, pb.ListOrderFollowUpsRequest(name=" ")) == ["name"]


def test_an_unknown_order_is_not_found_wherever_one_is_named(side: OrderSide) -> None:
    for call, request in (
        (side.orders.GetOrder, pb.GetOrderRequest(order_no="O-9")),
        (side.orders.ListOrderStatusLogs, pb.ListOrderStatusLogsRequest(order_no="O-9")),
        (side.orders.ListVouchers, pb.ListVouchersRequest(order_no="O-9")),
    ):
        refusal = refused(call, request)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
