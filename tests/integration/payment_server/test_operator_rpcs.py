"""Explaining, abandoning, pausing and watching targets over the wire: what an operator is told and what it changes."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from core.outbox.tables import NotifySchedule, OperatorAction
from core.rules.codes import ScheduleStatus
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_service_pb2 as pb
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget
from tests.integration.payment_server.payment_side import DEADLINE, PaymentSide, reason_of, violated_fields
from tests.support.clock import TestClock

KEY = PaymentKey(platform_id="alipay", payment_code="P1")
WHO: dict[str, Any] = {"operator": "ann", "reason": "receiver closed"}


def _given_up(side: PaymentSide, clock: TestClock) -> None:
    side.create()
    side.report()
    clock.advance(timedelta(days=4))
    side.expire(1)


def _abandon(side: PaymentSide, **changes: Any) -> pb.AbandonNotifySchedulesResponse:
    request = pb.AbandonNotifySchedulesRequest(**{"keys": [KEY], **WHO, **changes})
    return side.schedules.AbandonNotifySchedules(request, timeout=DEADLINE)


def _explain(side: PaymentSide) -> pb.ExplainNotifyScheduleResponse:
    request = pb.ExplainNotifyScheduleRequest(platform_id="alipay", payment_code="P1")
    return side.schedules.ExplainNotifySchedule(request, timeout=DEADLINE)


def _targets(side: PaymentSide, **page: Any) -> pb.ListNotifyTargetsResponse:
    return side.schedules.ListNotifyTargets(pb.ListNotifyTargetsRequest(**page), timeout=DEADLINE)


def _pause(side: PaymentSide, **changes: Any) -> NotifyTarget:
    request = pb.PauseNotifyTargetRequest(**{"notify_url": side.notify_url, **WHO, **changes})
    return side.schedules.PauseNotifyTarget(request, timeout=DEADLINE).target


def _resume(side: PaymentSide, **changes: Any) -> NotifyTarget:
    request = pb.ResumeNotifyTargetRequest(**{"notify_url": side.notify_url, **WHO, **changes})
    return side.schedules.ResumeNotifyTarget(request, timeout=DEADLINE).target


def test_what_was_given_up_is_explained_with_its_reason_and_what_to_do(side: PaymentSide, clock: TestClock) -> None:
    _given_up(side, clock)
    explained = _explain(side)
    (hindrance,) = explained.hindrances

    assert hindrance.kind == enums.HINDRANCE_KIND_GIVEN_UP
    assert "window used up" in hindrance.description
    assert hindrance.description.endswith("requeue or abandon it")
    assert not explained.planned_attempts
    assert explained.schedule.payment_code == "P1"


def test_a_paused_target_explains_its_rows_and_plans_them_all_the_same(side: PaymentSide) -> None:
    _pause(side)
    side.create()
    side.report()
    explained = _explain(side)

    assert [hindrance.kind for hindrance in explained.hindrances] == [enums.HINDRANCE_KIND_TARGET_PAUSED]
    assert "ann" in explained.hindrances[0].description
    assert [attempt.number for attempt in explained.planned_attempts] == list(range(1, 11))


def test_what_is_abandoned_is_closed_with_who_and_why(side: PaymentSide, clock: TestClock) -> None:
    _given_up(side, clock)
    response = _abandon(side)

    assert response.changed_count == 1
    assert response.results[0].schedule.handled_by == "ann"
    (action,) = side.rows(OperatorAction)
    assert (action.action, action.operator, action.reason) == ("abandon", "ann", "receiver closed")
    assert _abandon(side).results[0].error.reason == "ALREADY_HANDLED"


def test_a_dry_run_of_abandoning_changes_nothing(side: PaymentSide, clock: TestClock) -> None:
    _given_up(side, clock)
    before = side.rows(NotifySchedule)
    response = _abandon(side, validate_only=True)

    assert (response.changed_count, response.validate_only) == (1, True)
    assert (side.rows(NotifySchedule), side.rows(OperatorAction)) == (before, [])


def test_what_changed_after_it_was_read_is_not_abandoned(side: PaymentSide, clock: TestClock) -> None:
    side.create()
    side.report()
    read_time = side.schedules.ListNotifySchedules(pb.ListNotifySchedulesRequest(), timeout=DEADLINE).read_time
    clock.advance(timedelta(days=4))
    side.expire(1)

    assert _abandon(side, unchanged_since=read_time).results[0].error.reason == "CHANGED_SINCE"
    (row,) = side.rows(NotifySchedule)
    assert (row.notify_status, row.handled_time) == (ScheduleStatus.FAILED, None)


def test_a_target_shows_its_backlog_breaker_and_pause(side: PaymentSide, clock: TestClock) -> None:
    _pause(side)
    side.create()
    side.report()
    clock.advance(timedelta(seconds=90))
    response = _targets(side)
    (target,) = response.targets

    assert (target.notify_url, target.is_allowed, target.backlog, target.due_count) == (side.notify_url, True, 1, 1)
    assert target.breaker_state == enums.BREAKER_STATE_CLOSED
    assert (target.paused_by, target.paused_reason) == ("ann", "receiver closed")
    assert response.read_time.seconds - target.oldest_create_time.seconds == 90


def test_targets_are_paged_by_address(side: PaymentSide) -> None:
    side.create()
    side.report()
    side.database.transact(lambda tx: tx.change(NotifySchedule.update(notify_url="grpc://127.0.0.2:1")))
    first = _targets(side, page_size=1)
    second = _targets(side, page_size=1, page_token=first.next_page_token)

    assert [target.notify_url for target in (*first.targets, *second.targets)] == [
        side.notify_url,
        "grpc://127.0.0.2:1",
    ]
    assert [target.is_allowed for target in (*first.targets, *second.targets)] == [True, False]
    assert (bool(first.next_page_token), second.next_page_token) == (True, "")


def test_a_pause_is_audited_once_and_its_dry_run_not_at_all(side: PaymentSide) -> None:
    assert _pause(side, validate_only=True).paused_by == "ann"
    assert not _targets(side).targets[0].HasField("paused_by")
    _pause(side)
    assert not _resume(side).HasField("paused_by")

    actions = [(action.action, action.notify_url) for action in side.rows(OperatorAction)]
    assert actions == [("pause_target", side.notify_url), ("resume_target", side.notify_url)]


def test_pausing_twice_or_resuming_what_runs_is_refused(side: PaymentSide) -> None:
    with pytest.raises(grpc.RpcError) as not_paused:
        _resume(side)
    _pause(side)
    with pytest.raises(grpc.RpcError) as paused:
        _pause(side)

    assert [error.value.code() for error in (not_paused, paused)] == [grpc.StatusCode.FAILED_PRECONDITION] * 2
    assert [reason_of(error.value) for error in (not_paused, paused)] == ["TARGET_NOT_PAUSED", "TARGET_PAUSED"]


@pytest.mark.any_backend
def test_every_wrong_field_of_an_operators_request_is_named(side: PaymentSide) -> None:
    with pytest.raises(grpc.RpcError) as pause:
        _pause(side, notify_url="unix:/tmp/x", operator="", reason="")
    with pytest.raises(grpc.RpcError) as abandon:
        _abandon(side, keys=[], operator="", reason="")
    request = pb.RetryNotifySchedulesRequest(action=enums.RETRY_ACTION_DUE_NOW, keys=[KEY], **WHO)
    request.spread_over.seconds = 10**6
    with pytest.raises(grpc.RpcError) as retry:
        side.schedules.RetryNotifySchedules(request, timeout=DEADLINE)

    assert violated_fields(pause.value) == ["notify_url", "operator", "reason"]
    assert violated_fields(abandon.value) == ["operator", "reason", "keys"]
    assert violated_fields(retry.value) == ["spread_over"]
