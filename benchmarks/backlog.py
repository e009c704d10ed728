"""Rows to work on, written in bulk: orders that wait, payments that wait or are settled, and their notifications.

The rows are those that the product itself would have written; only the way they come into the tables is another.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg

from benchmarks.system import Urls
from core.rules.codes import OrderPaymentStatus, OrderStatus, PaymentStatus, ResultStatus, ScheduleStatus
from paylatch.order.v1 import order_enums_pb2, order_notify_service_pb2

PLATFORM = "alipay"
AMOUNT = 19_900
CURRENCY = "CNY"
_CHUNK = 10_000
_NOW = datetime.now(UTC).replace(tzinfo=None)
_TIME = _NOW.isoformat(" ", "microseconds")
_END = (_NOW + timedelta(days=3)).isoformat(" ", "microseconds")

Row = tuple[Any, ...]


def payment_code(number: int) -> str:
    """The code of the payment of this number: always of the same length."""
    return f"P{number:012}"


def order_no(number: int) -> str:
    """The number of the order that it pays."""
    return f"O{number:012}"


def write_orders(urls: Urls, numbers: range) -> None:
    """Orders that wait for their payment."""
    columns = "order_no, amount_minor, currency_code, order_status, payment_status, create_time, update_time"
    new, unpaid = int(OrderStatus.NEW), int(OrderPaymentStatus.UNPAID)
    _load(urls.order, "order", columns, ((order_no(n), AMOUNT, CURRENCY, new, unpaid, _TIME, _TIME) for n in numbers))


def write_payments(urls: Urls, target: str, numbers: range, *, settled: bool) -> None:
    """Payments of these orders that wait for their result, or succeeded."""
    status, settle_time = (PaymentStatus.SUCCESS, _TIME) if settled else (PaymentStatus.WAITING, None)
    columns = (
        "id, platform_id, payment_code, order_no, amount_minor, currency_code, notify_url, status, trade_no, "
        "failure_reason, create_time, settle_time"
    )
    rows = (
        (n, PLATFORM, payment_code(n), order_no(n), AMOUNT, CURRENCY, target, int(status), "", "", _TIME, settle_time)
        for n in numbers
    )
    _load(urls.payment, "payment", columns, rows)


def write_backlog(urls: Urls, target: str, numbers: range) -> None:
    """Orders, their payments that succeeded, and a notification of each that is due and was never tried."""
    write_orders(urls, numbers)
    write_payments(urls, target, numbers, settled=True)
    unnotified, notifying = int(ResultStatus.UNNOTIFIED), int(ScheduleStatus.NOTIFYING)
    results = ((n, unnotified, _TIME, _TIME) for n in numbers)
    _load(urls.payment, "payment_result", "payment_id, notify_status, create_time, update_time", results)
    columns = (
        "payment_id, platform_id, payment_code, order_no, notify_url, notify_content, notify_status, next_notify_time, "
        "give_up_time, notify_count, attempt_count, reopened_attempt, lapse_count, create_time, update_time"
    )
    rows = (
        (
            n,
            PLATFORM,
            payment_code(n),
            order_no(n),
            target,
            _content(n),
            notifying,
            _TIME,
            _END,
            0,
            0,
            0,
            0,
            _TIME,
            _TIME,
        )
        for n in numbers
    )
    _load(urls.payment, "notify_schedule", columns, rows)


def settle_statistics(urls: Urls) -> None:
    """What a database does by itself after a while: tables that were just filled have no statistics."""
    for url in (urls.payment, urls.order):
        if url.startswith("postgresql"):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")


def backlog_requests(numbers: range) -> list[order_notify_service_pb2.OrderNotifyRequest]:
    """What is sent for each payment."""
    return [_request(number) for number in numbers]


def _content(number: int) -> bytes:
    return _request(number).SerializeToString()


def _request(number: int) -> order_notify_service_pb2.OrderNotifyRequest:
    request = order_notify_service_pb2.OrderNotifyRequest(
        platform_id=PLATFORM,
        payment_code=payment_code(number),
        order_no=order_no(number),
        outcome=order_enums_pb2.PAYMENT_OUTCOME_SUCCESS,
        amount_minor=AMOUNT,
        currency_code=CURRENCY,
        trade_no=f"T{number:020}",
    )
    request.settle_time.FromDatetime(_NOW)
    return request


def _load(url: str, table: str, columns: str, rows: Iterator[Row]) -> None:
    if url.startswith("sqlite"):
        _load_sqlite(url, table, columns, rows)
    else:
        _load_postgresql(url, table, columns, rows)


def _load_sqlite(url: str, table: str, columns: str, rows: Iterator[Row]) -> None:
    marks = ", ".join("?" * len(columns.split(", ")))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    while chunk := list(islice(rows, _CHUNK)):
        connection.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', chunk)
        connection.commit()
    connection.close()


def _load_postgresql(url: str, table: str, columns: str, rows: Iterator[Row]) -> None:
    with psycopg.connect(url) as connection:
        with connection.cursor().copy(f'COPY "{table}" ({columns}) FROM STDIN'.encode()) as copy:
            for row in rows:
                copy.write_row(row)
        if columns.startswith("id,"):
            behind = f"""SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM "{table}\""""
            connection.execute(behind.encode())


def numbers_after(start: int, count: int) -> range:
    """`count` numbers from `start` on."""
    return range(start, start + count)


def in_chunks(numbers: range, size: int) -> Sequence[range]:
    """`numbers` in ranges of at most `size`."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
