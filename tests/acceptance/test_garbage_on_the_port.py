"""Anything may be sent to a port: no process stops serving, or ends, because of it."""

import random
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.children import memory_of
from tests.support.processes import IMPATIENT, System
from tests.support.secured import Secured
from tests.support.shop import Shop

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_BOUND = 10.0
MOST_BYTES = 400 * 2**20
CALLER = "somebody"
_NOISE = random.Random("garbage").randbytes(100_000)

GARBAGE: Mapping[str, bytes] = {
    "nothing": b"",
    "half of a preface": PREFACE[:10],
    "a preface and silence": PREFACE,
    "noise": _NOISE,
    "a preface and noise": PREFACE + _NOISE,
    "settings and noise": PREFACE + _SETTINGS + _NOISE,
    "a frame of 16 MiB": PREFACE + _SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + _NOISE,
    "headers that are none": PREFACE + _SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
    "headers of 1 MiB that never end": PREFACE
    + _SETTINGS
    + b"\x00\x40\x00\x01\x00\x00\x00\x00\x01"
    + bytes(2**14)
    + (b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + bytes(2**14)) * 63,
    "data of no stream": PREFACE + _SETTINGS + b"\x00\x00\x01\x00\x01\x00\x00\x00\x07x",
    "10,000 pings": PREFACE + _SETTINGS + b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping" * 10_000,
    "a request of HTTP/1.1": b"GET / HTTP/1.1\r\nHost: paylatch\r\n\r\n",
    "a greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
}


@pytest.mark.parametrize("how", ["closed", *(pytest.param(how, marks=pytest.mark.slow) for how in ("half", "open"))])
def test_no_garbage_stops_a_process(system: System, shop: Shop, how: str) -> None:
    system.start()
    children = [system[name] for name in system.addresses]
    shop.create_orders(["A-1"])
    with ExitStack() as connections:
        for child in children:
            for garbage in GARBAGE.values():
                connection = connections.enter_context(_connected(child.program.address))
                _send(connection, garbage)
                if how == "half":
                    _half_close(connection)
                elif how == "closed":
                    connection.close()

        for child in children:
            assert child.serves(within=_BOUND), f"{child.program.name} does not serve"
            assert not child.has_ended
        assert shop.order("A-1").order_no == "A-1"
    assert [child.stop() for child in children] == [0, 0, 0]


@pytest.mark.slow
def test_no_garbage_stops_a_process_that_serves_tls(tmp_path: Path) -> None:
    secured = Secured(tmp_path / "pki", {CALLER: []})
    with System(tmp_path, {**IMPATIENT, **secured.settings}) as system:
        system.start()
        children = [system[name] for name in system.addresses]
        with ExitStack() as connections:
            for child in children:
                for garbage in (*GARBAGE.values(), *_half_greetings(secured)):
                    # Where a greeting of TLS is expected, and where HTTP/2 is, once as nobody and once as somebody.
                    _send(connections.enter_context(_connected(child.program.address)), garbage)
                    for shown in (None, CALLER):
                        _send_encrypted(connections, child.program.address, secured.context(shown), garbage)

            for child in children:
                assert child.serves(within=_BOUND), f"{child.program.name} does not serve"
                assert memory_of(child) < MOST_BYTES
        assert [child.stop() for child in children] == [0, 0, 0]


def _half_greetings(secured: Secured) -> Sequence[bytes]:
    """The first message of a client that speaks TLS, whole and in part: the second never comes."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = secured.context(CALLER).wrap_bio(received, sent)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    greeting = sent.read()
    return [greeting, greeting[: len(greeting) // 2], greeting + _NOISE]


def _send_encrypted(connections: ExitStack, address: str, context: ssl.SSLContext, garbage: bytes) -> None:
    """As much of it as the process takes: it hangs up on who shows no certificate."""
    plain = connections.enter_context(_connected(address))
    try:
        connection = connections.enter_context(context.wrap_socket(plain))
        connection.sendall(garbage)
    except (ConnectionError, TimeoutError, ssl.SSLError):
        return


@contextmanager
def _connected(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_BOUND) as connection:
        yield connection


def _send(connection: socket.socket, garbage: bytes) -> None:
    """As much of it as the process takes: it may well hang up in the middle."""
    try:
        connection.sendall(garbage)
    except (ConnectionError, TimeoutError):
        return


def _half_close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return
