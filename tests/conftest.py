import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import hypothesis
import pytest

from core.store.database import Database
from core.store.migrate import Schema
from tests.support.clock import TestClock
from tests.support.databases import ASKED_FOR, BACKENDS, Backend, opened
from tests.support.servers import ALL_REQUIRED, NotThere, OwnPostgreSql

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What any backend will do for runs on the first one only. What may take longest begins first."""
    items[:] = [item for item in items if not item.get_closest_marker("any_backend") or _is_of_first_backend(item)]
    items[:] = _longest_first(items)


def _longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Else one core works alone on a long test at the end. Those without a bound of their own stay in their order."""
    of_directory: Counter[Path] = Counter()
    ranks = {}
    for item in items:
        bound = item.get_closest_marker("timeout")
        # Those that start processes stand between those that compute.
        of_directory[item.path.parent] += bound is not None
        ranks[item] = (-bound.args[0], of_directory[item.path.parent]) if bound else (0, 0)
    return sorted(items, key=ranks.__getitem__)


def _is_of_first_backend(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is None or callspec.params.get("backend", "sqlite") == "sqlite"


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Iterator[Callable[[str], Backend]]:
    """The backend of a name, made when it is first asked for."""
    with ExitStack() as made:

        @cache
        def backend_of(name: str) -> Backend:
            return made.enter_context(closing(BACKENDS[name](tmp_path_factory.mktemp(name), testrun_uid)))

        yield backend_of


@pytest.fixture(params=ASKED_FOR)
def backend(request: pytest.FixtureRequest, backends: Callable[[str], Backend]) -> Backend:
    """Each backend in turn, without those that are not there, unless all are asked for."""
    try:
        return backends(request.param)
    except NotThere as error:
        (pytest.fail if ALL_REQUIRED else pytest.skip)(str(error))


@pytest.fixture
def own_postgresql() -> Iterator[OwnPostgreSql]:
    """A PostgreSQL that nobody else uses."""
    server = OwnPostgreSql()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def fresh_url(backend: Backend) -> Iterator[str]:
    """A database without tables."""
    url = backend.fresh()
    yield url
    backend.take_back(url)


@pytest.fixture
def payment_database_url(backend: Backend) -> Iterator[str]:
    """A migrated payment database without rows."""
    url = backend.ready(Schema.PAYMENT)
    yield url
    backend.take_back(url)


@pytest.fixture
def payment_database(payment_database_url: str, clock: TestClock) -> Iterator[Database]:
    with opened(payment_database_url, clock) as database:
        yield database


@pytest.fixture
def order_database_url(backend: Backend) -> Iterator[str]:
    """A migrated order database without rows."""
    url = backend.ready(Schema.ORDER)
    yield url
    backend.take_back(url)


@pytest.fixture
def order_database(order_database_url: str, clock: TestClock) -> Iterator[Database]:
    with opened(order_database_url, clock) as database:
        yield database
