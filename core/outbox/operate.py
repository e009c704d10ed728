"""What an operator does to schedules (SPEC 7): requeue, due now, reopen, another target.

Each act is audited in its own transaction, and none is done twice. Never decides by itself: a person asked for it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from core.outbox.lapse import after_lapse, note_lapses
from core.outbox.policy import OutboxPolicy
from core.outbox.record import UNCLAIMED
from core.outbox.tables import NotifySchedule, OperatorAction, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import NotAllowed, Precondition
from core.rules.life_cycles import RESULT, SCHEDULE, Move
from core.store.transaction import Row, Transaction


class Act(IntEnum):
    """What is asked for; the lower-case name stands in the audit."""

    REQUEUE = 1
    DUE_NOW = 2
    REOPEN = 3
    RESTORE = 4


EVENTS = {Act.REQUEUE: "requeue", Act.DUE_NOW: "retry", Act.REOPEN: "reopen"}
"""The life cycle's event of each act on a schedule that is there."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator's call. action_id: its own, so that a run whose commit was unknown is recognised."""

    act: Act
    operator: str
    reason: str
    notify_url: str | None = None
    action_id: str = field(default_factory=lambda: secrets.token_hex(16))


def move_of(tx: Transaction, row: Row, act: Act) -> Move:
    """The move the act makes of this row.

    Raises:
        NotAllowed: the life cycle has no such move, or a worker holds the row: its call may be under way.
    """
    move = SCHEDULE.move(row.notify_status, EVENTS[act])
    if row.claim_token is not None and row.next_notify_time > tx.now:
        message = f"is being delivered by {row.claimed_by}; its lease ends at {row.next_notify_time.isoformat()}"
        raise NotAllowed(
            f"the schedule {message}: wait until then",
            reason="CLAIMED",
            violations=[Precondition("LEASE", f"{row.platform_id}/{row.payment_code}", message)],
        )
    return move


def apply(tx: Transaction, row: Row, move: Move, operation: Operation, policy: OutboxPolicy) -> None:
    """Make the move true, and record who did it and why."""
    change = {"id": row.id, "next_notify_time": tx.now, "update_time": tx.now, **UNCLAIMED}
    if row.claim_token is not None:
        note_lapses(tx, [row])
        change |= after_lapse(row)
    if operation.notify_url is not None:
        change["notify_url"] = operation.notify_url
    if operation.act is not Act.DUE_NOW:
        change |= _fresh_budget(tx, policy)
    if operation.act is Act.REOPEN:
        change |= {"reopened_attempt": row.attempt_count, "last_code": None, "last_message": None}
    tx.compare_and_set(NotifySchedule.notify_status, move, [change], key=NotifySchedule.id)
    if operation.act is Act.REOPEN:
        reopen_results(tx, [row.payment_id])
    audit(tx, operation, [(row.platform_id, row.payment_code)])


def _fresh_budget(tx: Transaction, policy: OutboxPolicy) -> dict[str, object]:
    return {
        "notify_count": 0,
        "give_up_time": tx.now + policy.retry.window,
        "lapse_count": 0,
        "batch_limit": None,
        "handled_time": None,
        "handled_by": None,
        "handled_reason": None,
    }


def reopen_results(tx: Transaction, payment_ids: Sequence[int]) -> None:
    """Take back that the order side has these payments."""
    rows = tx.by_keys(PaymentResult, [PaymentResult.payment_id], [[id_] for id_ in payment_ids], lock=True)
    changes = [
        {"id": row.id, "disposition": None, "update_time": tx.now}
        for row in rows
        if row.notify_status == ResultStatus.NOTIFIED
    ]
    tx.compare_and_set(
        PaymentResult.notify_status, RESULT.move(ResultStatus.NOTIFIED, "reopen"), changes, key=PaymentResult.id
    )


def drop_notes(tx: Transaction, payment_ids: Sequence[int]) -> None:
    """Take back that a person had closed these payments undelivered: they have schedules again."""
    if payment_ids:
        tx.change(PaymentResult.update(handled_note=None).where(PaymentResult.payment_id.in_(payment_ids)))


def audit(tx: Transaction, operation: Operation, keys: Sequence[tuple[str, str]]) -> None:
    """Write who did what to these payments, and why (append-only)."""
    tx.insert(
        OperatorAction,
        [
            {
                "action_id": operation.action_id,
                "action": operation.act.name.lower(),
                "platform_id": platform_id,
                "payment_code": payment_code,
                "operator": operation.operator,
                "reason": operation.reason,
                "detail": f"notify_url={operation.notify_url}" if operation.notify_url else "",
                "create_time": tx.now,
            }
            for platform_id, payment_code in keys
        ],
    )


def already_done(tx: Transaction, operation: Operation) -> set[tuple[str, str]]:
    """The keys an earlier run of the same call has changed after all: its commit was unknown, and was durable."""
    if not tx.is_rerun:
        return set()
    rows = tx.rows(OperatorAction.select().where(OperatorAction.action_id == operation.action_id))
    return {(row.platform_id, row.payment_code) for row in rows}


def status_for(act: Act) -> ScheduleStatus:
    """The status of the schedules the act is for."""
    return next(move.from_ for move in SCHEDULE.moves if move.event == EVENTS[act])  # type: ignore[return-value]
