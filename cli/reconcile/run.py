"""The comparison: every settled payment against the order side, then every notification against the payment side.

Owns what is compared and when a difference is named. Holds a page at a time, and the findings that are listed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cli.clients import Clients, key_of
from cli.reconcile.findings import Findings
from cli.reconcile.judge import Judge
from cli.reconcile.pair import Pair, Scope, agrees
from cli.reconcile.repair import Repairs
from cli.reconcile.report import Report
from cli.reconcile.sides import (
    notifies_by_key,
    order_payment_notifies,
    payments_by_key,
    read_again,
    settled_payments,
)
from cli.reconcile.steps import Steps
from cli.reconcile.sums import Counts, Tally
from core.clock import Clock, SystemClock

DEFAULT_GRACE = timedelta(seconds=60)
DEFAULT_LIMIT = 100
DEFAULT_OPERATOR = "reconcile"

Progress = Callable[[Counts], None]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """How to reconcile.

    grace: payments settled within it are left out, they may be on their way. limit: of each kind of finding, list at
    most so many. reason: recorded with a repair; None for one that says what was found.
    """

    grace: timedelta = DEFAULT_GRACE
    limit: int = DEFAULT_LIMIT
    repair: bool = False
    operator: str = DEFAULT_OPERATOR
    reason: str | None = None
    clock: Clock = field(default_factory=SystemClock)


def reconcile(clients: Clients, options: ReconcileOptions, on_page: Progress = lambda counts: None) -> Report:
    """Compare both sides, both ways (SPEC 10). on_page: told how far it is after every page.

    Raises:
        CannotRun: a server failed to answer. With `repair`, what was asked for until then stays asked for.
    """
    run = _Run(clients, options, on_page)
    run.compare_payments()
    run.compare_notifies()
    return run.report()


class _Run:
    def __init__(self, clients: Clients, options: ReconcileOptions, on_page: Progress) -> None:
        self._clients = clients
        self._options = options
        self._on_page = on_page
        self._start_time = options.clock.now()
        self._scope = Scope(self._start_time - options.grace, self._start_time + options.grace)
        self._judge = Judge(self._scope.cut, Steps(clients.payment.server.address, clients.order.server.address))
        self._tally = Tally()
        self._findings = Findings(options.limit)
        self._repairs = (
            Repairs(clients.payment, options.operator, options.reason, options.limit) if options.repair else None
        )

    def compare_payments(self) -> None:
        """Every payment in the scope: does the order side have it, and alike?"""
        for page in settled_payments(self._clients.payment, self._scope):
            payments = {key_of(payment): payment for payment in page}
            notifies = notifies_by_key(self._clients.order, list(payments))
            self._examine(Pair(key, payment, notifies.get(key)) for key, payment in payments.items())

    def compare_notifies(self) -> None:
        """Every notification: did the payment side settle it so? Payments in the scope are compared already."""
        for page in order_payment_notifies(self._clients.order, self._scope.cut):
            self._tally.counts.notifies += len(page)
            notifies = {key_of(notify): notify for notify in page}
            payments = payments_by_key(self._clients.payment, list(notifies))
            pairs = [Pair(key, payments.get(key), notify) for key, notify in notifies.items()]
            self._examine(pair for pair in pairs if pair.payment is None or not self._scope.has(pair.payment))

    def report(self) -> Report:
        """What was found."""
        return Report(
            start_time=self._start_time,
            settled_before=self._scope.cut,
            payment_address=self._clients.payment.server.address,
            order_address=self._clients.order.server.address,
            counts=self._tally.counts,
            sums=dict(sorted(self._tally.sums.items())),
            findings=self._findings,
            repair=self._repairs.report if self._repairs else None,
        )

    def _examine(self, pairs: Iterable[Pair]) -> None:
        """Name what is wrong among the pairs of a page, after reading again whatever did not agree at first."""
        first = {pair.key: pair for pair in pairs}
        suspects = [key for key, pair in first.items() if not agrees(pair)]
        final = first | read_again(self._clients, suspects)
        self._settle(list(final.values()))
        self._on_page(self._tally.counts)

    def _settle(self, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            self._tally.add(pair, is_on_its_way=self._judge.is_on_its_way(pair))
            self._findings.add(self._judge.open_matters(pair))
        differences = [finding for pair in pairs for finding in self._judge.differences(pair)]
        self._findings.add(differences)
        if self._repairs:
            self._repairs.ask(differences)
