"""The receivers as an operator sees them (SPEC 7, 9): backlogs, breakers, and pausing one.

Owns the pause columns of `notify_target`. Never touches a breaker, and never a schedule.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from peewee import Case, fn

from core.outbox.breaker import ensure_targets
from core.outbox.tables import NotifySchedule, NotifyTarget, OperatorAction
from core.rules.codes import BreakerState, ScheduleStatus
from core.rules.errors import NotAllowed, NotFound, Precondition
from core.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver. row: of `notify_target`; None if nothing was sent to it yet.

    backlog: schedules being delivered. due: those of them whose time has come and that nobody holds. oldest: when the
    first of them was inserted. given_up: schedules that wait for a person.
    """

    notify_url: str
    is_allowed: bool
    row: Row | None
    backlog: int = 0
    due: int = 0
    oldest: datetime | None = None
    given_up: int = 0

    @property
    def breaker_state(self) -> BreakerState:
        """CLOSED until it was ever in trouble."""
        return self.row.breaker_state if self.row is not None else BreakerState.CLOSED


@dataclass(frozen=True, slots=True)
class TargetOperation:
    """One operator's call about a target. action_id: its own, so that a run whose commit was unknown is recognised."""

    notify_url: str
    operator: str
    reason: str
    action_id: str = field(default_factory=lambda: secrets.token_hex(16))


def target_row(tx: Transaction, notify_url: str, *, lock: bool = False) -> Row | None:
    """The row of a target, or None if nothing was ever sent to it."""
    return tx.row(NotifyTarget.select().where(NotifyTarget.notify_url == notify_url), lock=lock)


def targets(tx: Transaction, allowed: Iterable[str]) -> list[Target]:
    """Every target of the allow-list, and every other that was ever used, by address."""
    allow_list, rows = set(allowed), {row.notify_url: row for row in tx.rows(NotifyTarget.select())}
    backlogs, given_up = _backlogs(tx), _given_up(tx)
    return [
        Target(
            url,
            url in allow_list,
            rows.get(url),
            **backlogs.get(url, {}),
            given_up=given_up.get(url, 0),
        )
        for url in sorted(allow_list | set(rows) | set(backlogs) | set(given_up))
    ]


def pause(tx: Transaction, operation: TargetOperation, allowed: Iterable[str]) -> None:
    """Let nothing of this target be claimed until it is resumed.

    Raises:
        NotFound: neither is it on the allow-list nor was it ever used.
        NotAllowed: it is paused already.
    """
    row = _known(tx, operation, allowed)
    if row.paused_time is not None and not _is_done(tx, operation):
        told = f"is paused since {row.paused_time.isoformat()} by {row.paused_by}: {row.paused_reason}"
        raise _not_allowed(operation, "TARGET_PAUSED", told)
    paused = {"paused_time": tx.now, "paused_by": operation.operator, "paused_reason": operation.reason}
    _set(tx, operation, "pause_target", paused)


def resume(tx: Transaction, operation: TargetOperation, allowed: Iterable[str]) -> None:
    """Let its rows be claimed again.

    Raises:
        NotFound: neither is it on the allow-list nor was it ever used.
        NotAllowed: it is not paused.
    """
    row = _known(tx, operation, allowed)
    if row.paused_time is None and not _is_done(tx, operation):
        raise _not_allowed(operation, "TARGET_NOT_PAUSED", "is not paused")
    _set(tx, operation, "resume_target", {"paused_time": None, "paused_by": None, "paused_reason": None})


def _backlogs(tx: Transaction) -> Mapping[str, Mapping[str, Any]]:
    table = NotifySchedule
    due = Case(None, [(table.next_notify_time <= tx.now, 1)], 0)
    query = (
        table.select(
            table.notify_url,
            fn.COUNT(table.id).alias("backlog"),
            fn.SUM(due).alias("due"),
            fn.MIN(table.create_time).alias("oldest"),
        )
        .where(table.notify_status == ScheduleStatus.NOTIFYING)
        .group_by(table.notify_url)
    )
    read_time = table.create_time.python_value
    return {
        row.notify_url: {"backlog": int(row.backlog), "due": int(row.due), "oldest": read_time(row.oldest)}
        for row in tx.rows(query)
    }


def _given_up(tx: Transaction) -> Mapping[str, int]:
    table = NotifySchedule
    query = (
        table.select(table.notify_url, fn.COUNT(table.id).alias("given_up"))
        .where(table.notify_status == ScheduleStatus.FAILED, table.handled_time.is_null())
        .group_by(table.notify_url)
    )
    return {row.notify_url: int(row.given_up) for row in tx.rows(query)}


def _known(tx: Transaction, operation: TargetOperation, allowed: Iterable[str]) -> Row:
    if operation.notify_url in set(allowed):
        ensure_targets(tx, [operation.notify_url])
    row = target_row(tx, operation.notify_url, lock=True)
    if row is None:
        told = f"{operation.notify_url} is neither on the allow-list nor was anything ever sent to it"
        raise NotFound(told, reason="NOTIFY_TARGET_NOT_FOUND")
    return row


def _not_allowed(operation: TargetOperation, reason: str, told: str) -> NotAllowed:
    violations = [Precondition("PAUSE", operation.notify_url, told)]
    return NotAllowed(f"{operation.notify_url} {told}", reason=reason, violations=violations)


def _is_done(tx: Transaction, operation: TargetOperation) -> bool:
    """Whether an earlier run of the same call has done it after all: its commit was unknown, and was durable."""
    mine = OperatorAction.select().where(OperatorAction.action_id == operation.action_id)
    return tx.is_rerun and tx.row(mine) is not None


def _set(tx: Transaction, operation: TargetOperation, action: str, columns: Mapping[str, Any]) -> None:
    if _is_done(tx, operation):
        return
    tx.change(NotifyTarget.update(**columns).where(NotifyTarget.notify_url == operation.notify_url))
    entry: Sequence[Mapping[str, Any]] = [
        {
            "action_id": operation.action_id,
            "action": action,
            "platform_id": None,
            "payment_code": None,
            "notify_url": operation.notify_url,
            "operator": operation.operator,
            "reason": operation.reason,
            "detail": "",
            "create_time": tx.now,
        }
    ]
    tx.insert(OperatorAction, entry)
