"""What the order side was told (SPEC 9), as reconciliation and operators read it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from paylatch.order.v1 import batch_pb2, order_payment_pb2
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    ACT,
    APPLIED,
    DUPLICATE_PAYMENT,
    FAILED,
    IGNORED,
    NEW_UNPAID,
    PAID_PAID,
    SUCCESS,
    OrderSide,
    refused,
)

NOT_FOUND, INVALID_ARGUMENT = 5, 3


def _list(side: OrderSide, **wanted: Any) -> Sequence[order_payment_pb2.OrderPaymentNotify]:
    request = pb.ListOrderPaymentNotifiesRequest(**wanted)
    return side.orders.ListOrderPaymentNotifies(request).order_payment_notifies


def _codes(side: OrderSide, **wanted: Any) -> list[str]:
    return [notify.payment_code for notify in _list(side, **wanted)]


def _get(side: OrderSide, *codes: str) -> Sequence[pb.BatchGetOrderPaymentNotifiesResult]:
    keys = [batch_pb2.PaymentKey(platform_id="alipay", payment_code=code) for code in codes]
    request = pb.BatchGetOrderPaymentNotifiesRequest(requests=keys)
    return side.orders.BatchGetOrderPaymentNotifies(request).results


def test_a_notification_is_read_as_it_came_beside_the_order_as_it_is_now(side: OrderSide) -> None:
    side.create()
    settled = Timestamp(seconds=1_700_000_000, nanos=123_456_000)
    side.notify(trade_no="T-1", settle_time=settled)
    side.orders.ProcessOrder(pb.ProcessOrderRequest(order_no="O-1", **ACT))

    (notify,) = _list(side)

    assert (notify.platform_id, notify.payment_code, notify.order_no) == ("alipay", "P-1", "O-1")
    assert (notify.outcome, notify.amount_minor, notify.currency_code) == (SUCCESS, 1_000, "USD")
    assert (notify.trade_no, notify.settle_time, notify.disposition) == ("T-1", settled, APPLIED)
    assert notify.create_time.ToDatetime() == side.clock.now().replace(tzinfo=None)
    assert (notify.order_status, notify.payment_status) == (enums.ORDER_STATUS_PROCESSING, PAID_PAID[1])
    assert notify.is_paying_key


def test_what_a_notification_had_not_is_unset(side: OrderSide) -> None:
    side.create()
    side.notify("P-1", amount=999)

    (notify,) = _list(side)

    for field in ("trade_no", "settle_time", "resolution", "resolved_by", "resolve_time", "resolve_reason"):
        assert not notify.HasField(field)
    assert not notify.is_paying_key
    assert (notify.order_status, notify.payment_status) == NEW_UNPAID


def test_keys_are_answered_in_their_order_each_on_its_own(side: OrderSide) -> None:
    side.create()
    side.notify("P-1")
    side.notify("P-2")

    results = _get(side, "P-2", "never", "", "P-1", "P-2", "p-1")

    assert [result.payment_code for result in results] == ["P-2", "never", "", "P-1", "P-2", "p-1"]
    assert [result.order_payment_notify.disposition for result in results] == [
        DUPLICATE_PAYMENT,
        0,
        0,
        APPLIED,
        DUPLICATE_PAYMENT,
        0,
    ]
    errors = [(result.error.code, result.error.reason) for result in results if result.HasField("error")]
    assert errors == [
        (NOT_FOUND, "NOTIFY_NOT_FOUND"),
        (INVALID_ARGUMENT, "INVALID_FIELDS"),
        (NOT_FOUND, "NOTIFY_NOT_FOUND"),
    ]
    assert [result.order_payment_notify.is_paying_key for result in results] == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("count", [0, 501])
def test_no_key_or_too_many_are_refused(side: OrderSide, count: int) -> None:
    keys = [batch_pb2.PaymentKey(platform_id="alipay", payment_code=f"P-{number}") for number in range(count)]
    request = pb.BatchGetOrderPaymentNotifiesRequest(requests=keys)

    assert refused(side.orders.BatchGetOrderPaymentNotifies, request).fields == ["requests"]


def test_notifications_are_filtered(side: OrderSide) -> None:
    side.create("O-1")
    side.create("O-2")
    began = side.clock.now()
    for code, order_no, outcome in (("a", "O-1", SUCCESS), ("b", "O-2", FAILED), ("c", "O-1", FAILED)):
        side.notify(code, order_no, outcome)
        side.clock.advance(timedelta(seconds=1))
    window = pb.ListOrderPaymentNotifiesRequest()
    window.created_after.FromDatetime(began + timedelta(seconds=1))
    window.created_before.FromDatetime(began + timedelta(seconds=2))

    assert _codes(side) == ["c", "b", "a"]
    assert _codes(side, order_no="O-1") == ["c", "a"]
    assert _codes(side, outcome=SUCCESS) == ["a"]
    assert _codes(side, disposition=IGNORED) == ["c"]
    found = side.orders.ListOrderPaymentNotifies(window).order_payment_notifies
    assert [notify.payment_code for notify in found] == ["b"]


def test_pages_hold_every_notification_once_though_new_ones_come(side: OrderSide) -> None:
    side.create()
    for number in range(5):
        side.notify(f"P-{number}", amount=999)
    seen, token = [], ""
    while True:
        page = side.orders.ListOrderPaymentNotifies(pb.ListOrderPaymentNotifiesRequest(page_size=2, page_token=token))
        seen += [notify.payment_code for notify in page.order_payment_notifies]
        token = page.next_page_token
        if not token:
            break
        side.notify(f"late-{len(seen)}", amount=999)

    assert seen == ["P-4", "P-3", "P-2", "P-1", "P-0"]
