"""One call as its handler sees it. Owns how the call ended and the cap on its time; decides nothing."""

from typing import Any, NoReturn

import grpc

from core.clock import Clock

# Seconds. The client leaves when its own clock says so, somewhat before the deadline as it arrived here.
_DEADLINE_SLACK = 0.1


class Call:
    """A servicer context that remembers an abort and caps the time that is left. All else is the context's own.

    longest_call: seconds. A call without a deadline would have 300 years left, and says so.
    """

    def __init__(self, context: grpc.ServicerContext, method: str, clock: Clock, longest_call: float) -> None:
        self._context = context
        self._clock = clock
        self._began = clock.monotonic()
        self._longest_call = longest_call
        self._aborted_with: grpc.StatusCode | None = None
        self._caller: str | None = None
        self.method = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def caller(self) -> str:
        """Who calls: an identity where one is asked for, else the connection."""
        return self._caller if self._caller is not None else str(self._context.peer())

    def name_caller(self, name: str) -> None:
        """Say who calls, once it is known."""
        self._caller = name

    def time_remaining(self) -> float:
        """Seconds left of the caller's deadline or of the longest call, whichever ends first."""
        return max(0.0, min(self._context.time_remaining(), self._longest_call - self.seconds))

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with `code`, by raising an exception that must be let through."""
        self._aborted_with = code
        self._context.abort(code, details)

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with `status`, by raising an exception that must be let through."""
        self._aborted_with = status.code
        self._context.abort_with_status(status)

    @property
    def seconds(self) -> float:
        """Seconds since the handler was called."""
        return self._clock.monotonic() - self._began

    @property
    def duration_ms(self) -> float:
        """The same in milliseconds, for the log."""
        return round(self.seconds * 1_000, 1)

    @property
    def is_aborted(self) -> bool:
        """Whether the call was ended by an abort."""
        return self._aborted_with is not None

    @property
    def final_code(self) -> grpc.StatusCode:
        """How the call ended, as far as its handler can know: asked after the handler has."""
        if self._aborted_with is not None:
            return self._aborted_with
        if self._context.is_active():
            return self._code_set or grpc.StatusCode.OK
        is_late = self._context.time_remaining() <= _DEADLINE_SLACK
        return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED

    @property
    def _code_set(self) -> grpc.StatusCode | None:
        code: grpc.StatusCode | None = self._context.code()  # type: ignore[attr-defined]  # not in the stubs
        return code
