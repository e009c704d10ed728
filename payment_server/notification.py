"""The notification of a settled payment: what the order side is told (SPEC 9, OrderNotifyRequest). Pure."""

from core.outbox.insert import Notification
from core.rpc.translate import to_timestamp
from core.rules.codes import PaymentStatus
from core.store.transaction import Row
from paylatch.order.v1 import order_enums_pb2, order_notify_service_pb2

_OUTCOMES = {
    PaymentStatus.SUCCESS: order_enums_pb2.PAYMENT_OUTCOME_SUCCESS,
    PaymentStatus.FAILED: order_enums_pb2.PAYMENT_OUTCOME_FAILED,
}


def notification_of(payment: Row, notify_url: str | None = None, *, trace_context: str | None = None) -> Notification:
    """The notification of a settled `payment`, to its own notify_url or to another one."""
    request = order_notify_service_pb2.OrderNotifyRequest(
        platform_id=payment.platform_id,
        payment_code=payment.payment_code,
        order_no=payment.order_no,
        outcome=_OUTCOMES[payment.status],
        amount_minor=payment.amount_minor,
        currency_code=payment.currency_code,
        trade_no=payment.trade_no or None,
        settle_time=to_timestamp(payment.settle_time),
    )
    return Notification(
        payment_id=payment.id,
        platform_id=payment.platform_id,
        payment_code=payment.payment_code,
        order_no=payment.order_no,
        notify_url=notify_url or payment.notify_url,
        content=request.SerializeToString(deterministic=True),
        trace_context=trace_context,
    )
