"""Clients that abuse a server: calls without a pause, calls that are never finished. Counts ends; judges none."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from tests.support.processes import eventually

CALLS_OF_A_CONNECTION = 60
_DEADLINE_SECONDS = 20.0


class Flood:
    """next_request: the bytes of each call. acknowledged: the requests that were answered OK."""

    def __init__(self, channels: Sequence[grpc.Channel], method: str, next_request: Callable[[], bytes]) -> None:
        self.ends: Counter[str] = Counter()
        self.acknowledged: set[bytes] = set()
        self._channels = channels
        self._method = method
        self._next_request = next_request
        self._over = threading.Event()
        self._changed = threading.Lock()
        self._under_way: set[Any] = set()

    @property
    def count(self) -> int:
        """How many calls have ended."""
        return sum(self.ends.values())

    def start(self) -> None:
        """Keep every connection full."""
        for channel in self._channels:
            for _ in range(CALLS_OF_A_CONNECTION):
                self._call(channel)

    def end(self) -> None:
        """Call no more."""
        self._over.set()
        for channel in self._channels:
            channel.close()

    def _call(self, channel: grpc.Channel) -> None:
        if self._over.is_set():
            return
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self._method)
        with self._changed:
            request = self._next_request()
        try:
            call: Any = method.future(request, timeout=_DEADLINE_SECONDS)
        except ValueError:  # closed in this moment
            return
        with self._changed:
            self._under_way.add(call)
        call.add_done_callback(lambda done: self._ended(channel, request, done))

    def _ended(self, channel: grpc.Channel, request: bytes, call: Any) -> None:
        code = call.code()
        with self._changed:
            self._under_way.discard(call)
            self.ends[code.name] += 1
            if code is grpc.StatusCode.OK:
                self.acknowledged.add(request)
        self._call(channel)


@contextmanager
def flooding(
    channels: Sequence[grpc.Channel], method: str, next_request: Callable[[], bytes] = bytes
) -> Iterator[Flood]:
    """A flood while the block runs, from when every connection had its part."""
    flood = Flood(channels, method, next_request)
    try:
        flood.start()
        eventually(lambda: flood.count > len(channels))
        yield flood
    finally:
        flood.end()


@contextmanager
def half_sent(channel: grpc.Channel, path: str, count: int) -> Iterator[list[Any]]:
    """So many calls that are begun, and whose requests are not sent while the block runs."""
    never = threading.Event()

    def requests() -> Iterator[bytes]:
        never.wait()
        yield from ()

    call: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(path)
    # Held here: a call that nobody holds is cancelled.
    calls = [call.future(requests(), timeout=60) for _ in range(count)]
    try:
        yield calls
    finally:
        never.set()
