"""A whole order server in this process: a real database, real gRPC on a free port."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
import structlog

from core.settings import load_settings
from core.store.database import Database
from order_server.compose import FOLLOW_UPS, OrderServer, compose
from order_server.follow_ups import FollowUp
from paylatch.order.v1.order_notify_service_pb2_grpc import OrderNotifyServiceStub
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from tests.integration.order_server.order_side import OrderSide
from tests.support.clock import TestClock

StartOrderSide = Callable[..., OrderSide]


@pytest.fixture
def start_order_side(order_database_url: str, order_database: Database, clock: TestClock) -> Iterator[StartOrderSide]:
    """Starts order servers on one database, which `order_database` has migrated; each is stopped at the end."""
    started: list[tuple[OrderServer, grpc.Channel]] = []

    def start(follow_ups: Sequence[FollowUp] = FOLLOW_UPS) -> OrderSide:
        lines = structlog.testing.LogCapture()
        log: Any = structlog.wrap_logger(
            None, processors=[lines], wrapper_class=structlog.make_filtering_bound_logger("DEBUG")
        )
        process = compose(load_settings(order_database_url=order_database_url), clock, log, follow_ups)
        channel = grpc.insecure_channel(process.server.bind("127.0.0.1:0"))
        process.server.start()
        started.append((process, channel))
        return OrderSide(
            process.database, clock, OrderServiceStub(channel), OrderNotifyServiceStub(channel), lines.entries
        )

    yield start
    for process, channel in started:
        channel.close()
        for step in process.stop_steps(timedelta(seconds=10)):
            assert step.action() is not False, step.name


@pytest.fixture
def side(start_order_side: StartOrderSide) -> OrderSide:
    """One order server with the follow-ups of the product."""
    return start_order_side()
