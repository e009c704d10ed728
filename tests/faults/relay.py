"""An order side in between: takes OrderNotify and BatchOrderNotify, and hands them on as the test says.

Where the proxy knows bytes, this knows calls: it can die with the caller at the third one, or lose an item's answer.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from cli.processes import target_of
from core.rpc.channels import open_channel
from paylatch.order.v1 import order_notify_service_pb2_grpc
from paylatch.order.v1.order_notify_service_pb2 import (
    BatchOrderNotifyRequest,
    BatchOrderNotifyResponse,
    OrderNotifyRequest,
    OrderNotifyResponse,
)

_WORKERS = 32
_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call that came in. codes: the payment codes of its items. number: counting from 1 since the last `behave`."""

    method: str
    codes: Sequence[str]
    number: int
    context: grpc.ServicerContext
    _forward: Callable[[], Any]

    def forward(self) -> Any:
        """Hand it on; what the order server answers, or its error."""
        try:
            return self._forward()
        except grpc.RpcError as error:
            # Also the error's details: they travel in the trailing metadata.
            metadata: Any = error.trailing_metadata() or ()
            self.context.set_trailing_metadata(metadata)
            self.context.abort(error.code(), error.details() or "")


Behaviour = Callable[[Call], Any]


def hand_on(call: Call) -> Any:
    """What a relay does until it is told otherwise."""
    return call.forward()


class Relay(order_notify_service_pb2_grpc.OrderNotifyServiceServicer):
    """See the module.

    calls: how many calls came for each payment code. together: the most that were under way at once for one code.
    """

    def __init__(self, order_address: str) -> None:
        self._order_address = order_address
        self._behaviour: Behaviour = hand_on
        self._lock = threading.Lock()
        self._number = 0
        self._under_way: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.together: Counter[str] = Counter()
        self.sizes: list[int] = []
        self._channel = open_channel(target_of(order_address))
        self._stub = order_notify_service_pb2_grpc.OrderNotifyServiceStub(self._channel)
        self._server = grpc.server(futures.ThreadPoolExecutor(_WORKERS), options=[("grpc.so_reuseport", 0)])
        order_notify_service_pb2_grpc.add_OrderNotifyServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def behave(self, behaviour: Behaviour = hand_on) -> None:
        """From here on each call is answered by this."""
        with self._lock:
            self._behaviour, self._number = behaviour, 0

    def close(self) -> None:
        """Stop."""
        self._server.stop(0).wait()
        self._channel.close()

    def OrderNotify(self, request: OrderNotifyRequest, context: grpc.ServicerContext) -> OrderNotifyResponse:
        answer: OrderNotifyResponse = self._serve("OrderNotify", [request], context, lambda: self._single(request))
        return answer

    def BatchOrderNotify(
        self, request: BatchOrderNotifyRequest, context: grpc.ServicerContext
    ) -> BatchOrderNotifyResponse:
        answer: BatchOrderNotifyResponse = self._serve(
            "BatchOrderNotify", request.requests, context, lambda: self._batch(request)
        )
        return answer

    def _serve(
        self,
        method: str,
        items: Sequence[OrderNotifyRequest],
        context: grpc.ServicerContext,
        forward: Callable[[], Any],
    ) -> Any:
        codes = [item.payment_code for item in items]
        with self._counted(codes):
            with self._lock:
                self._number += 1
                behaviour, number = self._behaviour, self._number
                self.sizes.append(len(codes))
            return behaviour(Call(method, codes, number, context, forward))

    @contextmanager
    def _counted(self, codes: Sequence[str]) -> Iterator[None]:
        with self._lock:
            self.calls.update(codes)
            self._under_way.update(codes)
            for code in codes:
                self.together[code] = max(self.together[code], self._under_way[code])
        try:
            yield
        finally:
            with self._lock:
                self._under_way.subtract(codes)

    def _single(self, request: OrderNotifyRequest) -> OrderNotifyResponse:
        return self._stub.OrderNotify(request, timeout=_DEADLINE, wait_for_ready=True)

    def _batch(self, request: BatchOrderNotifyRequest) -> BatchOrderNotifyResponse:
        return self._stub.BatchOrderNotify(request, timeout=_DEADLINE, wait_for_ready=True)
