"""Asking for what changes schedules: by keys in batches, or by a filter in one call. Decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.clients import CallFailed, Key, PaymentSide, chunks
from cli.output import ExitCode
from paylatch.payment.v1.notify_schedule_pb2 import NotifyScheduleFilter, NotifyScheduleResult
from paylatch.payment.v1.notify_schedule_service_pb2 import AbandonNotifySchedulesRequest, RetryNotifySchedulesRequest

Request = RetryNotifySchedulesRequest | AbandonNotifySchedulesRequest


@dataclass(slots=True)
class Asked:
    """What became of what was asked for. failure: a batch's, after others were done; the rest was not asked for."""

    results: list[NotifyScheduleResult] = field(default_factory=list)
    changed_count: int = 0
    failure: CallFailed | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What the shell is told."""
        if self.failure:
            return ExitCode.CANNOT_RUN
        return ExitCode.OK if self.changed_count == len(self.results) else ExitCode.NOT_ALL


def ask_by_keys(side: PaymentSide, request: Request, keys: Sequence[Key]) -> Asked:
    """Ask for these keys, as many in one transaction as go into one call.

    Raises:
        CallFailed: the first call failed, so that nothing was answered yet.
    """
    asked = Asked()
    for chunk in chunks(keys):
        request.ClearField("keys")
        request.keys.extend(key.message for key in chunk)
        try:
            _ask(side, request, asked)
        except CallFailed as failure:
            if not asked.results:
                raise
            asked.failure = failure
            break
    return asked


def ask_by_filter(side: PaymentSide, request: Request, chosen: NotifyScheduleFilter, limit: int) -> Asked:
    """Ask for the oldest `limit` that the filter finds.

    Raises:
        CallFailed: it was not answered with OK.
    """
    request.filter.CopyFrom(chosen)
    request.limit = limit
    asked = Asked()
    _ask(side, request, asked)
    return asked


def _ask(side: PaymentSide, request: Request, asked: Asked) -> None:
    is_retry = isinstance(request, RetryNotifySchedulesRequest)
    method: Any = side.schedules.RetryNotifySchedules if is_retry else side.schedules.AbandonNotifySchedules
    answer: Any = side.server.call(method, request)
    asked.results += answer.results
    asked.changed_count += answer.changed_count
