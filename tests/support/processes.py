"""Real processes for acceptance tests: whole systems, single ones, commands. Waits on facts, each within a bound."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from cli.migrate import migrate_both
from cli.ports import free_addresses
from cli.processes import Child, Launch, Program, environment
from core.clock import SystemClock
from core.rpc.outgoing import Outgoing
from core.settings import Settings, load_settings
from tests.support.lines import Lines
from tests.support.logs import Log

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


class Kind(NamedTuple):
    """One of the three kinds of processes: what it runs, and the setting of its address."""

    module: str
    address_setting: str


KINDS = {
    "payment-server": Kind("payment_server", "payment_address"),
    "scheduler": Kind("scheduler", "scheduler_address"),
    "order-server": Kind("order_server", "order_address"),
}
"""In the order in which they are stopped."""

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


class System:
    """The processes of a test, none of them started yet, their databases migrated, each on a port of its own.

    Called payment-server, payment-server-2, …; the others alike. Every order server is a target of its own.
    A context: at its end all are killed.
    settings: those of all processes. payment_url, order_url: databases of any engine; SQLite files if left out.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        payment_url: str | None = None,
        order_url: str | None = None,
        payment_servers: int = 1,
        order_servers: int = 1,
        schedulers: int = 1,
    ) -> None:
        counts = {"payment-server": payment_servers, "scheduler": schedulers, "order-server": order_servers}
        self.names = {kind: [_numbered(kind, number) for number in range(1, counts[kind] + 1)] for kind in KINDS}
        every = [name for names in self.names.values() for name in names]
        self.addresses = dict(zip(every, free_addresses(len(every)), strict=True))
        scheme = "grpcs" if "tls_certificate" in settings else "grpc"
        self.overrides = {
            "payment_database_url": payment_url or f"sqlite:///{directory / 'payment.db'}",
            "order_database_url": order_url or f"sqlite:///{directory / 'order.db'}",
            **self._addresses(1),
            "notify_targets": ",".join(f"{scheme}://{self.addresses[name]}" for name in self.names["order-server"]),
            "log_format": "json",
            **settings,
        }
        self.settings = load_settings(**self.overrides)
        self.lines = Lines(BOUND)
        self._children: dict[str, Child] = {}
        for _ in migrate_both(self.settings):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def __getitem__(self, name: str) -> Child:
        """The process that was started last under this name."""
        return self._children[name]

    def settings_by(self, number: int) -> Settings:
        """The settings of a customer who goes to this payment server and to this order server, its target among them.

        Beyond the last one comes the first again.
        """
        addresses = self._addresses(number)
        return load_settings(
            **{
                **self.overrides,
                **addresses,
                "notify_targets": f"{self.settings.scheme}://{addresses['order_address']}",
            }
        )

    def start(self, *names: str, module: str | None = None, **settings: str) -> None:
        """Start these processes, or all, and wait until they serve. See `launch`."""
        self.launch(*names, module=module, **settings)
        for name in names or self.addresses:
            self._children[name].wait_serving()

    def launch(self, *names: str, module: str | None = None, **settings: str) -> None:
        """Start these processes, or all, and wait for nothing. One that still runs is left as it is.

        module: run instead of the kind's own. settings: theirs alone.
        """
        for name in names or self.addresses:
            if name not in self._children or self._children[name].has_ended:
                self._children[name] = self._child(name, module, settings)

    def kill(self) -> None:
        """Kill whatever still runs."""
        for child in self._children.values():
            child.kill()

    def _child(self, name: str, module: str | None, settings: Mapping[str, str]) -> Child:
        kind = next(kind for kind, names in self.names.items() if name in names)
        address = self.addresses[name]
        overrides = {**self.overrides, KINDS[kind].address_setting: address, **settings}
        shown = Outgoing.of(load_settings(**overrides), SystemClock(), Log().logger)
        launch = Launch(environment(overrides), SystemClock(), self.lines.take, outgoing=shown)
        return Child(Program(name, module or KINDS[kind].module, address), launch)

    def _addresses(self, number: int) -> dict[str, str]:
        turn = {kind: names[(number - 1) % len(names)] for kind, names in self.names.items()}
        return {KINDS[kind].address_setting: self.addresses[name] for kind, name in turn.items()}


def is_stopped(child: Child) -> bool:
    """Whether a SIGSTOP holds it."""
    state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


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


def _numbered(kind: str, number: int) -> str:
    return kind if number == 1 else f"{kind}-{number}"


def _names(process: Path, text: bytes) -> bool:
    try:
        return text in (process / "environ").read_bytes()
    except OSError:
        return False
