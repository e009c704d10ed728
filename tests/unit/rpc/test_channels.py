import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from core.clock import SystemClock
from core.rpc.channels import Channels, ChannelsClosed
from core.rpc.deadline import DefaultDeadline
from core.rules.notify_url import NotifyUrl

State = grpc.ChannelConnectivity
TARGET = "grpc://order:50052"


class FakeCheck:
    def __init__(self) -> None:
        self.is_done = False

    def done(self) -> bool:
        return self.is_done

    def future(self, _request: bytes, timeout: float) -> "FakeCheck":
        assert timeout > 0
        return self


class FakeChannel:
    """Tells its subscribers what the test says, from the test's own thread."""

    def __init__(self, *states: grpc.ChannelConnectivity) -> None:
        self._states = states
        self.subscribed: list[Callable[[grpc.ChannelConnectivity], None]] = []
        self.checks: list[FakeCheck] = []
        self.is_closed = False

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False) -> None:
        self.subscribed.append(callback)
        self.tell(*self._states)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self.subscribed.remove(callback)

    def unary_unary(self, _method: str) -> FakeCheck:
        self.checks.append(FakeCheck())
        return self.checks[-1]

    def close(self) -> None:
        self.is_closed = True

    def tell(self, *states: grpc.ChannelConnectivity) -> None:
        for state in states:
            for callback in self.subscribed:
                callback(state)


def channels_of(made: list[Any], *states: grpc.ChannelConnectivity) -> Channels:
    def open_one(_target: NotifyUrl) -> Any:
        made.append(FakeChannel(*states))
        return made[-1]

    return Channels(open_one)


def test_a_target_has_one_channel_however_many_threads_ask() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made)
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait(10)
        channels.get(TARGET)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert channels.get("grpc://order:50053") is not channels.get(TARGET)


def test_a_channel_is_ready_once_it_says_so() -> None:
    made: list[FakeChannel] = []
    assert channels_of(made, State.CONNECTING, State.READY).wait_ready(TARGET, 10)
    assert made[0].checks == []


def test_a_channel_that_does_not_get_ready_is_waited_for_as_long_as_allowed() -> None:
    made: list[FakeChannel] = []
    clock = SystemClock()
    began = clock.monotonic()
    assert not channels_of(made, State.CONNECTING, State.TRANSIENT_FAILURE).wait_ready(TARGET, 0.2)
    assert 0.15 < clock.monotonic() - began < 1


def test_a_channel_sleeps_until_somebody_waits_for_it() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made, State.IDLE)
    channels.get(TARGET)
    assert made[0].checks == []
    assert not channels.wait_ready(TARGET, 0)
    assert not channels.wait_ready(TARGET, 0)
    assert len(made[0].checks) == 1


def test_a_channel_that_lost_its_connection_is_woken_again() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made, State.IDLE)
    channels.wait_ready(TARGET, 0)
    made[0].checks[0].is_done = True
    made[0].tell(State.CONNECTING, State.READY)
    assert channels.wait_ready(TARGET, 0)
    made[0].tell(State.IDLE)
    assert not channels.wait_ready(TARGET, 0)
    assert len(made[0].checks) == 2


def test_a_channel_that_loses_its_connection_while_somebody_waits_is_woken() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made, State.CONNECTING)
    channels.get(TARGET)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(channels.wait_ready(TARGET, 10)))
    waiting.start()
    while not made[0].checks:
        made[0].tell(State.IDLE)
    made[0].tell(State.READY)
    waiting.join(10)
    assert answers == [True]


def test_a_channel_is_watched_once_and_not_after_close() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made, State.CONNECTING, State.READY)
    assert all(channels.wait_ready(TARGET, 10) for _ in range(5))
    assert len(made[0].subscribed) == 1
    channels.close()
    assert made[0].subscribed == []


def test_closing_ends_the_waits() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made, State.IDLE)
    channels.get(TARGET)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(channels.wait_ready(TARGET, 30)))
    waiting.start()
    while not made[0].checks:
        waiting.join(0)
    channels.close()
    waiting.join(10)
    assert answers == [False]


def test_no_channel_is_given_out_after_close() -> None:
    made: list[FakeChannel] = []
    channels = channels_of(made)
    channels.get(TARGET)
    channels.close()
    channels.close()
    assert made[0].is_closed
    with pytest.raises(ChannelsClosed, match=TARGET):
        channels.get(TARGET)
    with pytest.raises(ChannelsClosed):
        channels.wait_ready(TARGET, 10)


def test_a_target_that_is_none_has_no_channel() -> None:
    with pytest.raises(ValueError, match="must be grpc://"):
        Channels().get("unix:/tmp/socket")


class Details(grpc.ClientCallDetails):
    def __init__(self, timeout: float | None) -> None:
        self.method = "/a/B"
        self.timeout = timeout
        self.metadata = (("key", "value"),)
        self.credentials = None
        self.wait_for_ready = None
        self.compression = None


@pytest.mark.parametrize(("asked", "used"), [(None, 7), (3, 3), (0, 0), (60, 60)])
def test_a_call_without_a_deadline_gets_one_and_all_else_is_left_alone(asked: float | None, used: float) -> None:
    seen: list[grpc.ClientCallDetails] = []

    def go_on(details: grpc.ClientCallDetails, request: Any) -> Any:
        seen.append(details)
        return request

    deadline = DefaultDeadline(7)
    assert deadline.intercept_unary_unary(go_on, Details(asked), "request") == "request"
    assert deadline.intercept_unary_stream(go_on, Details(asked), "request") == "request"
    assert [details.timeout for details in seen] == [used, used]
    assert [(details.method, details.metadata) for details in seen] == [("/a/B", (("key", "value"),))] * 2
