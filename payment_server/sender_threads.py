"""The threads of first attempts, one for each target. Owns when they wait and end; knows nothing of what is sent."""

import threading
from collections.abc import Callable
from datetime import timedelta

from core.clock import Clock


class SenderThreads:
    """Implements `payment_server.first_attempts.Senders`. A target's thread is started when it has its first rows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._woken: set[str] = set()
        self._is_stopping = False
        self._threads: dict[str, threading.Thread] = {}

    def wake(self, target: str, send_next: Callable[[], int]) -> None:
        """Have the target's thread run `send_next` until it answers 0."""
        with self._changed:
            self._woken.add(target)
            if target not in self._threads:
                self._threads[target] = self._start(target, send_next)
            self._changed.notify_all()

    def stop(self, bound: timedelta) -> None:
        """Let the threads finish what they were woken for within `bound`, and end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        ends = self._clock.monotonic() + bound.total_seconds()
        for thread in self._threads.values():
            thread.join(max(0.0, ends - self._clock.monotonic()))

    def _start(self, target: str, send_next: Callable[[], int]) -> threading.Thread:
        name = f"first-attempts {target}"
        thread = threading.Thread(target=self._work, args=(target, send_next), name=name, daemon=True)
        thread.start()
        return thread

    def _work(self, target: str, send_next: Callable[[], int]) -> None:
        while self._is_woken(target):
            while send_next():
                pass

    def _is_woken(self, target: str) -> bool:
        """Wait until there is something to do; False when there is nothing, and will be nothing."""
        with self._changed:
            self._changed.wait_for(lambda: target in self._woken or self._is_stopping)
            is_woken = target in self._woken
            self._woken.discard(target)
            return is_woken
