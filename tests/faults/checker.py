"""What must be true of the two databases after any fault: the invariants, and the history of every report.

Reads both databases past the servers, as no part of the product may. Knows nothing of the faults.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import (
    Disposition,
    NotifyOutcome,
    OrderPaymentStatus,
    PaymentStatus,
    ResultStatus,
    ScheduleStatus,
)
from core.rules.limits import MAX_ERROR_BYTES
from core.store.database import Database
from core.store.transaction import Row
from order_server.rules import StatusName
from order_server.tables import Order, OrderPaymentNotify, OrderStatusLog
from payment_server.tables import Payment
from tests.faults.customer import History

MONEY_TAKEN = (
    Disposition.APPLIED,
    Disposition.DUPLICATE_PAYMENT,
    Disposition.ORDER_CANCELLED,
    Disposition.AMOUNT_MISMATCH,
)


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The reports of successes, as Jepsen's total-queue counts what went in and what came out.

    lost: acknowledged, and neither with the order side nor visibly open. unexpected: with the order side, and never
    attempted. recovered: never acknowledged, and with the order side all the same.
    """

    attempted: int
    acknowledged: int
    applied: int
    lost: Collection[str]
    duplicated: Collection[str]
    unexpected: Collection[str]
    recovered: Collection[str]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each."""
        return {
            "attempted": self.attempted,
            "acknowledged": self.acknowledged,
            "applied": self.applied,
            "lost": len(self.lost),
            "duplicated": len(self.duplicated),
            "unexpected": len(self.unexpected),
            "recovered": len(self.recovered),
        }


class Books:
    """Everything on record of the payments and orders whose codes begin with `prefix`, as it was when this was made."""

    def __init__(self, payment: Database, order: Database, prefix: str) -> None:
        self.payments, self.results, self.schedules, self.attempts = payment.read(
            lambda tx: (
                tx.rows(Payment.select().where(Payment.payment_code.startswith(prefix))),
                tx.rows(
                    PaymentResult.select()
                    .join(Payment, on=Payment.id == PaymentResult.payment_id)
                    .where(Payment.payment_code.startswith(prefix))
                ),
                tx.rows(NotifySchedule.select().where(NotifySchedule.payment_code.startswith(prefix))),
                tx.rows(
                    NotifyAttempt.select()
                    .join(NotifySchedule, on=NotifySchedule.id == NotifyAttempt.schedule_id)
                    .where(NotifySchedule.payment_code.startswith(prefix))
                ),
            )
        )
        self.orders, self.notifies, self.changes = order.read(
            lambda tx: (
                tx.rows(Order.select().where(Order.order_no.startswith(prefix))),
                tx.rows(OrderPaymentNotify.select().where(OrderPaymentNotify.payment_code.startswith(prefix))),
                tx.rows(OrderStatusLog.select().where(OrderStatusLog.order_no.startswith(prefix))),
            )
        )

    @property
    def is_settled(self) -> bool:
        """Whether no notification is on its way."""
        return all(row.notify_status != ScheduleStatus.NOTIFYING for row in self.schedules)

    @property
    def successes(self) -> list[Row]:
        """The payments that succeeded."""
        return [row for row in self.payments if row.status == PaymentStatus.SUCCESS]

    def hold_invariants(self, purged: Collection[str] = ()) -> None:
        """All of them, of what is settled. purged: codes whose schedules were deleted as finished."""
        self._hold_triple(purged)
        self._hold_one_effect()
        self._hold_no_phantom()
        self._hold_no_false_acknowledgement()
        self._hold_healed()
        self._hold_money()
        self._hold_bounds()
        self._hold_monotonic()

    def tally(self, history: History, prefix: str) -> Tally:
        """The history against the books."""
        attempted = {code for code, is_success in history.attempted if is_success and code.startswith(prefix)}
        acknowledged = {code for code, is_success in history.acknowledged if is_success and code.startswith(prefix)}
        notified = Counter(row.payment_code for row in self.notifies if row.status == NotifyOutcome.SUCCESS)
        given_up = {row.payment_code for row in self.schedules if row.notify_status == ScheduleStatus.FAILED}
        paid = {row.payment_code for row in self.successes}
        # A payment is applied twice if its row is there twice, or if its order was moved to paid twice.
        moves = Counter(
            row.order_no
            for row in self.changes
            if row.status_name == StatusName.PAYMENT_STATUS and row.to_status == OrderPaymentStatus.PAID
        )
        return Tally(
            attempted=len(attempted),
            acknowledged=len(acknowledged),
            applied=sum(row.disposition == Disposition.APPLIED for row in self.notifies if row.status == 1),
            lost=sorted((acknowledged - set(notified) - given_up) | (acknowledged - paid)),
            duplicated=sorted(
                [code for code, times in notified.items() if times > 1]
                + [order_no for order_no, times in moves.items() if times > 1]
            ),
            unexpected=sorted(set(notified) - attempted),
            recovered=sorted(set(notified) - acknowledged),
        )

    def _hold_triple(self, purged: Collection[str]) -> None:
        """1. Settled, a result and a schedule: all three or none."""
        results = Counter(row.payment_id for row in self.results)
        schedules = Counter(row.payment_id for row in self.schedules)
        for payment in self.payments:
            wanted = int(payment.status != PaymentStatus.WAITING)
            scheduled = 0 if payment.payment_code in purged else wanted
            found = (results[payment.id], schedules[payment.id])
            _hold(found == (wanted, scheduled), f"1 atomic triple: {payment.payment_code} has {found}")

    def _hold_one_effect(self) -> None:
        """2. One row per payment, at most one applied success per order, and that is who paid it."""
        keys = Counter((row.platform_id, row.payment_code) for row in self.notifies)
        _hold(all(times == 1 for times in keys.values()), f"2 one effect: {keys.most_common(1)}")
        payers: dict[str, set[tuple[str, str]]] = {}
        for row in self.notifies:
            if row.status == NotifyOutcome.SUCCESS and row.disposition == Disposition.APPLIED:
                payers.setdefault(row.order_no, set()).add((row.platform_id, row.payment_code))
        for order in self.orders:
            paid_by = {(order.paid_platform_id, order.paid_payment_code)} if order.paid_payment_code else set()
            found = payers.get(order.order_no, set())
            _hold(found == paid_by, f"2 one effect: order {order.order_no} is paid by {paid_by}, applied were {found}")

    def _hold_no_phantom(self) -> None:
        """3. A paid order has a successful payment of the same money."""
        money = {(row.platform_id, row.payment_code): _money(row) for row in self.successes}
        for order in self.orders:
            if order.payment_status == OrderPaymentStatus.PAID:
                found = money.get((order.paid_platform_id, order.paid_payment_code))
                _hold(found == _money(order), f"3 no phantom: order {order.order_no} {_money(order)}, payment {found}")

    def _hold_no_false_acknowledgement(self) -> None:
        """4. What the payment side takes for delivered, the order side has, with the same disposition."""
        notified = {(row.platform_id, row.payment_code): row.disposition for row in self.notifies}
        results = {row.payment_id: row for row in self.results}
        for row in self.schedules:
            result = results[row.payment_id]
            is_finished = row.notify_status == ScheduleStatus.SUCCESS
            told = (result.notify_status == ResultStatus.NOTIFIED, result.disposition)
            wanted = (is_finished, notified.get((row.platform_id, row.payment_code)) if is_finished else None)
            _hold(told == wanted, f"4 no false acknowledgement: {row.payment_code} says {told}, not {wanted}")
            _hold(not is_finished or wanted[1] is not None, f"4 no false acknowledgement: {row.payment_code}")

    def _hold_healed(self) -> None:
        """7. Every schedule is finished, or given up with a reason."""
        for row in self.schedules:
            _hold(row.notify_status != ScheduleStatus.NOTIFYING, f"7 healing: {row.payment_code} is still on its way")
            _hold(
                row.notify_status == ScheduleStatus.SUCCESS or bool(row.last_message),
                f"7 healing: {row.payment_code} was given up without a reason",
            )
            _hold(row.claim_token is None, f"7 healing: {row.payment_code} is finished and claimed")

    def _hold_money(self) -> None:
        """8. Per currency, what the order side took down and what is not delivered is what was paid."""
        taken = {
            (row.platform_id, row.payment_code): row
            for row in self.notifies
            if row.status == NotifyOutcome.SUCCESS and row.disposition in MONEY_TAKEN
        }
        paid: Counter[str] = Counter()
        accounted: Counter[str] = Counter()
        for payment in self.successes:
            paid[payment.currency_code] += payment.amount_minor
            row = taken.pop((payment.platform_id, payment.payment_code), payment)
            accounted[row.currency_code] += row.amount_minor
        for left in taken.values():
            accounted[left.currency_code] += left.amount_minor
        _hold(paid == accounted, f"8 money: paid {paid}, accounted for {accounted}")

    def _hold_bounds(self) -> None:
        """10. Texts are capped, and attempts are numbered without a gap and never overlap in number."""
        texts = [row.last_message or "" for row in self.schedules] + [row.message for row in self.attempts]
        _hold(all(len(text.encode()) <= MAX_ERROR_BYTES for text in texts), "10 bounds: an error text is too long")
        numbers: dict[int, list[int]] = {}
        for attempt in self.attempts:
            numbers.setdefault(attempt.schedule_id, []).append(attempt.number)
        for row in self.schedules:
            found = sorted(numbers.get(row.id, []))
            wanted = list(range(1, row.attempt_count + 1))
            _hold(found == wanted, f"10 bounds: {row.payment_code} counts {row.attempt_count}, and has {found}")

    def _hold_monotonic(self) -> None:
        """11. No order was ever paid and then not: its log goes on from where it stood, and never leaves paid."""
        logs: dict[tuple[str, int], list[Row]] = {}
        for row in sorted(self.changes, key=lambda row: int(row.id)):
            logs.setdefault((row.order_no, row.status_name), []).append(row)
        for (order_no, name), rows in logs.items():
            is_joined = all(one.to_status == other.from_status for one, other in pairwise(rows))
            left = [row for row in rows if name == StatusName.PAYMENT_STATUS and row.from_status == 2]
            _hold(is_joined and not left, f"11 monotonic: order {order_no} went {[row.to_status for row in rows]}")


def acknowledged_stays(books: Books, history: History, prefix: str) -> None:
    """5. A report that was answered OK is there; an opposite one that was refused is written down."""
    by_code = {row.payment_code: row for row in books.payments}
    for code, is_success in history.acknowledged:
        if code.startswith(prefix):
            wanted = PaymentStatus.SUCCESS if is_success else PaymentStatus.FAILED
            found = by_code[code].status if code in by_code else None
            _hold(found == wanted, f"5 no loss: {code} was answered {wanted}, and is {found}")
    for code, _ in history.refused:
        if code.startswith(prefix):
            _hold(by_code[code].conflict_time is not None, f"5 no loss: the refused outcome of {code} is gone")


def _money(row: Row) -> Mapping[str, Any]:
    return {"order_no": row.order_no, "amount_minor": row.amount_minor, "currency_code": row.currency_code}


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)
