"""Whatever happens to the outbox in whatever order, its promises hold; and when the trouble ends, every row ends."""

import functools
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.outbox.lease import Claim
from core.outbox.operate import Act
from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import NotAllowed
from core.rules.outcome import Outcome
from core.store.database import Database
from core.store.dialect.sqlite import Sqlite
from core.store.migrate import Schema
from core.store.transaction import Row, Transaction
from tests.support.clock import TestClock
from tests.support.commits import Commit, commits
from tests.support.databases import Backend, SqliteBackend
from tests.support.outbox import APPLIED, LEASE, REFUSAL, SILENCE, Outbox, numbers, policy, whole_call_failed

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
MAX_ATTEMPTS = 3
DURATIONS = [timedelta(seconds=1), timedelta(seconds=15), LEASE, timedelta(hours=1), timedelta(days=3)]

outcomes = st.sampled_from([APPLIED, SILENCE, REFUSAL])
ways = st.sampled_from(Commit)


class AnyOrder(RuleBasedStateMachine):
    """What must be so, told by what was done.

    delivered: rows the order side has, as far as the outbox was told since they were last reopened. counts: attempts of
    each row's present budget. reopened_at: the attempt after which a row was last reopened.
    """

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.clock = TestClock()
        self.backend = backend
        self.url = backend.ready(Schema.PAYMENT)
        self.outbox = Outbox(Database.open(self.url, self.clock), self.clock, policy(MAX_ATTEMPTS, batch_size=4))
        if isinstance(self.outbox.database.dialect, Sqlite):
            with self.outbox.database.connected() as pool:
                pool.pragma("synchronous", "off", permanent=True)  # no power is cut here
        self.counts: dict[int, int] = {}
        self.delivered: set[int] = set()
        self.reopened_at: dict[int, int] = {}
        self.settle(2)

    @rule(count=st.integers(1, 2))
    def settle(self, count: int) -> None:
        self.counts |= dict.fromkeys(self.outbox.add(count), 0)

    @rule(target=claims)
    def settle_and_claim(self) -> Claim:
        self.outbox.target_answered()
        self.outbox.set_target(ramp_limit=None)
        claimed = self.outbox.add_claimed()
        self.counts[len(self.counts) + 1] = 1
        return claimed

    @rule(target=claims, way=ways)
    def claim(self, way: Commit) -> Claim | MultipleResults[Claim]:
        with commits(self.outbox.database, [way]):
            claimed = self.outbox.claim()
        for number in numbers(claimed):
            self.counts[number] += 1
        return claimed or multiple()

    @rule(claim=consumes(claims), outcome=st.lists(outcomes, min_size=4, max_size=4), way=ways)
    def record(self, claim: Claim, outcome: list[Outcome], way: Commit) -> None:
        self._record(claim, dict(zip(numbers(claim), outcome, strict=False)), way)

    @rule(claim=consumes(claims))
    def fail_as_a_whole(self, claim: Claim) -> None:
        self.outbox.record(claim, whole_call_failed(claim))
        self.outbox.target_failed()

    @rule(claim=claims)
    def deliver_and_stay_alive(self, claim: Claim) -> None:
        self._record(claim, dict.fromkeys(numbers(claim), APPLIED), Commit.WORKS)

    @rule(claim=consumes(claims), way=ways)
    def give_back(self, claim: Claim, way: Commit) -> None:
        for number in self._held(claim):
            self.counts[number] -= 1
        with commits(self.outbox.database, [way]):
            self.outbox.give_back(claim)

    @rule(claim=consumes(claims))
    def die(self, claim: Claim) -> None:
        """The worker is gone; its lease lapses."""

    @rule(duration=st.sampled_from(DURATIONS))
    def wait(self, duration: timedelta) -> None:
        self.clock.advance(duration)

    @rule(way=ways)
    def expire(self, way: Commit) -> None:
        with commits(self.outbox.database, [way]):
            self.outbox.expire()

    @rule(act=st.sampled_from([Act.REQUEUE, Act.DUE_NOW, Act.REOPEN]), which=st.integers(0, 7), way=ways)
    def operate(self, act: Act, which: int, way: Commit) -> None:
        self._operate(act, which % len(self.counts) + 1, way)

    @precondition(lambda self: self.delivered)
    @rule(which=st.integers(0, 7), way=ways)
    def the_order_side_is_restored(self, which: int, way: Commit) -> None:
        self._operate(Act.REOPEN, sorted(self.delivered)[which % len(self.delivered)], way)

    @rule()
    def the_target_fails(self) -> None:
        self.outbox.target_failed()

    @rule()
    def the_target_answers(self) -> None:
        self.outbox.target_answered()

    @invariant()
    def every_promise_holds(self) -> None:
        rows, results, ledger = self.outbox.database.read(_everything)
        for row in rows:
            is_notified = results[row.payment_id] == ResultStatus.NOTIFIED
            attempts = ledger.get(row.id, [])
            assert (row.notify_status == SUCCESS) == is_notified == (row.payment_id in self.delivered)
            assert row.notify_status == NOTIFYING or row.claim_token is None
            assert row.notify_status != FAILED or row.last_message
            assert row.notify_count == self.counts[row.payment_id] <= MAX_ATTEMPTS
            assert not attempts or max(attempts) <= row.attempt_count

    def teardown(self) -> None:
        self._heal()
        assert {row.notify_status for row in self.outbox.rows()} <= {FAILED, SUCCESS}
        self.every_promise_holds()
        self.outbox.database.close()
        self.backend.take_back(self.url)

    def _heal(self) -> None:
        """The order side answers everything from now on, and the passes go on."""
        for _ in range(200):
            claimed = self.outbox.claim()
            if claimed is not None:
                self.counts |= {number: self.counts[number] + 1 for number in numbers(claimed)}
                self._record(claimed, dict.fromkeys(numbers(claimed), APPLIED), Commit.WORKS)
                self.outbox.target_answered()
                continue
            waiting = [row.next_notify_time for row in self.outbox.rows() if row.notify_status == NOTIFYING]
            if not waiting:
                return
            self.outbox.expire()
            self.clock.advance(max(min(waiting) - self.clock.now(), timedelta(seconds=5)))

    def _operate(self, act: Act, number: int, way: Commit) -> None:
        with suppress(NotAllowed), commits(self.outbox.database, [way]):
            self.outbox.operate(act, number)
            if act is not Act.DUE_NOW:
                self.counts[number] = 0
            if act is Act.REOPEN:
                self.delivered.discard(number)
                self.reopened_at[number] = self.outbox.row(number).attempt_count

    def _record(self, claim: Claim, outcome: dict[int, Outcome], way: Commit) -> None:
        stale = {number for number in set(numbers(claim)) - self._held(claim) if outcome[number] is not APPLIED}
        before = {number: self.outbox.row(number) for number in stale}
        with commits(self.outbox.database, [way]):
            self.outbox.record(claim, outcome)
        assert before == {number: self.outbox.row(number) for number in stale}
        self.delivered |= {
            row.payment_id
            for row in claim.rows
            if outcome[row.payment_id] is APPLIED and row.attempt > self.reopened_at.get(row.payment_id, 0)
        }

    def _held(self, claim: Claim) -> set[int]:
        """The rows that are still held under the claim's token."""
        token = claim.rows[0].lease.token
        return {row.payment_id for row in self.outbox.rows() if row.claim_token == token}


def _everything(tx: Transaction) -> tuple[list[Row], dict[int, ResultStatus], dict[int, list[int]]]:
    """The schedules, the status of each payment's result, and the numbers of each schedule's attempts."""
    results = {row.payment_id: row.notify_status for row in tx.rows(PaymentResult.select())}
    ledger: dict[int, list[int]] = {}
    for attempt in tx.rows(NotifyAttempt.select()):
        ledger.setdefault(attempt.schedule_id, []).append(attempt.number)
    return tx.rows(NotifySchedule.select()), results, ledger


def _run(backend: Backend, examples: int, steps: int) -> None:
    machine: Any = functools.partial(AnyOrder, backend)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


@pytest.mark.any_backend
def test_in_any_order_every_promise_holds_and_every_row_ends(backend: Backend) -> None:
    _run(backend, examples=20, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_a_great_many_orders_every_promise_holds_and_every_row_ends(backend: Backend) -> None:
    _run(backend, examples=120 if isinstance(backend, SqliteBackend) else 15, steps=50)
