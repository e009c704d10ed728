"""The order server as a process of its own: what it refuses to start on, and how it stops."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from core.clock import SystemClock
from core.store.database import Database
from core.store.migrate import Schema, migrate
from order_server.compose import FOLLOW_UPS
from paylatch.order.v1 import order_service_pb2 as pb
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub

ROOT = Path(__file__).parents[3]


def _start(url: str, **more: str) -> subprocess.Popen[str]:
    settings = {
        "PAYLATCH_ORDER_DATABASE_URL": url,
        "PAYLATCH_ORDER_ADDRESS": "127.0.0.1:0",
        "PAYLATCH_LOG_FORMAT": "json",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")]),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "order_server"], env=os.environ | settings | more, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'order.db'}"


@pytest.fixture
def serving(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    database = Database.open(url, SystemClock())
    migrate(database, Schema.ORDER)
    database.close()
    with _start(url) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "process.serving" in line)
        yield process, line.partition('"address": "')[2].partition('"')[0]
        process.kill()


def test_it_serves_with_health_and_stops_in_order_when_told_to(serving: tuple[subprocess.Popen[str], str]) -> None:
    process, address = serving
    with grpc.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "paylatch.order.v1.OrderService", "paylatch.order.v1.OrderNotifyService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        request = pb.CreateOrderRequest(order_no="O-1", amount_minor=1, currency_code="USD")
        assert OrderServiceStub(channel).CreateOrder(request).order.order_no == "O-1"

    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "process.stopped" in log


def test_it_refuses_a_database_that_is_not_migrated(url: str) -> None:
    with _start(url) as process:
        _, log = process.communicate(timeout=30)

    assert process.returncode == 1
    (line,) = log.splitlines()
    assert line.startswith("order-server: the order database lacks 0001_")
    assert line.endswith(": run `paylatch migrate`")


def test_it_refuses_a_bad_setting_in_one_line(url: str) -> None:
    with _start(url, PAYLATCH_STOP_BOUND="soon") as process:
        _, log = process.communicate(timeout=30)

    assert process.returncode == 2
    assert len(log.splitlines()) == 1
    assert "PAYLATCH_STOP_BOUND" in log


def test_follow_ups_keep_the_names_that_are_stored_with_orders() -> None:
    assert [follow_up.name for follow_up in FOLLOW_UPS] == ["take_inventory", "issue_vouchers"]
