"""Who uses the system under fault: makes every call, and keeps the history of what was asked and what was answered."""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from cli.clients import Clients, OrderSide, PaymentSide
from core.rpc.status import reason_of
from core.settings import Settings
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_GOODS, ItemKind
from paylatch.order.v1.order_notify_service_pb2 import OrderNotifyRequest
from paylatch.order.v1.order_notify_service_pb2_grpc import OrderNotifyServiceStub
from paylatch.order.v1.order_pb2 import OrderItem
from paylatch.order.v1.order_service_pb2 import (
    CancelOrderRequest,
    CreateOrderRequest,
    ListOrderFollowUpsRequest,
    SetInventoryRequest,
)
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    ExplainNotifyScheduleRequest,
    GetNotifyScheduleRequest,
    RetryNotifySchedulesRequest,
)
from paylatch.payment.v1.payment_enums_pb2 import (
    PAYMENT_STATUS_FAILED,
    PAYMENT_STATUS_SUCCESS,
    HindranceKind,
    RetryAction,
)
from paylatch.payment.v1.payment_service_pb2 import (
    BatchReportPaymentResultsRequest,
    CreatePaymentRequest,
    ReportPaymentResultRequest,
)
from tests.support.processes import BOUND, eventually
from tests.support.shop import AMOUNT, CURRENCY, PLATFORM, notification

OPERATOR = "faults"
_DEADLINE = 15.0
_CALLERS = 16
_LOAD_CALLERS, _LOAD_PAUSE = 4, 0.02
_UNKNOWN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended. code: None for OK."""

    value: Any = None
    code: grpc.StatusCode | None = None
    reason: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it was done."""
        return self.code is None

    @property
    def is_unknown(self) -> bool:
        """Whether only the same call again can tell."""
        return self.code in _UNKNOWN


@dataclass(slots=True)
class History:
    """The reports that were made: success (True) or failure of each payment code.

    attempted: whatever was asked. acknowledged: what was answered OK. refused: what was told to contradict.
    """

    attempted: set[tuple[str, bool]] = field(default_factory=set)
    acknowledged: set[tuple[str, bool]] = field(default_factory=set)
    refused: set[tuple[str, bool]] = field(default_factory=set)


class Customer:
    """Calls both sides. Every payment is on one platform; its code is its order's number, unless told otherwise."""

    def __init__(self, settings: Settings, target: str) -> None:
        self.clients = Clients(PaymentSide.at(settings.payment_address), OrderSide.at(settings.order_address))
        self._notify = OrderNotifyServiceStub(self.clients.order.server.channel)
        self._callers = ThreadPoolExecutor(_CALLERS)
        self._lock = threading.Lock()
        self.target = target
        self.history = History()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._callers.shutdown(cancel_futures=True)
        self.clients.close()

    def later(self, call: Callable[[], Answer]) -> "Future[Answer]":
        """Make a call while the test does something else."""
        return self._callers.submit(call)

    def each(self, codes: Iterable[str], call: Callable[[str], object]) -> None:
        """Make a call for each of them, many at once."""
        list(self._callers.map(call, codes))

    def insist(self, call: Callable[[], Answer]) -> Answer:
        """Make the call until its answer is known."""
        return eventually(lambda: [answer for answer in (call(),) if not answer.is_unknown], BOUND)[0]

    @contextmanager
    def load(self, new_code: Callable[[], str]) -> Iterator[None]:
        """Inside, orders and payments are created and reported all the time; in the end each call is insisted on."""
        is_over = threading.Event()
        pending = [self._callers.submit(self._keep_paying, new_code, is_over) for _ in range(_LOAD_CALLERS)]
        try:
            yield
        finally:
            is_over.set()
        for each in pending:
            each.result()

    def _keep_paying(self, new_code: Callable[[], str], is_over: threading.Event) -> None:
        while not is_over.wait(_LOAD_PAUSE):
            code = new_code()
            for call in (self.create_order, self.create_payment, self.report):
                answer = self.insist(functools.partial(call, code))
                assert answer.is_ok, answer

    def create_order(
        self, order_no: str, amount: int = AMOUNT, skus: Sequence[str] = (), kind: ItemKind.ValueType = ITEM_KIND_GOODS
    ) -> Answer:
        """Create an order, of one piece of each sku."""
        items = [OrderItem(sku=sku, quantity=1, kind=kind) for sku in skus]
        request = CreateOrderRequest(order_no=order_no, amount_minor=amount, currency_code=CURRENCY, items=items)
        return _call(self.clients.order.orders.CreateOrder, request)

    def cancel_order(self, order_no: str) -> Answer:
        """Cancel an order."""
        request = CancelOrderRequest(order_no=order_no, operator=OPERATOR, description="not wanted")
        return _call(self.clients.order.orders.CancelOrder, request)

    def create_payment(
        self, code: str, *, order_no: str = "", amount: int = AMOUNT, currency: str = CURRENCY, target: str = ""
    ) -> Answer:
        """Create a payment."""
        request = CreatePaymentRequest(
            platform_id=PLATFORM,
            payment_code=code,
            order_no=order_no or code,
            amount_minor=amount,
            currency_code=currency,
            notify_url=target or self.target,
        )
        return _call(self.clients.payment.payments.CreatePayment, request)

    def report(self, code: str, *, is_success: bool = True, deadline: float = _DEADLINE) -> Answer:
        """Report how a payment ended."""
        self._note(self.history.attempted, (code, is_success))
        answer = _call(self.clients.payment.payments.ReportPaymentResult, _report(code, is_success), deadline)
        self._note_answer(answer, (code, is_success))
        return answer

    def report_together(self, codes: Sequence[str], by: Any = None) -> Answer:
        """Report these payments as paid, in one call."""
        for code in codes:
            self._note(self.history.attempted, (code, True))
        request = BatchReportPaymentResultsRequest(requests=[_report(code, is_success=True) for code in codes])
        answer = _call((by or self.clients.payment).payments.BatchReportPaymentResults, request)
        if answer.is_ok:
            for result in answer.value.results:
                if result.HasField("response"):
                    self._note(self.history.acknowledged, (result.payment_code, True))
        return answer

    def notify(self, request: OrderNotifyRequest, deadline: float = 60.0) -> Answer:
        """Notify the order side, past the payment side."""
        return _call(self._notify.OrderNotify, request, deadline)

    def notify_at_once(self, code: str, count: int) -> list[Any]:
        """The same notification so many times at once."""
        calls = [self._notify.OrderNotify.future(notification(code), timeout=60.0) for _ in range(count)]
        return [call.result() for call in calls]

    def schedule(self, code: str) -> Any:
        """How the delivery stands, with its attempts."""
        request = GetNotifyScheduleRequest(platform_id=PLATFORM, payment_code=code)
        return self.clients.payment.schedules.GetNotifySchedule(request, timeout=_DEADLINE)

    def hindrances(self, code: str) -> list[HindranceKind.ValueType]:
        """What keeps a notification from being sent now, as an operator is told."""
        request = ExplainNotifyScheduleRequest(platform_id=PLATFORM, payment_code=code)
        answer = self.clients.payment.schedules.ExplainNotifySchedule(request, timeout=_DEADLINE)
        return [hindrance.kind for hindrance in answer.hindrances]

    def retry(self, action: RetryAction.ValueType, codes: Sequence[str]) -> Answer:
        """Have an operator ask for this; OK if every one of them was changed."""
        request = RetryNotifySchedulesRequest(
            action=action,
            keys=[PaymentKey(platform_id=PLATFORM, payment_code=code) for code in codes],
            operator=OPERATOR,
            reason="a test",
        )
        answer = _call(self.clients.payment.schedules.RetryNotifySchedules, request)
        if answer.is_ok and answer.value.changed_count < len(codes):
            refused = next(result.error for result in answer.value.results if result.HasField("error"))
            return Answer(answer.value, grpc.StatusCode.FAILED_PRECONDITION, refused.reason)
        return answer

    def stock(self, sku: str, on_hand: int) -> Answer:
        """Set what is on hand."""
        request = SetInventoryRequest(sku=sku, on_hand=on_hand, operator=OPERATOR, reason="a test")
        return _call(self.clients.order.orders.SetInventory, request)

    def open_follow_ups(self, order_no: str) -> list[Any]:
        """What is listed as still to be done for an order."""
        request = ListOrderFollowUpsRequest(order_no=order_no)
        answer = self.clients.order.orders.ListOrderFollowUps(request, timeout=_DEADLINE)
        return list(answer.order_follow_ups)

    def _note(self, where: set[tuple[str, bool]], what: tuple[str, bool]) -> None:
        with self._lock:
            where.add(what)

    def _note_answer(self, answer: Answer, what: tuple[str, bool]) -> None:
        if answer.is_ok:
            self._note(self.history.acknowledged, what)
        elif answer.code is grpc.StatusCode.FAILED_PRECONDITION:
            self._note(self.history.refused, what)


def _report(code: str, is_success: bool) -> ReportPaymentResultRequest:
    status = PAYMENT_STATUS_SUCCESS if is_success else PAYMENT_STATUS_FAILED
    return ReportPaymentResultRequest(platform_id=PLATFORM, payment_code=code, status=status)


def _call(method: Any, request: Any, deadline: float = _DEADLINE) -> Answer:
    try:
        return Answer(method(request, timeout=deadline))
    except grpc.RpcError as error:
        return Answer(code=error.code(), reason=reason_of(error))
