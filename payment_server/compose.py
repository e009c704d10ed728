"""The payment server's one place where its parts are put together. Owns their order of starting and stopping."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.clock import Clock
from core.delivery.compose import Sender, compose_sender
from core.logs import Logger
from core.monitor.monitor import MONITOR_SECONDS, Monitor
from core.monitor.open_telemetry import TRACES_SECONDS, open_telemetry
from core.monitor.scrapes import Scrapes
from core.monitor.vitals import Bounds, Vitals
from core.outbox.lease import Lease
from core.process import holder_name
from core.rpc.lifecycle import StopStep
from core.rpc.security import Security
from core.rpc.server import RpcServer, ServerOptions
from core.rpc.watching import call_observers
from core.rules.limits import MAX_BATCH
from core.rules.notify_url import AllowList
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.telemetry.catalogue import CONFLICTS_OPEN
from core.telemetry.metrics import Reading
from core.telemetry.telemetry import Telemetry
from paylatch.payment.v1 import notify_schedule_service_pb2_grpc, payment_service_pb2_grpc
from payment_server.create import CreatePayment
from payment_server.first_attempts import FirstAttempts
from payment_server.group import Group
from payment_server.notify_schedule_service import NotifyScheduleService
from payment_server.operate import OperateSchedules
from payment_server.payment_service import PaymentService, UseCases
from payment_server.report import ReportResults
from payment_server.sender_threads import SenderThreads
from payment_server.tables import Payment
from payment_server.target_pauses import TargetPauses
from payment_server.watch import PaymentWatches

OPERATOR_WORKERS = 4
"""Threads of a server that is there for operators alone."""

REST = timedelta(seconds=5)
"""However often its metrics are scraped, the tables are read no more often."""


@dataclass(frozen=True, slots=True)
class PaymentServer:
    """All that must be stopped, and the server to start."""

    sender: Sender
    first_attempts: FirstAttempts
    watches: PaymentWatches
    server: RpcServer
    operator_server: RpcServer | None
    telemetry: Telemetry
    monitor: Monitor

    def bind(self, settings: Settings) -> str:
        """Listen on the addresses of the settings; gives back that of the payment service.

        Raises:
            CannotListen: one of them cannot, or must not, be listened on.
        """
        address = self.server.bind(settings.payment_address, allow_plaintext=settings.allow_plaintext)
        if settings.payment_token_address is not None:
            self.server.bind_for_tokens(settings.payment_token_address)
        if self.operator_server is not None and settings.operator_address is not None:
            self.operator_server.bind(settings.operator_address, allow_plaintext=settings.allow_plaintext)
        self.monitor.listen(settings.payment_metrics_address, settings)
        return address

    def start(self) -> None:
        """Serve."""
        for server in self._servers:
            server.start()
        self.monitor.start()

    @property
    def _servers(self) -> Sequence[RpcServer]:
        return [self.server] if self.operator_server is None else [self.server, self.operator_server]

    def stop_steps(self, bound: timedelta) -> Sequence[StopStep]:
        """Refuse new calls, end watches and handlers, send or give back what is claimed, close what they used."""
        seconds = bound.total_seconds()
        return [
            StopStep("monitor", MONITOR_SECONDS, self.monitor.stop),
            *[StopStep("health", 1, server.health.shut_down) for server in self._servers],
            StopStep("watches", 2, self.watches.end),
            *[step for server in self._servers for step in _end(server, seconds)],
            StopStep("watchers", 2, self.watches.close),
            StopStep("first attempts", seconds + 2, lambda: self.first_attempts.stop(bound)),
            StopStep("channels", 2, self.sender.channels.close),
            StopStep("database", 2, self.sender.database.close),
            StopStep("traces", TRACES_SECONDS, self.telemetry.tracing.close),
        ]


def compose(
    settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open
) -> PaymentServer:
    """The payment server of these settings, not yet bound to its address.

    Raises:
        WrongSchema: the payment database is not at this version's schema.
        Unavailable: it cannot be reached.
        BadSetting: tracing is asked for and cannot be had.
    """
    security = Security.of(settings, clock, log)
    telemetry = open_telemetry("payment-server", settings, settings.payment_metrics_address, clock, log)
    sender = compose_sender(settings, clock, log, open_database, security.outgoing, telemetry)
    first_attempts = FirstAttempts(
        sender.delivery,
        functools.partial(Lease.take, holder_name("payment-server"), settings.notify_lease, clock),
        SenderThreads(clock),
        log,
        capacity=settings.notify_queue_size,
        batch_size=settings.notify_batch_size,
    )
    observers = call_observers(telemetry)
    server = RpcServer(log, clock, ServerOptions.of(settings), security=security, observers=observers)
    operator_server = None
    if settings.operator_address is not None:
        options = ServerOptions.of(settings, OPERATOR_WORKERS)
        operator_server = RpcServer(log, clock, options, security=security, observers=observers)
    watches = PaymentWatches(sender.database, log)
    report = ReportResults(sender.database, first_attempts, sender.policy, log, telemetry.tracing)
    use_cases = UseCases(CreatePayment(sender.database), report, Group(report, MAX_BATCH), watches)
    allow_list = settings.allow_list()
    server.add(
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        PaymentService(sender.database, use_cases, allow_list, log, telemetry.tracing),
        "paylatch.payment.v1.PaymentService",
    )
    _add_operators_service(operator_server or server, sender, allow_list, log)
    telemetry.metrics.read(lambda: _conflicts(sender.database), [CONFLICTS_OPEN], REST)
    healths = [one.health for one in (server, operator_server) if one is not None]
    vitals = Vitals(healths, sender.database, clock, log, Bounds.of(settings))
    monitor = Monitor(telemetry.metrics, vitals, server, sender.database, Scrapes(security, clock, log))
    return PaymentServer(sender, first_attempts, watches, server, operator_server, telemetry, monitor)


def _end(server: RpcServer, seconds: float) -> Sequence[StopStep]:
    return [
        StopStep("calls", seconds + 2, lambda: server.stop(seconds)),
        StopStep("handlers", seconds, lambda: server.drained(seconds)),
    ]


def _add_operators_service(server: RpcServer, sender: Sender, allow_list: AllowList, log: Logger) -> None:
    database, policy = sender.database, sender.policy
    operate, pauses = OperateSchedules(database, policy, log), TargetPauses(database, policy, log)
    server.add(
        notify_schedule_service_pb2_grpc.add_NotifyScheduleServiceServicer_to_server,
        NotifyScheduleService(database, operate, pauses, policy, allow_list, log),
        "paylatch.payment.v1.NotifyScheduleService",
    )


def _conflicts(database: Database) -> Sequence[Reading]:
    """An index of nothing but these answers it."""
    conflicted = Payment.select().where(Payment.conflict_time.is_null(False))
    return [Reading(CONFLICTS_OPEN, database.read(lambda tx: tx.count(conflicted)))]
