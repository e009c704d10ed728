"""A server as several processes on one port."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.process import COULD_NOT_SERVE
from tests.support.children import connections_at, workers_of
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
    address = system.settings.order_address
    host, _, port = address.rpartition(":")
    with ExitStack() as connections:
        for _ in range(CONNECTIONS):
            connections.enter_context(socket.create_connection((host, int(port)), BOUND))

        workers = workers_of(system[NAME])
        assert len(workers) == PROCESSES
        eventually(lambda: sum(connections_at(address, pid) for pid in workers) >= CONNECTIONS)
        assert all(connections_at(address, pid) for pid in workers)


def test_a_process_that_is_killed_is_started_again(system: System) -> None:
    before = workers_of(system[NAME])
    os.kill(before[0], signal.SIGKILL)

    assert system.lines.wait_for(NAME, WORKER_ENDED)["pid"] == before[0]
    eventually(lambda: len(system.lines.events(NAME, SERVING)) == PROCESSES + 1)
    after = workers_of(system[NAME])
    assert len(after) == PROCESSES
    assert before[1] in after


def test_told_to_stop_all_end_in_order(system: System) -> None:
    workers = workers_of(system[NAME])
    assert system[NAME].stop() == 0

    assert len(system.lines.events(NAME, "process.stopped")) == PROCESSES + 1
    assert not any(_is_there(pid) for pid in workers)


def test_killed_it_takes_all_of_them_along(system: System) -> None:
    workers = workers_of(system[NAME])
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


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
