import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peewee import Database
from playhouse.pool import MaxConnectionsExceeded, PooledDatabase

from core.store.dialect.pool import ConnectsAside

BOUND = 10.0
MOST = 2


class Engine(Database):
    """Makes connections as it is told to."""

    make: Callable[[], object] = object

    def _connect(self) -> object:
        return self.make()

    def _close(self, connection: object) -> None:
        pass

    def _set_server_version(self, connection: object) -> None:
        self.server_version = 1


class Pool(PooledDatabase, ConnectsAside, Engine):  # type: ignore[misc]  # playhouse has no types
    pass


@pytest.fixture
def pool() -> Any:
    return Pool("any", max_connections=MOST, timeout=None, autoconnect=False)


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(MOST + 1) as threads:
        yield threads


def test_while_a_connection_hangs_in_the_making_others_are_given_back_and_handed_out(
    pool: Any, threads: ThreadPoolExecutor
) -> None:
    pool.connect()
    hanging, go_on = threading.Event(), threading.Event()

    def hang() -> object:
        hanging.set()
        assert go_on.wait(BOUND)
        return object()

    pool.make = hang
    coming = threads.submit(pool.connect)
    try:
        assert hanging.wait(BOUND)
        assert threads.submit(lambda: pool._in_use and True).result(BOUND)
        pool.close()
        pool.connect()
    finally:
        go_on.set()
    assert coming.result(BOUND)


def test_a_connection_in_the_making_counts_and_one_that_could_not_be_made_does_not(
    pool: Any, threads: ThreadPoolExecutor
) -> None:
    hanging, go_on = threading.Barrier(MOST + 1), threading.Event()

    def fail_late() -> object:
        hanging.wait(BOUND)
        assert go_on.wait(BOUND)
        raise OSError("nobody there")

    pool.make = fail_late
    coming = [threads.submit(pool.connect) for _ in range(MOST)]
    try:
        hanging.wait(BOUND)
        with pytest.raises(MaxConnectionsExceeded):
            pool.connect()
    finally:
        go_on.set()
    assert all(isinstance(one.exception(BOUND), OSError) for one in coming)

    pool.make = object
    assert pool.connect()
