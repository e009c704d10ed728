"""What must be true when a run has drained: the history of what was asked and answered, against both databases."""

from collections import Counter
from typing import Any

from tests.simulation.customers import History
from tests.simulation.watch import APPLIED, CANCELLED, DUPLICATE, FAILED, MISMATCH, NOTIFYING, Watch, require

REFUSALS = frozenset({3, 6, 9, 11, 15})
"""Codes by which an item is refused for good (SPEC 7). Nothing that is sent here is nonsense."""


def is_settled(watch: Watch) -> bool:
    """Whether no schedule is being delivered any more."""
    return all(row.status != NOTIFYING for row in watch.payment.schedules.values())


def check_at_the_end(watch: Watch, history: History, alarms: Counter[tuple[str, Any]]) -> None:
    """Nothing lost, nothing twice, and the money adds up."""
    _check_answers(watch, history, alarms)
    _check_delivery(watch)
    _check_money(watch)


def _check_answers(watch: Watch, history: History, alarms: Counter[tuple[str, Any]]) -> None:
    payments = {row.key: row for row in watch.payment.payments.values()}
    require(history.orders <= set(watch.order.orders), "no loss", "orders", history.orders)
    require(set(history.payments) == set(payments), "no loss", "payments", set(history.payments) ^ set(payments))
    for key, status in history.attempted.items():
        require(history.acknowledged.get(key) == status, "not trivial", key, "was never answered")
    for key, row in payments.items():
        require(row.status == history.acknowledged.get(key, 0), "no loss", row, history.acknowledged.get(key))
    for key, opposite in history.refused.items():
        require(payments[key].conflict_status == opposite, "no loss", "the opposite outcome of", payments[key])
        require(alarms["payment.conflict", key], "visibly open", "no alarm of the opposite outcome of", payments[key])
    require(any(row.status == 1 for row in payments.values()) or not payments, "not trivial", "no success")


def _check_delivery(watch: Watch) -> None:
    """Every settled payment has reached its order, or stands open with a reason."""
    for row in watch.payment.schedules.values():
        require(row.status != NOTIFYING, "healing", row)
        notify = watch.order.notifies.get(row.key)
        is_open = row.status == FAILED and (row.last_message or row.handled_time)
        require(notify is not None or is_open, "no loss", row)
        require(
            row.status != FAILED or row.last_code not in REFUSALS, "no loss", row, "was refused, and is no nonsense"
        )


def _check_money(watch: Watch) -> None:
    """Per currency: applied + payment exceptions + not yet delivered = successful payments."""
    paid: Counter[str] = Counter()
    accounted: Counter[str] = Counter()
    for row in watch.payment.payments.values():
        if row.status != 1:
            continue
        paid[row.currency] += row.amount
        notify = watch.order.notifies.get(row.key)
        if notify is None or notify.disposition in {APPLIED, DUPLICATE, CANCELLED, MISMATCH}:
            accounted[row.currency] += row.amount
    require(paid == accounted, "money", "paid", dict(paid), "accounted for", dict(accounted))
