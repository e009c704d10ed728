"""Each limit of a server by what it does: grpc ignores an option whose name is misspelt."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from core.rpc.server import ServerOptions
from tests.integration.rpc.conftest import OWN_CONNECTION, SERVICE, Serve, Server
from tests.support.flood import half_sent
from tests.support.waiting import wait_until

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping"
BOUND = 20.0


def echo(request: bytes, _context: grpc.ServicerContext) -> bytes:
    return request


class Gate:
    """A method that counts its calls, and holds them until they may end."""

    def __init__(self) -> None:
        self.running = 0
        self.time_left: list[float] = []
        self._lock = threading.Lock()
        self.may_end = threading.Event()

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.running += 1
            self.time_left.append(context.time_remaining())
        assert self.may_end.wait(30)
        with self._lock:
            self.running -= 1
        return request

    def wait_running(self, count: int) -> None:
        wait_until(lambda: self.running == count)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.may_end.set()


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=BOUND) as connection:
        yield connection


def is_hung_up_on(connection: socket.socket) -> bool:
    """Whether the server closes it, within the bound."""
    try:
        while connection.recv(4_096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def code_of(server: Server, **arguments: Any) -> grpc.StatusCode:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = server.channel.unary_unary(f"/{SERVICE}/Echo")
    try:
        call(b"x", timeout=BOUND, **arguments)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_metadata_that_is_too_long_is_refused(serve: Serve) -> None:
    server = serve(ServerOptions(max_metadata_bytes=2_000), Echo=echo)

    assert code_of(server, metadata=(("x", "a" * 1_000),)) is grpc.StatusCode.OK
    assert code_of(server, metadata=(("x", "a" * 2_000),)) is EXHAUSTED


def test_one_connection_has_so_many_calls_at_once(serve: Serve, gate: Gate) -> None:
    server = serve(ServerOptions(workers=16, max_streams=3), Wait=gate, Echo=echo)
    calls = [server.start_call("Wait") for _ in range(6)]
    gate.wait_running(3)
    with pytest.raises(grpc.RpcError):
        server.call("Echo", timeout=0.3)

    with grpc.insecure_channel(server.address, OWN_CONNECTION) as another:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = another.unary_unary(f"/{SERVICE}/Echo")
        assert call(b"x", timeout=BOUND) == b"x"
    gate.may_end.set()
    assert [call.result(timeout=BOUND) for call in calls] == [b"x"] * 6


def test_calls_beyond_the_waiting_room_are_refused_at_once(serve: Serve, gate: Gate) -> None:
    server = serve(ServerOptions(workers=2, waiting=2), Wait=gate)
    first = server.start_call("Wait")
    gate.wait_running(1)
    more = [server.start_call("Wait") for _ in range(10)]

    wait_until(lambda: sum(call.done() for call in more) == 8)
    assert {call.code() for call in more if call.done()} == {EXHAUSTED}
    gate.may_end.set()
    assert first.result(timeout=BOUND) == b"x"


def test_beyond_the_last_limit_everything_is_refused(serve: Serve, gate: Gate) -> None:
    server = serve(ServerOptions(workers=8, max_calls=2), Wait=gate, Echo=echo)
    calls = [server.start_call("Wait") for _ in range(2)]
    gate.wait_running(2)

    assert code_of(server) is EXHAUSTED
    gate.may_end.set()
    assert [call.result(timeout=BOUND) for call in calls] == [b"x"] * 2


@pytest.mark.parametrize("deadline", [None, 1e6])
def test_a_call_without_a_deadline_or_with_an_absurd_one_is_given_one(
    serve: Serve, gate: Gate, deadline: float | None
) -> None:
    server = serve(ServerOptions(workers=1, longest_call=0.5), Wait=gate)
    running = server.start_call("Wait")
    gate.wait_running(1)
    assert gate.time_left[0] <= 0.5

    with pytest.raises(grpc.RpcError) as refused:
        server.call("Wait", timeout=deadline)
    assert refused.value.code() is EXHAUSTED
    assert not running.done()


def test_more_connections_are_hung_up_on(serve: Serve) -> None:
    server = serve(ServerOptions(max_connections=3), Echo=echo)
    with ExitStack() as many:
        for _ in range(6):
            many.enter_context(connected(server)).sendall(PREFACE)
        with connected(server) as one_more:
            one_more.sendall(PREFACE)
            assert is_hung_up_on(one_more)

    wait_until(lambda: code_of(server) is grpc.StatusCode.OK)


@pytest.mark.parametrize("sent", [b"", PREFACE[:10]])
def test_a_connection_that_does_not_speak_is_hung_up_on(serve: Serve, sent: bytes) -> None:
    server = serve(ServerOptions(handshake=0.3), Echo=echo)
    with connected(server) as silent:
        silent.sendall(sent)
        assert is_hung_up_on(silent)


def test_a_connection_that_is_too_old_is_replaced_and_no_call_is_lost(serve: Serve) -> None:
    peers: set[str] = set()

    def note_peer(request: bytes, context: grpc.ServicerContext) -> bytes:
        peers.add(context.peer())
        return request

    server = serve(ServerOptions(connection_age=0.3, connection_grace=5.0), Echo=note_peer)
    wait_until(lambda: server.call("Echo") == b"x" and len(peers) >= 3)


def test_a_call_that_outlasts_the_grace_of_its_connection_is_cut(serve: Serve, gate: Gate) -> None:
    server = serve(ServerOptions(connection_age=0.2, connection_grace=0.2), Wait=gate)

    with pytest.raises(grpc.RpcError) as cut:
        server.call("Wait", timeout=BOUND)
    assert cut.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_does_not_answer_pings_is_hung_up_on(serve: Serve) -> None:
    server = serve(ServerOptions(ping_after=0.5, ping_timeout=0.5), Echo=echo)
    with connected(server) as frozen:
        frozen.sendall(PREFACE)
        assert is_hung_up_on(frozen)


def test_a_client_that_pings_all_the_time_is_hung_up_on(serve: Serve) -> None:
    server = serve(Echo=echo)
    with connected(server) as pinging:
        pinging.sendall(PREFACE + PING * 20)
        assert is_hung_up_on(pinging)


def test_a_client_that_pings_as_ours_do_is_not(serve: Serve) -> None:
    server = serve(ServerOptions(ping_pause=0.05), Echo=echo)
    with connected(server) as pinging:
        pinging.settimeout(0.5)
        pinging.sendall(PREFACE)
        for _ in range(6):
            pinging.sendall(PING)
            threading.Event().wait(0.1)
        assert not is_hung_up_on(pinging)


@contextmanager
def half_sent_to(server: Server, path: str, count: int) -> Iterator[list[Any]]:
    with grpc.insecure_channel(server.address, OWN_CONNECTION) as client, half_sent(client, path, count) as calls:
        yield calls


def any_done(calls: list[Any]) -> bool:
    return any(call.done() for call in calls)


def test_a_call_whose_request_is_not_sent_is_cancelled(serve: Serve) -> None:
    server = serve(ServerOptions(request=0.3), Echo=echo)
    with half_sent_to(server, f"/{SERVICE}/Echo", 1) as (call,):
        assert call.exception(timeout=BOUND).code() is grpc.StatusCode.CANCELLED


def test_calls_whose_requests_are_not_sent_keep_nobody_else_out(serve: Serve) -> None:
    server = serve(ServerOptions(workers=8, waiting=8, request=60.0), Echo=echo, Other=echo)
    with half_sent_to(server, f"/{SERVICE}/Echo", 60) as calls:
        wait_until(lambda: sum(call.done() for call in calls) == 60 - 7 - 8)
        assert {call.code() for call in calls if call.done()} == {EXHAUSTED}

        assert server.call("Other", timeout=2) == b"x"


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_health_answers_beside_clients_that_begin_calls_of_it_and_send_nothing(
    serve: Serve, method: str, clients: int
) -> None:
    server = serve(Echo=echo)
    with ExitStack() as abuse:
        for _ in range(clients):
            wait_until(
                partial(any_done, abuse.enter_context(half_sent_to(server, f"/grpc.health.v1.Health/{method}", 60)))
            )

        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = server.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=4)
