"""Creating orders and payments and reporting their results, by a bounded number of callers at once.

Owns how a call is made again: after UNAVAILABLE or DEADLINE_EXCEEDED its effect is unknown, the same call decides it.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar
from zlib import crc32

import grpc

from cli.clients import CallFailed, CannotRun, Clients, Server
from cli.demo.board import Board
from cli.demo.orders import CURRENCY, DemoOrder
from core.clock import Clock
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_SUCCESS
from paylatch.payment.v1.payment_service_pb2 import CreatePaymentRequest, ReportPaymentResultRequest

PLATFORM = "demo"
"""The platform of every payment; the payment's code is the order's number."""

CALLERS = 16

_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_DEADLINE_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_GIVE_UP_SECONDS = 120.0

Request = TypeVar("Request")
Response = TypeVar("Response")


class Persistence:
    """Makes a call until it is decided. Counts how often it had to be made again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._made_again = 0

    @property
    def made_again(self) -> int:
        """Calls that were made once more."""
        with self._lock:
            return self._made_again

    @property
    def is_stopping(self) -> bool:
        """Whether no call shall begin."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Make no call again."""
        self._stopping.set()

    def call(
        self, server: Server, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """The answer. While the server is away, waits for it.

        Raises:
            CallFailed: the server refused.
            CannotRun: it was away for longer than anybody should wait.
        """
        gives_up = self._clock.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                return method(request, timeout=_DEADLINE_SECONDS, wait_for_ready=True)
            except grpc.RpcError as error:
                failure = CallFailed(str(server), error)
                if error.code() not in _AGAIN:
                    raise failure from error
                if self._stopping.is_set() or self._clock.monotonic() > gives_up:
                    raise CannotRun(f"{failure}, for {_GIVE_UP_SECONDS:g} s now") from error
            with self._lock:
                self._made_again += 1
            self._stopping.wait(_PAUSE_SECONDS)


class Payers:
    """The callers: so many threads, each making one call after the other. Payments are spread over the targets."""

    def __init__(self, clients: Clients, targets: Sequence[str], board: Board, persistence: Persistence) -> None:
        self._clients = clients
        self._targets = targets
        self._board = board
        self._persistence = persistence
        self._threads = ThreadPoolExecutor(CALLERS, thread_name_prefix="payer")

    def create(self, orders: Iterable[DemoOrder]) -> list[Future[None]]:
        """Create each order and its payment; what is refused goes onto the board."""
        return self._share(orders, self._create)

    def report(self, orders: Iterable[DemoOrder], after_report: Callable[[int], None]) -> list[Future[None]]:
        """Report each payment as paid. after_report: told the how many-th answer it was, by the caller that got it."""

        def action(order: DemoOrder) -> None:
            self._report(order)
            after_report(self._board.settle(order))

        return self._share(orders, action)

    def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._persistence.stop()
        self._threads.shutdown()

    def _share(self, orders: Iterable[DemoOrder], action: Callable[[DemoOrder], None]) -> list[Future[None]]:
        left: SimpleQueue[DemoOrder] = SimpleQueue()
        for order in orders:
            left.put(order)
        return [self._threads.submit(self._work, left, action) for _ in range(CALLERS)]

    def _work(self, left: "SimpleQueue[DemoOrder]", action: Callable[[DemoOrder], None]) -> None:
        while not self._persistence.is_stopping:
            try:
                order = left.get_nowait()
            except Empty:
                return
            action(order)

    def _create(self, order: DemoOrder) -> None:
        orders, payments = self._clients.order, self._clients.payment
        try:
            self._persistence.call(orders.server, orders.orders.CreateOrder, order.request)
            self._persistence.call(payments.server, payments.payments.CreatePayment, self._payment_of(order))
        except CallFailed as refusal:
            self._board.refuse(order, ": ".join([str(refusal), *refusal.violations]))
        else:
            self._board.create(order)

    def _payment_of(self, order: DemoOrder) -> CreatePaymentRequest:
        return CreatePaymentRequest(
            platform_id=PLATFORM,
            payment_code=order.order_no,
            order_no=order.order_no,
            amount_minor=order.amount_minor,
            currency_code=CURRENCY,
            notify_url=self._target_of(order),
        )

    def _target_of(self, order: DemoOrder) -> str:
        """The same for the same order, whoever asks and how often."""
        return self._targets[crc32(order.order_no.encode()) % len(self._targets)]

    def _report(self, order: DemoOrder) -> None:
        payments = self._clients.payment
        request = ReportPaymentResultRequest(
            platform_id=PLATFORM,
            payment_code=order.order_no,
            status=PAYMENT_STATUS_SUCCESS,
            trade_no=f"trade-{order.order_no}",
            amount_minor=order.amount_minor,
            currency_code=CURRENCY,
        )
        self._persistence.call(payments.server, payments.payments.ReportPaymentResult, request)
