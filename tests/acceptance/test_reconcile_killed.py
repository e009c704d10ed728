"""`paylatch reconcile --repair` killed again and again after a restore: in the end everything is healed, once each."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.processes import environment
from paylatch.order.v1.order_enums_pb2 import ORDER_STATUS_PAID
from tests.support.backup import Backup
from tests.support.clock import TestClock
from tests.support.databases import opened, run_sql
from tests.support.processes import BOUND, System, eventually, run_module
from tests.support.shop import Shop, numbers

ORDERS = numbers(1_200)
"""More than two pages of them."""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_repair_that_is_killed_and_run_again_heals_each_lost_payment_once(
    system: System, shop: Shop, tmp_path: Path
) -> None:
    _lose_all_that_was_delivered(system, shop)
    command = ["reconcile", "--grace", "0s", "--repair", "--json", "--resume", str(tmp_path / "progress")]
    with _started(system, command, subprocess.PIPE) as in_the_first_page:
        assert in_the_first_page.stdout is not None
        assert in_the_first_page.stdout.readline()
        _kill(in_the_first_page)
    assert not (tmp_path / "progress").exists()
    with _started(system, command, subprocess.DEVNULL) as after_the_first_page:
        eventually((tmp_path / "progress").exists)
        _kill(after_the_first_page)
    last = run_module("cli", *command, settings=system.overrides)
    assert last.returncode == 1
    assert not (tmp_path / "progress").exists()
    assert json.loads(last.stdout.splitlines()[-1])["counts"]["payments"] == len(ORDERS)

    eventually(lambda: shop.are_notified(ORDERS))
    healed = run_module("cli", *command, settings=system.overrides)
    assert healed.returncode == 0
    assert json.loads(healed.stdout)["counts"]["delivered"] == len(ORDERS)
    for order_no in ORDERS:
        assert shop.order(order_no).order_status == ORDER_STATUS_PAID
        assert len(shop.status_changes(order_no)) == 2
    assert _reopened(system) == (len(ORDERS), len(ORDERS))


def _lose_all_that_was_delivered(system: System, shop: Shop) -> None:
    """Set the order database back to before any payment was reported."""
    system.start()
    shop.create_orders(ORDERS)
    shop.create_payments(ORDERS)
    system["order-server"].kill()
    backup = Backup(system.overrides["order_database_url"])
    system.start("order-server")
    shop.report(ORDERS)
    eventually(lambda: shop.are_notified(ORDERS))
    system["order-server"].kill()
    backup.restore()
    system.start("order-server")


def _started(system: System, command: list[str], stdout: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", *command],
        env=environment(system.overrides),
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _kill(child: "subprocess.Popen[str]") -> None:
    """While it runs."""
    child.kill()
    assert child.wait(BOUND) == -signal.SIGKILL


def _reopened(system: System) -> tuple[int, int]:
    """How many reopenings were written down, and of how many payments."""
    counts = "SELECT COUNT(*), COUNT(DISTINCT payment_code) FROM operator_action WHERE action = 'reopen'"
    with opened(system.overrides["payment_database_url"], TestClock()) as database:
        ((all_of_them, payments),) = run_sql(database, counts)
    return all_of_them, payments
