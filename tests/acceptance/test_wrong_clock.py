"""A worker whose machine's clock is an hour off, alone with all the work: the database's time judges (SPEC 8)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from core.clock import SystemClock
from core.outbox.tables import NotifySchedule
from core.store.database import Database
from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_FAILED
from tests.acceptance.backends import on_servers
from tests.support.books import Books
from tests.support.databases import opened
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import Shop

SETTINGS = {**IMPATIENT, "notify_window": "30m"}
SKEWED = "tests.support.odd.skewed_scheduler"
HOUR = 3_600
WAIT = timedelta(seconds=1)
IN_TIME = timedelta(seconds=10)
LATE, EXPIRED = "A-1", "A-2"


@pytest.fixture
def system(tmp_path: Path, payment_database_url: str, order_database_url: str) -> Iterator[System]:
    with System(tmp_path, SETTINGS, payment_url=payment_database_url, order_url=order_database_url) as system:
        yield system


@on_servers
@pytest.mark.parametrize("skew", [HOUR, pytest.param(-HOUR, marks=pytest.mark.slow)], ids=["ahead", "behind"])
def test_a_clock_an_hour_off_tries_nothing_early_forgets_nothing_and_gives_up_only_what_has_expired(
    skew: int, system: System, shop: Shop
) -> None:
    system.start("payment-server", "order-server")
    shop.create_payments([LATE, EXPIRED])
    shop.report([LATE, EXPIRED])
    eventually(lambda: all(shop.schedule(order_no).attempts for order_no in (LATE, EXPIRED)))
    with opened(system.settings.payment_database_url, SystemClock()) as database:
        _let_expire(database, EXPIRED)

    system.start("scheduler", module=SKEWED, test_skew_seconds=str(skew))
    eventually(lambda: shop.schedule(EXPIRED).schedule.status == SCHEDULE_STATUS_FAILED)
    eventually(lambda: len(shop.schedule(LATE).attempts) > 2)
    shop.create_orders([LATE])
    eventually(lambda: shop.are_notified([LATE]))

    *failed, delivered = Books(system.settings).attempts_on(LATE)
    assert {attempt.code for attempt in failed} == {grpc.StatusCode.NOT_FOUND.value[0]}
    for one, following in zip(failed, [*failed[1:], delivered], strict=True):
        assert 0.9 * WAIT <= following.start_time - one.finish_time < IN_TIME
    assert system.lines.events("scheduler", "clock.jumped", "notify.stale") == []
    assert len(system.lines.events("scheduler", "notify.given_up")) == 1


def _let_expire(database: Database, order_no: str) -> None:
    """Its window ends in this moment, and it waits for longer than that."""
    database.transact(
        lambda tx: tx.change(
            NotifySchedule.update(give_up_time=tx.now, next_notify_time=tx.now + timedelta(minutes=10)).where(
                NotifySchedule.order_no == order_no
            )
        )
    )
