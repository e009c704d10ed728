"""Metrics are told over HTTPS to whom the policy grants it, and nobody who stalls keeps them from others."""

import socket
import ssl
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.registry import Collector

from cli.pki import Issued
from core.clock import SystemClock
from core.monitor.scrapes import MAX_SCRAPERS, SCRAPE_SECONDS, Scrapes
from core.rpc.policy import SCRAPE
from core.rpc.security import Security
from core.rpc.server import CannotListen
from core.settings import load_settings
from tests.support.clock import TestClock
from tests.support.logs import Log
from tests.support.pki import Pki
from tests.support.waiting import BOUND_SECONDS, wait_until

PROMETHEUS, SHOP = "spiffe://test/prometheus", "spiffe://test/shop"
TOLD = "answered_total 3.0"
ANYWHERE = "0.0.0.0:0"


class SlowOnce(Collector):
    """Gauges that take as long as their database, the first time."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        if not self.has_begun.is_set():
            self.has_begun.set()
            self.may_end.wait(BOUND_SECONDS)
        return []


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    pki = Pki(tmp_path / "pki")
    # As people keep them: with words between the certificates.
    pki.file("ca.pem").write_bytes("# Läden und Kassen\n".encode() + 2 * pki.ca)
    allow(pki, PROMETHEUS)
    return pki


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("answered", "What a test counted", registry=registry).inc(3)
    return registry


@pytest.fixture
def secured(pki: Pki, log: Log, clock: TestClock) -> Iterator[Scrapes]:
    settings = load_settings(policy_file=str(pki.file("policy.toml")), **pki.settings)
    scrapes = Scrapes(Security.of(settings, SystemClock(), log.logger), clock, log.logger)
    yield scrapes
    scrapes.stop()


@pytest.fixture
def plain(log: Log, clock: TestClock) -> Iterator[Scrapes]:
    scrapes = Scrapes(Security(), clock, log.logger)
    yield scrapes
    scrapes.stop()


@pytest.fixture
def address(secured: Scrapes, registry: CollectorRegistry) -> str:
    """Of a server with TLS."""
    return secured.listen("127.0.0.1:0", registry)


def allow(pki: Pki, identity: str) -> None:
    pki.file("policy.toml").write_text(f'[certificates]\n"{identity}" = ["{SCRAPE}"]\n')


def context(pki: Pki, shown: Issued | None) -> ssl.SSLContext:
    """Of a scraper that trusts this authority, and shows a certificate or none."""
    context = ssl.create_default_context(cadata=pki.ca.decode())
    if shown is not None:
        certificate, key = pki.file("scraper.pem"), pki.file("scraper.key")
        certificate.write_bytes(shown.certificate)
        key.write_bytes(shown.key)
        context.load_cert_chain(certificate, key)
    return context


def scrape(address: str, pki: Pki, shown: Issued | None) -> str:
    with urllib.request.urlopen(f"https://{address}/metrics", timeout=10, context=context(pki, shown)) as response:
        return str(response.read(), "utf-8")


def scrape_in_plaintext(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        return str(response.read(), "utf-8")


def is_shut_out(scraping: Callable[[], str]) -> bool:
    try:
        scraping()
    except (URLError, ssl.SSLError, ConnectionError):
        return True
    return False


def test_who_is_granted_it_scrapes(address: str, pki: Pki) -> None:
    assert TOLD in scrape(address, pki, pki.issue(PROMETHEUS))


def test_a_certificate_of_the_authority_is_not_enough(address: str, pki: Pki, log: Log) -> None:
    with pytest.raises(HTTPError) as refused:
        scrape(address, pki, pki.issue(SHOP))

    assert refused.value.code == HTTPStatus.FORBIDDEN
    assert refused.value.read().decode() == f"{SHOP} may not scrape: the policy must grant {SCRAPE}\n"


def test_a_change_of_the_policy_holds_for_the_next_scrape(address: str, pki: Pki) -> None:
    allow(pki, SHOP)

    assert TOLD in scrape(address, pki, pki.issue(SHOP))


@pytest.mark.parametrize("shown", ["none", "expired", "of another authority"])
def test_without_a_valid_certificate_of_the_authority_nothing_is_told(
    address: str, pki: Pki, tmp_path: Path, shown: str
) -> None:
    certificates = {
        "none": None,
        "expired": pki.issue(PROMETHEUS, days=-1),
        "of another authority": Pki(tmp_path / "other", "another CA").issue(PROMETHEUS),
    }

    assert is_shut_out(lambda: scrape(address, pki, certificates[shown]))


def test_a_renewed_certificate_is_shown_without_a_restart(address: str, pki: Pki) -> None:
    renewed = pki.write_server()

    host, _, port = address.rpartition(":")
    client = context(pki, pki.issue(PROMETHEUS))
    with (
        socket.create_connection((host, int(port)), timeout=10) as connection,
        client.wrap_socket(connection, server_hostname=host) as over_tls,
    ):
        assert over_tls.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(renewed.certificate.decode())


def test_plain_bytes_on_the_tls_port_stop_nothing(address: str, pki: Pki) -> None:
    assert is_shut_out(lambda: scrape_in_plaintext(address))

    assert TOLD in scrape(address, pki, pki.issue(PROMETHEUS))


def test_silent_connections_hold_up_nobody_and_are_cut_off(address: str, pki: Pki, clock: TestClock, log: Log) -> None:
    host, _, port = address.rpartition(":")
    prometheus = pki.issue(PROMETHEUS)

    def scraped() -> str:
        return scrape(address, pki, prometheus)

    with ExitStack() as silent:
        for _ in range(MAX_SCRAPERS - 1):
            silent.enter_context(socket.create_connection((host, int(port))))
        assert TOLD in scraped()

        def there_is_no_place_left() -> bool:
            silent.enter_context(socket.create_connection((host, int(port))))
            return is_shut_out(scraped)

        wait_until(there_is_no_place_left)
        clock.advance(timedelta(seconds=SCRAPE_SECONDS + 1))
        wait_until(lambda: not is_shut_out(scraped))
    assert log.events("error") == []


def test_a_scrape_that_outlasts_its_client_and_its_time_stops_no_other(
    plain: Scrapes, registry: CollectorRegistry, clock: TestClock
) -> None:
    slow = SlowOnce()
    registry.register(slow)
    address = plain.listen("127.0.0.1:0", registry)
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert slow.has_begun.wait(BOUND_SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
    clock.advance(timedelta(seconds=SCRAPE_SECONDS + 1))

    # After each of them it is looked whom to cut off.
    assert all(TOLD in scrape_in_plaintext(address) for _ in range(3))
    slow.may_end.set()


def test_under_tls_any_address_may_be_listened_on_in_plaintext_it_must_be_asked_for(
    secured: Scrapes, plain: Scrapes, registry: CollectorRegistry
) -> None:
    assert secured.listen(ANYWHERE, registry)
    with pytest.raises(CannotListen, match="not a loopback address"):
        plain.listen(ANYWHERE, registry)
    assert TOLD in scrape_in_plaintext(plain.listen(ANYWHERE, registry, allow_plaintext=True))
