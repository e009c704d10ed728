"""The three processes, put together from the product's own parts as in their `compose`, without threads or sockets.

A process that crashed is started again as a new one: nothing of the old one is left but what its database has.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.clock import Clock
from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.logs import Logger
from core.outbox.clock_guard import ClockGuard
from core.outbox.lease import Lease
from core.outbox.policy import OutboxPolicy
from core.rules.errors import PaylatchError
from core.rules.limits import MAX_BATCH
from core.rules.notify_url import AllowList
from core.store.database import Database
from order_server.follow_ups import FollowUp, FollowUps
from order_server.issue_vouchers import IssueVouchers
from order_server.notifies import OrderPaymentNotifies
from order_server.notify_log import NotifyLog
from order_server.order_changes import OrderChanges
from order_server.order_follow_ups import OrderFollowUps
from order_server.order_notify import OrderNotify
from order_server.order_notify_service import OrderNotifyService
from order_server.order_service import OrderService
from order_server.orders import Orders
from order_server.payment_exceptions import PaymentExceptions
from order_server.stock import Stock
from order_server.take_inventory import TakeInventory
from paylatch.order.v1.order_notify_service_pb2_grpc import add_OrderNotifyServiceServicer_to_server
from paylatch.order.v1.order_service_pb2_grpc import add_OrderServiceServicer_to_server
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import add_NotifyScheduleServiceServicer_to_server
from paylatch.payment.v1.payment_service_pb2_grpc import add_PaymentServiceServicer_to_server
from payment_server.create import CreatePayment
from payment_server.first_attempts import FirstAttempts
from payment_server.group import Group
from payment_server.notify_schedule_service import NotifyScheduleService
from payment_server.operate import OperateSchedules
from payment_server.payment_service import PaymentService, UseCases
from payment_server.report import ReportResults
from payment_server.target_pauses import TargetPauses
from payment_server.watch import PaymentWatches
from scheduler.passes import ExpiryPass, RetryPass
from scheduler.purge import PurgePass
from tests.simulation.disk import GatedSqlite
from tests.simulation.faults import Boundary, Counts, Fault, Plan, fired
from tests.simulation.network import Channels, Handlers, Network
from tests.simulation.turns import Crash, Signal, Turns
from tests.simulation.watch import Key

CONNECT_BOUND = timedelta(seconds=0.5)
DEADLINE = timedelta(seconds=2)
QUEUE = 20


@dataclass
class Surroundings:
    """What every process is given: time, disk, network, logs, and what goes wrong.

    committed: told of each commit that wrote. crashed: told of each death. called: told of each call with payments.
    is_jammed: whether issuing vouchers raises.
    """

    turns: Turns
    network: Network
    plan: Plan
    counts: Counts
    log: Logger
    policy: OutboxPolicy
    files: dict[str, Path]
    delay: Callable[[], float]
    new_clock: Callable[[], Clock]
    committed: Callable[["Process", str], None]
    crashed: Callable[["Process"], None]
    called: Callable[["Process", Sequence[Key]], None]
    poll: float
    retention: timedelta
    is_jammed: bool = False


class Process:
    """One process from its start to its death. database_name: of the file it works on."""

    database_name = ""

    def __init__(self, name: str, given: Surroundings) -> None:
        self.name = name
        self.given = given
        self.is_alive = True
        self.frozen_until = 0.0
        self.clock = given.new_clock()
        self.dialect: GatedSqlite | None = None

    def open(self) -> Database:
        """Its database."""
        self.dialect = GatedSqlite(self.given.files[self.database_name], self)
        return Database(self.dialect, self.clock, pool_size=0)

    def spawn(self, run: Callable[[], object], after: float = 0.0) -> None:
        """Begin an activity of this process."""
        if self.is_alive:
            self.given.turns.spawn(self, run, after)

    def fault_at(self, boundary: Boundary, what: str) -> Fault | None:
        """What goes wrong at this boundary; the process's death if that is it, or was before."""
        if not self.is_alive:
            raise Crash
        self.given.turns.note(self, f"{boundary.value} {what}")
        fault = self.given.plan.at(boundary, self.name, what)
        if fault is not None:
            self.given.counts[fired(boundary, fault)] += 1
            self.given.turns.note(self, f"! {fault.value}")
        if fault is Fault.CRASH_BEFORE:
            raise self.crash()
        return fault

    def wait_for_turn(self) -> None:
        """Let others go on before a transaction begins."""
        if not self.is_alive:
            raise Crash
        self.given.turns.pause(self.given.delay())

    def committed(self) -> None:
        """Something of it is durable."""
        self.given.committed(self, self.database_name)

    def begins_call(self, method: str, request: Any) -> None:
        """Nothing but a sender's calls is watched."""

    def crash(self, *, is_silent: bool = False) -> Crash:
        """Die. is_silent: its peers are not told, as when a machine loses its power."""
        self.given.turns.note(self, "crash")
        self.is_alive = False
        self.given.network.forget(self, is_silent=is_silent)
        self.given.crashed(self)
        return Crash()

    def close(self) -> None:
        """Give its files back."""
        for connection in self.dialect.connections if self.dialect else ():
            connection.close()


class OrderServer(Process):
    """Answers at one target."""

    database_name = "order"

    def __init__(self, name: str, given: Surroundings, address: str) -> None:
        super().__init__(name, given)
        database, log = self.open(), given.log
        follow_ups: list[FollowUp] = [TakeInventory(), IssueVouchers(_codes(name, given))]
        running = FollowUps(follow_ups, database.dialect.failure, log)
        changes = OrderChanges(running)
        handlers = Handlers(log, self.clock)
        server: Any = handlers
        order_notify = OrderNotify(database, changes, NotifyLog(log))
        add_OrderNotifyServiceServicer_to_server(OrderNotifyService(order_notify, log), server)
        service = OrderService(
            Orders(database, changes, log),
            PaymentExceptions(database, changes, log),
            OrderPaymentNotifies(database),
            OrderFollowUps(database, running, log),
            Stock(database, log),
            log,
        )
        add_OrderServiceServicer_to_server(service, server)
        given.network.serve(address, self, handlers)


class _Sending(Process):
    """A process that delivers notifications."""

    database_name = "payment"

    def __init__(self, name: str, given: Surroundings) -> None:
        super().__init__(name, given)
        self.database = self.open()
        channels = Channels(given.network, given.turns, self)
        caller = OrderNotifyCaller(channels, CONNECT_BOUND, DEADLINE, self.clock)
        self.delivery = Delivery(self.database, caller, given.policy, given.log)

    def begins_call(self, method: str, request: Any) -> None:
        """From here on its attempt counts, and its lease must last for it."""
        items = request.requests if method.endswith("BatchOrderNotify") else [request]
        self.given.called(self, [(item.platform_id, item.payment_code) for item in items])

    def take_lease(self) -> Lease:
        """A lease that names this process."""
        return Lease.take(self.name, self.given.policy.lease, self.clock)


class PaymentServer(_Sending):
    """Answers at its address, and makes first attempts."""

    def __init__(self, name: str, given: Surroundings, address: str) -> None:
        super().__init__(name, given)
        database, log, policy = self.database, given.log, given.policy
        first_attempts = FirstAttempts(
            self.delivery, self.take_lease, _Senders(self), log, capacity=QUEUE, batch_size=policy.batch_size
        )
        report = ReportResults(database, first_attempts, policy, log)
        group = Group(report, MAX_BATCH, lambda: Signal(given.turns))
        allow_list = AllowList.parse(sorted(policy.targets))
        handlers = Handlers(log, self.clock)
        server: Any = handlers
        use_cases = UseCases(CreatePayment(database), report, group, PaymentWatches(database, log))
        add_PaymentServiceServicer_to_server(PaymentService(database, use_cases, allow_list, log), server)
        operate, pauses = OperateSchedules(database, policy, log), TargetPauses(database, policy, log)
        add_NotifyScheduleServiceServicer_to_server(
            NotifyScheduleService(database, operate, pauses, policy, allow_list, log), server
        )
        given.network.serve(address, self, handlers)


class _Senders:
    """Implements payment_server.first_attempts.Senders: a task for each target, while there is something to send."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._busy: set[str] = set()

    def wake(self, target: str, send_next: Callable[[], int]) -> None:
        if target not in self._busy:
            self._busy.add(target)
            self._process.spawn(lambda: self._send(target, send_next))

    def stop(self, bound: timedelta) -> None:
        raise AssertionError("no process of the simulation stops in order")

    def _send(self, target: str, send_next: Callable[[], int]) -> None:
        while send_next():
            pass
        self._busy.discard(target)


class Scheduler(_Sending):
    """Repeats its passes, as scheduler/loops.py does: again at once while there is work."""

    def __init__(self, name: str, given: Surroundings) -> None:
        super().__init__(name, given)
        retry = RetryPass(self.database, self.delivery, given.policy, self.clock, given.log, name)
        expiry = ExpiryPass(self.database, ClockGuard(self.clock, given.log), given.log)
        for target in sorted(given.policy.targets):
            self._repeat(lambda target=target: retry.run_once(target))  # type: ignore[misc]  # a default binds it
        self._repeat(expiry.run_once)
        self._repeat(PurgePass(self.database, given.retention, self.clock, given.log).run_once, rest=6 * given.poll)

    def _repeat(self, run_once: Callable[[], int], rest: float | None = None) -> None:
        """Also by a helper, from a pass that did a whole batch until one of the helper's did less."""
        plenty = self.given.policy.batch_size
        pause = self.given.poll if rest is None else rest

        def help_() -> None:
            while self._run(run_once) >= plenty:
                pass

        def loop() -> None:
            while True:
                done = self._run(run_once)
                if done >= plenty:
                    self.spawn(help_)
                if done == 0:
                    self.given.turns.pause(pause)

        self.spawn(loop, after=self.given.turns.random.uniform(0, pause))

    def _run(self, run_once: Callable[[], int]) -> int:
        try:
            return run_once()
        except PaylatchError:
            return 0
        except Exception as error:  # as the loops of the product: told, and tried again later
            self.given.log.error("scheduler.pass_crashed", exc_info=error)
            return 0


def _codes(name: str, given: Surroundings) -> Callable[[], str]:
    numbers = itertools.count()

    def new_code() -> str:
        if given.is_jammed:
            raise RuntimeError("the voucher machine is jammed")
        return f"{name}-{next(numbers)}"

    return new_code
