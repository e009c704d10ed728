"""What the tests of the order server say often, said shortly."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from core.store.database import Database
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_notify_service_pb2 as notify_pb2
from paylatch.order.v1 import order_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from paylatch.order.v1.order_notify_service_pb2_grpc import OrderNotifyServiceStub
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from tests.support.clock import TestClock

SUCCESS, FAILED = enums.PAYMENT_OUTCOME_SUCCESS, enums.PAYMENT_OUTCOME_FAILED
GOODS, VOUCHER = enums.ITEM_KIND_GOODS, enums.ITEM_KIND_VOUCHER

APPLIED = enums.DISPOSITION_APPLIED
DUPLICATE_PAYMENT = enums.DISPOSITION_DUPLICATE_PAYMENT
ORDER_CANCELLED = enums.DISPOSITION_ORDER_CANCELLED
AMOUNT_MISMATCH = enums.DISPOSITION_AMOUNT_MISMATCH
IGNORED = enums.DISPOSITION_IGNORED

NEW_UNPAID = (enums.ORDER_STATUS_NEW, enums.ORDER_PAYMENT_STATUS_UNPAID)
NEW_PAYING = (enums.ORDER_STATUS_NEW, enums.ORDER_PAYMENT_STATUS_PAYING)
NEW_FAILED = (enums.ORDER_STATUS_NEW, enums.ORDER_PAYMENT_STATUS_FAILED)
PAID_PAID = (enums.ORDER_STATUS_PAID, enums.ORDER_PAYMENT_STATUS_PAID)
CANCELLED_UNPAID = (enums.ORDER_STATUS_CANCELLED, enums.ORDER_PAYMENT_STATUS_UNPAID)

ACT = {"operator": "alice", "description": "as the test wants it"}
DECISION = {"operator": "alice", "reason": "as the test wants it"}


def notification(
    code: str = "P-1",
    order_no: str = "O-1",
    outcome: Any = SUCCESS,
    amount: int = 1_000,
    currency: str = "USD",
    **more: Any,
) -> notify_pb2.OrderNotifyRequest:
    """A notification for the order of `OrderSide.create`."""
    return notify_pb2.OrderNotifyRequest(
        platform_id=more.pop("platform_id", "alipay"),
        payment_code=code,
        order_no=order_no,
        outcome=outcome,
        amount_minor=amount,
        currency_code=currency,
        **more,
    )


def item(sku: str, quantity: int, kind: Any = GOODS) -> order_pb2.OrderItem:
    """One line of an order."""
    return order_pb2.OrderItem(sku=sku, quantity=quantity, kind=kind)


@dataclass(frozen=True)
class OrderSide:
    """An order server, its database and stubs. log: every line it logged."""

    database: Database
    clock: TestClock
    orders: OrderServiceStub
    notifies: OrderNotifyServiceStub
    channel: grpc.Channel
    log: Sequence[MutableMapping[str, Any]]

    def create(self, order_no: str = "O-1", *items: order_pb2.OrderItem, amount: int = 1_000) -> order_pb2.Order:
        """Create an order of 1,000 US cents."""
        return self.orders.CreateOrder(
            pb.CreateOrderRequest(order_no=order_no, amount_minor=amount, currency_code="USD", items=items)
        ).order

    def notify(self, *arguments: Any, **more: Any) -> notify_pb2.OrderNotifyResponse:
        """Send one notification."""
        return self.notifies.OrderNotify(notification(*arguments, **more))

    def batch(self, *requests: notify_pb2.OrderNotifyRequest) -> Sequence[notify_pb2.BatchOrderNotifyResult]:
        """Send a batch of notifications."""
        return self.notifies.BatchOrderNotify(notify_pb2.BatchOrderNotifyRequest(requests=requests)).results

    def order(self, order_no: str = "O-1") -> order_pb2.Order:
        """The order as it is."""
        return self.orders.GetOrder(pb.GetOrderRequest(order_no=order_no)).order

    def statuses(self, order_no: str = "O-1") -> tuple[int, int]:
        """Its two statuses."""
        order = self.order(order_no)
        return order.order_status, order.payment_status

    def stock(self, sku: str, on_hand: int) -> None:
        """Set the stock of a sku."""
        self.orders.SetInventory(pb.SetInventoryRequest(sku=sku, on_hand=on_hand, **DECISION))

    def on_hand(self, sku: str) -> int:
        """The stock of a sku."""
        return self.orders.GetInventory(pb.GetInventoryRequest(sku=sku)).inventory.on_hand

    def vouchers(self, order_no: str = "O-1") -> Sequence[order_pb2.Voucher]:
        """The vouchers of an order."""
        request = pb.ListVouchersRequest(order_no=order_no, page_size=1_000)
        return self.orders.ListVouchers(request).vouchers

    def follow_ups(self, **wanted: Any) -> Sequence[order_pb2.OrderFollowUp]:
        """The follow-ups that are open, or that fit the filter."""
        return self.orders.ListOrderFollowUps(pb.ListOrderFollowUpsRequest(**wanted)).order_follow_ups

    def status_log(self, order_no: str = "O-1") -> Sequence[order_pb2.OrderStatusLog]:
        """Every change of an order's statuses."""
        request = pb.ListOrderStatusLogsRequest(order_no=order_no)
        return self.orders.ListOrderStatusLogs(request).order_status_logs

    def sql(self, statement: str) -> list[Any]:
        """What SQL tells of the database, or does to it, past the server."""
        with self.database.pool.connection_context():
            return list(self.database.pool.execute_sql(statement))

    def events(self, event: str) -> Sequence[MutableMapping[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.log if line["event"] == event]


StartOrderSide = Callable[..., OrderSide]


@dataclass(frozen=True)
class Refusal:
    """How a call was refused. fields: the wrong ones, in their order."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    fields: Sequence[str]
    preconditions: Sequence[Any]


def refused(call: Any, request: Any) -> Refusal:
    """The refusal of `call(request)`; it must not succeed."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request)
    error: Any = raised.value
    status: Any = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    failure = error_details_pb2.PreconditionFailure()
    details: tuple[Message, ...] = (info, bad, failure)
    for packed in status.details:
        for detail in details:
            packed.Unpack(detail)
    assert info.domain == "paylatch"
    return Refusal(
        code=error.code(),
        reason=info.reason,
        message=status.message,
        metadata=dict(info.metadata),
        fields=[violation.field for violation in bad.field_violations],
        preconditions=list(failure.violations),
    )
