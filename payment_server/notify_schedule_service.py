"""NotifyScheduleService: translates between the contract and the outbox. Holds no rule and no SQL.

The clock is read before the rows: what changes in between has changed since the read_time, and not before it.
"""

from collections.abc import Sequence
from datetime import datetime

import grpc

from core.logs import Logger
from core.outbox import explain, read, targets
from core.outbox.operate import Operation
from core.outbox.policy import OutboxPolicy
from core.rpc.items import item_failure
from core.rpc.translate import to_timestamp
from core.rules.errors import InvalidInput, PaylatchError
from core.rules.notify_url import AllowList
from core.store.database import Database
from core.store.paging import PageRequest
from core.store.transaction import Row, Transaction
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_pb2, notify_schedule_service_pb2_grpc
from paylatch.payment.v1 import notify_schedule_service_pb2 as pb
from payment_server import schedule_requests
from payment_server.messages import attempt_message, check_batch, read_key_only, schedule_message, try_read_key
from payment_server.operate import Operated, OperateSchedules, Selection, schedule_not_found
from payment_server.operator_messages import hindrance_message, planned_message, target_message
from payment_server.target_pauses import TargetPauses
from payment_server.views import Key


class NotifyScheduleService(notify_schedule_service_pb2_grpc.NotifyScheduleServiceServicer):
    """See protos/paylatch/payment/v1/notify_schedule_service.proto for what each RPC promises."""

    def __init__(
        self,
        database: Database,
        operate: OperateSchedules,
        pauses: TargetPauses,
        policy: OutboxPolicy,
        allow_list: AllowList,
        log: Logger,
    ) -> None:
        self._database = database
        self._operate_schedules = operate
        self._pauses = pauses
        self._policy = policy
        self._allow_list = allow_list
        self._log = log

    def GetNotifySchedule(
        self, request: pb.GetNotifyScheduleRequest, context: grpc.ServicerContext
    ) -> pb.GetNotifyScheduleResponse:
        """One schedule with its attempts."""
        key = read_key_only(request)
        now, schedule, attempts = self._database.read(lambda tx: (tx.now, *_with_attempts(tx, key)))
        return pb.GetNotifyScheduleResponse(
            schedule=schedule_message(schedule, now),
            attempts=[attempt_message(attempt) for attempt in attempts],
            read_time=to_timestamp(now),
        )

    def BatchGetNotifySchedules(
        self, request: pb.BatchGetNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.BatchGetNotifySchedulesResponse:
        """Schedules by key."""
        check_batch(len(request.requests))
        asked = [try_read_key(item) for item in request.requests]
        keys = [key for key in dict.fromkeys(asked) if not isinstance(key, InvalidInput)]
        now, rows = self._database.read(lambda tx: (tx.now, read.schedules(tx, keys)))
        found: dict[Key, Row] = {(row.platform_id, row.payment_code): row for row in rows}
        answers = [key if isinstance(key, InvalidInput) else found.get(key, schedule_not_found(key)) for key in asked]
        results = [self._get_result(item, answer, now) for item, answer in zip(request.requests, answers, strict=True)]
        return pb.BatchGetNotifySchedulesResponse(results=results, read_time=to_timestamp(now))

    def ListNotifySchedules(
        self, request: pb.ListNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.ListNotifySchedulesResponse:
        """Schedules by filters, newest first."""
        wanted, page = schedule_requests.read_list(request)
        request_page = PageRequest(page.size, int(page.after[0]) if page.after else None)
        now, found = self._database.read(lambda tx: (tx.now, read.newest_schedules(tx, wanted, request_page)))
        return pb.ListNotifySchedulesResponse(
            schedules=[schedule_message(row, now) for row in found.rows],
            next_page_token=page.token_after((found.last,)) if found.last is not None else "",
            read_time=to_timestamp(now),
        )

    def ExplainNotifySchedule(
        self, request: pb.ExplainNotifyScheduleRequest, context: grpc.ServicerContext
    ) -> pb.ExplainNotifyScheduleResponse:
        """Why one schedule is not sent now."""
        key = read_key_only(request)

        def look(tx: Transaction) -> pb.ExplainNotifyScheduleResponse:
            row = _schedule(tx, key)
            return pb.ExplainNotifyScheduleResponse(
                schedule=schedule_message(row, tx.now),
                hindrances=map(hindrance_message, explain.hindrances(tx, row, self._policy)),
                planned_attempts=map(planned_message, explain.planned_attempts(row, tx.now, self._policy.retry)),
                read_time=to_timestamp(tx.now),
            )

        return self._database.read(look)

    def RetryNotifySchedules(
        self, request: pb.RetryNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.RetryNotifySchedulesResponse:
        """Has schedules tried again."""
        operation, selection = schedule_requests.read_retry(request, self._allow_list)
        results = self._operate(operation, selection, validate_only=request.validate_only)
        return pb.RetryNotifySchedulesResponse(
            results=results, changed_count=_changed(results), validate_only=request.validate_only
        )

    def AbandonNotifySchedules(
        self, request: pb.AbandonNotifySchedulesRequest, context: grpc.ServicerContext
    ) -> pb.AbandonNotifySchedulesResponse:
        """Closes schedules that shall not be tried any more."""
        operation, selection = schedule_requests.read_abandon(request)
        results = self._operate(operation, selection, validate_only=request.validate_only)
        return pb.AbandonNotifySchedulesResponse(
            results=results, changed_count=_changed(results), validate_only=request.validate_only
        )

    def ListNotifyTargets(
        self, request: pb.ListNotifyTargetsRequest, context: grpc.ServicerContext
    ) -> pb.ListNotifyTargetsResponse:
        """The targets, by address."""
        page = schedule_requests.read_target_list(request)
        every, now = self._database.read(lambda tx: (targets.targets(tx, self._policy.targets), tx.now))
        after = str(page.after[0]) if page.after else ""
        rest = [target for target in every if target.notify_url > after]
        shown = rest[: page.size]
        return pb.ListNotifyTargetsResponse(
            targets=[target_message(target) for target in shown],
            next_page_token=page.token_after((shown[-1].notify_url,)) if len(rest) > len(shown) else "",
            read_time=to_timestamp(now),
        )

    def PauseNotifyTarget(
        self, request: pb.PauseNotifyTargetRequest, context: grpc.ServicerContext
    ) -> pb.PauseNotifyTargetResponse:
        """Stops sending to a target."""
        operation = schedule_requests.read_target_operation(request)
        target = self._pauses.pause(operation, validate_only=request.validate_only)
        return pb.PauseNotifyTargetResponse(target=target_message(target))

    def ResumeNotifyTarget(
        self, request: pb.ResumeNotifyTargetRequest, context: grpc.ServicerContext
    ) -> pb.ResumeNotifyTargetResponse:
        """Sends to a paused target again."""
        operation = schedule_requests.read_target_operation(request)
        target = self._pauses.resume(operation, validate_only=request.validate_only)
        return pb.ResumeNotifyTargetResponse(target=target_message(target))

    def _operate(
        self, operation: Operation, selection: Selection, *, validate_only: bool
    ) -> list[notify_schedule_pb2.NotifyScheduleResult]:
        return [
            self._result(operated)
            for operated in self._operate_schedules(operation, selection, validate_only=validate_only)
        ]

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

    def _result(self, operated: Operated) -> notify_schedule_pb2.NotifyScheduleResult:
        platform_id, payment_code = operated.key
        result = notify_schedule_pb2.NotifyScheduleResult(platform_id=platform_id, payment_code=payment_code)
        if isinstance(operated.result, Exception):
            error = item_failure(self._log, operated.result, platform_id=platform_id, payment_code=payment_code)
            result.error.CopyFrom(error)
        elif operated.result is not None:
            # As it was when this call, or its earlier run, had changed it.
            result.schedule.CopyFrom(schedule_message(operated.result, operated.result.update_time))
        return result


def _changed(results: Sequence[notify_schedule_pb2.NotifyScheduleResult]) -> int:
    return sum(result.HasField("schedule") for result in results)


def _schedule(tx: Transaction, key: Key) -> Row:
    schedule = read.schedule(tx, *key)
    if schedule is None:
        raise schedule_not_found(key)
    return schedule


def _with_attempts(tx: Transaction, key: Key) -> tuple[Row, list[Row]]:
    schedule = _schedule(tx, key)
    return schedule, read.attempts(tx, schedule.id)
