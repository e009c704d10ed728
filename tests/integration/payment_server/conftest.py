"""A whole payment server in this process: a real database, real gRPC on a free port."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import structlog

from core.settings import load_settings
from core.store.database import Database
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from payment_server.compose import PaymentServer, compose
from tests.integration.payment_server.payment_side import PaymentSide
from tests.support.clock import TestClock

StartPaymentSide = Callable[..., PaymentSide]


@pytest.fixture
def start_payment_side(
    payment_database_url: str, payment_database: Database, clock: TestClock
) -> Iterator[StartPaymentSide]:
    """Starts payment servers on one migrated database; each is stopped at the end."""
    started: list[tuple[PaymentServer, grpc.Channel]] = []

    def start(notify_url: str = "grpc://127.0.0.1:1") -> PaymentSide:
        lines = structlog.testing.LogCapture()
        log: Any = structlog.wrap_logger(
            None, processors=[lines], wrapper_class=structlog.make_filtering_bound_logger("DEBUG")
        )
        settings = load_settings(
            payment_database_url=payment_database_url,
            notify_targets=[notify_url],
            notify_connect_bound=timedelta(milliseconds=50),
        )
        process = compose(settings, clock, log)
        channel = grpc.insecure_channel(process.server.bind("127.0.0.1:0"))
        process.server.start()
        started.append((process, channel))
        return PaymentSide(
            payment_database, PaymentServiceStub(channel), NotifyScheduleServiceStub(channel), notify_url, lines.entries
        )

    yield start
    for process, channel in started:
        channel.close()
        for step in process.stop_steps(timedelta(seconds=10)):
            assert step.action() is not False, step.name


@pytest.fixture
def side(start_payment_side: StartPaymentSide) -> PaymentSide:
    """One payment server whose order side is away."""
    return start_payment_side()
