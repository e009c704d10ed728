"""Invariant 8: settled successes = applied + payment exceptions + not yet delivered, per currency."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from cli.clients import Key
from cli.reconcile.pair import Pair
from cli.reconcile.sums import Counts, Sum, Tally
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from tests.support.sides import a_notify, a_payment

KEY = Key("card", "P1")
EXCEPTION = order_enums.DISPOSITION_ORDER_CANCELLED


def tally_of(*pairs: Pair) -> Tally:
    tally = Tally()
    for pair in pairs:
        tally.add(pair, is_on_its_way=False)
    return tally


def exception(amount: int, *, is_resolved: bool = False) -> Pair:
    notify = a_notify(KEY, amount)
    notify.disposition = EXCEPTION
    if is_resolved:
        notify.resolution = order_enums.EXCEPTION_RESOLUTION_RETURNED
    return Pair(KEY, a_payment(KEY, amount), notify)


def test_all_settled_money_is_accounted_for() -> None:
    tally = tally_of(
        Pair(KEY, a_payment(KEY, 100), a_notify(KEY, 100)),
        Pair(KEY, a_payment(KEY, 20)),
        exception(3),
        exception(4, is_resolved=True),
    )
    assert tally.sums["USD"] == Sum(settled=127, applied=100, exceptions_open=3, exceptions_resolved=4, undelivered=20)
    assert tally.sums["USD"].difference == 0


def test_each_currency_is_added_up_by_itself() -> None:
    tally = tally_of(*(Pair(KEY, a_payment(KEY, 5, code), a_notify(KEY, 5, code)) for code in ("USD", "JPY", "JPY")))
    assert {code: amounts.settled for code, amounts in tally.sums.items()} == {"USD": 5, "JPY": 10}


def test_failed_payments_move_no_money() -> None:
    tally = tally_of(Pair(KEY, a_payment(KEY, failed=True), a_notify(KEY, failed=True)))
    assert dict(tally.sums) == {}
    assert tally.counts == Counts(payments=1, failed=1, delivered=1)


def test_money_of_a_phantom_is_a_difference() -> None:
    tally = tally_of(Pair(KEY, None, a_notify(KEY, 100)))
    assert tally.sums["USD"].difference == -100
    assert tally.counts == Counts(order_side_only=1)


def test_a_pending_payment_is_not_settled_money() -> None:
    payment = a_payment(KEY, 100)
    payment.status = payment_enums.PAYMENT_STATUS_PENDING
    assert tally_of(Pair(KEY, payment, a_notify(KEY, 100))).sums["USD"].difference == -100


def test_a_success_the_order_side_took_for_a_failure_is_a_difference() -> None:
    assert tally_of(Pair(KEY, a_payment(KEY, 100), a_notify(KEY, 100, failed=True))).sums["USD"].difference == 100


def test_another_amount_or_currency_on_the_order_side_is_a_difference() -> None:
    assert tally_of(Pair(KEY, a_payment(KEY, 100), a_notify(KEY, 90))).sums["USD"].difference == 10
    other = tally_of(Pair(KEY, a_payment(KEY, 100), a_notify(KEY, 100, "EUR"))).sums
    assert (other["USD"].difference, other["EUR"].difference) == (100, -100)


@given(st.lists(st.tuples(st.integers(1, 10**15), st.sampled_from(["applied", "open", "resolved", "undelivered"]))))
def test_any_set_of_payments_without_a_difference_adds_up(payments: list[tuple[int, str]]) -> None:
    pair_of: dict[str, Callable[[int], Pair]] = {
        "applied": lambda amount: Pair(KEY, a_payment(KEY, amount), a_notify(KEY, amount)),
        "open": exception,
        "resolved": lambda amount: exception(amount, is_resolved=True),
        "undelivered": lambda amount: Pair(KEY, a_payment(KEY, amount)),
    }
    tally = tally_of(*(pair_of[fate](amount) for amount, fate in payments))
    assert all(amounts.difference == 0 for amounts in tally.sums.values())
    assert sum(amounts.settled for amounts in tally.sums.values()) == sum(amount for amount, _ in payments)
