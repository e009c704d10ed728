"""What either side says of a payment, in words. Decides nothing."""

from cli.describe import last_attempt
from cli.output import count, enum_text, money, stamp_text
from cli.reconcile.pair import Pair, is_settled
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment


def payment_side(pair: Pair) -> str:
    """What the payment side says."""
    payment = pair.payment
    if payment is None:
        return "does not know it"
    amount = money(payment.amount_minor, payment.currency_code)
    said = [f"{enum_text(payment_enums.PaymentStatus, payment.status)}, {amount} for order {payment.order_no}"]
    if is_settled(payment):
        said += [f"settled {stamp_text(payment.settle_time)}", _notify_status(payment)]
    if payment.HasField("conflict_status"):
        opposite = enum_text(payment_enums.PaymentStatus, payment.conflict_status)
        said.append(f"{opposite} was reported {stamp_text(payment.conflict_time)}")
    if pair.schedule:
        said.append(_schedule(pair.schedule))
    return "; ".join(said)


def order_side(pair: Pair) -> str:
    """What the order side says."""
    notify = pair.notify
    if notify is None:
        return "was asked, and does not have it"
    outcome = enum_text(order_enums.PaymentOutcome, notify.outcome)
    disposition = enum_text(order_enums.Disposition, notify.disposition)
    amount = money(notify.amount_minor, notify.currency_code)
    order = enum_text(order_enums.OrderStatus, notify.order_status)
    said = [
        f"{outcome}, {amount} for order {notify.order_no}",
        f"{disposition} {stamp_text(notify.create_time)}",
        f"the order is {order}, {'paid' if notify.is_paying_key else 'not paid'} by this payment",
    ]
    if notify.HasField("resolution"):
        said.append(f"{enum_text(order_enums.ExceptionResolution, notify.resolution)} by {notify.resolved_by}")
    return "; ".join(said)


def _notify_status(payment: Payment) -> str:
    status = enum_text(payment_enums.NotifyStatus, payment.notify_status)
    if not payment.HasField("disposition"):
        return status
    return f"{status} as {enum_text(order_enums.Disposition, payment.disposition)}"


def _schedule(schedule: NotifySchedule) -> str:
    status = enum_text(payment_enums.ScheduleStatus, schedule.status)
    said = f"schedule {status} after {count(schedule.notify_count, 'attempt')}"
    if schedule.status == payment_enums.SCHEDULE_STATUS_NOTIFYING:
        said += f", due {stamp_text(schedule.next_notify_time)}"
    return f"{said}, last: {last_attempt(schedule)}" if schedule.HasField("last_code") else said
