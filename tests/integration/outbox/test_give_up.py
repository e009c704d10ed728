from datetime import timedelta

import pytest

from core.outbox.operate import Act
from core.outbox.record import GivenUp
from core.rules.codes import BreakerState, ResultStatus, ScheduleStatus
from core.rules.outcome import ALREADY_EXISTS, UNAVAILABLE, UNKNOWN, Refused, TryAgain
from tests.support.clock import START
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import APPLIED, LEASE, MOMENT, REFUSAL, SILENCE, WAITS, WINDOW, Outbox, numbers, policy
from tests.support.rows import OTHER_TARGET, TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus


class TestByItsOutcome:
    def test_the_tenth_failure_uses_up_the_attempts(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.fail(times=9)
        outbox.clock.advance(WAITS[-1])
        recorded = outbox.record(outbox.claimed(), SILENCE)
        row = outbox.row()

        reason = "attempts used up: connection reset"
        assert recorded.given_up == [GivenUp("alipay", "P-1", TARGET, 10, UNAVAILABLE, reason)]
        assert (row.notify_status, row.last_code, row.last_message) == (FAILED, UNAVAILABLE, reason)
        assert (row.notify_count, row.claim_token, row.handled_time) == (10, None, None)
        assert [attempt.number for attempt in outbox.ledger()] == list(range(1, 11))

    def test_a_failure_whose_wait_would_leave_the_window_uses_up_the_window(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.clock.advance(WINDOW - WAITS[0])
        recorded = outbox.record(outbox.claimed(), SILENCE)

        assert [given_up.reason for given_up in recorded.given_up] == ["window used up: connection reset"]
        assert outbox.row().notify_status == FAILED

    def test_a_refusal_gives_up_at_once(self, outbox: Outbox) -> None:
        outbox.add()
        recorded = outbox.record(outbox.claimed(), Refused(ALREADY_EXISTS, "another content"))

        assert [given_up.reason for given_up in recorded.given_up] == ["refused by the order side: another content"]
        assert (outbox.row().notify_status, outbox.row().last_code) == (FAILED, ALREADY_EXISTS)
        assert outbox.result().notify_status == ResultStatus.UNNOTIFIED

    def test_the_reason_is_cut_to_2_kib_whatever_was_answered(self, outbox: Outbox) -> None:
        outbox.add()
        recorded = outbox.record(outbox.claimed(), Refused(ALREADY_EXISTS, "\0" + "字" * 5_000))

        assert len(outbox.row().last_message.encode()) <= 2_048
        assert recorded.given_up[0].reason == outbox.row().last_message

    def test_what_was_given_up_is_claimed_no_more(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.record(outbox.claimed(), REFUSAL)
        outbox.clock.advance(timedelta(days=1))

        assert outbox.claim() is None

    def test_with_one_attempt_only_the_first_failure_is_the_last(self, outbox: Outbox) -> None:
        outbox.policy = policy(max_attempts=1)
        outbox.add()

        assert len(outbox.record(outbox.claimed(), TryAgain(UNKNOWN, "no")).given_up) == 1


class TestByTheExpiryPass:
    def test_a_row_past_its_window_is_given_up_with_the_reason(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.fail()
        outbox.clock.advance(outbox.row().give_up_time - outbox.clock.now())
        recorded = outbox.expire()
        row = outbox.row()

        reason = "window used up: connection reset"
        assert recorded.given_up == [GivenUp("alipay", "P-1", TARGET, 1, UNAVAILABLE, reason)]
        assert (row.notify_status, row.last_code, row.last_message) == (FAILED, UNAVAILABLE, reason)

    def test_a_row_is_left_alone_until_its_window_is_over(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.clock.advance(WINDOW - MOMENT)
        assert outbox.expire().given_up == []

        outbox.clock.advance(MOMENT)
        assert len(outbox.expire().given_up) == 1

    def test_a_row_that_was_never_tried_says_so(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.clock.advance(WINDOW)

        assert [given_up.reason for given_up in outbox.expire().given_up] == ["window used up: never tried"]

    def test_a_row_that_was_reopened_and_never_tried_since_says_so(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.record(outbox.claimed(), APPLIED)
        outbox.operate(Act.REOPEN, 1)
        outbox.clock.advance(WINDOW)
        (given_up,) = outbox.expire().given_up

        assert (given_up.code, given_up.reason) == (UNKNOWN, "window used up: never tried")

    @pytest.mark.parametrize("hindrance", ["open breaker", "pause", "not on the allow-list"])
    def test_what_keeps_a_row_from_being_claimed_does_not_keep_it_for_ever(
        self, outbox: Outbox, hindrance: str
    ) -> None:
        outbox.add()
        if hindrance == "open breaker":
            outbox.set_target(breaker_state=BreakerState.OPEN, open_until=START + timedelta(days=30))
        elif hindrance == "pause":
            outbox.set_target(paused_time=START, paused_by="anna", paused_reason="a move")
        else:
            outbox.policy = policy(targets=frozenset({OTHER_TARGET}))
        outbox.clock.advance(WINDOW)

        assert outbox.claim() is None
        assert len(outbox.expire().given_up) == 1

    def test_a_row_somebody_holds_is_left_to_its_holder(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.clock.advance(WINDOW - MOMENT)
        outbox.claimed()
        outbox.clock.advance(MOMENT)

        assert outbox.expire().given_up == []
        outbox.clock.advance(LEASE - MOMENT)
        assert len(outbox.expire().given_up) == 1

    def test_the_lapsed_attempt_of_an_expired_row_gets_its_ledger_row(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.claimed(holder="dead")
        outbox.clock.advance(WINDOW)
        (given_up,) = outbox.expire().given_up
        (attempt,) = outbox.ledger()

        assert (attempt.number, attempt.code, attempt.made_by) == (1, UNKNOWN, "dead")
        assert given_up.reason == "window used up: lease lapsed: dead recorded no result"
        assert (given_up.attempts, outbox.row().claim_token) == (1, None)

    @pytest.mark.parametrize("status", [FAILED, SUCCESS])
    def test_finished_rows_are_left_alone(self, outbox: Outbox, status: ScheduleStatus) -> None:
        outbox.add()
        outbox.set(notify_status=status)
        outbox.clock.advance(WINDOW)

        assert outbox.expire().given_up == []
        assert outbox.row().notify_status == status

    def test_a_pass_takes_a_bounded_number_the_longest_expired_first(self, outbox: Outbox) -> None:
        outbox.add(5)
        outbox.set(4, give_up_time=START + timedelta(days=1))
        outbox.clock.advance(WINDOW)

        assert [given_up.payment_code for given_up in outbox.expire(limit=2).given_up] == ["P-4", "P-1"]
        assert len(outbox.expire(limit=2).given_up) == 2
        assert len(outbox.expire(limit=2).given_up) == 1
        assert outbox.expire(limit=2).given_up == []

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_a_pass_whose_commit_raised_has_given_up_once(self, outbox: Outbox, way: Commit) -> None:
        outbox.add()
        outbox.clock.advance(WINDOW)
        with commits(outbox.database, [way]):
            outbox.expire()

        assert outbox.row().notify_status == FAILED


def test_no_row_is_being_delivered_past_its_window_once_the_passes_ran(outbox: Outbox) -> None:
    outbox.add(3)
    outbox.claimed()
    outbox.clock.advance(LEASE)
    outbox.claim()
    outbox.clock.advance(WINDOW)
    outbox.expire()

    assert [row.notify_status for row in outbox.rows()] == [FAILED] * 3
    assert numbers(outbox.claim()) == []
