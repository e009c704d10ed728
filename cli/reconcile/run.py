"""The comparison: every settled payment against the order side, then every notification against the payment side.

Owns what is compared and when a difference is named. Holds a page at a time, and the findings that are listed: memory
does not grow with the number of payments.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cli.clients import CannotRun, Clients, key_of
from cli.output import time_json
from cli.reconcile.findings import Finding, Findings
from cli.reconcile.judge import Judge
from cli.reconcile.pair import Pair, Window, agrees, is_settled
from cli.reconcile.progress import Progress, ProgressFile
from cli.reconcile.repair import RepairReport, Repairs
from cli.reconcile.report import Report
from cli.reconcile.sides import (
    Page,
    ahead,
    notifies_by_key,
    order_payment_notifies,
    payments_by_key,
    read_again,
    settled_payments,
)
from cli.reconcile.steps import Steps
from core.clock import Clock, SystemClock

DEFAULT_GRACE = timedelta(seconds=60)
DEFAULT_LIMIT = 10
DEFAULT_OPERATOR = "reconcile"

Sweep = Callable[[str], Iterator[Page[Pair]]]
"""One list read to its end, from the page of a token on: its rows beside what the other side says of them."""


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """How to reconcile.

    grace: payments settled within it are left out, they may be on their way. since, until: compare only what was
    settled or taken down from `since` on and before `until`; the grace is left out all the same. limit: of each kind
    of finding, list at most so many. reason: recorded with a repair; None for one that says what was found. resume: the
    file in which the run keeps how far it is, and from which it goes on.
    """

    grace: timedelta = DEFAULT_GRACE
    since: datetime | None = None
    until: datetime | None = None
    limit: int = DEFAULT_LIMIT
    repair: bool = False
    operator: str = DEFAULT_OPERATOR
    reason: str | None = None
    resume: Path | None = None
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Listener:
    """Told how a run goes. on_finding: everything that is found, at once. on_page: how far it is, after every page."""

    on_finding: Callable[[Finding], None] = lambda finding: None
    on_page: Callable[[Progress], None] = lambda progress: None


_NOBODY = Listener()


def reconcile(clients: Clients, options: ReconcileOptions, listener: Listener = _NOBODY) -> Report:
    """Compare both sides, both ways (SPEC 10).

    Raises:
        CannotRun: a server failed to answer, or the file to resume from is of no use. With `repair`, what was asked for
            until then stays asked for; with `resume`, the same call again goes on from there.
    """
    file = ProgressFile(options.resume)
    asked = _asked(clients, options)
    progress = file.load(asked) or _beginning(asked, options)
    run = _Run(clients, options, progress, listener)
    for _ in run.pages():
        file.save(progress)
        listener.on_page(progress)
    file.remove()
    return run.report()


def _asked(clients: Clients, options: ReconcileOptions) -> dict[str, Any]:
    return {
        "payment_address": clients.payment.server.address,
        "order_address": clients.order.server.address,
        "grace_seconds": options.grace.total_seconds(),
        "since": options.since and time_json(options.since),
        "until": options.until and time_json(options.until),
        "repair": options.repair,
    }


def _beginning(asked: dict[str, Any], options: ReconcileOptions) -> Progress:
    now = options.clock.now()
    cut = now - options.grace
    until = min(options.until, cut) if options.until else cut
    if options.since and options.since >= until:
        raise CannotRun(f"there is nothing between --since {time_json(options.since)} and {time_json(until)}")
    horizon = None if options.until else now + options.grace
    return Progress(asked, start_time=now, window=Window(options.since, until, horizon))


class _Run:
    def __init__(self, clients: Clients, options: ReconcileOptions, progress: Progress, listener: Listener) -> None:
        self._clients = clients
        self._progress = progress
        self._listener = listener
        steps = Steps(clients.payment.server.address, clients.order.server.address)
        self._judge = Judge(options.clock.now() - options.grace, steps)
        self._findings = Findings(options.limit, progress.kinds)
        report = RepairReport(options.operator, options.limit, progress.repairs)
        self._repairs = Repairs(clients.payment, options.reason, report) if options.repair else None

    def pages(self) -> Iterator[None]:
        """Compare page after page; after each, the progress says where to go on."""
        sweeps = self._sweeps()
        while self._progress.sweep < len(sweeps):
            for page in sweeps[self._progress.sweep](self._progress.page_token):
                self._examine(page.rows)
                self._progress.page_token = page.next_page_token
                if not page.next_page_token:
                    self._progress.sweep += 1
                yield

    def report(self) -> Report:
        """What was found."""
        return Report(
            start_time=self._progress.start_time,
            window=self._progress.window,
            payment_address=self._clients.payment.server.address,
            order_address=self._clients.order.server.address,
            counts=self._progress.tally.counts,
            sums=dict(sorted(self._progress.tally.sums.items())),
            findings=self._findings,
            repair=self._repairs.report if self._repairs else None,
        )

    def _sweeps(self) -> Sequence[Sweep]:
        """In an order that a run which goes on finds again."""
        of_payments = [self._payments(read) for read in settled_payments(self._clients.payment, self._progress.window)]
        return [*of_payments, self._notifies]

    def _payments(self, read: Callable[[str], Iterator[Page[Any]]]) -> Sweep:
        """Settled payments: does the order side have them, and alike?"""

        def sweep(page_token: str) -> Iterator[Page[Pair]]:
            for page in ahead(read(page_token)):
                payments = {key_of(payment): payment for payment in page.rows}
                notifies = notifies_by_key(self._clients.order, list(payments))
                pairs = [Pair(key, payment, notifies.get(key)) for key, payment in payments.items()]
                yield Page(pairs, page.next_page_token)

        return sweep

    def _notifies(self, page_token: str) -> Iterator[Page[Pair]]:
        """Every notification: did the payment side settle it? If so, it is one of the payments of some window."""
        for page in ahead(order_payment_notifies(self._clients.order, self._progress.window, page_token)):
            notifies = {key_of(notify): notify for notify in page.rows}
            payments = payments_by_key(self._clients.payment, list(notifies))
            pairs = [Pair(key, payments.get(key), notify) for key, notify in notifies.items()]
            self._progress.tally.counts.notifies += len(pairs)
            yield Page([pair for pair in pairs if not is_settled(pair.payment)], page.next_page_token)

    def _examine(self, pairs: Iterable[Pair]) -> None:
        """Name what is wrong among the pairs of a page, after reading again whatever did not agree at first."""
        first = {pair.key: pair for pair in pairs}
        suspects = [key for key, pair in first.items() if not agrees(pair)]
        final = first | read_again(self._clients, suspects)
        found = [finding for pair in final.values() for finding in self._settle(pair)]
        if self._repairs:
            self._repairs.ask(found)

    def _settle(self, pair: Pair) -> list[Finding]:
        self._progress.tally.add(pair, is_on_its_way=self._judge.is_on_its_way(pair))
        found = self._judge.findings(pair)
        for finding in found:
            self._findings.add(finding)
            self._listener.on_finding(finding)
        return found
