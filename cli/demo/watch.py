"""Looking over RPC which settled payments have reached their orders, some at a time. Waits for nothing."""

import grpc

from cli.clients import CallFailed, PaymentSide
from cli.demo.board import Board
from cli.demo.payers import PLATFORM
from core.rules.limits import MAX_BATCH
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.order.v1.order_enums_pb2 import DISPOSITION_APPLIED
from paylatch.payment.v1.payment_enums_pb2 import NOTIFY_STATUS_NOTIFIED
from paylatch.payment.v1.payment_pb2 import Payment
from paylatch.payment.v1.payment_service_pb2 import BatchGetPaymentsRequest

_DEADLINE_SECONDS = 2.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Watch:
    """Keeps the board informed. Only for one thread."""

    def __init__(self, side: PaymentSide, board: Board) -> None:
        self._side = side
        self._board = board

    def look(self) -> None:
        """Look at some of those that wait, if there are any and the server is there.

        Raises:
            CallFailed: the server is there, and would not say.
        """
        waiting = self._board.longest_waiting(MAX_BATCH)
        if not waiting:
            return
        payments = self._payments(waiting)
        notified = {one.order_no for one in payments if one.notify_status == NOTIFY_STATUS_NOTIFIED}
        paid = {one.order_no for one in payments if one.disposition == DISPOSITION_APPLIED}
        self._board.look(waiting, notified, paid & notified)

    def _payments(self, order_nos: list[str]) -> list[Payment]:
        keys = [PaymentKey(platform_id=PLATFORM, payment_code=order_no) for order_no in order_nos]
        try:
            response = self._side.payments.BatchGetPayments(
                BatchGetPaymentsRequest(requests=keys), timeout=_DEADLINE_SECONDS
            )
        except grpc.RpcError as error:
            if error.code() in _AWAY:
                return []
            raise CallFailed(str(self._side.server), error) from error
        return [result.response.payment for result in response.results]
