"""Orders (SPEC 3, 4): created once, moved along by legal events only, listed, logged."""

from datetime import timedelta
from itertools import product
from typing import Any

import grpc
import pytest

from core.rules.codes import OrderPaymentStatus, OrderStatus
from core.rules.life_cycles import ORDER, ORDER_PAYMENT
from order_server.tables import Order
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    ACT,
    FAILED,
    GOODS,
    NEW_FAILED,
    NEW_PAYING,
    NEW_UNPAID,
    VOUCHER,
    OrderSide,
    item,
    refused,
)


def _act(side: OrderSide, event: str, order_no: str = "O-1") -> order_pb2.Order:
    call, request = _call(side, event)
    order: order_pb2.Order = call(request(order_no=order_no, **ACT)).order
    return order


def _call(side: OrderSide, event: str) -> Any:
    return {
        "start": (side.orders.StartPayment, pb.StartPaymentRequest),
        "process": (side.orders.ProcessOrder, pb.ProcessOrderRequest),
        "complete": (side.orders.CompleteOrder, pb.CompleteOrderRequest),
        "cancel": (side.orders.CancelOrder, pb.CancelOrderRequest),
    }[event]


def test_a_created_order_is_new_and_unpaid_and_keeps_its_lines(side: OrderSide) -> None:
    created = side.create("O-1", item("book", 2), item("gift", 1, VOUCHER), item("book", 3))

    assert (created.order_status, created.payment_status) == NEW_UNPAID
    assert [(line.sku, line.quantity, line.kind) for line in created.items] == [
        ("book", 2, GOODS),
        ("gift", 1, VOUCHER),
        ("book", 3, GOODS),
    ]
    assert created.create_time.ToDatetime() == side.clock.now().replace(tzinfo=None)
    assert created.update_time == created.create_time
    assert side.order() == created


def test_creating_again_answers_the_order_as_it_is_now(side: OrderSide) -> None:
    side.create("O-1", item("a", 1), item("b", 2))
    side.notify()

    again = side.create("O-1", item("b", 2), item("a", 1))

    assert again == side.order()
    assert again.order_status == enums.ORDER_STATUS_PAID
    assert side.sql("SELECT count(*) FROM order_item") == [(2,)]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"amount_minor": 999}, "amount_minor is 1000, not 999"),
        ({"currency_code": "EUR"}, "currency_code is USD, not EUR"),
        ({"items": []}, "the items are others"),
        ({"items": [item("a", 2)]}, "the items are others"),
        ({"items": [item("a", 1, VOUCHER)]}, "the items are others"),
        ({"items": [item("a", 1), item("a", 1)]}, "the items are others"),
    ],
)
def test_creating_again_with_other_content_is_refused(side: OrderSide, other: dict[str, Any], difference: str) -> None:
    before = side.create("O-1", item("a", 1))
    content: dict[str, Any] = {"amount_minor": 1_000, "currency_code": "USD", "items": [item("a", 1)]}

    refusal = refused(side.orders.CreateOrder, pb.CreateOrderRequest(order_no="O-1", **(content | other)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ORDER_DIFFERS")
    assert difference in refusal.message
    assert side.order() == before


def test_creating_the_same_order_many_times_at_once_makes_one(side: OrderSide) -> None:
    request = pb.CreateOrderRequest(order_no="O-1", amount_minor=5, currency_code="JPY", items=[item("a", 1)])

    calls = [side.orders.CreateOrder.future(request) for _ in range(50)]

    assert len({call.result().order.SerializeToString() for call in calls}) == 1
    assert side.sql('SELECT count(*) FROM "order"') == [(1,)]


def test_an_order_goes_from_new_over_paid_to_completed_and_every_change_is_logged(side: OrderSide) -> None:
    side.create()
    _act(side, "start")
    side.notify()
    _act(side, "process")
    side.clock.advance(timedelta(minutes=1))
    done = _act(side, "complete")

    assert done.order_status == enums.ORDER_STATUS_COMPLETED
    assert done.update_time.ToDatetime() == side.clock.now().replace(tzinfo=None)
    log = side.status_log()
    assert [(change.WhichOneof("change"), change.operator) for change in log] == [
        ("payment_status", "alice"),
        ("order_status", "paylatch"),
        ("payment_status", "paylatch"),
        ("order_status", "alice"),
        ("order_status", "alice"),
    ]
    assert (log[-1].order_status.from_status, log[-1].order_status.to_status) == (3, 4)
    assert log[-1].description == ACT["description"]
    changed = [(line["order_status"], line["payment_status"]) for line in side.events("order.changed")]
    assert changed == [("NEW", "PAYING"), ("PROCESSING", "PAID"), ("COMPLETED", "PAID")]


def test_a_failed_payment_may_be_started_again(side: OrderSide) -> None:
    side.create()
    side.notify(outcome=FAILED)
    assert side.statuses() == NEW_FAILED

    started = _act(side, "start")

    assert (started.order_status, started.payment_status) == NEW_PAYING


def _put(side: OrderSide, order_status: OrderStatus, payment_status: OrderPaymentStatus) -> None:
    is_paid = payment_status is OrderPaymentStatus.PAID
    row = {
        "order_no": "O-1",
        "amount_minor": 1_000,
        "currency_code": "USD",
        "order_status": order_status,
        "payment_status": payment_status,
        "paid_platform_id": "alipay" if is_paid else None,
        "paid_payment_code": "P-1" if is_paid else None,
        "create_time": side.clock.now(),
        "update_time": side.clock.now(),
    }
    side.database.transact(lambda tx: tx.insert(Order, [row]))


POSSIBLE = [
    (order_status, payment_status)
    for order_status, payment_status in product(OrderStatus, OrderPaymentStatus)
    if (order_status in (OrderStatus.PAID, OrderStatus.PROCESSING, OrderStatus.COMPLETED))
    == (payment_status is OrderPaymentStatus.PAID)
]


def _is_legal(event: str, order_status: OrderStatus, payment_status: OrderPaymentStatus) -> bool:
    if event == "start":
        return order_status is OrderStatus.NEW and ORDER_PAYMENT.allows(payment_status, event)
    return ORDER.allows(order_status, event)


@pytest.mark.parametrize("event", ["start", "process", "complete", "cancel"])
@pytest.mark.parametrize(("order_status", "payment_status"), POSSIBLE)
def test_an_event_is_done_where_it_is_legal_and_refused_with_the_legal_ones_elsewhere(
    side: OrderSide, order_status: OrderStatus, payment_status: OrderPaymentStatus, event: str
) -> None:
    _put(side, order_status, payment_status)

    if _is_legal(event, order_status, payment_status):
        _act(side, event)
        assert len(side.status_log()) == 1
        return
    call, request = _call(side, event)
    refusal = refused(call, request(order_no="O-1", **ACT))

    is_cancelled = order_status is OrderStatus.CANCELLED
    refuses, current = (
        (ORDER_PAYMENT, payment_status) if event == "start" and not is_cancelled else (ORDER, order_status)
    )
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == ("ORDER_NOT_NEW" if event == "start" and is_cancelled else "ILLEGAL_EVENT")
    assert refusal.metadata["current_status"] == current.name
    assert refusal.metadata["legal_events"] == ",".join(refuses.legal_events(current))
    assert [(precondition.type, precondition.subject) for precondition in refusal.preconditions] == [
        ("LIFE_CYCLE", refuses.name)
    ]
    assert not side.status_log()


@pytest.mark.parametrize("event", ["start", "process", "complete", "cancel"])
def test_an_event_of_an_unknown_order_is_not_found(side: OrderSide, event: str) -> None:
    call, request = _call(side, event)

    refusal = refused(call, request(order_no="O-9", **ACT))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    assert refusal.metadata == {"order_no": "O-9"}


def test_cancel_and_pay_at_once_end_in_one_or_the_other(side: OrderSide) -> None:
    for number in range(20):
        side.create(f"O-{number}")

    cancels = [
        side.orders.CancelOrder.future(pb.CancelOrderRequest(order_no=f"O-{number}", **ACT)) for number in range(20)
    ]
    answers = [side.notify(f"P-{number}", f"O-{number}") for number in range(20)]

    for number, (cancel, answer) in enumerate(zip(cancels, answers, strict=True)):
        if cancel.exception() is None:
            assert answer.disposition == enums.DISPOSITION_ORDER_CANCELLED
            assert side.order(f"O-{number}").order_status == enums.ORDER_STATUS_CANCELLED
        else:
            assert answer.disposition == enums.DISPOSITION_APPLIED
            assert side.order(f"O-{number}").order_status == enums.ORDER_STATUS_PAID


def _pages(side: OrderSide, size: int, **wanted: Any) -> list[list[str]]:
    pages, token = [], ""
    while True:
        page = side.orders.ListOrders(pb.ListOrdersRequest(page_size=size, page_token=token, **wanted))
        pages.append([order.order_no for order in page.orders])
        token = page.next_page_token
        if not token:
            return pages


def test_orders_are_listed_newest_first_page_by_page_each_once(side: OrderSide) -> None:
    for number in range(7):
        side.create(f"O-{number}", item("a", 1))
        if number % 3 == 2:
            side.clock.advance(timedelta(seconds=1))

    assert _pages(side, 3) == [["O-6", "O-5", "O-4"], ["O-3", "O-2", "O-1"], ["O-0"]]
    assert _pages(side, 7) == [[f"O-{number}" for number in reversed(range(7))]]
    assert side.orders.ListOrders(pb.ListOrdersRequest()).orders[0].items == [item("a", 1)]


def test_an_order_created_while_paging_does_not_move_the_rest(side: OrderSide) -> None:
    for number in range(4):
        side.create(f"O-{number}")
    first = side.orders.ListOrders(pb.ListOrdersRequest(page_size=2))
    side.create("late")

    rest = side.orders.ListOrders(pb.ListOrdersRequest(page_size=2, page_token=first.next_page_token))

    assert [order.order_no for order in rest.orders] == ["O-1", "O-0"]


def test_orders_are_listed_by_status_and_by_a_window_of_time(side: OrderSide) -> None:
    began = side.clock.now()
    for number in range(4):
        side.create(f"O-{number}")
        side.clock.advance(timedelta(seconds=1))
    side.notify("P-1", "O-1")
    side.notify("P-2", "O-2", FAILED)
    request = pb.ListOrdersRequest()
    request.created_after.FromDatetime(began + timedelta(seconds=1))
    request.created_before.FromDatetime(began + timedelta(seconds=3))

    assert _pages(side, 10, order_status=enums.ORDER_STATUS_PAID) == [["O-1"]]
    assert _pages(side, 10, payment_status=enums.ORDER_PAYMENT_STATUS_FAILED) == [["O-2"]]
    assert _pages(side, 10, payment_status=enums.ORDER_PAYMENT_STATUS_UNPAID) == [["O-3", "O-0"]]
    assert [order.order_no for order in side.orders.ListOrders(request).orders] == ["O-2", "O-1"]


def test_a_page_token_is_good_for_the_filters_it_was_given_for_only(side: OrderSide) -> None:
    for number in range(3):
        side.create(f"O-{number}")
    token = side.orders.ListOrders(pb.ListOrdersRequest(page_size=1)).next_page_token

    for request in (
        pb.ListOrdersRequest(page_token=token, order_status=enums.ORDER_STATUS_NEW),
        pb.ListOrdersRequest(page_token=token[:-2]),
        pb.ListOrdersRequest(page_token="ü"),
    ):
        assert refused(side.orders.ListOrders, request).fields == ["page_token"]


def test_a_status_log_is_paged_oldest_first(side: OrderSide) -> None:
    side.create()
    _act(side, "start")
    side.notify()
    first = side.orders.ListOrderStatusLogs(pb.ListOrderStatusLogsRequest(order_no="O-1", page_size=2))
    second = side.orders.ListOrderStatusLogs(
        pb.ListOrderStatusLogsRequest(order_no="O-1", page_size=2, page_token=first.next_page_token)
    )

    assert [*first.order_status_logs, *second.order_status_logs] == list(side.status_log())
    assert len(second.order_status_logs) == 1
    assert second.next_page_token == ""
