from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules import limits
from core.rules.errors import FieldViolation, InvalidInput
from core.rules.limits import Checker, clean_text

Check = Callable[[Checker], None]

BAD_IN_ANY_TEXT = ["a\0b", "a\nb", "a\tb", "\x7f", "\x85", "\ud800", "a\udfffb"]


def _violations(check: Check) -> list[str]:
    checker = Checker()
    check(checker)
    assert all(violation.field == "field" for violation in checker.violations)
    return [violation.description for violation in checker.violations]


def _key(value: str) -> Check:
    return lambda checker: checker.key("field", value)


@pytest.mark.parametrize("value", ["a", "A-1_z.!~", "x" * 64, "#", "0"])
def test_a_key_is_1_to_64_printable_characters(value: str) -> None:
    assert _violations(_key(value)) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 65,
        " ",
        "a b",
        " a",
        "a ",
        "a\t",
        "a\n",
        "\n",
        "é",
        "支付",
        "１",
        "a\u200b",
        "\u00a0",
        *BAD_IN_ANY_TEXT,
    ],
)
def test_a_key_is_nothing_else(value: str) -> None:
    assert len(_violations(_key(value))) == 1


@given(st.text())
def test_a_key_that_passes_is_ascii_without_blanks(value: str) -> None:
    passes = not _violations(_key(value))

    assert passes == (1 <= len(value) <= 64 and all("!" <= character <= "~" for character in value))


@pytest.mark.parametrize(("value", "passes"), [(0, False), (1, True), (10**15, True), (10**15 + 1, False), (-1, False)])
def test_an_amount_is_1_to_10_to_the_15th(value: int, passes: bool) -> None:
    assert _violations(lambda checker: checker.amount("field", value)) == (
        [] if passes else [f"is {value}, must be 1 to 1000000000000000 in the currency's minor unit"]
    )


@pytest.mark.parametrize("value", ["USD", "EUR", "CNY", "JPY", "KWD"])
def test_a_currency_is_an_iso_4217_code(value: str) -> None:
    assert _violations(lambda checker: checker.currency("field", value)) == []


@pytest.mark.parametrize("value", ["", "usd", "Usd", "US", "USDT", "ABC", "USD ", "USD\0", "ＵＳＤ", "840", "DEM"])
def test_a_currency_is_nothing_else(value: str) -> None:
    assert len(_violations(lambda checker: checker.currency("field", value))) == 1


@pytest.mark.parametrize(("value", "passes"), [(0, False), (1, True), (1_000, True), (1_001, False), (-1, False)])
def test_a_quantity_is_1_to_1000(value: int, passes: bool) -> None:
    assert (_violations(lambda checker: checker.quantity("field", value)) == []) is passes


TEXTS: dict[str, tuple[Callable[[Checker, str], None], int, int]] = {
    "trade_no": (lambda checker, value: checker.trade_no("field", value), 0, 128),
    "operator": (lambda checker, value: checker.operator("field", value), 1, 64),
    "text": (lambda checker, value: checker.text("field", value), 1, 512),
    "optional_text": (lambda checker, value: checker.optional_text("field", value), 0, 512),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_keeps_its_bounds_on_both_sides(name: str) -> None:
    check, low, high = TEXTS[name]

    assert _violations(lambda checker: check(checker, "x")) == []
    assert _violations(lambda checker: check(checker, "x" * high)) == []
    assert _violations(lambda checker: check(checker, "字" * high)) == []
    assert len(_violations(lambda checker: check(checker, "x" * (high + 1)))) == 1
    assert (_violations(lambda checker: check(checker, "")) == []) is (low == 0)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", BAD_IN_ANY_TEXT)
def test_no_text_has_control_characters_or_halves_of_characters(name: str, value: str) -> None:
    check, _, _ = TEXTS[name]

    assert len(_violations(lambda checker: check(checker, value))) == 1


@pytest.mark.parametrize("value", [" ", "   ", "\u3000", "\u00a0"])
@pytest.mark.parametrize("name", ["operator", "text"])
def test_a_text_that_is_needed_is_not_blank(name: str, value: str) -> None:
    check, _, _ = TEXTS[name]

    assert len(_violations(lambda checker: check(checker, value))) == 1


@pytest.mark.parametrize("value", ["Jürgen O'Neil", "王小明", "ops: retry → done 🎉"])
def test_a_text_may_be_in_any_language(value: str) -> None:
    assert _violations(lambda checker: checker.text("field", value)) == []


def test_all_violations_are_told_at_once_in_their_order() -> None:
    checker = Checker("orders[3].")
    checker.key("order_no", "")
    checker.amount("amount_minor", 0)
    checker.currency("currency_code", "usd")
    checker.key("sku", "fine")
    checker.require(ok=False, field="items", description="must not be empty")

    with pytest.raises(InvalidInput) as refused:
        checker.finish()

    assert [violation.field for violation in refused.value.violations] == [
        "orders[3].order_no",
        "orders[3].amount_minor",
        "orders[3].currency_code",
        "orders[3].items",
    ]
    assert refused.value.violations[3] == FieldViolation("orders[3].items", "must not be empty")
    assert all(violation.field in refused.value.message for violation in refused.value.violations)


def test_a_request_without_violations_passes() -> None:
    checker = Checker()
    checker.key("order_no", "O-1")

    checker.finish()


def test_a_violation_names_the_value_and_what_is_allowed() -> None:
    assert _violations(_key("a b")) == ["is 'a b', must be 1 to 64 printable ASCII characters without blanks"]


def test_a_long_value_is_told_in_part_with_its_length() -> None:
    (description,) = _violations(_key("x" * 5_000))

    assert len(description) < 200
    assert "(5000 characters)" in description


@given(st.text(alphabet=st.characters(), max_size=200))
def test_a_violation_never_repeats_control_characters_or_half_characters(value: str) -> None:
    for description in _violations(lambda checker: checker.operator("field", value)):
        assert clean_text(description) == description


@given(st.text(alphabet=st.characters(), max_size=300), st.integers(0, 400))
def test_cleaned_text_is_what_any_database_takes(text: str, max_bytes: int) -> None:
    cleaned = clean_text(text, max_bytes)

    assert len(cleaned.encode()) <= max_bytes
    assert "\0" not in cleaned
    assert clean_text(cleaned, max_bytes) == cleaned


def test_cleaned_text_is_cut_between_characters() -> None:
    assert clean_text("a字字", 5) == "a字"


def test_cleaned_text_is_cut_at_2_kib() -> None:
    assert len(clean_text("x" * 3_000)) == 2_048


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_KEY", 64),
        ("MAX_TRADE_NO", 128),
        ("MAX_OPERATOR", 64),
        ("MAX_TEXT", 512),
        ("MAX_AMOUNT_MINOR", 10**15),
        ("MAX_ITEMS", 100),
        ("MAX_QUANTITY", 1_000),
        ("MAX_BATCH", 500),
        ("DEFAULT_PAGE_SIZE", 50),
        ("MAX_PAGE_SIZE", 1_000),
    ],
)
def test_the_limits_are_those_of_the_specification(name: str, value: Any) -> None:
    assert getattr(limits, name) == value
