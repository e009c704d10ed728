import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from threading import Thread

import pytest

from tests.faults.proxy import Proxy, Way
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(20)
_SHORT = 0.2


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that answers what it was sent."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        Thread(target=_serve, args=(listener,), daemon=True).start()
        yield "{}:{}".format(*listener.getsockname())


@pytest.fixture
def proxy(echo: str) -> Iterator[Proxy]:
    with closing(Proxy(echo)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with closing(_connected(proxy)) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        yield client


def test_a_cut_line_keeps_what_is_sent_until_it_is_healed(proxy: Proxy, client: socket.socket) -> None:
    proxy.set(answers=Way.HOLD)
    client.sendall(b"later")
    wait_until(lambda: proxy.counts["held"] == 1)
    assert not _answers(client)
    proxy.heal()
    assert client.recv(100) == b"later"


def test_a_lost_request_is_never_answered_and_healing_resets_its_connection(
    proxy: Proxy, client: socket.socket
) -> None:
    proxy.set(requests=Way.LOSE)
    client.sendall(b"gone")
    wait_until(lambda: proxy.counts["lost"] == 1)
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_a_corrupted_answer_is_another_one(proxy: Proxy, client: socket.socket) -> None:
    proxy.set(answers=Way.CORRUPT)
    client.sendall(b"hello")
    assert client.recv(100) == bytes(255 - byte for byte in b"hello")
    assert proxy.counts["corrupted"] == 1


def test_a_delayed_answer_comes(proxy: Proxy, client: socket.socket) -> None:
    proxy.set(answers=Way.DELAY, delay=2 * _SHORT)
    client.sendall(b"hello")
    assert not _answers(client)
    client.settimeout(None)
    assert client.recv(100) == b"hello"
    assert proxy.counts["delayed"] == 1


def test_a_reset_ends_every_connection_and_a_new_one_works(proxy: Proxy, client: socket.socket) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with closing(_connected(proxy)) as again:
        again.sendall(b"hello")
        assert again.recv(100) == b"hello"


def test_whoever_is_refused_gets_no_answer_until_it_is_healed(proxy: Proxy) -> None:
    proxy.refuse()
    with closing(_connected(proxy)):
        wait_until(lambda: proxy.counts["refused"] == 1)
    proxy.heal()
    with closing(_connected(proxy)) as again:
        again.sendall(b"hello")
        assert again.recv(100) == b"hello"


def test_the_client_of_a_half_open_connection_is_told_nothing(proxy: Proxy, client: socket.socket) -> None:
    proxy.half_open()
    client.sendall(b"hello")
    assert not _answers(client)
    assert proxy.counts["half-open"] == 1


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while chunk := connection.recv(100):
            connection.sendall(chunk)


def _connected(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)))


def _answers(client: socket.socket) -> bool:
    client.settimeout(_SHORT)
    with suppress(TimeoutError):
        return bool(client.recv(100))
    return False
