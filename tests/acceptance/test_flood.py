"""A flood on one method: others are served, health answers, and the processes stop in order."""

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.children import memory_of
from tests.support.flood import flooding
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import Shop, numbers

CONNECTIONS = 8
ENOUGH = 2_000
REPORTS = numbers(40)
HEALTH_BOUND = 5.0
STOP_BOUND = 30.0
MOST_BYTES = 400 * 2**20

LIST = "/paylatch.payment.v1.PaymentService/ListPayments"
NO_SUCH = "/paylatch.payment.v1.PaymentService/GetPayment"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, {**IMPATIENT, "server_workers": "8", "log_level": "error"}) as system:
        yield system


def connections(address: str) -> list[grpc.Channel]:
    own = [("grpc.use_local_subchannel_pool", 1)]
    return [grpc.insecure_channel(address, own) for _ in range(CONNECTIONS)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("method", [LIST, NO_SUCH])
def test_a_flood_on_one_method_stops_neither_reports_nor_health_nor_the_stop(
    system: System, shop: Shop, method: str
) -> None:
    system.start()
    shop.create_orders(REPORTS)
    shop.create_payments(REPORTS)
    with flooding(connections(system.settings.payment_address), method) as flood:
        for order_no in REPORTS:
            shop.report([order_no])
        assert system["payment-server"].serves(HEALTH_BOUND)
        eventually(lambda: shop.are_notified(REPORTS))
        eventually(lambda: flood.count > ENOUGH)

        assert memory_of(system["payment-server"]) < MOST_BYTES
        system["payment-server"].signal(signal.SIGTERM)
        assert system["payment-server"].wait(STOP_BOUND)
    assert system["payment-server"].exit_code == 0
    assert flood.ends.keys() <= {
        *("OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED")
    }
