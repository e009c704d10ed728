"""Health says what a process can do: not without its database, again when it is back, and always while merely busy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.processes import target_of
from core.rpc.channels import open_channel
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.servers import OwnPostgreSql

ORDER_SERVICE = "paylatch.order.v1.OrderService"


def test_every_process_says_not_serving_while_its_database_is_away_and_serving_when_it_is_back(
    tmp_path: Path, own_postgresql: OwnPostgreSql
) -> None:
    payment_url, order_url = own_postgresql.databases.create(), own_postgresql.databases.create()
    settings = {**IMPATIENT, "health_grace": "1s"}
    with System(tmp_path, settings, payment_url=payment_url, order_url=order_url) as system:
        system.start()
        own_postgresql.crash()
        for name in system.addresses:
            told = system.lines.wait_for(name, "health.not_serving")
            assert "the database has not answered" in told["why"]
            assert _status(system.addresses[name]) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert _status(system.addresses["order-server"], ORDER_SERVICE) == health_pb2.HealthCheckResponse.NOT_SERVING

        own_postgresql.start()
        for name in system.addresses:
            eventually(_serves(system.addresses[name]))
            assert len(system.lines.events(name, "health.not_serving")) == 1, "it flapped"


def _serves(address: str) -> Callable[[], bool]:
    return lambda: _status(address) == health_pb2.HealthCheckResponse.SERVING


def _status(address: str, service: str = "") -> int:
    with open_channel(target_of(address)) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its type leaves Check out
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10, wait_for_ready=True)
        return int(answer.status)
