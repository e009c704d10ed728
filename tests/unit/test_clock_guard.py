from datetime import timedelta

import pytest

from core.outbox.clock_guard import ClockGuard
from tests.support.clock import START, TestClock
from tests.support.logs import Log

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def guard(clock: TestClock, log: Log) -> ClockGuard:
    return ClockGuard(clock, log.logger)


def _allows(guard: ClockGuard, clock: TestClock) -> bool:
    return guard.allows(clock.now())


def test_time_that_really_passed_is_no_jump(guard: ClockGuard, clock: TestClock) -> None:
    assert _allows(guard, clock)
    clock.advance(timedelta(days=30))
    assert _allows(guard, clock)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_jump_of_more_than_an_hour_stops_the_pass(
    guard: ClockGuard, clock: TestClock, log: Log, direction: int
) -> None:
    assert _allows(guard, clock)
    clock.set_wall_clock(START + direction * HOUR)
    assert _allows(guard, clock)

    clock.set_wall_clock(clock.now() + direction * (HOUR + MOMENT))
    assert not _allows(guard, clock)
    assert [line["log_level"] for line in log.named("clock.jumped")] == ["error"]


def test_the_alarm_is_raised_once_a_jump_and_again_at_the_next(guard: ClockGuard, clock: TestClock, log: Log) -> None:
    _allows(guard, clock)
    for _ in range(2):
        clock.set_wall_clock(START + 2 * HOUR)
        assert [_allows(guard, clock) for _ in range(3)] == [False] * 3
        clock.set_wall_clock(START)
        assert _allows(guard, clock)

    assert len(log.named("clock.jumped")) == 2


def test_a_clock_that_stays_wrong_is_never_trusted_again(guard: ClockGuard, clock: TestClock) -> None:
    _allows(guard, clock)
    clock.set_wall_clock(START + timedelta(days=365))
    assert not _allows(guard, clock)

    clock.advance(timedelta(days=30))
    assert not _allows(guard, clock)
