"""A customer of a running system: creates orders, pays them, and asks both sides how they stand. Over RPC only."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from cli.clients import Clients, OrderSide, PaymentSide, chunks
from core.settings import Settings
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.order.v1.order_enums_pb2 import PAYMENT_OUTCOME_SUCCESS
from paylatch.order.v1.order_notify_service_pb2 import OrderNotifyRequest
from paylatch.order.v1.order_notify_service_pb2_grpc import OrderNotifyServiceStub
from paylatch.order.v1.order_pb2 import Order, OrderStatusLog
from paylatch.order.v1.order_service_pb2 import CreateOrderRequest, GetOrderRequest, ListOrderStatusLogsRequest
from paylatch.payment.v1.notify_schedule_service_pb2 import GetNotifyScheduleRequest, GetNotifyScheduleResponse
from paylatch.payment.v1.payment_enums_pb2 import NOTIFY_STATUS_NOTIFIED, PAYMENT_STATUS_SUCCESS
from paylatch.payment.v1.payment_pb2 import Payment
from paylatch.payment.v1.payment_service_pb2 import (
    BatchGetPaymentsRequest,
    BatchReportPaymentResultsRequest,
    CreatePaymentRequest,
    ReportPaymentResultRequest,
)

PLATFORM = "card"
CURRENCY = "USD"
AMOUNT = 2_933
_DEADLINE_SECONDS = 20.0

Request = TypeVar("Request")
Response = TypeVar("Response")


class Shop:
    """Every payment is on one platform, and its code is the order's number."""

    def __init__(self, settings: Settings) -> None:
        self.clients = Clients(PaymentSide.at(settings.payment_address), OrderSide.at(settings.order_address))
        self.notifications = OrderNotifyServiceStub(self.clients.order.server.channel)
        self._target = settings.notify_targets[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clients.close()

    def create_orders(self, order_nos: Iterable[str]) -> None:
        """Create these orders."""
        for order_no in order_nos:
            _call(self.clients.order.orders.CreateOrder, self.order_to_create(order_no))

    def create_payments(self, order_nos: Iterable[str]) -> None:
        """Create the payments of these orders."""
        for order_no in order_nos:
            _call(self.clients.payment.payments.CreatePayment, self.payment_to_create(order_no))

    def order_to_create(self, order_no: str) -> CreateOrderRequest:
        """How an order is created."""
        return CreateOrderRequest(order_no=order_no, amount_minor=AMOUNT, currency_code=CURRENCY)

    def payment_to_create(self, order_no: str) -> CreatePaymentRequest:
        """How the payment of an order is created."""
        return CreatePaymentRequest(
            platform_id=PLATFORM,
            payment_code=order_no,
            order_no=order_no,
            amount_minor=AMOUNT,
            currency_code=CURRENCY,
            notify_url=self._target,
        )

    def report(self, order_nos: Iterable[str]) -> None:
        """Report these payments as paid."""
        for chunk in chunks(order_nos):
            reports = [report(order_no) for order_no in chunk]
            answer = _call(
                self.clients.payment.payments.BatchReportPaymentResults,
                BatchReportPaymentResultsRequest(requests=reports),
            )
            assert all(result.HasField("response") for result in answer.results), answer

    def report_one(self, order_no: str) -> None:
        """Report this payment as paid, by a call of its own."""
        _call(self.clients.payment.payments.ReportPaymentResult, report(order_no))

    def order(self, order_no: str) -> Order:
        """The order as it is now."""
        return _call(self.clients.order.orders.GetOrder, GetOrderRequest(order_no=order_no)).order

    def status_changes(self, order_no: str) -> list[OrderStatusLog]:
        """What is logged of the order's two statuses."""
        request = ListOrderStatusLogsRequest(order_no=order_no)
        return list(_call(self.clients.order.orders.ListOrderStatusLogs, request).order_status_logs)

    def payments(self, order_nos: Sequence[str]) -> list[Payment]:
        """The payments as they are now."""
        found = []
        for chunk in chunks(order_nos):
            keys = [PaymentKey(platform_id=PLATFORM, payment_code=order_no) for order_no in chunk]
            answer = _call(self.clients.payment.payments.BatchGetPayments, BatchGetPaymentsRequest(requests=keys))
            found += [result.response.payment for result in answer.results]
        return found

    def are_notified(self, order_nos: Sequence[str]) -> bool:
        """Whether the order side has all of these."""
        return all(payment.notify_status == NOTIFY_STATUS_NOTIFIED for payment in self.payments(order_nos))

    def schedule(self, order_no: str) -> GetNotifyScheduleResponse:
        """How the delivery stands, with its attempts."""
        request = GetNotifyScheduleRequest(platform_id=PLATFORM, payment_code=order_no)
        return _call(self.clients.payment.schedules.GetNotifySchedule, request)


def notification(order_no: str, amount_minor: int = AMOUNT) -> OrderNotifyRequest:
    """That the order's payment succeeded."""
    return OrderNotifyRequest(
        platform_id=PLATFORM,
        payment_code=order_no,
        order_no=order_no,
        outcome=PAYMENT_OUTCOME_SUCCESS,
        amount_minor=amount_minor,
        currency_code=CURRENCY,
    )


def numbers(count: int) -> list[str]:
    """The numbers of so many orders."""
    return [f"A-{number:04d}" for number in range(1, count + 1)]


def report(order_no: str) -> ReportPaymentResultRequest:
    """That it was paid."""
    return ReportPaymentResultRequest(
        platform_id=PLATFORM, payment_code=order_no, status=PAYMENT_STATUS_SUCCESS, trade_no=f"trade-{order_no}"
    )


def _call(method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request) -> Response:
    return method(request, timeout=_DEADLINE_SECONDS, wait_for_ready=True)
