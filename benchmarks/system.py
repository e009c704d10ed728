"""The system that is measured: two fresh databases, real processes on loopback, and the CPU time each of them took.

Owns making and removing all of it. Decides nothing about what is measured.
"""

import itertools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.postgresql import server_url
from cli.migrate import migrate_both
from cli.ports import free_addresses
from cli.processes import Child, Launch, Program, environment, programs
from core.clock import SystemClock
from core.settings import Settings, load_settings

_NUMBERS = itertools.count(1)
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME = 11  # of /proc/PID/stat, behind the name


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the two databases of a run are."""

    payment: str
    order: str


@contextmanager
def fresh_databases(engine: str) -> Iterator[Urls]:
    """Two empty databases, gone in the end. engine: `postgresql`, on the server of this run, or `sqlite`, in files."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="paylatch-benchmark-") as directory:
            yield Urls(f"sqlite:///{directory}/payment.db", f"sqlite:///{directory}/order.db")
        return
    with fresh_database("payment") as payment, fresh_database("order") as order:
        yield Urls(payment, order)


@contextmanager
def fresh_database(name: str) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL, gone in the end. name: what it is for."""
    own = f"paylatch_benchmark_{name}_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {own} TEMPLATE template0".encode())
    try:
        yield urlsplit(server_url())._replace(path=f"/{own}").geturl()
    finally:
        with psycopg.connect(server_url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {own} WITH (FORCE)".encode())


def migrated(urls: Urls) -> None:
    """Bring both databases to the current schema, without starting anything."""
    databases = {"payment_database_url": urls.payment, "order_database_url": urls.order}
    for _ in migrate_both(load_settings(**databases)):
        pass


class System:
    """The processes of one run. A context: whatever still runs in the end is killed."""

    def __init__(self, urls: Urls, **overrides: str) -> None:
        payment, order, scheduler = free_addresses(3)
        self._overrides = {
            "payment_database_url": urls.payment,
            "order_database_url": urls.order,
            "payment_address": payment,
            "order_address": order,
            "scheduler_address": scheduler,
            "notify_targets": f"grpc://{order}",
            **overrides,
        }
        self.urls = urls
        self.settings: Settings = load_settings(**self._overrides)
        self.children: dict[str, Child] = {}
        self._logs = tempfile.TemporaryDirectory(prefix="paylatch-benchmark-logs-")
        for _ in migrate_both(self.settings):
            pass

    def __enter__(self) -> "System":
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children.values():
            if not child.has_ended:
                child.kill()
        self._logs.cleanup()

    def start(self, *names: str) -> None:
        """Start these of the three processes one after the other: each when those before it serve."""
        known = {program.name: program for program in programs(self.settings)}
        for name in names:
            self.start_program(known[name])

    def start_schedulers(self, count: int) -> None:
        """Start so many schedulers on the same database, and wait until they serve."""
        for program in programs(self.settings, free_addresses(count - 1)):
            if program.module == "scheduler":
                self.start_program(program)

    def start_program(self, program: Program) -> None:
        """Start a process with the settings of this system, and wait until it serves."""
        launch = Launch(environment(self._overrides), SystemClock(), Path(self._logs.name))
        child = Child(program, launch)
        self.children[program.name] = child
        child.wait_serving()

    def cpu(self) -> Mapping[str, float]:
        """Seconds of CPU so far, by process; those of PostgreSQL are its sessions in the two databases."""
        taken = {name: _cpu(tree_of(child.pid)) for name, child in self.children.items()}
        if self.urls.payment.startswith("postgresql"):
            taken["postgresql, payment"] = _cpu(_sessions(self.urls.payment))
            taken["postgresql, order"] = _cpu(_sessions(self.urls.order))
        return taken

    def memory(self) -> Mapping[str, float]:
        """Resident MiB now, by process."""
        return {name: sum(map(_resident, tree_of(child.pid))) for name, child in self.children.items()}


def tree_of(pid: int) -> Sequence[int]:
    """A process and all that came of it."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        own = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in own for each in tree_of(child))]


def query(url: str, statement: str) -> Any:
    """The first row of a SELECT, past the product."""
    with asking(url) as ask:
        return ask(statement)


@contextmanager
def asking(url: str) -> Iterator[Callable[[str], Any]]:
    """What answers the first row of a SELECT, past the product, over one connection."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)) as file:
            yield lambda statement: file.execute(statement).fetchone()
        return
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda statement: connection.execute(statement.encode()).fetchone()


def _sessions(url: str) -> Sequence[int]:
    with psycopg.connect(url, autocommit=True) as connection:
        own = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return [pid for (pid,) in connection.execute(own)]


def _cpu(pids: Sequence[int]) -> float:
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[_UTIME]) + int(fields[_UTIME + 1])


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    except OSError:
        return 0.0
