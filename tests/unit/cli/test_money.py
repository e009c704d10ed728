from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import decimal_text, money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123_456, "USD", "USD 1,234.56"),
        (5, "USD", "USD 0.05"),
        (0, "USD", "USD 0.00"),
        (-5, "USD", "USD -0.05"),
        (1_000, "JPY", "JPY 1,000"),
        (1_234, "KWD", "KWD 1.234"),
        (12_345, "CLF", "CLF 1.2345"),
        (7, "XAU", "XAU 7"),
        (7, "ABC", "ABC 7"),
        (10**15, "USD", "USD 10,000,000,000,000.00"),
    ],
)
def test_an_amount_is_shown_with_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert money(amount, currency) == text


@given(st.integers(-(10**30), 10**30), st.sampled_from(["USD", "JPY", "KWD"]))
def test_no_minor_unit_is_ever_rounded_away(amount: int, currency: str) -> None:
    decimals = {"USD": 2, "JPY": 0, "KWD": 3}[currency]
    assert int(Decimal(decimal_text(amount, currency)).as_tuple().exponent) == -decimals
    assert int(decimal_text(amount, currency).replace(".", "")) == amount
