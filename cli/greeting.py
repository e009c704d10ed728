"""What `paylatch up` says once all three serve: where, and the calls that walk one payment through. Pure text."""

import json
from collections.abc import Iterator, Mapping

from core.settings import Settings

_ORDER_NO = "A-1001"
_KEY = {"platform_id": "card", "payment_code": "P-1001"}
_MONEY = {"amount_minor": 2933, "currency_code": "USD"}


def greeting(settings: Settings) -> str:
    """The addresses, and calls to paste into a shell on this machine."""
    return "\n".join(
        [
            "",
            "paylatch is up:",
            f"  payment server  {settings.payment_address}",
            f"  order server    {settings.order_address}",
            f"  scheduler       {settings.scheduler_address} (health only)",
            "",
            "One payment, from the order to the order paid:",
            *_walk(settings),
            "",
            "Ctrl-C stops all three.",
            "",
        ]
    )


def _walk(settings: Settings) -> Iterator[str]:
    orders, payments = settings.order_address, settings.payment_address
    order = {"order_no": _ORDER_NO, **_MONEY}
    payment = {**_KEY, **order, "notify_url": settings.notify_targets[0]}
    report = {**_KEY, "status": "PAYMENT_STATUS_SUCCESS"}
    yield _call(orders, "paylatch.order.v1.OrderService/CreateOrder", order)
    yield _call(payments, "paylatch.payment.v1.PaymentService/CreatePayment", payment)
    yield _call(payments, "paylatch.payment.v1.PaymentService/ReportPaymentResult", report)
    yield _call(orders, "paylatch.order.v1.OrderService/GetOrder", {"order_no": _ORDER_NO})


def _call(address: str, method: str, message: Mapping[str, object]) -> str:
    return f"  grpcurl -plaintext -d '{json.dumps(message)}' {address} {method}"
