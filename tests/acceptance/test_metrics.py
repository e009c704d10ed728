"""Each process tells its metrics over HTTP, all that the catalogue promises, and they are true."""

import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.ports import free_addresses
from core.rpc.policy import SCRAPE
from core.telemetry.catalogue import PROCESSES
from tests.support.processes import IMPATIENT, KINDS, System, eventually, run_module
from tests.support.secured import Secured
from tests.support.shop import Shop

ORDERS = ["ORDER-1", "ORDER-2"]
UNKNOWN = "NO-SUCH-ORDER"
SETTINGS = {
    "payment-server": "payment_metrics_address",
    "scheduler": "scheduler_metrics_address",
    "order-server": "order_metrics_address",
}
Samples = dict[str, float]


@pytest.fixture
def addresses() -> dict[str, str]:
    return dict(zip(KINDS, free_addresses(len(KINDS)), strict=True))


@pytest.fixture
def system(tmp_path: Path, addresses: dict[str, str]) -> Iterator[System]:
    settings = {SETTINGS[name]: address for name, address in addresses.items()}
    with System(tmp_path, {**IMPATIENT, **settings}) as system:
        yield system


def test_every_process_tells_what_the_catalogue_promises_and_it_is_true(
    system: System, shop: Shop, addresses: dict[str, str]
) -> None:
    system.start()
    target = system.overrides["notify_targets"]
    for name, address in addresses.items():
        assert _families(address) == {metric.name for metric in PROCESSES[name]}

    shop.create_orders(ORDERS)
    shop.create_payments([*ORDERS, UNKNOWN])
    for order_no in (*ORDERS, UNKNOWN):
        shop.report_one(order_no)
    eventually(lambda: shop.are_notified(ORDERS))
    eventually(lambda: shop.schedule(UNKNOWN).attempts)

    sent = eventually(lambda: _all_delivered(addresses["payment-server"], target))
    assert sent["paylatch_rpc_calls_total OK PaymentService/ReportPaymentResult"] == 3
    assert sent[f"paylatch_notify_given_up_total {target}"] == 0
    assert 0 < sent[f"paylatch_notify_delivery_seconds_sum {target}"] < 60
    assert sent["paylatch_database_up"] == sent["paylatch_health_serving"] == 1

    waiting = eventually(lambda: _waiting(addresses["scheduler"], target))
    assert waiting[f"paylatch_notify_oldest_pending_seconds {target}"] > 0
    assert waiting[f"paylatch_breaker_state {target}"] == waiting[f"paylatch_target_paused {target}"] == 0
    assert 0 <= waiting["paylatch_loop_last_pass_age_seconds expiry"] < 10

    received = _samples(addresses["order-server"])
    assert received["paylatch_order_notify_answers_total applied"] == 2
    assert received["paylatch_order_notify_answers_total order_not_found"] >= 1
    assert received["paylatch_payment_exceptions_open order_cancelled"] == 0


def test_each_process_of_a_server_tells_its_own_on_a_port_of_its_own(tmp_path: Path) -> None:
    host, _, port = _two_ports_in_a_row().rpartition(":")
    settings = {**IMPATIENT, "server_processes": "2", "order_metrics_address": f"{host}:{port}"}
    with System(tmp_path, settings) as system, Shop(system.settings) as shop:
        system.start("order-server")
        both = [f"{host}:{port}", f"{host}:{int(port) + 1}"]
        eventually(lambda: len(system.lines.events("order-server", "process.serving")) == len(both))
        shop.create_orders(ORDERS)

        created = "paylatch_rpc_calls_total OK OrderService/CreateOrder"
        assert sum(_samples(address).get(created, 0) for address in both) == len(ORDERS)


def test_under_tls_each_process_tells_them_to_whom_it_is_granted(tmp_path: Path, addresses: dict[str, str]) -> None:
    secured = Secured(tmp_path / "pki", {"prometheus": [SCRAPE], "shop": []})
    settings = {SETTINGS[name]: address for name, address in addresses.items()}
    with System(tmp_path, {**IMPATIENT, **settings, **secured.settings}) as system:
        system.start()
        for address in addresses.values():
            assert "paylatch_health_serving 1.0" in _scrape_over_tls(address, secured.context("prometheus"))
            with pytest.raises(HTTPError, match="Forbidden"):
                _scrape_over_tls(address, secured.context("shop"))


def test_without_an_address_nothing_listens_for_scrapes(tmp_path: Path) -> None:
    with System(tmp_path, IMPATIENT) as system:
        system.start("order-server")
        listening = _listening_ports(system["order-server"].pid)

    assert len(listening) == 1


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("0.0.0.0:0", "not a loopback address"),
        ("192.0.2.1:9100", "not a loopback address"),
        ("taken", "cannot serve metrics on"),
    ],
)
def test_an_address_that_must_not_or_cannot_be_listened_on_keeps_the_process_from_starting(
    system: System, address: str, told: str
) -> None:
    system.start("order-server")
    taken = system.addresses["order-server"]
    settings = {**system.overrides, "scheduler_metrics_address": taken if address == "taken" else address}
    ended = run_module("scheduler", settings=settings)

    assert ended.returncode == 1
    assert told in ended.stderr.splitlines()[-1]


def _two_ports_in_a_row() -> str:
    """The address of the first of two free ports that follow one another."""
    while True:
        (address,) = free_addresses(1)
        host, _, port = address.rpartition(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port) + 1)) != 0:
                return address


def _all_delivered(address: str, target: str) -> Samples:
    samples = _samples(address)
    return samples if samples.get(f"paylatch_notify_attempts_total OK delivered {target}") == len(ORDERS) else {}


def _waiting(address: str, target: str) -> Samples:
    samples = _samples(address)
    return samples if samples.get(f"paylatch_notify_schedules notifying {target}") == 1 else {}


def _scrape(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        text: str = response.read().decode()
        return text


def _scrape_over_tls(address: str, tls: ssl.SSLContext) -> str:
    with urllib.request.urlopen(f"https://{address}/metrics", timeout=10, context=tls) as response:
        return str(response.read(), "utf-8")


def _families(address: str) -> set[str]:
    """The names as the catalogue has them, without the times at which counters were made."""
    types = [line.split()[2:] for line in _scrape(address).splitlines() if line.startswith("# TYPE")]
    return {name for name, _ in types if not name.endswith("_created")}


def _samples(address: str) -> Samples:
    """Values by name and label values, in the order of the labels' names."""
    return {
        " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(_scrape(address))
        for sample in family.samples
    }


def _listening_ports(pid: int) -> set[str]:
    """The local addresses of this process's listening TCP sockets."""
    inodes = {target.name for link in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in str(target := link.readlink())}
    tables = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    return {row[1] for row in tables if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
