from datetime import timedelta

import pytest

from core.outbox.operate import Act
from core.rules.codes import Disposition, ResultStatus, ScheduleStatus
from core.rules.outcome import OK, RESOURCE_EXHAUSTED, UNAVAILABLE, UNKNOWN, Delivered, Outcome, TryAgain
from tests.support.clock import START
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import APPLIED, LEASE, REFUSAL, SILENCE, WAITS, Outbox, numbers, whole_call_failed
from tests.support.rows import HANDLED

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("disposition", Disposition)
def test_a_delivery_acknowledges_the_schedule_and_the_result_with_its_disposition(
    outbox: Outbox, disposition: Disposition
) -> None:
    outbox.add()
    claimed = outbox.claimed(holder="scheduler@b")
    outbox.clock.advance(SECOND)
    recorded = outbox.record(claimed, Delivered(disposition))
    row, result, (attempt,) = outbox.row(), outbox.result(), outbox.ledger()

    assert recorded.acknowledged == 1
    assert (row.notify_status, row.last_code, row.claim_token, row.claimed_by) == (SUCCESS, OK, None, None)
    assert (result.notify_status, result.disposition) == (ResultStatus.NOTIFIED, disposition)
    assert (attempt.number, attempt.code, attempt.message) == (1, OK, disposition.name)
    assert (attempt.start_time, attempt.finish_time, attempt.made_by) == (START, START + SECOND, "scheduler@b")


def test_a_failure_is_tried_again_after_its_wait_and_written_down(outbox: Outbox) -> None:
    outbox.add()
    recorded = outbox.record(outbox.claimed(), TryAgain(UNAVAILABLE, "connection reset"))
    row, (attempt,) = outbox.row(), outbox.ledger()

    assert (recorded.retried, recorded.acknowledged, recorded.given_up) == (1, 0, [])
    assert (row.notify_status, row.next_notify_time) == (NOTIFYING, START + WAITS[0])
    assert (row.last_code, row.last_message, row.claim_token) == (UNAVAILABLE, "connection reset", None)
    assert (row.notify_count, row.attempt_count) == (1, 1)
    assert (attempt.code, attempt.message) == (UNAVAILABLE, "connection reset")
    assert outbox.result().notify_status == ResultStatus.UNNOTIFIED


def test_the_waits_follow_the_timetable_to_its_end(outbox: Outbox) -> None:
    outbox.add()
    waits = []
    for _ in WAITS:
        outbox.fail()
        waits.append(outbox.row().next_notify_time - outbox.clock.now())

    assert tuple(waits) == WAITS
    assert [attempt.number for attempt in outbox.ledger()] == list(range(1, 10))


def test_a_wait_the_receiver_asked_for_replaces_a_shorter_one(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), TryAgain(RESOURCE_EXHAUSTED, "later", wait=timedelta(minutes=2)))

    assert outbox.row().next_notify_time == START + timedelta(minutes=2)


def test_what_a_receiver_says_can_not_break_the_failures_write(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), TryAgain(UNKNOWN, "\0a\ud800" + "字" * 5_000, wait=timedelta.max))
    row, (attempt,) = outbox.row(), outbox.ledger()

    assert row.next_notify_time == row.give_up_time
    for text in (row.last_message, attempt.message):
        assert text.startswith(" a 字")
        assert len(text.encode()) <= 2_048


def test_each_row_of_a_batch_has_an_outcome_of_its_own(outbox: Outbox) -> None:
    outbox.add(4)
    recorded = outbox.record(outbox.claimed(), {1: APPLIED, 2: SILENCE, 3: REFUSAL})

    assert (recorded.acknowledged, recorded.retried, len(recorded.given_up), recorded.stale) == (1, 1, 1, 0)
    assert [row.notify_status for row in outbox.rows()] == [SUCCESS, NOTIFYING, FAILED, NOTIFYING]
    assert [len(outbox.ledger(number)) for number in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert outbox.row(4).claim_token is not None


def test_recording_nothing_changes_nothing(outbox: Outbox) -> None:
    outbox.add()
    claimed = outbox.claimed()
    before = outbox.row()

    outbox.record(claimed, {})
    assert outbox.row() == before


def test_the_failure_of_a_worker_that_woke_up_too_late_changes_nothing_and_is_counted(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    outbox.claimed(holder="quick")
    before, ledger = outbox.row(), outbox.ledger()

    for outcome in (SILENCE, REFUSAL):
        recorded = outbox.record(late, outcome)
        assert (recorded.stale, recorded.retried, recorded.given_up) == (1, 0, [])
    assert outbox.row() == before
    assert outbox.ledger() == ledger


def test_a_late_failure_is_the_holders_own_as_long_as_nobody_took_over(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed()
    outbox.clock.advance(LEASE * 10)

    assert outbox.record(late, SILENCE).retried == 1
    assert outbox.row().next_notify_time == START + LEASE * 10 + WAITS[0]


def test_a_late_success_is_a_fact_and_ends_what_another_has_begun(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    quick = outbox.claimed(holder="quick")

    assert outbox.record(late, APPLIED).acknowledged == 1
    assert (outbox.row().notify_status, outbox.row().claim_token) == (SUCCESS, None)
    assert outbox.result().notify_status == ResultStatus.NOTIFIED
    assert outbox.record(quick, SILENCE).stale == 1
    assert outbox.row().notify_status == SUCCESS


def test_the_success_of_both_is_taken_down_and_the_first_disposition_stays(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    quick = outbox.claimed(holder="quick")

    assert outbox.record(quick, APPLIED).acknowledged == 1
    assert outbox.record(late, APPLIED).acknowledged == 0
    assert outbox.result().disposition == Disposition.APPLIED
    assert [(a.number, a.code, a.made_by) for a in outbox.ledger()] == [(1, OK, "late"), (2, OK, "quick")]


def test_what_came_of_a_lapsed_attempt_replaces_the_note_of_its_lapse(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    outbox.claimed(holder="quick")
    assert [(a.number, a.code) for a in outbox.ledger()] == [(1, UNKNOWN)]

    outbox.record(late, APPLIED)
    assert outbox.ledger()[0][3:] == (START, START + LEASE, OK, "APPLIED", "late")


def test_an_attempt_that_a_late_success_has_overtaken_is_in_the_ledger_too(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    quick = outbox.claimed(holder="quick")
    outbox.record(late, APPLIED)
    assert [(a.number, a.code, a.made_by) for a in outbox.ledger()] == [(1, OK, "late"), (2, UNKNOWN, "quick")]

    outbox.record(quick, SILENCE)
    assert [(a.number, a.code) for a in outbox.ledger()] == [(1, OK), (2, UNKNOWN)]
    outbox.record(quick, APPLIED)
    assert [(a.number, a.code) for a in outbox.ledger()] == [(1, OK), (2, OK)]


def test_a_success_brought_late_to_a_row_that_was_given_up_acknowledges_it(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed()
    outbox.clock.advance(outbox.row().give_up_time - START)
    assert len(outbox.expire().given_up) == 1
    outbox.set(**HANDLED)

    assert outbox.record(late, APPLIED).acknowledged == 1
    row = outbox.row()
    assert (row.notify_status, row.handled_time, row.handled_by, row.handled_reason) == (SUCCESS, None, None, None)
    assert outbox.result().notify_status == ResultStatus.NOTIFIED


def test_a_success_from_before_a_reopening_proves_nothing(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed()
    outbox.clock.advance(LEASE)
    outbox.record(outbox.claimed(), APPLIED)
    outbox.operate(Act.REOPEN, 1)

    recorded = outbox.record(late, APPLIED)
    assert (recorded.acknowledged, recorded.stale) == (0, 1)
    assert outbox.row().notify_status == NOTIFYING
    assert outbox.result().notify_status == ResultStatus.UNNOTIFIED
    assert outbox.record(outbox.claimed(), APPLIED).acknowledged == 1


def test_a_success_says_nothing_of_another_payment_that_got_the_rows_id(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed()
    # The database was restored, and ids are given anew.
    outbox.set(platform_id="wechatpay", claim_token=None, claimed_by=None, claim_time=None)

    recorded = outbox.record(late, APPLIED)
    assert (recorded.acknowledged, recorded.stale) == (0, 1)
    assert outbox.row().notify_status == NOTIFYING
    assert outbox.result().notify_status == ResultStatus.UNNOTIFIED


def test_attempts_keep_counting_over_a_requeue(outbox: Outbox) -> None:
    outbox.add()
    outbox.fail()
    outbox.clock.advance(WAITS[0])
    outbox.record(outbox.claimed(), REFUSAL)
    outbox.operate(Act.REQUEUE, 1)
    outbox.record(outbox.claimed(), APPLIED)

    assert [attempt.number for attempt in outbox.ledger()] == [1, 2, 3]
    assert (outbox.row().notify_count, outbox.row().attempt_count) == (1, 3)


@pytest.mark.parametrize("way", [LOST, DURABLE])
@pytest.mark.parametrize(
    ("outcome", "status", "next_wait"),
    [(APPLIED, SUCCESS, timedelta(0)), (SILENCE, NOTIFYING, WAITS[0]), (REFUSAL, FAILED, LEASE)],
    ids=["delivered", "failed", "refused"],
)
def test_what_is_recorded_by_a_commit_that_raised_is_recorded_once(
    outbox: Outbox, way: Commit, outcome: Outcome, status: ScheduleStatus, next_wait: timedelta
) -> None:
    outbox.add()
    claimed = outbox.claimed()
    with commits(outbox.database, [way]):
        recorded = outbox.record(claimed, outcome)

    assert recorded.stale == 0
    row = outbox.row()
    assert (row.notify_status, row.notify_count, row.attempt_count) == (status, 1, 1)
    assert row.next_notify_time == START + next_wait
    assert len(outbox.ledger()) == 1


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_what_is_given_back_by_a_commit_that_raised_is_given_back_once(outbox: Outbox, way: Commit) -> None:
    outbox.add()
    claimed = outbox.claimed()
    with commits(outbox.database, [way]):
        recorded = outbox.give_back(claimed)

    assert (recorded.given_back, recorded.stale) == (1, 0)
    assert (outbox.row().notify_count, outbox.row().attempt_count) == (0, 0)


def test_a_stale_failure_is_counted_in_a_rerun_too(outbox: Outbox) -> None:
    outbox.add()
    late = outbox.claimed(holder="late")
    outbox.clock.advance(LEASE)
    outbox.claimed(holder="quick")

    with commits(outbox.database, [LOST]):
        assert outbox.record(late, SILENCE).stale == 1
    with commits(outbox.database, [LOST]):
        assert outbox.give_back(late).stale == 1


def test_a_call_that_failed_as_a_whole_limits_the_next_one(outbox: Outbox) -> None:
    outbox.add(5)
    claimed = outbox.claimed()
    outbox.record(claimed, whole_call_failed(claimed))

    assert [row.batch_limit for row in outbox.rows()] == [2] * 5


def test_a_delivery_clears_what_its_failures_left(outbox: Outbox) -> None:
    outbox.add()
    outbox.set(batch_limit=1, lapse_count=1, last_code=UNKNOWN, last_message="lease lapsed")
    outbox.record(outbox.claimed(), APPLIED)
    row = outbox.row()

    assert (row.batch_limit, row.lapse_count, row.last_code, row.last_message) == (None, 0, OK, "")


class TestGivingBack:
    def test_a_row_given_back_is_due_at_once_and_its_attempt_does_not_count(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.fail()
        outbox.clock.advance(WAITS[0])
        claimed = outbox.claimed()
        outbox.clock.advance(SECOND)
        recorded = outbox.give_back(claimed)
        row = outbox.row()

        assert (recorded.given_back, recorded.stale) == (1, 0)
        assert (row.notify_count, row.attempt_count) == (1, 1)
        assert (row.next_notify_time, row.claim_token) == (outbox.clock.now(), None)
        assert len(outbox.ledger()) == 1

    def test_what_is_given_back_is_claimed_again_under_the_same_number(self, outbox: Outbox) -> None:
        born = outbox.add_claimed()
        outbox.give_back(born)

        assert outbox.claimed().rows[0].attempt == born.rows[0].attempt == 1

    def test_only_the_holder_gives_back(self, outbox: Outbox) -> None:
        outbox.add()
        late = outbox.claimed()
        outbox.clock.advance(LEASE)
        outbox.claimed()
        before = outbox.row()
        recorded = outbox.give_back(late)

        assert (recorded.given_back, recorded.stale) == (0, 1)
        assert outbox.row() == before

    def test_any_number_of_times_burns_no_attempt(self, outbox: Outbox) -> None:
        outbox.add()
        for _ in range(50):
            outbox.give_back(outbox.claimed())

        assert (outbox.row().notify_count, outbox.row().attempt_count) == (0, 0)

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_by_a_commit_that_raised_is_done_once(self, outbox: Outbox, way: Commit) -> None:
        outbox.add(2)
        claimed = outbox.claimed()
        with commits(outbox.database, [way]):
            outbox.give_back(claimed)

        assert [(row.notify_count, row.attempt_count) for row in outbox.rows()] == [(0, 0), (0, 0)]
        assert numbers(outbox.claim()) == [1, 2]
