"""What is the matter with one payment, from what both sides say of it. Pure: the same pair, the same findings."""

from datetime import datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from cli.reconcile.findings import Finding, Kind
from cli.reconcile.pair import (
    EXCEPTIONS,
    Pair,
    agrees,
    differing_fields,
    is_acknowledged,
    is_order_right,
    is_settled,
)
from cli.reconcile.steps import Steps, is_unanswered
from core.rpc.translate import from_timestamp
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment

_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]


class Judge:
    """Names what is wrong. What the outbox has had for less than the grace is on its way, and no difference yet.

    cut: the beginning of the grace.
    """

    def __init__(self, cut: datetime, steps: Steps) -> None:
        self._cut = cut
        self._steps = steps

    def findings(self, pair: Pair) -> list[Finding]:
        """All there is to say of a payment. The schedule must have been read if the sides do not agree."""
        return [*self._open_matters(pair), *self._differences(pair)]

    def is_on_its_way(self, pair: Pair) -> bool:
        """Whether the outbox is at it, and had no time to be done: settled long ago, perhaps, but reported just now."""
        payment, schedule = pair.payment, pair.schedule
        if payment is None or schedule is None or is_acknowledged(payment) or not _is_notifying(schedule):
            return False
        if pair.notify:
            return not differing_fields(payment, pair.notify) and not self._is_past(pair.notify.create_time)
        return not self._is_past(schedule.create_time) and not schedule.HasField("last_code")

    def _differences(self, pair: Pair) -> list[Finding]:
        payment, notify = pair.payment, pair.notify
        if agrees(pair) or self.is_on_its_way(pair):
            return []
        if payment is None or not is_settled(payment):
            kind = Kind.PAYMENT_UNSETTLED if payment else Kind.PAYMENT_UNKNOWN
            return [Finding(kind, pair, self._steps.settle(pair, notify))] if notify else []
        if notify is None:
            return [self._undelivered(pair, payment)]
        return self._delivered(pair, payment, notify)

    def _open_matters(self, pair: Pair) -> list[Finding]:
        found = []
        if pair.notify and pair.notify.disposition in EXCEPTIONS and not pair.notify.HasField("resolution"):
            found.append(Finding(Kind.PAYMENT_EXCEPTION, pair, self._steps.resolve(pair)))
        if pair.payment and pair.payment.HasField("conflict_status"):
            words = "ask the platform which outcome is true; the payment stays as it was settled first"
            found.append(Finding(Kind.OUTCOME_CONFLICT, pair, self._steps.look(pair, words)))
        return found

    def _undelivered(self, pair: Pair, payment: Payment) -> Finding:
        kind, step = self._undelivered_kind(payment, pair.schedule), self._steps.deliver(pair)
        if kind is Kind.RESULT_MISSING:
            step = self._steps.no_result(pair)
        elif kind is Kind.ORDER_MISSING:
            step = self._steps.create_order(pair, payment)
        elif kind is Kind.OVERDUE and pair.schedule:
            step = self._steps.overdue(pair.key, pair.schedule)
        return Finding(kind, pair, step)

    def _undelivered_kind(self, payment: Payment, schedule: NotifySchedule | None) -> Kind:
        if is_acknowledged(payment):
            return Kind.LOST_BY_ORDER_SIDE
        if not payment.HasField("notify_status"):
            return Kind.RESULT_MISSING
        if schedule is None:
            return Kind.ABANDONED if payment.HasField("handled_note") else Kind.SCHEDULE_MISSING
        return self._waiting_kind(schedule)

    def _waiting_kind(self, schedule: NotifySchedule) -> Kind:
        """What became of the schedule of a payment that the order side does not have."""
        if schedule.status == payment_enums.SCHEDULE_STATUS_SUCCESS:
            return Kind.LOST_BY_ORDER_SIDE
        if schedule.HasField("handled_time"):
            return Kind.ABANDONED
        if schedule.HasField("last_code") and schedule.last_code == _NOT_FOUND:
            return Kind.ORDER_MISSING
        if not _is_notifying(schedule):
            return Kind.GIVEN_UP if is_unanswered(schedule) else Kind.REFUSED
        is_overdue = not schedule.is_claimed and self._is_past(schedule.next_notify_time)
        return Kind.OVERDUE if is_overdue else Kind.NOT_DELIVERED

    def _delivered(self, pair: Pair, payment: Payment, notify: OrderPaymentNotify) -> list[Finding]:
        wrong = differing_fields(payment, notify)
        if wrong:
            kind = Kind.OUTCOME_DIFFERS if "outcome" in wrong else Kind.CONTENT_DIFFERS
            words = f"ask the platform what is true: the sides differ in {', '.join(wrong)}; look at the order"
            return [Finding(kind, pair, self._steps.look(pair, words))]
        found = [] if is_order_right(notify) else [self._wrong_order(pair)]
        if not is_acknowledged(payment):
            found.append(self._unacknowledged(pair, payment))
        elif payment.disposition != notify.disposition:
            found.append(Finding(Kind.DISPOSITION_DIFFERS, pair, self._steps.deliver_again(pair)))
        return found

    def _unacknowledged(self, pair: Pair, payment: Payment) -> Finding:
        if not payment.HasField("notify_status"):
            return Finding(Kind.RESULT_MISSING, pair, self._steps.no_result(pair))
        is_known = pair.schedule is not None or payment.HasField("handled_note")
        kind = Kind.ACKNOWLEDGE_MISSING if is_known else Kind.SCHEDULE_MISSING
        return Finding(kind, pair, self._steps.deliver(pair))

    def _wrong_order(self, pair: Pair) -> Finding:
        words = "a person must look: the order and what was done with this payment contradict each other"
        return Finding(Kind.ORDER_STATE_WRONG, pair, self._steps.look(pair, words))

    def _is_past(self, time: Timestamp) -> bool:
        """Whether it was before the grace."""
        return from_timestamp(time) < self._cut


def _is_notifying(schedule: NotifySchedule) -> bool:
    return schedule.status == payment_enums.SCHEDULE_STATUS_NOTIFYING
