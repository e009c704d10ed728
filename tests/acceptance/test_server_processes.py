"""A server as several processes on one port."""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.process import COULD_NOT_SERVE
from tests.support.processes import BOUND, IMPATIENT, System, eventually, run_module

PROCESSES = 2
CONNECTIONS = 40
"""So many that the kernel gives them all to one of two listeners once in a million million runs."""

SERVING, WORKER_ENDED = "process.serving", "process.worker_ended"
NAME = "order-server"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, {**IMPATIENT, "server_processes": str(PROCESSES)}) as system:
        system.start(NAME)
        eventually(lambda: len(system.lines.events(NAME, SERVING)) == PROCESSES)
        yield system


def test_connections_are_spread_over_the_processes(system: System) -> None:
    host, _, port = system.settings.order_address.rpartition(":")
    with ExitStack() as connections:
        for _ in range(CONNECTIONS):
            connections.enter_context(socket.create_connection((host, int(port)), BOUND))

        workers = _workers(system)
        assert len(workers) == PROCESSES
        eventually(lambda: sum(_connections(pid, port) for pid in workers) >= CONNECTIONS)
        assert all(_connections(pid, port) for pid in workers)


def test_a_process_that_is_killed_is_started_again(system: System) -> None:
    before = _workers(system)
    os.kill(before[0], signal.SIGKILL)

    assert system.lines.wait_for(NAME, WORKER_ENDED)["pid"] == before[0]
    eventually(lambda: len(system.lines.events(NAME, SERVING)) == PROCESSES + 1)
    after = _workers(system)
    assert len(after) == PROCESSES
    assert before[1] in after


def test_told_to_stop_all_end_in_order(system: System) -> None:
    workers = _workers(system)
    assert system[NAME].stop() == 0

    assert len(system.lines.events(NAME, "process.stopped")) == PROCESSES + 1
    assert not any(_is_there(pid) for pid in workers)


def test_killed_it_takes_all_of_them_along(system: System) -> None:
    workers = _workers(system)
    system[NAME].kill()

    eventually(lambda: not any(_is_there(pid) for pid in workers))


@pytest.mark.parametrize("processes", [1, PROCESSES])
def test_the_port_is_shared_with_nobody_else(system: System, processes: int) -> None:
    refused = run_module(
        "order_server", settings={**system.overrides, "server_processes": str(processes)}, bound=2 * BOUND
    )

    assert refused.returncode == COULD_NOT_SERVE
    assert system.settings.order_address in refused.stderr


def test_processes_that_cannot_serve_end_the_whole(tmp_path: Path) -> None:
    settings = {"server_processes": str(PROCESSES), "order_database_url": f"sqlite:///{tmp_path / 'empty.db'}"}
    ended = run_module("order_server", settings={**settings, "order_address": "127.0.0.1:0"}, bound=2 * BOUND)

    assert ended.returncode == COULD_NOT_SERVE
    assert "paylatch migrate" in ended.stderr


def _workers(system: System) -> Sequence[int]:
    tasks = Path(f"/proc/{system[NAME].pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _connections(pid: int, port: str) -> int:
    """How many sockets of a process are connected at this port of its own."""
    tables = [Path(f"/proc/net/{family}").read_text() for family in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table.splitlines()]
    own = f":{int(port):04X}"
    established = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(own) and line[3] == "01"}
    return len(established & {_opened(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()})


def _opened(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # closed meanwhile
        return ""


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
