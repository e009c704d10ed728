"""A worker that is stopped longer than its lease and then goes on: SIGSTOP and SIGCONT of a real scheduler (SPEC 8)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from paylatch.order.v1.order_enums_pb2 import DISPOSITION_APPLIED, ORDER_STATUS_PAID
from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_NOTIFYING
from tests.acceptance.backends import on_all
from tests.support.processes import IMPATIENT, System, eventually, is_stopped
from tests.support.shop import Shop

# A busy machine must not make the call of the worker fail that is to succeed.
SETTINGS = {**IMPATIENT, "notify_deadline": "2s", "notify_lease": "3s"}
ORDER = "A-1"
FREEZING = "tests.support.odd.freezing_scheduler"
OK, UNKNOWN, NOT_FOUND = (
    code.value[0] for code in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND)
)

pytestmark = on_all


@pytest.fixture
def system(tmp_path: Path, payment_database_url: str, order_database_url: str) -> Iterator[System]:
    with System(
        tmp_path, IMPATIENT, payment_url=payment_database_url, order_url=order_database_url, schedulers=2
    ) as system:
        yield system


@pytest.mark.parametrize("moment", ["after", pytest.param("before", marks=pytest.mark.slow)])
def test_the_failure_of_a_worker_that_slept_through_its_lease_changes_nothing_and_is_counted(
    moment: str, system: System, shop: Shop
) -> None:
    _report_an_order_that_is_not_there(system, shop)
    _freeze_a_scheduler(system, moment)
    shop.create_orders([ORDER])
    system.start("scheduler-2")
    eventually(lambda: shop.are_notified([ORDER]))
    settled, order = shop.schedule(ORDER), shop.order(ORDER)

    system["scheduler"].signal(signal.SIGCONT)
    stale = system.lines.wait_for("scheduler", "notify.stale")

    assert stale["count"] == 1
    assert [attempt.code for attempt in settled.attempts] == [NOT_FOUND, UNKNOWN, OK]
    now = shop.schedule(ORDER)
    assert (now.schedule, list(now.attempts)) == (settled.schedule, list(settled.attempts))
    assert shop.order(ORDER) == order
    assert order.order_status == ORDER_STATUS_PAID
    assert len(shop.status_changes(ORDER)) == 2


def test_the_success_of_a_worker_that_slept_through_its_lease_counts(system: System, shop: Shop) -> None:
    _report_an_order_that_is_not_there(system, shop)
    shop.create_orders([ORDER])
    _freeze_a_scheduler(system, "after")
    order = shop.order(ORDER)
    # Whoever has the row now cannot deliver it.
    system["order-server"].kill()
    system.start("scheduler-2")
    system.lines.wait_for("scheduler-2", "notify.given_back")
    assert shop.schedule(ORDER).schedule.status == SCHEDULE_STATUS_NOTIFYING

    system["scheduler"].signal(signal.SIGCONT)
    eventually(lambda: shop.are_notified([ORDER]))

    assert system.lines.events("scheduler", "notify.stale") == []
    assert [attempt.code for attempt in shop.schedule(ORDER).attempts][:2] == [NOT_FOUND, OK]
    assert shop.payments([ORDER])[0].disposition == DISPOSITION_APPLIED
    system.start("order-server")
    assert shop.order(ORDER) == order
    assert order.order_status == ORDER_STATUS_PAID
    assert len(shop.status_changes(ORDER)) == 2


def _report_an_order_that_is_not_there(system: System, shop: Shop) -> None:
    """The first attempt fails; the next one is due in a second."""
    system.start("payment-server", "order-server")
    shop.create_payments([ORDER])
    shop.report([ORDER])
    eventually(lambda: [attempt.code for attempt in shop.schedule(ORDER).attempts] == [NOT_FOUND])


def _freeze_a_scheduler(system: System, moment: str) -> None:
    system.launch("scheduler", module=FREEZING, test_freezes=moment)
    eventually(lambda: is_stopped(system["scheduler"]))
