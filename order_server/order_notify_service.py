"""OrderNotifyService: translates between messages and the use case `OrderNotify`. No rule, no SQL."""

from collections.abc import Iterator

import grpc

from core.logs import Logger
from core.rpc.interceptors import new_error_id, report_crash
from core.rpc.status import is_expected, item_error
from core.rules.errors import InvalidInput
from order_server import messages, requests
from order_server.order_notify import Answer, OrderNotify
from order_server.rules import Notification
from paylatch.order.v1 import order_notify_service_pb2 as pb
from paylatch.order.v1 import order_notify_service_pb2_grpc as pb_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["OrderNotifyService"].full_name


class OrderNotifyServicer(pb_grpc.OrderNotifyServiceServicer):
    """The RPCs by which the payment side tells of settled payments."""

    def __init__(self, order_notify: OrderNotify, log: Logger) -> None:
        self._order_notify = order_notify
        self._log = log

    def OrderNotify(self, request: pb.OrderNotifyRequest, context: grpc.ServicerContext) -> pb.OrderNotifyResponse:
        """One notification."""
        (answer,) = self._order_notify.notify([requests.read_notification(request)])
        if isinstance(answer, Exception):
            raise answer
        return messages.notified_message(answer)

    def BatchOrderNotify(
        self, request: pb.BatchOrderNotifyRequest, context: grpc.ServicerContext
    ) -> pb.BatchOrderNotifyResponse:
        """Many notifications, each answered on its own."""
        requests.check_batch(request.requests)
        read = [_read(item) for item in request.requests]
        answers = iter(self._order_notify.notify([item for item in read if isinstance(item, Notification)]))
        results = [
            self._result(item, _answer_to(one, answers)) for item, one in zip(request.requests, read, strict=True)
        ]
        return pb.BatchOrderNotifyResponse(results=results)

    def _result(self, item: pb.OrderNotifyRequest, answer: Answer) -> pb.BatchOrderNotifyResult:
        result = pb.BatchOrderNotifyResult(platform_id=item.platform_id, payment_code=item.payment_code)
        if isinstance(answer, Exception):
            result.error.CopyFrom(messages.item_error_message(item_error(answer, self._error_id(item, answer))))
        else:
            result.response.CopyFrom(messages.notified_message(answer))
        return result

    def _error_id(self, item: pb.OrderNotifyRequest, error: Exception) -> str:
        """Where a crash is found in the log; nothing for an error that says all by itself."""
        if is_expected(error):
            return ""
        error_id = new_error_id()
        report_crash(self._log, error, error_id, platform_id=item.platform_id, payment_code=item.payment_code)
        return error_id


def _read(item: pb.OrderNotifyRequest) -> Notification | InvalidInput:
    try:
        return requests.read_notification(item)
    except InvalidInput as error:
        return error


def _answer_to(item: Notification | InvalidInput, answers: Iterator[Answer]) -> Answer:
    return next(answers) if isinstance(item, Notification) else item
