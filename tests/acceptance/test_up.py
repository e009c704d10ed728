"""`paylatch up`: three processes in the foreground that come and go together."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.ports import free_addresses
from cli.processes import environment
from core.settings import Settings, load_settings
from paylatch.order.v1.order_enums_pb2 import ORDER_STATUS_PAID
from tests.support.processes import BOUND, eventually, processes_of
from tests.support.shop import Shop

IN_ORDER = ["payment-server", "scheduler", "order-server"]


@dataclass(frozen=True)
class Up:
    """A running `paylatch up`, everything of it in one directory."""

    process: "subprocess.Popen[str]"
    directory: Path
    settings: Settings

    def greeting(self) -> str:
        """What it says when all three serve."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        return "".join(lines)

    def errors(self) -> str:
        """What it and its processes wrote on standard error."""
        return (self.directory / "stderr").read_text()

    def child(self, module: str) -> int:
        """The id of one of its processes."""
        (found,) = (pid for pid in processes_of(self.directory) if module in _command_line(pid))
        return found


StartUp = Callable[[], Up]


@pytest.fixture
def addresses() -> dict[str, str]:
    names = ("payment_address", "order_address", "scheduler_address")
    return dict(zip(names, free_addresses(len(names)), strict=True))


@pytest.fixture
def start_up(addresses: dict[str, str], tmp_path: Path) -> Iterator[StartUp]:
    """Start `paylatch up` in the test's directory."""
    with ExitStack() as running:

        def start() -> Up:
            with (tmp_path / "stderr").open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "cli", "up", "--directory", str(tmp_path / "data")],
                    env={**environment(addresses), "OF_TEST": str(tmp_path)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            running.enter_context(process)
            running.callback(process.kill)
            target = f"grpc://{addresses['order_address']}"
            return Up(process, tmp_path, load_settings(**addresses, notify_targets=target))

        yield start


@pytest.fixture
def up(start_up: StartUp) -> Up:
    return start_up()


def test_up_serves_says_how_to_be_called_and_stops_in_order_on_ctrl_c(up: Up) -> None:
    greeting = up.greeting()
    for address in (up.settings.payment_address, up.settings.order_address, up.settings.scheduler_address):
        assert address in greeting
    methods = re.findall(r"grpcurl -plaintext -d '.*' \S+ paylatch\.\S+/(\w+)", greeting)
    assert methods == ["CreateOrder", "CreatePayment", "ReportPaymentResult", "GetOrder"]
    with Shop(up.settings) as shop:
        shop.create_orders(["A-1"])
        shop.create_payments(["A-1"])
        shop.report(["A-1"])
        eventually(lambda: shop.order("A-1").order_status == ORDER_STATUS_PAID)

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(BOUND) == 0
    stopped = re.findall(r"^(\S+) +\| .*process\.stopped", up.errors(), re.MULTILINE)
    assert stopped == IN_ORDER
    assert processes_of(up.directory) == []
    assert {path.name for path in (up.directory / "data").iterdir()} >= {"payment.db", "order.db"}


def test_when_one_process_dies_up_says_so_and_stops_the_others(up: Up) -> None:
    up.greeting()

    os.kill(up.child("order_server"), signal.SIGKILL)

    assert up.process.wait(BOUND) == 1
    assert "process.died" in up.errors()
    assert "name=order-server" in up.errors()
    assert processes_of(up.directory) == []


def test_no_process_outlives_up_even_when_it_is_killed(up: Up) -> None:
    up.greeting()
    assert len(processes_of(up.directory)) == len(IN_ORDER) + 1

    up.process.kill()
    up.process.wait(BOUND)

    eventually(lambda: not processes_of(up.directory))


def test_up_on_a_port_that_is_taken_says_so_and_leaves_nothing_behind(
    addresses: dict[str, str], start_up: StartUp, tmp_path: Path
) -> None:
    host, _, port = addresses["payment_address"].partition(":")
    with socket.create_server((host, int(port))):
        up = start_up()
        assert up.process.wait(BOUND) == 1
    assert f"payment-server | payment-server: cannot listen on {host}:{port}" in up.errors()
    assert processes_of(tmp_path) == []


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
