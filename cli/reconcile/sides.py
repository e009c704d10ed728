"""Reading both sides over RPC: page by page, and by key in batches. Owns how rows are matched; judges nothing."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from cli.clients import CannotRun, Clients, Key, Keyed, OrderSide, PaymentSide, Server, chunks, key_of, pages
from cli.reconcile.pair import Pair, Window
from core.rpc.translate import to_timestamp
from paylatch.order.v1.batch_pb2 import ItemError
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.order.v1.order_service_pb2 import BatchGetOrderPaymentNotifiesRequest, ListOrderPaymentNotifiesRequest
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.notify_schedule_service_pb2 import BatchGetNotifySchedulesRequest
from paylatch.payment.v1.payment_pb2 import Payment
from paylatch.payment.v1.payment_service_pb2 import BatchGetPaymentsRequest, ListPaymentsRequest

_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]

Item = TypeVar("Item")
Row = TypeVar("Row")


class _Result(Keyed, Protocol):
    @property
    def error(self) -> ItemError: ...

    def HasField(self, field_name: Any) -> bool: ...  # noqa: N802  # protobuf's name


_AnyResult = TypeVar("_AnyResult", bound=_Result)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list. next_page_token: where the list goes on; empty if this is the last."""

    rows: Sequence[Row]
    next_page_token: str


def settled_payments(side: PaymentSide, window: Window) -> list[Callable[[str], Iterator[Page[Payment]]]]:
    """The lists that together have every settled payment of `window` once; each read from the page of a token on."""
    spans = [(window.since, window.until)] + ([(window.horizon, None)] if window.horizon else [])
    return [partial(_settled_payments, side, after, before) for after, before in spans]


def _settled_payments(
    side: PaymentSide, after: datetime | None, before: datetime | None, page_token: str
) -> Iterator[Page[Payment]]:
    request = ListPaymentsRequest(settled_after=_stamp(after), settled_before=_stamp(before), page_token=page_token)
    for page in pages(side.server, side.payments.ListPayments, request):
        yield Page(page.payments, page.next_page_token)


def order_payment_notifies(side: OrderSide, window: Window, page_token: str) -> Iterator[Page[OrderPaymentNotify]]:
    """Every notification the order side took down in `window`, from the page of a token on."""
    request = ListOrderPaymentNotifiesRequest(
        created_after=_stamp(window.since), created_before=_stamp(window.until), page_token=page_token
    )
    for page in pages(side.server, side.orders.ListOrderPaymentNotifies, request):
        yield Page(page.order_payment_notifies, page.next_page_token)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one being read on a thread of its own while one is worked on: both servers are busy."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def payments_by_key(side: PaymentSide, keys: Sequence[Key]) -> dict[Key, Payment]:
    """The payments of `keys`, as far as there are any."""
    found: dict[Key, Payment] = {}
    for chunk in chunks(keys):
        request = BatchGetPaymentsRequest(requests=[key.message for key in chunk])
        results = side.server.read(side.payments.BatchGetPayments, request).results
        found |= _matched(side.server, chunk, results, lambda result: result.response.payment)
    return found


def notifies_by_key(side: OrderSide, keys: Sequence[Key]) -> dict[Key, OrderPaymentNotify]:
    """What the order side was told of `keys`, as far as it was."""
    found: dict[Key, OrderPaymentNotify] = {}
    for chunk in chunks(keys):
        request = BatchGetOrderPaymentNotifiesRequest(requests=[key.message for key in chunk])
        results = side.server.read(side.orders.BatchGetOrderPaymentNotifies, request).results
        found |= _matched(side.server, chunk, results, lambda result: result.order_payment_notify)
    return found


def _schedules_by_key(side: PaymentSide, keys: Sequence[Key]) -> tuple[dict[Key, NotifySchedule], Timestamp | None]:
    """The schedules of at most a batch of `keys`, as far as there are any, and when they were read, if it is told."""
    request = BatchGetNotifySchedulesRequest(requests=[key.message for key in keys])
    answer = side.server.read(side.schedules.BatchGetNotifySchedules, request)
    read_time = answer.read_time if answer.HasField("read_time") else None
    return _matched(side.server, keys, answer.results, lambda result: result.schedule), read_time


def read_again(clients: Clients, keys: Sequence[Key]) -> dict[Key, Pair]:
    """Each key as both sides have it now.

    The schedule first, the order side last: a delivery goes the other way about, so what runs meanwhile is seen as
    delivered and not yet acknowledged, and never as acknowledged and lost.
    """
    again: dict[Key, Pair] = {}
    for chunk in chunks(keys):
        schedules, read_time = _schedules_by_key(clients.payment, chunk)
        payments = payments_by_key(clients.payment, chunk)
        notifies = notifies_by_key(clients.order, chunk)
        for key in chunk:
            again[key] = Pair(key, payments.get(key), notifies.get(key), schedules.get(key), read_time)
    return again


def _matched(
    server: Server, keys: Sequence[Key], results: Sequence[_AnyResult], row_of: Callable[[_AnyResult], Row]
) -> dict[Key, Row]:
    """The rows of a batch's results by key; nothing for what was not found."""
    by_key = {key_of(result): result for result in results}
    missing = [key for key in keys if key not in by_key]
    if missing:
        raise CannotRun(f"{server} was asked for {len(keys)} keys and left out {missing[0]}")
    failed = [result for result in by_key.values() if result.HasField("error") and result.error.code != _NOT_FOUND]
    for result in failed:
        raise CannotRun(f"{server} cannot say what it has of {key_of(result)}: {result.error.message}")
    return {key: row_of(by_key[key]) for key in keys if not by_key[key].HasField("error")}


def _stamp(time: datetime | None) -> Timestamp | None:
    return to_timestamp(time) if time else None
