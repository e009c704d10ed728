import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from core.clock import SystemClock
from core.logs import make_logger
from core.rules.errors import Unavailable
from scheduler.loops import Loops
from tests.support.logs import Log
from tests.support.waiting import wait_until

BOUND = timedelta(seconds=10)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def loops(log: Log) -> Iterator[Loops]:
    loops = Loops(SystemClock(), log.logger, timedelta(milliseconds=1))
    yield loops
    assert loops.stop(BOUND)


def test_a_database_that_is_away_for_many_passes_is_told_once_and_once_that_it_is_back(loops: Loops, log: Log) -> None:
    away = Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")
    passes = Passes([away] * 5 + [None] * 2 + [away] * 3)
    loops.start("expiry", passes.run_once)
    wait_until(lambda: passes.made > 12)

    failed, works = "scheduler.pass_failed", "scheduler.pass_works_again"
    assert log.events() == [failed, works, failed, works]
    assert log.named(failed)[0] == {
        "loop": "expiry",
        "reason": "DATABASE_UNAVAILABLE",
        "message": "the database is not available",
        "log_level": "warning",
    }


def test_a_pass_that_crashes_is_told_with_its_traceback_and_comes_again(loops: Loops, log: Log) -> None:
    passes = Passes([RuntimeError("a bug")])
    loops.start("expiry", passes.run_once)
    wait_until(lambda: passes.made > 2)

    (crashed,) = log.named("scheduler.pass_crashed")
    assert crashed["log_level"] == "error"
    assert crashed["exc_info"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_pass_that_crashes_tells_no_secret(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    loops = Loops(SystemClock(), make_logger("test", form), timedelta(milliseconds=1))
    passes = Passes([RuntimeError("no way to postgresql://app:canary-4711@db/payment")])
    loops.start("expiry", passes.run_once)
    wait_until(lambda: passes.made > 2)
    assert loops.stop(BOUND)

    told = capsys.readouterr().err
    assert "no way to postgresql://***@db/payment" in told
    assert "canary" not in told


def test_a_pass_that_failed_does_not_wait_for_its_long_rest(loops: Loops) -> None:
    away = Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")
    passes = Passes([away] * 3)
    loops.start("purge", passes.run_once, timedelta(hours=1))
    wait_until(lambda: passes.made == 4)


def test_helpers_join_while_there_is_plenty(loops: Loops) -> None:
    work = Work([5] * 7, together=2)
    loops.start("work", work.run_once, helpers=1, plenty=5)

    assert work.found_nothing.wait(BOUND.total_seconds())
    assert len(work.threads) == 2


def test_helpers_leave_little_work_to_one_thread(loops: Loops) -> None:
    work = Work([4] * 20)
    loops.start("work", work.run_once, helpers=3, plenty=5)

    assert work.found_nothing.wait(BOUND.total_seconds())
    assert len(work.threads) == 1


def test_helpers_that_wait_end_when_the_loops_are_stopped(log: Log) -> None:
    loops = Loops(SystemClock(), log.logger, timedelta(hours=1))
    work = Work([])
    loops.start("work", work.run_once, helpers=4)
    assert work.found_nothing.wait(BOUND.total_seconds())

    assert loops.stop(BOUND)
    assert work.passes == 1


class Work:
    """A pass that has these amounts to do, one after the other; from the second one on, `together` threads at once."""

    def __init__(self, amounts: list[int], together: int = 1) -> None:
        self._amounts = iter(amounts)
        self._lock = threading.Lock()
        self._meet = threading.Barrier(together)
        self.threads: set[int] = set()
        self.passes = 0
        self.found_nothing = threading.Event()

    def run_once(self) -> int:
        with self._lock:
            self.passes += 1
            is_first, amount = self.passes == 1, next(self._amounts, 0)
        if amount == 0:
            self.found_nothing.set()
            return 0
        if not is_first:
            self._meet.wait(BOUND.total_seconds())
        self.threads.add(threading.get_ident())
        return amount


class Passes:
    """Raises what is planned, then does nothing."""

    def __init__(self, planned: Sequence[Exception | None]) -> None:
        self._planned = iter(planned)
        self.made = 0

    def run_once(self) -> int:
        self.made += 1
        error = next(self._planned, None)
        if error is not None:
            raise error
        return 0
