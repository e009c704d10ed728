"""A secret that a setting or file holds is never told: in no error, log, process list or help."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.ports import free_addresses
from cli.processes import environment
from tests.support.pki import Pki
from tests.support.processes import IMPATIENT, System, eventually, processes_of, run_module

CANARY = "canary-4711"
AWAY = "127.0.0.1:1"

SETTINGS = {
    "a database that is away": {"payment_database_url": f"postgresql://app:{CANARY}@{AWAY}/payment"},
    "one of MySQL": {"payment_database_url": f"mysql://app:{CANARY}@{AWAY}/payment"},
    "a database of no kind": {"payment_database_url": f"oracle://app:{CANARY}@{AWAY}/payment"},
    "a URL that is none": {"payment_database_url": f"postgresql//app:{CANARY}@{AWAY}"},
    "a password with an @": {"payment_database_url": f"postgresql://app:a@{CANARY}@{AWAY}/payment"},
    "a target with a password": {"notify_targets": f"grpc://app:{CANARY}@{AWAY}"},
    "one after a good one": {"notify_targets": f"grpc://{AWAY},grpc://app:{CANARY}@{AWAY}"},
    "an address with a password": {"payment_address": f"app:{CANARY}@{AWAY}"},
}


@pytest.mark.parametrize("wrong", SETTINGS)
def test_a_process_that_refuses_to_start_does_not_tell(wrong: str) -> None:
    ended = run_module("payment_server", settings=SETTINGS[wrong])

    assert ended.returncode in {1, 2}
    assert ended.stderr
    assert CANARY not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("file", "setting"), [("server.key", "TLS_KEY"), ("policy.toml", "POLICY_FILE"), ("own.token", "TOKEN_FILE")]
)
def test_a_file_that_is_no_good_is_not_quoted(tmp_path: Path, file: str, setting: str) -> None:
    pki = Pki(tmp_path / "pki")
    pki.file("policy.toml").write_text("")
    pki.file("own.token").write_text("good")
    pki.file(file).write_text(f"{CANARY} is {CANARY}")
    settings = {**pki.settings, "policy_file": str(pki.file("policy.toml")), "token_file": str(pki.file("own.token"))}
    ended = run_module("order_server", settings=settings)

    assert ended.returncode == 2
    assert (
        f"PAYLATCH_{'TLS_KEY' if 'key' in file else 'POLICY_FILE' if 'policy' in file else 'TOKEN_FILE'}"
        in ended.stderr
    )
    assert CANARY not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [["--help"], ["up", "--help"], ["notify", "--help"], ["reconcile", "--help"]])
def test_help_does_not_tell_settings(command: list[str]) -> None:
    told = run_module("cli", *command, settings=SETTINGS["a database that is away"])

    assert told.returncode == 0
    assert CANARY not in told.stdout + told.stderr


def test_a_command_given_an_address_with_a_password_does_not_repeat_it() -> None:
    told = run_module("cli", "notify", "list", "--payment-address", f"grpc://app:{CANARY}@{AWAY}")

    assert told.returncode == 2
    assert CANARY not in told.stdout + told.stderr


def test_process_lists_and_logs_tell_nothing_whatever_the_number_of_processes(tmp_path: Path) -> None:
    database = tmp_path / CANARY / "payment.db"
    database.parent.mkdir()
    with System(tmp_path, {**IMPATIENT, "server_processes": "2"}, payment_url=f"sqlite:///{database}") as system:
        system.start()
        servers = ("payment-server", "order-server")
        eventually(lambda: all(len(system.lines.events(name, "process.serving")) == 2 for name in servers))

        # Two servers of three processes each, and the scheduler.
        assert_no_process_tells(tmp_path, 7)
        assert not any(CANARY in line for name in system.addresses for line in system.lines.of(name))


def test_neither_does_up_nor_what_it_starts(tmp_path: Path) -> None:
    addresses = dict(zip(("payment_address", "order_address", "scheduler_address"), free_addresses(3), strict=True))
    settings = {**addresses, "trace_file": str(tmp_path / CANARY)}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "up", "--directory", str(tmp_path / "data")],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as up:
        assert up.stdout is not None
        try:
            assert any(line.startswith("Ctrl-C") for line in up.stdout)
            assert_no_process_tells(tmp_path, 4)
        finally:
            up.kill()


def assert_no_process_tells(directory: Path, count: int) -> None:
    """There are `count` processes whose environment names `directory`, and with it the canary; no command line does."""
    found = processes_of(directory)
    assert len(found) == count
    for pid in found:
        assert CANARY.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        assert CANARY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
