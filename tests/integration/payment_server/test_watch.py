"""WatchPayment: every change until the order side has it, bounded, and never at a caller's cost."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest

from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.store.transaction import Transaction
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1 import payment_service_pb2 as pb
from payment_server.watch import MAX_WATCHERS
from tests.integration.payment_server.payment_side import DEADLINE, PaymentSide, reason_of
from tests.support.clock import TestClock
from tests.support.waiting import wait_until


def _watch(side: PaymentSide, payment_code: str = "P1") -> Any:
    request = pb.WatchPaymentRequest(platform_id="alipay", payment_code=payment_code)
    return side.payments.WatchPayment(request, timeout=DEADLINE)


def _acknowledge(side: PaymentSide) -> None:
    def work(tx: Transaction) -> None:
        tx.change(PaymentResult.update(notify_status=ResultStatus.NOTIFIED, disposition=1))
        tx.change(
            NotifySchedule.update(
                notify_status=ScheduleStatus.SUCCESS, claim_token=None, claimed_by=None, claim_time=None
            )
        )

    side.database.transact(work)


def test_a_watch_tells_every_stage_and_ends_when_the_order_side_has_it(side: PaymentSide) -> None:
    side.create()
    told: Iterator[Any] = _watch(side)
    assert next(told).payment.status == enums.PAYMENT_STATUS_PENDING

    side.report()
    settled = next(told)
    assert settled.payment.status == enums.PAYMENT_STATUS_SUCCESS
    assert settled.schedule_status == enums.SCHEDULE_STATUS_NOTIFYING

    _acknowledge(side)
    *_, last = told
    assert last.payment.notify_status == enums.NOTIFY_STATUS_NOTIFIED
    assert last.schedule_status == enums.SCHEDULE_STATUS_SUCCESS


def test_a_payment_that_is_notified_already_is_told_once(side: PaymentSide) -> None:
    side.create()
    side.report()
    _acknowledge(side)
    assert len(list(_watch(side))) == 1


def test_a_watch_ends_when_the_notification_is_given_up(side: PaymentSide, clock: TestClock) -> None:
    side.create()
    side.report()
    told = _watch(side)
    next(told)
    clock.advance(timedelta(days=4))
    side.expire(1)
    *_, last = told
    assert last.schedule_status == enums.SCHEDULE_STATUS_FAILED


def test_a_payment_nobody_knows_is_not_found(side: PaymentSide) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        next(_watch(side))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.any_backend
def test_watchers_beyond_the_bound_are_refused_and_callers_served(side: PaymentSide) -> None:
    side.create()
    watchers = [_watch(side) for _ in range(MAX_WATCHERS)]
    for told in watchers:
        next(told)

    with pytest.raises(grpc.RpcError) as refused:
        next(_watch(side))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(refused.value) == "TOO_MANY_WATCHERS"
    assert side.get().payment_code == "P1"

    watchers.pop().cancel()

    def is_admitted() -> bool:
        try:
            next(_watch(side))
        except grpc.RpcError:
            return False
        return True

    wait_until(is_admitted)
    for told in watchers:
        told.cancel()
