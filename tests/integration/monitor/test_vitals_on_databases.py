import threading
from collections.abc import Iterator

import pytest

from core.clock import SystemClock
from core.monitor.vitals import Bounds, Vitals
from core.store.database import Database
from core.store.transaction import Transaction
from tests.support.databases import opened
from tests.support.logs import Log
from tests.support.servers import OwnPostgreSql
from tests.support.waiting import wait_until

LITTLE_GRACE = Bounds(grace=0.5, longest_pass=0)


class Said:
    def __init__(self) -> None:
        self.serving: list[bool] = []

    def set_serving(self, serving: bool) -> None:
        self.serving.append(serving)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def database(payment_database_url: str) -> Iterator[Database]:
    with opened(payment_database_url, SystemClock()) as database:
        yield database


def _vitals(said: Said, database: Database) -> Vitals:
    return Vitals([said], database, SystemClock(), Log().logger, LITTLE_GRACE)


def test_a_database_that_somebody_writes_to_for_long_is_there(said: Said, database: Database) -> None:
    vitals = _vitals(said, database)
    begun, may_end = threading.Event(), threading.Event()

    def write_for_long(_: Transaction) -> None:
        begun.set()
        may_end.wait(20)

    writer = threading.Thread(target=database.transact, args=(write_for_long,))
    writer.start()
    begun.wait(20)
    for _ in range(3):
        vitals.look()
    may_end.set()
    writer.join()

    assert (said.serving, vitals.is_database_up) == ([], True)
    assert vitals.clock_skew is not None
    assert abs(vitals.clock_skew) < 5


def test_a_server_that_crashed_ails_the_process_and_its_return_makes_it_well(
    said: Said, own_postgresql: OwnPostgreSql
) -> None:
    with opened(own_postgresql.databases.create(), SystemClock()) as database:
        vitals = _vitals(said, database)
        vitals.look()
        own_postgresql.crash()
        wait_until(lambda: _said_after_a_look(vitals, said) == [False])
        assert not vitals.is_database_up

        own_postgresql.start()
        assert _said_after_a_look(vitals, said) == [False]
        assert _said_after_a_look(vitals, said) == [False, True]


def _said_after_a_look(vitals: Vitals, said: Said) -> list[bool]:
    vitals.look()
    return said.serving
