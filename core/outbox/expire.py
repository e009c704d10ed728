"""The expiry pass: no row is "being delivered" beyond its window, whatever its breaker or pause says (SPEC 7)."""

from core.outbox.lapse import last_told, note_lapses
from core.outbox.record import Recorded, give_up
from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from core.store.transaction import Transaction


def expire(tx: Transaction, limit: int) -> Recorded:
    """Give up at most `limit` rows past their give_up_time that nobody holds."""
    nobody_holds = NotifySchedule.claim_token.is_null() | (NotifySchedule.next_notify_time <= tx.now)
    query = (
        NotifySchedule.select()
        .where(
            NotifySchedule.notify_status == ScheduleStatus.NOTIFYING,
            NotifySchedule.give_up_time <= tx.now,
            nobody_holds,
        )
        .order_by(NotifySchedule.give_up_time)
        .limit(limit)
    )
    expired = tx.rows(query, lock=True, skip_locked=True)
    note_lapses(tx, [row for row in expired if row.claim_token is not None])
    recorded = Recorded()
    for row in expired:
        code, message = last_told(row)
        give_up(tx, row, code, f"window used up: {message}", recorded)
    return recorded
