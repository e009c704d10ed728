"""Calling the order side with claimed rows. Owns how many calls it takes, and reading what they answer.

Knows gRPC and the order contract; never touches a database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import grpc

from core.clock import Clock
from core.delivery import traces
from core.outbox.lease import Claim, ClaimedRow
from core.rpc.status import code_of, reason_of, retry_delay_of
from core.rules.codes import Disposition
from core.rules.errors import MALFORMED_REQUEST
from core.rules.outcome import BREAKER_CODES, UNIMPLEMENTED, UNKNOWN, Delivered, Outcome, TryAgain, of_batch, of_item
from core.telemetry.tracing import NO_TRACING, Tracing
from paylatch.order.v1 import batch_pb2, order_notify_service_pb2, order_notify_service_pb2_grpc


class TargetChannels(Protocol):
    """Channels to the order side, by target."""

    def get(self, target: str) -> grpc.Channel:
        """The channel to a target; no connection is awaited."""
        ...

    def wait_ready(self, target: str, bound: float) -> bool:
        """Whether the target is connected within `bound` seconds."""
        ...


@dataclass(slots=True)
class Answers:
    """What calls came to: an outcome for each row that was called, and whether the target itself is in trouble."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    target_failed: bool = False


class OrderNotifyCaller:
    """Calls `OrderNotify` and `BatchOrderNotify`. Safe to use from any number of threads."""

    def __init__(
        self,
        channels: TargetChannels,
        connect_bound: timedelta,
        deadline: timedelta,
        clock: Clock,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._channels = channels
        self._connect_bound = connect_bound.total_seconds()
        self._deadline = deadline
        self._clock = clock
        self._tracing = tracing
        self._without_batches: set[str] = set()

    def is_ready(self, target: str) -> bool:
        """Wait, bounded, for a connection. Until then nothing was sent, so no attempt has begun (SPEC 7)."""
        return self._channels.wait_ready(target, self._connect_bound)

    def call(self, claim: Claim) -> Answers:
        """Deliver the rows, and leave out those that there was no time left to call with."""
        stub = order_notify_service_pb2_grpc.OrderNotifyServiceStub(self._channels.get(claim.target))
        rows = [row for row in claim.rows if self._may_call(row)]
        if len(rows) > 1 and claim.target not in self._without_batches:
            answers = self._call_batch(stub, rows)
            if answers is not None:
                return answers
            self._without_batches.add(claim.target)
        return self._call_one_by_one(stub, rows)

    def _may_call(self, row: ClaimedRow) -> bool:
        return row.lease.left(self._clock) > self._deadline

    def _call_batch(
        self, stub: order_notify_service_pb2_grpc.OrderNotifyServiceStub, rows: Sequence[ClaimedRow]
    ) -> Answers | None:
        """One call for all rows, or None when the receiver does not implement it."""
        request = order_notify_service_pb2.BatchOrderNotifyRequest(requests=[_item(row) for row in rows])
        try:
            with traces.call(self._tracing, "BatchOrderNotify", rows) as metadata:
                response = stub.BatchOrderNotify(request, timeout=self._deadline.total_seconds(), metadata=metadata)
        except grpc.RpcError as error:
            code = code_of(error)
            if code == UNIMPLEMENTED:
                return None
            outcome = of_batch(code, _told(error), _wait(error), len(rows))
            return Answers({row.schedule_id: outcome for row in rows}, code in BREAKER_CODES)
        results = {(result.platform_id, result.payment_code): result for result in response.results}
        return Answers({row.schedule_id: _of_result(results, row) for row in rows})

    def _call_one_by_one(
        self, stub: order_notify_service_pb2_grpc.OrderNotifyServiceStub, rows: Sequence[ClaimedRow]
    ) -> Answers:
        """A call for each row, until the lease is too short or the target is in trouble; the rest is left out."""
        answers = Answers()
        for row in rows:
            if answers.target_failed or not self._may_call(row):
                break
            answers.target_failed, answers.outcomes[row.schedule_id] = self._call_one(stub, row)
        return answers

    def _call_one(
        self, stub: order_notify_service_pb2_grpc.OrderNotifyServiceStub, row: ClaimedRow
    ) -> tuple[bool, Outcome]:
        try:
            with traces.call(self._tracing, "OrderNotify", [row]) as metadata:
                response = stub.OrderNotify(_request(row), timeout=self._deadline.total_seconds(), metadata=metadata)
        except grpc.RpcError as error:
            return code_of(error) in BREAKER_CODES, _of_error(error)
        return False, _of_response(response)


def _request(row: ClaimedRow) -> order_notify_service_pb2.OrderNotifyRequest:
    return order_notify_service_pb2.OrderNotifyRequest.FromString(row.content)


def _item(row: ClaimedRow) -> order_notify_service_pb2.OrderNotifyRequest:
    """The row's request in a batch: there it brings the context of its own trace along, the call has another."""
    request = _request(row)
    if row.trace_context is not None:
        request.traceparent = row.trace_context
    return request


def _of_result(
    results: Mapping[tuple[str, str], order_notify_service_pb2.BatchOrderNotifyResult], row: ClaimedRow
) -> Outcome:
    result = results.get(row.key)
    if result is None:
        return TryAgain(UNKNOWN, "the answer of the batch has no result for this notification")
    if result.HasField("response"):
        return _of_response(result.response)
    return of_item(result.error.code or UNKNOWN, _told_of_item(result.error))


def _of_error(error: grpc.RpcError) -> Outcome:
    code, told, wait = code_of(error), _told(error), _wait(error)
    # What was sent is a message: it was damaged on its way, and may arrive whole next time.
    return TryAgain(code, told, wait) if reason_of(error) == MALFORMED_REQUEST else of_item(code, told, wait)


def _of_response(response: order_notify_service_pb2.OrderNotifyResponse) -> Outcome:
    try:
        return Delivered(Disposition(response.disposition))
    except ValueError:
        return TryAgain(UNKNOWN, f"the answer has an unknown disposition: {response.disposition}")


def _wait(error: grpc.RpcError) -> timedelta:
    return retry_delay_of(error) or timedelta(0)


def _told_of_item(error: batch_pb2.ItemError) -> str:
    return f"{error.reason}: {error.message}" if error.reason else error.message or "no details"


def _told(error: grpc.RpcError) -> str:
    reason, details = reason_of(error), error.details() or "no details"
    return f"{reason}: {details}" if reason else details
