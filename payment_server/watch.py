"""Watching payments until the order side has them (SPEC 9, WatchPayment).

Owns the bound on watchers and their threads: a watcher never takes a thread or a connection from a caller, since all
of them share one look at the database. Never writes.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from core.logs import Logger
from core.outbox import read
from core.rules.codes import ResultStatus, ScheduleStatus
from core.rules.errors import Overloaded, PaylatchError, Unavailable
from core.store.database import Database
from core.store.transaction import Transaction
from payment_server.views import Key, PaymentView, payment_not_found, payments_by_key

MAX_WATCHERS = 64
LOOK_SECONDS = 0.25
"""How long after a look the next one comes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A payment as it is now. schedule_status: of its notification; None if it has none, or none any more."""

    view: PaymentView
    schedule_status: ScheduleStatus | None

    @property
    def is_final(self) -> bool:
        """Whether the order side has it, or its notification was given up."""
        is_notified = self.view.notify_status is ResultStatus.NOTIFIED
        return is_notified or self.schedule_status is ScheduleStatus.FAILED


class PaymentWatches:
    """All watchers of one server. Safe to use from any thread."""

    def __init__(self, database: Database, log: Logger, most: int = MAX_WATCHERS) -> None:
        # One more than may stay, to refuse the rest.
        self.threads = ThreadPoolExecutor(most + 1, thread_name_prefix="watch")
        self._database = database
        self._log = log
        self._most = most
        self._changed = threading.Condition()
        self._watchers: Counter[Key] = Counter()
        self._latest: Mapping[Key, Watched] = {}
        self._looker: threading.Thread | None = None
        self._is_over = threading.Event()

    def watch(self, key: Key, is_active: Callable[[], bool]) -> Iterator[Watched]:
        """The payment now, and whenever it changed, until it is final or nobody listens any more.

        Raises:
            NotFound: there is no such payment.
            Overloaded: there are enough watchers.
            Unavailable: the server stops; watch it elsewhere.
        """
        with self._joined(key):
            last = self._look([key]).get(key)
            if last is None:
                raise payment_not_found(key)
            yield last
            while not last.is_final:
                now = self._next(key, last, is_active)
                if now is None:
                    return
                last = now
                yield last

    def wake(self) -> None:
        """Somebody may have stopped listening."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """End every watch, and refuse new ones: an open one would hold up the stop of the server."""
        self._is_over.set()
        self.wake()

    def close(self) -> None:
        """Let the threads go. Only after the server has stopped."""
        self.threads.shutdown()
        if self._looker is not None:
            self._looker.join()

    @contextmanager
    def _joined(self, key: Key) -> Iterator[None]:
        with self._changed:
            if self._is_over.is_set():
                raise _stopping()
            if self._watchers.total() >= self._most:
                told = f"{self._most} watchers are here already: use GetPayment"
                raise Overloaded(told, reason="TOO_MANY_WATCHERS")
            self._watchers[key] += 1
            self._look_from_now_on()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._watchers[key] -= 1
                self._watchers += Counter()  # forget keys that nobody watches

    def _next(self, key: Key, last: Watched, is_active: Callable[[], bool]) -> Watched | None:
        """What has become of it, when it is something else; None if nobody listens any more."""

        def is_news() -> bool:
            return self._is_over.is_set() or not is_active() or self._latest.get(key, last) != last

        with self._changed:
            self._changed.wait_for(is_news)
            if self._is_over.is_set():
                raise _stopping()
            return self._latest.get(key, last) if is_active() else None

    def _look_from_now_on(self) -> None:
        if self._looker is None:
            self._looker = threading.Thread(target=self._keep_looking, name="watch-look", daemon=True)
            self._looker.start()

    def _keep_looking(self) -> None:
        while not self._is_over.wait(LOOK_SECONDS):
            with self._changed:
                self._changed.wait_for(lambda: self._watchers or self._is_over.is_set())
                keys = list(self._watchers)
            try:
                latest = self._look(keys)
            except PaylatchError as error:
                self._log.warning("watch.look_failed", reason=error.reason, message=error.message)
                continue
            with self._changed:
                self._latest = latest
                self._changed.notify_all()

    def _look(self, keys: list[Key]) -> Mapping[Key, Watched]:
        return self._database.read(lambda tx: _watched(tx, keys))


def _stopping() -> Unavailable:
    return Unavailable("the server stops: watch the payment elsewhere", reason="SERVER_STOPS")


def _watched(tx: Transaction, keys: list[Key]) -> dict[Key, Watched]:
    status_of = {(row.platform_id, row.payment_code): row.notify_status for row in read.schedules(tx, keys)}
    return {key: Watched(view, status_of.get(key)) for key, view in payments_by_key(tx, keys).items()}
