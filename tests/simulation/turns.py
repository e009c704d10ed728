"""Virtual time and turns. Every activity is a task of its own; the seed alone decides who goes on, and when.

Tasks are greenlets of one thread: real, synchronous code is suspended wherever it waits, and nothing else runs until
it does. Owns time; knows nothing of what is simulated.
"""

import heapq
import zlib
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from greenlet import getcurrent, greenlet


class Crash(BaseException):
    """The process ends here. No `except Exception` of the code under test may hold it up."""


class Owner(Protocol):
    """Whose task it is. A dead one's tasks end where they wait; a frozen one's go on when it is thawed."""

    name: str
    is_alive: bool
    frozen_until: float


class Task:
    """One activity. turn: counts its resumptions, so that a wake-up for an earlier wait does nothing."""

    __slots__ = ("greenlet", "owner", "turn")

    def __init__(self, owner: Owner, run: Callable[[], object], hub: greenlet) -> None:
        self.owner = owner
        self.turn = 0
        self.greenlet: Any = greenlet(run, hub)


class Turns:
    """See the module. now: seconds since the beginning."""

    def __init__(self, seed: object) -> None:
        self.random = Random(str(seed))
        self.now = 0.0
        self.digest = 0
        self.trace: list[str] | None = None
        self._hub = getcurrent()
        self._queue: list[tuple[float, float, int, Task, int]] = []
        self._count = 0
        self._current: Task | None = None

    def spawn(self, owner: Owner, run: Callable[[], object], after: float = 0.0) -> Task:
        """Begin an activity, `after` seconds from now."""
        task = Task(owner, run, self._hub)
        self._push(task, self.now + after)
        return task

    def pause(self, seconds: float) -> None:
        """Let the current task wait; others go on."""
        task = self.current
        self._push(task, self.now + seconds)
        self._suspend(task)

    def park(self, timeout: float | None = None) -> None:
        """Let the current task wait until it is woken, or until `timeout` seconds have passed."""
        task = self.current
        if timeout is not None:
            self._push(task, self.now + timeout)
        self._suspend(task)

    def wake(self, task: Task) -> None:
        """Let a parked task go on."""
        self._push(task, self.now)

    @property
    def current(self) -> Task:
        """The task that runs."""
        assert self._current is not None, "only a task can wait"
        return self._current

    def run(self, until: float) -> None:
        """Let everything go on until this time."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            at, _, _, task, turn = heapq.heappop(queue)
            if turn != task.turn or task.greenlet.dead:
                continue
            self.now = max(self.now, at)
            if task.owner.frozen_until > self.now and task.owner.is_alive:
                self._push(task, task.owner.frozen_until)
                continue
            self._resume(task)
        self.now = max(self.now, until)

    def thaw(self, owner: Owner) -> None:
        """Let a frozen owner's tasks go on now."""
        frozen_until, owner.frozen_until = owner.frozen_until, 0.0
        for task in [task for at, _, _, task, turn in self._queue if at == frozen_until and turn == task.turn]:
            if task.owner is owner:
                self._push(task, self.now)

    def note(self, owner: Owner, what: str) -> None:
        """Take down that something happened: runs of one seed have the same digest."""
        line = f"{self.now:.6f} {owner.name} {what}"
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self.trace is not None:
            self.trace.append(line)

    def end(self) -> None:
        """End every task where it waits."""
        while self._queue:
            task = self._queue.pop()[3]
            if not task.greenlet.dead and task.greenlet:
                task.owner.is_alive = False
                self._resume(task)

    def _resume(self, task: Task) -> None:
        task.turn += 1
        before, self._current = self._current, task
        try:
            task.greenlet.switch()
        except Crash:
            if task.owner.is_alive:
                raise
        finally:
            self._current = before

    def _suspend(self, task: Task) -> None:
        self._hub.switch()
        if not task.owner.is_alive:
            raise Crash

    def _push(self, task: Task, at: float) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self.random.random(), self._count, task, task.turn))


class Signal:
    """What tasks wait for until it is set."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._is_set = False
        self._waiting: list[Task] = []

    def set(self) -> None:
        self._is_set = True
        while self._waiting:
            self._turns.wake(self._waiting.pop(0))

    def wait(self) -> None:
        while not self._is_set:
            self._waiting.append(self._turns.current)
            self._turns.park()
