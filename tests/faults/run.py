"""Crossing one point: its codes, its count of faults fired, how long it took to heal, and what was checked after it."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from paylatch.payment.v1.payment_enums_pb2 import RETRY_ACTION_REQUEUE, SCHEDULE_STATUS_NOTIFYING
from tests.faults.catalogue import Point
from tests.faults.checker import Books, Tally, acknowledged_stays
from tests.faults.customer import Answer, Customer
from tests.faults.world import NO_ROOM, World
from tests.support.processes import BOUND, eventually

LARGEST_PROCESS = 200 * 1024 * 1024
"""The most memory a process may have had, in bytes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a point on a backend. healed: seconds from the end of the fault. problem: empty if it is green."""

    point: Point
    backend: str
    fired: int
    healed: float
    promised: float
    seconds: float
    problem: str
    tally: Tally | None


class Run:
    """What a point works with. scale: rows that wait in the largest backlog."""

    def __init__(self, world: World, prefix: str, scale: int) -> None:
        self.world = world
        self.prefix = prefix
        self.scale = scale
        self.fired_count = 0
        self.healed_in: float | None = None
        self.allowed: float = world.promised_seconds
        self.notes: list[str] = []
        self.purged: Collection[str] = ()
        self.tally: Tally | None = None
        self._lock = threading.Lock()
        self._made = 0
        self._left: list[World] = []

    @property
    def customer(self) -> Customer:
        """Who calls."""
        return self.world.customer

    def fired(self, times: int = 1) -> None:
        """The fault has been made so often."""
        self.fired_count += times

    def codes(self, count: int) -> list[str]:
        """New payment codes, of this point alone."""
        with self._lock:
            self._made += count
            return [f"{self.prefix}{number:06d}" for number in range(self._made - count, self._made)]

    def code(self) -> str:
        """One new payment code."""
        return self.codes(1)[0]

    def ready(self, count: int = 1, *, target: str = "") -> list[str]:
        """Payments of as many orders, created and not yet reported."""
        codes = self.codes(count)
        self.customer.each(codes, lambda code: self.done(self.customer.create_order(code)))
        self.customer.each(codes, lambda code: self.done(self.customer.create_payment(code, target=target)))
        return codes

    def done(self, answer: Answer) -> None:
        """The answer must be OK."""
        assert answer.is_ok, answer

    def books(self) -> Books:
        """What is on record of this point."""
        return Books(self.world.payment_database, self.world.order_database, self.prefix)

    def is_settled(self) -> bool:
        """Whether no notification is on its way. Asked again and again, so it counts and reads nothing."""
        of_this = NotifySchedule.payment_code.startswith(self.prefix)
        on_its_way = NotifySchedule.select().where(of_this, NotifySchedule.notify_status == ScheduleStatus.NOTIFYING)
        return self.world.payment_database.read(lambda tx: tx.count(on_its_way)) == 0

    def is_notifying(self, code: str) -> bool:
        """Whether a notification is still on its way."""
        return bool(self.customer.schedule(code).schedule.status == SCHEDULE_STATUS_NOTIFYING)

    def leave_to_scheduler(self, codes: Sequence[str]) -> None:
        """Report at least two payments, together, by the server that has no room for first attempts."""
        self.done(self.customer.report_together(codes, by=self.world.without_room))

    def requeue(self, codes: Sequence[str]) -> None:
        """Have an operator requeue what was given up."""
        self.done(self.customer.retry(RETRY_ACTION_REQUEUE, codes))

    def pause(self, seconds: float) -> None:
        """A stretch of time that is itself the fault: how long something is slow, or away."""
        time.sleep(seconds)

    @contextmanager
    def own_world(self, **options: Any) -> Iterator[World]:
        """A running system of this point's own; the point goes on, and is judged, in it."""
        number = len(self._left)
        with World(self.world.databases, self.world.directory / f"{self.prefix}{number}", **options) as world:
            self._left.append(self.world)
            self.world = world
            self.allowed = world.promised_seconds
            world.start(*[name for name in world.system.addresses if name != NO_ROOM])
            yield world
            self.finish()
        self.world = self._left.pop()
        self.world.counts.update(world.counts)

    def finish(self) -> None:
        """Heal if that was not done yet, and check everything; once."""
        if self.tally is not None:
            return
        self.world.heal()
        books = self.heal() if self.healed_in is None else self.books()
        books.hold_invariants(self.purged)
        acknowledged_stays(books, self.customer.history, self.prefix)
        tally = books.tally(self.customer.history, self.prefix)
        wrong = [*tally.lost, *tally.duplicated, *tally.unexpected]
        assert not wrong, tally
        memory = self.world.largest_process()
        assert memory < LARGEST_PROCESS, f"10 bounds: a process has {memory:,} bytes"
        assert self.fired_count, "the fault never fired"
        assert tally.applied, "nothing succeeded"
        healed = self.healed_in or 0.0
        assert healed <= self.allowed, f"healed after {healed:.1f} s, promised were {self.allowed:.1f} s"
        self.tally = tally

    def wait_fired(self, times: int = 1) -> None:
        """Wait until the fault has been made so often."""
        eventually(lambda: self.fired_count >= times)

    def connect(self) -> None:
        """Have the senders connected with the order side: a payment goes all the way."""
        (code,) = self.ready()
        self.done(self.customer.report(code))
        eventually(lambda: not self.is_notifying(code))

    def heal(self) -> Books:
        """The fault has ended: wait until everything is settled, and note how long it took."""
        self.world.heal()
        began = time.monotonic()
        eventually(self.is_settled, max(BOUND, 2 * self.allowed))
        self.healed_in = time.monotonic() - began
        return self.books()


def cross(point: Point, world: World, prefix: str, scale: int, logs: Path) -> Outcome:
    """Make the fault of a point happen, heal, and check everything. logs: where those of a failed point are kept."""
    run = Run(world, prefix, scale)
    began = time.monotonic()
    problem = ""
    try:
        point.cross(run)
        run.finish()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the point's verdict
        problem = " ".join([*run.notes, f"{type(error).__name__}: {error}"])
        run.world.save_logs(logs / f"{world.databases.name}-{point.name.replace(' ', '-')}")
    return Outcome(
        point,
        world.databases.name,
        run.fired_count,
        run.healed_in or 0.0,
        run.allowed,
        time.monotonic() - began,
        problem,
        run.tally,
    )
