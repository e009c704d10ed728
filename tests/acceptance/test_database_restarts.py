"""The database crashes again and again under load. Nothing that was answered is lost, and nobody restarts a process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.books import Books
from tests.support.customers import Customers
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.servers import OwnPostgreSql
from tests.support.shop import Shop

SETTLES_WITHIN = 30.0


@pytest.fixture
def system(tmp_path: Path, own_postgresql: OwnPostgreSql) -> Iterator[System]:
    payment_url, order_url = own_postgresql.databases.create(), own_postgresql.databases.create()
    with System(tmp_path, IMPATIENT, payment_url=payment_url, order_url=order_url, schedulers=2) as system:
        yield system


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("crashes", "seconds_between"), [(2, 1.0), pytest.param(10, 3.0, marks=pytest.mark.slow)])
def test_a_database_that_crashes_every_few_seconds_loses_nothing_and_needs_nobody(
    system: System, own_postgresql: OwnPostgreSql, crashes: int, seconds_between: float
) -> None:
    system.start()
    with Customers(system) as customers:
        for _ in range(crashes):
            threading.Event().wait(seconds_between)
            customers.wait_until_served()
            own_postgresql.crash()
            own_postgresql.start()
    with Shop(system.settings) as shop:
        eventually(lambda: shop.are_notified(customers.acknowledged), SETTLES_WITHIN)

    books = Books(system.settings)
    books.hold_one_effect_of(customers.acknowledged)
    books.hold_attempts_in_turn()
    assert customers.failures.keys() <= {"DATABASE_UNAVAILABLE", "RESULT_UNKNOWN"}
    assert customers.failures["DATABASE_UNAVAILABLE"] > 0
    assert system.lines.errors() == []
    assert all(system[name].serves(1) for name in system.addresses)
