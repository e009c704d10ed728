"""The ledger of attempts: one row for each, numbered over requeues, with the last word of what came of it (SPEC 2)."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from core.outbox.lease import ClaimedRow
from core.outbox.tables import ATTEMPT_KEY, NotifyAttempt
from core.rules.limits import clean_text
from core.rules.outcome import OK, UNKNOWN, Delivered, Outcome, Refused, TryAgain
from core.store.transaction import Row, Transaction


def write(tx: Transaction, attempts: Sequence[tuple[ClaimedRow, Outcome]]) -> None:
    """Write what came of attempts that were held until now: nobody has noted anything of them."""
    tx.insert(NotifyAttempt, [_entry(tx, row, outcome) for row, outcome in attempts])


def write_late(tx: Transaction, attempts: Sequence[tuple[ClaimedRow, Outcome]]) -> None:
    """Write what came of attempts whose lease was over. It takes the place of a note that nothing was known of one."""
    entries = [_entry(tx, row, outcome) for row, outcome in attempts]
    if tx.insert_new(NotifyAttempt, entries, key=ATTEMPT_KEY) == len(entries):
        return
    for entry in entries:
        same = (NotifyAttempt.schedule_id == entry["schedule_id"]) & (NotifyAttempt.number == entry["number"])
        tx.change(NotifyAttempt.update(**entry).where(same))


def written_before(tx: Transaction, attempts: Sequence[tuple[ClaimedRow, Outcome]]) -> int:
    """How many of these attempts an earlier run of this transaction has written after all."""
    if not tx.is_rerun:
        return 0
    entries = {(entry["schedule_id"], entry["number"]): entry for entry in (_entry(tx, *each) for each in attempts)}
    found = tx.by_keys(NotifyAttempt, ATTEMPT_KEY, list(entries))
    return sum(_says(row, entries[row.schedule_id, row.number]) for row in found)


def _says(row: Row, entry: Mapping[str, object]) -> bool:
    return all(getattr(row, name) == entry[name] for name in ("code", "message", "made_by"))


def note_unknown(tx: Transaction, attempts: Sequence[tuple[Row, str]]) -> None:
    """Note of the attempts that these `notify_schedule` rows are claimed for that nothing is known of them, and why.

    What is already written of an attempt stays.
    """
    tx.insert_new(
        NotifyAttempt,
        [
            {
                "schedule_id": row.id,
                "number": row.attempt_count,
                "start_time": row.claim_time,
                "finish_time": tx.now,
                "code": UNKNOWN,
                "message": why,
                "made_by": row.claimed_by,
            }
            for row, why in attempts
        ],
        key=ATTEMPT_KEY,
    )


def _entry(tx: Transaction, row: ClaimedRow, outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Delivered():
            code, message = OK, outcome.disposition.name
        case TryAgain() | Refused():
            code, message = outcome.code, clean_text(outcome.message)
        case _:
            assert_never(outcome)
    return {
        "schedule_id": row.schedule_id,
        "number": row.attempt,
        "start_time": row.claim_time,
        "finish_time": tx.now,
        "code": code,
        "message": message,
        "made_by": row.lease.holder,
    }
