from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from cli.clients import CallFailed, CannotRun, Server
from cli.demo.payers import Persistence
from tests.support.clock import TestClock


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "made up"


@pytest.fixture
def server() -> Server:
    return Server("payment server", "127.0.0.1:50051")


def method(*outcomes: grpc.StatusCode | str, before: Callable[[], object] = lambda: None) -> Any:
    """Something that can be called like a stub's method, and goes these ways one after the other."""
    coming = list(outcomes)

    def call(_request: object, **_options: object) -> str:
        before()
        outcome = coming.pop(0)
        if isinstance(outcome, grpc.StatusCode):
            raise Failed(outcome)
        return outcome

    return call


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED"])
def test_a_call_whose_effect_is_unknown_is_made_again_until_it_is_decided(
    server: Server, clock: TestClock, code: str
) -> None:
    persistence = Persistence(clock)
    failure = grpc.StatusCode[code]
    assert persistence.call(server, method(failure, failure, "settled"), None) == "settled"
    assert persistence.made_again == 2


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "ALREADY_EXISTS", "FAILED_PRECONDITION", "INTERNAL"])
def test_a_refusal_is_an_answer(server: Server, clock: TestClock, code: str) -> None:
    persistence = Persistence(clock)
    with pytest.raises(CallFailed, match=code):
        persistence.call(server, method(grpc.StatusCode[code]), None)
    assert persistence.made_again == 0


def test_a_server_that_stays_away_ends_the_run_and_is_no_refusal(server: Server, clock: TestClock) -> None:
    away = method(*[grpc.StatusCode.UNAVAILABLE] * 9, before=lambda: clock.advance(timedelta(seconds=30)))
    with pytest.raises(CannotRun, match="for 120 s now") as ended:
        Persistence(clock).call(server, away, None)
    assert not isinstance(ended.value, CallFailed)


def test_once_stopped_it_makes_no_call_again(server: Server, clock: TestClock) -> None:
    persistence = Persistence(clock)
    persistence.stop()
    with pytest.raises(CannotRun):
        persistence.call(server, method(grpc.StatusCode.UNAVAILABLE, "settled"), None)
