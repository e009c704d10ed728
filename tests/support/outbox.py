"""An outbox on a real database, worked by hand: each method is one short transaction, as a worker has it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core.outbox import breaker, operate, read
from core.outbox.breaker import BreakerChange
from core.outbox.claim import claim
from core.outbox.expire import expire
from core.outbox.insert import Notification, insert_results, insert_schedules
from core.outbox.lease import Claim, Lease
from core.outbox.operate import Act, Operation
from core.outbox.policy import BreakerPolicy, OutboxPolicy
from core.outbox.record import Recorded, give_back, record
from core.outbox.tables import NotifySchedule, NotifyTarget, OperatorAction, PaymentResult
from core.rules.codes import Disposition
from core.rules.outcome import UNAVAILABLE, UNKNOWN, Delivered, Outcome, Refused, TryAgain, of_batch
from core.rules.retry_policy import RetryPolicy
from core.settings import DEFAULT_WAITS
from core.store.database import Database
from core.store.transaction import Row, Transaction
from paylatch.order.v1.order_notify_service_pb2 import OrderNotifyRequest
from payment_server.tables import Payment
from tests.support import rows
from tests.support.clock import TestClock
from tests.support.rows import OTHER_TARGET, SETTLED, TARGET

LEASE = timedelta(seconds=30)
WAITS = DEFAULT_WAITS
WINDOW = timedelta(days=3)
MOMENT = timedelta(microseconds=1)

APPLIED = Delivered(Disposition.APPLIED)
SILENCE = TryAgain(UNAVAILABLE, "connection reset")
REFUSAL = Refused(6, "another content")

POLICY = OutboxPolicy(
    targets=frozenset({TARGET, OTHER_TARGET}),
    retry=RetryPolicy(WAITS, max_attempts=10, window=WINDOW, jitter=0.1),
    breaker=BreakerPolicy(threshold=3, first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=5)),
    lease=LEASE,
    batch_size=100,
    dice=lambda: 0.5,  # no jitter
)


def policy(max_attempts: int = 10, **changes: Any) -> OutboxPolicy:
    """The policy of these tests, with changes; fewer attempts have the first waits."""
    retry = replace(POLICY.retry, waits=WAITS[: max_attempts - 1], max_attempts=max_attempts)
    return replace(POLICY, retry=retry, **changes)


class Outbox:
    """See the module. A schedule is called by its payment's number, from 1."""

    def __init__(self, database: Database, clock: TestClock, policy: OutboxPolicy = POLICY) -> None:
        self.database = database
        self.clock = clock
        self.policy = policy

    def add(self, count: int = 1, target: str = TARGET) -> list[int]:
        """Settle payments; their schedules are due at once. Their numbers."""
        return self._add(count, target, None)[0]

    def add_claimed(self, count: int = 1, target: str = TARGET, holder: str = "server") -> Claim:
        """Settle payments whose schedules are born claimed."""
        (claim,) = self._add(count, target, self.lease(holder))[1]
        return claim

    def _add(self, count: int, target: str, lease: Lease | None) -> tuple[list[int], list[Claim]]:
        def work(tx: Transaction) -> tuple[list[int], list[Claim]]:
            first = tx.count(Payment.select()) + 1
            numbers = list(range(first, first + count))
            tx.insert(Payment, [rows.payment(number, notify_url=target, **SETTLED) for number in numbers])
            insert_results(tx, numbers)
            return numbers, insert_schedules(tx, [notification(n, target) for n in numbers], self.policy, lease)

        return self.database.transact(work)

    def lease(self, holder: str = "worker") -> Lease:
        return Lease.take(holder, self.policy.lease, self.clock)

    def claim(self, target: str = TARGET, holder: str = "worker") -> Claim | None:
        return self.claim_and_tell(target, holder)[0]

    def claimed(self, target: str = TARGET, holder: str = "worker") -> Claim:
        """A claim that there must be."""
        claimed = self.claim(target, holder)
        assert claimed is not None
        return claimed

    def claim_and_tell(self, target: str = TARGET, holder: str = "worker") -> tuple[Claim | None, Recorded]:
        recorded, lease = Recorded(), self.lease(holder)
        return self.database.transact(lambda tx: claim(tx, target, lease, self.policy, recorded)), recorded

    def record(self, claim: Claim, outcome: Outcome | Mapping[int, Outcome]) -> Recorded:
        """Write what came of every row of the claim; or of some, by the payment's number."""
        if not isinstance(outcome, Mapping):
            outcome = dict.fromkeys((row.payment_id for row in claim.rows), outcome)
        called = [row for row in claim.rows if row.payment_id in outcome]
        outcomes = {row.schedule_id: outcome[row.payment_id] for row in called}
        return self.database.transact(lambda tx: record(tx, called, outcomes, self.policy))

    def give_back(self, claim: Claim) -> Recorded:
        return self.database.transact(lambda tx: give_back(tx, claim.rows))

    def wait_until_due(self, number: int = 1) -> None:
        """Let time pass until the row may be claimed."""
        self.clock.advance(self.row(number).next_notify_time - self.clock.now())

    def fail(self, times: int = 1, outcome: Outcome = SILENCE) -> None:
        """Claim and fail, each time when it is due."""
        for _ in range(times):
            self.wait_until_due()
            self.record(self.claimed(), outcome)

    def expire(self, limit: int = 100) -> Recorded:
        return self.database.transact(lambda tx: expire(tx, limit))

    def operate(self, act: Act, *numbers: int, **details: Any) -> Operation:
        """An operator's call on these schedules."""
        operation = Operation(act, operator="anna", reason="it is back", **details)
        self.carry_out(operation, *numbers)
        return operation

    def carry_out(self, operation: Operation, *numbers: int) -> None:
        def work(tx: Transaction) -> None:
            done = operate.already_done(tx, operation)
            for row in read.schedules(tx, [("alipay", f"P-{number}") for number in numbers], lock=True):
                if (row.platform_id, row.payment_code) not in done:
                    operate.apply(tx, row, operation, self.policy, operation.spread_over)

        self.database.transact(work)

    def target_failed(self, target: str = TARGET, times: int = 1) -> BreakerChange | None:
        """The last change of its breaker, if there was one."""
        changes = [
            self.database.transact(lambda tx: breaker.failed(tx, target, self.policy.breaker)) for _ in range(times)
        ]
        return changes[-1]

    def target_answered(self, target: str = TARGET) -> BreakerChange | None:
        return self.database.transact(lambda tx: breaker.answered(tx, target, self.policy.batch_size))

    def set_target(self, target: str = TARGET, **columns: Any) -> None:
        def work(tx: Transaction) -> None:
            breaker.ensure_targets(tx, [target])
            tx.change(NotifyTarget.update(**columns).where(NotifyTarget.notify_url == target))

        self.database.transact(work)

    def set(self, number: int = 1, **columns: Any) -> None:
        """Write columns of a schedule past every rule."""
        self.database.transact(
            lambda tx: tx.change(NotifySchedule.update(**columns).where(NotifySchedule.payment_id == number))
        )

    def row(self, number: int = 1) -> Row:
        return self._one(NotifySchedule.select().where(NotifySchedule.payment_id == number))

    def rows(self) -> Sequence[Row]:
        return self.database.read(lambda tx: tx.rows(NotifySchedule.select().order_by(NotifySchedule.id)))

    def result(self, number: int = 1) -> Row:
        return self._one(PaymentResult.select().where(PaymentResult.payment_id == number))

    def target(self, target: str = TARGET) -> Row:
        return self._one(NotifyTarget.select().where(NotifyTarget.notify_url == target))

    def ledger(self, number: int = 1) -> Sequence[Row]:
        schedule_id = self.row(number).id
        return self.database.read(lambda tx: read.attempts(tx, schedule_id))

    def audit(self) -> Sequence[Row]:
        return self.database.read(lambda tx: tx.rows(OperatorAction.select().order_by(OperatorAction.id)))

    def _one(self, query: Any) -> Row:
        row = self.database.read(lambda tx: tx.row(query))
        assert row is not None
        return row


def notification(number: int, target: str = TARGET) -> Notification:
    """The notification of payment `number`."""
    about = {**rows.key(number), "order_no": f"O-{number}"}
    content = OrderNotifyRequest(**about, amount_minor=1_234, currency_code="USD").SerializeToString()
    return Notification(number, **about, notify_url=target, content=content)


def numbers(claim: Claim | None) -> list[int]:
    """The payments of a claim, in its order."""
    return [row.payment_id for row in claim.rows] if claim else []


def whole_call_failed(claim: Claim) -> TryAgain:
    """The outcome of each row of a call that failed as a whole, and says nothing of the target."""
    return of_batch(UNKNOWN, "it died of it", timedelta(0), len(claim.rows))
