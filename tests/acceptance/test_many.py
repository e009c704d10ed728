"""Two payment servers, two order servers and four schedulers on the same two databases, in a storm of duplicates."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.backends import on_servers
from tests.support.books import Books
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import numbers
from tests.support.storm import Storm

SETTINGS = {**IMPATIENT, "notify_batch_size": "10"}
SETTLES_WITHIN = 20.0

MANY = pytest.param(4_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])


@pytest.fixture
def system(tmp_path: Path, payment_database_url: str, order_database_url: str) -> Iterator[System]:
    with System(
        tmp_path,
        SETTINGS,
        payment_url=payment_database_url,
        order_url=order_database_url,
        payment_servers=2,
        order_servers=2,
        schedulers=4,
    ) as system:
        yield system


@on_servers
@pytest.mark.parametrize("count", [240, MANY])
def test_in_a_storm_of_duplicates_every_payment_has_one_effect_and_every_worker_its_part(
    system: System, count: int
) -> None:
    orders = numbers(count)
    system.start(*(name for name in system.addresses if name != "order-server-2"))
    with Storm(system) as storm:
        storm.create(orders)
        storm.report(orders[: count // 3])
        # It accepts and stays silent: calls to it fail. The other one is not there yet: none can be made.
        system["order-server"].signal(signal.SIGSTOP)
        storm.report(orders[count // 3 :])
        eventually(lambda: any(system.lines.events(name, "notify.failed") for name in _senders(system)))
        system["order-server"].signal(signal.SIGCONT)
        system.start("order-server-2")
        storm.notify(orders[: count // 6])
        eventually(lambda: storm.shops[0].are_notified(orders), SETTLES_WITHIN)

    books = Books(system.settings)
    books.hold_one_effect_of(orders)
    books.hold_attempts_in_turn()
    assert len(books.attempts) > count
    assert books.deliveries_by_process().keys() == {system[name].pid for name in _senders(system)}
    assert system.lines.errors() == []


def _senders(system: System) -> list[str]:
    return [*system.names["payment-server"], *system.names["scheduler"]]
