import socket
from pathlib import Path

import pytest

from cli.ports import free_addresses
from cli.processes import environment, programs, target_of
from core.settings import Settings


def test_free_addresses_are_different_and_can_be_listened_on() -> None:
    addresses = free_addresses(3)
    assert len(set(addresses)) == 3
    for address in addresses:
        host, _, port = address.partition(":")
        with socket.socket() as listener:
            listener.bind((host, int(port)))


def test_no_free_address_is_one_that_outgoing_connections_are_given() -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(int(address.partition(":")[2]) < first_ephemeral for address in free_addresses(50))


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("127.0.0.1:50051", "grpc://127.0.0.1:50051"),
        ("localhost:50051", "grpc://127.0.0.1:50051"),
        ("0.0.0.0:50051", "grpc://127.0.0.1:50051"),
        ("[::]:50051", "grpc://[::1]:50051"),
        ("[::1]:50051", "grpc://[::1]:50051"),
    ],
)
def test_a_listening_address_is_dialled_on_this_machine(address: str, target: str) -> None:
    assert str(target_of(address)) == target


def test_the_payment_server_is_stopped_first_and_whom_it_calls_last() -> None:
    assert [program.name for program in programs(Settings())] == ["payment-server", "scheduler", "order-server"]


def test_further_processes_of_a_kind_are_numbered_and_each_is_told_its_own_address() -> None:
    started = programs(Settings(), ["127.0.0.1:1"], ["127.0.0.1:2", "127.0.0.1:3"])

    assert [(program.name, program.environment) for program in started] == [
        ("payment-server", {"PAYLATCH_PAYMENT_ADDRESS": "127.0.0.1:50051"}),
        ("scheduler", {"PAYLATCH_SCHEDULER_ADDRESS": "127.0.0.1:50053"}),
        ("scheduler-2", {"PAYLATCH_SCHEDULER_ADDRESS": "127.0.0.1:1"}),
        ("order-server", {"PAYLATCH_ORDER_ADDRESS": "127.0.0.1:50052"}),
        ("order-server-2", {"PAYLATCH_ORDER_ADDRESS": "127.0.0.1:2"}),
        ("order-server-3", {"PAYLATCH_ORDER_ADDRESS": "127.0.0.1:3"}),
    ]


def test_children_get_this_environment_and_the_settings_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_LOG_FORMAT", "text")
    monkeypatch.setenv("PAYLATCH_LOG_LEVEL", "debug")
    made = environment({"log_format": "json"})
    assert (made["PAYLATCH_LOG_FORMAT"], made["PAYLATCH_LOG_LEVEL"]) == ("json", "debug")
