"""Reading payments: by key, and in pages. A payment is shown with what is known of its notification. Never writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from peewee import JOIN

from core.outbox.tables import PaymentResult
from core.rules.codes import Disposition, PaymentStatus, ResultStatus
from core.rules.errors import NotFound
from core.store.paging import Page, PageRequest, narrowed, newest_first, newest_time_first
from core.store.transaction import Row, Transaction
from payment_server.tables import Payment

Key = tuple[str, str]
"""(platform_id, payment_code)."""


class PaymentView(NamedTuple):
    """A row of `payment`, and its `payment_result` once it is settled."""

    payment: Row
    notify_status: ResultStatus | None = None
    disposition: Disposition | None = None
    handled_note: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments. What is None does not filter; `…_after` includes its instant, `…_before` does not."""

    status: PaymentStatus | None = None
    notify_status: ResultStatus | None = None
    order_no: str | None = None
    notify_url: str | None = None
    has_conflict: bool | None = None
    settled_after: datetime | None = None
    settled_before: datetime | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


def payment_not_found(key: Key) -> NotFound:
    """The error that names a key without a payment."""
    return NotFound(f"there is no payment {key[1]!r} on platform {key[0]!r}", reason="PAYMENT_NOT_FOUND")


def payments_by_key(tx: Transaction, keys: Sequence[Key], *, lock: bool = False) -> dict[Key, PaymentView]:
    """The payments of these keys, as far as there are any."""
    payments = tx.by_keys(Payment, [Payment.platform_id, Payment.payment_code], list(dict.fromkeys(keys)), lock=lock)
    settled = [[payment.id] for payment in payments if payment.status != PaymentStatus.WAITING]
    results = tx.by_keys(PaymentResult, [PaymentResult.payment_id], settled)
    result_of = {result.payment_id: result for result in results}
    return {(p.platform_id, p.payment_code): _view(p, result_of.get(p.id)) for p in payments}


def newest_payments(tx: Transaction, wanted: PaymentFilter, page: PageRequest) -> Page[PaymentView]:
    """A page of payments, newest first: in a window of settle_time or of create_time, by that time."""
    of_result = (PaymentResult.notify_status, PaymentResult.disposition, PaymentResult.handled_note)
    joined = Payment.select(Payment, *of_result).join(
        PaymentResult, JOIN.LEFT_OUTER, on=(PaymentResult.payment_id == Payment.id)
    )
    query = narrowed(joined, *_filters(wanted))
    if wanted.settled_after or wanted.settled_before:
        found = newest_time_first(tx, Payment, query, page, by="settle_time")
    elif wanted.created_after or wanted.created_before:
        found = newest_time_first(tx, Payment, query, page)
    else:
        found = newest_first(tx, Payment, query, page)
    return Page([_view(row, row) for row in found.rows], found.last)


def _view(payment: Row, result: Row | None) -> PaymentView:
    if result is None:
        return PaymentView(payment)
    return PaymentView(payment, result.notify_status, result.disposition, result.handled_note)


def _filters(wanted: PaymentFilter) -> list[tuple[Any, Any]]:
    return [
        (wanted.status, Payment.status == wanted.status),
        (wanted.notify_status, PaymentResult.notify_status == wanted.notify_status),
        (wanted.order_no, Payment.order_no == wanted.order_no),
        (wanted.notify_url, Payment.notify_url == wanted.notify_url),
        (wanted.has_conflict, Payment.conflict_time.is_null(not wanted.has_conflict)),
        (wanted.settled_after, Payment.settle_time >= wanted.settled_after),
        (wanted.settled_before, Payment.settle_time < wanted.settled_before),
        (wanted.created_after, Payment.create_time >= wanted.created_after),
        (wanted.created_before, Payment.create_time < wanted.created_before),
    ]
