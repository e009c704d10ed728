"""Whole servers in this process: a real database, real gRPC on a free port."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
import structlog

from core.rpc.lifecycle import StopStep
from core.rpc.server import RpcServer
from core.settings import load_settings
from core.store.database import Database
from order_server.compose import FOLLOW_UPS
from order_server.compose import compose as compose_order_server
from order_server.follow_ups import FollowUp
from paylatch.order.v1.order_notify_service_pb2_grpc import OrderNotifyServiceStub
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from payment_server.compose import compose as compose_payment_server
from tests.integration.order_server.order_side import OrderSide, StartOrderSide
from tests.integration.payment_server.payment_side import PaymentSide, StartPaymentSide
from tests.support.clock import TestClock

STOP_BOUND = timedelta(seconds=10)


@pytest.fixture
def start_order_side(order_database_url: str, clock: TestClock) -> Iterator[StartOrderSide]:
    """Starts order servers on one migrated database; each is stopped at the end."""
    with ExitStack() as running:

        def start(follow_ups: Sequence[FollowUp] = FOLLOW_UPS) -> OrderSide:
            log, lines = _log()
            process = compose_order_server(
                load_settings(order_database_url=order_database_url), clock, log, follow_ups=follow_ups
            )
            channel = running.enter_context(_served(process.server, lambda: process.stop_steps(STOP_BOUND)))
            return OrderSide(
                process.database, clock, OrderServiceStub(channel), OrderNotifyServiceStub(channel), channel, lines
            )

        yield start


@pytest.fixture
def start_payment_side(
    payment_database_url: str, payment_database: Database, clock: TestClock
) -> Iterator[StartPaymentSide]:
    """Starts payment servers on one migrated database; each is stopped at the end."""
    with ExitStack() as running:

        def start(notify_url: str = "grpc://127.0.0.1:1") -> PaymentSide:
            log, lines = _log()
            settings = load_settings(
                payment_database_url=payment_database_url,
                notify_targets=[notify_url],
                notify_connect_bound=timedelta(milliseconds=50),
            )
            process = compose_payment_server(settings, clock, log)
            channel = running.enter_context(_served(process.server, lambda: process.stop_steps(STOP_BOUND)))
            return PaymentSide(
                payment_database,
                process.sender.database,
                PaymentServiceStub(channel),
                NotifyScheduleServiceStub(channel),
                channel,
                notify_url,
                lines,
            )

        yield start


def _log() -> tuple[Any, Sequence[Any]]:
    lines = structlog.testing.LogCapture()
    debug = structlog.make_filtering_bound_logger("DEBUG")
    return structlog.wrap_logger(None, processors=[lines], wrapper_class=debug), lines.entries


@contextmanager
def _served(server: RpcServer, stop_steps: Callable[[], Sequence[StopStep]]) -> Iterator[grpc.Channel]:
    channel = grpc.insecure_channel(server.bind("127.0.0.1:0"))
    server.start()
    try:
        yield channel
    finally:
        channel.close()
        for step in stop_steps():
            assert step.action() is not False, step.name
