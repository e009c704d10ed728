import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from core.rpc.translate import (
    EPOCH,
    EnumMap,
    PageToken,
    from_timestamp,
    read_page,
    read_page_size,
    read_time,
    to_timestamp,
)
from core.rules.codes import OrderStatus
from core.rules.limits import Checker
from paylatch.order.v1 import order_enums_pb2, order_service_pb2

STATUSES = EnumMap(
    order_enums_pb2.OrderStatus,
    {order_enums_pb2.ORDER_STATUS_NEW: OrderStatus.NEW, order_enums_pb2.ORDER_STATUS_PAID: OrderStatus.PAID},
)


def fields(checker: Checker) -> list[str]:
    return [violation.field for violation in checker.violations]


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])))  # noqa: DTZ001  # hypothesis adds the zone
def test_a_time_comes_back_from_a_timestamp_as_the_same_instant_in_utc(time: datetime) -> None:
    if time >= EPOCH:
        back = from_timestamp(to_timestamp(time))
        assert back == time
        assert back.tzinfo is UTC


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        to_timestamp(datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_nanoseconds_are_cut_to_microseconds() -> None:
    assert from_timestamp(Timestamp(seconds=1, nanos=1_999)) == EPOCH + timedelta(seconds=1, microseconds=1)


@pytest.mark.parametrize(
    "timestamp",
    [
        Timestamp(seconds=-1),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=2**63 - 1),
        Timestamp(seconds=1, nanos=-1),
        Timestamp(seconds=1, nanos=10**9),
    ],
    ids=str,
)
def test_a_timestamp_outside_1970_to_9999_is_a_violation(timestamp: Timestamp) -> None:
    checker = Checker()
    read_time(checker, "settle_time", timestamp)
    assert fields(checker) == ["settle_time"]


def test_the_last_timestamp_is_read() -> None:
    checker = Checker()
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert read_time(checker, "settle_time", Timestamp(seconds=253_402_300_799, nanos=999_999_999)) == last
    assert fields(checker) == []


def test_an_enum_is_translated_both_ways() -> None:
    checker = Checker()
    assert STATUSES.to_value(OrderStatus.PAID) == order_enums_pb2.ORDER_STATUS_PAID
    assert STATUSES.to_code(order_enums_pb2.ORDER_STATUS_PAID) is OrderStatus.PAID
    assert STATUSES.read(checker, "status", order_enums_pb2.ORDER_STATUS_PAID) is OrderStatus.PAID
    assert STATUSES.read_filter(checker, "status", order_enums_pb2.ORDER_STATUS_PAID) is OrderStatus.PAID
    assert fields(checker) == []


@pytest.mark.parametrize("value", [0, 99, -1])
def test_a_value_that_stands_for_nothing_is_a_violation_that_names_those_that_do(value: int) -> None:
    checker = Checker()
    message = order_service_pb2.ListOrdersRequest(order_status=value)  # type: ignore[arg-type]  # what is refused
    STATUSES.read(checker, "order_status", message.order_status)
    [violation] = checker.violations
    assert violation.field == "order_status"
    assert violation.description == f"is {value}, must be one of ORDER_STATUS_NEW, ORDER_STATUS_PAID"
    assert STATUSES.to_code(message.order_status) is None


def test_unspecified_filters_nothing_and_an_unknown_value_is_a_violation() -> None:
    checker = Checker()
    assert STATUSES.read_filter(checker, "status", order_enums_pb2.ORDER_STATUS_UNSPECIFIED) is None
    assert fields(checker) == []
    STATUSES.read_filter(checker, "status", order_enums_pb2.ORDER_STATUS_CANCELLED)
    assert fields(checker) == ["status"]


def test_two_values_for_one_code_are_refused() -> None:
    with pytest.raises(ValueError, match="two values"):
        EnumMap(order_enums_pb2.OrderStatus, dict.fromkeys(order_enums_pb2.OrderStatus.values()[1:3], OrderStatus.NEW))


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (50, 50), (1_000, 1_000)])
def test_page_size_is_50_unless_asked_for(asked: int, given_: int) -> None:
    checker = Checker()
    assert read_page_size(checker, asked) == given_
    assert fields(checker) == []


@pytest.mark.parametrize("asked", [-1, 1_001, 2**31 - 1, -(2**31)])
def test_a_page_size_below_0_or_above_1000_is_a_violation(asked: int) -> None:
    checker = Checker()
    read_page_size(checker, asked)
    assert fields(checker) == ["page_size"]


def request(token: str = "", order_no: str = "", size: int = 0) -> order_service_pb2.ListOrderStatusLogsRequest:
    return order_service_pb2.ListOrderStatusLogsRequest(page_token=token, order_no=order_no, page_size=size)


def test_the_first_page_begins_at_the_start() -> None:
    page = read_page(Checker(), request(size=7), int)
    assert (page.size, page.after) == (7, None)


@given(number=st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1), text=st.text(max_size=64))
def test_the_next_page_begins_after_the_last_row_of_the_one_before(number: int, text: str) -> None:
    checker = Checker()
    token = read_page(checker, request(size=7), str, int).token_after((text, number))
    assert read_page(checker, request(token, size=9), str, int).after == (text, number)
    assert fields(checker) == []


def test_a_token_of_other_filters_is_a_violation() -> None:
    checker = Checker()
    token = read_page(checker, request(), int).token_after((5,))
    assert read_page(checker, request(token, order_no="o-1"), int).after is None
    assert fields(checker) == ["page_token"]


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


OWN = read_page(Checker(), request(), int).filters


@pytest.mark.parametrize(
    "token",
    [
        "garbage",
        "A",
        "====",
        "ö",
        "\x00",
        "A" * 2_000,
        base64.urlsafe_b64encode(b"[" * 700).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"NaN").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"[]").decode(),
        forged(OWN),
        forged(1, 5),
        forged(OWN, "5"),
        forged(OWN, True),
        forged(OWN, None),
        forged(OWN, 1.5),
        forged(OWN, [5]),
        forged(OWN, 5, 6),
        forged(OWN, 2**63),
        forged("0" * 16, 5),
    ],
    ids=range(21),
)
def test_a_token_that_was_never_given_is_a_violation(token: str) -> None:
    checker = Checker()
    assert read_page(checker, request(token), int).after is None
    assert fields(checker) == ["page_token"]


def test_all_that_is_wrong_with_a_page_is_told_at_once() -> None:
    checker = Checker()
    read_page(checker, request("garbage", size=-1), int)
    assert sorted(fields(checker)) == ["page_size", "page_token"]


@pytest.mark.parametrize("key", [(1,), ("a", 2), ("~" * 64, "x", 3)], ids=str)
def test_a_token_is_fit_for_a_command_line(key: Sequence[int | str]) -> None:
    text = str(PageToken(tuple(key), "0" * 16))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
