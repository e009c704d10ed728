"""A payment server as tests speak to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from core.outbox.expire import expire
from core.store.database import Database
from paylatch.payment.v1 import payment_enums_pb2
from paylatch.payment.v1 import payment_service_pb2 as pb
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_pb2 import Payment
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from tests.support.waiting import wait_until

DEADLINE = 10
SUCCESS = payment_enums_pb2.PAYMENT_STATUS_SUCCESS
FAILED = payment_enums_pb2.PAYMENT_STATUS_FAILED


@dataclass(frozen=True, slots=True)
class PaymentSide:
    """Its stubs, its database to look into (and as the server itself holds it), and what it logged."""

    database: Database
    held: Database
    payments: PaymentServiceStub
    schedules: NotifyScheduleServiceStub
    channel: grpc.Channel
    notify_url: str
    logged: Sequence[Any]

    def content(self, **changes: Any) -> dict[str, Any]:
        """The content of a good payment, with changes."""
        good = {
            "platform_id": "alipay",
            "payment_code": "P1",
            "order_no": "O1",
            "amount_minor": 2_933,
            "currency_code": "USD",
            "notify_url": self.notify_url,
        }
        return good | changes

    def create(self, **changes: Any) -> Payment:
        """Create a payment."""
        request = pb.CreatePaymentRequest(**self.content(**changes))
        return self.payments.CreatePayment(request, timeout=DEADLINE).payment

    def report(self, status: Any = SUCCESS, **changes: Any) -> Payment:
        """Report how it ended."""
        request = pb.ReportPaymentResultRequest(
            **{"platform_id": "alipay", "payment_code": "P1", "status": status} | changes
        )
        return self.payments.ReportPaymentResult(request, timeout=DEADLINE).payment

    def get(self, payment_code: str = "P1") -> Payment:
        """The payment as it is now."""
        request = pb.GetPaymentRequest(platform_id="alipay", payment_code=payment_code)
        return self.payments.GetPayment(request, timeout=DEADLINE).payment

    def expire(self, count: int) -> None:
        """Give up this many schedules past their window: a look passes over what a sender holds at that moment."""
        given_up: list[Any] = []

        def look() -> bool:
            given_up.extend(self.database.transact(lambda tx: expire(tx, 10)).given_up)
            return len(given_up) >= count

        wait_until(look)
        assert len(given_up) == count

    def rows(self, model: Any) -> list[Any]:
        """All rows of a table."""
        return self.database.read(lambda tx: tx.rows(model.select()))


StartPaymentSide = Callable[..., PaymentSide]


def details_of(error: grpc.RpcError, kind: Any) -> Any:
    """The detail of this kind that the error carries."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # every RpcError of a call is one
    assert status is not None, "the error has no details"
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            return detail
    raise AssertionError(f"no {kind.__name__} among the details")


def violated_fields(error: grpc.RpcError) -> list[str]:
    """The fields that a BadRequest names."""
    return [violation.field for violation in details_of(error, error_details_pb2.BadRequest).field_violations]


def reason_of(error: grpc.RpcError) -> str:
    """The reason of its ErrorInfo."""
    info = details_of(error, error_details_pb2.ErrorInfo)
    assert info.domain == "paylatch"
    reason: str = info.reason
    return reason
