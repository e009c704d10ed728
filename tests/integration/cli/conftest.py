from collections.abc import Callable, Iterator

import pytest

from cli.clients import Clients
from cli.reconcile import ReconcileOptions, Report, reconcile
from core.store.migrate import Schema
from tests.integration.cli.both_servers import BothServers
from tests.support.clock import TestClock
from tests.support.sides import Sides, serving


@pytest.fixture(autouse=True)
def _no_terminal_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its width nor its taste in colours reaches a test."""
    for name in ("COLUMNS", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sides() -> Iterator[Sides]:
    with serving(Sides()) as served:
        yield served


@pytest.fixture
def clients(sides: Sides) -> Iterator[Clients]:
    with sides.clients() as connected:
        yield connected


@pytest.fixture
def run(clients: Clients, clock: TestClock) -> Callable[..., Report]:
    """Reconciles both sides, with options."""

    def run(**options: object) -> Report:
        return reconcile(clients, ReconcileOptions(clock=clock, **options))  # type: ignore[arg-type]  # as named

    return run


@pytest.fixture
def both(payment_database_url: str, order_database_url: str, clock: TestClock) -> Iterator[BothServers]:
    servers = BothServers({Schema.PAYMENT: payment_database_url, Schema.ORDER: order_database_url}, clock)
    yield servers
    servers.close()
