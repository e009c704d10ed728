"""A payment server, an order server and a scheduler in this process, on databases that can be set back to a backup.

Nothing happens by itself: first attempts are off, and the scheduler makes a pass when it is told to.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from cli.clients import Clients, Key
from cli.reconcile import ReconcileOptions, Report, reconcile
from core.rpc.lifecycle import StopStep
from core.settings import load_settings
from core.store.migrate import Schema
from order_server.compose import compose as compose_order_server
from paylatch.order.v1.order_pb2 import Order
from paylatch.order.v1.order_service_pb2 import CancelOrderRequest, CreateOrderRequest, GetOrderRequest
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_FAILED, PAYMENT_STATUS_SUCCESS
from paylatch.payment.v1.payment_service_pb2 import CreatePaymentRequest, ReportPaymentResultRequest
from payment_server.compose import compose as compose_payment_server
from scheduler.compose import Scheduler
from scheduler.compose import compose as compose_scheduler
from tests.support.backup import Backup
from tests.support.clock import TestClock
from tests.support.databases import opened, run_sql

PLATFORM = "card"
BOUND = timedelta(seconds=10)
DEADLINE = 10.0


class BothServers:
    """Every payment's code is its order's number, unless a test wants another. urls: of two migrated databases."""

    def __init__(self, urls: Mapping[Schema, str], clock: TestClock) -> None:
        self._urls = urls
        self._clock = clock
        self._log: Any = structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])
        self._payment_address = self._order_address = "127.0.0.1:0"
        self._stop_payment: Sequence[StopStep] = ()
        self._stop_order: Sequence[StopStep] = ()
        self.start_order_server()
        self.scheduler = self._start_payment_side()
        self.clients = Clients.connect(self._payment_address, self._order_address)

    @property
    def addresses(self) -> list[str]:
        """Where both are, as options of a command."""
        return ["--payment-address", self._payment_address, "--order-address", self._order_address]

    @property
    def payment_address(self) -> str:
        """Where the payment server is."""
        return self._payment_address

    @property
    def order_address(self) -> str:
        """Where the order server is."""
        return self._order_address

    def create(self, *order_nos: str, amount: int = 1_000, paid: int | None = None) -> None:
        """Create orders and their payments. paid: what is paid, if that is not the order's amount."""
        for order_no in order_nos:
            self.create_order(order_no, amount)
            self.create_payment(order_no, order_no, paid or amount)

    def create_order(self, order_no: str, amount: int = 1_000) -> None:
        """Create an order alone."""
        order = CreateOrderRequest(order_no=order_no, amount_minor=amount, currency_code="USD")
        self.clients.order.orders.CreateOrder(order, timeout=DEADLINE)

    def create_payment(self, code: str, order_no: str, amount: int = 1_000) -> None:
        """Create a payment of an order."""
        payment = CreatePaymentRequest(
            platform_id=PLATFORM,
            payment_code=code,
            order_no=order_no,
            amount_minor=amount,
            currency_code="USD",
            notify_url=f"grpc://{self._order_address}",
        )
        self.clients.payment.payments.CreatePayment(payment, timeout=DEADLINE)

    def report(self, *order_nos: str, failed: bool = False) -> None:
        """Report how payments ended."""
        for order_no in order_nos:
            report = ReportPaymentResultRequest(
                platform_id=PLATFORM,
                payment_code=order_no,
                status=PAYMENT_STATUS_FAILED if failed else PAYMENT_STATUS_SUCCESS,
            )
            self.clients.payment.payments.ReportPaymentResult(report, timeout=DEADLINE)

    def settle(self, *order_nos: str, **amounts: int) -> None:
        """Create, pay and deliver."""
        self.create(*order_nos, **amounts)
        self.report(*order_nos)
        self.deliver()

    def settle_existing(self, *order_nos: str, amount: int = 1_000) -> None:
        """Pay orders that are there, and deliver."""
        for order_no in order_nos:
            self.create_payment(order_no, order_no, amount)
        self.report(*order_nos)
        self.deliver()

    def cancel(self, order_no: str) -> None:
        """Cancel an order."""
        request = CancelOrderRequest(order_no=order_no, operator="test", description="not wanted")
        self.clients.order.orders.CancelOrder(request, timeout=DEADLINE)

    def order(self, order_no: str) -> Order:
        """The order as it is now."""
        return self.clients.order.orders.GetOrder(GetOrderRequest(order_no=order_no), timeout=DEADLINE).order

    def deliver(self) -> None:
        """Let the scheduler deliver what is due, and a while pass."""
        while self.deliver_once():
            pass
        self._clock.advance(timedelta(minutes=10))

    def deliver_once(self) -> int:
        """Let the scheduler make one pass; how many rows it had."""
        return self.scheduler.retry.run_once(f"grpc://{self._order_address}")

    def reconcile(self, **options: Any) -> Report:
        """Compare both sides."""
        return reconcile(self.clients, ReconcileOptions(clock=self._clock, **options))

    def backup(self, schema: Schema) -> Backup:
        """A copy of a database as it is now."""
        return Backup(self._urls[schema])

    def restore(self, schema: Schema, backup: Backup) -> None:
        """Set a database back, with its servers stopped and started again."""
        is_payment = schema is Schema.PAYMENT
        self.stop_payment_side() if is_payment else self.stop_order_server()
        backup.restore()
        if is_payment:
            self.scheduler = self._start_payment_side()
        else:
            self.start_order_server()

    def sql(self, schema: Schema, statement: str) -> list[Any]:
        """What SQL tells of a database, or does to it, behind the back of its servers."""
        with opened(self._urls[schema], self._clock) as database:
            return run_sql(database, statement)

    def forget_schedule(self, order_no: str) -> None:
        """Lose a payment's schedule and its attempts, as a purge would."""
        of_key = f"SELECT id FROM notify_schedule WHERE payment_code = '{order_no}'"
        self.sql(Schema.PAYMENT, f"DELETE FROM notify_attempt WHERE schedule_id IN ({of_key})")
        self.sql(Schema.PAYMENT, f"DELETE FROM notify_schedule WHERE payment_code = '{order_no}'")

    def start_order_server(self) -> None:
        """Serve, at the address of the last time."""
        settings = load_settings(order_database_url=self._urls[Schema.ORDER])
        process = compose_order_server(settings, self._clock, self._log)
        self._order_address = process.server.bind(self._order_address)
        process.server.start()
        self._stop_order = process.stop_steps(BOUND)

    def stop_order_server(self) -> None:
        """Stop."""
        _stop(self._stop_order)

    def stop_payment_side(self) -> None:
        """Stop payment server and scheduler."""
        _stop(self._stop_payment)

    def close(self) -> None:
        """Stop everything."""
        self.clients.close()
        self.stop_payment_side()
        self.stop_order_server()

    def _start_payment_side(self) -> Scheduler:
        settings = load_settings(
            payment_database_url=self._urls[Schema.PAYMENT],
            notify_targets=[f"grpc://{self._order_address}"],
            notify_connect_bound=timedelta(milliseconds=100),
        )
        process = compose_payment_server(settings, self._clock, self._log)
        process.first_attempts.stop(timedelta(0))
        self._payment_address = process.server.bind(self._payment_address)
        process.server.start()
        scheduler = compose_scheduler(settings, self._clock, self._log)
        self._stop_payment = [*process.stop_steps(BOUND), *scheduler.stop_steps(BOUND)]
        return scheduler


def key(order_no: str) -> Key:
    """The key of an order's payment."""
    return Key(PLATFORM, order_no)


def _stop(steps: Sequence[StopStep]) -> None:
    for step in steps:
        assert step.action() is not False, step.name
