"""Real processes for acceptance tests: whole systems, single ones, commands. Waits on facts, each within a bound."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cli.migrate import migrate_both
from cli.ports import free_addresses
from cli.processes import Child, Fleet, Launch, Program, environment, programs
from core.clock import SystemClock
from core.settings import load_settings

BOUND = 30.0
"""Seconds after which a fact that should long be one fails its test; many times what a busy machine needs."""

IMPATIENT = {
    "notify_connect_bound": "200ms",
    "notify_deadline": "1s",
    "notify_lease": "2s",
    "notify_retry_waits": ",".join(["1s"] * 9),
    "scheduler_poll_interval": "100ms",
    "breaker_first_wait": "100ms",
    "breaker_longest_wait": "500ms",
}
"""Settings of the same shape as the defaults, made for a test that waits: a lease of 2 s, retries after 1 s."""

_POLL_SECONDS = 0.02
_GENTLE_POLL_SECONDS = 0.5

Fact = TypeVar("Fact")


def eventually(fact: Callable[[], Fact], bound: float = BOUND) -> Fact:
    """What `fact` gives as soon as it is true; a failure if it is not within `bound` seconds."""
    gives_up = time.monotonic() + bound
    while not (found := fact()):
        assert time.monotonic() < gives_up, f"not within {bound:g} s: {found!r}"
        time.sleep(_POLL_SECONDS)
    return found


def all_along(fact: Callable[[], bool], seconds: float) -> None:
    """Hold that `fact` is true, again and again, for this long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert fact()
        time.sleep(_GENTLE_POLL_SECONDS)


class Lines:
    """What processes wrote, line by line, as it comes. Log events are JSON."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: list[tuple[str, str]] = []

    def take(self, process: str, line: str) -> None:
        """One more line. From any thread."""
        with self._changed:
            self._lines.append((process, line))
            self._changed.notify_all()

    def of(self, process: str) -> list[str]:
        """All a process wrote so far."""
        with self._changed:
            return [line for name, line in self._lines if name == process]

    def events(self, process: str, *names: str) -> list[dict[str, Any]]:
        """The log events of these names that a process wrote so far."""
        return [parsed for line in self.of(process) if (parsed := _parsed(line)).get("event") in names]

    def wait_for(self, process: str, *names: str, bound: float = BOUND) -> dict[str, Any]:
        """The first log event of one of these names that a process wrote, or writes."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.events(process, *names), bound)
            assert came, f"{process} wrote no {' or '.join(names)} within {bound:g} s: {self.of(process)[-10:]}"
            return came[0]


class System:
    """The three processes of a test, none of them started yet, their databases migrated, on ports of their own."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        payment, order, scheduler = free_addresses(3)
        self.overrides = {
            "payment_database_url": f"sqlite:///{directory / 'payment.db'}",
            "order_database_url": f"sqlite:///{directory / 'order.db'}",
            "payment_address": payment,
            "order_address": order,
            "scheduler_address": scheduler,
            "notify_targets": f"grpc://{order}",
            "log_format": "json",
            **settings,
        }
        self.settings = load_settings(**self.overrides)
        self.lines = Lines()
        self.fleet = Fleet(programs(self.settings), self._launch({}))
        self._others: list[Child] = []
        for _ in migrate_both(self.settings):
            pass

    def start(self, *names: str) -> None:
        """Start these processes, or all, and wait until they serve."""
        self.fleet.start(*names)
        self.fleet.wait_serving()

    def start_another(self, name: str, module: str, address_setting: str) -> Child:
        """One more process of a kind, under a name and on a port of its own; serving."""
        (address,) = free_addresses(1)
        other = Child(Program(name, module, address), self._launch({address_setting: address}))
        self._others.append(other)
        other.wait_serving()
        return other

    def kill(self) -> None:
        """Kill whatever still runs."""
        for child in [*self.fleet.children, *self._others]:
            child.kill()

    def _launch(self, overrides: Mapping[str, str]) -> Launch:
        return Launch(environment({**self.overrides, **overrides}), SystemClock(), self.lines.take)


def run_module(
    module: str, *arguments: str, settings: Mapping[str, str] | None = None, bound: float = BOUND
) -> "subprocess.CompletedProcess[str]":
    """`python -m module arguments…` with these settings, to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=bound,
        check=False,
    )


def processes_of(directory: Path) -> list[int]:
    """The ids of the processes whose environment names `directory`, this one left out."""
    others = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]
    return [int(entry.name) for entry in others if _names(entry, str(directory).encode())]


def _names(process: Path, text: bytes) -> bool:
    try:
        return text in (process / "environ").read_bytes()
    except OSError:
        return False


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
