"""The order server as a process: `python -m order_server`. The one place where its parts are put together.

Adding a follow-up is writing its class and adding it to FOLLOW_UPS.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from peewee import PeeweeException

from core.clock import Clock, SystemClock
from core.logs import Logger, make_logger
from core.rpc.lifecycle import StopRequests, StopStep, run_until_signal
from core.rpc.server import CannotListen, RpcServer, ServerOptions
from core.settings import BadSetting, Settings, load_settings
from core.store.database import Database
from core.store.migrate import Schema, WrongSchema, require_current
from order_server import order_notify_service, order_service
from order_server.follow_ups import FollowUp, FollowUps
from order_server.issue_vouchers import IssueVouchers
from order_server.notifies import OrderPaymentNotifies
from order_server.notify_log import NotifyLog
from order_server.order_changes import OrderChanges
from order_server.order_follow_ups import OrderFollowUps
from order_server.order_notify import OrderNotify
from order_server.order_notify_service import OrderNotifyServicer
from order_server.order_service import OrderServicer
from order_server.orders import Orders
from order_server.payment_exceptions import PaymentExceptions
from order_server.stock import Stock
from order_server.take_inventory import TakeInventory
from paylatch.order.v1.order_notify_service_pb2_grpc import add_OrderNotifyServiceServicer_to_server
from paylatch.order.v1.order_service_pb2_grpc import add_OrderServiceServicer_to_server

FOLLOW_UPS: Sequence[FollowUp] = (TakeInventory(), IssueVouchers())
"""What a paid order needs, in the order in which it is done."""

CANNOT_START = 2
"""The exit code of a process whose settings, database or address will not do."""


@dataclass(frozen=True, slots=True)
class OrderServer:
    """A whole order server, not yet serving. order_notify: its use case, for those who call without RPC."""

    settings: Settings
    database: Database
    order_notify: OrderNotify
    server: RpcServer
    log: Logger

    def start(self) -> str:
        """Serve; gives back the address with its port.

        Raises:
            WrongSchema: the database is not migrated to this version.
            CannotListen: the address is taken, or must not be listened on.
        """
        require_current(self.database, Schema.ORDER)
        address = self.server.bind(self.settings.order_address, allow_plaintext=self.settings.allow_plaintext)
        self.server.start()
        self.log.info("process.serving", address=address)
        return address

    def stop_steps(self) -> Sequence[StopStep]:
        """How to stop: no new calls, then no handler that could still commit, then no database."""
        bound = self.settings.stop_bound.total_seconds()
        return (
            # Cancelled calls take a moment to leave.
            StopStep("calls", bound + 5, lambda: self.server.stop(bound)),
            StopStep("handlers", bound, lambda: self.server.drained(bound)),
            StopStep("database", bound, self.database.close),
        )

    def stop(self) -> None:
        """Stop in the process's own order, within the same bounds."""
        for step in self.stop_steps():
            step.action()


def compose(settings: Settings, clock: Clock, log: Logger, follow_ups: Sequence[FollowUp] = FOLLOW_UPS) -> OrderServer:
    """Put an order server together. Opens no connection and no port."""
    database = Database.open(settings.order_database_url, clock)
    running = FollowUps(follow_ups, database.dialect.failure, log)
    changes = OrderChanges(running)
    order_notify = OrderNotify(database, changes, NotifyLog(log))
    order_servicer = OrderServicer(
        Orders(database, changes, log),
        PaymentExceptions(database, changes, log),
        OrderPaymentNotifies(database),
        OrderFollowUps(database, running, log),
        Stock(database, log),
    )
    server = RpcServer(log, clock, ServerOptions(workers=settings.server_workers))
    server.add(
        add_OrderNotifyServiceServicer_to_server,
        OrderNotifyServicer(order_notify, log),
        order_notify_service.SERVICE_NAME,
    )
    server.add(add_OrderServiceServicer_to_server, order_servicer, order_service.SERVICE_NAME)
    return OrderServer(settings, database, order_notify, server, log)


def main(requests: StopRequests | None = None) -> int:
    """Run the process until it is told to stop; gives back its exit code."""
    try:
        settings = load_settings()
        log = make_logger("order-server", settings.log_format, settings.log_level)
        process = compose(settings, SystemClock(), log)
        process.start()
    except (BadSetting, WrongSchema, CannotListen) as error:
        return _refuse(str(error))
    except PeeweeException as error:
        return _refuse(f"the database of PAYLATCH_ORDER_DATABASE_URL cannot be opened: {error}")
    return run_until_signal(log, process.stop_steps(), requests)


def _refuse(why: str) -> int:
    sys.stderr.write(f"order-server: {why}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
