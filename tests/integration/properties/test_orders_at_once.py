"""Duplicates and rivals at the same instant: one is applied, all are answered alike, nobody is turned away (SPEC 5)."""

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from tests.integration.order_server.order_side import (
    AMOUNT_MISMATCH,
    APPLIED,
    DUPLICATE_PAYMENT,
    FAILED,
    PAID_PAID,
    VOUCHER,
    OrderSide,
    StartOrderSide,
    item,
    notification,
)

Answer = TypeVar("Answer")

CALLERS = 16


def _at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """What the calls give, made at the same instant by as many threads."""
    begin = threading.Barrier(len(calls))

    def make(call: Callable[[], Answer]) -> Answer:
        begin.wait(timeout=10)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(make, calls))


def _in_turn(names: Sequence[str], turn: int) -> Sequence[str]:
    """Forwards and backwards by turns."""
    return names[::-1] if turn % 2 else names


@pytest.fixture
def sides(start_order_side: StartOrderSide) -> Sequence[OrderSide]:
    """Two order servers on one database."""
    return [start_order_side(), start_order_side()]


def test_rivals_and_their_duplicates_have_one_effect(sides: Sequence[OrderSide]) -> None:
    sides[0].stock("book", 5)
    sides[0].create("O-1", item("book", 2), item("gift", 1, VOUCHER))
    rivals = [notification(code) for code in ("P-1", "P-2", "P-3")]
    told = [*rivals, notification("P-4", amount=999), notification("P-5", outcome=FAILED)]
    calls = [(one, side) for one in told for side in sides] * 2

    answers = _at_once([partial(side.notifies.OrderNotify, one) for one, side in calls])

    by_code = defaultdict(list)
    for (one, _), answer in zip(calls, answers, strict=True):
        by_code[one.payment_code].append(answer)
    became = {code: {answer.disposition for answer in own} for code, own in by_code.items()}
    assert all([answer.is_repeated for answer in own].count(False) == 1 for own in by_code.values())
    assert sorted(disposition for code in ("P-1", "P-2", "P-3") for disposition in became[code]) == [
        APPLIED,
        DUPLICATE_PAYMENT,
        DUPLICATE_PAYMENT,
    ]
    assert became["P-4"] == {AMOUNT_MISMATCH}
    assert sides[0].statuses() == PAID_PAID
    assert became[sides[0].order().paid_payment_code] == {APPLIED}
    assert sides[0].on_hand("book") == 3
    assert len(sides[0].vouchers()) == 1


def test_batches_that_cross_are_all_served(sides: Sequence[OrderSide]) -> None:
    """The same keys, in opposite order, told of other orders: whoever is first is right, the others are told so."""
    orders, codes = [f"O-{number}" for number in range(4)], [f"P-{number:02}" for number in range(30)]
    for order_no in orders:
        sides[0].create(order_no)
    batches = [
        [notification(code, orders[turn % len(orders)]) for code in _in_turn(codes, turn)] for turn in range(CALLERS)
    ]

    answers = _at_once([partial(side.batch, *batch) for side, batch in zip(itertools.cycle(sides), batches)])

    results = [result for batch in answers for result in batch]
    assert {result.error.reason for result in results if result.HasField("error")} <= {"NOTIFY_DIFFERS"}
    taken_down = [result for result in results if result.HasField("response") and not result.response.is_repeated]
    assert Counter(result.payment_code for result in taken_down) == Counter(codes)
    applied = {result.payment_code for result in taken_down if result.response.disposition == APPLIED}
    assert applied == {code for order_no in orders if (code := sides[0].order(order_no).paid_payment_code)}


def test_orders_that_want_the_last_pieces_never_wait_in_a_circle(sides: Sequence[OrderSide]) -> None:
    """Skus in opposite order on their lines; orders in opposite order in their batches."""
    for sku in ("a", "b", "c"):
        sides[0].stock(sku, CALLERS)
    order_nos = [f"O-{number}" for number in range(CALLERS * 2)]
    for number, order_no in enumerate(order_nos):
        sides[0].create(order_no, *[item(sku, 1) for sku in _in_turn(["a", "b", "c"], number)])
    batches = [
        [notification(f"P-{order_no}", order_no) for order_no in _in_turn(order_nos[start::4], start)]
        for start in range(4)
    ]

    _at_once([partial(side.batch, *batch) for side, batch in zip(itertools.cycle(sides), batches)])

    assert [sides[0].on_hand(sku) for sku in ("a", "b", "c")] == [0, 0, 0]
    assert len(sides[0].follow_ups(name="take_inventory")) == 3 * CALLERS
