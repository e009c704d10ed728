"""One server as several processes on the same ports. Owns starting them, again if one dies, and stopping all.

Python runs one thread at a time, so a second core needs a second process. They are spawned, never forked, and share
their ports by SO_REUSEPORT: the kernel gives each new connection to one of them. Nothing else is shared.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from queue import SimpleQueue

from core.clock import Clock
from core.logs import Logger
from core.process import BAD_SETTING, COULD_NOT_SERVE, Serve
from core.rpc.lifecycle import StopRequests, StopStep, run_until_signal
from core.rpc.server import CannotListen
from core.settings import Settings

START_PAUSE = timedelta(seconds=1)
"""Between the death of a process and the start of the next: one that can't live must not keep a core busy."""

_SLACK_SECONDS = 15.0  # for what a worker does after its own bound, and for Python to end


def by_workers(module: str, address_settings: Sequence[str], serve: Serve) -> Serve:
    """`serve` in this process, or `python -m module` in as many as the settings ask for.

    address_settings: the fields of the settings that say where all of them listen; one that is not set is passed over.
    """

    def serve_all(settings: Settings, clock: Clock, log: Logger) -> int:
        if settings.server_processes == 1:
            return serve(settings, clock, log)
        with ExitStack() as held:
            ports = {
                name: held.enter_context(reserved_port(address))
                for name in address_settings
                if (address := getattr(settings, name)) is not None
            }
            requests = StopRequests()
            workers = Workers(module, settings.server_processes, _environment(ports), log, requests.ask)
            bound = 2 * settings.stop_bound.total_seconds() + _SLACK_SECONDS
            step = StopStep("workers", bound, lambda: workers.stop(bound))
            return run_until_signal(log, [step], requests, start=workers.start)

    return serve_all


def reserved_port(address: str) -> socket.socket:
    """A socket that holds `address` for processes that share it, and for nobody else; it listens to nothing itself.

    Raises:
        CannotListen: somebody listens there, shared or not, or it is no address of this machine.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as alone:
            # Without SO_REUSEPORT, so that it is refused where others share the port already.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(place)
            place = alone.getsockname()
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(place)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}") from error
    return held


def _environment(ports: Mapping[str, socket.socket]) -> Mapping[str, str]:
    """What a worker is told beside the settings of this process."""
    return os.environ | {
        "PAYLATCH_SERVER_PROCESSES": "1",
        "PAYLATCH_SERVER_SHARES_PORT": "true",
        **{f"PAYLATCH_{name.upper()}": _address_of(held) for name, held in ports.items()},
    }


def _address_of(held: socket.socket) -> str:
    host, port = held.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Workers:
    """The processes. ask_stop: told, with an exit code, when one of them says that it cannot serve."""

    def __init__(
        self,
        module: str,
        count: int,
        environment: Mapping[str, str],
        log: Logger,
        ask_stop: Callable[[str, int], None],
    ) -> None:
        self._command = [sys.executable, "-P", "-m", "core.child", str(os.getpid()), module]
        self._count = count
        self._environment = environment
        self._log = log
        self._ask_stop = ask_stop
        self._stopping = threading.Event()
        self._ended: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        self._running: dict[subprocess.Popen[bytes], int] = {}
        # A worker dies with the thread that started it (core.child): this one lives as long as the process.
        self._keeper = threading.Thread(target=self._keep, name="workers", daemon=True)

    def start(self) -> None:
        """Start them all; each says by itself when it serves."""
        self._keeper.start()

    def stop(self, bound: float) -> bool:
        """Tell all to stop in order; whether they have ended within `bound` seconds."""
        self._stopping.set()
        self._ended.put(None)
        self._keeper.join(bound)
        return not self._keeper.is_alive()

    def _keep(self) -> None:
        """Keep `count` of them running until told to stop, and end when the last has ended."""
        for number in range(self._count):
            self._start_one(number)
        while ended := self._ended.get():
            self._replace(ended, self._running.pop(ended))
        for worker in self._running:
            worker.send_signal(signal.SIGTERM)
        for worker in self._running:
            worker.wait()

    def _replace(self, ended: "subprocess.Popen[bytes]", number: int) -> None:
        if self._stopping.is_set():
            return
        self._log.warning("process.worker_ended", pid=ended.pid, exit_code=ended.returncode)
        if ended.returncode in {COULD_NOT_SERVE, BAD_SETTING}:
            self._ask_stop("a worker cannot serve", ended.returncode)
        elif not self._stopping.wait(START_PAUSE.total_seconds()):
            self._start_one(number)

    def _start_one(self, number: int) -> None:
        environment = {**self._environment, "PAYLATCH_SERVER_PROCESS_NUMBER": str(number)}
        # A group of its own: Ctrl-C reaches this process only, which stops them in order.
        worker = subprocess.Popen(self._command, env=environment, process_group=0)
        self._running[worker] = number
        threading.Thread(target=self._await_end, args=(worker,), name=f"worker {worker.pid}", daemon=True).start()

    def _await_end(self, worker: "subprocess.Popen[bytes]") -> None:
        worker.wait()
        self._ended.put(worker)
