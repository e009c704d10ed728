"""A worker that is stopped longer than its lease and then goes on: SIGSTOP and SIGCONT of a real scheduler (SPEC 8)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from paylatch.order.v1.order_enums_pb2 import DISPOSITION_APPLIED, ORDER_STATUS_PAID
from paylatch.payment.v1.notify_schedule_service_pb2 import GetNotifyScheduleResponse
from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_SUCCESS
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import Shop

ORDER = "A-1"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, IMPATIENT, schedulers=2) as system:
        yield system


def test_a_scheduler_frozen_longer_than_its_lease_changes_nothing_when_it_goes_on(system: System, shop: Shop) -> None:
    system.start("payment-server", "order-server", "scheduler")
    shop.create_orders([ORDER])
    shop.create_payments([ORDER])
    frozen, receiver = system["scheduler"], system["order-server"]

    # A receiver that accepts and stays silent: the first attempt fails, the scheduler's is under way when it freezes.
    receiver.signal(signal.SIGSTOP)
    shop.report([ORDER])
    eventually(lambda: _is_claimed_by(shop.schedule(ORDER), "scheduler@"))
    frozen.signal(signal.SIGSTOP)
    receiver.signal(signal.SIGCONT)
    system.start("scheduler-2")
    eventually(lambda: shop.are_notified([ORDER]))
    settled, order = shop.schedule(ORDER), shop.order(ORDER)

    frozen.signal(signal.SIGCONT)
    system.lines.wait_for("scheduler", "notify.stale", "notify.delivered")

    assert settled.schedule.status == SCHEDULE_STATUS_SUCCESS
    assert order.order_status == ORDER_STATUS_PAID
    assert shop.payments([ORDER])[0].disposition == DISPOSITION_APPLIED
    assert shop.schedule(ORDER).schedule == settled.schedule
    assert shop.order(ORDER) == order
    assert len(shop.status_changes(ORDER)) == 2


def _is_claimed_by(answer: GetNotifyScheduleResponse, holder: str) -> bool:
    return answer.schedule.is_claimed and answer.schedule.claimed_by.startswith(holder)
