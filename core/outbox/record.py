"""Recording how attempts ended (SPEC 4, steps 7 and 8; SPEC 8).

A success is a fact and is taken from whoever brings it; a failure only from the holder of the claim token.
Owns every way out of "being delivered": acknowledged, tried again, given back, given up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.outbox import ledger
from core.outbox.lease import ClaimedRow
from core.outbox.policy import OutboxPolicy
from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.life_cycles import RESULT, SCHEDULE
from core.rules.limits import clean_text
from core.rules.outcome import OK, Delivered, Outcome, Refused, TryAgain
from core.store.transaction import Row, Transaction

_READ = (
    NotifySchedule.id,
    NotifySchedule.payment_id,
    NotifySchedule.platform_id,
    NotifySchedule.payment_code,
    NotifySchedule.notify_url,
    NotifySchedule.notify_status,
    NotifySchedule.give_up_time,
    NotifySchedule.notify_count,
    NotifySchedule.attempt_count,
    NotifySchedule.reopened_attempt,
    NotifySchedule.claim_token,
    NotifySchedule.claimed_by,
    NotifySchedule.claim_time,
)
"""What recording needs to know of a row; reading the rest would cost more than writing it."""

UNCLAIMED = {"claim_token": None, "claimed_by": None, "claim_time": None}
"""What a row is set to when nobody holds it any more."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A schedule that was given up, for the alarm."""

    platform_id: str
    payment_code: str
    target: str
    attempts: int
    code: int
    reason: str


@dataclass(slots=True)
class Recorded:
    """What a recording or a claim changed.

    stale: failures whose lease somebody else had taken over; they changed nothing. lapsed: leases found lapsed.
    """

    acknowledged: int = 0
    retried: int = 0
    given_back: int = 0
    stale: int = 0
    lapsed: int = 0
    given_up: list[GivenUp] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt of a row that may be written, what it says, and the leases in a row that lapsed with it."""

    row: Row
    outcome: TryAgain | Refused
    lapses: int = 0


def record(
    tx: Transaction, called: Sequence[ClaimedRow], outcomes: Mapping[int, Outcome], policy: OutboxPolicy
) -> Recorded:
    """Write the outcome of each row that was called, by schedule id, with its entry in the ledger."""
    recorded = Recorded()
    successes: dict[int, Delivered] = {}
    failures: dict[int, TryAgain | Refused] = {}
    for schedule_id, outcome in outcomes.items():
        if isinstance(outcome, Delivered):
            successes[schedule_id] = outcome
        else:
            failures[schedule_id] = outcome
    rows = {row.schedule_id: row for row in called}
    # All at once, and so in the order of their ids: another may wait for some of them, holding others.
    current = _locked_rows(tx, list(outcomes))
    written = [
        *_acknowledge(tx, rows, successes, [row for row in current if row.id in successes], recorded),
        *_fail(tx, rows, failures, _held(rows, [row for row in current if row.id in failures]), policy, recorded),
    ]
    held = {row.id for row in _held(rows, written)}
    attempts = [(rows[row.id], outcomes[row.id]) for row in written]
    ledger.write(tx, [attempt for attempt in attempts if attempt[0].schedule_id in held])
    ledger.write_late(tx, [attempt for attempt in attempts if attempt[0].schedule_id not in held])
    return recorded


def _acknowledge(
    tx: Transaction,
    claimed: Mapping[int, ClaimedRow],
    successes: Mapping[int, Delivered],
    current: Sequence[Row],
    recorded: Recorded,
) -> list[Row]:
    """Acknowledge; the rows as they were. What was delivered is told of its payment, and to the order side as it is."""
    proven = [row for row in current if _proves(claimed[row.id], row)]
    _note_overtaken(tx, [row for row in proven if row.claim_token not in (None, claimed[row.id].lease.token)])
    for status in (ScheduleStatus.NOTIFYING, ScheduleStatus.FAILED):
        _finish(tx, status, [row for row in proven if row.notify_status == status])
    _mark_notified(tx, {row.payment_id: successes[row.id] for row in proven})
    recorded.acknowledged = len([row for row in proven if row.notify_status != ScheduleStatus.SUCCESS])
    recorded.stale += len(current) - len(proven)
    return proven


def _proves(claimed: ClaimedRow, row: Row) -> bool:
    """Whether a success of `claimed` says that the order side has the payment of `row`.

    Not after a reopening: that order side is gone. And not if the payment database was restored in between, and gave
    the row's id to another payment.
    """
    is_same = claimed.key == (row.platform_id, row.payment_code)
    return is_same and claimed.attempt > row.reopened_attempt


def _note_overtaken(tx: Transaction, rows: Sequence[Row]) -> None:
    """Somebody else's attempt is under way: should it fail, its failure will be stale, and never get to the ledger."""
    ledger.note_unknown(tx, [(row, "overtaken: an earlier attempt has delivered it after all") for row in rows])


def _finish(tx: Transaction, status: ScheduleStatus, rows: Sequence[Row]) -> None:
    finished = {
        "next_notify_time": tx.now,
        "last_code": OK,
        "last_message": "",
        "lapse_count": 0,
        "batch_limit": None,
        "handled_time": None,
        "handled_by": None,
        "handled_reason": None,
        "update_time": tx.now,
        **UNCLAIMED,
    }
    changes = [{"id": row.id, **finished} for row in rows]
    tx.compare_and_set(
        NotifySchedule.notify_status, SCHEDULE.move(status, "acknowledge"), changes, key=NotifySchedule.id
    )


def _mark_notified(tx: Transaction, delivered: Mapping[int, Delivered]) -> None:
    columns = [PaymentResult.id, PaymentResult.payment_id, PaymentResult.notify_status]
    wanted = [[payment_id] for payment_id in delivered]
    results = tx.by_keys(PaymentResult, [PaymentResult.payment_id], wanted, columns=columns)
    changes = [
        {"id": r.id, "disposition": delivered[r.payment_id].disposition, "update_time": tx.now}
        for r in results
        if r.notify_status == ResultStatus.UNNOTIFIED
    ]
    move = RESULT.move(ResultStatus.UNNOTIFIED, "acknowledge")
    tx.compare_and_set(PaymentResult.notify_status, move, changes, key=PaymentResult.id)


def _fail(
    tx: Transaction,
    claimed: Mapping[int, ClaimedRow],
    failures: Mapping[int, TryAgain | Refused],
    held: Sequence[Row],
    policy: OutboxPolicy,
    recorded: Recorded,
) -> Sequence[Row]:
    """Try again later or give up; the rows as they were. Those that somebody else has taken over stay as they are."""
    held_ids = {row.id for row in held}
    lost = [(claimed[schedule_id], outcome) for schedule_id, outcome in failures.items() if schedule_id not in held_ids]
    recorded.stale += len(lost) - ledger.written_before(tx, lost)
    retry_or_give_up(tx, [Failure(row, failures[row.id]) for row in held], policy, recorded)
    return held


def hold(tx: Transaction, rows: Sequence[ClaimedRow]) -> None:
    """Lock the rows, before parts of them are worked on in turn."""
    _locked_rows(tx, [row.schedule_id for row in rows])


def held_rows(tx: Transaction, claimed: Sequence[ClaimedRow]) -> list[Row]:
    """Those of the rows that are still held under the token they were claimed with."""
    by_id = {row.schedule_id: row for row in claimed}
    return _held(by_id, _locked_rows(tx, list(by_id)))


def _held(claimed: Mapping[int, ClaimedRow], current: Sequence[Row]) -> list[Row]:
    return [row for row in current if row.claim_token == claimed[row.id].lease.token]


def retry_or_give_up(tx: Transaction, failures: Sequence[Failure], policy: OutboxPolicy, recorded: Recorded) -> None:
    """Set each row's next time by the retry policy, or give it up when it is refused or its budget is used up."""
    retries: list[dict[str, object]] = []
    for failure in failures:
        next_time, reason = _next_time(tx, failure, policy)
        if next_time is None:
            give_up(tx, failure.row, failure.outcome.code, f"{reason}: {failure.outcome.message}", recorded)
        else:
            retries.append(_retry(tx, failure, next_time))
    move = SCHEDULE.move(ScheduleStatus.NOTIFYING, "retry")
    tx.compare_and_set(NotifySchedule.notify_status, move, retries, key=NotifySchedule.id)
    recorded.retried += len(retries)


def _next_time(tx: Transaction, failure: Failure, policy: OutboxPolicy) -> tuple[datetime | None, str]:
    if isinstance(failure.outcome, Refused):
        return None, "refused by the order side"
    row = failure.row
    next_time = policy.retry.next_time(row.notify_count, tx.now, row.give_up_time, policy.dice, failure.outcome.wait)
    used_up = "attempts used up" if row.notify_count >= policy.retry.max_attempts else "window used up"
    return next_time, used_up


def _retry(tx: Transaction, failure: Failure, next_time: datetime) -> dict[str, object]:
    outcome = failure.outcome
    return {
        "id": failure.row.id,
        "next_notify_time": next_time,
        "last_code": outcome.code,
        "last_message": clean_text(outcome.message),
        "lapse_count": failure.lapses,
        "batch_limit": outcome.batch_limit if isinstance(outcome, TryAgain) else None,
        "update_time": tx.now,
        **UNCLAIMED,
    }


def give_up(tx: Transaction, row: Row, code: int, reason: str, recorded: Recorded) -> None:
    """Leave the row to a person (SPEC 7). The caller raises the alarm for what is in `recorded.given_up`."""
    reason = clean_text(reason)
    change = {"id": row.id, "last_code": code, "last_message": reason, "update_time": tx.now, **UNCLAIMED}
    move = SCHEDULE.move(row.notify_status, "give_up")
    tx.compare_and_set(NotifySchedule.notify_status, move, [change], key=NotifySchedule.id)
    recorded.given_up.append(
        GivenUp(row.platform_id, row.payment_code, row.notify_url, row.attempt_count, code, reason)
    )


def give_back(tx: Transaction, rows: Sequence[ClaimedRow]) -> Recorded:
    """Undo the claim of rows whose call was never begun: the attempt does not count, and they are due again at once."""
    back_already = _given_back_before(tx, rows)
    held = held_rows(tx, rows)
    changes = [
        {
            "id": row.id,
            "next_notify_time": tx.now,
            "notify_count": row.notify_count - 1,
            "attempt_count": row.attempt_count - 1,
            "update_time": tx.now,
            **UNCLAIMED,
        }
        for row in held
    ]
    move = SCHEDULE.move(ScheduleStatus.NOTIFYING, "retry")
    tx.compare_and_set(NotifySchedule.notify_status, move, changes, key=NotifySchedule.id)
    return Recorded(given_back=len(held) + back_already, stale=len(rows) - len(held) - back_already)


def _given_back_before(tx: Transaction, rows: Sequence[ClaimedRow]) -> int:
    """How many of `rows` an earlier run of this transaction has given back after all; only that takes a number back."""
    if not tx.is_rerun:
        return 0
    attempts = {row.schedule_id: row.attempt for row in rows}
    return sum(row.attempt_count < attempts[row.id] for row in _locked_rows(tx, list(attempts)))


def _locked_rows(tx: Transaction, schedule_ids: Sequence[int]) -> list[Row]:
    wanted = [[schedule_id] for schedule_id in schedule_ids]
    return tx.by_keys(NotifySchedule, [NotifySchedule.id], wanted, columns=_READ, lock=True)
