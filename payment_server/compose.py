"""The payment server's one place where its parts are put together. Owns their order of starting and stopping."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.clock import Clock
from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.logs import Logger
from core.outbox.policy import OutboxPolicy
from core.process import holder_name
from core.rpc.channels import Channels
from core.rpc.lifecycle import StopStep
from core.rpc.server import RpcServer, ServerOptions
from core.settings import Settings
from core.store.database import Database
from core.store.migrate import Schema, require_current
from paylatch.payment.v1 import notify_schedule_service_pb2_grpc, payment_service_pb2_grpc
from payment_server.create import CreatePayment
from payment_server.first_attempts import FirstAttempts
from payment_server.notify_schedule_service import NotifyScheduleService
from payment_server.payment_service import PaymentService
from payment_server.report import ReportResults
from payment_server.retry import RetrySchedules


@dataclass(frozen=True, slots=True)
class PaymentServer:
    """All that must be stopped, and the server to start."""

    database: Database
    channels: Channels
    first_attempts: FirstAttempts
    server: RpcServer

    def stop_steps(self, bound: timedelta) -> Sequence[StopStep]:
        """Refuse new calls, finish handlers, send or give back what is claimed, then close what they used."""
        seconds = bound.total_seconds()
        return [
            StopStep("calls", seconds + 2, lambda: self.server.stop(seconds)),
            StopStep("handlers", seconds, lambda: self.server.drained(seconds)),
            StopStep("first attempts", seconds + 2, lambda: self.first_attempts.stop(bound)),
            StopStep("channels", 2, self.channels.close),
            StopStep("database", 2, self.database.close),
        ]


def compose(settings: Settings, clock: Clock, log: Logger) -> PaymentServer:
    """The payment server of these settings, not yet bound to its address.

    Raises:
        WrongSchema: the payment database is not at this version's schema.
    """
    database = Database.open(settings.payment_database_url, clock)
    require_current(database, Schema.PAYMENT)
    policy = OutboxPolicy.of(settings, random.random)
    channels = Channels()
    caller = OrderNotifyCaller(channels, settings.notify_connect_bound, settings.notify_deadline, clock)
    delivery = Delivery(database, caller, policy, log)
    first_attempts = FirstAttempts(
        delivery, policy, clock, log, holder_name("payment-server"), settings.notify_queue_size
    )
    server = RpcServer(log, clock, ServerOptions(workers=settings.server_workers))
    _add_services(server, settings, database, policy, first_attempts, log)
    return PaymentServer(database, channels, first_attempts, server)


def _add_services(
    server: RpcServer,
    settings: Settings,
    database: Database,
    policy: OutboxPolicy,
    first_attempts: FirstAttempts,
    log: Logger,
) -> None:
    allow_list = settings.allow_list()
    report = ReportResults(database, first_attempts, policy, log)
    server.add(
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        PaymentService(database, CreatePayment(database), report, allow_list, log),
        "paylatch.payment.v1.PaymentService",
    )
    server.add(
        notify_schedule_service_pb2_grpc.add_NotifyScheduleServiceServicer_to_server,
        NotifyScheduleService(database, RetrySchedules(database, policy, log), allow_list, log),
        "paylatch.payment.v1.NotifyScheduleService",
    )
