"""What both servers say at one moment. Owns the calls; a side that does not answer is told, the other still shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from cli.clients import CallFailed, Clients
from core.rpc.translate import from_timestamp
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.order.v1.order_service_pb2 import ListOrderFollowUpsRequest, ListPaymentExceptionsRequest
from paylatch.payment.v1.notify_schedule_service_pb2 import ListNotifyTargetsRequest
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget
from paylatch.payment.v1.payment_service_pb2 import ListPaymentsRequest

_Told = TypeVar("_Told")


class Count(NamedTuple):
    """How many there are: as many as a page holds, and whether there are more."""

    number: int
    is_more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_more else ''}"


@dataclass(frozen=True, slots=True)
class Outbox:
    """What the payment side says. time: by its database's clock. conflicts: payments with both outcomes reported."""

    time: datetime
    targets: Sequence[NotifyTarget]
    conflicts: Count


@dataclass(frozen=True, slots=True)
class Open:
    """What waits for a person on the order side."""

    exceptions: Count
    follow_ups: Count


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. A side is None if it did not answer; `problems` says why."""

    outbox: Outbox | None
    open: Open | None
    problems: Sequence[str] = ()


def take(clients: Clients) -> Sample:
    """Look at both sides. Never raises for a side that is away."""
    problems: list[str] = []
    return Sample(_told(_outbox, clients, problems), _told(_open, clients, problems), problems)


def _told(ask: Callable[[Clients], _Told], clients: Clients, problems: list[str]) -> _Told | None:
    try:
        return ask(clients)
    except CallFailed as failure:
        problems.append(str(failure))
        return None


def _outbox(clients: Clients) -> Outbox:
    server, side = clients.payment.server, clients.payment
    listed = server.call(side.schedules.ListNotifyTargets, ListNotifyTargetsRequest(page_size=MAX_PAGE_SIZE))
    conflicting = ListPaymentsRequest(page_size=MAX_PAGE_SIZE, has_conflict=True)
    payments = server.call(side.payments.ListPayments, conflicting)
    conflicts = Count(len(payments.payments), bool(payments.next_page_token))
    return Outbox(from_timestamp(listed.read_time), list(listed.targets), conflicts)


def _open(clients: Clients) -> Open:
    server, orders = clients.order.server, clients.order.orders
    exceptions = server.call(orders.ListPaymentExceptions, ListPaymentExceptionsRequest(page_size=MAX_PAGE_SIZE))
    follow_ups = server.call(orders.ListOrderFollowUps, ListOrderFollowUpsRequest(page_size=MAX_PAGE_SIZE))
    return Open(
        Count(len(exceptions.payment_exceptions), bool(exceptions.next_page_token)),
        Count(len(follow_ups.order_follow_ups), bool(follow_ups.next_page_token)),
    )
