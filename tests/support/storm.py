"""Customers who do everything twice at once: the same call by two servers, whichever of the two is first."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from paylatch.order.v1.order_enums_pb2 import DISPOSITION_APPLIED
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_SUCCESS
from tests.support.processes import System
from tests.support.shop import Shop, notification, report

CALLERS = 8
_DEADLINE_SECONDS = 20.0


class Storm:
    """Goes through both of two payment servers and order servers. Payments are told to the two targets in turn."""

    def __init__(self, system: System) -> None:
        self._open = ExitStack()
        self.shops = [self._open.enter_context(Shop(system.settings_by(number))) for number in (1, 2)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def create(self, order_nos: Sequence[str]) -> None:
        """Create these orders, by the first order server, and their payments."""
        _each(self._create, list(enumerate(order_nos)))

    def report(self, order_nos: Sequence[str]) -> None:
        """Report each by both payment servers at once; both say that it is paid."""
        _each(self._report, order_nos)

    def notify(self, order_nos: Sequence[str]) -> None:
        """Notify both order servers at once of each, past the payment side; both say that it was applied."""
        _each(self._notify, order_nos)

    def _create(self, numbered: tuple[int, str]) -> None:
        number, order_no = numbered
        self.shops[0].create_orders([order_no])
        self.shops[number % 2].create_payments([order_no])

    def _report(self, order_no: str) -> None:
        answers = _at_once([shop.clients.payment.payments.ReportPaymentResult for shop in self.shops], report(order_no))
        assert [answer.payment.status for answer in answers] == [PAYMENT_STATUS_SUCCESS] * 2
        assert answers[0].payment.settle_time == answers[1].payment.settle_time

    def _notify(self, order_no: str) -> None:
        answers = _at_once([shop.notifications.OrderNotify for shop in self.shops], notification(order_no))
        assert [answer.disposition for answer in answers] == [DISPOSITION_APPLIED] * 2
        assert any(answer.is_repeated for answer in answers)


def _each(work: Callable[[Any], None], items: Sequence[Any]) -> None:
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(work, items))


def _at_once(methods: Sequence[Any], request: Any) -> list[Any]:
    calls = [method.future(request, timeout=_DEADLINE_SECONDS, wait_for_ready=True) for method in methods]
    return [call.result() for call in calls]
