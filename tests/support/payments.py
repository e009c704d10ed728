"""The payment server's use cases on a real database, without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.outbox.policy import OutboxPolicy
from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import PaymentStatus
from core.store.database import Database
from core.store.transaction import Row
from payment_server.create import CreatePayment, NewPayment
from payment_server.first_attempts import FirstAttempts
from payment_server.operate import OperateSchedules
from payment_server.report import Answer, Report, ReportResults
from payment_server.sender_threads import SenderThreads
from payment_server.tables import Payment
from payment_server.views import PaymentView
from tests.support.clock import TestClock
from tests.support.logs import Log
from tests.support.outbox import POLICY, Outbox
from tests.support.receiver import Receiver, Receivers
from tests.support.rows import TARGET

BOUND = timedelta(seconds=10)


class Payments(Outbox):
    """What a servicer calls, on an outbox that can be worked by hand too. Payments are called by their number."""

    def __init__(
        self, database: Database, clock: TestClock, capacity: int = 100, policy: OutboxPolicy = POLICY
    ) -> None:
        super().__init__(database, clock, policy)
        self.log = Log()
        self.receivers = Receivers()
        caller = OrderNotifyCaller(self.receivers, timedelta(seconds=2), timedelta(seconds=10), clock)
        self.delivery = Delivery(database, caller, self.policy, self.log.logger)
        self.senders = SenderThreads(clock)
        self.first_attempts = FirstAttempts(
            self.delivery,
            lambda: self.lease("payment-server@a"),
            self.senders,
            self.log.logger,
            capacity=capacity,
            batch_size=self.policy.batch_size,
        )
        self.create_payment = CreatePayment(database)
        self.report_results = ReportResults(database, self.first_attempts, self.policy, self.log.logger)
        self.operate_schedules = OperateSchedules(database, self.policy, self.log.logger)

    @property
    def receiver(self) -> Receiver:
        """The order side at the usual target."""
        return self.receivers.at(TARGET)

    def create(self, *numbers: int, **changes: Any) -> list[PaymentView]:
        return [self.create_payment(new_payment(number, **changes)) for number in numbers]

    def report(self, *numbers: int, **told: Any) -> list[Answer]:
        """Report these payments as one group."""
        return self.report_results([report(number, **told) for number in numbers])

    def settle(self, *numbers: int, **told: Any) -> None:
        """Create and report."""
        self.create(*numbers)
        for answer in self.report(*numbers, **told):
            assert isinstance(answer, PaymentView), answer

    def finish_first_attempts(self) -> None:
        """Let everything that is queued be sent, and take no more."""
        self.first_attempts.stop(BOUND)

    def payment(self, number: int = 1) -> Row:
        return self._one(Payment.select().where(Payment.payment_code == f"P-{number}"))

    def triples(self) -> tuple[int, int, int]:
        """How many payments are settled, results, schedules there are."""
        settled = Payment.select().where(Payment.status != PaymentStatus.WAITING)
        return self.database.read(
            lambda tx: (tx.count(settled), tx.count(PaymentResult.select()), tx.count(NotifySchedule.select()))
        )


@contextmanager
def payments_on(database: Database, clock: TestClock, **options: Any) -> Iterator[Payments]:
    """Its threads have ended when the block has."""
    payments = Payments(database, clock, **options)
    try:
        yield payments
    finally:
        payments.finish_first_attempts()


def new_payment(number: int, **changes: Any) -> NewPayment:
    content: dict[str, Any] = {
        "platform_id": "alipay",
        "payment_code": f"P-{number}",
        "order_no": f"O-{number}",
        "amount_minor": 1_234,
        "currency_code": "USD",
        "notify_url": TARGET,
    }
    return NewPayment(**content | changes)


def report(number: int, status: PaymentStatus = PaymentStatus.SUCCESS, **told: Any) -> Report:
    return Report("alipay", f"P-{number}", status, **told)
