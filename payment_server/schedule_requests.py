"""Reads the requests of NotifyScheduleService: what is asked for, or every field that is wrong. Holds no rule."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from core.outbox.operate import Act, Operation
from core.outbox.read import ScheduleFilter
from core.outbox.targets import TargetOperation
from core.rpc.translate import EnumMap, Page, read_page
from core.rules.limits import MAX_BATCH, MAX_PAGE_SIZE, Checker
from core.rules.notify_url import AllowList, why_not
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_pb2, payment_enums_pb2
from paylatch.payment.v1 import notify_schedule_service_pb2 as pb
from payment_server.messages import SCHEDULE_STATUS, read_key, read_key_filter, read_time_filter, read_url_filter
from payment_server.operate import Selection
from payment_server.views import Key

ACT = EnumMap(
    payment_enums_pb2.RetryAction,
    {
        payment_enums_pb2.RETRY_ACTION_REQUEUE: Act.REQUEUE,
        payment_enums_pb2.RETRY_ACTION_DUE_NOW: Act.DUE_NOW,
        payment_enums_pb2.RETRY_ACTION_REOPEN: Act.REOPEN,
        payment_enums_pb2.RETRY_ACTION_RESTORE: Act.RESTORE,
    },
)
BY_KEY_ONLY = frozenset({Act.REOPEN, Act.RESTORE})
"""Acts that rest on somebody having asked the order side about the very key."""
LONGEST_SPREAD = timedelta(days=1)


class _TargetRequest(Protocol):
    """What both requests have by which an operator stops or resumes a target."""

    notify_url: str
    operator: str
    reason: str


def read_list(request: pb.ListNotifySchedulesRequest) -> tuple[ScheduleFilter, Page]:
    """Which schedules, and which page of them."""
    checker = Checker()
    page = read_page(checker, request, int)
    wanted = ScheduleFilter(
        status=SCHEDULE_STATUS.read_filter(checker, "status", request.status),
        notify_url=read_url_filter(checker, "notify_url", request.notify_url),
        order_no=read_key_filter(checker, "order_no", request.order_no),
        created_after=read_time_filter(checker, "created_after", request),
        created_before=read_time_filter(checker, "created_before", request),
        due_before=read_time_filter(checker, "due_before", request),
        is_handled=request.is_handled if request.HasField("is_handled") else None,
    )
    checker.finish()
    return wanted, page


def read_retry(request: pb.RetryNotifySchedulesRequest, allow_list: AllowList) -> tuple[Operation, Selection]:
    """How schedules are to be tried again, and which."""
    checker = Checker()
    _read_operator(checker, request)
    act = ACT.read(checker, "action", request.action)
    operation = Operation(
        act,
        request.operator,
        request.reason,
        notify_url=_read_target(checker, request, allow_list),
        unchanged_since=read_time_filter(checker, "unchanged_since", request),
        spread_over=_read_spread(checker, request.spread_over),
    )
    if request.HasField("filter"):
        checker.require(act not in BY_KEY_ONLY, "filter", "REOPEN and RESTORE take keys, not a filter")
    selection = _read_selection(checker, request)
    checker.finish()
    return operation, selection


def read_abandon(request: pb.AbandonNotifySchedulesRequest) -> tuple[Operation, Selection]:
    """Who closes schedules and why, and which."""
    checker = Checker()
    _read_operator(checker, request)
    operation = Operation(
        Act.ABANDON,
        request.operator,
        request.reason,
        unchanged_since=read_time_filter(checker, "unchanged_since", request),
    )
    selection = _read_selection(checker, request)
    checker.finish()
    return operation, selection


def read_target_list(request: pb.ListNotifyTargetsRequest) -> Page:
    """Which page of the targets."""
    checker = Checker()
    page = read_page(checker, request, str)
    checker.finish()
    return page


def read_target_operation(request: _TargetRequest) -> TargetOperation:
    """Which target is to be paused or resumed, by whom, and why."""
    checker = Checker()
    problem = why_not(request.notify_url)
    checker.require(problem is None, "notify_url", problem or "")
    _read_operator(checker, request)
    checker.finish()
    return TargetOperation(request.notify_url, request.operator, request.reason)


class _Operated(Protocol):
    operator: str
    reason: str


def _read_operator(checker: Checker, request: _Operated) -> None:
    checker.operator("operator", request.operator)
    checker.text("reason", request.reason)


def _read_target(checker: Checker, request: pb.RetryNotifySchedulesRequest, allow_list: AllowList) -> str | None:
    if not request.HasField("notify_url"):
        return None
    problem = allow_list.why_not(request.notify_url)
    checker.require(problem is None, "notify_url", problem or "")
    return request.notify_url


def _read_spread(checker: Checker, spread: Duration) -> timedelta:
    is_fair = 0 <= spread.seconds <= LONGEST_SPREAD.total_seconds() and 0 <= spread.nanos < 10**9
    told = f"is {spread.seconds} s {spread.nanos} ns, must be 0 to {LONGEST_SPREAD.days} day"
    checker.require(is_fair, "spread_over", told)
    return timedelta(seconds=spread.seconds, microseconds=spread.nanos // 1_000) if is_fair else timedelta(0)


def _read_selection(
    checker: Checker, request: pb.RetryNotifySchedulesRequest | pb.AbandonNotifySchedulesRequest
) -> Selection:
    by_filter = request.HasField("filter")
    checker.require(by_filter != bool(request.keys), "keys", "give either keys or a filter, and not both")
    if by_filter:
        checker.number("limit", request.limit, 1, MAX_PAGE_SIZE)
        return Selection(wanted=_read_filter(checker, request.filter), limit=request.limit)
    checker.require(request.limit == 0, "limit", "goes with a filter; with keys it must be left out")
    checker.require(len(request.keys) <= MAX_BATCH, "keys", f"has {len(request.keys)} keys, must have 1 to {MAX_BATCH}")
    return Selection(keys=_read_keys(checker, request.keys))


def _read_keys(checker: Checker, messages: Iterable[PaymentKey]) -> list[Key]:
    keys: list[Key] = []
    for place, message in enumerate(messages):
        of_item = Checker(prefix=f"keys[{place}].")
        keys.append(read_key(of_item, message))
        checker.violations.extend(of_item.violations)
    return list(dict.fromkeys(keys))


def _read_filter(checker: Checker, message: notify_schedule_pb2.NotifyScheduleFilter) -> ScheduleFilter:
    of_filter = Checker(prefix="filter.")
    wanted = ScheduleFilter(
        status=SCHEDULE_STATUS.read_filter(of_filter, "status", message.status),
        notify_url=read_url_filter(of_filter, "notify_url", message.notify_url),
        order_no=read_key_filter(of_filter, "order_no", message.order_no),
        created_after=read_time_filter(of_filter, "created_after", message),
        created_before=read_time_filter(of_filter, "created_before", message),
    )
    checker.violations.extend(of_filter.violations)
    return wanted
