"""`paylatch health` tells of each process what it says of itself, and the shell whether all is well."""

import json

import pytest
from typer.testing import CliRunner

from cli.__main__ import build
from cli.ports import free_addresses
from tests.support.sides import Sides


@pytest.fixture
def runner(sides: Sides) -> CliRunner:
    (nobody,) = free_addresses(1)
    return CliRunner(
        env={
            "PAYLATCH_PAYMENT_ADDRESS": sides.payment_address,
            "PAYLATCH_ORDER_ADDRESS": sides.order_address,
            "PAYLATCH_SCHEDULER_ADDRESS": nobody,
        }
    )


def test_processes_that_serve_are_exit_code_0(runner: CliRunner) -> None:
    told = runner.invoke(build(), ["health", "payment-server", "order-server"])
    assert told.exit_code == 0
    assert [line.split()[2] for line in told.stdout.splitlines() if "-server" in line] == ["SERVING", "SERVING"]


def test_a_process_that_does_not_answer_is_told_beside_the_others_and_is_exit_code_1(runner: CliRunner) -> None:
    told = runner.invoke(build(), ["health", "--json"])
    assert told.exit_code == 1
    health = {one["process"]: one["health"] for one in json.loads(told.stdout)["processes"]}
    assert health == {
        "payment-server": "SERVING",
        "order-server": "SERVING",
        "scheduler": "no answer: UNAVAILABLE",
    }


def test_a_process_that_there_is_none_of_is_refused(runner: CliRunner) -> None:
    assert runner.invoke(build(), ["health", "everybody"]).exit_code == 2
