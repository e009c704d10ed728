"""How fast two sides are reconciled, and in how much memory, with real servers on SQLite files or PostgreSQL.

    python -m benchmarks.reconcile --payments 100000 --lost 6000 --rounds 3
    python -m benchmarks.reconcile --engine postgresql --payments 1000000 --rounds 1

All payments were delivered; then the order side lost the newest ones, as the restore of an older backup loses them.
"""

import argparse
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from statistics import median
from typing import NamedTuple

import psycopg

from benchmarks.backlog import settle_statistics
from benchmarks.system import System, Urls, fresh_databases
from core.clock import SystemClock

_KIB_OF_MIB = 1024

# One payment every 20 ms, the last of them an hour ago.
_TIMES = {
    "sqlite": """
    CREATE TEMP TABLE times AS
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :payments)
    SELECT n, printf('P%012d', n) AS code, printf('O%012d', n) AS order_no,
        strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour', ((n - :payments) * 0.02) || ' seconds') || '000' AS time
    FROM numbers
""",
    "postgresql": """
    CREATE TEMP TABLE times AS
    SELECT n, 'P' || lpad(CAST(n AS text), 12, '0') AS code, 'O' || lpad(CAST(n AS text), 12, '0') AS order_no,
        now() AT TIME ZONE 'UTC' - interval '1 hour' + (n - :payments) * interval '20 milliseconds' AS time
    FROM generate_series(1, :payments) AS n
""",
}
_PAYMENT_SIDE = (
    "INSERT INTO payment (id, platform_id, payment_code, order_no, amount_minor, currency_code, notify_url, status, "
    "trade_no, failure_reason, create_time, settle_time) "
    "SELECT n, 'card', code, order_no, 1000, 'USD', :target, 1, '', '', time, time FROM times",
    "INSERT INTO payment_result (payment_id, notify_status, disposition, create_time, update_time) "
    "SELECT n, 2, 1, time, time FROM times",
    "INSERT INTO notify_schedule (payment_id, platform_id, payment_code, order_no, notify_url, notify_content, "
    "notify_status, next_notify_time, give_up_time, notify_count, attempt_count, reopened_attempt, lapse_count, "
    "last_code, create_time, update_time) "
    "SELECT n, 'card', code, order_no, :target, :content, 3, time, time, 1, 1, 0, 0, 0, time, time FROM times",
)
_ORDER_SIDE = (
    'INSERT INTO "order" (order_no, amount_minor, currency_code, order_status, payment_status, paid_platform_id, '
    "paid_payment_code, create_time, update_time) SELECT order_no, 1000, 'USD', 2, 2, 'card', code, time, time "
    "FROM times WHERE n <= :delivered",
    'INSERT INTO "order" (order_no, amount_minor, currency_code, order_status, payment_status, create_time, '
    "update_time) SELECT order_no, 1000, 'USD', 1, 0, time, time FROM times WHERE n > :delivered",
    "INSERT INTO order_payment_notify (platform_id, payment_code, order_no, status, amount_minor, currency_code, "
    "trade_no, settle_time, disposition, create_time) "
    "SELECT 'card', code, order_no, 1, 1000, 'USD', '', time, 1, time FROM times WHERE n <= :delivered",
)


Values = Mapping[str, int | str | bytes]


class Run(NamedTuple):
    """One run of the command. cpu: seconds of it in all processes. peak_mib: the most memory the command had."""

    seconds: float
    peak_mib: float
    cpu: float


def main() -> None:
    """Measure, and print one line for each round and one of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=100_000, help="how many there are")
    parser.add_argument("--lost", type=int, default=0, help="how many of them the order side lost")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=sorted(_TIMES), default="sqlite")
    asked = parser.parse_args()
    with fresh_databases(asked.engine) as urls, System(urls) as system:
        target = system.settings.notify_targets[0]
        values = {"payments": asked.payments, "delivered": asked.payments - asked.lost, "target": target}
        _FILL[asked.engine](urls, {**values, "content": b"\0"})
        system.start("payment-server", "order-server")
        addresses = (system.settings.payment_address, system.settings.order_address)
        runs = []
        for _ in range(asked.rounds):
            before = sum(system.cpu().values())
            run = _reconcile(addresses, exit_code=1 if asked.lost else 0)
            runs.append(run._replace(cpu=run.cpu + sum(system.cpu().values()) - before))
            print(_line(runs[-1], asked.payments))
    whole = Run(median(run.seconds for run in runs), max(run.peak_mib for run in runs), median(run.cpu for run in runs))
    print(f"{asked.payments:,} payments, {asked.lost:,} of them lost: median {_line(whole, asked.payments)}")


def _line(run: Run, payments: int) -> str:
    each = f"{run.cpu / payments * 1e6:.0f} µs of CPU each"
    return f"{run.seconds:.1f} s, {payments / run.seconds:,.0f} payments/s, {each}, peak {run.peak_mib:.0f} MiB"


def _fill_sqlite(urls: Urls, values: Values) -> None:
    for url, statements in ((urls.payment, _PAYMENT_SIDE), (urls.order, _ORDER_SIDE)):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            for statement in (_TIMES["sqlite"], *statements):
                database.execute(statement, values)
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("ANALYZE")


def _fill_postgresql(urls: Urls, values: Values) -> None:
    for url, statements in ((urls.payment, _PAYMENT_SIDE), (urls.order, _ORDER_SIDE)):
        # What makes a table takes no parameters from a server-side binding.
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
            for statement in (_TIMES["postgresql"], *statements):
                connection.execute(re.sub(r":(\w+)", r"%(\1)s", statement).encode(), values)
    settle_statistics(urls)


_FILL: Mapping[str, Callable[[Urls, Values], None]] = {"sqlite": _fill_sqlite, "postgresql": _fill_postgresql}


def _reconcile(addresses: Sequence[str], exit_code: int) -> Run:
    clock = SystemClock()
    start = clock.monotonic()
    options = ("--payment-address", addresses[0], "--order-address", addresses[1])
    command = [sys.executable, "-m", "cli", "reconcile", *options]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = clock.monotonic() - start
    if os.waitstatus_to_exitcode(status) != exit_code:
        raise SystemExit(f"reconcile ended with {os.waitstatus_to_exitcode(status)}, not {exit_code}")
    return Run(seconds, usage.ru_maxrss / _KIB_OF_MIB, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
