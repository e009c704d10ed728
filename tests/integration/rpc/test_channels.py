import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.clock import SystemClock
from core.logs import Logger
from core.rpc.channels import DEFAULT_TUNING, Channels, ChannelTuning, _channel_arguments, open_channel
from core.rpc.server import RpcServer
from core.rules.notify_url import NotifyUrl
from tests.integration.rpc.conftest import SERVICE, Serve

CLOCK = SystemClock()


@pytest.fixture
def channels() -> Iterator[Channels]:
    channels = Channels()
    yield channels
    channels.close()


@contextlib.contextmanager
def tuned(**times: float) -> Iterator[Channels]:
    tuning = ChannelTuning(**times)
    channels = Channels(lambda target: open_channel(target, tuning))
    try:
        yield channels
    finally:
        channels.close()


def method(channel: grpc.Channel, name: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(f"/{SERVICE}/{name}")


@pytest.fixture
def refusing() -> Iterator[socket.socket]:
    """A port that refuses connections, and that nobody else gets: bound, but not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def address_of(held: socket.socket) -> str:
    return f"127.0.0.1:{held.getsockname()[1]}"


@contextlib.contextmanager
def running(log: Logger, address: str) -> Iterator[None]:
    server = RpcServer(log, CLOCK)
    server.bind(address)
    server.start()
    try:
        yield
    finally:
        server.stop(0)


class TestReadiness:
    def test_a_server_that_is_there_is_ready(self, serve: Serve, channels: Channels) -> None:
        target = f"grpc://{serve().address}"
        assert all(channels.wait_ready(target, 5) for _ in range(3))

    @pytest.mark.parametrize("bound", [0.0, 0.3])
    def test_a_port_that_refuses_is_waited_for_as_long_as_allowed(
        self, refusing: socket.socket, channels: Channels, bound: float
    ) -> None:
        began = CLOCK.monotonic()
        assert not channels.wait_ready(f"grpc://{address_of(refusing)}", bound)
        assert bound - 0.05 < CLOCK.monotonic() - began < bound + 1

    def test_a_receiver_that_accepts_and_stays_silent_is_not_ready(
        self, refusing: socket.socket, channels: Channels
    ) -> None:
        refusing.listen()
        began = CLOCK.monotonic()
        assert not channels.wait_ready(f"grpc://{address_of(refusing)}", 0.5)
        assert CLOCK.monotonic() - began < 1.5

    def test_a_receiver_that_comes_back_after_many_tries_is_used_within_a_second(
        self, refusing: socket.socket, channels: Channels, log: Logger
    ) -> None:
        address = address_of(refusing)
        assert not channels.wait_ready(f"grpc://{address}", 3)  # by now the pauses are as long as they get
        refusing.close()
        with running(log, address):
            assert channels.wait_ready(f"grpc://{address}", 1.5)

    def test_the_pauses_between_tries_stay_short(self, refusing: socket.socket) -> None:
        refusing.listen()
        refusing.settimeout(2)
        with tuned(longest_pause=0.2) as channels:
            trying = threading.Thread(target=channels.wait_ready, args=(f"grpc://{address_of(refusing)}", 30))
            trying.start()
            for _ in range(12):
                refusing.accept()[0].close()
            channels.close()
            trying.join(5)

    def test_a_receiver_that_restarts_is_used_within_a_second(
        self, refusing: socket.socket, channels: Channels, log: Logger
    ) -> None:
        address = address_of(refusing)
        refusing.close()
        for _ in range(3):
            with running(log, address):
                assert channels.wait_ready(f"grpc://{address}", 1.5)

    def test_an_attempt_to_connect_that_gets_no_answer_is_given_up_and_made_again(
        self, refusing: socket.socket
    ) -> None:
        refusing.listen()
        refusing.settimeout(5)
        with tuned(connect=0.5) as channels, contextlib.ExitStack() as accepted:
            trying = threading.Thread(target=channels.wait_ready, args=(f"grpc://{address_of(refusing)}", 30))
            trying.start()
            for _ in range(3):
                accepted.enter_context(refusing.accept()[0])
            channels.close()
            trying.join(5)
            assert not trying.is_alive()

    def test_waiting_leaves_one_subscription_however_many_wait(self, serve: Serve) -> None:
        opened: list[Any] = []

        def open_one(target: NotifyUrl) -> Any:
            opened.append(grpc.insecure_channel(target.address))
            return opened[-1]

        channels = Channels(open_one)
        target = f"grpc://{serve().address}"
        threads = [threading.Thread(target=channels.wait_ready, args=(target, 5)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(opened) == 1
        assert len(opened[0]._connectivity_state.callbacks_and_connectivities) == 1
        channels.close()


class Names:
    """A name server that answers every question with one address."""

    def __init__(self) -> None:
        self.answer = "127.0.0.9"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = address_of(self._socket)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._socket:
            while True:
                query, client = self._socket.recvfrom(512)
                end = query.index(0, 12) + 5
                is_ipv4 = query[end - 4 : end - 2] == b"\0\1"
                counts = struct.pack(">HHHHH", 0x8180, 1, int(is_ipv4), 0, 0)
                found = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(self.answer) if is_ipv4 else b""
                self._socket.sendto(query[:2] + counts + query[12:end] + found, client)


class TestTargets:
    def test_a_name_that_has_moved_is_followed_within_seconds(self, serve: Serve) -> None:
        names, port = Names(), serve().address.rpartition(":")[2]

        def open_one(_target: NotifyUrl) -> grpc.Channel:
            name = f"dns://{names.address}/order.test:{port}"
            return grpc.insecure_channel(name, _channel_arguments(DEFAULT_TUNING))

        channels = Channels(open_one)
        assert not channels.wait_ready("grpc://order.test:1", 0.5)
        names.answer = "127.0.0.1"
        assert channels.wait_ready("grpc://order.test:1", 5)
        channels.close()

    def test_a_name_is_resolved(self, serve: Serve, channels: Channels) -> None:
        port = serve().address.rpartition(":")[2]
        assert channels.wait_ready(f"grpc://localhost:{port}", 5)

    def test_an_ipv6_address_is_dialled(self, log: Logger, channels: Channels) -> None:
        server = RpcServer(log, CLOCK)
        address = server.bind("[::1]:0")
        server.start()
        assert channels.wait_ready(f"grpc://{address}", 5)
        server.stop(0)

    def test_a_host_named_unix_is_not_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: Channels
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("50052")
            listening.listen()
            listening.settimeout(0.1)
            assert not channels.wait_ready("grpc://unix:50052", 0.5)
            with pytest.raises(TimeoutError):
                listening.accept()

    def test_a_receiver_that_should_speak_tls_and_does_not_is_not_ready(self, serve: Serve, channels: Channels) -> None:
        assert not channels.wait_ready(f"grpcs://{serve().address}", 0.5)

    def test_a_proxy_of_the_environment_is_not_used(
        self, serve: Serve, channels: Channels, refusing: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("no_grpc_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("grpc_proxy", "https_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://{address_of(refusing)}")
        port = serve().address.rpartition(":")[2]
        assert channels.wait_ready(f"grpc://localhost:{port}", 5)


def unacknowledged_milliseconds(address: str) -> Iterator[int]:
    """For each connection of this process to `address`: how long TCP waits for an acknowledgement."""
    port = int(address.rpartition(":")[2])
    for descriptor in Path("/proc/self/fd").iterdir():
        with (
            contextlib.suppress(OSError, IndexError),
            socket.fromfd(int(descriptor.name), socket.AF_INET6, socket.SOCK_STREAM) as connection,
        ):
            if connection.getpeername()[1] == port:
                yield connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


class Silence:
    """A proxy that can fall silent: connections stay open, and nothing gets through any more."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listening]
        self._has_fallen = threading.Event()
        self.address = address_of(self._listening)
        threading.Thread(target=self._accept, daemon=True).start()

    def fall(self) -> None:
        self._has_fallen.set()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._upstream)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self._has_fallen.is_set():
                    sink.sendall(data)


@pytest.fixture
def blocked() -> Iterator[Callable[[bytes, Any], bytes]]:
    """A method that does not end before the test."""
    may_end = threading.Event()

    def wait(request: bytes, _context: Any) -> bytes:
        assert may_end.wait(60)
        return request

    yield wait
    may_end.set()


class TestCalls:
    def test_a_call_without_a_deadline_gets_one(self, serve: Serve, blocked: Callable[[bytes, Any], bytes]) -> None:
        server = serve(Wait=blocked, streams={"Stream": lambda request, context: iter([blocked(request, context)])})
        with tuned(default_deadline=0.3) as channels:
            channel = channels.get(f"grpc://{server.address}")
            stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{SERVICE}/Stream")
            for call in (lambda: method(channel, "Wait")(b"x"), lambda: list(stream(b"x"))):
                with pytest.raises(grpc.RpcError) as failed:
                    call()
                assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def test_every_channel_has_a_default_deadline(self, serve: Serve, channels: Channels) -> None:
        left: list[float] = []

        def look(request: bytes, context: grpc.ServicerContext) -> bytes:
            left.append(context.time_remaining())
            return request

        channel = channels.get(f"grpc://{serve(Look=look).address}")
        method(channel, "Look")(b"x")
        method(channel, "Look")(b"x", timeout=7)
        assert 0 < left[0] < DEFAULT_TUNING.default_deadline + 0.5
        assert 0 < left[1] < 7.5

    def test_a_connection_that_fell_silent_is_given_up_before_the_deadline(
        self, serve: Serve, blocked: Callable[[bytes, Any], bytes]
    ) -> None:
        proxy = Silence(serve(Wait=blocked).address)
        with tuned(ping_after=1, ping_timeout=1) as channels:
            target = f"grpc://{proxy.address}"
            assert channels.wait_ready(target, 5)
            call = method(channels.get(target), "Wait").future(b"x", timeout=40)
            proxy.fall()
            error = call.exception(timeout=30)
            assert isinstance(error, grpc.RpcError)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
        proxy.close()

    def test_bytes_that_nobody_acknowledges_are_not_waited_for_long(self, serve: Serve) -> None:
        server = serve()
        with tuned(ping_timeout=3) as channels:
            assert channels.wait_ready(f"grpc://{server.address}", 5)
            assert 3_000 in set(unacknowledged_milliseconds(server.address))

    def test_closing_ends_the_calls_that_run(self, serve: Serve, blocked: Callable[[bytes, Any], bytes]) -> None:
        channels = Channels()
        call = method(channels.get(f"grpc://{serve(Wait=blocked).address}"), "Wait").future(b"x", timeout=30)
        channels.close()
        error = call.exception(timeout=10)
        assert isinstance(error, grpc.FutureCancelledError | grpc.RpcError)
