"""The further addresses of a server of several processes: each process serves all, and no other server may."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.ports import free_addresses
from core.process import COULD_NOT_SERVE
from paylatch.order.v1.order_service_pb2 import ListOrdersRequest
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from paylatch.payment.v1.notify_schedule_service_pb2 import ListNotifyTargetsRequest
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_service_pb2 import ListPaymentsRequest
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from tests.support.children import connections_at, workers_of
from tests.support.processes import BOUND, IMPATIENT, System, eventually, run_module
from tests.support.secured import Secured, bearer

PROCESSES = 2
CONNECTIONS = 30
"""So many that the kernel gives them all to one of two listeners once in a thousand million runs."""

OPERATOR, SHOP = "operator", "shop"
GRANTED = ["paylatch.payment.v1.PaymentService/*", "paylatch.order.v1.OrderService/*"]
ADDRESSES = {
    "payment_token_address": "payment-server",
    "operator_address": "payment-server",
    "order_token_address": "order-server",
}
"""Each by its setting, and whose it is."""

MODULES = {"payment-server": "payment_server", "order-server": "order_server"}

Ask = Callable[[grpc.Channel], Any]


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    grants = {OPERATOR: ["paylatch.payment.v1.NotifyScheduleService/*"]}
    return Secured(tmp_path / "pki", grants, tokens={SHOP: GRANTED})


@pytest.fixture
def system(tmp_path: Path, secured: Secured) -> Iterator[System]:
    addresses = dict(zip(ADDRESSES, free_addresses(len(ADDRESSES)), strict=True))
    settings = {**IMPATIENT, **secured.settings, **addresses, "server_processes": str(PROCESSES)}
    with System(tmp_path, settings) as system:
        system.launch("payment-server", "order-server")
        for name in MODULES:
            _wait_serving(system, name)
        yield system


def test_every_process_serves_every_address(system: System, secured: Secured) -> None:
    token: dict[str, Any] = {"metadata": [bearer(SHOP)], "timeout": BOUND}
    asks: dict[str, Ask] = {
        "payment_token_address": lambda to: PaymentServiceStub(to).ListPayments(ListPaymentsRequest(), **token),
        "order_token_address": lambda to: OrderServiceStub(to).ListOrders(ListOrdersRequest(), **token),
        "operator_address": lambda to: NotifyScheduleServiceStub(to).ListNotifyTargets(
            ListNotifyTargetsRequest(), timeout=BOUND
        ),
    }
    for setting, ask in asks.items():
        address = system.overrides[setting]
        with ExitStack() as connections:
            for _ in range(CONNECTIONS):
                opened = (
                    secured.channel(address, OPERATOR)
                    if setting == "operator_address"
                    else secured.channel_of_stranger(address)
                )
                ask(connections.enter_context(opened))
            workers = workers_of(system[ADDRESSES[setting]])
            assert len(workers) == PROCESSES
            assert all(connections_at(address, pid) for pid in workers), setting


def test_another_server_of_several_processes_is_refused_each_address(system: System) -> None:
    free = free_addresses(2 + len(ADDRESSES))
    own = dict(zip(["payment_address", "order_address", *ADDRESSES], free, strict=True))
    for setting, name in ADDRESSES.items():
        taken = system.overrides[setting]
        refused = run_module(MODULES[name], settings={**system.overrides, **own, setting: taken})

        assert refused.returncode == COULD_NOT_SERVE
        assert taken in refused.stderr


def _wait_serving(system: System, name: str) -> None:
    eventually(lambda: len(system.lines.events(name, "process.serving")) == PROCESSES)
