"""A flood of one certificate over many connections: others are served in time, and nothing answered is lost."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from core.rules.codes import PaymentStatus
from paylatch.payment.v1.payment_service_pb2 import ReportPaymentResultRequest
from tests.support.books import Books
from tests.support.children import memory_of
from tests.support.flood import flooding, half_sent
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.secured import Secured
from tests.support.shop import Shop, numbers, report

CONNECTIONS = 5
ENOUGH = 1_500
FLOODED = numbers(120)
OTHERS = [f"B-{number}" for number in range(15)]
REPORT_DEADLINE, HEALTH_BOUND = 5.0, 5.0
MOST_BYTES = 400 * 2**20
"""Of each process, at any moment: some 100 MiB to begin with, and what the limits of calls leave room for."""

CHECK = "/grpc.health.v1.Health/Check"
HALF_SENT = 30
FLOODER, SHOP = "flooder", "shop"
METHOD = "paylatch.payment.v1.PaymentService/ReportPaymentResult"


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    return Secured(
        tmp_path / "pki",
        {FLOODER: [METHOD], SHOP: ["paylatch.payment.v1.PaymentService/*", "paylatch.order.v1.OrderService/*"]},
    )


@pytest.fixture
def system(tmp_path: Path, secured: Secured) -> Iterator[System]:
    settings = {**IMPATIENT, **secured.settings, "server_workers": "8", "log_level": "error"}
    with System(tmp_path, settings) as system:
        system.start()
        yield system


@pytest.fixture
def shop(system: System, secured: Secured) -> Iterator[Shop]:
    with secured.shop(system.settings, SHOP) as shop:
        yield shop


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_flood_of_one_identity_keeps_nobody_else_waiting_and_loses_no_payment(
    system: System, shop: Shop, secured: Secured
) -> None:
    everything = [*FLOODED, *OTHERS]
    shop.create_orders(everything)
    shop.create_payments(everything)
    reports = itertools.cycle([report(order_no).SerializeToString() for order_no in FLOODED])
    with ExitStack() as channels:
        opened = [
            channels.enter_context(secured.channel(system.settings.payment_address, FLOODER))
            for _ in range(CONNECTIONS)
        ]
        for channel in opened[:2]:
            channels.enter_context(half_sent(channel, CHECK, HALF_SENT))
        with flooding(opened, f"/{METHOD}", lambda: next(reports)) as flood:
            for order_no in OTHERS:
                shop.clients.payment.payments.ReportPaymentResult(report(order_no), timeout=REPORT_DEADLINE)
                assert_bounded(system)
            assert all(system[name].serves(HEALTH_BOUND) for name in system.addresses)
            assert checked(secured, system.settings.payment_address) == HealthCheckResponse.SERVING
            eventually(lambda: shop.are_notified(OTHERS))
            eventually(lambda: flood.count > ENOUGH)
            assert_bounded(system)

    assert flood.ends["RESOURCE_EXHAUSTED"], "it crowded nothing"
    answered = {ReportPaymentResultRequest.FromString(request).payment_code for request in flood.acknowledged}
    assert answered
    assert answered | set(OTHERS) <= paid_in(Books(system.settings))
    shop.report(FLOODED)
    eventually(lambda: shop.are_notified(everything))
    assert [system[name].stop() for name in system.addresses] == [0, 0, 0]
    Books(system.settings).hold_one_effect_of(everything)


def checked(secured: Secured, address: str) -> int:
    with secured.channel(address, SHOP) as channel:
        stub: Any = HealthStub(channel)  # its type leaves Check out
        return int(stub.Check(HealthCheckRequest(), timeout=HEALTH_BOUND).status)


def paid_in(books: Books) -> set[str]:
    return {str(payment.payment_code) for payment in books.payments if payment.status == PaymentStatus.SUCCESS}


def assert_bounded(system: System) -> None:
    assert {name: memory_of(system[name]) for name in system.addresses if memory_of(system[name]) > MOST_BYTES} == {}
