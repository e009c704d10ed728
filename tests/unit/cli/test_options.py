import shlex
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from cli.clients import CannotRun, Key, chunks
from cli.options import duration, moment, read_keys, resolved_address
from cli.reconcile.pair import Pair
from cli.reconcile.steps import Steps

KEY_PART = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


def test_a_key_is_split_at_its_first_slash() -> None:
    assert read_keys(["alipay/2026/1"], None) == [Key("alipay", "2026/1")]


def test_with_a_platform_keys_are_mere_codes() -> None:
    assert read_keys(["b/c"], "a/b") == [Key("a/b", "b/c")]


def test_each_key_counts_once() -> None:
    assert read_keys(["a/1", "a/2", "a/1"], None) == [Key("a", "1"), Key("a", "2")]


def test_a_key_without_a_platform_is_refused() -> None:
    with pytest.raises(CannotRun, match="'P1' must be PLATFORM/CODE"):
        read_keys(["P1"], None)


@given(KEY_PART, KEY_PART)
def test_any_key_survives_the_call_that_is_proposed_for_it(platform_id: str, payment_code: str) -> None:
    key = Key(platform_id, payment_code)
    call = Steps("127.0.0.1:50051", "127.0.0.1:50052").deliver(Pair(key)).call
    words = shlex.split(call)
    platform = next((word.removeprefix("--platform=") for word in words if word.startswith("--platform=")), None)
    assert read_keys(words[-1:], platform) == [key]
    assert words[-2] == "--" or not words[-1].startswith("-")


def test_a_call_names_the_server_unless_it_is_the_default() -> None:
    pair = Pair(Key("card", "P1"))
    assert "--payment-address" not in Steps("127.0.0.1:50051", "").deliver(pair).call
    assert " --payment-address 10.0.0.1:50051 " in Steps("10.0.0.1:50051", "").deliver(pair).call


def test_a_duration_reads_as_in_the_settings() -> None:
    assert duration("5m") == timedelta(minutes=5)
    with pytest.raises(typer.BadParameter, match="must be a number and a unit"):
        duration("soon")


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-01-31T12:00:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert moment("2026-01-31T12:00:00+02:00") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    with pytest.raises(typer.BadParameter, match="must be a time such as"):
        moment("yesterday")


def test_addresses_come_from_the_settings_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_ORDER_ADDRESS", "10.0.0.1:50052")
    assert resolved_address(None, "payment") == "127.0.0.1:50051"
    assert resolved_address(None, "order") == "10.0.0.1:50052"
    assert resolved_address("10.0.0.2:1", "order") == "10.0.0.2:1"


def test_operators_go_to_their_own_address_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved_address(None, "operator") == "127.0.0.1:50051"
    monkeypatch.setenv("PAYLATCH_OPERATOR_ADDRESS", "127.0.0.1:50061")
    assert resolved_address(None, "operator") == "127.0.0.1:50061"
    assert resolved_address("10.0.0.2:1", "operator") == "10.0.0.2:1"


def test_chunks_hold_everything_once_and_none_is_empty() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []
