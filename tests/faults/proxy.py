"""A TCP proxy that can be told, while it runs, to do what networks do. Counts what it did.

Knows bytes and connections only. Each direction has a way of its own: `requests` go to the server, `answers` come from
it. What a way lost cannot be made good within a connection, so healing resets those that lost something.
"""

import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from enum import Enum, auto

_CHUNK = 65_536
_CONNECT_SECONDS = 5.0
_RESET = struct.pack("ii", 1, 0)


class Way(Enum):
    """What happens to the bytes of one direction."""

    PASS = auto()
    HOLD = auto()  # kept until healed, as a cut line keeps what is sent again and again
    LOSE = auto()
    CORRUPT = auto()
    DELAY = auto()


class Proxy:
    """Stands before one server. Everything passes until it is told otherwise.

    counts: what it did, by name: connections, refused, reset, half-open, and chunks held, lost, corrupted, delayed.
    """

    def __init__(self, server: str, address: str = "127.0.0.1:0") -> None:
        self._server = _pair(server)
        self._changed = threading.Condition()
        self._requests = self._answers = Way.PASS
        self._delay = 0.0
        self._refuses = self._is_closed = False
        self._links: set[_Link] = set()
        self.counts: Counter[str] = Counter()
        self._listener = socket.create_server(_pair(address), backlog=1024)
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])
        threading.Thread(target=self._accept, name=f"proxy {self.address}", daemon=True).start()

    def set(self, *, requests: Way = Way.PASS, answers: Way = Way.PASS, delay: float = 0.0) -> None:
        """From here on the two directions are like this. delay: seconds, for DELAY."""
        with self._changed:
            self._requests, self._answers, self._delay = requests, answers, delay
            self._changed.notify_all()

    def refuse(self) -> None:
        """Reset every connection, and every one to come right after it was made."""
        self._refuses = True
        self.reset()

    def reset(self) -> None:
        """Reset every connection, now."""
        for link in self._open_links():
            self._count("reset")
            link.reset()

    def half_open(self) -> None:
        """The server's end of every connection closes, and the client is told nothing."""
        for link in self._open_links():
            self._count("half-open")
            link.leave_half_open()

    def start_over(self) -> None:
        """Reset every connection that there is, once, and let everything pass on those to come."""
        links = self._open_links()
        self.set()
        for link in links:
            self._count("reset")
            link.reset()

    def heal(self) -> None:
        """Everything passes; a connection that lost bytes, or whose server is gone, is reset."""
        self._refuses = False
        self.set()
        for link in self._open_links():
            if link.is_broken:
                link.reset()

    def close(self) -> None:
        """Stop."""
        self._is_closed = True
        self.set()
        self._listener.close()
        for link in self._open_links():
            link.reset()

    def _open_links(self) -> "list[_Link]":
        with self._changed:
            return list(self._links)

    def _count(self, what: str) -> None:
        with self._changed:
            self.counts[what] += 1

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                self._count("refused")
                _reset(client)
                continue
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server, _CONNECT_SECONDS)
        except OSError:
            self._count("server away")
            _reset(client)
            return
        server.settimeout(None)
        link = _Link(client, server)
        with self._changed:
            self._links.add(link)
            self.counts["connections"] += 1
        for pump in (self._pump_requests, self._pump_answers):
            threading.Thread(target=pump, args=(link,), daemon=True).start()

    def _pump_requests(self, link: "_Link") -> None:
        self._pump(link, link.client, link.server, is_request=True)

    def _pump_answers(self, link: "_Link") -> None:
        self._pump(link, link.server, link.client, is_request=False)

    def _pump(self, link: "_Link", source: socket.socket, sink: socket.socket, *, is_request: bool) -> None:
        while chunk := _received(source):
            passed = self._through(link, chunk, is_request=is_request)
            try:
                sink.sendall(passed)
            except OSError:
                break
        if not link.is_half_open:
            link.close()
            with self._changed:
                self._links.discard(link)

    def _through(self, link: "_Link", chunk: bytes, *, is_request: bool) -> bytes:
        """What is left of a chunk, when it may go on."""
        with self._changed:
            match self._way(is_request=is_request):
                case Way.PASS:
                    return chunk
                case Way.HOLD:
                    self.counts["held"] += 1
                    self._changed.wait_for(lambda: self._way(is_request=is_request) is not Way.HOLD)
                    return chunk
                case Way.LOSE:
                    self.counts["lost"] += 1
                    link.is_broken = True
                    return b""
                case Way.CORRUPT:
                    self.counts["corrupted"] += 1
                    link.is_broken = True
                    return bytes(255 - byte for byte in chunk)
                case Way.DELAY:
                    self.counts["delayed"] += 1
                    self._changed.wait_for(lambda: self._is_closed, self._delay)
                    return chunk

    def _way(self, *, is_request: bool) -> Way:
        return self._requests if is_request else self._answers


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_broken = self.is_half_open = self._is_reset = False

    def reset(self) -> None:
        self._is_reset = True
        _reset(self.client)
        _reset(self.server)

    def leave_half_open(self) -> None:
        self.is_broken = self.is_half_open = True
        _reset(self.server)

    def close(self) -> None:
        if self._is_reset:
            return  # an orderly end now would come before the reset
        for end in (self.client, self.server):
            with suppress(OSError):  # gone already
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK)
    except OSError:
        return b""


def _reset(connection: socket.socket) -> None:
    """Close with RST, as a machine does that knows nothing of the connection. Wakes whoever reads from it."""
    with suppress(OSError):  # gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RD)
    connection.close()


def _pair(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
