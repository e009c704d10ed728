"""A run that one seed decides: first with faults, when nothing wrong is ever committed, then without.

The same seed is the same run, to the last statement: `make simulate SEED=…` shows it.
"""

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from tests.simulation.customers import ACCEPTED, FAILED, GOODS, RETURNED, SUCCESS, VOUCHER, Customers, Operator, Payment
from tests.simulation.faults import Counts, NoFaults, RandomFaults
from tests.simulation.outcome import REFUSALS, check_at_the_end, is_settled
from tests.simulation.turns import Turns
from tests.simulation.watch import FAILED as GIVEN_UP
from tests.simulation.watch import NOTIFYING, require
from tests.simulation.world import LEASE, POLL, WAITS, Shape, World

TROUBLE = 16.0
"""Seconds of the run with faults."""

STEP = 0.25
"""How exactly the time of healing is measured, in seconds."""


@dataclass(frozen=True)
class Result:
    """What a run came to. healed, promised: seconds until every schedule was closed after the faults had stopped."""

    seed: int
    payments: int
    delivered: int
    given_up: int
    purged: int
    notified: int
    commits: int
    healed: float
    promised: float
    counts: Counts
    digest: int


def run_seed(seed: int, directory: Path, trace: list[str] | None = None) -> Result:
    """Run one seed. trace: told what happens, line by line.

    Raises:
        Violation: an invariant does not hold.
    """
    random = Random(f"shape {seed}")
    with World(seed, NoFaults(), _shape(random), directory) as world:
        world.turns.trace = trace
        run = _Run(world, random)
        run.prepare()
        run.trouble()
        healed, promised = run.heal()
        run.look_after()
        return run.result(seed, healed, promised)


def _shape(random: Random) -> Shape:
    slow = random.choice((0.002, 0.02, 0.4))
    restart = random.choice((0.5, 3.0))
    skew = random.choice((0, 0, 3_600))
    max_attempts = random.choice((2, 3, 5))
    waits = sum(WAITS[: max_attempts - 1], timedelta(0))
    return Shape(
        payment_servers=random.choice((1, 2)),
        schedulers=random.choice((1, 1, 2, 3)),
        targets=random.choice((1, 2)),
        batch_size=random.choice((1, 2, 4, 8)),
        max_attempts=max_attempts,
        window=random.choice((1.1 * waits + timedelta(seconds=3), timedelta(minutes=1))),
        retention=timedelta(seconds=random.choice((4, 3_600))),
        delay=lambda turns: turns.random.expovariate(1 / slow),
        restart=lambda turns: turns.random.uniform(0, restart),
        skew=lambda turns: timedelta(seconds=turns.random.uniform(-skew, skew)),
    )


class _Run:
    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._customers = Customers(world)
        self._operator = Operator(world)
        self._trouble_until = 0.0

    @property
    def _turns(self) -> Turns:
        return self._world.turns

    def prepare(self) -> None:
        """Start everything, and put goods on stock."""
        self._world.start()
        for sku in ("tea", "cup"):
            self._operator.begin(functools.partial(self._operator.stock, sku, self._random.choice((1, 3, 100))))
        while self._operator.busy:
            self._turns.run(self._turns.now + 1)

    def trouble(self) -> None:
        """Order and pay while everything goes wrong."""
        self._trouble_until = self._turns.now + TROUBLE
        self._world.given.plan = RandomFaults(self._random)
        for number in range(self._random.randint(3, 6)):
            self._an_order(f"O-{number}")
        for act, chance in (
            (self._kill, 0.5),
            (self._freeze, 0.4),
            (self._cut, 0.4),
            (self._step_clock, 0.15),
            (self._jam, 0.2),
        ):
            if self._random.random() < chance:
                for _ in range(self._random.randint(1, 3)):
                    self._world.later(self._random.uniform(0, TROUBLE), act)
        for _ in range(self._random.randint(0, 4)):
            self._operator.begin(self._operate, self._random.uniform(1, TROUBLE))
        for _ in range(self._random.choice((0, 0, 1, 2))):
            self._operator.begin(self._pause, self._random.uniform(1, TROUBLE))
        self._turns.run(self._trouble_until)

    def heal(self) -> tuple[float, float]:
        """Stop all faults; when every schedule was closed, and when that was promised."""
        world = self._world
        clock_was_wrong = bool(world.counts["clock stepped"])
        world.heal()
        if clock_was_wrong:
            self._restart_after_the_alarm()
        began, promised = self._turns.now, self._promise()
        while not (self._customers.busy == self._operator.busy == 0 and is_settled(world.watch)):
            if self._resume():
                began, promised = self._turns.now, self._promise()
            require(self._turns.now - began <= promised, "healing", self._open(), "after", promised)
            self._turns.run(self._turns.now + STEP)
        return self._turns.now - began, promised

    def look_after(self) -> None:
        """Requeue what was given up for lack of an answer; then everything is delivered, or refused for good."""
        for _ in range(4):
            was_paused = self._resume()
            keys = [
                row.key
                for row in self._world.watch.payment.schedules.values()
                if row.status == GIVEN_UP and row.last_code not in REFUSALS and row.handled_time is None
            ]
            # A call that came late may have paused a target, or requeued a row, only now.
            if not keys and not was_paused and is_settled(self._world.watch):
                break
            self._operator.begin(lambda keys=keys: self._operator.retry(payment_enums.RETRY_ACTION_REQUEUE, keys))  # type: ignore[misc]
            self._turns.run(self._turns.now + LEASE.total_seconds())
        check_at_the_end(self._world.watch, self._customers.history, self._world.alarms)

    def result(self, seed: int, healed: float, promised: float) -> Result:
        """What it came to."""
        watch = self._world.watch
        return Result(
            seed=seed,
            payments=len(watch.payment.payments),
            delivered=len(watch.order.notifies),
            given_up=sum(watch.alarms.values()),
            purged=watch.purged,
            notified=self._world.network.arrived["OrderNotify"] + self._world.network.arrived["BatchOrderNotify"],
            commits=watch.commits,
            healed=healed,
            promised=promised,
            counts=self._world.counts,
            digest=self._turns.digest,
        )

    # Ordering and paying

    def _an_order(self, order_no: str) -> None:
        random = self._random
        amount = random.randint(100, 9_999)
        items = [("tea", random.randint(1, 2), GOODS), ("gift", 1, VOUCHER), ("cup", 1, GOODS)][: random.randint(0, 3)]
        after = random.uniform(0, TROUBLE / 2)
        is_late = random.random() < 0.15
        self._customers.begin(lambda: self._customers.order(order_no, amount, items), after + 6 * is_late)
        payments = [self._a_payment(order_no, number, amount) for number in range(random.choice((1, 1, 1, 2, 3)))]
        self._customers.begin(lambda: self._pay(order_no, payments), after)
        if random.random() < 0.15:
            self._customers.begin(lambda: self._customers.cancel(order_no), after + random.uniform(0, 6))

    def _a_payment(self, order_no: str, number: int, amount: int) -> Payment:
        random = self._random
        return Payment(
            code=f"P-{order_no[2:]}-{number}",
            order_no=order_no,
            amount=amount + (random.random() < 0.1),
            target=random.choice(self._world.targets),
            status=random.choice((SUCCESS, SUCCESS, SUCCESS, FAILED)) if order_no != "O-0" else SUCCESS,
            reports=random.choice((1, 1, 2)),
            contradicted=random.random() < 0.15,
        )

    def _pay(self, order_no: str, payments: list[Payment]) -> None:
        if self._random.random() < 0.3:
            self._customers.start_payment(order_no)
        for payment in payments:
            self._customers.create_payment(payment)
        if len(payments) > 1 and self._random.random() < 0.5:
            self._customers.report_together(payments)
            return
        for payment in payments:
            self._customers.begin(lambda payment=payment: self._customers.report(payment))  # type: ignore[misc]

    # What happens to processes, network and clock

    def _happens(self, what: str) -> bool:
        """Whether it may still happen; counted if so."""
        if self._turns.now >= self._trouble_until:
            return False
        self._world.counts[what] += 1
        self._turns.note(self._world.reality, f"! {what}")
        return True

    def _kill(self) -> None:
        process = self._random.choice(list(self._world.processes.values()))
        if process.is_alive and self._happens("process killed"):
            process.crash(is_silent=self._random.random() < 0.3)

    def _freeze(self) -> None:
        process = self._random.choice(list(self._world.processes.values()))
        if self._happens("process frozen"):
            process.frozen_until = self._turns.now + self._random.uniform(0.2, 1.5) * LEASE.total_seconds()

    def _cut(self) -> None:
        address = self._random.choice([*self._world.targets, *self._world.payment_addresses])
        if self._happens("network cut"):
            self._world.network.cut.add(address)
            self._world.later(self._random.uniform(1, 8), lambda: self._world.network.cut.discard(address))

    def _step_clock(self) -> None:
        error = self._random.choice(
            [
                timedelta(minutes=-20),
                timedelta(seconds=-20),
                timedelta(seconds=20),
                timedelta(hours=3),
                timedelta(days=366),
            ]
        )
        if self._happens("clock stepped"):
            self._world.time.error = error

    def _jam(self) -> None:
        if self._happens("vouchers jammed"):
            self._world.given.is_jammed = True
            self._world.later(self._random.uniform(1, 8), self._unjam)

    def _unjam(self) -> None:
        self._world.given.is_jammed = False

    def _operate(self) -> None:
        watch, operator, random = self._world.watch, self._operator, self._random
        rows = list(watch.payment.schedules.values())
        if not rows:
            return
        key, is_open = (row := random.choice(rows)).key, row.status == NOTIFYING
        exceptions = [row.key for row in watch.order.notifies.values() if row.disposition in {2, 3, 4}]
        match random.randrange(5):
            case 0:
                self._world.counts["operator: requeue"] += operator.requeue_failed()
            case 1:
                action = payment_enums.RETRY_ACTION_DUE_NOW if is_open else payment_enums.RETRY_ACTION_REQUEUE
                changed = operator.retry(action, [key], validate_only=random.random() < 0.2)
                self._world.counts["operator: retry"] += changed
            case 4:
                self._world.counts["operator: abandon"] += operator.abandon(key)
            case 2 if exceptions:
                operator.resolve(random.choice(exceptions), random.choice((RETURNED, ACCEPTED)))
                self._world.counts["operator: resolve"] += 1
            case 3 if watch.order.follow_ups:
                operator.retry_follow_up(*random.choice(watch.order.follow_ups)[:3])
                self._world.counts["operator: follow-up"] += 1

    def _pause(self) -> None:
        """Pause a target, and perhaps end that again; what is left paused is resumed at the end of the trouble."""
        target = self._random.choice(self._world.targets)
        self._operator.pause(target)
        self._world.counts["operator: pause"] += target in self._world.watch.payment.paused
        if self._random.random() < 0.5:
            self._turns.pause(self._random.uniform(1, 6))
            self._operator.resume(target)

    # Healing

    def _resume(self) -> bool:
        """End every pause, also of a call that comes late; whether there was any."""
        paused = self._world.watch.payment.paused
        for target in sorted(paused):
            while target in self._world.watch.payment.paused:
                self._operator.begin(lambda target=target: self._operator.resume(target))  # type: ignore[misc]
                while self._operator.busy:
                    self._turns.run(self._turns.now + STEP)
        return bool(paused)

    def _restart_after_the_alarm(self) -> None:
        """A clock that jumped stops expiry until somebody has looked, and has restarted the scheduler."""
        for slot, process in list(self._world.processes.items()):
            if slot.startswith("scheduler"):
                process.crash()
                self._world.start_process(slot)

    def _promise(self) -> float:
        """Lease + longest due wait + one poll; longer ones if a wrong clock has written them."""
        policy, now = self._world.policy, self._world.time.now()
        leases, waits = [LEASE], [policy.retry.longest_wait]
        for row in self._world.watch.payment.schedules.values():
            if row.status == NOTIFYING:
                ahead = datetime.fromisoformat(row.next_time).replace(tzinfo=now.tzinfo) - now
                (waits if row.token is None else leases).append(ahead)
        return (max(leases) + max(waits)).total_seconds() + POLL

    def _open(self) -> list[object]:
        return [row for row in self._world.watch.payment.schedules.values() if row.status == NOTIFYING]
