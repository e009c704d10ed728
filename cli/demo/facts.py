"""How both sides stand when it is all over, asked over RPC. Reads everything anew; judges nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.clients import Clients, OrderSide, PaymentSide, pages
from cli.demo.orders import GOODS, DemoOrder
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.order.v1.order_enums_pb2 import ORDER_STATUS_PAID
from paylatch.order.v1.order_service_pb2 import (
    GetInventoryRequest,
    ListOrderFollowUpsRequest,
    ListOrdersRequest,
    ListPaymentExceptionsRequest,
    ListVouchersRequest,
)
from paylatch.payment.v1.notify_schedule_service_pb2 import ListNotifySchedulesRequest
from paylatch.payment.v1.payment_enums_pb2 import NOTIFY_STATUS_UNNOTIFIED, PAYMENT_STATUS_SUCCESS
from paylatch.payment.v1.payment_service_pb2 import ListPaymentsRequest


@dataclass(frozen=True, slots=True)
class Facts:
    """What the servers say.

    paid: amounts of the paid orders, by order. settled: amounts of the successful payments, by order. attempts: how
    many deliveries took so many attempts. Counts: payments not notified, exceptions and follow-ups that stand open,
    goods on hand, vouchers issued.
    """

    paid: Mapping[str, int]
    settled: Mapping[str, int]
    attempts: Mapping[int, int]
    unnotified: int
    exceptions: int
    follow_ups: int
    goods_left: int
    vouchers: int


def gather(clients: Clients, orders: Sequence[DemoOrder]) -> Facts:
    """Ask both servers. orders: those that may have vouchers."""
    payments = _payments(clients.payment)
    return Facts(
        paid=_paid(clients.order),
        settled={order_no: amount for order_no, (amount, _) in payments.items()},
        attempts=_attempts(clients.payment),
        unnotified=sum(not is_notified for _, is_notified in payments.values()),
        exceptions=_exceptions(clients.order),
        follow_ups=_follow_ups(clients.order),
        goods_left=_goods_left(clients.order),
        vouchers=sum(_vouchers(clients.order, order) for order in orders if order.is_voucher),
    )


def _paid(side: OrderSide) -> dict[str, int]:
    request = ListOrdersRequest(order_status=ORDER_STATUS_PAID)
    listed = pages(side.server, side.orders.ListOrders, request, MAX_PAGE_SIZE)
    return {order.order_no: order.amount_minor for page in listed for order in page.orders}


def _payments(side: PaymentSide) -> dict[str, tuple[int, bool]]:
    """Amount, and whether notified, of each successful payment."""
    request = ListPaymentsRequest(status=PAYMENT_STATUS_SUCCESS)
    listed = pages(side.server, side.payments.ListPayments, request, MAX_PAGE_SIZE)
    return {
        payment.order_no: (payment.amount_minor, payment.notify_status != NOTIFY_STATUS_UNNOTIFIED)
        for page in listed
        for payment in page.payments
    }


def _attempts(side: PaymentSide) -> Mapping[int, int]:
    listed = pages(side.server, side.schedules.ListNotifySchedules, ListNotifySchedulesRequest(), MAX_PAGE_SIZE)
    return Counter(schedule.notify_count for page in listed for schedule in page.schedules)


def _exceptions(side: OrderSide) -> int:
    listed = pages(side.server, side.orders.ListPaymentExceptions, ListPaymentExceptionsRequest(), MAX_PAGE_SIZE)
    return sum(len(page.payment_exceptions) for page in listed)


def _follow_ups(side: OrderSide) -> int:
    listed = pages(side.server, side.orders.ListOrderFollowUps, ListOrderFollowUpsRequest(), MAX_PAGE_SIZE)
    return sum(len(page.order_follow_ups) for page in listed)


def _goods_left(side: OrderSide) -> int:
    return side.server.read(side.orders.GetInventory, GetInventoryRequest(sku=GOODS)).inventory.on_hand


def _vouchers(side: OrderSide, order: DemoOrder) -> int:
    listed = pages(side.server, side.orders.ListVouchers, ListVouchersRequest(order_no=order.order_no), MAX_PAGE_SIZE)
    return sum(len(page.vouchers) for page in listed)
