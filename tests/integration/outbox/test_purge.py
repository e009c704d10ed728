"""Invariant 9: only finished schedules older than the retention go, and their attempts; never a record of money."""

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core.outbox.operate import Act
from core.outbox.purge import Stretch, purge
from core.outbox.tables import NotifyAttempt, NotifySchedule, OperatorAction, PaymentResult
from core.rules.codes import ResultStatus
from core.rules.errors import Contended
from core.store.database import Database
from core.store.dialect.sqlite import Sqlite
from core.store.transaction import Transaction
from payment_server.tables import Payment
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import APPLIED, MOMENT, REFUSAL, SILENCE, Outbox, numbers
from tests.support.rows import HANDLED

RETENTION = timedelta(days=30)
DAY = timedelta(days=1)


def _purge(outbox: Outbox, after_id: int = 0, limit: int = 100) -> Stretch:
    return outbox.database.transact(lambda tx: purge(tx, tx.now - RETENTION, after_id, limit))


def _left(outbox: Outbox) -> list[int]:
    return [row.payment_id for row in outbox.rows()]


def _count(outbox: Outbox, model: Any) -> int:
    return outbox.database.read(lambda tx: tx.count(model.select()))


def _deliver(outbox: Outbox, count: int) -> None:
    outbox.add(count)
    outbox.record(outbox.claimed(), APPLIED)


def _close(outbox: Outbox, number: int = 1) -> None:
    outbox.record(outbox.claimed(), {number: REFUSAL})
    outbox.set(number, **HANDLED)


def test_what_was_delivered_goes_with_its_attempts_after_the_retention_and_no_sooner(outbox: Outbox) -> None:
    _deliver(outbox, 3)
    outbox.clock.advance(RETENTION)
    assert _purge(outbox) == Stretch(3, 0, None)

    outbox.clock.advance(MOMENT)
    assert _purge(outbox) == Stretch(3, 3, None)
    assert (_left(outbox), _count(outbox, NotifyAttempt)) == ([], 0)


def test_no_record_of_money_goes(outbox: Outbox) -> None:
    _deliver(outbox, 3)
    outbox.add()
    outbox.record(outbox.claimed(), REFUSAL)
    outbox.operate(Act.REQUEUE, 4)
    outbox.clock.advance(RETENTION + DAY)
    _purge(outbox)

    assert (_count(outbox, Payment), _count(outbox, PaymentResult), _count(outbox, OperatorAction)) == (4, 4, 1)
    assert {outbox.result(number).notify_status for number in (1, 2, 3)} == {ResultStatus.NOTIFIED}


def test_what_is_not_finished_stays_however_old(outbox: Outbox) -> None:
    outbox.add(3)
    outbox.record(outbox.claimed(), {1: SILENCE, 2: REFUSAL})
    outbox.clock.advance(timedelta(days=3_000))

    assert _purge(outbox) == Stretch(3, 0, None)
    assert (_left(outbox), _count(outbox, NotifyAttempt)) == ([1, 2, 3], 2)


def test_what_a_person_closed_goes_and_its_payment_says_who_and_why(outbox: Outbox) -> None:
    outbox.add()
    _close(outbox)
    outbox.clock.advance(RETENTION + DAY)

    assert _purge(outbox).purged == 1
    result = outbox.result()
    assert (result.notify_status, result.disposition) == (ResultStatus.UNNOTIFIED, None)
    assert result.handled_note == "closed by anna at 2026-03-01T12:00:00+00:00: looked at it"


def test_a_success_that_its_payment_does_not_know_of_is_left_for_reconcile(outbox: Outbox) -> None:
    _deliver(outbox, 2)
    unknown = PaymentResult.update(notify_status=ResultStatus.UNNOTIFIED, disposition=None)
    outbox.database.transact(lambda tx: tx.change(unknown.where(PaymentResult.payment_id == 1)))
    outbox.clock.advance(RETENTION + DAY)

    assert _purge(outbox).purged == 1
    assert _left(outbox) == [1]


def test_the_age_counts_from_the_last_change(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), REFUSAL)
    outbox.clock.advance(RETENTION)
    outbox.operate(Act.REQUEUE, 1)
    outbox.record(outbox.claimed(), APPLIED)
    outbox.clock.advance(RETENTION)

    assert _purge(outbox).purged == 0
    outbox.clock.advance(MOMENT)
    assert _purge(outbox).purged == 1


def test_a_walk_goes_on_in_batches_and_ends_at_the_first_young_row(outbox: Outbox) -> None:
    _deliver(outbox, 5)
    outbox.clock.advance(RETENTION + DAY)
    _deliver(outbox, 5)

    stretches = [_purge(outbox, limit=2)]
    while last := stretches[-1].last:
        stretches.append(_purge(outbox, last, limit=2))

    assert [(stretch.looked_at, stretch.purged) for stretch in stretches] == [(2, 2), (2, 2), (2, 1)]
    assert _left(outbox) == [6, 7, 8, 9, 10]


def test_rows_of_a_clock_that_was_ahead_do_not_end_the_walk(outbox: Outbox) -> None:
    start = outbox.clock.now()
    outbox.clock.set_wall_clock(start + timedelta(days=365))
    _deliver(outbox, 2)
    outbox.clock.set_wall_clock(start)
    _deliver(outbox, 2)
    outbox.clock.advance(RETENTION + DAY)

    assert _purge(outbox, limit=2).last is not None
    assert _purge(outbox, 2, limit=2).purged == 2
    assert _left(outbox) == [1, 2]


@pytest.mark.parametrize(("way", "left"), [(LOST, [3, 4]), (DURABLE, [])])
def test_a_batch_whose_commit_raised_is_run_again_on_what_is_there(
    outbox: Outbox, way: Commit, left: list[int]
) -> None:
    _deliver(outbox, 4)
    outbox.clock.advance(RETENTION + DAY)
    with commits(outbox.database, [way]):
        assert _purge(outbox, limit=2).purged == 2

    assert (_left(outbox), _count(outbox, NotifyAttempt)) == (left, len(left))


def test_a_crash_in_the_middle_leaves_schedules_with_all_their_attempts(outbox: Outbox) -> None:
    _deliver(outbox, 3)
    outbox.clock.advance(RETENTION + DAY)

    class Crashed(Exception):
        pass

    def crash(tx: Transaction) -> None:
        purge(tx, tx.now - RETENTION, 0, 100)
        raise Crashed

    with pytest.raises(Crashed):
        outbox.database.transact(crash)
    assert (_left(outbox), _count(outbox, NotifyAttempt)) == ([1, 2, 3], 3)


def test_a_row_that_somebody_holds_is_left_and_never_waited_for(outbox: Outbox) -> None:
    if isinstance(outbox.database.dialect, Sqlite):
        pytest.skip("a writer is alone on SQLite")
    _deliver(outbox, 3)
    outbox.clock.advance(RETENTION + DAY)

    def hold_one(tx: Transaction) -> int:
        tx.by_keys(NotifySchedule, [NotifySchedule.payment_id], [[2]], lock=True)
        return _in_thread(lambda: _purge(outbox).purged)

    assert outbox.database.transact(hold_one) == 2
    assert _left(outbox) == [2]


def test_a_closed_row_that_is_requeued_meanwhile_stays(outbox: Outbox, payment_database: Database) -> None:
    outbox.add(2)
    outbox.record(outbox.claimed(), REFUSAL)
    outbox.set(1, **HANDLED)
    outbox.set(2, **HANDLED)
    outbox.clock.advance(RETENTION + DAY)
    outbox.operate(Act.REQUEUE, 1)

    assert _purge(outbox).purged == 1
    assert numbers(outbox.claim()) == [1]


def test_purgers_and_claims_at_the_same_time_purge_each_row_once_and_no_unfinished_one(outbox: Outbox) -> None:
    _deliver(outbox, 60)
    outbox.clock.advance(RETENTION + DAY)
    outbox.add(60)
    purged: list[int] = []
    barrier = threading.Barrier(4)

    def walk() -> None:
        barrier.wait()
        after: int | None = 0
        while after is not None:
            # Others were faster at every try: a pass comes again.
            with contextlib.suppress(Contended):
                stretch = _purge(outbox, after, limit=7)
                purged.append(stretch.purged)
                after = stretch.last

    def deliver() -> None:
        barrier.wait()
        while claimed := outbox.claim():
            outbox.record(claimed, APPLIED)

    threads = [threading.Thread(target=work) for work in (walk, walk, walk, deliver)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(purged) == 60
    assert _left(outbox) == list(range(61, 121))
    assert {row.claim_token for row in outbox.rows()} == {None}


def test_a_success_that_comes_after_the_purge_changes_nothing(outbox: Outbox) -> None:
    claimed = outbox.add_claimed()
    outbox.record(claimed, APPLIED)
    outbox.clock.advance(RETENTION + DAY)
    _purge(outbox)

    assert outbox.record(claimed, APPLIED).acknowledged == 0
    assert outbox.result().notify_status == ResultStatus.NOTIFIED


def _in_thread(work: Callable[[], int]) -> int:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]
