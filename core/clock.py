"""The one clock (SPEC 8). Owns every reading of time; nothing else in paylatch may read a clock (a lint rule)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Passed in wherever time matters, so that tests and simulations can drive it."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def shared(self, database_time: Callable[[], datetime | None]) -> datetime:
        """The instant by which all who work on one database judge; `database_time` reads the database's own clock."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps back; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant by the machine, aware, in UTC."""
        return datetime.now(UTC)

    def shared(self, database_time: Callable[[], datetime | None]) -> datetime:
        """The database's time: machines differ. The machine's, if the database has none (SQLite)."""
        return database_time() or self.now()

    def monotonic(self) -> float:
        """The machine's monotonic seconds."""
        return time.monotonic()
