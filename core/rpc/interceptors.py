"""What happens around every RPC. Owns the mapping of errors to answers and the log line of every call that was not OK.

Never lets the text of an unexpected error out: the client gets an id, the log has the rest under it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import grpc

from core.clock import Clock
from core.logs import Logger
from core.rpc import status
from core.rpc.call import Call
from core.rpc.handlers import Handler, HandlerInterceptor, is_ours, surrounded
from core.rules.limits import clean_text

_LONGEST_CALL_SECONDS = 300.0


def new_error_id() -> str:
    """An id that leads from a client's answer to the log line of an unexpected error."""
    return secrets.token_hex(8)


def report_crash(log: Logger, error: BaseException, error_id: str, **where: Any) -> None:
    """Log an unexpected error with its traceback: the only place its text appears. Event: `rpc.crashed`."""
    log.error("rpc.crashed", code="INTERNAL", reason=status.INTERNAL, error_id=error_id, exc_info=error, **where)


class FailureInterceptor(HandlerInterceptor):
    """Answers errors with their status and logs each call that was not OK: `rpc.failed`, or `rpc.crashed`.

    longest_call: seconds a handler may count on (`context.time_remaining()`) when its caller set no deadline or an
    absurd one.
    """

    def __init__(
        self,
        log: Logger,
        clock: Clock,
        *,
        longest_call: float = _LONGEST_CALL_SECONDS,
        make_error_id: Callable[[], str] = new_error_id,
    ) -> None:
        super().__init__()
        self._log = log
        self._clock = clock
        self._longest_call = longest_call
        self._make_error_id = make_error_id

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, with the care of this class around it."""
        # Health and reflection: a watch that is cancelled has not failed, it has ended.
        return surrounded(handler, partial(self._care, method)) if is_ours(method) else handler

    @contextmanager
    def _care(self, method: str, context: grpc.ServicerContext) -> Iterator[Call]:
        call = Call(context, method, self._clock, self._longest_call)
        try:
            yield call
        except Exception as error:  # noqa: BLE001  # the last place: what passes here reaches the client as it is
            self._fail(call, error)
        except GeneratorExit:  # the client of a stream has gone
            self._log_failed(call)
            raise
        if call.final_code is not grpc.StatusCode.OK:
            self._log_failed(call)

    def _fail(self, call: Call, error: Exception) -> NoReturn:
        if call.is_aborted or _is_clients_leave(call, error):
            self._log_failed(call)
            raise error
        if status.is_expected(error):
            told = {key: clean_text(value) for key, value in error.for_log.items()}
            self._log_failed(call, status.code_for(error), **told)
            call.abort_with_status(status.reply_to(error))
        if call.final_code is grpc.StatusCode.UNIMPLEMENTED:
            self._log_failed(call)
            call.abort(grpc.StatusCode.UNIMPLEMENTED, "method not implemented")
        error_id = self._make_error_id()
        report_crash(self._log, error, error_id, method=call.method, duration_ms=call.duration_ms)
        call.abort_with_status(status.reply_to(error, error_id))

    def _log_failed(self, call: Call, code: grpc.StatusCode | None = None, **what: str) -> None:
        name = (code or call.final_code).name
        self._log.warning("rpc.failed", method=call.method, code=name, duration_ms=call.duration_ms, **what)


def _is_clients_leave(call: Call, error: Exception) -> bool:
    """Whether grpc itself raised `error` in the handler, because nobody waits for the answer any more."""
    return isinstance(error, grpc.RpcError) and not call.is_active()
