"""What nothing on this machine gets past: a bare call, a bare call with many items, one durable commit."""

import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import grpc
import psycopg

from benchmarks.backlog import backlog_requests
from benchmarks.calls import DEADLINE, seconds_of
from benchmarks.system import System, fresh_database, fresh_databases
from cli.processes import Program
from paylatch.order.v1 import order_notify_service_pb2, order_notify_service_pb2_grpc

CALLERS = 32
ITEMS = 100
_TABLE = "CREATE TABLE counter (id integer PRIMARY KEY, value integer NOT NULL)"
_TRANSACTION = ("UPDATE counter SET value = value + 1 WHERE id = {0}", "INSERT INTO entry (counter_id) VALUES ({0})")
_ENTRIES = "CREATE TABLE entry (counter_id integer NOT NULL)"


def echo_notifications(calls: int, items: int, callers: int) -> float:
    """Notifications a second through a Python server that only answers, `items` in each call."""
    request = order_notify_service_pb2.BatchOrderNotifyRequest(requests=backlog_requests(range(1, items + 1)))
    with fresh_databases("sqlite") as urls, System(urls) as system:
        address = system.settings.payment_address
        system.start_program(Program("echo", "benchmarks.echo_server", address))
        with grpc.insecure_channel(address) as channel:
            stub = order_notify_service_pb2_grpc.OrderNotifyServiceStub(channel)
            call: Callable[[], object] = (
                (lambda: stub.BatchOrderNotify(request, timeout=DEADLINE))
                if items > 1
                else (lambda: stub.OrderNotify(request.requests[0], timeout=DEADLINE))
            )
            return items * _rate([call] * callers, calls // callers)


def commits_on_postgresql(commits: int, clients: int) -> float:
    """Transactions of two small statements a second, each durable, by so many clients."""
    with fresh_database("commits") as url:
        connections = [psycopg.connect(url, autocommit=True) for _ in range(clients)]
        try:
            for statement in (
                _TABLE,
                _ENTRIES,
                f"INSERT INTO counter SELECT n, 0 FROM generate_series(1, {clients}) n",
            ):
                connections[0].execute(statement.encode())
            return _rate(
                [_on_postgresql(each, number) for number, each in enumerate(connections, 1)], commits // clients
            )
        finally:
            for connection in connections:
                connection.close()


def _on_postgresql(connection: psycopg.Connection[tuple[object, ...]], number: int) -> Callable[[], object]:
    statements = [statement.format(number).encode() for statement in _TRANSACTION]

    def commit() -> None:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement)

    return commit


def commits_on_sqlite(commits: int) -> float:
    """The same in a file of SQLite: WAL, synchronous=FULL, one connection."""
    with tempfile.TemporaryDirectory(prefix="paylatch-benchmark-") as directory:
        connection = sqlite3.connect(Path(directory) / "commits.db", isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", _TABLE, _ENTRIES):
            connection.execute(statement)
        connection.execute("INSERT INTO counter VALUES (1, 0)")

        def commit() -> None:
            for statement in ("BEGIN IMMEDIATE", *(each.format(1) for each in _TRANSACTION), "COMMIT"):
                connection.execute(statement)

        try:
            return _rate([commit], commits)
        finally:
            connection.close()


def _rate(callers: Sequence[Callable[[], object]], times: int) -> float:
    """Calls a second, if all callers call at once, each one call after the other."""

    def work(call: Callable[[], object]) -> None:
        for _ in range(times):
            call()

    for call in callers:
        call()  # what is only done once is not part of the rate
    return times * len(callers) / seconds_of([partial(work, call) for call in callers])
