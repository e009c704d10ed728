import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from core.store.database import Database
from core.store.migrate import Schema
from tests.support.clock import TestClock
from tests.support.databases import BACKENDS, migrated

# How long one example takes says something about the machine, not about paylatch.
hypothesis.settings.register_profile("paylatch", deadline=None)
hypothesis.settings.load_profile("paylatch")


@pytest.fixture(scope="session")
def empty_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("working_directory")


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch, empty_directory: Path) -> None:
    """Neither PAYLATCH_… variables of the shell nor a .env file of the working directory reach a test."""
    for name in list(os.environ):
        if name.upper().startswith("PAYLATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(empty_directory)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def payment_database_url(backend: str, tmp_path: Path) -> str:
    return BACKENDS[backend](tmp_path, Schema.PAYMENT)


@pytest.fixture
def payment_database(payment_database_url: str, clock: TestClock) -> Iterator[Database]:
    with migrated(payment_database_url, clock, Schema.PAYMENT) as database:
        yield database


@pytest.fixture
def order_database_url(backend: str, tmp_path: Path) -> str:
    return BACKENDS[backend](tmp_path, Schema.ORDER)


@pytest.fixture
def order_database(order_database_url: str, clock: TestClock) -> Iterator[Database]:
    with migrated(order_database_url, clock, Schema.ORDER) as database:
        yield database
