"""Customers who order, pay and report without a pause, and make a call that failed again until it is answered."""

import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import grpc

from core.rpc.status import reason_of
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_SUCCESS
from tests.support.processes import System, eventually
from tests.support.shop import Shop, report

CUSTOMERS = 8
_DEADLINE_SECONDS = 20.0
_PAUSE_SECONDS = 0.1
_MADE_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED})


class Customers:
    """A context: they are at work inside it, and have ended what they began when it is left.

    acknowledged: the orders whose reports were answered with OK. failures: how often a call failed, by its reason.
    """

    def __init__(self, system: System) -> None:
        self.acknowledged: list[str] = []
        self.failures: Counter[str] = Counter()
        self._system = system
        self._leaving = threading.Event()
        self._has_failed = False
        self._open = ExitStack()
        self._at_work: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._shops = [self._open.enter_context(Shop(self._system.settings_by(n))) for n in range(CUSTOMERS)]
        threads = self._open.enter_context(ThreadPoolExecutor(CUSTOMERS))
        self._at_work = [threads.submit(self._shop_on, number) for number in range(CUSTOMERS)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._has_failed = error is not None
        self._leaving.set()
        self._open.close()
        if error is None:
            for work in self._at_work:
                work.result()

    def wait_until_served(self) -> None:
        """Wait until one more report is acknowledged."""
        before = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) > before)

    def _shop_on(self, number: int) -> None:
        orders = 0
        while not self._leaving.is_set():
            orders += 1
            self._order_and_pay(self._shops[number], f"C{number}-{orders:05d}")

    def _order_and_pay(self, shop: Shop, order_no: str) -> None:
        self._insist(shop.clients.order.orders.CreateOrder, shop.order_to_create(order_no))
        self._insist(shop.clients.payment.payments.CreatePayment, shop.payment_to_create(order_no))
        answer = self._insist(shop.clients.payment.payments.ReportPaymentResult, report(order_no))
        assert answer.payment.status == PAYMENT_STATUS_SUCCESS
        self.acknowledged.append(order_no)

    def _insist(self, method: Any, request: Any) -> Any:
        """The answer, after making the call again as long as the server says that it may be."""
        while True:
            try:
                return method(request, timeout=_DEADLINE_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in _MADE_AGAIN or self._has_failed:
                    raise
                self.failures[reason_of(error) or error.code().name] += 1
                self._leaving.wait(_PAUSE_SECONDS)
