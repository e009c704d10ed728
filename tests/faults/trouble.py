"""Trouble with the databases of a world: a COMMIT that raises, a lock that is held, a server that is away, a backup."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from core.outbox.tables import NotifyTarget
from core.store.transaction import Transaction
from tests.faults.backends import PostgreSqlServers, SqliteFiles
from tests.faults.customer import Answer
from tests.faults.proxy import Way
from tests.faults.world import World
from tests.support.processes import BOUND, eventually


def commit_raises(
    world: World, name: str, transaction: str, act: Callable[[], Answer], *, durable: Callable[[], Any] | None
) -> Answer:
    """The COMMIT that `act` leads to raises, for the process: before anything is durable, or after everything is.

    durable: tells when it is durable; None: it shall not be. On a server the connection breaks, before the COMMIT
    or with its answer on the way. A file has no connection: the process's driver raises.
    """
    if not world.has_server:
        trap = world.trap(name, transaction, "after commit" if durable else "before commit")
        pending = world.customer.later(act)
        trap.wait()
        trap.raise_there()
        return pending.result()
    trap = world.trap(name, transaction, "before commit")
    pending = world.customer.later(act)
    trap.wait()
    if durable:
        world.link(name).set(answers=Way.LOSE)
        trap.go_on()
        eventually(durable)
    world.link(name).heal()
    world.link(name).reset()
    if not durable:
        trap.go_on()
    return pending.result()


def backend_in_transaction(world: World) -> int:
    """The process of the database's server in which the payment side's one open transaction runs."""
    with psycopg.connect(world.payment_url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        ).fetchall()
    ((process,),) = rows
    return int(process)


def restart_database(world: World) -> None:
    """End the database's server as a power cut would, and start it."""
    assert isinstance(world.databases, PostgreSqlServers)
    world.counts["database crash"] += 1
    world.databases.server.crash()
    world.databases.server.start()


@contextmanager
def holding(world: World, model: Any, condition: Any) -> Iterator[Callable[[], None]]:
    """Somebody else holds these rows of the payment database until the call of what this gives, or the end."""
    holding, let_go = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        tx.rows(model.select().where(condition), lock=True)
        holding.set()
        let_go.wait()

    thread = threading.Thread(target=world.payment_database.transact, args=(hold,))
    thread.start()
    try:
        assert holding.wait(BOUND)
        yield let_go.set
    finally:
        let_go.set()
        thread.join()


@contextmanager
def payment_database_away(world: World) -> Iterator[None]:
    """The payment side's processes cannot reach their database, or, where it is a file, cannot write to it."""
    links = [world.link(name) for name in world.started if world.has_server and not name.startswith("order-server")]
    with ExitStack() as ends:
        if not world.has_server:
            ends.enter_context(holding(world, NotifyTarget, NotifyTarget.notify_url == world.target))
        for link in links:
            link.refuse()
            ends.callback(link.heal)
        yield


def backup(world: World, which: str) -> str:
    """A copy of the payment or the order database as it is now; its processes are stopped."""
    url = world.payment_url if which == "payment" else world.order_url
    return _own_databases(world).backup(url)


def restore(world: World, which: str, copy: str) -> None:
    """Set a database back to a copy; its processes are stopped."""
    _own_databases(world).restore(copy, world.payment_url if which == "payment" else world.order_url)


def create_on(world: World, disk: Path) -> str:
    """The URL of a new payment database that is kept on this disk."""
    return _own_databases(world).create_on(disk)


def _own_databases(world: World) -> SqliteFiles | PostgreSqlServers:
    assert isinstance(world.databases, SqliteFiles | PostgreSqlServers)
    return world.databases
