"""The three processes under the certificates and the policy that `paylatch certs` writes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.ports import free_addresses
from tests.support.processes import IMPATIENT, System, eventually, run_module
from tests.support.shop import Shop, numbers


def environment_of(directory: Path, name: str) -> dict[str, str]:
    """The settings of a .env file that was written without a blank in any path."""
    lines = (directory / f"{name}.env").read_text().splitlines()
    pairs = (line.removeprefix("PAYLATCH_").split("=", 1) for line in lines)
    return {setting.lower(): value for setting, value in pairs if setting != "NOTIFY_TARGETS"}


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    made = run_module("cli", "certs", str(directory))
    assert made.returncode == 0, made.stderr
    return directory


@pytest.fixture
def system(tmp_path: Path, certs: Path) -> Iterator[System]:
    operator_address, token_address = free_addresses(2)
    settings = {
        **IMPATIENT,
        **environment_of(certs, "operator"),
        "operator_address": operator_address,
        "payment_token_address": token_address,
    }
    with System(tmp_path, settings) as system:
        for name in system.addresses:
            system.launch(name, **environment_of(certs, name))
        for name in system.addresses:
            system[name].wait_serving()
        yield system


@contextmanager
def acting_as(certs: Path, name: str, monkeypatch: pytest.MonkeyPatch, system: System) -> Iterator[Shop]:
    """A customer who shows this certificate."""
    for setting, value in environment_of(certs, name).items():
        monkeypatch.setenv(f"PAYLATCH_{setting.upper()}", value)
    with Shop(system.settings) as shop:
        yield shop


def _command(system: System, certs: Path, name: str, *arguments: str) -> tuple[int, str]:
    settings: Mapping[str, str] = {**system.overrides, **environment_of(certs, name)}
    ran = run_module("cli", *arguments, settings=settings)
    return ran.returncode, ran.stdout + ran.stderr


def test_payments_are_delivered_and_each_may_do_only_what_is_granted(
    system: System, certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = numbers(3)
    with acting_as(certs, "shop", monkeypatch, system) as shop:
        shop.create_orders(orders)
        shop.create_payments(orders)
        shop.report(orders)
        eventually(lambda: shop.are_notified(orders))

    code, told = _command(system, certs, "operator", "notify", "list", "--json")
    assert code == 0, told
    assert len(json.loads(told)["schedules"]) == len(orders)
    code, told = _command(system, certs, "operator", "reconcile", "--grace", "0s")
    assert code == 0, told

    code, told = _command(system, certs, "shop", "notify", "list")
    assert code == 2
    assert "PERMISSION_DENIED: NOT_GRANTED" in told
    assert system.lines.errors() == []


def test_the_scheduler_delivers_over_tls_too(system: System, certs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = numbers(2)
    with acting_as(certs, "shop", monkeypatch, system) as shop:
        shop.create_orders(orders)
        shop.create_payments(orders)
        system["order-server"].kill()
        shop.report(orders)
        system.start("order-server", **environment_of(certs, "order-server"))
        eventually(lambda: shop.are_notified(orders))
