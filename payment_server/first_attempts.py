"""The first attempt of each notification, right after the commit that scheduled it (SPEC 4, step 5).

Owns a bounded queue for each target. What it has no room for is left to the scheduler. Nothing that matters is held
here alone: every queued row is in the outbox, under a lease. Knows no thread: whoever it wakes has it send.
"""

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from core.delivery.deliver import Delivery
from core.logs import Logger
from core.outbox.lease import Claim, ClaimedRow, Lease
from core.rules.errors import PaylatchError


class Senders(Protocol):
    """Have waiting rows sent, each target's apart from all others, so that a dead target delays only its own rows."""

    def wake(self, target: str, send_next: Callable[[], int]) -> None:
        """Rows wait for `target`: run `send_next` until it answers 0."""
        ...

    def stop(self, bound: timedelta) -> None:
        """Let what waits be sent within `bound`, and begin nothing after that."""
        ...


class Room:
    """Room for rows that a transaction is about to claim. lease: None when there is no room."""

    def __init__(self, lease: Lease | None) -> None:
        self.lease = lease
        self.claims: Sequence[Claim] = ()

    def fill(self, claims: Sequence[Claim]) -> None:
        """Hand over what was claimed, after its commit."""
        self.claims = claims


class FirstAttempts:
    """See the module. capacity: rows that may wait or be under way at once. batch_size: the most rows of one call."""

    def __init__(
        self,
        delivery: Delivery,
        take_lease: Callable[[], Lease],
        senders: Senders,
        log: Logger,
        *,
        capacity: int,
        batch_size: int,
    ) -> None:
        self._delivery = delivery
        self._take_lease = take_lease
        self._senders = senders
        self._log = log
        self._free = capacity
        self._batch_size = batch_size
        self._is_stopping = False
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[ClaimedRow]] = {}

    @contextmanager
    def room_for(self, count: int) -> Iterator[Room]:
        """Reserve room for `count` rows; what is filled in when the block ends is sent, the rest is freed."""
        room = Room(self._reserve(count))
        try:
            yield room
        finally:
            if room.lease is not None:
                self._enqueue(count, room.claims)

    def send_next(self, target: str) -> int:
        """Deliver the next batch of `target`; how many rows. 0: none waits."""
        rows = self._take_batch(target)
        if not rows:
            return 0
        try:
            self._delivery.deliver(Claim(target, rows))
        except PaylatchError as error:  # the rows stay in the outbox: their lease lapses, and the scheduler has them
            self._log.warning("first_attempt.not_recorded", target=target, count=len(rows), **error.for_log)
        except Exception:  # noqa: BLE001 - the same
            self._log.exception("first_attempt.crashed", target=target, count=len(rows))
        finally:
            with self._lock:
                self._free += len(rows)
        return len(rows)

    def stop(self, bound: timedelta) -> None:
        """Take no more, send what is queued within `bound`, and give back the rest."""
        with self._lock:
            self._is_stopping = True
        self._senders.stop(bound)
        for target in list(self._waiting):
            self._give_back_rest(target)

    def _reserve(self, count: int) -> Lease | None:
        with self._lock:
            if self._is_stopping or count > self._free:
                return None
            self._free -= count
        return self._take_lease()

    def _enqueue(self, reserved: int, claims: Sequence[Claim]) -> None:
        with self._lock:
            self._free += reserved - sum(len(claim.rows) for claim in claims)
            for claim in claims:
                self._waiting.setdefault(claim.target, deque()).extend(claim.rows)
        for claim in claims:
            self._senders.wake(claim.target, functools.partial(self.send_next, claim.target))

    def _take_batch(self, target: str) -> tuple[ClaimedRow, ...]:
        with self._lock:
            queue = self._waiting[target]
            return tuple(queue.popleft() for _ in range(min(len(queue), self._batch_size)))

    def _give_back_rest(self, target: str) -> None:
        with self._lock:
            rows = tuple(self._waiting[target])
            self._waiting[target].clear()
        if rows:
            self._delivery.give_back(Claim(target, rows))
