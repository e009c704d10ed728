"""Tables that have served for long: millions of finished rows, written in bulk, to drain new ones beside.

The rows are those the product leaves behind: a payment, its result, its finished notification and attempt; a paid
order, what it was paid by, two rows of its log. Their numbers lie below those of every backlog.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.backlog import AMOUNT, CURRENCY, PLATFORM
from benchmarks.system import Urls

_TARGET = "grpc://127.0.0.1:50052"
_TIMES = "date_trunc('second', now() AT TIME ZONE 'UTC') - interval '1 day'"
_KEY = f"'{PLATFORM}', 'F' || lpad(n::text, 12, '0')"
_ORDER = "'G' || lpad(n::text, 12, '0')"
_CONTENT = (
    "convert_to('a finished notification of about ninety bytes, which nobody will ever read or send again', 'UTF8')"
)
_PAYMENT_SIDE = (
    (
        "payment",
        "id, platform_id, payment_code, order_no, amount_minor, currency_code, notify_url, status, trade_no, "
        "failure_reason, create_time, settle_time",
        f"n, {_KEY}, {_ORDER}, {AMOUNT}, '{CURRENCY}', '{_TARGET}', 1, '', '', {_TIMES}, {_TIMES}",
    ),
    (
        "payment_result",
        "id, payment_id, notify_status, disposition, create_time, update_time",
        f"n, n, 2, 1, {_TIMES}, {_TIMES}",
    ),
    (
        "notify_schedule",
        "id, payment_id, platform_id, payment_code, order_no, notify_url, notify_content, notify_status, "
        "next_notify_time, give_up_time, notify_count, attempt_count, reopened_attempt, lapse_count, last_code, "
        "last_message, create_time, update_time",
        f"n, n, {_KEY}, {_ORDER}, '{_TARGET}', {_CONTENT}, 3, {_TIMES}, {_TIMES} + interval '3 days', 1, 1, 0, 0, 0, "
        f"'', {_TIMES}, {_TIMES}",
    ),
    (
        "notify_attempt",
        "id, schedule_id, number, start_time, finish_time, code, message, made_by",
        f"n, n, 1, {_TIMES}, {_TIMES}, 0, 'APPLIED', 'scheduler@host:1:00000000'",
    ),
)
_ORDER_SIDE = (
    (
        "order",
        "id, order_no, amount_minor, currency_code, order_status, payment_status, paid_platform_id, paid_payment_code, "
        "create_time, update_time",
        f"n, {_ORDER}, {AMOUNT}, '{CURRENCY}', 2, 2, {_KEY}, {_TIMES}, {_TIMES}",
    ),
    (
        "order_payment_notify",
        "id, platform_id, payment_code, order_no, status, amount_minor, currency_code, trade_no, settle_time, "
        "disposition, create_time",
        f"n, {_KEY}, {_ORDER}, 1, {AMOUNT}, '{CURRENCY}', '', {_TIMES}, 1, {_TIMES}",
    ),
    (
        "order_status_log",
        "id, order_no, status_name, from_status, to_status, operator, description, create_time",
        f"2 * n - name, {_ORDER}, name + 1, 1 - name, 2, 'paylatch', 'payment succeeded', {_TIMES}",
    ),
)
_TWO_A_ROW = "order_status_log"
Side = Sequence[tuple[str, str, str]]


def write_finished(urls: Urls, rows: int) -> None:
    """So many finished rows, in empty and migrated databases on PostgreSQL."""
    with ThreadPoolExecutor(2) as both:
        sides = [(urls.payment, _PAYMENT_SIDE, rows), (urls.order, _ORDER_SIDE, rows)]
        for _ in both.map(_write_side, *zip(*sides, strict=True)):
            pass


def _write_side(url: str, side: Side, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET session_replication_role = replica")  # the rows fit each other by construction
        for table, columns, values in side:
            _write(connection, table, columns, values, rows)


def _write(
    connection: psycopg.Connection[tuple[object, ...]], table: str, columns: str, values: str, rows: int
) -> None:
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT LIKE '%%_pkey'", [table]
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"'.encode())
    names = ", (VALUES (0), (1)) AS names (name)" if table == _TWO_A_ROW else ""
    numbers = f"generate_series(1, {rows}) AS n{names}"
    connection.execute(f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM {numbers}'.encode())
    for _, definition in indexes:
        connection.execute(str(definition).encode())
    last = f"""SELECT setval(pg_get_serial_sequence('"{table}"', 'id'), max(id)) FROM "{table}\""""
    connection.execute(last.encode())
