"""The threads that repeat a pass until they are told to stop. Owns their pace; knows nothing of what a pass does."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from core.clock import Clock
from core.logs import Logger
from core.monitor.vitals import PassAge
from core.rules.errors import PaylatchError


@dataclass(slots=True)
class _Loop:
    """A pass that is repeated. plenty: a pass that did this much says that there is work for more than one thread.

    last_pass: monotonic seconds when one ended that did not fail, at first when the loop was started.
    """

    name: str
    run_once: Callable[[], int]
    rest: float
    plenty: int
    is_plenty: threading.Event = field(default_factory=threading.Event)
    is_failing: bool = False
    telling: threading.Lock = field(default_factory=threading.Lock)
    last_pass: float = 0.0


class Loops:
    """Each pass on threads of its own: again at once while there is work, after the poll interval when there is none.

    A pass that fails is logged and comes again after the poll interval, however long its loop rests otherwise: a
    database that is away is no reason to end. It is told when it goes away and when it is back, not with every pass.
    """

    def __init__(self, clock: Clock, log: Logger, interval: timedelta) -> None:
        self._clock = clock
        self._log = log
        self._interval = interval
        self._stopping = threading.Event()
        self._loops: list[_Loop] = []
        self._threads: list[threading.Thread] = []

    def start(
        self,
        name: str,
        run_once: Callable[[], int],
        interval: timedelta | None = None,
        *,
        helpers: int = 0,
        plenty: int = 1,
    ) -> None:
        """Repeat `run_once`, which answers how much it did, on a new thread. interval: instead of the poll interval.

        helpers: threads that repeat it too, but only from a pass that did `plenty` until one of theirs did less.
        """
        loop = _Loop(name, run_once, (interval or self._interval).total_seconds(), plenty)
        loop.last_pass = self._clock.monotonic()
        self._loops.append(loop)
        self._start_thread(self._repeat, loop)
        for _ in range(helpers):
            self._start_thread(self._help, loop)

    def ages(self) -> list[PassAge]:
        """When each loop last came round."""
        now = self._clock.monotonic()
        return [PassAge(loop.name, now - loop.last_pass, loop.rest) for loop in self._loops]

    def stop(self, bound: timedelta) -> bool:
        """Begin no more passes; whether those under way ended within `bound`."""
        self._stopping.set()
        for loop in self._loops:
            loop.is_plenty.set()
        ends = self._clock.monotonic() + bound.total_seconds()
        for thread in self._threads:
            thread.join(max(0.0, ends - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _start_thread(self, work: Callable[[_Loop], None], loop: _Loop) -> None:
        thread = threading.Thread(target=work, args=(loop,), name=loop.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, loop: _Loop) -> None:
        while not self._stopping.is_set():
            done = self._run(loop)
            if done is None:
                self._stopping.wait(self._interval.total_seconds())
            elif done == 0:
                self._stopping.wait(loop.rest)
            elif done >= loop.plenty:
                loop.is_plenty.set()

    def _help(self, loop: _Loop) -> None:
        while loop.is_plenty.wait() and not self._stopping.is_set():
            if (self._run(loop) or 0) < loop.plenty:
                loop.is_plenty.clear()

    def _run(self, loop: _Loop) -> int | None:
        """Run a pass; how much it did, None if it failed."""
        try:
            done = loop.run_once()
        except PaylatchError as error:
            self._tell_failed(loop, error)
            return None
        except Exception:  # noqa: BLE001 - told, and tried again after the interval
            self._log.exception("scheduler.pass_crashed", loop=loop.name)
            return None
        loop.last_pass = self._clock.monotonic()
        self._tell_works(loop)
        return done

    def _tell_failed(self, loop: _Loop, error: PaylatchError) -> None:
        with loop.telling:
            if not loop.is_failing:
                loop.is_failing = True
                self._log.warning("scheduler.pass_failed", loop=loop.name, **error.for_log)

    def _tell_works(self, loop: _Loop) -> None:
        with loop.telling:
            if loop.is_failing:
                loop.is_failing = False
                self._log.info("scheduler.pass_works_again", loop=loop.name)
