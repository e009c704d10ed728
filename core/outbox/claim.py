"""Claiming due rows of one target for one worker (SPEC 8).

Owns which rows a call may carry. A row whose lease lapsed is simply due again: whoever claims next notes the lapse, and
there is no rescue job that could itself get stuck.
"""

from collections.abc import Sequence
from typing import Any

from peewee import Value, fn

from core.outbox.breaker import admit
from core.outbox.clock_guard import LARGEST_JUMP
from core.outbox.lapse import lapse_failure, last_told, note_lapses, release_alone
from core.outbox.lease import Claim, Lease, claimed_row
from core.outbox.policy import OutboxPolicy
from core.outbox.record import Recorded, give_up, retry_or_give_up
from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from core.rules.life_cycles import SCHEDULE
from core.store.transaction import Row, Transaction

RETRY = SCHEDULE.move(ScheduleStatus.NOTIFYING, "retry")

_READ = (
    NotifySchedule.id,
    NotifySchedule.payment_id,
    NotifySchedule.platform_id,
    NotifySchedule.payment_code,
    NotifySchedule.notify_url,
    NotifySchedule.notify_content,
    NotifySchedule.notify_status,
    NotifySchedule.give_up_time,
    NotifySchedule.notify_count,
    NotifySchedule.attempt_count,
    NotifySchedule.lapse_count,
    NotifySchedule.batch_limit,
    NotifySchedule.claim_token,
    NotifySchedule.claimed_by,
    NotifySchedule.claim_time,
    NotifySchedule.last_code,
    NotifySchedule.last_message,
    NotifySchedule.trace_context,
    NotifySchedule.create_time,
)
"""What claiming needs to know of a row; reading the rest would cost more than the claim."""


def claim(tx: Transaction, target: str, lease: Lease, policy: OutboxPolicy, recorded: Recorded) -> Claim | None:
    """Claim the next rows of `target`, in order of due time, or None when there is nothing to call it with.

    Lapsed leases found on the way are noted in the ledger; rows given up on the way are in `recorded.given_up`.
    """
    if target not in policy.targets:
        return None
    if tx.is_rerun and (mine := _rows_under(tx, target, lease)):
        return _as_claim(target, lease, mine)
    due = _within_budget(tx, _due_rows(tx, target, policy), policy, recorded)
    chosen = _that_may_share_a_call(_without_lapsed(tx, due, policy, recorded))
    admitted = admit(tx, target, policy, len(chosen)) if chosen else 0
    return _take(tx, target, lease, chosen[:admitted])


def _rows_under(tx: Transaction, target: str, lease: Lease) -> list[Row]:
    """What an earlier run of this transaction has claimed after all: its commit was unknown, and was durable."""
    return tx.rows(_notifying(target).where(NotifySchedule.claim_token == lease.token))


def _due_rows(tx: Transaction, target: str, policy: OutboxPolicy) -> list[Row]:
    """What is due; if nothing is, what waits for a time that a wrong clock has written."""
    # Hidden in a function, so that no planner enters by the index of give_up_time, where all that is unfinished lies.
    ends = NotifySchedule.give_up_time
    in_window = _notifying(target).where(fn.COALESCE(ends, ends) > Value(ends.db_value(tx.now)))
    due = _in_turn(tx, in_window.where(NotifySchedule.next_notify_time <= tx.now), policy)
    return due or _in_turn(tx, in_window.where(*_of_a_wrong_clock(tx, policy)), policy)


def _of_a_wrong_clock(tx: Transaction, policy: OutboxPolicy) -> Sequence[Any]:
    """The row was last changed in what is the future since the clock was set back, and waits longer than any wait."""
    return (
        NotifySchedule.next_notify_time > tx.now + policy.retry.longest_wait,
        NotifySchedule.update_time > tx.now + LARGEST_JUMP,
    )


def _in_turn(tx: Transaction, query: Any, policy: OutboxPolicy) -> list[Row]:
    in_turn = query.order_by(NotifySchedule.next_notify_time, NotifySchedule.id).limit(policy.batch_size)
    return tx.rows(in_turn, lock=True, skip_locked=True)


def _notifying(target: str) -> Any:
    return NotifySchedule.select(*_READ).where(
        NotifySchedule.notify_status == ScheduleStatus.NOTIFYING, NotifySchedule.notify_url == target
    )


def _within_budget(tx: Transaction, due: Sequence[Row], policy: OutboxPolicy, recorded: Recorded) -> list[Row]:
    """`due` without rows that had all their attempts: made due after the last one lapsed, or fewer are allowed now."""
    used_up = [row for row in due if row.claim_token is None and row.notify_count >= policy.retry.max_attempts]
    for row in used_up:
        code, message = last_told(row)
        give_up(tx, row, code, f"attempts used up: {message}", recorded)
    ids = {row.id for row in used_up}
    return [row for row in due if row.id not in ids]


def _without_lapsed(tx: Transaction, due: Sequence[Row], policy: OutboxPolicy, recorded: Recorded) -> list[Row]:
    """`due` as it is after every lapse in it was noted: alone the first time, in its turn of the list after that."""
    lapsed = [row for row in due if row.claim_token is not None]
    if not lapsed:
        return list(due)
    note_lapses(tx, lapsed)
    recorded.lapsed += len(lapsed)
    first = [row for row in lapsed if row.lapse_count == 0 and row.notify_count < policy.retry.max_attempts]
    release_alone(tx, first)
    first_ids = {row.id for row in first}
    retry_or_give_up(tx, [lapse_failure(row) for row in lapsed if row.id not in first_ids], policy, recorded)
    return [row for row in due if row.claim_token is None or row.id in first_ids]


def _that_may_share_a_call(rows: Sequence[Row]) -> list[Row]:
    """The first row and all after it that may share a call: each row's `batch_limit` holds; after a lapse, alone."""
    chosen: list[Row] = []
    limit = len(rows)
    for row in rows:
        alone = row.claim_token is not None
        with_row = 1 if alone else min(limit, row.batch_limit or limit)
        if len(chosen) < with_row:
            chosen.append(row)
            limit = with_row
    return chosen


def _take(tx: Transaction, target: str, lease: Lease, rows: Sequence[Row]) -> Claim | None:
    if not rows:
        return None
    changes = [
        {
            "id": row.id,
            "next_notify_time": tx.now + lease.length,
            "notify_count": row.notify_count + 1,
            "attempt_count": row.attempt_count + 1,
            "claim_token": lease.token,
            "claimed_by": lease.holder,
            "claim_time": tx.now,
            "update_time": tx.now,
        }
        for row in rows
    ]
    tx.compare_and_set(NotifySchedule.notify_status, RETRY, changes, key=NotifySchedule.id)
    return Claim(target, tuple(claimed_row(row, lease, row.attempt_count + 1, tx.now) for row in rows))


def _as_claim(target: str, lease: Lease, rows: Sequence[Row]) -> Claim:
    return Claim(target, tuple(claimed_row(row, lease, row.attempt_count, row.claim_time) for row in rows))
