"""The payment server's one place where its parts are put together. Owns their order of starting and stopping."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.clock import Clock
from core.delivery.compose import Sender, compose_sender
from core.logs import Logger
from core.outbox.lease import Lease
from core.process import holder_name
from core.rpc.lifecycle import StopStep
from core.rpc.server import RpcServer, ServerOptions
from core.rules.limits import MAX_BATCH
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from paylatch.payment.v1 import notify_schedule_service_pb2_grpc, payment_service_pb2_grpc
from payment_server.create import CreatePayment
from payment_server.first_attempts import FirstAttempts
from payment_server.group import Group
from payment_server.notify_schedule_service import NotifyScheduleService
from payment_server.payment_service import PaymentService
from payment_server.report import ReportResults
from payment_server.retry import RetrySchedules
from payment_server.sender_threads import SenderThreads


@dataclass(frozen=True, slots=True)
class PaymentServer:
    """All that must be stopped, and the server to start."""

    sender: Sender
    first_attempts: FirstAttempts
    server: RpcServer

    def stop_steps(self, bound: timedelta) -> Sequence[StopStep]:
        """Refuse new calls, finish handlers, send or give back what is claimed, then close what they used."""
        seconds = bound.total_seconds()
        return [
            StopStep("calls", seconds + 2, lambda: self.server.stop(seconds)),
            StopStep("handlers", seconds, lambda: self.server.drained(seconds)),
            StopStep("first attempts", seconds + 2, lambda: self.first_attempts.stop(bound)),
            StopStep("channels", 2, self.sender.channels.close),
            StopStep("database", 2, self.sender.database.close),
        ]


def compose(
    settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open
) -> PaymentServer:
    """The payment server of these settings, not yet bound to its address.

    Raises:
        WrongSchema: the payment database is not at this version's schema.
        Unavailable: it cannot be reached.
    """
    sender = compose_sender(settings, clock, log, open_database)
    first_attempts = FirstAttempts(
        sender.delivery,
        functools.partial(Lease.take, holder_name("payment-server"), settings.notify_lease, clock),
        SenderThreads(clock),
        log,
        capacity=settings.notify_queue_size,
        batch_size=settings.notify_batch_size,
    )
    server = RpcServer(log, clock, ServerOptions(workers=settings.server_workers))
    _add_services(server, settings, sender, first_attempts, log)
    return PaymentServer(sender, first_attempts, server)


def _add_services(
    server: RpcServer, settings: Settings, sender: Sender, first_attempts: FirstAttempts, log: Logger
) -> None:
    database, policy, allow_list = sender.database, sender.policy, settings.allow_list()
    report = ReportResults(database, first_attempts, policy, log)
    server.add(
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        PaymentService(database, CreatePayment(database), report, Group(report, MAX_BATCH), allow_list, log),
        "paylatch.payment.v1.PaymentService",
    )
    server.add(
        notify_schedule_service_pb2_grpc.add_NotifyScheduleServiceServicer_to_server,
        NotifyScheduleService(database, RetrySchedules(database, policy, log), allow_list, log),
        "paylatch.payment.v1.NotifyScheduleService",
    )
