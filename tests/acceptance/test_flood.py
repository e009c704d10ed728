"""A flood on one method, or of one caller: others are served, health answers, and the processes stop in order."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.children import memory_of
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import Shop, numbers

CONNECTIONS = 8
CALLS_OF_A_CONNECTION = 60
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


class Flood:
    """Calls one method without a pause over many connections, a bounded number of calls at once."""

    def __init__(self, address: str, method: str) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]
        self.ends: Counter[str] = Counter()
        self._channels = [grpc.insecure_channel(address, own) for _ in range(CONNECTIONS)]
        self._method = method
        self._over = threading.Event()
        self._changed = threading.Lock()
        self._under_way: set[Any] = set()

    def start(self) -> None:
        """Keep every connection full."""
        for channel in self._channels:
            for _ in range(CALLS_OF_A_CONNECTION):
                self._call(channel)

    def end(self) -> None:
        """Call no more."""
        self._over.set()
        for channel in self._channels:
            channel.close()

    def _call(self, channel: grpc.Channel) -> None:
        if self._over.is_set():
            return
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self._method)
        try:
            call: Any = method.future(b"", timeout=20)
        except ValueError:  # closed in this moment
            return
        with self._changed:
            self._under_way.add(call)
        call.add_done_callback(lambda done: self._ended(channel, done))

    def _ended(self, channel: grpc.Channel, call: Any) -> None:
        with self._changed:
            self._under_way.discard(call)
            self.ends[call.code().name] += 1
        self._call(channel)


@contextmanager
def flooding(address: str, method: str) -> Iterator[Flood]:
    flood = Flood(address, method)
    try:
        flood.start()
        eventually(lambda: sum(flood.ends.values()) > CONNECTIONS)
        yield flood
    finally:
        flood.end()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("method", [LIST, NO_SUCH])
def test_a_flood_on_one_method_stops_neither_reports_nor_health_nor_the_stop(
    system: System, shop: Shop, method: str
) -> None:
    system.start()
    shop.create_orders(REPORTS)
    shop.create_payments(REPORTS)
    with flooding(system.settings.payment_address, method) as flood:
        for order_no in REPORTS:
            shop.report([order_no])
        assert system["payment-server"].serves(HEALTH_BOUND)
        eventually(lambda: shop.are_notified(REPORTS))
        eventually(lambda: sum(flood.ends.values()) > ENOUGH)

        assert memory_of(system["payment-server"]) < MOST_BYTES
        system["payment-server"].signal(signal.SIGTERM)
        assert system["payment-server"].wait(STOP_BOUND)
    assert system["payment-server"].exit_code == 0
    assert flood.ends.keys() <= {
        *("OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED")
    }
