from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cli.demo.facts import Facts
from cli.demo.orders import DemoOrder
from cli.demo.verdict import Expected, checks

PAYABLE = [DemoOrder("A-1", 2_933, 2), DemoOrder("A-2", 1_000, 1), DemoOrder("A-3", 7, 3, is_voucher=True)]
AMOUNTS = {order.order_no: order.amount_minor for order in PAYABLE}
EXPECTED = Expected(PAYABLE, goods=10)
GOOD = Facts(
    paid=AMOUNTS,
    settled=AMOUNTS,
    attempts={1: 3},
    unnotified=0,
    exceptions=0,
    follow_ups=0,
    goods_left=7,
    vouchers=3,
)


def failed(facts: Facts) -> list[str]:
    return [check.what for check in checks(EXPECTED, facts) if not check.holds]


def test_everything_holds_when_every_payable_order_is_paid_once() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"paid": {"A-1": 2_933, "A-2": 1_000}}, ["orders paid", "sums, to the cent"]),
        ({"paid": {**AMOUNTS, "A-9": 1}}, ["orders paid", "sums, to the cent"]),
        ({"paid": {**AMOUNTS, "A-2": 1_001}}, ["orders paid", "sums, to the cent"]),
        ({"paid": {**AMOUNTS, "A-1": 2_934, "A-2": 999}}, ["orders paid"]),
        ({"settled": {}}, ["payments settled", "sums, to the cent"]),
        ({"unnotified": 1}, ["payments their order does not know of"]),
        ({"goods_left": 6}, ["goods taken from stock"]),
        ({"vouchers": 4}, ["vouchers issued"]),
        ({"exceptions": 1}, ["payment exceptions and follow-ups left"]),
        ({"follow_ups": 1}, ["payment exceptions and follow-ups left"]),
    ],
)
def test_whatever_is_lost_or_twice_is_told(wrong: Mapping[str, Any], what: list[str]) -> None:
    assert failed(replace(GOOD, **wrong)) == what


def test_the_orders_that_differ_are_named() -> None:
    (check,) = (check for check in checks(EXPECTED, replace(GOOD, paid={"A-1": 2_933})) if check.what == "orders paid")
    assert check.told == "1 of 3; not as they must be: 2, such as A-2, A-3"


def test_vouchers_are_not_spoken_of_when_none_were_ordered() -> None:
    expected = Expected(PAYABLE[:2], goods=3)
    amounts = {"A-1": 2_933, "A-2": 1_000}
    found = list(checks(expected, replace(GOOD, paid=amounts, settled=amounts, goods_left=0, vouchers=0)))
    assert "vouchers issued" not in {check.what for check in found}
    assert all(check.holds for check in found)
