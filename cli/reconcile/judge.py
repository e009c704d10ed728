"""What is the matter with one payment, from what both sides say of it. Pure: the same pair, the same findings."""

from datetime import datetime

from cli.reconcile.findings import Finding, Kind, Step
from cli.reconcile.pair import (
    EXCEPTIONS,
    Pair,
    agrees,
    differing_fields,
    is_acknowledged,
    is_order_right,
    is_settled,
    is_success,
)
from cli.reconcile.steps import Steps
from core.rpc.translate import from_timestamp
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment


class Judge:
    """Names what is wrong. What the outbox has had for less than the grace is on its way, and no difference yet."""

    def __init__(self, cut: datetime, steps: Steps) -> None:
        self._cut = cut
        self._steps = steps

    def differences(self, pair: Pair) -> list[Finding]:
        """In what the sides differ. The schedule must have been read if they do not agree."""
        payment, notify = pair.payment, pair.notify
        if agrees(pair) or self.is_on_its_way(pair):
            return []
        if payment is None or not is_settled(payment):
            return [Finding(Kind.PHANTOM, pair, self._steps.settle(pair, notify))] if notify else []
        if notify is None:
            return [self._undelivered(pair, payment)]
        return self._delivered(pair, payment, notify)

    def open_matters(self, pair: Pair) -> list[Finding]:
        """What stands open although the sides agree."""
        found = []
        if pair.notify and pair.notify.disposition in EXCEPTIONS and not pair.notify.HasField("resolution"):
            found.append(Finding(Kind.PAYMENT_EXCEPTION, pair, self._steps.resolve(pair)))
        if pair.payment and pair.payment.HasField("conflict_status"):
            words = "ask the platform which outcome is true; the payment stays as it was settled first"
            found.append(Finding(Kind.OUTCOME_CONFLICT, pair, self._steps.decide(pair, words)))
        return found

    def is_on_its_way(self, pair: Pair) -> bool:
        """Whether the outbox is at it, and had no time to be done: settled long ago, perhaps, but reported just now."""
        payment, schedule = pair.payment, pair.schedule
        if payment is None or schedule is None or is_acknowledged(payment) or not _is_notifying(schedule):
            return False
        if pair.notify:
            return not differing_fields(payment, pair.notify) and self._is_young(pair.notify)
        return self._is_young(schedule) and not schedule.HasField("last_code")

    def _undelivered(self, pair: Pair, payment: Payment) -> Finding:
        return Finding(_undelivered_kind(payment, pair.schedule), pair, self._steps.deliver(pair))

    def _delivered(self, pair: Pair, payment: Payment, notify: OrderPaymentNotify) -> list[Finding]:
        wrong = differing_fields(payment, notify)
        if wrong:
            return [Finding(_content_kind(notify, wrong), pair, self._differing_step(pair, wrong))]
        found = [] if is_order_right(notify) else [self._wrong_order(pair)]
        if not is_acknowledged(payment):
            is_known = pair.schedule is not None or payment.HasField("handled_note")
            kind = Kind.ACKNOWLEDGE_MISSING if is_known else Kind.SCHEDULE_MISSING
            found.append(Finding(kind, pair, self._steps.deliver(pair)))
        elif payment.disposition != notify.disposition:
            words = "a person must look: the order side's disposition is what was done"
            found.append(Finding(Kind.DISPOSITION_DIFFERS, pair, self._steps.decide(pair, words)))
        return found

    def _differing_step(self, pair: Pair, wrong: list[str]) -> Step:
        words = f"a person must look: the sides differ in {', '.join(wrong)}; the payment side's is what was settled"
        return self._steps.decide(pair, words)

    def _wrong_order(self, pair: Pair) -> Finding:
        words = "a person must look: the order and what was done with this payment contradict each other"
        return Finding(Kind.ORDER_STATE_WRONG, pair, self._steps.decide(pair, words))

    def _is_young(self, row: NotifySchedule | OrderPaymentNotify) -> bool:
        return from_timestamp(row.create_time) >= self._cut


def _undelivered_kind(payment: Payment, schedule: NotifySchedule | None) -> Kind:
    if is_acknowledged(payment) or (schedule and schedule.status == payment_enums.SCHEDULE_STATUS_SUCCESS):
        return Kind.LOST_BY_ORDER_SIDE
    if schedule is None:
        return Kind.GIVEN_UP if payment.HasField("handled_note") else Kind.SCHEDULE_MISSING
    return Kind.NOT_DELIVERED if _is_notifying(schedule) else Kind.GIVEN_UP


def _content_kind(notify: OrderPaymentNotify, wrong: list[str]) -> Kind:
    """A success the payment side did not have is no difference in words, but money that is not there."""
    return Kind.PHANTOM if "outcome" in wrong and is_success(notify) else Kind.CONTENT_DIFFERS


def _is_notifying(schedule: NotifySchedule) -> bool:
    return schedule.status == payment_enums.SCHEDULE_STATUS_NOTIFYING
