"""`paylatch top` against both servers: one frame for a pipe, and a live view on a terminal."""

import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.processes import environment
from cli.top import top_command
from tests.integration.cli.both_servers import BothServers
from tests.support.clock import TestClock


def _once(both: BothServers, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(top_command)
    return CliRunner().invoke(app, ["--once", *both.addresses, *arguments], env={"COLUMNS": "200"})


def test_one_frame_shows_the_backlog_and_what_needs_a_person(both: BothServers, clock: TestClock) -> None:
    both.settle("PAID")
    both.settle("OTHER-AMOUNT", amount=1_000, paid=999)
    both.create("WAITING")
    both.report("WAITING")
    clock.advance(timedelta(minutes=3))
    told = _once(both)

    assert told.exit_code == 0
    lines = [line.split() for line in told.stdout.splitlines()]
    assert [f"grpc://{both.order_address}", "1", "1", "0:03:00", "0", "closed"] in lines
    assert ["payment", "exceptions", "1", "paylatch", "exceptions", "list"] in lines
    assert "q leaves" not in told.stdout


def test_a_server_that_is_not_there_is_told_in_one_line(both: BothServers) -> None:
    both.stop_order_server()
    told = _once(both)

    assert told.exit_code == 2
    assert told.stderr.startswith("paylatch: the order server at ")
    assert told.stdout == ""


def test_an_interval_that_is_too_short_is_refused(both: BothServers) -> None:
    told = _once(both, "--interval", "10ms")

    assert told.exit_code == 2
    assert "at least 100ms" in told.stderr


@pytest.mark.any_backend
def test_on_a_terminal_it_goes_on_until_q_is_pressed_and_leaves_the_terminal_as_it_was(both: BothServers) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "cli", "top", "--interval", "200ms", *both.addresses]
    process = subprocess.Popen(
        command, env=environment({}) | {"TERM": "xterm", "COLUMNS": "150"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, "q leaves") + _read_until(ours, "q leaves")
        os.write(ours, b"q")
        shown += _read_until(ours, "\x1b[?1049l")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "q leaves" in shown
    assert f"grpc://{both.order_address}" in shown


def _read_until(terminal: int, text: str) -> str:
    """What comes, until `text` is in it; the test's own bound ends a wait for what never comes."""
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 65_536).decode(errors="replace")
    return shown
