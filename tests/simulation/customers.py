"""Those who use the system: customers who order and pay, platforms that report, operators who look after things.

They speak RPC only, over the same faulty network, and make a call again until it has an answer that decides it. Owns
the history: what was asked for, and what was answered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from paylatch.order.v1 import batch_pb2, order_pb2
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1 import order_service_pb2 as order_pb
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from paylatch.payment.v1 import notify_schedule_service_pb2 as schedule_pb
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1 import payment_service_pb2 as payment_pb
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from tests.simulation.faults import CRASHES, Boundary, Fault
from tests.simulation.network import Channels, RpcFailed
from tests.simulation.turns import Crash
from tests.simulation.watch import Key, require
from tests.simulation.world import World

Response = TypeVar("Response")

SUCCESS, FAILED = payment_enums.PAYMENT_STATUS_SUCCESS, payment_enums.PAYMENT_STATUS_FAILED
_STORED = {SUCCESS: 1, FAILED: 2}
PATIENCE = 3.0
AGAIN_AFTER = 0.7
PLATFORM = "alipay"
WHO: dict[str, Any] = {"operator": "anna", "reason": "somebody has to"}

DECIDED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""Answers that say for certain that nothing was done, and never will be by the same call."""


@dataclass(frozen=True)
class Payment:
    """A payment somebody makes, and how it ends. contradicted: the platform reports the opposite outcome too."""

    code: str
    order_no: str
    amount: int
    target: str
    status: Any = SUCCESS
    reports: int = 1
    contradicted: bool = False

    @property
    def key(self) -> Key:
        return PLATFORM, self.code


@dataclass
class History:
    """What was asked for, and answered OK. Statuses as they are stored."""

    orders: set[str] = field(default_factory=set)
    payments: dict[Key, Payment] = field(default_factory=dict)
    attempted: dict[Key, int] = field(default_factory=dict)
    acknowledged: dict[Key, int] = field(default_factory=dict)
    refused: dict[Key, int] = field(default_factory=dict)


class Person:
    """Somebody outside, who never dies. busy: tasks that are not done."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.is_alive = True
        self.frozen_until = 0.0
        self.world = world
        self.busy = 0
        self._channels = Channels(world.network, world.turns, self)

    def fault_at(self, boundary: Boundary, what: str) -> Fault | None:
        """What goes wrong with a call, but for the person's own death."""
        fault = self.world.given.plan.at(boundary, self.name, what)
        if fault in CRASHES:
            return None
        if fault is not None:
            self.world.counts[fault.value] += 1
            self.world.turns.note(self, f"! {fault.value}")
        return fault

    def crash(self) -> Crash:
        raise NotImplementedError

    def begins_call(self, method: str, request: Any) -> None:
        """Nobody counts a person's calls."""

    def begin(self, run: Callable[[], object], after: float = 0.0) -> None:
        """Begin something that will be done."""
        self.busy += 1

        def and_be_done() -> None:
            run()
            self.busy -= 1

        self.world.turns.spawn(self, and_be_done, after)

    def orders(self) -> OrderServiceStub:
        """An order server, any."""
        return OrderServiceStub(self._channels.get(self.world.turns.random.choice(self.world.targets)))

    def payments(self) -> PaymentServiceStub:
        """A payment server, any."""
        return PaymentServiceStub(self._channels.get(self.world.turns.random.choice(self.world.payment_addresses)))

    def schedules(self) -> NotifyScheduleServiceStub:
        """A payment server, any."""
        address = self.world.turns.random.choice(self.world.payment_addresses)
        return NotifyScheduleServiceStub(self._channels.get(address))

    def insist(self, ask: Callable[[], Response]) -> Response:
        """The answer that decides. RpcFailed if it is a refusal."""
        while True:
            try:
                return ask()
            except RpcFailed as error:
                if error.code() in DECIDED:
                    raise
            self.world.turns.pause(AGAIN_AFTER)

    def try_to(self, ask: Callable[[], Response]) -> Response | None:
        """The answer, if there is a good one."""
        try:
            return ask()
        except RpcFailed:
            return None


class Customers(Person):
    """Order, pay, and have it reported."""

    def __init__(self, world: World) -> None:
        super().__init__("customer", world)
        self.history = History()

    def order(self, order_no: str, amount: int, items: Sequence[tuple[str, int, Any]] = ()) -> None:
        """Create an order, for certain; a second time, to the same effect."""
        request = order_pb.CreateOrderRequest(
            order_no=order_no,
            amount_minor=amount,
            currency_code="USD",
            items=[order_pb2.OrderItem(sku=sku, quantity=quantity, kind=kind) for sku, quantity, kind in items],
        )
        answer = self.insist(lambda: self.orders().CreateOrder(request, timeout=PATIENCE))
        require(answer.order.amount_minor == amount, "answers", answer)
        self.history.orders.add(order_no)

    def start_payment(self, order_no: str) -> None:
        """Say that paying begins, if that is possible."""
        request = order_pb.StartPaymentRequest(order_no=order_no, operator="customer", description="pays now")
        self.try_to(lambda: self.insist(lambda: self.orders().StartPayment(request, timeout=PATIENCE)))

    def cancel(self, order_no: str) -> None:
        """Cancel an order, if that is possible."""
        request = order_pb.CancelOrderRequest(order_no=order_no, operator="customer", description="changed my mind")
        self.try_to(lambda: self.insist(lambda: self.orders().CancelOrder(request, timeout=PATIENCE)))

    def create_payment(self, payment: Payment) -> None:
        """Create a payment, for certain."""
        request = payment_pb.CreatePaymentRequest(
            platform_id=PLATFORM,
            payment_code=payment.code,
            order_no=payment.order_no,
            amount_minor=payment.amount,
            currency_code="USD",
            notify_url=payment.target,
        )
        self.insist(lambda: self.payments().CreatePayment(request, timeout=PATIENCE))
        self.history.payments[payment.key] = payment

    def report(self, payment: Payment) -> None:
        """Report how a payment ended, for certain; as often as the platform does, and then otherwise if it does."""
        for _ in range(payment.reports):
            request = _report(payment, payment.status)
            self.history.attempted[payment.key] = _STORED[payment.status]
            answer = self.insist(lambda request=request: self.payments().ReportPaymentResult(request, timeout=PATIENCE))  # type: ignore[misc]
            require(answer.payment.payment_code == payment.code, "answers", payment, "got", answer)
            require(answer.payment.status == payment.status, "answers", answer)
            self.history.acknowledged[payment.key] = _STORED[payment.status]
        if payment.contradicted:
            self._contradict(payment)

    def report_together(self, payments: Sequence[Payment]) -> None:
        """Report many payments in one call, until each is decided."""
        open_ = {payment.key: payment for payment in payments}
        while open_:
            for key, payment in open_.items():
                self.history.attempted[key] = _STORED[payment.status]
            request = payment_pb.BatchReportPaymentResultsRequest(
                requests=[_report(payment, payment.status) for payment in open_.values()]
            )
            answer = self.insist(lambda r=request: self.payments().BatchReportPaymentResults(r, timeout=PATIENCE))  # type: ignore[misc]
            for result in answer.results:
                if result.HasField("response"):
                    done = open_.pop((result.platform_id, result.payment_code))
                    require(result.response.payment.status == done.status, "answers", result)
                    self.history.acknowledged[done.key] = _STORED[done.status]
            self.world.turns.pause(AGAIN_AFTER)

    def _contradict(self, payment: Payment) -> None:
        opposite = FAILED if payment.status == SUCCESS else SUCCESS
        try:
            self.insist(lambda: self.payments().ReportPaymentResult(_report(payment, opposite), timeout=PATIENCE))
        except RpcFailed as error:
            require(error.code() is grpc.StatusCode.FAILED_PRECONDITION, "answers", error)
            self.history.refused[payment.key] = _STORED[opposite]
            return
        require(False, "no loss", "the opposite outcome of", payment, "was taken")


def _report(payment: Payment, status: Any) -> payment_pb.ReportPaymentResultRequest:
    return payment_pb.ReportPaymentResultRequest(
        platform_id=PLATFORM, payment_code=payment.code, status=status, amount_minor=payment.amount, currency_code="USD"
    )


class Operator(Person):
    """Has things tried again, and decides what only a person can."""

    def __init__(self, world: World) -> None:
        super().__init__("operator", world)

    def retry(self, action: Any, keys: Sequence[Key], *, validate_only: bool = False) -> int:
        """Have schedules tried again; how many were changed as far as the answer came."""
        request = schedule_pb.RetryNotifySchedulesRequest(
            action=action,
            keys=[batch_pb2.PaymentKey(platform_id=platform, payment_code=code) for platform, code in keys],
            validate_only=validate_only,
            **WHO,
        )
        answer = self.try_to(lambda: self.schedules().RetryNotifySchedules(request, timeout=PATIENCE))
        return answer.changed_count if answer is not None and not validate_only else 0

    def abandon(self, key: Key) -> int:
        """Close a schedule that is not delivered; how many were."""
        request = schedule_pb.AbandonNotifySchedulesRequest(
            keys=[batch_pb2.PaymentKey(platform_id=key[0], payment_code=key[1])], **WHO
        )
        answer = self.try_to(lambda: self.schedules().AbandonNotifySchedules(request, timeout=PATIENCE))
        return answer.changed_count if answer is not None else 0

    def pause(self, target: str) -> None:
        """Have nothing sent to a target, if that is possible."""
        request = schedule_pb.PauseNotifyTargetRequest(notify_url=target, **WHO)
        self.try_to(lambda: self.schedules().PauseNotifyTarget(request, timeout=PATIENCE))

    def resume(self, target: str) -> None:
        """Have a target sent to again, if it is paused."""
        request = schedule_pb.ResumeNotifyTargetRequest(notify_url=target, **WHO)
        self.try_to(lambda: self.schedules().ResumeNotifyTarget(request, timeout=PATIENCE))

    def requeue_failed(self) -> int:
        """Requeue what was given up."""
        keys = [row.key for row in self.world.watch.payment.schedules.values() if row.status == 2]
        return self.retry(payment_enums.RETRY_ACTION_REQUEUE, keys) if keys else 0

    def resolve(self, key: Key, resolution: Any) -> None:
        """Close a payment exception, if that is possible."""
        request = order_pb.ResolvePaymentExceptionRequest(
            platform_id=key[0], payment_code=key[1], resolution=resolution, **WHO
        )
        self.try_to(lambda: self.orders().ResolvePaymentException(request, timeout=PATIENCE))

    def retry_follow_up(self, order_no: str, name: str, sku: str) -> None:
        """Try a follow-up again."""
        request = order_pb.RetryOrderFollowUpRequest(order_no=order_no, name=name, sku=sku, **WHO)
        self.try_to(lambda: self.orders().RetryOrderFollowUp(request, timeout=PATIENCE))

    def stock(self, sku: str, units: int) -> None:
        """Set the stock of a sku, for certain."""
        request = order_pb.SetInventoryRequest(sku=sku, on_hand=units, **WHO)
        self.world.watch.stock[sku] = units
        self.insist(lambda: self.orders().SetInventory(request, timeout=PATIENCE))


GOODS, VOUCHER = order_enums.ITEM_KIND_GOODS, order_enums.ITEM_KIND_VOUCHER
RETURNED, ACCEPTED = order_enums.EXCEPTION_RESOLUTION_RETURNED, order_enums.EXCEPTION_RESOLUTION_ACCEPTED
