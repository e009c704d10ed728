"""No outgoing call without a deadline. Owns the default; a deadline the caller sets is left alone."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import grpc


class DefaultDeadline(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Gives calls without a timeout one of `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Go on, with a timeout."""
        return continuation(self._bounded(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Go on, with a timeout for the whole stream."""
        return continuation(self._bounded(client_call_details), request)

    def _bounded(self, details: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
        return details if details.timeout is not None else CallDetails.of(details, timeout=self._seconds)


@dataclass(frozen=True)
class CallDetails(grpc.ClientCallDetails):
    """What grpc knows of a call before it is made."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None

    @classmethod
    def of(cls, details: grpc.ClientCallDetails, **changes: Any) -> "CallDetails":
        """The same, with changes."""
        return cls(**{each.name: getattr(details, each.name) for each in fields(cls)} | changes)
