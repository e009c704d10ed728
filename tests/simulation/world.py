"""One simulated world: two databases, any number of each process, a network, time, and what goes wrong.

Owns which processes there are, and that those that died are started again.
"""

import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from core.outbox.policy import BreakerPolicy, OutboxPolicy
from core.rules.errors import PaylatchError
from core.rules.retry_policy import RetryPolicy
from tests.simulation.clock import DatabaseTime, MachineClock
from tests.simulation.faults import Counts, NoFaults, Plan
from tests.simulation.network import Network
from tests.simulation.processes import OrderServer, PaymentServer, Process, Scheduler, Surroundings
from tests.simulation.templates import new_files
from tests.simulation.turns import Turns
from tests.simulation.watch import Violation, Watch

TARGETS = ("grpc://127.0.0.1:50052", "grpc://127.0.0.1:50062")
LEASE = timedelta(seconds=8)
WAITS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8))
POLL = 2.5


@dataclass(frozen=True)
class Shape:
    """How many of each process there are. restart: seconds from a crash to the next start, drawn anew each time."""

    payment_servers: int = 1
    schedulers: int = 1
    targets: int = 1
    batch_size: int = 4
    max_attempts: int = 5
    window: timedelta = timedelta(seconds=60)
    retention: timedelta = timedelta(days=30)
    delay: Callable[[Turns], float] = lambda turns: 0.001
    restart: Callable[[Turns], float] = lambda turns: 0.5
    skew: Callable[[Turns], timedelta] = lambda turns: timedelta(0)


class Reality:
    """The world itself, as the owner of what nobody of the simulated ones does."""

    name = "world"
    is_alive = True
    frozen_until = 0.0


class World:
    """See the module. Use it in a `with` block, or close it."""

    def __init__(self, seed: object, plan: Plan, shape: Shape, directory: Path) -> None:
        self.turns = Turns(seed)
        self.shape = shape
        self.counts: Counts = Counter()
        self.reality = Reality()
        self.time = DatabaseTime(self.turns)
        self._files = new_files(directory)
        self.policy = self._policy()
        self.watch = Watch(self._files, self.time, self.policy, shape.retention)
        self.alarms: Counter[tuple[str, Any]] = Counter()
        self._delay = shape.delay
        self.network = Network(self.turns, self.delay)
        self.given = Surroundings(
            turns=self.turns,
            network=self.network,
            plan=plan,
            counts=self.counts,
            log=self._logger(),
            policy=self.policy,
            files=self._files,
            delay=self.delay,
            new_clock=lambda: MachineClock(self.time, shape.skew(self.turns), self.turns.random.uniform(10, 1e6)),
            committed=lambda process, database: self.watch.committed(process.name, database),
            crashed=self._restart_later,
            called=lambda process, keys: self.watch.called(process.name, keys),
            poll=POLL,
            retention=shape.retention,
        )
        self.processes: dict[str, Process] = {}
        self._all: list[Process] = []
        self._makers = self._slots()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self.turns.end()
        self.watch.close()
        for process in self._all:
            process.close()
        for path in self._files.values():
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)

    def start(self) -> None:
        """Start every process."""
        for slot in self._makers:
            self.start_process(slot)

    def start_process(self, slot: str) -> None:
        """Start one, unless it runs."""
        running = self.processes.get(slot)
        if running is not None and running.is_alive:
            return
        name = f"{slot}#{len(self._all)}"
        self.turns.note(self.reality, f"start {name}")
        process = self._makers[slot](name)
        self.processes[slot] = process
        self._all.append(process)

    def delay(self) -> float:
        """Seconds that a message takes, or a transaction waits for its turn."""
        return self._delay(self.turns)

    def later(self, after: float, run: Callable[[], object]) -> None:
        """Do something of the world's own, `after` seconds from now."""
        self.turns.spawn(self.reality, run, after)

    def back_up_orders(self) -> sqlite3.Connection:
        """A backup of the order database as it is now."""
        backup = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(self._files["order"])) as orders:
            orders.backup(backup)
        return backup

    def restore_orders(self, backup: sqlite3.Connection) -> None:
        """Put a backup in the place of the order database."""
        with closing(backup), closing(sqlite3.connect(self._files["order"])) as orders:
            backup.backup(orders)
        self.watch.order_side_restored()

    def heal(self) -> None:
        """Nothing goes wrong from here on, and every process runs."""
        self.given.plan = NoFaults()
        self._delay = Shape.delay
        self.given.is_jammed = False
        self.network.cut.clear()
        self.time.error = timedelta(0)
        for slot, process in list(self.processes.items()):
            self.turns.thaw(process)
            self.start_process(slot)

    @property
    def payment_addresses(self) -> list[str]:
        """Where payment servers answer."""
        return [slot for slot in self._makers if slot.startswith("payment")]

    @property
    def targets(self) -> tuple[str, ...]:
        """Where order servers answer."""
        return TARGETS[: self.shape.targets]

    def _slots(self) -> Mapping[str, Callable[[str], Process]]:
        given = self.given
        makers: dict[str, Callable[[str], Process]] = {}
        for number, target in enumerate(self.targets, 1):
            makers[f"order-{number}"] = lambda name, target=target: OrderServer(name, given, target)  # type: ignore[misc]
        for number in range(1, self.shape.payment_servers + 1):
            slot = f"payment-{number}"
            makers[slot] = lambda name, slot=slot: PaymentServer(name, given, slot)  # type: ignore[misc]
        for number in range(1, self.shape.schedulers + 1):
            makers[f"scheduler-{number}"] = lambda name: Scheduler(name, given)
        return makers

    def _restart_later(self, process: Process) -> None:
        slot = process.name.partition("#")[0]
        self.later(self.shape.restart(self.turns), lambda: self.start_process(slot))

    def _policy(self) -> OutboxPolicy:
        return OutboxPolicy(
            targets=frozenset(self.targets),
            retry=RetryPolicy(
                WAITS[: self.shape.max_attempts - 1],
                max_attempts=self.shape.max_attempts,
                window=self.shape.window,
                jitter=0.1,
            ),
            breaker=BreakerPolicy(threshold=3, first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=2)),
            lease=LEASE,
            batch_size=self.shape.batch_size,
            dice=self.turns.random.random,
        )

    def _logger(self) -> Any:
        return structlog.wrap_logger(
            None, processors=[self._heard], wrapper_class=structlog.make_filtering_bound_logger("ERROR")
        )

    def _heard(self, _: object, __: str, line: Any) -> Any:
        """Keep the alarms; an error that no fault explains is one of the product's own."""
        event = line["event"]
        key = (line.get("platform_id"), line.get("payment_code"))
        self.alarms[event, key] += 1
        error = line.get("exc_info")
        error = sys.exc_info()[1] if error is True else error
        match event:
            case "notify.given_up":
                self.watch.alarms[key] += 1
            case "rpc.crashed":
                raise Violation(f"an error nobody expected: {line!r}") from error
            case "scheduler.pass_crashed" | "first_attempt.crashed" if not isinstance(error, PaylatchError):
                raise Violation(f"an error nobody expected: {line!r}") from error
        raise structlog.DropEvent
