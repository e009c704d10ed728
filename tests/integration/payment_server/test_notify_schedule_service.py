"""NotifyScheduleService over the wire: an operator sees why something is open, and has it tried again, audited."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from core.outbox.lease import Lease
from core.outbox.tables import NotifySchedule, OperatorAction, PaymentResult
from core.rpc.translate import from_timestamp
from core.rules.codes import ResultStatus, ScheduleStatus
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_pb2, payment_enums_pb2
from paylatch.payment.v1 import notify_schedule_service_pb2 as pb
from tests.integration.payment_server.payment_side import DEADLINE, PaymentSide, reason_of
from tests.support.clock import TestClock

REQUEUE = payment_enums_pb2.RETRY_ACTION_REQUEUE
DUE_NOW = payment_enums_pb2.RETRY_ACTION_DUE_NOW
REOPEN = payment_enums_pb2.RETRY_ACTION_REOPEN
RESTORE = payment_enums_pb2.RETRY_ACTION_RESTORE
KEY = PaymentKey(platform_id="alipay", payment_code="P1")


def retry(
    side: PaymentSide, action: payment_enums_pb2.RetryAction.ValueType, **changes: Any
) -> pb.RetryNotifySchedulesResponse:
    request: dict[str, Any] = {"action": action, "keys": [KEY], "operator": "ann", "reason": "mended"} | changes
    return side.schedules.RetryNotifySchedules(pb.RetryNotifySchedulesRequest(**request), timeout=DEADLINE)


def given_up(side: PaymentSide, clock: TestClock) -> None:
    """A settled payment whose schedule was given up, because its window was used up."""
    side.create()
    side.report()
    clock.advance(timedelta(days=4))
    side.expire(1)


def test_a_schedule_is_shown_with_its_attempts_and_the_reason_it_is_open(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    shown = side.schedules.GetNotifySchedule(
        pb.GetNotifyScheduleRequest(platform_id="alipay", payment_code="P1"), timeout=DEADLINE
    )
    assert shown.schedule.status == payment_enums_pb2.SCHEDULE_STATUS_FAILED
    assert shown.schedule.last_message.startswith("window used up")
    assert not shown.schedule.is_claimed


def test_a_payment_without_a_schedule_is_not_found(side: PaymentSide) -> None:
    side.create()
    with pytest.raises(grpc.RpcError) as refused:
        side.schedules.GetNotifySchedule(
            pb.GetNotifyScheduleRequest(platform_id="alipay", payment_code="P1"), timeout=DEADLINE
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(refused.value) == "NOTIFY_SCHEDULE_NOT_FOUND"


def test_a_batch_get_answers_each_key_on_its_own(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    side.create(payment_code="P2")
    keys = [PaymentKey(platform_id="alipay", payment_code=code) for code in ("P2", "P1", "a b", "P1")]
    request = pb.BatchGetNotifySchedulesRequest(requests=keys)
    answer = side.schedules.BatchGetNotifySchedules(request, timeout=DEADLINE)
    results = answer.results
    assert from_timestamp(answer.read_time) == clock.now()
    assert [(result.payment_code, result.error.reason) for result in results] == [
        ("P2", "NOTIFY_SCHEDULE_NOT_FOUND"),
        ("P1", ""),
        ("a b", "INVALID_FIELDS"),
        ("P1", ""),
    ]
    alone = pb.GetNotifyScheduleRequest(platform_id="alipay", payment_code="P1")
    assert results[1].schedule == results[3].schedule
    assert results[1].schedule == side.schedules.GetNotifySchedule(alone, timeout=DEADLINE).schedule


def test_schedules_are_listed_by_status_target_order_and_whether_handled(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    side.create(payment_code="P2", order_no="O2")
    side.report(payment_code="P2")

    def listed(**filters: Any) -> list[str]:
        request = pb.ListNotifySchedulesRequest(**filters)
        return [each.payment_code for each in side.schedules.ListNotifySchedules(request, timeout=DEADLINE).schedules]

    assert listed() == ["P2", "P1"]
    assert listed(status=payment_enums_pb2.SCHEDULE_STATUS_FAILED) == ["P1"]
    assert listed(order_no="O2") == ["P2"]
    assert listed(notify_url=side.notify_url, is_handled=False) == ["P2", "P1"]
    assert listed(is_handled=True) == []


def test_a_requeue_gives_a_new_window_and_all_attempts_and_is_audited(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    response = retry(side, REQUEUE)
    assert response.changed_count == 1
    (row,) = side.rows(NotifySchedule)
    assert (row.notify_status, row.notify_count) == (ScheduleStatus.NOTIFYING, 0)
    assert (row.next_notify_time, row.give_up_time) == (clock.now(), clock.now() + timedelta(days=3))
    (action,) = side.rows(OperatorAction)
    assert (action.action, action.operator, action.reason) == ("requeue", "ann", "mended")


def test_a_second_requeue_finds_another_status_and_changes_nothing(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    retry(side, REQUEUE)
    response = retry(side, REQUEUE)
    assert response.changed_count == 0
    assert response.results[0].error.reason == "ILLEGAL_EVENT"
    assert len(side.rows(OperatorAction)) == 1


def test_a_dry_run_answers_what_would_change_and_changes_nothing(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    before = side.rows(NotifySchedule)
    response = retry(side, REQUEUE, validate_only=True)
    assert (response.changed_count, response.validate_only) == (1, True)
    assert response.results[0].schedule.status == payment_enums_pb2.SCHEDULE_STATUS_NOTIFYING
    assert side.rows(NotifySchedule) == before
    assert side.rows(OperatorAction) == []


def test_a_requeue_by_filter_takes_the_oldest_up_to_the_limit(side: PaymentSide, clock: TestClock) -> None:
    for number in (1, 2, 3):
        side.create(payment_code=f"P{number}")
        side.report(payment_code=f"P{number}")
    clock.advance(timedelta(days=4))
    side.expire(3)
    response = retry(side, REQUEUE, keys=[], filter=notify_schedule_pb2.NotifyScheduleFilter(), limit=2)
    assert [result.payment_code for result in response.results] == ["P1", "P2"]
    assert response.changed_count == 2


def test_due_now_waits_for_a_lease_that_is_held(side: PaymentSide, clock: TestClock) -> None:
    side.create()
    side.report()
    lease = Lease.take("somebody", timedelta(seconds=30), clock)
    side.database.transact(
        lambda tx: tx.change(
            NotifySchedule.update(
                claim_token=lease.token,
                claimed_by="somebody",
                claim_time=tx.now,
                next_notify_time=tx.now + lease.length,
            )
        )
    )
    response = retry(side, DUE_NOW)
    assert response.results[0].error.reason == "CLAIMED"
    assert "somebody" in response.results[0].error.message


def test_reopening_is_only_for_what_was_delivered(side: PaymentSide, clock: TestClock) -> None:
    given_up(side, clock)
    assert retry(side, REOPEN).results[0].error.reason == "ILLEGAL_EVENT"


def test_a_lost_schedule_is_restored_and_its_payment_unnotified_again(side: PaymentSide) -> None:
    side.create()
    side.report()

    def lose(tx: Any) -> None:
        tx.change(NotifySchedule.delete())
        tx.change(PaymentResult.update(notify_status=ResultStatus.NOTIFIED, disposition=1))

    side.database.transact(lose)
    response = retry(side, RESTORE)
    assert response.changed_count == 1
    (row,) = side.rows(NotifySchedule)
    assert row.notify_status is ScheduleStatus.NOTIFYING
    (result,) = side.rows(PaymentResult)
    assert (result.notify_status, result.disposition) == (ResultStatus.UNNOTIFIED, None)
    assert [action.action for action in side.rows(OperatorAction)] == ["restore"]


def test_restoring_refuses_what_is_unknown_pending_or_not_missing(side: PaymentSide) -> None:
    side.create(payment_code="pending")
    side.create(payment_code="P1")
    side.report(payment_code="P1")
    keys = [PaymentKey(platform_id="alipay", payment_code=code) for code in ("nobody", "pending", "P1")]
    response = retry(side, RESTORE, keys=keys)
    assert [result.error.reason for result in response.results] == [
        "PAYMENT_NOT_FOUND",
        "PAYMENT_PENDING",
        "NOTIFY_SCHEDULE_EXISTS",
    ]
    assert side.rows(OperatorAction) == []
