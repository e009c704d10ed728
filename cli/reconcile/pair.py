"""One payment as both sides know it. Owns what "they agree" means; reads nothing."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from cli.clients import Key
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment

EXCEPTIONS = frozenset(
    {
        order_enums.DISPOSITION_DUPLICATE_PAYMENT,
        order_enums.DISPOSITION_ORDER_CANCELLED,
        order_enums.DISPOSITION_AMOUNT_MISMATCH,
    }
)
"""The dispositions of money that waits for a person (SPEC 5)."""

_OUTCOME = {
    payment_enums.PAYMENT_STATUS_SUCCESS: order_enums.PAYMENT_OUTCOME_SUCCESS,
    payment_enums.PAYMENT_STATUS_FAILED: order_enums.PAYMENT_OUTCOME_FAILED,
}
_PAID_ORDER = frozenset(
    {order_enums.ORDER_STATUS_PAID, order_enums.ORDER_STATUS_PROCESSING, order_enums.ORDER_STATUS_COMPLETED}
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What either side says of one key; None is "knows nothing of it".

    schedule: read only where it matters. read_time: when that was, by the payment database's clock.
    """

    key: Key
    payment: Payment | None = None
    notify: OrderPaymentNotify | None = None
    schedule: NotifySchedule | None = None
    read_time: Timestamp | None = None

    @property
    def order_no(self) -> str:
        """The order it is for, as the payment side has it if it has any."""
        known = self.payment or self.notify
        return known.order_no if known else ""


@dataclass(frozen=True, slots=True)
class Window:
    """Which time a run compares: payments settled, and notifications taken down, from `since` on and before `until`.

    horizon: payments that say they were settled at or after it have a wrong time, and are compared all the same. None
    in a window that a person has set an end to.
    """

    since: datetime | None
    until: datetime
    horizon: datetime | None


def is_settled(payment: Payment | None) -> bool:
    """Whether the payment is known to have ended."""
    return payment is not None and payment.status in _OUTCOME


def is_acknowledged(payment: Payment) -> bool:
    """Whether the payment side says that the order side has it."""
    return payment.notify_status == payment_enums.NOTIFY_STATUS_NOTIFIED


def is_success(notify: OrderPaymentNotify) -> bool:
    """Whether the order side was told that the money was paid."""
    return notify.outcome == order_enums.PAYMENT_OUTCOME_SUCCESS


def agrees(pair: Pair) -> bool:
    """Whether both sides have the payment, and say the same of it."""
    payment, notify = pair.payment, pair.notify
    if payment is None or notify is None or not is_settled(payment):
        return payment is None and notify is None
    return (
        is_acknowledged(payment)
        and payment.disposition == notify.disposition
        and not differing_fields(payment, notify)
        and is_order_right(notify)
    )


def differing_fields(payment: Payment, notify: OrderPaymentNotify) -> list[str]:
    """Which fields of the content the sides do not have alike."""
    wrong = [name for name in ("order_no", "amount_minor", "currency_code") if _differs(payment, notify, name)]
    return wrong if _OUTCOME.get(payment.status) == notify.outcome else ["outcome", *wrong]


def is_order_right(notify: OrderPaymentNotify) -> bool:
    """Whether the order stands as this notification must have left it.

    It is paid by this key exactly if the notification was a success that was applied, or was accepted later.
    """
    if pays_its_order(notify):
        is_paid = notify.payment_status == order_enums.ORDER_PAYMENT_STATUS_PAID and notify.order_status in _PAID_ORDER
        return notify.is_paying_key and is_paid
    return not notify.is_paying_key


def pays_its_order(notify: OrderPaymentNotify) -> bool:
    """Whether this payment is to be the one that paid the order."""
    is_accepted = notify.resolution == order_enums.EXCEPTION_RESOLUTION_ACCEPTED
    return is_success(notify) and (notify.disposition == order_enums.DISPOSITION_APPLIED or is_accepted)


def _differs(payment: Payment, notify: OrderPaymentNotify, name: str) -> bool:
    return bool(getattr(payment, name) != getattr(notify, name))
