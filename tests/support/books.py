"""What the two databases of a system say in the end. Owns what must be true of them after any storm."""

from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from typing import Any

from core.clock import SystemClock
from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import (
    Disposition,
    NotifyOutcome,
    OrderPaymentStatus,
    OrderStatus,
    PaymentStatus,
    ResultStatus,
    ScheduleStatus,
)
from core.rules.outcome import OK
from core.settings import Settings
from core.store.database import Database
from core.store.transaction import Row
from order_server.tables import Order, OrderPaymentNotify, OrderStatusLog
from payment_server.tables import Payment
from tests.support.databases import opened


class Books:
    """Everything that is on record, as it was when this was made."""

    def __init__(self, settings: Settings) -> None:
        self.lease = settings.notify_lease
        with opened(settings.payment_database_url, SystemClock()) as database:
            self.payments, self.results = _rows(database, Payment), _rows(database, PaymentResult)
            self.schedules, self.attempts = _rows(database, NotifySchedule), _rows(database, NotifyAttempt)
        with opened(settings.order_database_url, SystemClock()) as database:
            self.orders, self.notifies = _rows(database, Order), _rows(database, OrderPaymentNotify)
            self.changes = _rows(database, OrderStatusLog)
        order_of = {schedule.id: schedule.order_no for schedule in self.schedules}
        self._attempts: dict[str, list[Row]] = {order_no: [] for order_no in order_of.values()}
        for attempt in sorted(self.attempts, key=lambda attempt: int(attempt.number)):
            self._attempts[order_of[attempt.schedule_id]].append(attempt)

    def hold_one_effect_of(self, payment_codes: Collection[str]) -> None:
        """Each of these payments, and no other, has paid its order, once; both sides say so."""
        paid = {payment.payment_code for payment in self.payments if payment.status == PaymentStatus.SUCCESS}
        assert paid == set(payment_codes)
        of_id = {payment.id: payment.payment_code for payment in self.payments}
        results = [(of_id[row.payment_id], row.notify_status, row.disposition) for row in self.results]
        assert sorted(results) == [(code, ResultStatus.NOTIFIED, Disposition.APPLIED) for code in sorted(paid)]
        schedules = [(row.payment_code, row.notify_status, row.claim_token) for row in self.schedules]
        assert sorted(schedules) == [(code, ScheduleStatus.SUCCESS, None) for code in sorted(paid)]
        notifies = [(row.payment_code, row.status, row.disposition) for row in self.notifies]
        assert sorted(notifies) == [(code, NotifyOutcome.SUCCESS, Disposition.APPLIED) for code in sorted(paid)]
        self._hold_orders_paid_once()

    def hold_attempts_in_turn(self) -> None:
        """No row had two holders at a time: attempts are numbered without a gap, and none began within a lease."""
        for schedule in self.schedules:
            attempts = self.attempts_on(schedule.order_no)
            assert [attempt.number for attempt in attempts] == list(range(1, schedule.attempt_count + 1)), attempts
            assert schedule.notify_count == schedule.attempt_count
            assert OK in {attempt.code for attempt in attempts}, attempts
            for one, following in pairwise(attempts):
                assert following.start_time >= min(one.finish_time, one.start_time + self.lease), (one, following)

    def attempts_on(self, order_no: str) -> list[Row]:
        """The attempts to tell an order of its only payment, by their number."""
        return self._attempts[order_no]

    def deliveries_by_process(self) -> Counter[int]:
        """How many attempts succeeded, by the id of the process that made them."""
        return Counter(int(row.made_by.split(":")[1]) for row in self.attempts if row.code == OK)

    def _hold_orders_paid_once(self) -> None:
        payer = {notify.order_no: (notify.platform_id, notify.payment_code) for notify in self.notifies}
        assert len(payer) == len(self.notifies)
        for order in self.orders:
            expected = (OrderStatus.PAID, OrderPaymentStatus.PAID, *payer[order.order_no])
            assert (
                order.order_status,
                order.payment_status,
                order.paid_platform_id,
                order.paid_payment_code,
            ) == expected
        assert Counter(change.order_no for change in self.changes) == dict.fromkeys(payer, 2)


def _rows(database: Database, model: Any) -> list[Row]:
    return database.read(lambda tx: tx.rows(model.select()))
