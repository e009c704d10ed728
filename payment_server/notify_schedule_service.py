"""NotifyScheduleService: translates between the contract and the outbox. Holds no rule and no SQL."""

from datetime import datetime

import grpc

from core.logs import Logger
from core.outbox import read
from core.outbox.operate import Act, Operation
from core.outbox.read import ScheduleFilter
from core.rpc.items import item_failure
from core.rpc.translate import EnumMap, read_page
from core.rules.errors import InvalidInput, PaylatchError
from core.rules.limits import MAX_BATCH, MAX_PAGE_SIZE, Checker
from core.rules.notify_url import AllowList
from core.store.database import Database
from core.store.paging import PageRequest
from core.store.transaction import Row, Transaction
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_pb2, notify_schedule_service_pb2_grpc, payment_enums_pb2
from paylatch.payment.v1 import notify_schedule_service_pb2 as pb
from payment_server.messages import (
    SCHEDULE_STATUS,
    attempt_message,
    check_batch,
    read_key,
    read_key_filter,
    read_key_only,
    read_time_filter,
    read_url_filter,
    schedule_message,
    try_read_key,
)
from payment_server.retry import Retried, RetrySchedules, Selection, schedule_not_found
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


class NotifyScheduleService(notify_schedule_service_pb2_grpc.NotifyScheduleServiceServicer):
    """See protos/paylatch/payment/v1/notify_schedule_service.proto for what each RPC promises."""

    def __init__(self, database: Database, retry: RetrySchedules, allow_list: AllowList, log: Logger) -> None:
        self._database = database
        self._retry = retry
        self._allow_list = allow_list
        self._log = log

    def GetNotifySchedule(
        self, request: pb.GetNotifyScheduleRequest, context: grpc.ServicerContext
    ) -> pb.GetNotifyScheduleResponse:
        """One schedule with its attempts."""
        key = read_key_only(request)
        schedule, attempts, now = self._database.read(lambda tx: (*_with_attempts(tx, key), tx.now))
        return pb.GetNotifyScheduleResponse(
            schedule=schedule_message(schedule, now),
            attempts=[attempt_message(attempt) for attempt in attempts],
        )

    def BatchGetNotifySchedules(
        self, request: pb.BatchGetNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.BatchGetNotifySchedulesResponse:
        """Schedules by key."""
        check_batch(len(request.requests))
        asked = [try_read_key(item) for item in request.requests]
        keys = [key for key in dict.fromkeys(asked) if not isinstance(key, InvalidInput)]
        rows, now = self._database.read(lambda tx: (read.schedules(tx, keys), tx.now))
        found: dict[Key, Row] = {(row.platform_id, row.payment_code): row for row in rows}
        answers = [key if isinstance(key, InvalidInput) else found.get(key, schedule_not_found(key)) for key in asked]
        results = [self._get_result(item, answer, now) for item, answer in zip(request.requests, answers, strict=True)]
        return pb.BatchGetNotifySchedulesResponse(results=results)

    def ListNotifySchedules(
        self, request: pb.ListNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.ListNotifySchedulesResponse:
        """Schedules by filters, newest first."""
        checker = Checker()
        page, wanted = read_page(checker, request, int), _read_list_filter(checker, request)
        checker.finish()
        request_page = PageRequest(page.size, int(page.after[0]) if page.after else None)
        found, now = self._database.read(lambda tx: (read.newest_schedules(tx, wanted, request_page), tx.now))
        return pb.ListNotifySchedulesResponse(
            schedules=[schedule_message(row, now) for row in found.rows],
            next_page_token=page.token_after((found.last,)) if found.last is not None else "",
        )

    def RetryNotifySchedules(
        self, request: pb.RetryNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.RetryNotifySchedulesResponse:
        """Has schedules tried again."""
        checker = Checker()
        operation = self._read_operation(checker, request)
        selection = _read_selection(checker, request, operation.act)
        checker.finish()
        results = [
            self._result(retried) for retried in self._retry(operation, selection, validate_only=request.validate_only)
        ]
        return pb.RetryNotifySchedulesResponse(
            results=results,
            changed_count=sum(result.HasField("schedule") for result in results),
            validate_only=request.validate_only,
        )

    def _get_result(
        self, item: PaymentKey, answer: Row | PaylatchError, now: datetime
    ) -> pb.BatchGetNotifySchedulesResult:
        result = pb.BatchGetNotifySchedulesResult(platform_id=item.platform_id, payment_code=item.payment_code)
        if isinstance(answer, PaylatchError):
            result.error.CopyFrom(
                item_failure(self._log, answer, platform_id=item.platform_id, payment_code=item.payment_code)
            )
        else:
            result.schedule.CopyFrom(schedule_message(answer, now))
        return result

    def _read_operation(self, checker: Checker, request: pb.RetryNotifySchedulesRequest) -> Operation:
        checker.operator("operator", request.operator)
        checker.text("reason", request.reason)
        notify_url = request.notify_url if request.HasField("notify_url") else None
        if notify_url is not None:
            why_not = self._allow_list.why_not(notify_url)
            checker.require(why_not is None, "notify_url", why_not or "")
        return Operation(ACT.read(checker, "action", request.action), request.operator, request.reason, notify_url)

    def _result(self, retried: Retried) -> pb.RetryNotifySchedulesResult:
        platform_id, payment_code = retried.key
        result = pb.RetryNotifySchedulesResult(platform_id=platform_id, payment_code=payment_code)
        if isinstance(retried.result, Exception):
            error = item_failure(self._log, retried.result, platform_id=platform_id, payment_code=payment_code)
            result.error.CopyFrom(error)
        elif retried.result is not None:
            # As it was when this call, or its earlier run, had changed it.
            result.schedule.CopyFrom(schedule_message(retried.result, retried.result.update_time))
        return result


def _with_attempts(tx: Transaction, key: Key) -> tuple[Row, list[Row]]:
    schedule = read.schedule(tx, *key)
    if schedule is None:
        raise schedule_not_found(key)
    return schedule, read.attempts(tx, schedule.id)


def _read_list_filter(checker: Checker, request: pb.ListNotifySchedulesRequest) -> ScheduleFilter:
    return ScheduleFilter(
        status=SCHEDULE_STATUS.read_filter(checker, "status", request.status),
        notify_url=read_url_filter(checker, "notify_url", request.notify_url),
        order_no=read_key_filter(checker, "order_no", request.order_no),
        created_after=read_time_filter(checker, "created_after", request),
        created_before=read_time_filter(checker, "created_before", request),
        due_before=read_time_filter(checker, "due_before", request),
        is_handled=request.is_handled if request.HasField("is_handled") else None,
    )


def _read_selection(checker: Checker, request: pb.RetryNotifySchedulesRequest, act: Act) -> Selection:
    by_filter = request.HasField("filter")
    checker.require(by_filter != bool(request.keys), "keys", "give either keys or a filter, and not both")
    if by_filter:
        checker.require(act not in BY_KEY_ONLY, "filter", "REOPEN and RESTORE take keys, not a filter")
        checker.number("limit", request.limit, 1, MAX_PAGE_SIZE)
        return Selection(wanted=_read_filter(checker, request.filter), limit=request.limit)
    checker.require(request.limit == 0, "limit", "goes with a filter; with keys it must be left out")
    checker.require(len(request.keys) <= MAX_BATCH, "keys", f"has {len(request.keys)} keys, must have 1 to {MAX_BATCH}")
    return Selection(keys=_read_keys(checker, request))


def _read_keys(checker: Checker, request: pb.RetryNotifySchedulesRequest) -> list[Key]:
    keys: list[Key] = []
    for place, message in enumerate(request.keys):
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
