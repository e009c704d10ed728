"""Telling observers how each call went. Owns when a call began and how it ended; knows no metric and no trace.

Stands around everything else that happens to a call, so that a refusal is seen like any other end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import grpc

from core.clock import Clock
from core.rpc.call import Call
from core.rpc.handlers import Handler, HandlerInterceptor, is_ours, surrounded

_NO_CAP = float("inf")

Ended = Callable[[grpc.StatusCode, float], None]
"""Told how a call ended, and after how many seconds. On the thread that served it."""


class CallObserver(Protocol):
    """Is told of every call of a served method, but for health and reflection."""

    def begin(self, method: str, context: grpc.ServicerContext) -> Ended:
        """A call of `method` (`/package.Service/Method`) begins on this thread."""
        ...


class ObservingInterceptor(HandlerInterceptor):
    """Tells `observers`. An observer that raises fails the call: it must not."""

    def __init__(self, observers: Sequence[CallObserver], clock: Clock) -> None:
        super().__init__()
        self._observers = observers
        self._clock = clock

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, observed."""
        # Health and reflection are asked for the whole day, and say nothing of the work.
        return surrounded(handler, partial(self._observed, method)) if is_ours(method) else handler

    @contextmanager
    def _observed(self, method: str, context: grpc.ServicerContext) -> Iterator[grpc.ServicerContext]:
        call = Call(context, method, self._clock, _NO_CAP)
        ends = [observer.begin(method, context) for observer in self._observers]
        try:
            yield context
        finally:
            code, seconds = call.final_code, call.seconds
            for ended in ends:
                ended(code, seconds)
