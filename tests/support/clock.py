"""A clock that stands still until a test moves it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TestClock:
    """Implements core.clock.Clock. Instants and monotonic seconds move together, unless the wall clock is set."""

    __test__ = False

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        return self._now

    def shared(self, database_time: Callable[[], datetime | None]) -> datetime:
        """A test's own time, on every backend."""
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, duration: timedelta) -> datetime:
        """Let `duration` pass; the instant it is then."""
        self._monotonic += duration.total_seconds()
        self._now += duration
        return self._now

    def set_wall_clock(self, now: datetime) -> None:
        """Step the wall clock, as an operator or a time server may; no time passes."""
        self._now = now
