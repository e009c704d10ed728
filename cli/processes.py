"""Child processes: starting them, learning that they serve, ending them. Owns every process it starts.

No child outlives this process (see core.child), and none hears the Ctrl-C its owner hears: each has a process
group of its own, and is stopped by its owner, in order. Waits on facts only: health, told over RPC, or an end.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.clients import CannotRun
from core.clock import Clock
from core.rpc.channels import ChannelTuning, open_channel
from core.rpc.outgoing import NOTHING, Outgoing
from core.rules.notify_url import NotifyUrl
from core.settings import Settings

PREFIX = "PAYLATCH_"
"""Of every setting's variable (SPEC 10)."""

START_BOUND = 30.0
"""Seconds a process is given to serve; far more than any needs."""

STOP_BOUND = 60.0
"""Seconds a process is given to end by itself; more than its own bounds add up to."""

_LOOK_SECONDS = 0.5
# Only for looking whether a starting process serves already: it connects to this machine, and shall be seen at once.
_EAGER = ChannelTuning(longest_pause=0.1)


@dataclass(frozen=True, slots=True)
class Program:
    """One process to be started. name: as the command line calls its kind, with a number if it is not the first.

    address: where it answers, host:port.
    """

    name: str
    module: str
    address: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells it where to answer."""
        return {f"{PREFIX}{self.module.removesuffix('_server').upper()}_ADDRESS": self.address}


def programs(
    settings: Settings, more_schedulers: Sequence[str] = (), more_order_servers: Sequence[str] = ()
) -> Sequence[Program]:
    """The three, in the order in which they are stopped: nobody loses whom it calls.

    more_…: addresses of further processes of a kind, started beside the one of the settings.
    """
    return (
        Program("payment-server", "payment_server", settings.payment_address),
        *_numbered("scheduler", "scheduler", [settings.scheduler_address, *more_schedulers]),
        *_numbered("order-server", "order_server", [settings.order_address, *more_order_servers]),
    )


def _numbered(kind: str, module: str, addresses: Sequence[str]) -> list[Program]:
    names = [kind, *(f"{kind}-{number}" for number in range(2, len(addresses) + 1))]
    return [Program(name, module, address) for name, address in zip(names, addresses, strict=True)]


def target_of(address: str, scheme: str = "grpc") -> NotifyUrl:
    """How a client on this machine dials what listens on `address`."""
    host, _, port = address.rpartition(":")
    local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "localhost": "127.0.0.1"}  # noqa: S104  # dialled, not bound
    return NotifyUrl(scheme, local.get(host, host).strip("[]"), int(port))


def environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with these settings on top: field names and values.

    What grpc's core tells of connections that come and go is in no log format of ours; calls tell what came of it.
    """
    settings = {f"{PREFIX}{name.upper()}": value for name, value in overrides.items()}
    return {"GRPC_VERBOSITY": "ERROR", **os.environ, **settings}


class DidNotServe(CannotRun):
    """A process did not come to serve. The message says whether it ended, and with which code."""


Sink = Callable[[str, str], None]
"""Takes a line that a process wrote: the process's name, the line without its end."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How children are started.

    environment: theirs, but for what each has of its own. output: the directory where each appends to NAME.log, or what
    takes their lines. on_end: told of every end, asked for or not, on a thread of its own. outgoing: what is shown
    to them when they are asked whether they serve; with a certificate in it, they serve TLS.
    """

    environment: Mapping[str, str]
    clock: Clock
    output: Path | Sink
    on_end: Callable[["Child"], None] | None = None
    outgoing: Outgoing = NOTHING


class Child:
    """One started process. Start it in a thread that lives as long as it shall: the main one."""

    def __init__(self, program: Program, launch: Launch) -> None:
        self.program = program
        self._launch = launch
        self._ended = threading.Event()
        self._process = self._start()
        self._threads = [self._run(self._await_end), self._run(self._hand_on_lines)]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, minus the signal's number if one killed it; None while it lives."""
        return self._process.returncode if self.has_ended else None

    def serves(self, within: float) -> bool:
        """Whether it says SERVING, after waiting for that at most `within` seconds."""
        request = health_pb2.HealthCheckRequest()
        outgoing = self._launch.outgoing
        target = target_of(self.program.address, "grpc" if outgoing.tls is None else "grpcs")
        with open_channel(target, _EAGER, outgoing) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its type leaves Watch out
            watch = stub.Watch(request, timeout=within, wait_for_ready=True)
            try:
                return any(told.status == health_pb2.HealthCheckResponse.SERVING for told in watch)
            except grpc.RpcError:
                return False

    def wait_serving(self, bound: float = START_BOUND) -> None:
        """Wait until it serves.

        Raises:
            DidNotServe: it ended, or did not serve within `bound` seconds.
        """
        clock = self._launch.clock
        gives_up = clock.monotonic() + bound
        while not self.serves(_LOOK_SECONDS):
            if self.has_ended:
                raise DidNotServe(f"{self.program.name} ended with code {self.exit_code}: {self._last_words()}")
            if clock.monotonic() > gives_up:
                raise DidNotServe(f"{self.program.name} did not serve on {self.program.address} within {bound:g} s")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no time for anything. Back when it is gone."""
        self.signal(signal.SIGKILL)
        self._ended.wait()
        self._join()

    def wait(self, bound: float) -> bool:
        """Whether it has ended, after waiting for that at most `bound` seconds."""
        return self._ended.wait(bound)

    def stop(self, bound: float = STOP_BOUND) -> int:
        """SIGTERM, and SIGKILL if it has not ended within `bound` seconds; gives back its exit code."""
        self.signal(signal.SIGTERM)
        if not self.wait(bound):
            self.kill()
        self._join()
        return int(self._process.returncode)

    def _start(self) -> subprocess.Popen[str]:
        # -P: a directory that happens to be called `core` where the user stands is not ours.
        command = [sys.executable, "-P", "-m", "core.child", str(os.getpid()), self.program.module]
        with _written_to(self._launch.output, self.program.name) as output:
            return subprocess.Popen(
                command,
                env={**self._launch.environment, **self.program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )

    def _run(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=f"{work.__name__} {self.program.name}", daemon=True)
        thread.start()
        return thread

    def _last_words(self) -> str:
        if not isinstance(self._launch.output, Path):
            return "it said why above"
        lines = _log_of(self._launch.output, self.program.name).read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it did not say why"

    def _join(self) -> None:
        """Wait until its last line was handed on and its end was told."""
        for thread in self._threads:
            thread.join()

    def _await_end(self) -> None:
        self._process.wait()
        self._ended.set()
        if self._launch.on_end is not None:
            self._launch.on_end(self)

    def _hand_on_lines(self) -> None:
        lines, sink = self._process.stdout, self._launch.output
        if lines is None or isinstance(sink, Path):
            return
        with lines:
            for line in lines:
                sink(self.program.name, line.rstrip("\n"))


class Fleet:
    """The processes of one system. A context: at its end they are stopped in order, and on an error killed."""

    def __init__(self, all_programs: Sequence[Program], launch: Launch) -> None:
        self._programs = {program.name: program for program in all_programs}
        self._launch = launch
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self.children:
            if error is None:
                child.stop()
            else:
                child.kill()

    def __getitem__(self, name: str) -> Child:
        """The process that was started last under this name."""
        return self._children[name]

    @property
    def children(self) -> Sequence[Child]:
        """Every process that was started and not replaced, in the order of stopping."""
        return [self._children[name] for name in self._programs if name in self._children]

    def start(self, *names: str) -> None:
        """Start these, or all; does not wait for them. A process that still runs is not replaced."""
        for name in names or self._programs:
            if name not in self._children or self._children[name].has_ended:
                self._children[name] = Child(self._programs[name], self._launch)

    def wait_serving(self) -> None:
        """Wait until all that were started serve.

        Raises:
            DidNotServe: one of them did not.
        """
        for child in self.children:
            child.wait_serving()


@contextmanager
def _written_to(output: Path | Sink, name: str) -> Iterator[IO[str] | int]:
    """What a child writes to: its log, of which it gets a handle of its own, or a pipe."""
    if not isinstance(output, Path):
        yield subprocess.PIPE
        return
    with _log_of(output, name).open("a") as log:
        yield log


def _log_of(directory: Path, name: str) -> Path:
    return directory / f"{name}.log"
