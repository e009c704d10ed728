"""The money of both sides, by currency (FAULTS, invariant 8). Adds up; reads nothing."""

from collections import defaultdict
from dataclasses import dataclass, field

from cli.reconcile.pair import EXCEPTIONS, Pair, is_settled, is_success
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.payment_pb2 import Payment


@dataclass(slots=True)
class Sum:
    """Money of one currency, in minor units.

    settled: successful payments, as the payment side has them. applied: that paid its order; exceptions_…: that did
    not; each as the order side has it. undelivered: settled, and not known to the order side.
    """

    settled: int = 0
    applied: int = 0
    exceptions_open: int = 0
    exceptions_resolved: int = 0
    undelivered: int = 0

    @property
    def difference(self) -> int:
        """What settled money is not accounted for; below zero, what the order side has beyond it. 0 if all is well."""
        accounted = self.applied + self.exceptions_open + self.exceptions_resolved + self.undelivered
        return self.settled - accounted


@dataclass(slots=True)
class Counts:
    """How many payments were compared, and of what sort.

    payments: settled, as the payment side has them. delivered: known to the order side; undelivered: not;
    on_their_way: reported or delivered within the grace and not done yet (delivered or undelivered as well).
    order_side_only: known to the order side, not settled on the payment side. notifies: read from the order side.
    """

    payments: int = 0
    succeeded: int = 0
    failed: int = 0
    delivered: int = 0
    undelivered: int = 0
    on_their_way: int = 0
    order_side_only: int = 0
    notifies: int = 0


@dataclass(slots=True)
class Tally:
    """All pairs of a run, counted and added up. Each is told once, as it was read last."""

    counts: Counts = field(default_factory=Counts)
    sums: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))

    def add(self, pair: Pair, *, is_on_its_way: bool) -> None:
        """Count one pair, and add its money to both sides."""
        if pair.payment and is_settled(pair.payment):
            self._add_payment(pair.payment, is_delivered=pair.notify is not None)
        elif pair.notify:
            self.counts.order_side_only += 1
        if pair.notify and is_success(pair.notify):
            self._add_notify(pair.notify)
        self.counts.on_their_way += is_on_its_way

    def _add_payment(self, payment: Payment, *, is_delivered: bool) -> None:
        self.counts.payments += 1
        self.counts.delivered += is_delivered
        self.counts.undelivered += not is_delivered
        if payment.status != payment_enums.PAYMENT_STATUS_SUCCESS:
            self.counts.failed += 1
            return
        self.counts.succeeded += 1
        amounts = self.sums[payment.currency_code]
        amounts.settled += payment.amount_minor
        amounts.undelivered += 0 if is_delivered else payment.amount_minor

    def _add_notify(self, notify: OrderPaymentNotify) -> None:
        amounts = self.sums[notify.currency_code]
        if notify.disposition == order_enums.DISPOSITION_APPLIED:
            amounts.applied += notify.amount_minor
        elif notify.disposition in EXCEPTIONS and notify.HasField("resolution"):
            amounts.exceptions_resolved += notify.amount_minor
        elif notify.disposition in EXCEPTIONS:
            amounts.exceptions_open += notify.amount_minor
