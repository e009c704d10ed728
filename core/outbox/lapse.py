"""Leases that ended without a result (SPEC 2, 7): the holder died, or was too slow. Owns how a lapse is noted."""

from collections.abc import Sequence

from core.outbox import ledger
from core.outbox.record import UNCLAIMED, Failure
from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from core.rules.life_cycles import SCHEDULE
from core.rules.outcome import UNKNOWN, TryAgain
from core.store.transaction import Row, Transaction


def note_lapses(tx: Transaction, rows: Sequence[Row]) -> None:
    """Give each attempt whose lease lapsed its row in the ledger: what came of it is unknown."""
    ledger.note_unknown(tx, [(row, _message(row)) for row in rows])


def release_alone(tx: Transaction, rows: Sequence[Row]) -> None:
    """After a first lapse: due at once, but in a call of its own."""
    changes = [
        {"id": row.id, "next_notify_time": tx.now, "update_time": tx.now, **after_lapse(row), **UNCLAIMED}
        for row in rows
    ]
    move = SCHEDULE.move(ScheduleStatus.NOTIFYING, "retry")
    tx.compare_and_set(NotifySchedule.notify_status, move, changes, key=NotifySchedule.id)


def after_lapse(row: Row) -> dict[str, object]:
    """What a row keeps of a lapse. It is claimed alone from here on, since it may be what killed its sender."""
    return {
        "last_code": UNKNOWN,
        "last_message": _message(row),
        "lapse_count": row.lapse_count + 1,
        "batch_limit": 1,
    }


def lapse_failure(row: Row) -> Failure:
    """A lapse as a failed attempt: the row waits its turn of the list, alone, or is given up."""
    return Failure(row, TryAgain(UNKNOWN, _message(row), batch_limit=1), lapses=row.lapse_count + 1)


def last_told(row: Row) -> tuple[int, str]:
    """The code and the words of the row's last attempt."""
    if row.claim_token is not None:
        return UNKNOWN, _message(row)
    return UNKNOWN if row.last_code is None else row.last_code, row.last_message or "never tried"


def _message(row: Row) -> str:
    return f"lease lapsed: {row.claimed_by} recorded no result"
