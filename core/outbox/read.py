"""Looking at the outbox: one schedule, its attempts, lists and backlogs. Never writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.outbox.tables import NotifyAttempt, NotifySchedule
from core.rules.codes import ScheduleStatus
from core.store.paging import Page, PageRequest, narrowed, newest_first
from core.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class ScheduleFilter:
    """Which schedules. What is None does not filter; `…_after` includes its instant, `…_before` does not."""

    status: ScheduleStatus | None = None
    notify_url: str | None = None
    order_no: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    due_before: datetime | None = None
    is_handled: bool | None = None


def schedule(tx: Transaction, platform_id: str, payment_code: str) -> Row | None:
    """The schedule of one payment, or None."""
    rows = schedules(tx, [(platform_id, payment_code)])
    return rows[0] if rows else None


def schedules(tx: Transaction, keys: Sequence[tuple[str, str]], *, lock: bool = False) -> list[Row]:
    """The schedules of these payments, as far as there are any.

    With `lock`, they are locked in the order of their ids, as everything locks them.
    """
    own_keys = [NotifySchedule.platform_id, NotifySchedule.payment_code]
    if not lock:
        return tx.by_keys(NotifySchedule, own_keys, keys)
    found = tx.by_keys(NotifySchedule, own_keys, keys, columns=[NotifySchedule.id])
    return tx.by_keys(NotifySchedule, [NotifySchedule.id], [[row.id] for row in found], lock=True)


def attempts(tx: Transaction, schedule_id: int) -> list[Row]:
    """The ledger of one schedule, the first attempt first."""
    return tx.rows(
        NotifyAttempt.select().where(NotifyAttempt.schedule_id == schedule_id).order_by(NotifyAttempt.number)
    )


def newest_schedules(tx: Transaction, wanted: ScheduleFilter, page: PageRequest) -> Page[Row]:
    """A page of schedules, newest first."""
    return newest_first(tx, NotifySchedule, narrowed(NotifySchedule.select(), *_filters(wanted)), page)


def oldest_schedules(tx: Transaction, wanted: ScheduleFilter, limit: int) -> list[Row]:
    """The first `limit` schedules, held until the transaction ends."""
    query = narrowed(NotifySchedule.select(), *_filters(wanted)).order_by(NotifySchedule.id).limit(limit)
    return tx.rows(query, lock=True)


def _filters(wanted: ScheduleFilter) -> list[tuple[Any, Any]]:
    table = NotifySchedule
    return [
        (wanted.status, table.notify_status == wanted.status),
        (wanted.notify_url, table.notify_url == wanted.notify_url),
        (wanted.order_no, table.order_no == wanted.order_no),
        (wanted.created_after, table.create_time >= wanted.created_after),
        (wanted.created_before, table.create_time < wanted.created_before),
        (wanted.due_before, table.next_notify_time < wanted.due_before),
        (wanted.is_handled, table.handled_time.is_null(not wanted.is_handled)),
    ]
