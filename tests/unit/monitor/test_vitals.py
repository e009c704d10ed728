from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.monitor.vitals import Bounds, PassAge, Vitals
from core.rules.errors import Contended, PaylatchError, Unavailable
from core.store import database
from tests.support.clock import TestClock
from tests.support.logs import Log

BOUNDS = Bounds(grace=15, longest_pass=45)
LOOK = timedelta(seconds=3)
AWAY = Unavailable("away", reason="DATABASE_UNAVAILABLE")


class Database:
    """Its time is ten seconds ahead of the process's."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.error: PaylatchError | None = None

    def read(self, work: Callable[[Any], Any]) -> Any:
        if self.error is not None:
            raise self.error
        return work(SimpleNamespace(now=self.clock.now() + timedelta(seconds=10)))


class Process:
    """What vitals look at, and what they say of it."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.log = Log()
        self.database = Database(clock)
        self.ages = [PassAge("retry", 0, 1), PassAge("purge", 0, 60)]
        self.said: list[bool] = []
        self.vitals = Vitals(
            [self], cast("database.Database", self.database), clock, self.log.logger, BOUNDS, lambda: self.ages
        )

    def set_serving(self, serving: bool) -> None:
        self.said.append(serving)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(LOOK)
            self.vitals.look()


@pytest.fixture
def process(clock: TestClock) -> Process:
    return Process(clock)


def test_a_process_whose_database_answers_and_whose_loops_come_round_is_well(process: Process) -> None:
    process.look(10)

    assert (process.said, process.vitals.is_well, process.log.events()) == ([], True, [])


def test_a_database_that_is_away_for_longer_than_the_grace_makes_it_ailing(process: Process) -> None:
    process.look()
    process.database.error = AWAY
    process.look(5)
    assert (process.said, process.vitals.is_database_up) == ([], False)

    process.look()
    assert process.said == [False]
    assert process.log.named("health.not_serving") == [
        {"why": "the database has not answered for 18 s", "log_level": "error"}
    ]


def test_it_is_well_again_after_two_good_looks_in_a_row(process: Process) -> None:
    process.database.error = AWAY
    process.look(6)
    process.database.error = None
    process.look()
    assert process.said == [False]

    process.look()
    assert process.said == [False, True]
    assert process.log.events("info") == ["health.serving_again"]


def test_a_database_that_comes_and_goes_neither_ails_it_nor_makes_it_well(process: Process) -> None:
    def come_and_go() -> None:
        for _ in range(20):
            process.database.error = AWAY if process.database.error is None else None
            process.look()

    come_and_go()
    assert process.said == []

    process.database.error = AWAY
    process.look(6)
    come_and_go()
    assert process.said == [False]


def test_a_database_that_is_merely_busy_is_there(process: Process) -> None:
    process.database.error = Contended()
    process.look(20)

    assert (process.said, process.vitals.is_database_up) == ([], True)


@pytest.mark.parametrize(("loop", "age", "is_late"), [(0, 46, False), (0, 47, True), (1, 105, False), (1, 106, True)])
def test_a_loop_is_late_when_it_has_not_come_round_for_its_rest_and_the_longest_pass(
    process: Process, loop: int, age: float, is_late: bool
) -> None:
    process.ages[loop] = process.ages[loop]._replace(age=age)
    process.look()

    assert process.said == ([False] if is_late else [])


def test_the_skew_is_the_databases_time_minus_the_processs(process: Process) -> None:
    assert process.vitals.clock_skew is None
    process.look()

    assert process.vitals.clock_skew == 10
