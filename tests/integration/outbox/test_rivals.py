"""Workers, passes and operators on the same rows at the same time: nobody waits in a circle, and no promise breaks."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.outbox.lease import Claim
from core.outbox.operate import Act, Operation
from core.outbox.purge import purge
from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.outbox.targets import TargetOperation
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import PaylatchError
from core.rules.outcome import Outcome
from core.store.database import Database
from core.store.dialect import Failure, driver_error
from core.store.transaction import Row, Transaction
from payment_server.operate import OperateSchedules, Selection
from payment_server.target_pauses import TargetPauses
from tests.support.clock import TestClock
from tests.support.databases import SERVERS
from tests.support.logs import Log
from tests.support.outbox import APPLIED, REFUSAL, SILENCE, Outbox, policy
from tests.support.rows import OTHER_TARGET, TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
PAYMENTS = 80
ACTS = 25
"""Of each operator."""
OPERATORS, WORKERS = 3, 3
RETENTION = timedelta(minutes=5)
ACTS_THERE_ARE = [Act.REQUEUE, Act.DUE_NOW, Act.REOPEN, Act.ABANDON, Act.RESTORE]
BOUND = 60.0

Key = tuple[str, str]


class Rivals:
    """Everybody who works on one outbox, each on a thread of its own, until the operators have done their acts.

    delivered: payments that the order side had at some time. answered: an operator's acts that were answered OK.
    refused: why others were not. circles: deadlocks and waits without end that the database has told anybody of.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.operate = OperateSchedules(outbox.database, outbox.policy, Log().logger)
        self.pauses = TargetPauses(outbox.database, outbox.policy, Log().logger)
        self.delivered: set[int] = set()
        self.answered: Counter[tuple[str, str, Key]] = Counter()
        self.refused: Counter[str] = Counter()
        self.paused: list[str] = []
        self.circles: list[str] = []
        self._over = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        """All of them, to the end."""
        passes = [self._expire_and_let_time_pass, self._purge, self._pause, self._settle]
        with ThreadPoolExecutor(OPERATORS + WORKERS + len(passes)) as threads:
            others = [threads.submit(self._until_over, one) for one in passes]
            others += [threads.submit(self._work, random.Random(seed)) for seed in range(WORKERS)]
            operators = [threads.submit(self._operate, random.Random(seed), str(seed)) for seed in range(OPERATORS)]
            try:
                for operator in operators:
                    operator.result(BOUND)
            finally:
                self._over.set()
            for other in others:
                other.result(BOUND)

    def _until_over(self, once: Callable[[], None]) -> None:
        while not self._over.is_set():
            once()

    def _work(self, dice: random.Random) -> None:
        late: list[Claim] = []
        while not self._over.is_set():
            target = dice.choice([TARGET, OTHER_TARGET])
            claimed = self.outbox.claim(target, f"worker {threading.get_ident()}")
            if claimed is not None:
                late.append(claimed)
            # One in five is put off, and by then its lease may be over; another one's worker dies.
            while late and dice.random() < 0.8:
                self._end(late.pop(dice.randrange(len(late))), dice)

    def _end(self, claim: Claim, dice: random.Random) -> None:
        match dice.randrange(8):
            case 0:
                return
            case 1:
                self.outbox.give_back(claim)
            case _:
                answers: list[Outcome] = [APPLIED, APPLIED, SILENCE, REFUSAL]
                self._record(claim, {row.payment_id: dice.choice(answers) for row in claim.rows})
                change = self.outbox.target_failed if dice.random() < 0.3 else self.outbox.target_answered
                change(claim.target)

    def _record(self, claim: Claim, outcomes: dict[int, Outcome]) -> None:
        with self._lock:
            self.delivered |= {number for number, outcome in outcomes.items() if outcome is APPLIED}
        self.outbox.record(claim, outcomes)

    def _operate(self, dice: random.Random, name: str) -> None:
        for _ in range(ACTS):
            act = dice.choice(ACTS_THERE_ARE)
            url = dice.choice([None, TARGET, OTHER_TARGET]) if act is not Act.ABANDON else None
            keys = [("alipay", f"P-{number}") for number in dice.sample(range(1, PAYMENTS + 1), 30)]
            operation = Operation(act, name, "it is back", notify_url=url)
            for done in self.operate(operation, Selection(keys), validate_only=False):
                if isinstance(done.result, PaylatchError):
                    self.refused[done.result.reason] += 1
                else:
                    with self._lock:
                        self.answered[operation.action_id, act.name.lower(), done.key] += 1

    def _expire_and_let_time_pass(self) -> None:
        self.outbox.clock.advance(timedelta(seconds=7))
        self.outbox.expire()

    def _purge(self) -> None:
        self.outbox.database.transact(lambda tx: purge(tx, tx.now - RETENTION, 0, 1_000))

    def _pause(self) -> None:
        for change in (self.pauses.pause, self.pauses.resume):
            operation = TargetOperation(TARGET, "anna", "it moves")
            change(operation, validate_only=False)
            self.paused.append(operation.action_id)

    def _settle(self) -> None:
        self.outbox.add(1)

    def heal(self) -> None:
        """The order side answers everything from now on, and the passes go on."""
        while waiting := [row for row in self.outbox.rows() if row.notify_status == NOTIFYING]:
            for target in (TARGET, OTHER_TARGET):
                while claimed := self.outbox.claim(target):
                    self._record(claimed, {row.payment_id: APPLIED for row in claimed.rows})
                    self.outbox.target_answered(target)
            self.outbox.expire()
            due = min(row.next_notify_time for row in waiting)
            self.outbox.clock.advance(max(due - self.outbox.clock.now(), timedelta(seconds=5)))


@pytest.fixture
def rivals(payment_database: Database, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> Rivals:
    rivals = Rivals(Outbox(payment_database, clock, policy(3, batch_size=20)))
    judge = payment_database.dialect.failure

    def failure(error: Exception) -> Failure:
        told = str(driver_error(error))
        if "deadlock" in told.lower() or "lock timeout" in told.lower() or "lock wait" in told.lower():
            rivals.circles.append(told)
        return judge(error)

    monkeypatch.setattr(payment_database.dialect, "failure", failure)
    return rivals


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_workers_and_operators_on_the_same_rows_wait_in_no_circle_and_break_no_promise(rivals: Rivals) -> None:
    rivals.outbox.add(PAYMENTS)
    rivals.run()
    assert rivals.circles == []
    _assert_audit_is_complete(rivals)
    _assert_promises(rivals)
    rivals.heal()
    assert {row.notify_status for row in rivals.outbox.rows()} <= {FAILED, SUCCESS}
    _assert_promises(rivals)


def _assert_audit_is_complete(rivals: Rivals) -> None:
    """What was answered OK is written down once; what was refused is not."""
    audit = rivals.outbox.audit()
    of_rows = [(a.action_id, a.action, (a.platform_id, a.payment_code)) for a in audit if a.notify_url is None]
    assert Counter(of_rows) == rivals.answered
    assert [a.action_id for a in audit if a.notify_url is not None] == rivals.paused
    assert {action for _, action, _ in of_rows} == {act.name.lower() for act in ACTS_THERE_ARE}
    assert rivals.refused


def _assert_promises(rivals: Rivals) -> None:
    results, schedules, attempts = rivals.outbox.database.read(_everything)
    assert sorted(results) == list(range(1, len(results) + 1))
    for number, result in results.items():
        schedule = schedules.get(number)
        is_notified = result.notify_status == ResultStatus.NOTIFIED
        assert not is_notified or number in rivals.delivered
        if schedule is None:
            assert is_notified or result.handled_note
            continue
        assert (schedule.notify_status == SUCCESS) == is_notified
        assert schedule.notify_status == NOTIFYING or schedule.claim_token is None
        assert schedule.notify_count <= 3
        # Every attempt has its entry, but for the one that is under way.
        made = schedule.attempt_count - (schedule.claim_token is not None)
        assert attempts.get(schedule.id, [])[:made] == list(range(1, made + 1))
    assert set(attempts) <= {schedule.id for schedule in schedules.values()}


def _everything(tx: Transaction) -> tuple[dict[int, Row], dict[int, Row], dict[int, list[int]]]:
    """The result and schedule of each payment, and the numbers of each schedule's attempts."""
    numbers: dict[int, list[int]] = {}
    for attempt in tx.rows(NotifyAttempt.select().order_by(NotifyAttempt.schedule_id, NotifyAttempt.number)):
        numbers.setdefault(attempt.schedule_id, []).append(attempt.number)
    results = {row.payment_id: row for row in tx.rows(PaymentResult.select())}
    return results, {row.payment_id: row for row in tx.rows(NotifySchedule.select())}, numbers
