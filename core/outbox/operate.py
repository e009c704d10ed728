"""What an operator does to schedules (SPEC 7): requeue, due now, reopen, another target, abandon.

Each act is audited in its own transaction, and none is done twice. Never decides by itself: a person asked for it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum

from core.outbox.lapse import after_lapse, note_lapses
from core.outbox.policy import OutboxPolicy
from core.outbox.read import ScheduleFilter
from core.outbox.record import UNCLAIMED
from core.outbox.tables import NotifySchedule, OperatorAction, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import NotAllowed, Precondition
from core.rules.life_cycles import RESULT, SCHEDULE
from core.store.transaction import LostRace, Row, Transaction


class Act(IntEnum):
    """What is asked for; the lower-case name stands in the audit."""

    REQUEUE = 1
    DUE_NOW = 2
    REOPEN = 3
    RESTORE = 4
    ABANDON = 5


EVENTS = {Act.REQUEUE: "requeue", Act.DUE_NOW: "retry", Act.REOPEN: "reopen", Act.ABANDON: "abandon"}
"""The life cycle's event of each act on a schedule that is there."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator's call. action_id: its own, so that a run whose commit was unknown is recognised.

    unchanged_since: leave alone what has changed since then. spread_over: how long until the last row is due.
    """

    act: Act
    operator: str
    reason: str
    notify_url: str | None = None
    unchanged_since: datetime | None = None
    spread_over: timedelta = timedelta(0)
    action_id: str = field(default_factory=lambda: secrets.token_hex(16))


def apply(tx: Transaction, row: Row, operation: Operation, policy: OutboxPolicy, delay: timedelta) -> None:
    """Do to this row, which the transaction holds, what the operator asked for, and record it.

    delay: from now until the row is due, if it is to be sent again.

    Raises:
        NotAllowed: the row's life cycle has no such event, a person has closed it, a worker holds it, or it has changed
            since the operator looked.
    """
    _require_unchanged(row, operation)
    if operation.act is Act.ABANDON:
        _abandon(tx, row, operation)
    else:
        _send_again(tx, row, operation, policy, delay)
    audit(tx, operation, [(row.platform_id, row.payment_code)])


def _require_unchanged(row: Row, operation: Operation) -> None:
    since = operation.unchanged_since
    if since is not None and row.update_time > since:
        message = f"has changed at {row.update_time.isoformat()}, after {since.isoformat()}"
        raise _not_allowed(row, "CHANGED_SINCE", "VERSION", message, "look again, then decide")


def _require_unheld(tx: Transaction, row: Row) -> None:
    """A worker's call may be under way."""
    if row.claim_token is not None and row.next_notify_time > tx.now:
        message = f"is being delivered by {row.claimed_by}; its lease ends at {row.next_notify_time.isoformat()}"
        raise _not_allowed(row, "CLAIMED", "LEASE", message, "wait until then")


def _not_allowed(row: Row, reason: str, kind: str, message: str, advice: str) -> NotAllowed:
    subject = f"{row.platform_id}/{row.payment_code}"
    return NotAllowed(
        f"the schedule {message}: {advice}", reason=reason, violations=[Precondition(kind, subject, message)]
    )


def _send_again(tx: Transaction, row: Row, operation: Operation, policy: OutboxPolicy, delay: timedelta) -> None:
    move = SCHEDULE.move(row.notify_status, EVENTS[operation.act])
    _require_unheld(tx, row)
    change = {"id": row.id, "next_notify_time": tx.now + delay, "update_time": tx.now, **UNCLAIMED}
    change |= _after_lapse(tx, row)
    if operation.notify_url is not None:
        change["notify_url"] = operation.notify_url
    if operation.act is not Act.DUE_NOW:
        change |= _fresh_budget(tx, policy)
    if operation.act is Act.REOPEN:
        change |= {"reopened_attempt": row.attempt_count, "last_code": None, "last_message": None}
    tx.compare_and_set(NotifySchedule.notify_status, move, [change], key=NotifySchedule.id)
    if operation.act is Act.REOPEN:
        reopen_results(tx, [row.payment_id])


def _abandon(tx: Transaction, row: Row, operation: Operation) -> None:
    """Close a row for good, unless a success that is still under way comes after all."""
    handled = {"handled_time": tx.now, "handled_by": operation.operator, "handled_reason": operation.reason}
    if row.notify_status == ScheduleStatus.FAILED:
        _close_given_up(tx, row, handled)
        return
    move = SCHEDULE.move(row.notify_status, EVENTS[Act.ABANDON])
    _require_unheld(tx, row)
    change = {"id": row.id, "update_time": tx.now, **handled, **_after_lapse(tx, row), **UNCLAIMED}
    tx.compare_and_set(NotifySchedule.notify_status, move, [change], key=NotifySchedule.id)


def _close_given_up(tx: Transaction, row: Row, handled: dict[str, object]) -> None:
    """It stays given up, so its life cycle does not move: a person has looked, that is all."""
    if row.handled_time is not None:
        message = f"was closed by {row.handled_by} at {row.handled_time.isoformat()}: {row.handled_reason}"
        raise _not_allowed(row, "ALREADY_HANDLED", "HANDLED", message, "requeue it, or leave it")
    open_row = (NotifySchedule.id == row.id) & (NotifySchedule.notify_status == ScheduleStatus.FAILED)
    unhandled = open_row & NotifySchedule.handled_time.is_null()
    if tx.change(NotifySchedule.update(update_time=tx.now, **handled).where(unhandled)) != 1:
        raise LostRace("abandon")


def _after_lapse(tx: Transaction, row: Row) -> dict[str, object]:
    """What a row keeps of a lease that lapsed unseen; nothing if there was none."""
    if row.claim_token is None:
        return {}
    note_lapses(tx, [row])
    return after_lapse(row)


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
                "notify_url": None,
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


def meant_by(act: Act, wanted: ScheduleFilter) -> ScheduleFilter:
    """The filter; where it names no status, narrowed to the schedules that the act is for.

    Those that a person has closed are only meant if they are asked for.
    """
    if wanted.status is not None:
        return wanted
    status = ScheduleStatus.FAILED if act is Act.ABANDON else _status_before(EVENTS[act])
    is_handled = False if status is ScheduleStatus.FAILED else None
    return replace(wanted, status=status, is_handled=is_handled)


def _status_before(event: str) -> ScheduleStatus:
    return next(ScheduleStatus(move.from_) for move in SCHEDULE.moves if move.event == event)
