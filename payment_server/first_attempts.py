"""The first attempt of each notification, right after the commit that scheduled it (SPEC 4, step 5).

Owns a bounded queue and one thread for each target, so that a dead target delays only its own rows. What it has no room
for is left to the scheduler. Nothing that matters is held here alone: every queued row is in the outbox, under a lease.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from core.clock import Clock
from core.delivery.deliver import Delivery
from core.logs import Logger
from core.outbox.lease import Claim, ClaimedRow, Lease
from core.outbox.policy import OutboxPolicy


class Room:
    """Room for rows that a transaction is about to claim. lease: None when there is no room."""

    def __init__(self, lease: Lease | None) -> None:
        self.lease = lease
        self.claims: Sequence[Claim] = ()

    def fill(self, claims: Sequence[Claim]) -> None:
        """Hand over what was claimed, after its commit."""
        self.claims = claims


class FirstAttempts:
    """See the module. holder: who the leases name. capacity: rows that may wait or be under way at once."""

    def __init__(
        self,
        delivery: Delivery,
        policy: OutboxPolicy,
        clock: Clock,
        log: Logger,
        holder: str,
        capacity: int,
    ) -> None:
        self._delivery = delivery
        self._clock = clock
        self._log = log
        self._holder = holder
        self._lease = policy.lease
        self._batch_size = policy.batch_size
        self._free = capacity
        self._stopping = False
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[ClaimedRow]] = {}
        self._threads: list[threading.Thread] = []

    @contextmanager
    def room_for(self, count: int) -> Iterator[Room]:
        """Reserve room for `count` rows; what is filled in when the block ends is sent, the rest is freed."""
        room = Room(self._reserve(count))
        try:
            yield room
        finally:
            if room.lease is not None:
                self._enqueue(count, room.claims)

    def stop(self, bound: timedelta) -> None:
        """Take no more, send what is queued within `bound`, and give back the rest."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        ends = self._clock.monotonic() + bound.total_seconds()
        for thread in self._threads:
            thread.join(max(0.0, ends - self._clock.monotonic()))
        for target in list(self._waiting):
            self._give_back_rest(target)

    def _reserve(self, count: int) -> Lease | None:
        with self._changed:
            if self._stopping or count > self._free:
                return None
            self._free -= count
        return Lease.take(self._holder, self._lease, self._clock)

    def _enqueue(self, reserved: int, claims: Sequence[Claim]) -> None:
        with self._changed:
            self._free += reserved - sum(len(claim.rows) for claim in claims)
            for claim in claims:
                self._queue_of(claim.target).extend(claim.rows)
            self._changed.notify_all()

    def _queue_of(self, target: str) -> deque[ClaimedRow]:
        if target not in self._waiting:
            self._waiting[target] = deque()
            self._start_sender(target)
        return self._waiting[target]

    def _start_sender(self, target: str) -> None:
        thread = threading.Thread(target=self._work, args=(target,), name=f"first-attempts {target}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, target: str) -> None:
        while rows := self._next_batch(target):
            try:
                self._delivery.deliver(Claim(target, tuple(rows)))
            except Exception:  # noqa: BLE001 - the rows stay in the outbox: their lease lapses, and the scheduler has them
                self._log.exception("first_attempt.crashed", target=target, count=len(rows))
            finally:
                with self._changed:
                    self._free += len(rows)

    def _next_batch(self, target: str) -> list[ClaimedRow]:
        """The next rows to send, waiting for some; none when stopping and all are sent."""
        with self._changed:
            queue = self._waiting[target]
            self._changed.wait_for(lambda: queue or self._stopping)
            return [queue.popleft() for _ in range(min(len(queue), self._batch_size))]

    def _give_back_rest(self, target: str) -> None:
        with self._changed:
            rows = tuple(self._waiting[target])
            self._waiting[target].clear()
        if rows:
            self._delivery.give_back(Claim(target, rows))
