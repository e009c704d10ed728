"""Between the payment contract and plain values: enums, payments, schedules. Owns the translation; decides nothing."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from core.rpc.translate import EnumMap, read_time, to_timestamp
from core.rules.codes import Disposition, PaymentStatus, ResultStatus, ScheduleStatus
from core.rules.errors import InvalidInput
from core.rules.limits import MAX_BATCH, Checker
from core.rules.notify_url import why_not
from core.store.transaction import Row
from paylatch.order.v1 import order_enums_pb2
from paylatch.payment.v1 import notify_schedule_pb2, payment_enums_pb2, payment_pb2
from payment_server.views import Key, PaymentView

PAYMENT_STATUS = EnumMap(
    payment_enums_pb2.PaymentStatus,
    {
        payment_enums_pb2.PAYMENT_STATUS_PENDING: PaymentStatus.WAITING,
        payment_enums_pb2.PAYMENT_STATUS_SUCCESS: PaymentStatus.SUCCESS,
        payment_enums_pb2.PAYMENT_STATUS_FAILED: PaymentStatus.FAILED,
    },
)
OUTCOME = EnumMap(
    payment_enums_pb2.PaymentStatus,
    {
        payment_enums_pb2.PAYMENT_STATUS_SUCCESS: PaymentStatus.SUCCESS,
        payment_enums_pb2.PAYMENT_STATUS_FAILED: PaymentStatus.FAILED,
    },
)
"""The statuses that can be reported."""
NOTIFY_STATUS = EnumMap(
    payment_enums_pb2.NotifyStatus,
    {
        payment_enums_pb2.NOTIFY_STATUS_UNNOTIFIED: ResultStatus.UNNOTIFIED,
        payment_enums_pb2.NOTIFY_STATUS_NOTIFIED: ResultStatus.NOTIFIED,
    },
)
SCHEDULE_STATUS = EnumMap(
    payment_enums_pb2.ScheduleStatus,
    {
        payment_enums_pb2.SCHEDULE_STATUS_NOTIFYING: ScheduleStatus.NOTIFYING,
        payment_enums_pb2.SCHEDULE_STATUS_FAILED: ScheduleStatus.FAILED,
        payment_enums_pb2.SCHEDULE_STATUS_SUCCESS: ScheduleStatus.SUCCESS,
    },
)
DISPOSITION = EnumMap(
    order_enums_pb2.Disposition,
    {
        order_enums_pb2.DISPOSITION_APPLIED: Disposition.APPLIED,
        order_enums_pb2.DISPOSITION_DUPLICATE_PAYMENT: Disposition.DUPLICATE_PAYMENT,
        order_enums_pb2.DISPOSITION_ORDER_CANCELLED: Disposition.ORDER_CANCELLED,
        order_enums_pb2.DISPOSITION_AMOUNT_MISMATCH: Disposition.AMOUNT_MISMATCH,
        order_enums_pb2.DISPOSITION_IGNORED: Disposition.IGNORED,
    },
)


def read_key(checker: Checker, message: object) -> Key:
    """The key in a message's platform_id and payment_code; violations of either."""
    platform_id, payment_code = str(message.platform_id), str(message.payment_code)  # type: ignore[attr-defined]
    checker.key("platform_id", platform_id)
    checker.key("payment_code", payment_code)
    return platform_id, payment_code


def read_key_only(message: object) -> Key:
    """The key in a message that has nothing else; InvalidInput names every wrong field."""
    checker = Checker()
    key = read_key(checker, message)
    checker.finish()
    return key


def try_read_key(item: object) -> Key | InvalidInput:
    """The key of one item of a batch, or what is wrong with it."""
    try:
        return read_key_only(item)
    except InvalidInput as error:
        return error


def check_batch(size: int) -> None:
    """InvalidInput unless a batch has 1 to 500 items."""
    checker = Checker()
    checker.require(1 <= size <= MAX_BATCH, "requests", f"has {size} items, must have 1 to {MAX_BATCH}")
    checker.finish()


def read_key_filter(checker: Checker, field: str, value: str) -> str | None:
    """A key to filter by; None when it was left out."""
    if value:
        checker.key(field, value)
    return value or None


def read_url_filter(checker: Checker, field: str, value: str) -> str | None:
    """A target to filter by, on the allow-list or not any more; None when it was left out."""
    wrong = why_not(value) if value else None
    checker.require(wrong is None, field, wrong or "")
    return value or None


def read_time_filter(checker: Checker, field: str, message: object) -> datetime | None:
    """A time to filter by; None when it was left out."""
    if not message.HasField(field):  # type: ignore[attr-defined]
        return None
    return read_time(checker, field, getattr(message, field))


def payment_message(view: PaymentView) -> payment_pb2.Payment:
    """A payment as the contract shows it."""
    row = view.payment
    settled, conflicted = row.status != PaymentStatus.WAITING, row.conflict_status is not None
    return payment_pb2.Payment(
        platform_id=row.platform_id,
        payment_code=row.payment_code,
        order_no=row.order_no,
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        notify_url=row.notify_url,
        status=PAYMENT_STATUS.to_value(row.status),
        trade_no=row.trade_no if settled else None,
        failure_reason=row.failure_reason if settled else None,
        create_time=to_timestamp(row.create_time),
        settle_time=optional_timestamp(row.settle_time),
        notify_status=NOTIFY_STATUS.to_value(view.notify_status) if view.notify_status else None,
        disposition=DISPOSITION.to_value(view.disposition) if view.disposition else None,
        handled_note=view.handled_note,
        conflict_status=PAYMENT_STATUS.to_value(row.conflict_status) if conflicted else None,
        conflict_trade_no=row.conflict_trade_no,
        conflict_time=optional_timestamp(row.conflict_time),
    )


def schedule_message(row: Row, now: datetime) -> notify_schedule_pb2.NotifySchedule:
    """A schedule as the contract shows it; `now` tells whether its lease has ended."""
    is_claimed = row.claim_token is not None and row.next_notify_time > now
    return notify_schedule_pb2.NotifySchedule(
        platform_id=row.platform_id,
        payment_code=row.payment_code,
        order_no=row.order_no,
        notify_url=row.notify_url,
        status=SCHEDULE_STATUS.to_value(row.notify_status),
        next_notify_time=to_timestamp(row.next_notify_time),
        give_up_time=to_timestamp(row.give_up_time),
        notify_count=row.notify_count,
        last_code=row.last_code,
        last_message=row.last_message,
        is_claimed=is_claimed,
        claimed_by=row.claimed_by if is_claimed else None,
        create_time=to_timestamp(row.create_time),
        handled_time=optional_timestamp(row.handled_time),
        handled_by=row.handled_by,
        handled_reason=row.handled_reason,
    )


def attempt_message(row: Row) -> notify_schedule_pb2.NotifyAttempt:
    """An attempt as the contract shows it."""
    return notify_schedule_pb2.NotifyAttempt(
        number=row.number,
        start_time=to_timestamp(row.start_time),
        finish_time=to_timestamp(row.finish_time),
        code=row.code,
        message=row.message,
        made_by=row.made_by,
    )


def optional_timestamp(time: datetime | None) -> Timestamp | None:
    """A time as the contract has it; None if there is none."""
    return None if time is None else to_timestamp(time)
