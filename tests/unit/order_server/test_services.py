"""The servicers alone, over grpcio-testing's server: they translate, whatever the use cases behind them say."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc_testing
import pytest
import structlog

from core.rules.codes import Disposition, ItemKind, NotifyOutcome, OrderPaymentStatus, OrderStatus
from core.rules.errors import NotFound
from core.store.paging import Page, PageRequest
from order_server.ledger import Notified
from order_server.order_notify_service import OrderNotifyService
from order_server.order_rows import Item, OrderView
from order_server.order_service import OrderService
from order_server.orders import NewOrder, OrderFilter
from order_server.rules import Notification, PaymentKey
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_notify_service_pb2 as notify_pb2
from paylatch.order.v1 import order_pb2
from paylatch.order.v1 import order_service_pb2 as pb

TIME = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NOTIFIED = Notified(Disposition.APPLIED, True, OrderStatus.PAID, OrderPaymentStatus.PAID)
VIEW = OrderView(
    order_no="O-1",
    amount_minor=1_000,
    currency_code="USD",
    items=[Item("book", 2, ItemKind.GOODS)],
    order_status=OrderStatus.PAID,
    payment_status=OrderPaymentStatus.PAID,
    paid_by=PaymentKey("alipay", "P-1"),
    create_time=TIME,
    update_time=TIME,
)


class Notifies:
    """Stands in for the use case: remembers what came, answers what it is told."""

    def __init__(self, *answers: Notified | Exception) -> None:
        self.answers = answers
        self.came: list[Notification] = []

    def notify(self, notifications: Sequence[Notification]) -> list[Notified | Exception]:
        self.came += notifications
        return list(self.answers)


class Orders:
    """Stands in for the use cases on orders."""

    def __init__(self) -> None:
        self.came: list[Any] = []

    def create(self, new: NewOrder) -> OrderView:
        self.came.append(new)
        return VIEW

    def find(self, wanted: OrderFilter, page: PageRequest) -> Page[OrderView]:
        self.came.append((wanted, page))
        return Page([VIEW], 42)


def _log() -> Any:
    return structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])


def _call(service: Any, servicer: Any, method: str, request: Any) -> Any:
    """The response and the code of one unary call, without a socket."""
    server = grpc_testing.server_from_dictionary({service: servicer}, grpc_testing.strict_real_time())
    call = server.invoke_unary_unary(service.methods_by_name[method], (), request, None)
    response, _, code, _ = call.termination()
    return response, code


def _notify(use_case: Notifies, method: str, request: Any) -> Any:
    service = notify_pb2.DESCRIPTOR.services_by_name["OrderNotifyService"]
    servicer: Any = OrderNotifyService(use_case, _log())  # type: ignore[arg-type]  # a fake of the same shape
    return _call(service, servicer, method, request)


def _order(use_case: Orders, method: str, request: Any) -> Any:
    service = pb.DESCRIPTOR.services_by_name["OrderService"]
    not_called: Any = None
    orders: Any = use_case
    servicer = OrderService(orders, not_called, not_called, not_called, not_called, _log())
    return _call(service, servicer, method, request)


def _request(code: str = "P-1") -> notify_pb2.OrderNotifyRequest:
    request = notify_pb2.OrderNotifyRequest(
        platform_id="alipay",
        payment_code=code,
        order_no="O-1",
        outcome=enums.PAYMENT_OUTCOME_FAILED,
        amount_minor=1_000,
        currency_code="USD",
        trade_no="T-1",
    )
    request.settle_time.FromDatetime(TIME)
    return request


def test_a_notification_reaches_the_use_case_whole_and_its_answer_the_caller() -> None:
    use_case = Notifies(NOTIFIED)

    response, code = _notify(use_case, "OrderNotify", _request())

    assert code is grpc.StatusCode.OK
    assert use_case.came == [
        Notification(PaymentKey("alipay", "P-1"), "O-1", NotifyOutcome.FAILED, 1_000, "USD", "T-1", TIME)
    ]
    assert response == notify_pb2.OrderNotifyResponse(
        disposition=enums.DISPOSITION_APPLIED,
        is_repeated=True,
        order_status=enums.ORDER_STATUS_PAID,
        payment_status=enums.ORDER_PAYMENT_STATUS_PAID,
    )


def test_a_time_that_was_not_given_is_none() -> None:
    use_case, request = Notifies(NOTIFIED), _request()
    request.ClearField("settle_time")

    _notify(use_case, "OrderNotify", request)

    assert use_case.came[0].settle_time is None


def test_answers_of_a_batch_stay_with_their_items_around_invalid_ones() -> None:
    missing = NotFound("there is no order O-1", reason="ORDER_NOT_FOUND")
    use_case = Notifies(NOTIFIED, missing)
    requests = [_request("bad key"), _request("P-1"), _request(""), _request("P-2")]

    response, _ = _notify(use_case, "BatchOrderNotify", notify_pb2.BatchOrderNotifyRequest(requests=requests))

    assert [notification.key.payment_code for notification in use_case.came] == ["P-1", "P-2"]
    assert [(result.payment_code, result.error.reason) for result in response.results] == [
        ("bad key", "INVALID_FIELDS"),
        ("P-1", ""),
        ("", "INVALID_FIELDS"),
        ("P-2", "ORDER_NOT_FOUND"),
    ]


def test_a_crashed_item_tells_an_id_and_no_word_of_the_error() -> None:
    request = notify_pb2.BatchOrderNotifyRequest(requests=[_request()])

    response, code = _notify(Notifies(ValueError("password is hunter2")), "BatchOrderNotify", request)

    assert code is grpc.StatusCode.OK
    error = response.results[0].error
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL.value[0], "INTERNAL")
    assert "hunter2" not in error.message


def test_an_order_reaches_the_use_case_whole_and_comes_back_whole() -> None:
    use_case = Orders()
    line = order_pb2.OrderItem(sku="book", quantity=2, kind=enums.ITEM_KIND_GOODS)
    request = pb.CreateOrderRequest(order_no="O-1", amount_minor=1_000, currency_code="USD", items=[line])

    response, _ = _order(use_case, "CreateOrder", request)

    assert use_case.came == [NewOrder("O-1", 1_000, "USD", [Item("book", 2, ItemKind.GOODS)])]
    order = response.order
    assert (order.order_no, order.amount_minor, order.currency_code, list(order.items)) == ("O-1", 1_000, "USD", [line])
    assert (order.order_status, order.payment_status) == (enums.ORDER_STATUS_PAID, enums.ORDER_PAYMENT_STATUS_PAID)
    assert (order.paid_platform_id, order.paid_payment_code) == ("alipay", "P-1")
    assert order.create_time.ToDatetime(UTC) == order.update_time.ToDatetime(UTC) == TIME


def test_a_list_is_asked_with_its_filters_and_goes_on_where_the_page_ended() -> None:
    use_case = Orders()
    wanted = {"order_status": enums.ORDER_STATUS_PAID, "payment_status": enums.ORDER_PAYMENT_STATUS_UNPAID}
    first, _ = _order(use_case, "ListOrders", pb.ListOrdersRequest(page_size=7, **wanted))  # type: ignore[arg-type]
    again = pb.ListOrdersRequest(page_token=first.next_page_token, **wanted)  # type: ignore[arg-type]

    _order(use_case, "ListOrders", again)

    filters = OrderFilter(OrderStatus.PAID, OrderPaymentStatus.UNPAID)
    assert use_case.came == [(filters, PageRequest(7, None)), (filters, PageRequest(50, 42))]


@pytest.mark.parametrize(
    ("proto", "code"),
    [
        (enums.OrderStatus, OrderStatus),
        (enums.PaymentOutcome, NotifyOutcome),
        (enums.Disposition, Disposition),
        (enums.ItemKind, ItemKind),
    ],
)
def test_numbers_of_the_contract_are_the_codes_of_the_database(proto: Any, code: Any) -> None:
    prefix_free = {name.removeprefix(_prefix(proto)): number for name, number in proto.items() if number}

    assert prefix_free == {member.name: int(member) for member in code}


def _prefix(proto: Any) -> str:
    unspecified: str = proto.Name(0)
    return unspecified.removesuffix("UNSPECIFIED")
