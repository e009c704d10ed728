from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core.outbox.operate import Act, Operation
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import IllegalEvent, NotAllowed
from core.rules.outcome import UNKNOWN
from tests.support.clock import TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import APPLIED, LEASE, MOMENT, REFUSAL, SILENCE, WINDOW, Outbox, numbers
from tests.support.rows import HANDLED, OTHER_TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
DAY = timedelta(days=1)


def _given_up(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), REFUSAL)


def _acknowledged(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), APPLIED)


def _waiting(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), SILENCE)


STATES: dict[ScheduleStatus, Callable[[Outbox], None]] = {
    NOTIFYING: _waiting,
    FAILED: _given_up,
    SUCCESS: _acknowledged,
}
LEGAL = {Act.REQUEUE: FAILED, Act.DUE_NOW: NOTIFYING, Act.REOPEN: SUCCESS}


@pytest.mark.parametrize("status", ScheduleStatus)
@pytest.mark.parametrize("act", LEGAL)
def test_each_act_is_for_one_status_and_changes_nothing_in_any_other(
    outbox: Outbox, act: Act, status: ScheduleStatus
) -> None:
    STATES[status](outbox)
    before, result = outbox.row(), outbox.result()
    if status is LEGAL[act]:
        outbox.operate(act, 1)
        assert outbox.row().notify_status == NOTIFYING
        return
    with pytest.raises(IllegalEvent):
        outbox.operate(act, 1)
    assert (outbox.row(), outbox.result(), outbox.audit()) == (before, result, [])


class TestRequeue:
    def test_a_requeued_row_begins_anew(self, outbox: Outbox) -> None:
        _given_up(outbox)
        outbox.set(lapse_count=2, batch_limit=1, **HANDLED)
        outbox.clock.advance(WINDOW)
        outbox.operate(Act.REQUEUE, 1)
        row = outbox.row()

        assert (row.notify_status, row.next_notify_time) == (NOTIFYING, outbox.clock.now())
        assert row.give_up_time == outbox.clock.now() + WINDOW
        assert (row.notify_count, row.lapse_count, row.batch_limit, row.claim_token) == (0, 0, None, None)
        assert (row.handled_time, row.handled_by, row.handled_reason) == (None, None, None)
        assert row.attempt_count == 1
        assert numbers(outbox.claim()) == [1]

    def test_a_worker_from_before_can_not_fail_it_but_can_bring_its_success(self, outbox: Outbox) -> None:
        outbox.add()
        late = outbox.claimed(holder="late")
        outbox.clock.advance(WINDOW)
        outbox.expire()
        outbox.operate(Act.REQUEUE, 1)
        requeued = outbox.row()

        assert outbox.record(late, SILENCE).stale == 1
        assert outbox.row() == requeued
        held = outbox.claimed(holder="new")
        assert outbox.record(late, REFUSAL).stale == 1
        assert outbox.row().claim_token == held.rows[0].lease.token
        assert outbox.record(late, APPLIED).acknowledged == 1

    def test_it_is_given_up_again_when_its_new_budget_is_used_up(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.fail(times=10)
        outbox.operate(Act.REQUEUE, 1)
        outbox.fail(times=9)
        assert outbox.row().notify_status == NOTIFYING

        outbox.fail()
        assert (outbox.row().notify_status, outbox.row().attempt_count) == (FAILED, 20)


class TestDueNow:
    def test_a_waiting_row_is_due_now_with_the_budget_it_has(self, outbox: Outbox) -> None:
        _waiting(outbox)
        give_up_time = outbox.row().give_up_time
        outbox.clock.advance(MOMENT)
        assert outbox.claim() is None

        outbox.operate(Act.DUE_NOW, 1)
        assert (outbox.row().notify_count, outbox.row().give_up_time) == (1, give_up_time)
        assert outbox.claimed().rows[0].attempt == 2

    def test_a_row_somebody_holds_is_refused_until_its_lease_ends(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.claimed(holder="scheduler@b")
        before = outbox.row()
        outbox.clock.advance(LEASE - MOMENT)

        with pytest.raises(NotAllowed, match="being delivered by scheduler@b; its lease ends at") as refused:
            outbox.operate(Act.DUE_NOW, 1)
        assert refused.value.reason == "CLAIMED"
        assert (outbox.row(), outbox.audit()) == (before, [])

    def test_a_row_whose_lease_lapsed_is_due_alone_and_its_lapse_is_noted(self, outbox: Outbox) -> None:
        outbox.add(2)
        outbox.set(2, next_notify_time=outbox.clock.now() + DAY)
        outbox.claimed(holder="dead")
        outbox.clock.advance(LEASE)
        outbox.operate(Act.DUE_NOW, 1, 2)
        row = outbox.row()

        assert [(attempt.code, attempt.made_by) for attempt in outbox.ledger()] == [(UNKNOWN, "dead")]
        assert (row.claim_token, row.notify_count, row.lapse_count) == (None, 1, 1)
        assert (row.last_code, row.last_message) == (UNKNOWN, "lease lapsed: dead recorded no result")
        assert [numbers(outbox.claim()), numbers(outbox.claim())] == [[1], [2]]


class TestReopen:
    def test_an_acknowledged_row_is_to_be_delivered_again(self, outbox: Outbox) -> None:
        _acknowledged(outbox)
        outbox.clock.advance(DAY * 30)
        outbox.operate(Act.REOPEN, 1)
        row, result = outbox.row(), outbox.result()

        assert (row.notify_status, row.next_notify_time) == (NOTIFYING, outbox.clock.now())
        assert (row.notify_count, row.attempt_count, row.reopened_attempt) == (0, 1, 1)
        assert row.give_up_time == outbox.clock.now() + WINDOW
        assert (row.last_code, row.last_message) == (None, None)
        assert (result.notify_status, result.disposition) == (ResultStatus.UNNOTIFIED, None)
        assert outbox.record(outbox.claimed(), APPLIED).acknowledged == 1
        assert outbox.result().notify_status == ResultStatus.NOTIFIED

    def test_nothing_else_reopens_what_was_acknowledged(self, outbox: Outbox) -> None:
        outbox.add()
        late = outbox.claimed()
        outbox.clock.advance(LEASE)
        outbox.record(outbox.claimed(), APPLIED)
        before, result = outbox.row(), outbox.result()

        outbox.record(late, SILENCE)
        outbox.record(late, REFUSAL)
        outbox.give_back(late)
        outbox.clock.advance(WINDOW)
        outbox.expire()
        assert outbox.claim() is None
        for act in (Act.REQUEUE, Act.DUE_NOW):
            with pytest.raises(IllegalEvent):
                outbox.operate(act, 1)
        assert (outbox.row(), outbox.result()) == (before, result)


@pytest.mark.parametrize("act", LEGAL)
class TestEveryAct:
    def test_can_give_the_row_another_target(self, outbox: Outbox, act: Act) -> None:
        STATES[LEGAL[act]](outbox)
        outbox.operate(act, 1, notify_url=OTHER_TARGET)

        assert outbox.claim() is None
        assert numbers(outbox.claim(OTHER_TARGET)) == [1]
        assert outbox.audit()[0].detail == f"notify_url={OTHER_TARGET}"

    def test_is_written_down_with_who_when_and_why(self, outbox: Outbox, act: Act) -> None:
        STATES[LEGAL[act]](outbox)
        outbox.clock.advance(DAY)
        operation = outbox.operate(act, 1)
        (entry,) = outbox.audit()

        assert (entry.action, entry.action_id) == (act.name.lower(), operation.action_id)
        assert (entry.operator, entry.reason, entry.detail) == ("anna", "it is back", "")
        assert (entry.platform_id, entry.payment_code, entry.create_time) == ("alipay", "P-1", outbox.clock.now())

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_by_a_commit_that_raised_is_done_and_written_down_once(self, outbox: Outbox, act: Act, way: Commit) -> None:
        STATES[LEGAL[act]](outbox)
        with commits(outbox.database, [way]):
            outbox.operate(act, 1)

        assert outbox.row().notify_status == NOTIFYING
        assert len(outbox.audit()) == 1

    def test_is_undone_with_its_transaction(self, outbox: Outbox, act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
        STATES[LEGAL[act]](outbox)
        before = outbox.row(), outbox.result()

        def fail(*_: Any) -> None:
            raise ValueError("the audit can not be written")

        monkeypatch.setattr("core.outbox.operate.audit", fail)
        with pytest.raises(ValueError, match="audit"):
            outbox.operate(act, 1)
        assert (outbox.row(), outbox.result()) == before


def test_two_operators_acts_are_two_entries(outbox: Outbox) -> None:
    _waiting(outbox)
    outbox.operate(Act.DUE_NOW, 1)
    outbox.operate(Act.DUE_NOW, 1)

    assert len({entry.action_id for entry in outbox.audit()}) == 2


def test_the_same_call_again_is_another_act_unless_it_is_a_rerun(outbox: Outbox) -> None:
    operation = Operation(Act.DUE_NOW, operator="anna", reason="why")

    assert operation.action_id != Operation(Act.DUE_NOW, operator="anna", reason="why").action_id


class TestAbandoning:
    """Closing what shall not be tried any more."""

    def test_a_row_that_is_being_delivered_is_given_up_and_handled_at_once(
        self, outbox: Outbox, clock: TestClock
    ) -> None:
        outbox.add()
        outbox.operate(Act.ABANDON, 1)

        row = outbox.row()
        assert row.notify_status == FAILED
        assert (row.handled_time, row.handled_by, row.handled_reason) == (clock.now(), "anna", "it is back")
        assert outbox.claim() is None
        assert [entry.action for entry in outbox.audit()] == ["abandon"]

    def test_a_row_that_was_given_up_keeps_its_reason_and_is_handled(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.record(outbox.claimed(), REFUSAL)
        before = outbox.row()
        outbox.operate(Act.ABANDON, 1)

        row = outbox.row()
        assert (row.notify_status, row.last_code, row.last_message) == (
            FAILED,
            before.last_code,
            before.last_message,
        )
        assert row.handled_by == "anna"

    def test_a_row_that_a_person_has_closed_is_refused_and_keeps_the_first_reason(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.operate(Act.ABANDON, 1)
        before = outbox.row()
        with pytest.raises(NotAllowed) as refused:
            outbox.operate(Act.ABANDON, 1)

        assert refused.value.reason == "ALREADY_HANDLED"
        assert outbox.row() == before
        assert len(outbox.audit()) == 1

    def test_a_row_that_a_worker_holds_is_refused(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.claimed()
        with pytest.raises(NotAllowed) as refused:
            outbox.operate(Act.ABANDON, 1)
        assert refused.value.reason == "CLAIMED"

    def test_a_lease_that_lapsed_unseen_is_in_the_ledger(self, outbox: Outbox, clock: TestClock) -> None:
        outbox.add()
        outbox.claimed()
        clock.advance(LEASE)
        outbox.operate(Act.ABANDON, 1)

        assert outbox.row().notify_status == FAILED
        assert [attempt.code for attempt in outbox.ledger()] == [UNKNOWN]

    def test_a_success_that_comes_after_all_is_taken(self, outbox: Outbox, clock: TestClock) -> None:
        outbox.add()
        late = outbox.claimed()
        clock.advance(LEASE)
        outbox.operate(Act.ABANDON, 1)
        outbox.record(late, APPLIED)

        row = outbox.row()
        assert (row.notify_status, row.handled_time) == (SUCCESS, None)

    def test_what_was_delivered_cannot_be_abandoned(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.record(outbox.claimed(), APPLIED)
        with pytest.raises(IllegalEvent):
            outbox.operate(Act.ABANDON, 1)

    def test_what_was_abandoned_can_be_requeued(self, outbox: Outbox) -> None:
        outbox.add()
        outbox.operate(Act.ABANDON, 1)
        outbox.operate(Act.REQUEUE, 1)

        row = outbox.row()
        assert (row.notify_status, row.handled_time) == (NOTIFYING, None)
        assert numbers(outbox.claim()) == [1]

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    @pytest.mark.parametrize("is_given_up", [True, False], ids=["given up", "waiting"])
    def test_by_a_commit_that_raised_is_done_and_audited_once(
        self, outbox: Outbox, way: Commit, is_given_up: bool
    ) -> None:
        outbox.add()
        if is_given_up:
            outbox.record(outbox.claimed(), REFUSAL)
        with commits(outbox.database, [way]):
            outbox.operate(Act.ABANDON, 1)

        assert outbox.row().handled_by == "anna"
        assert len(outbox.audit()) == 1


@pytest.mark.parametrize("act", [Act.DUE_NOW, Act.ABANDON])
def test_a_row_that_has_changed_since_the_operator_looked_is_left_alone(
    outbox: Outbox, clock: TestClock, act: Act
) -> None:
    outbox.add()
    looked = clock.now()
    clock.advance(timedelta(seconds=1))
    outbox.record(outbox.claimed(), SILENCE)
    before = outbox.row()
    with pytest.raises(NotAllowed) as refused:
        outbox.operate(act, 1, unchanged_since=looked)

    assert refused.value.reason == "CHANGED_SINCE"
    assert (outbox.row(), outbox.audit()) == (before, [])
    outbox.operate(act, 1, unchanged_since=clock.now())
