"""Purging finished schedules and their attempts after the retention (SPEC 2, 7). Never a record of money.

A walk along the ids, in bounded batches, needs no index of its own: what is old enough lies at its beginning, and it
ends at the first row that is too young for anything after it to be old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.outbox.clock_guard import LARGEST_JUMP
from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Stretch:
    """One batch of a walk. looked_at: rows it went past. purged: of these. last: the last one's id, None at the end."""

    looked_at: int = 0
    purged: int = 0
    last: int | None = None


def purge(tx: Transaction, before: datetime, after_id: int, limit: int) -> Stretch:
    """Go past `limit` rows after `after_id`, and purge those that are finished and were last changed before `before`.

    What somebody else holds is left for the next walk. A schedule that a person closed leaves a note with its result.
    """
    rows = tx.rows(_walked().where(NotifySchedule.id > after_id).order_by(NotifySchedule.id).limit(limit))
    purged = _purge(tx, [row.id for row in rows if _may_go(row, before)], before)
    is_over = len(rows) < limit or before <= rows[-1].create_time <= tx.now + LARGEST_JUMP
    return Stretch(len(rows), purged, None if is_over else rows[-1].id)


def newest_write(tx: Transaction) -> datetime | None:
    """When the newest schedule was written or changed; None if there is none."""
    row = tx.row(_walked().order_by(NotifySchedule.id.desc()))
    return row.update_time if row else None


def _walked() -> Any:
    table = NotifySchedule
    return table.select(table.id, table.notify_status, table.create_time, table.update_time, table.handled_time)


def _may_go(row: Row, before: datetime) -> bool:
    """Whether a row that is not held looks as if it could go; what holds is asked again under its lock."""
    is_closed = row.notify_status == ScheduleStatus.FAILED and row.handled_time is not None
    return row.update_time < before and (row.notify_status == ScheduleStatus.SUCCESS or is_closed)


def _purge(tx: Transaction, ids: Sequence[int], before: datetime) -> int:
    held = _held(tx, ids, before) if ids else []
    results = tx.by_keys(PaymentResult, [PaymentResult.payment_id], [[row.payment_id] for row in held])
    delivered = {result.payment_id for result in results if result.notify_status == ResultStatus.NOTIFIED}
    closed = [row for row in held if row.notify_status == ScheduleStatus.FAILED]
    # A success that its payment does not know of is a fault for reconcile to name, and stays.
    gone = [row.id for row in held if row.notify_status == ScheduleStatus.FAILED or row.payment_id in delivered]
    _keep_notes(tx, closed)
    if gone:
        tx.change(NotifyAttempt.delete().where(NotifyAttempt.schedule_id.in_(gone)))
        tx.change(NotifySchedule.delete().where(NotifySchedule.id.in_(gone)))
    return len(gone)


def _held(tx: Transaction, ids: Sequence[int], before: datetime) -> list[Row]:
    """Those of the rows that can go, held: none of them is requeued or reopened any more."""
    table = NotifySchedule
    closed = (table.notify_status == ScheduleStatus.FAILED) & table.handled_time.is_null(False)
    query = table.select(
        table.id, table.payment_id, table.notify_status, table.handled_time, table.handled_by, table.handled_reason
    ).where(table.id.in_(ids), table.update_time < before, (table.notify_status == ScheduleStatus.SUCCESS) | closed)
    return tx.rows(query.order_by(table.id), lock=True, skip_locked=True)


def _keep_notes(tx: Transaction, closed: Sequence[Row]) -> None:
    """Without its schedule, the payment itself says why the order side was never told (SPEC: open with the reason)."""
    for row in closed:
        note = f"closed by {row.handled_by} at {row.handled_time.isoformat(timespec='seconds')}: {row.handled_reason}"
        undelivered = (PaymentResult.payment_id == row.payment_id) & PaymentResult.disposition.is_null()
        tx.change(PaymentResult.update(handled_note=note).where(undelivered))
