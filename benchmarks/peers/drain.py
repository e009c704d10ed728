"""Drains a backlog with a peer: its own tables, its own worker, one call for each notification, nothing else.

The time goes from the first call that arrives to when the last completion is recorded in the peer's own tables, so that
neither starting nor the first claim counts. Only this file knows how long anything took.
"""

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.peers.install import NODE_PROGRAMS, PYTHON_PROGRAMS, interpreters
from cli.ports import free_addresses

BOUND = 120.0
"""Seconds a drain may take; more than any needs."""

_LOOK_SECONDS = 0.002
_ORDER_SERVICE = "order_service.js"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. settings: those that are tried; the best is measured. left: whether a job is not recorded as done."""

    name: str
    package: str
    program: tuple[str, str]
    left: str
    settings: Sequence[Mapping[str, Any]]


PYTHON, NODE = "python", "node"

PEERS = (
    Peer(
        "graphile-worker",
        "graphile-worker",
        (NODE, "graphile_worker"),
        "SELECT EXISTS (SELECT 1 FROM graphile_worker._private_jobs)",
        (
            {"concurrency": 24, "queue": 500},
            {"concurrency": 100, "queue": 500},
            {"concurrency": 24, "queue": 500, "processes": 2},
        ),
    ),
    Peer(
        "pg-boss",
        "pg-boss",
        (NODE, "pg_boss"),
        "SELECT EXISTS (SELECT 1 FROM pgboss.job WHERE name = 'notify' AND state <> 'completed')",
        (
            {"concurrency": 1, "batch": 500},
            {"concurrency": 2, "batch": 500},
            {"concurrency": 2, "batch": 100},
            {"concurrency": 1, "batch": 500, "processes": 2},
        ),
    ),
    Peer(
        "pg-boss, one BatchOrderNotify a fetch",
        "pg-boss",
        (NODE, "pg_boss"),
        "SELECT EXISTS (SELECT 1 FROM pgboss.job WHERE name = 'notify' AND state <> 'completed')",
        (
            {"concurrency": 1, "batch": 500, "in_batches": True},
            {"concurrency": 2, "batch": 500, "in_batches": True},
        ),
    ),
    Peer(
        "procrastinate",
        "procrastinate",
        (PYTHON, "procrastinate_peer"),
        "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs)",
        ({"concurrency": 10}, {"concurrency": 30}, {"concurrency": 30, "processes": 2}),
    ),
    Peer(
        "PgQueuer",
        "pgqueuer",
        (PYTHON, "pgqueuer_peer"),
        "SELECT EXISTS (SELECT 1 FROM pgqueuer)",
        ({"batch": 100, "pool": 1}, {"batch": 500, "pool": 1}, {"batch": 100, "pool": 10}),
    ),
    Peer(
        "faststream-outbox",
        "faststream-outbox",
        (PYTHON, "faststream_outbox_peer"),
        "SELECT EXISTS (SELECT 1 FROM outbox)",
        (
            {"workers": 4, "batch": 100},
            {"workers": 16, "batch": 500},
            {"workers": 16, "batch": 500, "processes": 2},
        ),
    ),
    Peer(
        "DBOS",
        "dbos",
        (PYTHON, "dbos_peer"),
        "SELECT EXISTS (SELECT 1 FROM dbos.workflow_status WHERE status <> 'SUCCESS')",
        ({"concurrency": 50, "interval": 0.05}, {"concurrency": 200, "interval": 0.1}),
    ),
)


class PeerFailed(Exception):
    """A peer did not drain its backlog. The message says why, as far as it told."""


def drain(peer: Peer, url: str, contents: Sequence[str], settings: Mapping[str, Any]) -> float:
    """Notifications a second, of a backlog in a fresh database. contents: serialized OrderNotifyRequests in base64.

    Raises:
        PeerFailed: a process of it failed, or it took longer than BOUND.
    """
    (address,) = free_addresses(1)
    own = dict(settings)
    processes = own.pop("processes", 1)
    with tempfile.TemporaryDirectory(prefix="paylatch-benchmark-peer-") as directory:
        backlog = Path(directory) / "contents"
        backlog.write_text("\n".join(contents))
        _prepare(peer, url, backlog)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
            with _started(_node(_ORDER_SERVICE, address, str(len(contents))), Path(directory) / "orders") as orders:
                orders.wait_for("serving")
                work = _command(peer, "work", url, address, json.dumps(own))
                with _all_started([work] * processes, Path(directory)) as workers:
                    first = orders.wait_for("first", workers)
                    orders.wait_for("last", workers)
                    return len(contents) / (_recorded(connection, peer, workers) - first)


def _recorded(connection: psycopg.Connection[Any], peer: Peer, workers: Sequence["_Process"]) -> float:
    """When the last completion was recorded, by the machine's monotonic clock."""
    end = time.monotonic() + BOUND
    while connection.execute(peer.left.encode()).fetchone() != (False,):
        _look_after(workers, end)
    return time.monotonic()


def _look_after(workers: Sequence["_Process"], end: float) -> None:
    for worker in workers:
        worker.must_run()
    if time.monotonic() > end:
        raise PeerFailed(f"not drained within {BOUND:.0f} s: {workers[0].last_words() if workers else ''}")
    threading.Event().wait(_LOOK_SECONDS)


def _prepare(peer: Peer, url: str, backlog: Path) -> None:
    command = _command(peer, "prepare", url, str(backlog))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=BOUND)
    if done.returncode != 0:
        raise PeerFailed(f"could not fill its tables: {_last_line(done.stderr or done.stdout)}")


def _command(peer: Peer, *arguments: str) -> list[str]:
    kind, module = peer.program
    if kind == NODE:
        return _node("peer.js", module, *arguments)
    return [str(interpreters().python), str(PYTHON_PROGRAMS / "peer.py"), module, *arguments]


def _node(program: str, *arguments: str) -> list[str]:
    return [str(interpreters().node), str(NODE_PROGRAMS / program), *arguments]


class _Process:
    """A process of a peer, and what it has written."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._output = output
        with output.open("w") as written:
            self._process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT)

    def wait_for(self, word: str, others: Sequence["_Process"] = ()) -> float:
        """The number behind `word` once it stands at the beginning of a line; 0 if there is none."""
        end = time.monotonic() + BOUND
        while True:
            for line in self._output.read_text().splitlines(keepends=True):
                if line.startswith(word) and line.endswith("\n"):
                    return float(line.removeprefix(word).strip() or 0)
            _look_after([self, *others], end)

    def must_run(self) -> None:
        """Fail if it has ended."""
        if self._process.poll() is not None:
            raise PeerFailed(f"ended with code {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """What it wrote last."""
        return _last_line(self._output.read_text(errors="replace"))

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it did not say why"


@contextmanager
def _started(command: Sequence[str], output: Path) -> Iterator[_Process]:
    process = _Process(command, output)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def _all_started(commands: Sequence[Sequence[str]], directory: Path) -> Iterator[list[_Process]]:
    processes: list[_Process] = []
    try:
        for number, command in enumerate(commands):
            processes.append(_Process(command, directory / f"worker-{number}"))
        yield processes
    finally:
        for process in processes:
            process.kill()
