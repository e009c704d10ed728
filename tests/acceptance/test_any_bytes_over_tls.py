"""Any bytes into every RPC of real processes, by a caller who may call everything: clear answers, and all go on."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.children import memory_of
from tests.support.fuzz import GARBAGE, Fuzz
from tests.support.processes import IMPATIENT, System
from tests.support.rpcs import LIKELY, rpcs_of
from tests.support.secured import Secured

COUNT = 4
"""Requests drawn for each RPC, beside the garbage."""

BOUND = 10.0
MOST_BYTES = 400 * 2**20
CALLER = "anybody"
SERVICES = [
    "paylatch.payment.v1.PaymentService",
    "paylatch.payment.v1.NotifyScheduleService",
    "paylatch.order.v1.OrderNotifyService",
    "paylatch.order.v1.OrderService",
    "grpc.reflection.v1alpha.ServerReflection",
]
HEALTH = "grpc.health.v1.Health"


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    return Secured(tmp_path / "pki", {CALLER: [f"{service}/*" for service in SERVICES]})


@pytest.fixture
def system(tmp_path: Path, secured: Secured) -> Iterator[System]:
    with System(tmp_path, {**IMPATIENT, **secured.settings, "reflection": "true"}) as system:
        system.start()
        yield system


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_any_bytes_into_any_rpc_are_answered_clearly_and_end_no_process(system: System, secured: Secured) -> None:
    likely = {**LIKELY, "notify_url": [system.settings.notify_targets[0]]}
    called = set()
    for address in system.addresses.values():
        with secured.channel(address, CALLER) as channel:
            for rpc in rpcs_of(channel):
                called.add(rpc.method.containing_service.full_name)
                fuzz = Fuzz(Random(rpc.path), likely)
                drawn = [fuzz.request(rpc.method.input_type) for _ in range(COUNT)]
                for request in (*GARBAGE.values(), *drawn):
                    faults = rpc.call(request).faults()
                    assert not faults, f"{rpc.path} of {len(request)} bytes, {request[:1_000].hex()}: {faults}"

    assert called == {*SERVICES, HEALTH}
    for name in system.addresses:
        assert system[name].serves(BOUND), name
        assert memory_of(system[name]) < MOST_BYTES, name
    assert not any(system.lines.events(name, "rpc.crashed") for name in system.addresses)
    assert [system[name].stop() for name in system.addresses] == [0, 0, 0]
