"""SPEC 7's table: what a gRPC status of an item, or of a whole call, does to a row and to its target's breaker."""

from datetime import timedelta

import grpc
import pytest

from core.rules import outcome
from core.rules.outcome import BREAKER_CODES, REFUSALS, Refused, TryAgain, of_batch, of_item

REFUSED = {"INVALID_ARGUMENT", "ALREADY_EXISTS", "FAILED_PRECONDITION", "OUT_OF_RANGE", "DATA_LOSS"}
OF_THE_TARGET = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
EVERY_FAILURE = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
WAIT = timedelta(seconds=7)


def _number(code: grpc.StatusCode) -> int:
    return int(code.value[0])


@pytest.mark.parametrize("code", EVERY_FAILURE, ids=lambda code: code.name)
def test_an_item_is_given_up_at_once_only_for_what_no_repetition_can_mend(code: grpc.StatusCode) -> None:
    number = _number(code)

    if code.name in REFUSED:
        assert of_item(number, "why", WAIT) == Refused(number, "why")
    else:
        assert of_item(number, "why", WAIT) == TryAgain(number, "why", WAIT)


@pytest.mark.parametrize("code", EVERY_FAILURE, ids=lambda code: code.name)
def test_a_call_that_fails_as_a_whole_gives_up_none_of_its_rows(code: grpc.StatusCode) -> None:
    assert of_batch(_number(code), "why", WAIT, 8) == TryAgain(_number(code), "why", WAIT, batch_limit=4)


@pytest.mark.parametrize(("size", "limit"), [(500, 250), (3, 1), (2, 1), (1, 1)])
def test_rows_of_a_failed_call_come_again_in_halves(size: int, limit: int) -> None:
    assert of_batch(outcome.UNAVAILABLE, "why", WAIT, size).batch_limit == limit


def test_the_breaker_counts_only_codes_that_speak_of_the_target() -> None:
    assert {code.name for code in grpc.StatusCode if _number(code) in BREAKER_CODES} == OF_THE_TARGET


def test_no_code_that_speaks_of_the_target_gives_up_a_row() -> None:
    assert not REFUSALS & BREAKER_CODES


@pytest.mark.parametrize("code", grpc.StatusCode, ids=lambda code: code.name)
def test_a_code_named_here_has_the_number_grpc_gave_it(code: grpc.StatusCode) -> None:
    assert getattr(outcome, code.name, _number(code)) == _number(code)
