"""The threads that repeat a pass until they are told to stop. Owns their pace; knows nothing of what a pass does."""

import threading
from collections.abc import Callable
from datetime import timedelta

from core.clock import Clock
from core.logs import Logger
from core.rules.errors import PaylatchError


class Loops:
    """Each pass on a thread of its own: again at once while there is work, after the poll interval when there is none.

    A pass that fails is logged and comes again after the interval: a database that is away is no reason to end. It is
    told when it goes away and when it is back, not with every pass in between.
    """

    def __init__(self, clock: Clock, log: Logger, interval: timedelta) -> None:
        self._clock = clock
        self._log = log
        self._interval = interval.total_seconds()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failing: set[str] = set()

    def start(self, name: str, run_once: Callable[[], int], interval: timedelta | None = None) -> None:
        """Repeat `run_once`, which answers how much it did, on a new thread. interval: instead of the poll interval."""
        rest = self._interval if interval is None else interval.total_seconds()
        thread = threading.Thread(target=self._repeat, args=(name, run_once, rest), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, bound: timedelta) -> bool:
        """Begin no more passes; whether those under way ended within `bound`."""
        self._stopping.set()
        ends = self._clock.monotonic() + bound.total_seconds()
        for thread in self._threads:
            thread.join(max(0.0, ends - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _repeat(self, name: str, run_once: Callable[[], int], rest: float) -> None:
        while not self._stopping.is_set():
            if self._run(name, run_once) == 0:
                self._stopping.wait(rest)

    def _run(self, name: str, run_once: Callable[[], int]) -> int:
        try:
            done = run_once()
        except PaylatchError as error:
            self._tell_failed(name, error)
            return 0
        except Exception:  # noqa: BLE001 - told, and tried again after the interval
            self._log.exception("scheduler.pass_crashed", loop=name)
            return 0
        if name in self._failing:
            self._failing.discard(name)
            self._log.info("scheduler.pass_works_again", loop=name)
        return done

    def _tell_failed(self, name: str, error: PaylatchError) -> None:
        if name not in self._failing:
            self._failing.add(name)
            self._log.warning("scheduler.pass_failed", loop=name, **error.for_log)
