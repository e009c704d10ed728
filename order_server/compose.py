"""The order server's one place where its parts are put together. Owns their order of starting and stopping.

Adding a follow-up is writing its class and adding it to FOLLOW_UPS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.clock import Clock
from core.logs import Logger
from core.monitor.monitor import MONITOR_SECONDS, Monitor
from core.monitor.open_telemetry import TRACES_SECONDS, open_telemetry
from core.monitor.scrapes import Scrapes
from core.monitor.vitals import Bounds, Vitals
from core.rpc.lifecycle import StopStep
from core.rpc.security import Security
from core.rpc.server import RpcServer, ServerOptions
from core.rpc.watching import call_observers
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.store.durability import warn_if_not_durable
from core.store.migrate import Schema, require_current
from core.telemetry.telemetry import Telemetry
from order_server import order_notify_service, order_service
from order_server.follow_ups import FollowUp, FollowUps
from order_server.issue_vouchers import IssueVouchers
from order_server.notifies import OrderPaymentNotifies
from order_server.notify_log import NotifyLog
from order_server.open_items import tell_what_is_open
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

FOLLOW_UPS: Sequence[FollowUp] = (TakeInventory(), IssueVouchers())
"""What a paid order needs, in the order in which it is done."""


@dataclass(frozen=True, slots=True)
class OrderServer:
    """All that must be stopped, the server to start, and the use case for those who notify without RPC."""

    database: Database
    order_notify: OrderNotify
    server: RpcServer
    telemetry: Telemetry
    monitor: Monitor

    def stop_steps(self, bound: timedelta) -> Sequence[StopStep]:
        """Refuse new calls, finish handlers, which may still commit, then close what they used."""
        seconds = bound.total_seconds()
        return [
            StopStep("monitor", MONITOR_SECONDS, self.monitor.stop),
            StopStep("calls", seconds + 2, lambda: self.server.stop(seconds)),
            StopStep("handlers", seconds, lambda: self.server.drained(seconds)),
            StopStep("database", 2, self.database.close),
            StopStep("traces", TRACES_SECONDS, self.telemetry.tracing.close),
        ]


def compose(
    settings: Settings,
    clock: Clock,
    log: Logger,
    follow_ups: Sequence[FollowUp] = FOLLOW_UPS,
    open_database: OpenDatabase = Database.open,
) -> OrderServer:
    """The order server of these settings, not yet bound to its address.

    Raises:
        WrongSchema: the order database is not at this version's schema.
        BadSetting: tracing is asked for and cannot be had.
    """
    security = Security.of(settings, clock, log)
    telemetry = open_telemetry("order-server", settings, settings.order_metrics_address, clock, log)
    database = open_database(settings.order_database_url, clock)
    require_current(database, Schema.ORDER)
    warn_if_not_durable(database, log)
    running = FollowUps(follow_ups, database.dialect.failure, log)
    changes = OrderChanges(running)
    order_notify = OrderNotify(database, changes, NotifyLog(log, telemetry.metrics))
    service = OrderService(
        Orders(database, changes, log),
        PaymentExceptions(database, changes, log),
        OrderPaymentNotifies(database),
        OrderFollowUps(database, running, log),
        Stock(database, log),
        log,
    )
    observers = call_observers(telemetry)
    server = RpcServer(log, clock, ServerOptions.of(settings), security=security, observers=observers)
    server.add(
        add_OrderNotifyServiceServicer_to_server,
        OrderNotifyService(order_notify, log, telemetry.tracing),
        order_notify_service.SERVICE_NAME,
    )
    server.add(add_OrderServiceServicer_to_server, service, order_service.SERVICE_NAME)
    tell_what_is_open(telemetry.metrics, database, [follow_up.name for follow_up in follow_ups])
    vitals = Vitals([server.health], database, clock, log, Bounds.of(settings))
    monitor = Monitor(telemetry.metrics, vitals, server, database, Scrapes(security, clock, log))
    return OrderServer(database, order_notify, server, telemetry, monitor)
