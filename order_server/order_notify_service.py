"""OrderNotifyService: translates between messages and the use case `OrderNotify`. No rule, no SQL."""

from collections.abc import Iterator

import grpc

from core.logs import Logger
from core.rpc.items import item_failure
from core.rules.errors import InvalidInput
from order_server import messages, requests
from order_server.order_notify import Answer, OrderNotify
from order_server.rules import Notification
from paylatch.order.v1 import order_notify_service_pb2 as pb
from paylatch.order.v1 import order_notify_service_pb2_grpc as pb_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["OrderNotifyService"].full_name


class OrderNotifyService(pb_grpc.OrderNotifyServiceServicer):
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
        platform_id, payment_code = item.platform_id, item.payment_code
        if isinstance(answer, Exception):
            error = item_failure(self._log, answer, platform_id=platform_id, payment_code=payment_code)
            return pb.BatchOrderNotifyResult(platform_id=platform_id, payment_code=payment_code, error=error)
        response = messages.notified_message(answer)
        return pb.BatchOrderNotifyResult(platform_id=platform_id, payment_code=payment_code, response=response)


def _read(item: pb.OrderNotifyRequest) -> Notification | InvalidInput:
    try:
        return requests.read_notification(item)
    except InvalidInput as error:
        return error


def _answer_to(item: Notification | InvalidInput, answers: Iterator[Answer]) -> Answer:
    return next(answers) if isinstance(item, Notification) else item
