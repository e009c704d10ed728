"""Reading the one request of a call. Owns how long its client may take to send it; looks into no request.

grpc would read it before any interceptor is asked: a client that begins calls and never sends their requests would
hold a thread for each, uncounted. Read here, after the call was given its place, it counts like any other call.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from core.clock import Clock
from core.rpc import status
from core.rpc.handlers import Handler, HandlerInterceptor, behavior_of, is_ours, with_late_request
from core.rules.errors import MalformedRequest

HEALTH_SECONDS = 2.0
"""The most for health, whose request is a few bytes: however many are not sent, a prober has its turn after that."""

_LOOK_SECONDS = 0.25
_NOTHING = object()


class ReadingInterceptor(HandlerInterceptor):
    """Reads the request of each method that takes one, and cancels a call whose client takes longer than `seconds`."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._awaited: dict[int, tuple[float, grpc.ServicerContext]] = {}
        self._is_over = threading.Event()

    def start(self) -> None:
        """Look after the calls, on a thread of its own."""
        threading.Thread(target=self._look, name="requests", daemon=True).start()

    def stop(self) -> None:
        """Look no more. Only after the server has stopped."""
        self._is_over.set()

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, which begins before its request is there."""
        if handler.request_streaming:
            return handler
        behavior = behavior_of(handler)
        seconds = self._seconds if is_ours(method) else min(self._seconds, HEALTH_SECONDS)

        def answer(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            return behavior(self._request(requests, context, seconds), context)

        def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            yield from behavior(self._request(requests, context, seconds), context)

        return with_late_request(handler, stream if handler.response_streaming else answer)

    def _request(self, requests: Iterator[Any], context: grpc.ServicerContext, seconds: float) -> Any:
        with self._bounded(context, seconds):
            request = next(requests, _NOTHING)
        if request is _NOTHING:
            context.abort_with_status(status.reply_to(MalformedRequest()))
        return request

    @contextmanager
    def _bounded(self, context: grpc.ServicerContext, seconds: float) -> Iterator[None]:
        awaited = id(context), (self._clock.monotonic() + seconds, context)
        with self._lock:
            self._awaited.update([awaited])
        try:
            yield
        finally:
            with self._lock:
                del self._awaited[id(context)]

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK_SECONDS):
            now = self._clock.monotonic()
            with self._lock:
                late = [context for ends, context in self._awaited.values() if ends <= now]
            for context in late:
                context.cancel()
