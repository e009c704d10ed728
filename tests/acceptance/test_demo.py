"""The demonstration, with each process killed: the job of the product from start to end."""

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest

from cli.processes import environment
from core.clock import SystemClock
from tests.support.databases import SERVERS, Backend, opened, run_sql
from tests.support.processes import BOUND, IMPATIENT, processes_of, run_module

DEMO = [sys.executable, "-P", "-m", "cli", "demo"]
ORDERS = 180
AMOUNTS = ["29.33", "0.00", "14.9", "7", "1234.56", "0"]
"""Repeated; the zeros are refused."""

DEMO_BOUND = 120.0


@pytest.fixture
def orders_file(tmp_path: Path) -> Path:
    """Of every six orders four are payable."""
    rows = [
        f"REAL-{number:05d},00004,1997-01-{number % 28 + 1:02d},{number % 4 + 1},{AMOUNTS[number % len(AMOUNTS)]}"
        for number in range(ORDERS)
    ]
    file = tmp_path / "orders.csv"
    file.write_text("\n".join(["order_no,customer_id,order_date,quantity,amount_usd", *rows]) + "\n")
    return file


@pytest.mark.timeout(DEMO_BOUND + BOUND)
@pytest.mark.parametrize("victim", ["order-server", "scheduler", "payment-server"])
def test_every_payable_order_is_paid_exactly_once_whichever_process_is_killed(
    victim: str, orders_file: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    told = _demo("--orders", str(orders_file), "--kill", victim, "--directory", str(place))

    assert f"{victim} killed (SIGKILL) right after report 60 was answered" in told
    assert "each of them has reached its order" in told
    assert "Clean: 120 payments, all delivered; nothing lost, nothing twice; sums equal: USD 38,573.70." in told
    assert "USD 38,573.70 ordered, USD 38,573.70 settled, USD 38,573.70 in paid orders" in told
    assert "PASSED: 120 of 180 orders payable, every one paid exactly once, 60 refused" in told
    assert len(re.findall(r"REAL-\d+ .* INVALID_ARGUMENT: INVALID_FIELDS: amount_minor: is 0, must be 1", told)) == 60
    assert {path.name for path in place.iterdir()} >= {"payment.db", "order.db", f"{victim}.log"}
    assert processes_of(place) == []


@pytest.mark.timeout(DEMO_BOUND + BOUND)
def test_without_a_file_it_makes_orders_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told = _demo("--count", "40", "--kill", "none", temporary=tmp_path)
    assert "PASSED: 40 of 40 orders payable" in told
    assert re.search(r"vouchers issued +\d of \d +yes", told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(DEMO_BOUND + BOUND)
@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_it_passes_on_database_servers_by_naming_them_with_several_order_servers_and_schedulers(
    backend: Backend, tmp_path: Path
) -> None:
    urls = {"payment_database_url": backend.fresh(), "order_database_url": backend.fresh()}
    place = tmp_path / "place"
    several = ("--order-servers", "2", "--schedulers", "2", "--directory", str(place))
    told = _demo("--count", "100", *several, settings=urls)

    assert "starting payment-server, scheduler, scheduler-2, order-server, order-server-2\n" in told
    assert "order-server killed (SIGKILL) right after report 50 was answered" in told
    assert "PASSED: 100 of 100 orders payable, every one paid exactly once" in told
    assert sorted(path.suffix for path in place.iterdir()) == [".log"] * 5
    with opened(urls["payment_database_url"], SystemClock()) as database:
        spread = run_sql(database, "SELECT COUNT(*) FROM payment GROUP BY notify_url")
    assert sum(number for (number,) in spread) == 100
    assert len(spread) == 2
    for url in urls.values():
        backend.take_back(url)


@pytest.mark.parametrize("side", ["payment", "order"])
def test_a_database_that_holds_rows_is_refused_and_left_as_it_is(side: str, tmp_path: Path) -> None:
    file = tmp_path / "precious.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript("CREATE TABLE ledger (entry TEXT); INSERT INTO ledger VALUES ('kept')")
    ended = run_module("cli", "demo", settings={f"{side}_database_url": f"sqlite:///{file}"})

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"paylatch: PAYLATCH_{side.upper()}_DATABASE_URL is 'sqlite:///{file}', which has rows in ledger: "
        "the demonstration needs a database without any, and leaves this one as it is\n"
    )
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("ledger",)]
        assert database.execute("SELECT entry FROM ledger").fetchall() == [("kept",)]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_interrupted_it_ends_its_processes_and_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--count", "20000"],
        env=_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("Orders created:") for line in process.stdout)
        process.send_signal(number)
        process.communicate(timeout=BOUND)

    assert process.returncode == 128 + number
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_orders_that_cannot_be_read_exactly_are_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order_no,customer_id,order_date,quantity,amount_usd\nA-1,1,1997-01-01,1,12.345\n")
    ended = run_module("cli", "demo", "--orders", str(file))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"paylatch: {file} line 2 has amount_usd '12.345': must be dollars with at most two decimals, such as 29.33\n"
    )


def _demo(*arguments: str, temporary: Path | None = None, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a demonstration that passes says, wide enough that no line is broken."""
    ended = subprocess.run(
        [*DEMO, *arguments],
        env=_environment(temporary, settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_BOUND,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _environment(temporary: Path | None, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    place = {"TMPDIR": str(temporary)} if temporary else {}
    return environment({**IMPATIENT, **settings}) | {"COLUMNS": "250"} | place
