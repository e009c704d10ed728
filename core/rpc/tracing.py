"""A span for each call that a server answers, a child of its caller's. Knows no service."""

import grpc

from core.rpc.observe import Ended
from core.telemetry.tracing import TRACEPARENT, Kind, Tracing


class CallSpans:
    """Implements core.rpc.observe.CallObserver: the span is the thread's present context while the call is served."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def begin(self, method: str, context: grpc.ServicerContext) -> Ended:
        """Begin its span."""
        span = self._tracing.start(method.removeprefix("/"), _parent(context), Kind.SERVER)
        self._tracing.enter(span.context)

        def ended(code: grpc.StatusCode, _seconds: float) -> None:
            self._tracing.enter(None)
            if code is not grpc.StatusCode.OK:
                span.fail(code.name)
            span.end()

        return ended


def _parent(context: grpc.ServicerContext) -> str | None:
    sent = next((value for key, value in context.invocation_metadata() or () if key == TRACEPARENT), None)
    return sent if isinstance(sent, str) else None
