"""Delivering a claim: wait for the connection, call, record. Owns the recording transaction and what is logged."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from core.delivery import traces
from core.delivery.call import Answers
from core.delivery.measure import NO_DELIVERY_METRICS, DeliveryMetrics
from core.logs import Logger
from core.outbox import breaker
from core.outbox.breaker import BreakerChange
from core.outbox.lease import Claim, ClaimedRow
from core.outbox.policy import OutboxPolicy
from core.outbox.record import GivenUp, Recorded, give_back, hold, record
from core.rules.codes import BreakerState
from core.rules.outcome import Delivered, Outcome
from core.store.database import Database
from core.store.transaction import Transaction
from core.telemetry.tracing import NO_TRACING, Tracing


class Caller(Protocol):
    """The remote side of a delivery."""

    def is_ready(self, target: str) -> bool:
        """Whether a call to the target can begin now."""
        ...

    def call(self, claim: Claim) -> Answers:
        """Call with the rows; those without an outcome were not called."""
        ...


class Delivery:
    """Delivers claims of one payment database. Safe to use from any number of threads."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        policy: OutboxPolicy,
        log: Logger,
        tracing: Tracing = NO_TRACING,
        metrics: DeliveryMetrics = NO_DELIVERY_METRICS,
    ) -> None:
        self._database = database
        self._caller = caller
        self._policy = policy
        self._log = log
        self._tracing = tracing
        self.metrics = metrics
        self._tells_all = log.is_enabled_for(logging.DEBUG)

    def deliver(self, claim: Claim) -> Recorded:
        """Call the target with the claimed rows and record what came of each."""
        if not self._caller.is_ready(claim.target):
            return self._record(claim, Answers(target_failed=True))
        with traces.attempts(self._tracing, claim) as attempts:
            answers = self._caller.call(attempts.claim)
            with attempts.recording(answers.outcomes):
                return self._record(claim, answers)

    def give_back(self, claim: Claim) -> Recorded:
        """Undo a claim whose call was never begun, for a reason that is not the target's."""
        recorded = self._database.transact(lambda tx: give_back(tx, claim.rows))
        self._log.info("notify.given_back", target=claim.target, count=recorded.given_back)
        self.metrics.recorded(claim.target, recorded)
        return recorded

    def _record(self, claim: Claim, answers: Answers) -> Recorded:
        called = [row for row in claim.rows if row.schedule_id in answers.outcomes]
        uncalled = [row for row in claim.rows if row.schedule_id not in answers.outcomes]

        def work(tx: Transaction) -> tuple[Recorded, BreakerChange | None, datetime]:
            if uncalled:
                hold(tx, claim.rows)
            recorded = record(tx, called, answers.outcomes, self._policy)
            back = give_back(tx, uncalled)
            recorded.given_back += back.given_back
            recorded.stale += back.stale
            change = self._judge_target(tx, claim.target, answers)
            alarm(self._log, recorded.given_up)
            return recorded, change, tx.now

        recorded, change, now = self._database.transact(work)
        self._tell(claim.target, called, answers.outcomes, recorded)
        self._tell_breaker(change)
        self.metrics.called(claim.target, called, answers.outcomes, now)
        self.metrics.recorded(claim.target, recorded)
        self.metrics.breaker(change)
        return recorded

    def _judge_target(self, tx: Transaction, target: str, answers: Answers) -> BreakerChange | None:
        if answers.target_failed:
            return breaker.failed(tx, target, self._policy.breaker)
        if answers.outcomes:
            return breaker.answered(tx, target, self._policy.batch_size)
        return None

    def _tell(
        self, target: str, called: Sequence[ClaimedRow], outcomes: Mapping[int, Outcome], recorded: Recorded
    ) -> None:
        if recorded.acknowledged:
            self._log.info("notify.delivered", target=target, count=recorded.acknowledged)
        if recorded.given_back:
            self._log.info("notify.given_back", target=target, count=recorded.given_back)
        if recorded.stale:
            self._log.warning("notify.stale", target=target, count=recorded.stale)
        for row in called:
            outcome = outcomes[row.schedule_id]
            if self._tells_all or not isinstance(outcome, Delivered):
                self._tell_row(target, row, outcome)

    def _tell_row(self, target: str, row: ClaimedRow, outcome: Outcome) -> None:
        about = {"platform_id": row.platform_id, "payment_code": row.payment_code, "attempt": row.attempt}
        if isinstance(outcome, Delivered):
            self._log.debug("notify.row_delivered", target=target, disposition=outcome.disposition.name, **about)
        else:
            self._log.warning("notify.failed", target=target, code=outcome.code, message=outcome.message, **about)

    def _tell_breaker(self, change: BreakerChange | None) -> None:
        if change is None:
            return
        if change.state is BreakerState.OPEN:
            until = change.open_until.isoformat() if change.open_until else None
            self._log.warning("breaker.opened", target=change.target, failures=change.failures, until=until)
        else:
            self._log.info("breaker.closed", target=change.target)


def alarm(log: Logger, given_up: Sequence[GivenUp]) -> None:
    """The alarm that a schedule was given up (SPEC 7).

    Raised as the last thing inside the transaction: a crash may repeat it, none can swallow it.
    """
    for row in given_up:
        log.error(
            "notify.given_up",
            platform_id=row.platform_id,
            payment_code=row.payment_code,
            target=row.target,
            attempts=row.attempts,
            code=row.code,
            reason=row.reason,
        )
