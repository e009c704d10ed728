"""How each of the three processes starts, refuses to start, and stops."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.processes import START_BOUND, target_of
from core.clock import SystemClock
from core.rpc.channels import open_channel
from tests.support.processes import BOUND, IMPATIENT, KINDS, System, eventually, run_module
from tests.support.shop import Shop, numbers

GENEROUS_START = 10.0
"""Seconds to serve at the most, on a machine that runs other tests; SPEC 11 asks for 1.5 of an idle one."""

every_process = pytest.mark.parametrize("name", KINDS)


@every_process
def test_a_process_serves_soon_after_its_start(system: System, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    system.start(name)
    seconds = clock.monotonic() - began
    with capsys.disabled():
        print(f"\n{name} serves after {seconds:.2f} s")  # noqa: T201  # the figure of SPEC 11, for who reads the log
    assert seconds < GENEROUS_START


@every_process
def test_a_process_told_to_stop_says_that_it_does_not_serve_and_ends_with_zero(system: System, name: str) -> None:
    system.start(name)
    child = system[name]
    with open_channel(target_of(child.program.address)) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        told = stub.Watch(health_pb2.HealthCheckRequest(), timeout=BOUND)
        assert next(told).status == health_pb2.HealthCheckResponse.SERVING

        child.signal(signal.SIGTERM)

        assert next(told).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert child.wait(BOUND)
    assert child.exit_code == 0
    assert system.lines.events(name, "process.stopped")


@pytest.mark.parametrize("name", ["payment-server", "order-server"])
def test_a_second_signal_ends_a_process_at_once_although_a_call_is_under_way(
    system: System, shop: Shop, tmp_path: Path, name: str
) -> None:
    system.start(name)
    child = system[name]
    with _locked(tmp_path / f"{name.removesuffix('-server')}.db"):
        call = _call_that_writes(shop, name)

        child.signal(signal.SIGTERM)
        system.lines.wait_for(name, "process.stopping")
        child.signal(signal.SIGTERM)

        assert child.wait(BOUND)
        assert child.exit_code == 128 + signal.SIGTERM
        assert isinstance(call.exception(BOUND), grpc.RpcError)
    assert system.lines.events(name, "process.stopped") == []


def test_a_payment_server_told_to_stop_leaves_no_claim_behind(tmp_path: Path) -> None:
    orders = numbers(200)
    with System(tmp_path, {**IMPATIENT, "notify_lease": "5m"}) as system, Shop(system.settings) as shop:
        system.start()
        shop.create_orders(orders)
        shop.create_payments(orders)
        shop.report(orders)

        assert system["payment-server"].stop(BOUND) == 0

        system.start("payment-server")
        eventually(lambda: shop.are_notified(orders))


@every_process
def test_contradictory_settings_stop_a_process_with_one_line(name: str) -> None:
    settings = {"notify_lease": "12s"}
    as_module = run_module(KINDS[name].module, settings=settings)
    as_command = run_module("cli", name, settings=settings)

    assert as_module.returncode == as_command.returncode == 2
    (line,) = as_module.stderr.splitlines()
    assert line.startswith(f"{name}: PAYLATCH_NOTIFY_LEASE is 0:00:12")
    assert as_command.stderr == as_module.stderr
    assert as_command.stdout == as_module.stdout == ""


@every_process
def test_a_process_refuses_a_database_that_is_not_migrated(name: str, tmp_path: Path) -> None:
    settings = {f"{side}_database_url": f"sqlite:///{tmp_path / side}.db" for side in ("payment", "order")}
    ended = run_module(KINDS[name].module, settings=settings)
    assert ended.returncode not in {0, None}
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{name}: ")
    assert "run `paylatch migrate`" in line


@every_process
def test_a_second_process_on_the_same_port_is_refused(system: System, name: str) -> None:
    system.start(name)
    ended = run_module(KINDS[name].module, settings=system.overrides)
    assert ended.returncode not in {0, None}
    assert f"cannot listen on {system[name].program.address}" in ended.stderr.splitlines()[-1]
    assert system[name].serves(START_BOUND)


def _call_that_writes(shop: Shop, name: str) -> Any:
    """Begin a call that waits for the database, and come back when the server has it."""
    call: Any
    if name == "payment-server":
        server = shop.clients.payment.server
        call = shop.clients.payment.payments.CreatePayment.future(shop.payment_to_create("A-1"), timeout=BOUND)
    else:
        server = shop.clients.order.server
        call = shop.clients.order.orders.CreateOrder.future(shop.order_to_create("A-1"), timeout=BOUND)
    # One connection hands over in order: when this is answered, the server has the call.
    stub: Any = health_pb2_grpc.HealthStub(server.channel)
    stub.Check(health_pb2.HealthCheckRequest(), timeout=BOUND)
    return call


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """While inside, nobody else writes into this SQLite file."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
