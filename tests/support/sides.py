"""Both servers as a command sees them: in memory, behind real ports, with every request kept."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from cli.clients import Clients, Key, Keyed, key_of
from core.logs import make_logger
from core.rpc.server import RpcServer
from core.rpc.translate import from_timestamp, to_timestamp
from core.rules.errors import AlreadyExists, IllegalEvent, NotFound, PaylatchError
from core.rules.life_cycles import SCHEDULE
from paylatch.order.v1 import batch_pb2, order_enums_pb2, order_service_pb2, order_service_pb2_grpc
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import (
    notify_schedule_service_pb2,
    notify_schedule_service_pb2_grpc,
    payment_enums_pb2,
    payment_service_pb2,
    payment_service_pb2_grpc,
)
from paylatch.payment.v1.notify_schedule_pb2 import NotifyAttempt, NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment
from tests.support.clock import START, TestClock

LONG_AGO = datetime(2020, 1, 1, 12, tzinfo=UTC)
TARGET = "grpc://127.0.0.1:50052"
READ_TIME = to_timestamp(START)
"""What the payment side says when its schedules are read."""

Request = TypeVar("Request", bound=Message)


class Sides:
    """What the two sides hold, by key. A `settled` payment is one both agree on; a test then breaks what it wants.

    before: what to do when an RPC of a name is called, once each, in order: how a test changes things in between, or
    raises what the server is to answer. mistaken: keys for which the order side answers another.
    """

    def __init__(self) -> None:
        self.payments: dict[Key, Payment] = {}
        self.schedules: dict[Key, NotifySchedule] = {}
        self.attempts: dict[Key, list[NotifyAttempt]] = {}
        self.notifies: dict[Key, OrderPaymentNotify] = {}
        self.requests: list[Message] = []
        self.before: dict[str, list[Callable[[], object]]] = defaultdict(list)
        self.mistaken: dict[Key, Key] = {}
        self.payment_address = ""
        self.order_address = ""

    def settled(
        self,
        code: str = "P1",
        *,
        amount: int = 1_234,
        currency: str = "USD",
        failed: bool = False,
        platform: str = "card",
    ) -> Key:
        """A payment that was settled long ago, delivered and applied."""
        key = Key(platform, code)
        self.payments[key] = a_payment(key, amount, currency, failed=failed)
        self.schedules[key] = a_schedule(key)
        self.notifies[key] = a_notify(key, amount, currency, failed=failed)
        return key

    def undelivered(self, code: str = "P1", **what: Any) -> Key:
        """A payment that was settled long ago and has not arrived, though it was tried."""
        key = self.settled(code, **what)
        del self.notifies[key]
        self.unacknowledge(key)
        schedule = self.schedules[key]
        schedule.last_code, schedule.last_message = grpc.StatusCode.UNAVAILABLE.value[0], "connection refused"
        return key

    def unacknowledge(self, key: Key) -> None:
        """The payment side does not know that the order side has it."""
        self.payments[key].notify_status = payment_enums_pb2.NOTIFY_STATUS_UNNOTIFIED
        self.payments[key].ClearField("disposition")
        self.schedules[key].status = payment_enums_pb2.SCHEDULE_STATUS_NOTIFYING

    def give_up(self, key: Key, code: grpc.StatusCode, message: str = "") -> None:
        """The schedule is tried no more."""
        schedule = self.schedules[key]
        schedule.status = payment_enums_pb2.SCHEDULE_STATUS_FAILED
        schedule.last_code, schedule.last_message = code.value[0], message

    def made(self, kind: type[Request]) -> list[Request]:
        """The requests of one kind, in the order in which they came."""
        return [request for request in self.requests if isinstance(request, kind)]

    def take_down(self, request: Message, method: str) -> None:
        """Keep a request, and do what a test wants done before it is answered."""
        self.requests.append(request)
        if self.before[method]:
            self.before[method].pop(0)()

    def clients(self) -> Clients:
        """A command's connections to both."""
        return Clients.connect(self.payment_address, self.order_address)


def a_payment(key: Key, amount: int = 1_234, currency: str = "USD", *, failed: bool = False) -> Payment:
    """Settled and acknowledged as APPLIED."""
    return Payment(
        platform_id=key.platform_id,
        payment_code=key.payment_code,
        order_no=f"O-{key.payment_code}",
        amount_minor=amount,
        currency_code=currency,
        notify_url=TARGET,
        status=payment_enums_pb2.PAYMENT_STATUS_FAILED if failed else payment_enums_pb2.PAYMENT_STATUS_SUCCESS,
        create_time=to_timestamp(LONG_AGO),
        settle_time=to_timestamp(LONG_AGO),
        notify_status=payment_enums_pb2.NOTIFY_STATUS_NOTIFIED,
        disposition=order_enums_pb2.DISPOSITION_APPLIED,
    )


def a_schedule(key: Key, *, now: datetime = LONG_AGO) -> NotifySchedule:
    """Finished."""
    return NotifySchedule(
        platform_id=key.platform_id,
        payment_code=key.payment_code,
        order_no=f"O-{key.payment_code}",
        notify_url=TARGET,
        status=payment_enums_pb2.SCHEDULE_STATUS_SUCCESS,
        next_notify_time=to_timestamp(now),
        give_up_time=to_timestamp(now + timedelta(days=3)),
        notify_count=1,
        create_time=to_timestamp(now),
    )


def a_notify(key: Key, amount: int = 1_234, currency: str = "USD", *, failed: bool = False) -> OrderPaymentNotify:
    """Applied: a success has paid its order, a failure has failed it."""
    enums = order_enums_pb2
    return OrderPaymentNotify(
        platform_id=key.platform_id,
        payment_code=key.payment_code,
        order_no=f"O-{key.payment_code}",
        outcome=enums.PAYMENT_OUTCOME_FAILED if failed else enums.PAYMENT_OUTCOME_SUCCESS,
        amount_minor=amount,
        currency_code=currency,
        disposition=enums.DISPOSITION_APPLIED,
        create_time=to_timestamp(LONG_AGO),
        order_status=enums.ORDER_STATUS_NEW if failed else enums.ORDER_STATUS_PAID,
        payment_status=enums.ORDER_PAYMENT_STATUS_FAILED if failed else enums.ORDER_PAYMENT_STATUS_PAID,
        is_paying_key=not failed,
    )


@contextmanager
def serving(sides: Sides) -> Iterator[Sides]:
    """Both servers, as long as the `with` lasts."""
    payment, order = _server(), _server()
    payment.add(
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        _Payments(sides),  # type: ignore[abstract]  # only what commands call
        "paylatch.payment.v1.PaymentService",
    )
    payment.add(
        notify_schedule_service_pb2_grpc.add_NotifyScheduleServiceServicer_to_server,
        _Schedules(sides),  # type: ignore[abstract]  # the same
        "paylatch.payment.v1.NotifyScheduleService",
    )
    order.add(
        order_service_pb2_grpc.add_OrderServiceServicer_to_server,
        _Orders(sides),  # type: ignore[abstract]  # the same
        "paylatch.order.v1.OrderService",
    )
    sides.payment_address, sides.order_address = payment.bind("127.0.0.1:0"), order.bind("127.0.0.1:0")
    payment.start()
    order.start()
    try:
        yield sides
    finally:
        payment.stop(0)
        order.stop(0)


def _server() -> RpcServer:
    return RpcServer(make_logger("fake", level="error"), TestClock())


class _Payments(payment_service_pb2_grpc.PaymentServiceServicer):
    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def ListPayments(
        self, request: payment_service_pb2.ListPaymentsRequest, context: grpc.ServicerContext
    ) -> payment_service_pb2.ListPaymentsResponse:
        self._sides.take_down(request, "ListPayments")
        settled = [payment for payment in _newest(self._sides.payments) if payment.HasField("settle_time")]
        if request.HasField("settled_before"):
            settled = [one for one in settled if _time(one.settle_time) < _time(request.settled_before)]
        if request.HasField("settled_after"):
            settled = [one for one in settled if _time(one.settle_time) >= _time(request.settled_after)]
        rows, token = _page(settled, request)
        return payment_service_pb2.ListPaymentsResponse(payments=rows, next_page_token=token)

    def BatchGetPayments(
        self, request: payment_service_pb2.BatchGetPaymentsRequest, context: grpc.ServicerContext
    ) -> payment_service_pb2.BatchGetPaymentsResponse:
        self._sides.take_down(request, "BatchGetPayments")
        answer = payment_service_pb2.BatchGetPaymentsResponse()
        for asked in request.requests:
            result = answer.results.add(platform_id=asked.platform_id, payment_code=asked.payment_code)
            payment = self._sides.payments.get(key_of(asked))
            if payment:
                result.response.payment.CopyFrom(payment)
            else:
                result.error.CopyFrom(_not_found("PAYMENT_NOT_FOUND"))
        return answer


class _Schedules(notify_schedule_service_pb2_grpc.NotifyScheduleServiceServicer):
    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def GetNotifySchedule(
        self, request: notify_schedule_service_pb2.GetNotifyScheduleRequest, context: grpc.ServicerContext
    ) -> notify_schedule_service_pb2.GetNotifyScheduleResponse:
        self._sides.take_down(request, "GetNotifySchedule")
        key = key_of(request)
        if key not in self._sides.schedules:
            raise _no_schedule(key)
        return notify_schedule_service_pb2.GetNotifyScheduleResponse(
            schedule=self._sides.schedules[key], attempts=self._sides.attempts.get(key, [])
        )

    def BatchGetNotifySchedules(
        self, request: notify_schedule_service_pb2.BatchGetNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> notify_schedule_service_pb2.BatchGetNotifySchedulesResponse:
        self._sides.take_down(request, "BatchGetNotifySchedules")
        answer = notify_schedule_service_pb2.BatchGetNotifySchedulesResponse(read_time=READ_TIME)
        for asked in request.requests:
            result = answer.results.add(platform_id=asked.platform_id, payment_code=asked.payment_code)
            schedule = self._sides.schedules.get(key_of(asked))
            if schedule:
                result.schedule.CopyFrom(schedule)
            else:
                result.error.CopyFrom(_not_found("NOTIFY_SCHEDULE_NOT_FOUND"))
        return answer

    def ListNotifySchedules(
        self, request: notify_schedule_service_pb2.ListNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> notify_schedule_service_pb2.ListNotifySchedulesResponse:
        self._sides.take_down(request, "ListNotifySchedules")
        rows, token = _page(_newest(self._sides.schedules), request)
        return notify_schedule_service_pb2.ListNotifySchedulesResponse(schedules=rows, next_page_token=token)

    def RetryNotifySchedules(
        self, request: notify_schedule_service_pb2.RetryNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> notify_schedule_service_pb2.RetryNotifySchedulesResponse:
        self._sides.take_down(request, "RetryNotifySchedules")
        answer = notify_schedule_service_pb2.RetryNotifySchedulesResponse(validate_only=request.validate_only)
        keys = [key_of(key) for key in request.keys] or list(self._sides.schedules)[: request.limit]
        for key in keys:
            result = answer.results.add(platform_id=key.platform_id, payment_code=key.payment_code)
            try:
                result.schedule.CopyFrom(self._retried(key, request.action))
            except PaylatchError as error:
                result.error.CopyFrom(batch_pb2.ItemError(code=9, reason=error.reason, message=error.message))
        answer.changed_count = sum(result.HasField("schedule") for result in answer.results)
        return answer

    def _retried(self, key: Key, action: Any) -> NotifySchedule:
        if action == payment_enums_pb2.RETRY_ACTION_RESTORE:
            if key in self._sides.schedules:
                raise AlreadyExists("it has its schedule", reason="NOTIFY_SCHEDULE_EXISTS")
            self._sides.schedules[key] = a_schedule(key, now=START)
        if key not in self._sides.schedules:
            raise _no_schedule(key)
        schedule = self._sides.schedules[key]
        needed = _NEEDED.get(action, schedule.status)
        if schedule.status != needed:
            status = payment_enums_pb2.ScheduleStatus.Name(schedule.status)
            raise IllegalEvent(SCHEDULE.name, status, "retry", [])
        schedule.status = payment_enums_pb2.SCHEDULE_STATUS_NOTIFYING
        return schedule


_NEEDED = {
    payment_enums_pb2.RETRY_ACTION_REQUEUE: payment_enums_pb2.SCHEDULE_STATUS_FAILED,
    payment_enums_pb2.RETRY_ACTION_DUE_NOW: payment_enums_pb2.SCHEDULE_STATUS_NOTIFYING,
    payment_enums_pb2.RETRY_ACTION_REOPEN: payment_enums_pb2.SCHEDULE_STATUS_SUCCESS,
}


class _Orders(order_service_pb2_grpc.OrderServiceServicer):
    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def ListOrderPaymentNotifies(
        self, request: order_service_pb2.ListOrderPaymentNotifiesRequest, context: grpc.ServicerContext
    ) -> order_service_pb2.ListOrderPaymentNotifiesResponse:
        self._sides.take_down(request, "ListOrderPaymentNotifies")
        before = _time(request.created_before)
        after = _time(request.created_after) if request.HasField("created_after") else datetime.min.replace(tzinfo=UTC)
        newest = _newest(self._sides.notifies)
        found = [notify for notify in newest if after <= _time(notify.create_time) < before]
        rows, token = _page(found, request)
        return order_service_pb2.ListOrderPaymentNotifiesResponse(order_payment_notifies=rows, next_page_token=token)

    def BatchGetOrderPaymentNotifies(
        self, request: order_service_pb2.BatchGetOrderPaymentNotifiesRequest, context: grpc.ServicerContext
    ) -> order_service_pb2.BatchGetOrderPaymentNotifiesResponse:
        self._sides.take_down(request, "BatchGetOrderPaymentNotifies")
        answer = order_service_pb2.BatchGetOrderPaymentNotifiesResponse()
        for asked in request.requests:
            key = self._sides.mistaken.get(key_of(asked), key_of(asked))
            result = answer.results.add(**key._asdict())
            notify = self._sides.notifies.get(key)
            if notify:
                result.order_payment_notify.CopyFrom(notify)
            else:
                result.error.CopyFrom(_not_found("NOTIFY_NOT_FOUND"))
        return answer


def _newest(rows: dict[Key, Request]) -> list[Request]:
    return list(rows.values())[::-1]


def _page(rows: list[Request], request: Any) -> tuple[list[Request], str]:
    """The page a request asks for. A token is the key of the last row: rows may come and go in between."""
    keys = [str(key_of(_keyed(row))) for row in rows]
    start = keys.index(request.page_token) + 1 if request.page_token else 0
    end = start + (request.page_size or 50)
    return rows[start:end], keys[end - 1] if end < len(rows) else ""


def _keyed(row: Any) -> Keyed:
    found: Keyed = row
    return found


def _time(stamp: Any) -> datetime:
    return from_timestamp(stamp)


def _not_found(reason: str) -> batch_pb2.ItemError:
    return batch_pb2.ItemError(code=grpc.StatusCode.NOT_FOUND.value[0], reason=reason, message="there is none")


def _no_schedule(key: Key) -> NotFound:
    return NotFound(f"there is no notify schedule of {key}", reason="NOTIFY_SCHEDULE_NOT_FOUND")
