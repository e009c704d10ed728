"""The codes stored in the databases (SPEC 2). Owns their numbers; never changes one: operators query by them."""

from enum import IntEnum


class PaymentStatus(IntEnum):
    """`payment.status`."""

    WAITING = 0
    SUCCESS = 1
    FAILED = 2


class ResultStatus(IntEnum):
    """`payment_result.notify_status`: does the order side have it?"""

    UNNOTIFIED = 1
    NOTIFIED = 2


class ScheduleStatus(IntEnum):
    """`notify_schedule.notify_status`."""

    NOTIFYING = 1
    FAILED = 2
    SUCCESS = 3


class OrderStatus(IntEnum):
    """`order.order_status`."""

    NEW = 1
    PAID = 2
    PROCESSING = 3
    COMPLETED = 4
    CANCELLED = 5


class OrderPaymentStatus(IntEnum):
    """`order.payment_status`."""

    UNPAID = 0
    PAYING = 1
    PAID = 2
    FAILED = 3


class NotifyOutcome(IntEnum):
    """`order_payment_notify.status`: how the payment ended."""

    SUCCESS = 1
    FAILED = 10


class Disposition(IntEnum):
    """What the order side did with a notification (SPEC 5)."""

    APPLIED = 1
    DUPLICATE_PAYMENT = 2
    ORDER_CANCELLED = 3
    AMOUNT_MISMATCH = 4
    IGNORED = 5


class ExceptionResolution(IntEnum):
    """How a person closed a payment exception (SPEC 5)."""

    RETURNED = 1
    ACCEPTED = 2


class ItemKind(IntEnum):
    """`order_item.kind`."""

    GOODS = 1
    VOUCHER = 2


class BreakerState(IntEnum):
    """`notify_target.breaker_state`: may rows of the target be claimed? (SPEC 7)"""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3
