"""The order side as a sender sees it, without a network; and errors as they come from one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from core.rules.codes import Disposition
from paylatch.order.v1 import batch_pb2
from paylatch.order.v1.order_notify_service_pb2 import (
    BatchOrderNotifyRequest,
    BatchOrderNotifyResponse,
    BatchOrderNotifyResult,
    OrderNotifyRequest,
    OrderNotifyResponse,
)


class CallFailed(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, code: grpc.StatusCode, message: str, details: tuple[Message, ...]) -> None:
        super().__init__(message)
        self._code = code
        self._message = message
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> Any:
        if not self._details:
            return ()
        status = status_pb2.Status(code=self._code.value[0], message=self._message)
        for detail in self._details:
            status.details.add().Pack(detail)
        return (("grpc-status-details-bin", status.SerializeToString()),)


def failure(code: str, message: str = "no", *, reason: str = "", retry_after: timedelta | None = None) -> CallFailed:
    """A call that ended with this status."""
    details: list[Message] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="paylatch"))
    if retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromTimedelta(retry_after)
        details.append(info)
    return CallFailed(grpc.StatusCode[code], message, tuple(details))


def applied(disposition: int = Disposition.APPLIED) -> OrderNotifyResponse:
    response = OrderNotifyResponse()
    response.disposition = disposition  # type: ignore[assignment]  # proto3 enums are open: any number can come
    return response


def result(request: OrderNotifyRequest, response: OrderNotifyResponse | None = None) -> BatchOrderNotifyResult:
    """The result of one item, matched by its key."""
    return BatchOrderNotifyResult(
        platform_id=request.platform_id, payment_code=request.payment_code, response=response or applied()
    )


def item_error(request: OrderNotifyRequest, code: str, reason: str = "", message: str = "no") -> BatchOrderNotifyResult:
    error = batch_pb2.ItemError(code=grpc.StatusCode[code].value[0], reason=reason, message=message)
    return BatchOrderNotifyResult(platform_id=request.platform_id, payment_code=request.payment_code, error=error)


def answer_all(batch: BatchOrderNotifyRequest) -> BatchOrderNotifyResponse:
    return BatchOrderNotifyResponse(results=[result(request) for request in batch.requests])


@dataclass
class Receiver:
    """One order side; as core.delivery.call.TargetChannels, it is at every target.

    A handler answers, or raises what `failure` makes. before: runs at the beginning of each call.

    called: method and payment codes of each call, in order. timeouts: of each call, in seconds.
    """

    single: Callable[[OrderNotifyRequest], OrderNotifyResponse] = lambda _: applied()
    batch: Callable[[BatchOrderNotifyRequest], BatchOrderNotifyResponse] = answer_all
    ready: bool = True
    called: list[tuple[str, list[str]]] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    waited: list[tuple[str, float]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def get(self, target: str) -> Any:
        return self

    def wait_ready(self, target: str, bound: float) -> bool:
        self.waited.append((target, bound))
        return self.ready

    def unary_unary(self, method: str, **serializers: Any) -> Callable[..., Message]:
        """What a generated stub asks a channel for."""
        name = method.rsplit("/", 1)[-1]
        handlers: Mapping[str, Callable[[Any], Message]] = {
            "OrderNotify": self._notify,
            "BatchOrderNotify": self._notify_batch,
        }

        def call(request: Message, timeout: float | None = None, metadata: object = None) -> Message:
            self.timeouts.append(timeout)
            self.before()
            return handlers[name](request)

        return call

    def _notify(self, request: OrderNotifyRequest) -> OrderNotifyResponse:
        self.called.append(("OrderNotify", [request.payment_code]))
        return self.single(request)

    def _notify_batch(self, request: BatchOrderNotifyRequest) -> BatchOrderNotifyResponse:
        self.called.append(("BatchOrderNotify", [item.payment_code for item in request.requests]))
        return self.batch(request)


class Receivers:
    """An order side at each target. Implements core.delivery.call.TargetChannels."""

    def __init__(self) -> None:
        self._receivers: dict[str, Receiver] = {}

    def at(self, target: str) -> Receiver:
        return self._receivers.setdefault(target, Receiver())

    def get(self, target: str) -> Any:
        return self.at(target)

    def wait_ready(self, target: str, bound: float) -> bool:
        return self.at(target).wait_ready(target, bound)
