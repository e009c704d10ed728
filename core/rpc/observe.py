"""Telling observers how each call went. Owns when a call began and how it ended; knows no metric and no trace.

Stands around everything else that happens to a call, so that a refusal is seen like any other end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import grpc

from core.clock import Clock
from core.rpc.call import Call
from core.rpc.handlers import Behavior, Handler, Remembered, behavior_of, with_behavior

_NO_CAP = float("inf")
# Health and reflection are asked for the whole day, and say nothing of the work.
_NOT_OURS = "/grpc."

Ended = Callable[[grpc.StatusCode, float], None]
"""Told how a call ended, and after how many seconds. On the thread that served it."""


class CallObserver(Protocol):
    """Is told of every call of a served method, but for health and reflection."""

    def begin(self, method: str, context: grpc.ServicerContext) -> Ended:
        """A call of `method` (`/package.Service/Method`) begins on this thread."""
        ...


class ObservingInterceptor(grpc.ServerInterceptor):
    """Tells `observers`. An observer that raises fails the call: it must not."""

    def __init__(self, observers: Sequence[CallObserver], clock: Clock) -> None:
        self._observers = observers
        self._clock = clock
        self._handlers = Remembered(self._wrapped)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler of the call, observed."""
        method, handler = handler_call_details.method, continuation(handler_call_details)
        return handler if handler is None or method.startswith(_NOT_OURS) else self._handlers.of(method, handler)

    def _wrapped(self, method: str, handler: Handler) -> Handler:
        wrap = self._streaming if handler.response_streaming else self._answering
        return with_behavior(handler, wrap(method, behavior_of(handler)), handler.request_deserializer)

    def _answering(self, method: str, behavior: Behavior) -> Behavior:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            with self._observed(method, context):
                return behavior(request, context)

        return handle

    def _streaming(self, method: str, behavior: Behavior) -> Behavior:
        def handle(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._observed(method, context):
                yield from behavior(request, context)

        return handle

    @contextmanager
    def _observed(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        call = Call(context, method, self._clock, _NO_CAP)
        ends = [observer.begin(method, context) for observer in self._observers]
        try:
            yield
        finally:
            code, seconds = call.final_code, call.seconds
            for ended in ends:
                ended(code, seconds)
