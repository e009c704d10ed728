"""The call that every peer on Python makes: a serialized OrderNotifyRequest, one a call."""

import base64
from collections.abc import Awaitable, Callable

import grpc

METHOD = "/paylatch.order.v1.OrderNotifyService/OrderNotify"
DEADLINE = 10.0

Notify = Callable[[str], Awaitable[bytes]]


def order_client(address: str) -> Notify:
    """What sends a content, base64, to the order service there. Made in the loop that it is used in."""
    call = grpc.aio.insecure_channel(address).unary_unary(METHOD)

    async def notify(content: str) -> bytes:
        return await call(base64.b64decode(content), timeout=DEADLINE)

    return notify
