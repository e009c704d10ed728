"""OrderNotifyService: translates between messages and the use case `OrderNotify`. No rule, no SQL."""

from collections.abc import Iterable, Iterator, Sequence

import grpc

from core.logs import Logger
from core.rpc.items import item_failure
from core.rules.errors import InvalidInput
from core.telemetry.tracing import NO_SPAN, NO_TRACING, Span, Tracing, span, spans
from order_server import messages, requests
from order_server.order_notify import Answer, OrderNotify
from order_server.rules import Notification
from paylatch.order.v1 import order_notify_service_pb2 as pb
from paylatch.order.v1 import order_notify_service_pb2_grpc as pb_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["OrderNotifyService"].full_name
COMMIT = "order_notify.commit"
"""The span of what a notification did to its order, as committed."""


class OrderNotifyService(pb_grpc.OrderNotifyServiceServicer):
    """The RPCs by which the payment side tells of settled payments."""

    def __init__(self, order_notify: OrderNotify, log: Logger, tracing: Tracing = NO_TRACING) -> None:
        self._order_notify = order_notify
        self._log = log
        self._tracing = tracing

    def OrderNotify(self, request: pb.OrderNotifyRequest, context: grpc.ServicerContext) -> pb.OrderNotifyResponse:
        """One notification."""
        notification = requests.read_notification(request)
        with span(self._tracing, COMMIT, self._tracing.current) as commit:
            (answer,) = self._order_notify.notify([notification])
            _tell(commit, answer)
        if isinstance(answer, Exception):
            raise answer
        return messages.notified_message(answer)

    def BatchOrderNotify(
        self, request: pb.BatchOrderNotifyRequest, context: grpc.ServicerContext
    ) -> pb.BatchOrderNotifyResponse:
        """Many notifications, each answered on its own."""
        requests.check_batch(request.requests)
        read = [_read(item) for item in request.requests]
        answers = iter(self._notify([item for item in read if isinstance(item, Notification)], request.requests))
        results = [
            self._result(item, _answer_to(one, answers)) for item, one in zip(request.requests, read, strict=True)
        ]
        return pb.BatchOrderNotifyResponse(results=results)

    def _notify(
        self, notifications: Sequence[Notification], items: Iterable[pb.OrderNotifyRequest]
    ) -> Sequence[Answer]:
        """The answers; the commit that they share is a span in the trace of each notification that has one."""
        if not self._tracing.is_on:
            return self._order_notify.notify(notifications)
        sent = {(item.platform_id, item.payment_code): item.traceparent for item in items if item.traceparent}
        with spans(self._tracing, COMMIT, sent) as commits:
            answers = self._order_notify.notify(notifications)
            for notification, answer in zip(notifications, answers, strict=True):
                _tell(commits.get(notification.key, NO_SPAN), answer)
        return answers

    def _result(self, item: pb.OrderNotifyRequest, answer: Answer) -> pb.BatchOrderNotifyResult:
        platform_id, payment_code = item.platform_id, item.payment_code
        if isinstance(answer, Exception):
            error = item_failure(self._log, answer, platform_id=platform_id, payment_code=payment_code)
            return pb.BatchOrderNotifyResult(platform_id=platform_id, payment_code=payment_code, error=error)
        response = messages.notified_message(answer)
        return pb.BatchOrderNotifyResult(platform_id=platform_id, payment_code=payment_code, response=response)


def _tell(commit: Span, answer: Answer) -> None:
    if isinstance(answer, Exception):
        commit.fail(type(answer).__name__)
    else:
        commit.set(disposition=answer.disposition.name, is_repeated=answer.is_repeated)


def _read(item: pb.OrderNotifyRequest) -> Notification | InvalidInput:
    try:
        return requests.read_notification(item)
    except InvalidInput as error:
        return error


def _answer_to(item: Notification | InvalidInput, answers: Iterator[Answer]) -> Answer:
    return next(answers) if isinstance(item, Notification) else item
