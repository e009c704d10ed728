import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.__main__ import build

COMMANDS = ["up", "demo", "migrate", "payment-server", "order-server", "scheduler", "reconcile", "notify"]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def test_help_lists_every_command(runner: CliRunner) -> None:
    told = runner.invoke(build(), ["--help"]).output
    assert [
        line.split()[1] for line in told.splitlines() if line.startswith("│ ") and line.split()[1] in COMMANDS
    ] == COMMANDS


@pytest.mark.parametrize(
    ("command", "option"), [("reconcile", "--repair"), ("notify", "retry"), ("demo", "--kill"), ("up", "--directory")]
)
def test_each_command_tells_its_own_options(runner: CliRunner, command: str, option: str) -> None:
    answered = runner.invoke(build(), [command, "--help"])
    assert answered.exit_code == 0
    assert option in answered.output


def test_help_loads_nothing_that_only_a_command_needs() -> None:
    program = (
        "import sys, cli.__main__ as cli; cli.build(); print(sorted({'grpc', 'peewee', 'pydantic'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout == "[]\n"


def test_a_bad_setting_is_told_in_one_line(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_NOTIFY_LEASE", "1s")
    for command in ("up", "migrate"):
        answered = runner.invoke(build(), [command])
        assert answered.exit_code == 2
        (line,) = answered.stderr.splitlines()
        assert line.startswith("paylatch: PAYLATCH_NOTIFY_LEASE is 0:00:01")


def test_a_victim_that_is_none_of_the_processes_is_refused(runner: CliRunner) -> None:
    answered = runner.invoke(build(), ["demo", "--kill", "everybody"])
    assert answered.exit_code == 2
    assert "payment-server" in answered.output
