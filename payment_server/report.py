"""Reporting how payments ended (SPEC 4, step 4): the heart of the promise.

ONE transaction settles the payments, writes their results and schedules their notifications. Owns that transaction; the
first attempt comes after it, by somebody else, and never delays the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from core.logs import Logger
from core.outbox.insert import insert_results, insert_schedules
from core.outbox.lease import Claim, Lease
from core.outbox.policy import OutboxPolicy
from core.rules.codes import PaymentStatus, ResultStatus
from core.rules.errors import Contended, FieldViolation, InvalidInput, NotAllowed, PaylatchError, Precondition
from core.rules.life_cycles import PAYMENT
from core.store.database import Database
from core.store.transaction import Row, Transaction
from core.telemetry.tracing import NO_SPAN, NO_TRACING, Span, Tracing, spans
from payment_server.first_attempts import FirstAttempts
from payment_server.notification import notification_of
from payment_server.tables import Payment
from payment_server.views import Key, PaymentView, payment_not_found, payments_by_key

EVENTS = {PaymentStatus.SUCCESS: "succeed", PaymentStatus.FAILED: "fail"}
"""The life cycle's event of each reported outcome."""


class Report(NamedTuple):
    """How a payment ended. What is None was not told. trace_context: of the call that reports it."""

    platform_id: str
    payment_code: str
    status: PaymentStatus
    trade_no: str | None = None
    failure_reason: str | None = None
    settle_time: datetime | None = None
    amount_minor: int | None = None
    currency_code: str | None = None
    trace_context: str | None = None

    @property
    def key(self) -> Key:
        """The payment's key."""
        return self.platform_id, self.payment_code


Answer = PaymentView | Exception
"""The payment as it is now, or why the report was not taken."""


@dataclass(slots=True)
class Settlement:
    """What one transaction came to: an answer for each report, rows newly settled, rows claimed for first attempts.

    commits: the spans of the reports that are traced.
    """

    commits: Mapping[Key, Span] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    settled: dict[Key, Row] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)


class OutcomeConflict(NotAllowed):
    """The opposite outcome of a settled payment was reported. It is money: it is written down before it is answered."""

    def __init__(self, payment: Row, report: Report) -> None:
        told = f"is {payment.status.name}, but {report.status.name} was reported now"
        super().__init__(
            f"payment {report.payment_code!r} on platform {report.platform_id!r} {told}; a person must look at it",
            reason="OUTCOME_CONFLICT",
            violations=[Precondition("LIFE_CYCLE", PAYMENT.name, told)],
            metadata={"current_status": payment.status.name, "legal_events": ""},
        )
        self.report = report


class ReportResults:
    """Takes reports, one or many in one transaction. Idempotent: the same outcome again answers the payment."""

    def __init__(
        self,
        database: Database,
        first_attempts: FirstAttempts,
        policy: OutboxPolicy,
        log: Logger,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._database = database
        self._first_attempts = first_attempts
        self._policy = policy
        self._log = log
        self._tracing = tracing

    def __call__(self, reports: Sequence[Report]) -> list[Answer]:
        """An answer for each report, in order; given only after what it says is durable."""
        try:
            answers = self._settle_together(reports)
        except Exception as error:  # noqa: BLE001 - each member is run again alone, and answered with its own error
            if len(reports) == 1 or (isinstance(error, PaylatchError) and not isinstance(error, Contended)):
                return [error] * len(reports)
            self._log.warning("payment.group_failed", count=len(reports), error=repr(error))
            return [answer for report in reports for answer in self([report])]
        return [self._noted(answer) for answer in answers]

    def _settle_together(self, reports: Sequence[Report]) -> list[Answer]:
        parents = {report.key: report.trace_context for report in reports}
        with self._first_attempts.room_for(len(reports)) as room:
            with spans(self._tracing, "payment.commit", parents) as commits:
                settlement = self._database.transact(lambda tx: self._settle(tx, reports, room.lease, commits))
            room.fill(settlement.claims)
        if settlement.settled:
            self._log.info("payment.settled", count=len(settlement.settled))
        return settlement.answers

    def _settle(
        self, tx: Transaction, reports: Sequence[Report], lease: Lease | None, commits: Mapping[Key, Span]
    ) -> Settlement:
        settlement = Settlement(commits)
        known = payments_by_key(tx, [report.key for report in reports], lock=True)
        for report in reports:
            settlement.answers.append(self._take(tx, known, report, settlement))
        self._write(tx, settlement, lease)
        return settlement

    def _take(self, tx: Transaction, known: dict[Key, PaymentView], report: Report, settlement: Settlement) -> Answer:
        view = known.get(report.key)
        if view is None:
            return payment_not_found(report.key)
        payment = view.payment
        if payment.status not in {PaymentStatus.WAITING, report.status}:
            return OutcomeConflict(payment, report)
        mismatch = _amount_mismatch(payment, report)
        if mismatch:
            return InvalidInput(mismatch)
        if payment.status == PaymentStatus.WAITING:
            settled = _settled(payment, report, tx.now)
            settlement.settled[report.key] = settled
            known[report.key] = PaymentView(settled, ResultStatus.UNNOTIFIED)
            return known[report.key]
        self._note_difference(payment, report)
        return view

    def _note_difference(self, payment: Row, report: Report) -> None:
        """The trade_no of the first report is kept; another one is only logged."""
        if report.trade_no is not None and report.trade_no != payment.trade_no:
            self._log.warning(
                "payment.trade_no_differs",
                platform_id=report.platform_id,
                payment_code=report.payment_code,
                kept=payment.trade_no,
                reported=report.trade_no,
            )

    def _write(self, tx: Transaction, settlement: Settlement, lease: Lease | None) -> None:
        settled = list(settlement.settled.values())
        if not settled:
            return
        for status, event in EVENTS.items():
            changes = [_change(payment) for payment in settled if payment.status == status]
            tx.compare_and_set(Payment.status, PAYMENT.move(PaymentStatus.WAITING, event), changes, key=Payment.id)
        insert_results(tx, [payment.id for payment in settled])
        notifications = [
            notification_of(payment, trace_context=settlement.commits.get(key, NO_SPAN).context)
            for key, payment in settlement.settled.items()
        ]
        settlement.claims = insert_schedules(tx, notifications, self._policy, lease)

    def _noted(self, answer: Answer) -> Answer:
        """The answer; a conflict is first written down in a transaction of its own (SPEC 9)."""
        if not isinstance(answer, OutcomeConflict):
            return answer
        report = answer.report
        try:
            self._database.transact(lambda tx: _write_conflict(tx, report))
        except PaylatchError as error:
            return error
        self._log.error(
            "payment.conflict",
            platform_id=report.platform_id,
            payment_code=report.payment_code,
            reported=report.status.name,
            trade_no=report.trade_no,
        )
        return answer


def _amount_mismatch(payment: Row, report: Report) -> list[FieldViolation]:
    told = {"amount_minor": report.amount_minor, "currency_code": report.currency_code}
    return [
        FieldViolation(name, f"is {value}, but the payment's is {getattr(payment, name)}")
        for name, value in told.items()
        if value is not None and value != getattr(payment, name)
    ]


def _settled(payment: Row, report: Report, now: datetime) -> Row:
    return payment._replace(
        status=report.status,
        trade_no=report.trade_no or "",
        failure_reason=report.failure_reason or "",
        settle_time=report.settle_time or now,
    )


def _change(payment: Row) -> dict[str, object]:
    return {name: getattr(payment, name) for name in ("id", "trade_no", "failure_reason", "settle_time")}


def _write_conflict(tx: Transaction, report: Report) -> None:
    """Keep the first conflict of a payment; each is raised as an alarm."""
    tx.change(
        Payment.update(
            conflict_status=report.status, conflict_trade_no=report.trade_no or "", conflict_time=tx.now
        ).where(
            Payment.platform_id == report.platform_id,
            Payment.payment_code == report.payment_code,
            Payment.conflict_time.is_null(),
        )
    )
