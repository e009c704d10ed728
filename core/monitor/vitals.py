"""Whether a process can do its work: its database answers, its loops come round. Owns what health says of it.

A process that is merely busy is well. It is ailing when its database has not answered for longer than the grace, or a
loop is late by more than any pass may take; and well again only after it was so twice in a row, so that it never flaps.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.clock import Clock
from core.logs import Logger
from core.rules.errors import Contended, PaylatchError
from core.settings import Settings
from core.store.database import Database
from core.telemetry.catalogue import PASS_AGE
from core.telemetry.metrics import Reading

LOOKS_TO_BE_WELL = 2
"""Good looks in a row after which a process that was ailing is well again."""

_LOOKS_PER_GRACE = 5
_LONGEST_PAUSE = 3.0
_END_SECONDS = 1.0


class PassAge(NamedTuple):
    """A loop. age: seconds since its last pass that ended without an error. rest: it rests between two at most."""

    loop: str
    age: float
    rest: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a process is ailing, in seconds.

    grace: how long the database may be away. longest_pass: a loop may take that much longer than it rests.
    """

    grace: float
    longest_pass: float

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """Those of the settings: no pass takes longer than its lease, but for a database that comes back in time."""
        grace = settings.health_grace.total_seconds()
        return cls(grace, settings.notify_lease.total_seconds() + grace)


class Health(Protocol):
    """Where it is said."""

    def set_serving(self, serving: bool) -> None:
        """Say whether the process serves."""
        ...


class Vitals:
    """See the module. healths: of the process's servers. loops: when each last came round; None if it has none."""

    def __init__(
        self,
        healths: Sequence[Health],
        database: Database,
        clock: Clock,
        log: Logger,
        bounds: Bounds,
        loops: Callable[[], Sequence[PassAge]] | None = None,
    ) -> None:
        self._healths = healths
        self._database = database
        self._clock = clock
        self._log = log
        self._bounds = bounds
        self.loops = loops
        self._answered = clock.monotonic()
        self._good_looks = LOOKS_TO_BE_WELL
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_well = True
        self.is_database_up = True
        self.clock_skew: float | None = None

    def start(self) -> None:
        """Look again and again, on a thread of its own, until stopped."""
        self._answered = self._clock.monotonic()
        self._thread = threading.Thread(target=self._repeat, name="vitals", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more. A look that is under way may end later: it only asks the database for its time."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def pass_ages(self) -> list[Reading]:
        """The loops, as a metric."""
        return [Reading(PASS_AGE, one.age, (one.loop,)) for one in self._passes()]

    def look(self) -> None:
        """Look once, and say what changed."""
        self.is_database_up = self._does_database_answer()
        ailing = self._ailing()
        self._good_looks = self._good_looks + 1 if self.is_database_up and not ailing else 0
        if ailing and self.is_well:
            self._say(serving=False)
            self._log.error("health.not_serving", why="; ".join(ailing))
        elif not self.is_well and self._good_looks >= LOOKS_TO_BE_WELL:
            self._say(serving=True)
            self._log.info("health.serving_again")

    def _say(self, *, serving: bool) -> None:
        self.is_well = serving
        for health in self._healths:
            health.set_serving(serving)

    def _does_database_answer(self) -> bool:
        before = self._clock.now()
        try:
            told = self._database.read(lambda tx: tx.now)
        except Contended:  # it is there, and busy
            self._answered = self._clock.monotonic()
            return True
        except PaylatchError:
            return False
        midway = before + (self._clock.now() - before) / 2
        self.clock_skew = (told - midway).total_seconds()
        self._answered = self._clock.monotonic()
        return True

    def _ailing(self) -> list[str]:
        away = self._clock.monotonic() - self._answered
        told = [f"the database has not answered for {away:.0f} s"] if away > self._bounds.grace else []
        for loop, age, rest in self._passes():
            if age > rest + self._bounds.longest_pass:
                told.append(f"loop {loop!r} has not come round for {age:.0f} s")
        return told

    def _passes(self) -> Sequence[PassAge]:
        return () if self.loops is None else self.loops()

    def _repeat(self) -> None:
        pause = min(self._bounds.grace / _LOOKS_PER_GRACE, _LONGEST_PAUSE)
        while not self._is_stopping.wait(pause):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - told, and looked again: who watches must not be the one that ends
                self._log.exception("health.look_crashed")
