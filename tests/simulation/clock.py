"""The clocks of the simulation: a machine's own, which may be wrong, and the database's, which judges."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.simulation.turns import Turns
from tests.support.clock import START


@dataclass
class DatabaseTime:
    """The one clock that all who share the databases judge by. error: how wrong it is now."""

    turns: Turns
    error: timedelta = timedelta(0)

    def now(self) -> datetime:
        """What it shows."""
        return START + timedelta(seconds=self.turns.now) + self.error


class MachineClock:
    """Implements core.clock.Clock for one process. skew: how wrong the machine's own clock is."""

    def __init__(self, database_time: DatabaseTime, skew: timedelta, booted: float) -> None:
        self._database_time = database_time
        self._skew = skew
        self._booted = booted

    def now(self) -> datetime:
        return START + timedelta(seconds=self._database_time.turns.now) + self._skew

    def shared(self, database_time: Callable[[], datetime | None]) -> datetime:
        return self._database_time.now()

    def monotonic(self) -> float:
        return self._booted + self._database_time.turns.now
