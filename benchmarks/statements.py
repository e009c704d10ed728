"""The ceiling of a drain: the same rows written by the same three transactions a batch, in SQL alone.

No scheduler, no call, no life cycles, nothing checked: claim, take down and acknowledge are a few set-based statements,
and Python only carries keys from one to the next. What the product adds to this is what it costs.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import psycopg

from benchmarks.backlog import CURRENCY, settle_statistics, write_backlog
from benchmarks.drain import rate_since
from benchmarks.system import Urls, fresh_databases, migrated

BATCH = 500
_TARGET = "grpc://127.0.0.1:50052"
_NOW = "statement_timestamp() AT TIME ZONE 'UTC'"
_CLAIM = f"""
WITH due AS (
    SELECT id FROM notify_schedule
    WHERE notify_status = 1 AND notify_url = %s AND next_notify_time <= {_NOW}
    ORDER BY next_notify_time, id LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
UPDATE notify_schedule AS row
SET next_notify_time = {_NOW} + interval '30 s', notify_count = notify_count + 1, attempt_count = attempt_count + 1,
    claim_token = 'token', claimed_by = 'ceiling', claim_time = {_NOW}, update_time = {_NOW}
FROM due WHERE row.id = due.id
RETURNING row.id, row.payment_id, row.platform_id, row.payment_code, row.order_no, row.notify_content"""
_LOCK = 'SELECT order_no, amount_minor FROM "order" WHERE order_no = ANY(%s) ORDER BY order_no FOR UPDATE'
_ON_RECORD = """
SELECT id FROM order_payment_notify
WHERE (platform_id, payment_code) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"""
_TAKE_DOWN = f"""
INSERT INTO order_payment_notify (platform_id, payment_code, order_no, status, amount_minor, currency_code, trade_no,
                                  settle_time, disposition, create_time)
SELECT platform_id, payment_code, order_no, 1, amount, '{CURRENCY}', 'T00000000000000000000', {_NOW}, 1, {_NOW}
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS _ (platform_id, payment_code, order_no, amount)"""
_PAY = f"""
UPDATE "order" AS row
SET order_status = 2, payment_status = 2, paid_platform_id = new.platform_id, paid_payment_code = new.payment_code,
    update_time = {_NOW}
FROM unnest(%s::text[], %s::text[], %s::text[]) AS new (order_no, platform_id, payment_code)
WHERE row.order_no = new.order_no AND row.order_status = 1 AND row.payment_status = 0"""
_LOG = f"""
INSERT INTO order_status_log (order_no, status_name, from_status, to_status, operator, description, create_time)
SELECT order_no, name, CASE name WHEN 1 THEN 1 ELSE 0 END, 2, 'paylatch', 'payment ' || payment_code || ' succeeded',
       {_NOW}
FROM unnest(%s::text[], %s::text[]) AS _ (order_no, payment_code), (VALUES (1), (2)) AS names (name)"""
_NOTIFIED = f"""
UPDATE payment_result SET notify_status = 2, disposition = 1, update_time = {_NOW}
WHERE payment_id = ANY(%s) AND notify_status = 1"""
_FINISH = f"""
UPDATE notify_schedule
SET notify_status = 3, next_notify_time = {_NOW}, last_code = 0, last_message = '', claim_token = NULL,
    claimed_by = NULL, claim_time = NULL, update_time = {_NOW}
WHERE id = ANY(%s) AND notify_status = 1"""
_ATTEMPT = f"""
INSERT INTO notify_attempt (schedule_id, number, start_time, finish_time, code, message, made_by)
SELECT id, 1, {_NOW}, {_NOW}, 0, 'APPLIED', 'ceiling' FROM unnest(%s::bigint[]) AS _ (id)"""


def drain_in_sql(rows: int, workers: int) -> float:
    """Notifications a second, drained on PostgreSQL by so many processes."""
    with fresh_databases("postgresql") as urls:
        migrated(urls)
        write_backlog(urls, _TARGET, range(1, rows + 1))
        settle_statistics(urls)
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            done = sum(pool.map(_work, [urls] * workers))
        if done != rows:
            raise RuntimeError(f"{done} of {rows} rows were drained")
        return rate_since(urls, "postgresql", 0)


def _work(urls: Urls) -> int:
    """Drain until nothing is due; how many rows that were."""
    done = 0
    with psycopg.connect(urls.payment) as payment, psycopg.connect(urls.order) as order:
        while batch := _batch(payment, order):
            done += batch
    return done


def _batch(payment: psycopg.Connection[tuple[object, ...]], order: psycopg.Connection[tuple[object, ...]]) -> int:
    with payment.transaction():
        claimed = payment.execute(_CLAIM.encode(), [_TARGET]).fetchall()
    if not claimed:
        return 0
    ids, payment_ids, platforms, codes, order_nos, _ = map(list, zip(*claimed, strict=True))
    with order.transaction():
        amounts = {order_no: amount for order_no, amount in order.execute(_LOCK.encode(), [order_nos])}  # noqa: C416 - rows
        order.execute(_ON_RECORD.encode(), [platforms, codes])
        order.execute(_TAKE_DOWN.encode(), [platforms, codes, order_nos, [amounts[each] for each in order_nos]])
        order.execute(_PAY.encode(), [order_nos, platforms, codes])
        order.execute(_LOG.encode(), [order_nos, codes])
    with payment.transaction():
        payment.execute(_NOTIFIED.encode(), [payment_ids])
        payment.execute(_FINISH.encode(), [ids])
        payment.execute(_ATTEMPT.encode(), [ids])
    return len(claimed)
