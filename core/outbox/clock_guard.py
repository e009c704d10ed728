"""Notices a clock that jumped, so that nothing is given up or purged by a wrong time (SPEC 8)."""

from datetime import datetime, timedelta

from core.clock import Clock
from core.logs import Logger

LARGEST_JUMP = timedelta(hours=1)


class ClockGuard:
    """Compares how far the time has moved between two passes with how long they really were apart.

    After a jump it refuses until the clock is back, or the process was restarted by somebody who has looked.
    """

    def __init__(self, clock: Clock, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._last: tuple[datetime, float] | None = None
        self._is_refusing = False

    def allows(self, now: datetime) -> bool:
        """Whether a pass may go by `now`. The alarm is raised once per jump."""
        monotonic = self._clock.monotonic()
        jump = self._jump(now, monotonic)
        if abs(jump) <= LARGEST_JUMP:
            self._last = (now, monotonic)
            self._is_refusing = False
            return True
        if not self._is_refusing:
            self._log.error("clock.jumped", by=str(jump), now=now.isoformat())
        self._is_refusing = True
        return False

    def _jump(self, now: datetime, monotonic: float) -> timedelta:
        if self._last is None:
            return timedelta(0)
        last_now, last_monotonic = self._last
        return (now - last_now) - timedelta(seconds=monotonic - last_monotonic)
