"""What an operator does: many schedules in one audited transaction, each on its own."""

from datetime import timedelta
from typing import Any

import pytest

from core.outbox.operate import Act, Operation
from core.outbox.read import ScheduleFilter
from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import AlreadyExists, IllegalEvent, NotAllowed, NotFound, PaylatchError, Unavailable
from core.store.database import Database
from core.store.transaction import Transaction
from payment_server.operate import Operated, OperateSchedules, Selection
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.logs import Log
from tests.support.outbox import LEASE, REFUSAL, numbers
from tests.support.payments import Payments
from tests.support.rows import OTHER_TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
MINUTE = timedelta(minutes=1)


@pytest.fixture
def payments(payment_database: Database, clock: TestClock) -> Payments:
    """Six settled payments: 1 and 2 given up, 3 and 4 waiting, 5 delivered, 6 held by a worker."""
    payments = Payments(payment_database, clock, capacity=0)
    payments.create(1, 2, 3, 4, 5, 6)
    payments.report(1, 2)
    payments.record(payments.claimed(), REFUSAL)
    payments.report(5)
    payments.delivery.deliver(payments.claimed())
    payments.report(6)
    payments.claimed(holder="scheduler@b")
    payments.report(3, 4)
    clock.advance(timedelta(seconds=1))
    payments.log = Log()
    payments.operate_schedules = OperateSchedules(payment_database, payments.policy, payments.log.logger)
    return payments


def _keys(*payments: int) -> Selection:
    return Selection(keys=[("alipay", f"P-{number}") for number in payments])


def _operation(act: Act, **details: Any) -> Operation:
    return Operation(act, operator="anna", reason="it is back", **details)


def _run(payments: Payments, act: Act, selection: Selection, *, dry: bool = False, **details: Any) -> list[Operated]:
    return payments.operate_schedules(_operation(act, **details), selection, validate_only=dry)


def _codes(results: list[Operated]) -> list[str]:
    return [operated.key[1] for operated in results]


def _kinds(results: list[Operated]) -> list[type | None]:
    """The error of each, or None for a row that was changed."""
    return [type(operated.result) if isinstance(operated.result, PaylatchError) else None for operated in results]


def test_each_key_is_answered_on_its_own_and_in_order(payments: Payments) -> None:
    results = _run(payments, Act.REQUEUE, _keys(3, 1, 9, 5, 2))

    assert _codes(results) == ["P-3", "P-1", "P-9", "P-5", "P-2"]
    assert _kinds(results) == [IllegalEvent, None, NotFound, IllegalEvent, None]
    assert results[1].result.notify_status == NOTIFYING  # type: ignore[union-attr]  # the row, as changed
    assert sorted(entry.payment_code for entry in payments.audit()) == ["P-1", "P-2"]


def test_a_row_somebody_holds_is_refused_and_the_others_changed(payments: Payments) -> None:
    held, waiting = _run(payments, Act.DUE_NOW, _keys(6, 3))

    assert isinstance(held.result, NotAllowed)
    assert held.result.reason == "CLAIMED"
    assert _kinds([waiting]) == [None]


def test_the_same_key_twice_is_one(payments: Payments) -> None:
    assert _codes(_run(payments, Act.REQUEUE, _keys(1, 1))) == ["P-1"]
    assert len(payments.audit()) == 1


def test_a_filter_finds_the_oldest_of_the_status_the_act_is_for(payments: Payments) -> None:
    assert _codes(_run(payments, Act.REQUEUE, Selection(wanted=ScheduleFilter(), limit=10))) == ["P-1", "P-2"]
    assert _codes(_run(payments, Act.REOPEN, Selection(wanted=ScheduleFilter(), limit=10))) == ["P-5"]


def test_a_filter_takes_no_more_than_its_limit(payments: Payments) -> None:
    assert _codes(_run(payments, Act.REQUEUE, Selection(wanted=ScheduleFilter(), limit=1))) == ["P-1"]


def test_a_filter_can_ask_for_a_status_that_the_act_then_refuses(payments: Payments) -> None:
    results = _run(payments, Act.REQUEUE, Selection(wanted=ScheduleFilter(status=SUCCESS), limit=10))

    assert (_codes(results), _kinds(results)) == (["P-5"], [IllegalEvent])


def test_a_filter_that_finds_nothing_changes_nothing(payments: Payments) -> None:
    assert _run(payments, Act.REQUEUE, Selection(wanted=ScheduleFilter(order_no="O-99"), limit=10)) == []
    assert payments.audit() == []


def test_a_dry_run_answers_what_would_change_and_changes_nothing(payments: Payments) -> None:
    before = payments.rows()
    results = _run(payments, Act.REQUEUE, _keys(1, 3), dry=True)

    assert _kinds(results) == [None, IllegalEvent]
    assert results[0].result.notify_status == NOTIFYING  # type: ignore[union-attr]  # the row, as it would be
    assert (payments.rows(), payments.audit(), payments.log.lines) == (before, [], [])
    assert _kinds(_run(payments, Act.REQUEUE, _keys(1, 3))) == [None, IllegalEvent]


def test_many_are_one_act_in_the_audit_and_one_line_in_the_log(payments: Payments) -> None:
    _run(payments, Act.REQUEUE, _keys(1, 2, 3))

    assert len({entry.action_id for entry in payments.audit()}) == 1
    (line,) = payments.log.named("operator.acted")
    assert (line["action"], line["operator"], line["count"]) == ("requeue", "anna", 2)


def test_rows_can_be_sent_to_a_receiver_that_moved(payments: Payments) -> None:
    _run(payments, Act.REQUEUE, _keys(1, 2), notify_url=OTHER_TARGET)

    claimed = payments.claimed(OTHER_TARGET)
    assert [row.payment_code for row in claimed.rows] == ["P-1", "P-2"]
    payments.delivery.deliver(claimed)
    assert payments.receivers.at(OTHER_TARGET).called == [("BatchOrderNotify", ["P-1", "P-2"])]


@pytest.mark.parametrize("way", [LOST, DURABLE])
@pytest.mark.parametrize("by_filter", [True, False], ids=["by filter", "by keys"])
def test_a_commit_that_raised_has_changed_and_audited_each_row_once(
    payments: Payments, way: Commit, by_filter: bool
) -> None:
    selection = Selection(wanted=ScheduleFilter(), limit=1) if by_filter else _keys(1, 3)
    with commits(payments.database, [way]):
        results = _run(payments, Act.REQUEUE, selection)

    assert _kinds(results) == ([None] if by_filter else [None, IllegalEvent])
    assert [entry.payment_code for entry in payments.audit()] == ["P-1"]
    assert payments.row(2).notify_status == FAILED


def test_a_result_that_stays_unknown_is_told(payments: Payments) -> None:
    with commits(payments.database, [DURABLE] * 3), pytest.raises(Unavailable):
        _run(payments, Act.REQUEUE, _keys(1))

    assert len(payments.audit()) == 1
    assert _kinds(_run(payments, Act.REQUEUE, _keys(1))) == [IllegalEvent]


class TestRestoring:
    """For a payment whose schedule is missing: reconcile's "missing schedule (inserted anew)"."""

    @pytest.fixture
    def lost(self, payments: Payments) -> Payments:
        """The schedules of 3, which waits, and of 5, which was delivered, are gone; of 4 the result too."""

        def work(tx: Transaction) -> None:
            tx.change(NotifyAttempt.delete())
            tx.change(NotifySchedule.delete().where(NotifySchedule.payment_id.in_([3, 4, 5])))
            tx.change(PaymentResult.delete().where(PaymentResult.payment_id == 4))

        payments.database.transact(work)
        return payments

    def test_gives_a_settled_payment_its_schedule_and_result_again(self, lost: Payments) -> None:
        results = _run(lost, Act.RESTORE, _keys(3, 4, 5))

        assert _kinds(results) == [None, None, None]
        for number in (3, 4, 5):
            row, result = lost.row(number), lost.result(number)
            assert (row.notify_status, row.claim_token, row.attempt_count) == (NOTIFYING, None, 0)
            assert row.next_notify_time == lost.clock.now()
            assert (result.notify_status, result.disposition) == (ResultStatus.UNNOTIFIED, None)
        assert [entry.action for entry in lost.audit()] == ["restore"] * 3
        assert numbers(lost.claim()) == [3, 4, 5]

    def test_of_what_a_person_had_closed_before_it_was_purged_takes_the_note_back(self, lost: Payments) -> None:
        closed = PaymentResult.update(handled_note="closed by anna").where(PaymentResult.payment_id == 3)
        lost.database.transact(lambda tx: tx.change(closed))

        assert _kinds(_run(lost, Act.RESTORE, _keys(3))) == [None]
        assert lost.result(3).handled_note is None

    def test_refuses_what_is_not_missing_not_settled_or_not_there(self, lost: Payments) -> None:
        lost.create(7)
        results = _run(lost, Act.RESTORE, _keys(1, 7, 9))

        assert _kinds(results) == [AlreadyExists, NotAllowed, NotFound]
        assert lost.audit() == []

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_by_a_commit_that_raised_is_done_once(self, lost: Payments, way: Commit) -> None:
        with commits(lost.database, [way]):
            results = _run(lost, Act.RESTORE, _keys(3, 1))

        assert _kinds(results) == [None, AlreadyExists]
        assert len(lost.audit()) == 1

    def test_dry_changes_nothing(self, lost: Payments) -> None:
        before = lost.rows()

        assert _kinds(_run(lost, Act.RESTORE, _keys(3), dry=True)) == [None]
        assert (lost.rows(), lost.audit()) == (before, [])


def test_what_an_operator_did_is_kept_with_the_time_of_its_transaction(payments: Payments) -> None:
    payments.clock.advance(LEASE + MINUTE)
    _run(payments, Act.DUE_NOW, _keys(6))

    (entry,) = payments.audit()
    assert entry.create_time == START + timedelta(seconds=1) + LEASE + MINUTE


def test_a_filter_leaves_out_what_a_person_has_closed_unless_it_is_asked_for(payments: Payments) -> None:
    _run(payments, Act.ABANDON, _keys(1))

    assert _codes(_run(payments, Act.REQUEUE, Selection(wanted=ScheduleFilter(), limit=10))) == ["P-2"]
    asked_for = Selection(wanted=ScheduleFilter(status=FAILED, is_handled=True), limit=10)
    assert _codes(_run(payments, Act.REQUEUE, asked_for)) == ["P-1"]


def test_abandoning_by_filter_closes_what_was_given_up(payments: Payments) -> None:
    results = _run(payments, Act.ABANDON, Selection(wanted=ScheduleFilter(), limit=10))

    assert (_codes(results), _kinds(results)) == (["P-1", "P-2"], [None, None])
    assert {payments.row(number).handled_by for number in (1, 2)} == {"anna"}
    assert payments.row(3).notify_status == NOTIFYING


def test_a_release_can_be_spread_over_a_time(payments: Payments) -> None:
    _run(payments, Act.ABANDON, _keys(3, 4))
    _run(payments, Act.REQUEUE, _keys(1, 2, 3, 4), spread_over=3 * MINUTE)

    start = payments.clock.now()
    assert [payments.row(number).next_notify_time - start for number in (1, 2, 3, 4)] == [
        0 * MINUTE,
        MINUTE,
        2 * MINUTE,
        3 * MINUTE,
    ]
